"""One request through a tape, written once for sync and async: as steps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import Any

from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.types import interrupt

from ..core.steps import Call, Steps
from .errors_kept import kept as kept_error
from .errors_kept import rebuilt as rebuilt_error
from .jsonable import as_json
from .recordings import Recording
from .tapes import Tape


def taped(
    tape: Tape, kind: str, name: str, request: Any, call: Call[Any], spell: Callable[[Any], Any]
) -> Steps[Any]:
    """The answer as JSON: from the tape, or from `call`, which is then recorded.

    Recorded and replayed are also an error, and a question that a tool asked by `interrupt`:
    each is a recording of its own. What was cancelled is as if it had not been asked.
    """
    recording = tape.ask(kind, name, request)
    if recording.answer is not None:
        return _replayed(tape, recording)
    try:
        said = yield from call
    except GraphInterrupt as pause:
        _paused(tape, recording, pause)
        raise
    except GraphBubbleUp:
        tape.drop(recording)
        raise
    except Exception as error:
        tape.keep(recording, {"error": kept_error(error)})
        raise
    except BaseException:
        tape.drop(recording)
        raise
    told = spell(said)
    tape.keep(recording, {"said": told})
    return told


def _paused(tape: Tape, recording: Recording, pause: GraphInterrupt) -> None:
    """Note the question; several at once are of a graph within the tool, and not for a tape."""
    asked = list(pause.args[0])
    if len(asked) == 1:
        tape.keep(recording, {"asked": as_json(asked[0].value)})
    else:
        tape.drop(recording)


def _replayed(tape: Tape, recording: Recording) -> Any:
    """What was recorded. A question is asked again; where it is answered already, on it goes.

    LangGraph counts the questions of a task from its beginning, so those before are asked, too.
    """
    asked = 0
    while "asked" in recording.answer:
        for one in _questions(tape, recording)[asked:]:
            interrupt(one.answer["asked"])
            asked += 1
        recording = tape.ask(recording.kind, recording.name, recording.request)
    if "error" in recording.answer:
        raise rebuilt_error(recording.answer["error"])
    return recording.answer["said"]


def _questions(tape: Tape, recording: Recording) -> list[Recording]:
    """This question, and those that were asked before it since the last answer."""
    before = takewhile(lambda one: "asked" in (one.answer or {}), reversed(tape.before(recording)))
    return [*reversed([*before]), recording]
