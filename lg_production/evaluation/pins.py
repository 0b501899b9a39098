"""A judge's pin: all that decides what it says, so that nobody changes it unnoticed."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ..core.keys import canonical, digest
from ..errors import JudgeRefused

ALIAS = re.compile(
    r"latest|stable|current|default|auto|preview\Z|exp(?:erimental)?\Z", re.IGNORECASE
)
DATED = re.compile(r"(?<!\d)(?:20\d{2}-?(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12]\d|3[01])|\d{4})(?!\d)")
"""A date as providers write it into names: 2024-08-06, 20250929, 0613."""
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

    def stored(self) -> dict[str, Any]:
        """This as JSON."""
        return self.model_dump(mode="json")


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
