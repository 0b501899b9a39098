"""A judge's pin: all that decides what it says, so that nobody changes it unnoticed."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..core.keys import canonical, digest
from ..errors import JudgeRefused

ALIAS = re.compile(
    r"(?<![a-z0-9])(?:latest|newest|stable|current|default|auto|exp(?:erimental)?)(?![a-z0-9])"
    r"|(?<![a-z0-9])(?<!-[0-9]{4}-)preview\Z",
    re.IGNORECASE,
)
"""Words, and no parts of words: `stablelm` is a name."""
MONTH, DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
DATED = re.compile(
    rf"(?<![0-9])20[0-9]{{2}}-?{MONTH}-?{DAY}(?![0-9])"
    rf"|(?:\A|[-@])(?:{MONTH}{DAY}(?:-preview)?|2[0-9]{MONTH})\Z"
)
"""A date as providers write it: 2024-08-06, 20250929; at the end also 0613, or a month: 2411."""
WEIGHTS = re.compile(r"sha256:[0-9a-f]{64}")
NUMBERED = re.compile(r"\d+\.\d+-\d{3}|@\d{3}|-\d{3}\Z")
"""A numbered revision: gemini-1.5-pro-002."""


class JudgePin(BaseModel):
    """Who judges, exactly. `version`: the provider's date or revision, or `sha256:…` of weights.

    `prompt_hash`: SHA-256 of the prompt, 64 digits; `parameters`: what else the model is called
    with. A name that may mean another model tomorrow (`latest`, a bare `gpt-4o`) is `JudgeRefused`:
    build one by `pin`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    prompt_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    parameters: dict[str, Any] = Field(default_factory=dict)

    @field_validator("model", "version")
    @classmethod
    def _no_alias(cls, name: str) -> str:
        if ALIAS.search(name):
            raise ValueError(f"{name!r} may mean another model tomorrow")
        return name

    @field_validator("version")
    @classmethod
    def _dated(cls, version: str) -> str:
        if not (DATED.search(version) or WEIGHTS.fullmatch(version) or NUMBERED.search(version)):
            raise ValueError(f"{version!r} is no date, no revision and no sha256:… of weights")
        return version

    @property
    def hash(self) -> str:
        """SHA-256 of all of it; 64 digits."""
        return digest("judge", canonical(self.stored())).hex()

    def is_of(self, name: str) -> bool:
        """Whether a model that is called so can be no other: model and version are both in it.

        Weights are known by their hash, and their name is the model's.
        """
        model, version, called = (_letters(one) for one in (self.model, self.version, name))
        if WEIGHTS.fullmatch(self.version):
            return called == model
        return version in called and called in (model, version, model + version)

    def stored(self) -> dict[str, Any]:
        """This as JSON."""
        return self.model_dump(mode="json")


def _letters(name: str) -> str:
    """A name without the maker before it (`models/…`), its marks, and the case of its letters."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition("/")[2].casefold())


def pin(
    provider: str, model: str, version: str, prompt: str, parameters: dict[str, Any] | None = None
) -> JudgePin:
    """A judge's pin. Raises `JudgeRefused`, with what is wrong."""
    try:
        return JudgePin(
            provider=provider, model=model, version=version, prompt_hash=digest(prompt).hex(),
            parameters=parameters or {},
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        said = first["msg"].removeprefix("Value error, ")
        raise JudgeRefused(f"({first['loc'][0]}: {said})") from None
