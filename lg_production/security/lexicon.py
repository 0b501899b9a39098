"""Words of instructions to a model, in classes, in some languages. Frozen: the weights know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CLASSES: Final[Mapping[str, str]] = {
    "OVERRIDE": (
        "ignore ignores ignoring disregard disregarding forget forgetting override overriding "
        "bypass bypassing overlook neglect discard abandon dismiss circumvent sidestep "
        "unlearn overrule supersede erase ignorier ignoriere ignorieren vergiss vergessen "
        "missachte umgehe ubergehe ignora ignorar ignore ignorez ignorer oublie oubliez "
        "olvida olvide olvidar omite dimentica trascura esqueca esquecer desconsidere "
        "contourne contournez aggira elude negeer vergeet zignoruj zapomnij ignoruj игнорируй "
        "игнорировать забудь 忽略 无视 忘记"
    ),
    "RULES": (
        "instruction instructions rule rules guideline guidelines directive directives prompt "
        "prompts restriction restrictions constraint constraints limitation limitations "
        "policy policies protocol protocols command commands programming safeguard safeguards "
        "filter filters guardrail guardrails anweisung anweisungen regeln vorgaben "
        "richtlinien befehle instrucciones reglas directrices ordenes consignes instructions "
        "regles directives istruzioni regole direttive instrucoes regras diretrizes "
        "instructies regels instrukcje zasady инструкции правила 指令 指示 规则"
    ),
    "PRIOR": (
        "previous previously prior above earlier preceding foregoing former past original "
        "initial existing before everything vorherigen vorigen bisherigen obigen davor "
        "anteriores previas previos anterior precedentes precedenti precedente anteriores "
        "vorige eerdere poprzednie предыдущие прошлые 之前 以前 上述"
    ),
    "ALL": (
        "all any every alle alles todo todas todos tout toutes tous tutte tutti todas "
        "wszystkie все 所有"
    ),
    "MODEL": (
        "ai assistant assistants chatbot llm llms gpt chatgpt bot agent agents copilot claude "
        "gemini model models ki assistent asistente assistente ia modelo modele modello"
    ),
    "SYSTEM": ("system developer admin administrator root sudo sysadmin operator systemprompt"),
    "REVEAL": (
        "reveal show print output display repeat recite tell disclose leak expose share dump "
        "list give reproduce verbatim summarize translate zeige nenne verrate gib muestra "
        "revela muestrame affiche revele rivela mostra divulga mostre revele diga"
    ),
    "SECRET": (
        "secret secrets password passwords passphrase credential credentials token tokens "
        "confidential private hidden key keys apikey sensitive personal pii ssn passwort "
        "geheim contrasena senha motdepasse"
    ),
    "ROLE": (
        "pretend act acting roleplay imagine simulate simulating role persona character "
        "become behave embody impersonate emulate play playing stell spiele rolle finge actua "
        "imagina agis incarne finja fingi"
    ),
    "YOU": (
        "you your yourself yours du dein deine deinen sie ihre tu tus usted vous votre vos "
        "tuo tue voce sua seu"
    ),
    "NOW": (
        "now henceforth instead onwards onward hereafter jetzt ab ahora desde desormais "
        "maintenant ora agora"
    ),
    "NEW": (
        "new updated latest following next neue neuen nueva nuevas nouvelle nouvelles nuove "
        "novas novo"
    ),
    "FIRST": ("me my mine i mir mich meine mi mis moi mon mes mio miei meu meus minhas"),
    "URGENT": (
        "important urgent urgently attention critical warning mandatory immediately required "
        "asap wichtig urgente"
    ),
    "SEND": (
        "send sends forward forwards email mail transfer transfers upload uploads post submit "
        "transmit exfiltrate deliver wire pay share schicke sende envia envie envoyez inviare "
        "fetch curl wget"
    ),
    "DO": (
        "execute run call invoke delete remove create write add open visit click download "
        "install buy purchase book schedule update change modify grant unlock reset enable "
        "disable activate deactivate retrieve access search find get view set register "
        "authorize approve confirm cancel terminate provide manipulate"
    ),
    "FREE": (
        "unrestricted uncensored unfiltered unlimited limitless jailbreak jailbroken dan stan "
        "dude mode godmode unethical immoral illegal harmful amoral evil ethics ethical moral "
        "censorship safety freedom rebel"
    ),
    "HIDE": (
        "silently secretly quietly discreetly covertly mention inform notify alert without "
        "never dont"
    ),
    "ANSWER": (
        "respond response reply answer answers say saying complete comply obey follow adhere "
        "begin start stop"
    ),
    "TASK": (
        "task tasks goal objective mission request query question user users tool tools "
        "function functions"
    ),
    "PERSON": ("hi hello dear thanks thank regards cheers sincerely team best kind please"),
    "CONTACT": ("urltoken emailtoken"),
}

FUNCTION_WORDS = (
    "the and for are was were been with that this from have has had not but they them then "
    "there what which when where who how why will would can could should about into than "
    "our out over under only just also very make made use used using their his her its let "
    "is in of to on at it be as or if so do an we he by us translate english text word "
    "words message code print letter letters line everything nothing something anything "
    "here after before between only"
)

CLASS_OF: Final[Mapping[str, str]] = {
    word: name for name, words in CLASSES.items() for word in words.split()
}
TWO_WORDS = frozenset({"systemprompt", "motdepasse", "godmode", "apikey"})
KNOWN: Final[frozenset[str]] = (
    frozenset(
        word
        for word in [*CLASS_OF, *FUNCTION_WORDS.split()]
        if word.isascii() and word not in TWO_WORDS
    )
    - TWO_WORDS
)
