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

MORE_WORDS: Final[Mapping[str, str]] = {
    "OVERRIDE": (
        "skip revoke nullify void scrap unset negate suspend defy disobey evade ignored "
        "disregarded overridden bypassed bypasses forgot forgotten ignorieret vergesst "
        "ubergehen verwirf verwerfen streiche ignoren ignoras olvidate omitir descarta anula "
        "salta salte oubliant abandonne annule annulez passe contourner dimenticare dimenticati "
        "tralascia scarta annulla descarte pule pomin odrzuc negeren vergeten uita nesocoteste"
    ),
    "RULES": (
        "regulation regulations requirement requirements boundary boundaries limit limits "
        "barrier barriers filtering moderation alignment sop spec specification specifications "
        "procedure procedures conditions safeguarding befehl anweisungstext vorschriften "
        "vorschrift auftrag auftrage aufgabe aufgaben regel einschrankungen restricciones "
        "limitaciones normas norma mandatos orden instruccion regla consigne regle limites "
        "normes istruzione regola restrizioni comandi ordini ordem ordens regra restricoes "
        "comandos instructie opdracht opdrachten polecenia polecen instrukcji zasad reguli "
        "instructiuni instructiunile"
    ),
    "PRIOR": (
        "last first beginning top preceeding pre precursor so far until yet vorher zuvor bisher "
        "oben obige obenstehenden antes previo previa arriba avant precedent ci dessus plus "
        "haut prima sopra precedentemente acima hierboven daarvoor wczesniejsze powyzsze "
        "anterioare sus"
    ),
    "ALL": (
        "whole entire completely totally fully whatever whichever sämtliche samtliche jeder "
        "jede jedes cualquier toda completo quelque chaque ogni tutto qualquer tudo elke kazdy "
        "toate"
    ),
    "MODEL": (
        "bard llama mistral openai anthropic google deepmind siri alexa cortana machine robot "
        "program programm maschine roboter maquina asistentes bots sprachmodell lenguaje "
        "langage linguaggio linguagem inteligencia kunstliche artificielle artificiale neural"
    ),
    "SYSTEM": (
        "superuser owner creator creators developers engineer maintainer supervisor manager "
        "boss ceo maker makers entwickler administratoren sistema desarrollador creador "
        "administrador systeme developpeur createur administrateur sviluppatore amministratore "
        "creatore desenvolvedor criador"
    ),
    "REVEAL": (
        "spill divulge uncover unveil present describe quote copy paraphrase transcribe export "
        "extract enumerate encode decode regurgitate type spell zeig sag sage schreib schreibe "
        "gebe ausgeben liste wiederhole ubersetze ensena dime di escribe repite traduce lista "
        "montre montrez dis ecris repete traduis donne dimmi scrivi ripeti traduci elenca dammi "
        "escreva repita traduza conte mostrar toon schrijf zeg herhaal pokaz napisz powtorz "
        "spune arata scrie"
    ),
    "SECRET": (
        "classified restricted internal proprietary login logins pin otp cvv bank card account "
        "accounts cookies cookie session certificate certificates vault wallet seed database "
        "dataset env passworter kennwort geheime geheimen geheimnis zugangsdaten clave claves "
        "secreto secretos contrasenas confidencial secrete secretes confidentiel cles segreto "
        "segreti chiave chiavi riservato segredo segredos chave chaves wachtwoord haslo hasla "
        "parola parole"
    ),
    "ROLE": (
        "roleplaying impersonating emulating pretending simulation scenario fiction fictional "
        "hypothetical hypothetically imaginary story novel game alter ego twin personality "
        "identity transform switch spiel spielst verhalte stelle vor eres seras actuar "
        "comportate juega imaginate joue jouer comporte recita comportati immagina gioca aja "
        "jogue speel doe alsof udawaj graj"
    ),
    "YOU": (
        "ur ya thou ihnen euch euer dich dir eure ti te contigo vosotros ustedes suyo toi ton "
        "ta tes lei voi vi tuoi seus suas jij je jouw uw ty ciebie twoje twoj twoich tau tale"
    ),
    "NOW": (
        "today presently anymore longer starting currently sofort nun mismo inmediatamente "
        "immediatement des subito adesso imediatamente nu teraz od acum"
    ),
    "URGENT": (
        "imperative essential vital crucial must emergency compulsory obligatory priority "
        "notice caution dringend achtung unbedingt importante atencion obligatorio attenzione "
        "obbligatorio atencao obrigatorio obligatoire"
    ),
    "SEND": (
        "ship relay dispatch sending mailed sent smuggle publish report redirect remit donate "
        "schick weiterleiten uberweise uberweisen mandar manda transfiere reenvia transferir "
        "envoie transfere verser invia inoltra trasferisci mande transfira encaminhe stuur "
        "wyslij trimite"
    ),
    "DO": (
        "perform conduct carry trigger launch deploy use navigate browse load import compile "
        "eval evaluate insert append replace edit rename move drop truncate wipe destroy format "
        "overwrite withdraw deposit order reserve invite subscribe unsubscribe whitelist assign "
        "escalate elevate promote lock disarm turn ausfuhren loschen losche offne installiere "
        "ejecuta ejecutar borra abre elimina compra supprime ouvre achete esegui cancella apri "
        "apague abra compre verwijder usun otworz sterge deschide"
    ),
    "FREE": (
        "unbound unbounded unchained unlocked unrestrained unshackled liberated lawless "
        "ruthless malicious dangerous toxic offensive explicit nsfw censored jailbreaking "
        "jailbroke aim unmoderated consequences taboo forbidden prohibited weapon weapons bomb "
        "explosives drugs malware virus ransomware phishing hack hacking hacker steal kill "
        "poison exploit weaponize einschrankung grenzenlos zensur ungefiltert restriccion "
        "sinfiltros censura etica ethique morale censure"
    ),
    "HIDE": (
        "silent quiet unnoticed undetected covert conceal hide acknowledge refuse decline warn "
        "warnings disclaimer disclaimers apologize refusal refusals apologies hesitate nunca "
        "nie niemals jamais mai nooit nigdy niciodata ohne sin sans senza sem zonder bez fara"
    ),
    "ANSWER": (
        "responding replying outputting proceed continue resume finish antworte antworten "
        "responde contesta responder repond reponds repondez rispondi rispondere responda "
        "antwoord odpowiedz raspunde"
    ),
    "TASK": (
        "job jobs duty duties assignment purpose work conversation chat context message "
        "messages input inputs text document webpage content ziel frage nachricht tarea "
        "objetivo mision pregunta texto mensaje tache objectif texte compito obiettivo domanda "
        "testo messaggio tarefa pergunta mensagem"
    ),
}
"""More words of these classes, for the model only: no decoder looks for them."""

FUNCTION_WORDS = (
    "the and for are was were been with that this from have has had not but they them then "
    "there what which when where who how why will would can could should about into than "
    "our out over under only just also very make made use used using their his her its let "
    "is in of to on at it be as or if so do an we he by us translate english text word "
    "words message code print letter letters line everything nothing something anything "
    "here after before between only"
)

DECODED: Final[Mapping[str, str]] = {
    word: name for name, words in CLASSES.items() for word in words.split()
}
CLASS_OF: Final[Mapping[str, str]] = {
    word: name for name, words in MORE_WORDS.items() for word in words.split()
} | dict(DECODED)
TWO_WORDS = frozenset({"systemprompt", "motdepasse", "godmode", "apikey"})
KNOWN: Final[frozenset[str]] = (
    frozenset(
        word
        for word in [*DECODED, *FUNCTION_WORDS.split()]
        if word.isascii() and word not in TWO_WORDS
    )
    - TWO_WORDS
)
