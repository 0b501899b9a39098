"""What happened, for whoever wants to know: audit, spans, metrics and alerts are observers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

logger = logging.getLogger("lg_production")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `attributes` hold identifiers and numbers, never payloads."""

    name: str
    attributes: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


Observer: TypeAlias = Callable[[Event], None]


def log_events(event: Event) -> None:
    """An observer that writes every event to the `lg_production` logger, level INFO."""
    logger.info("%s %s", event.name, dict(event.attributes))


def notify(observers: Iterable[Observer], event: Event) -> None:
    """Tell every observer. One that raises is logged and never stops the effect."""
    for observer in observers:
        try:
            observer(event)
        except Exception:
            logger.exception("an observer failed on %s", event.name)
