"""What the gate says, and how it is stored: as a dict in the cache, and as the JSON of it in a file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal

__all__ = ["MAINTENANCE", "STATES", "GateState", "State", "state_decode", "state_encode", "state_to_bytes"]

# The kind of a state that a person has set.
MAINTENANCE = "maintenance"

State = Literal["open", "read_only", "closed"]
STATES: tuple[State, ...] = ("open", "read_only", "closed")  # from the mildest to the strictest


@dataclass(frozen=True)
class GateState:
    """What the gate says.

    ``state`` is ``open``, ``read_only`` (a shadow is being built: pages work, changes would be lost) or ``closed`` (the
    live data is being replaced). ``operation`` is the id of the running restore, undo or recovery, else empty; ``kind``
    names which. Where a person has closed the gate and nothing runs, ``kind`` is ``maintenance``, ``by`` says who, and
    ``operation`` is empty. ``stage`` and ``percent`` (0 to 100) are for display, and so are the times, aware UTC:
    ``since`` it is so, the last ``heartbeat`` of an operation (with the gate open again: when it was opened), and ``eta``,
    when it should be over. ``epoch`` is the id of the last swap: a connection made under another epoch is to be closed.
    ``message`` is a sentence for people.

    ``reachable`` is not part of what is stored: False where the cache could not be asked, so that this is what the files
    of this host say.
    """

    state: State = "open"
    operation: str = ""
    kind: str = ""
    stage: str = ""
    percent: float | None = None
    since: datetime | None = None
    heartbeat: datetime | None = None
    eta: datetime | None = None
    epoch: str = ""
    message: str = ""
    by: str = ""
    reachable: bool = True


def state_encode(state: GateState) -> dict[str, Any]:
    """What the cache keeps: JSON-ready, times in ISO 8601."""
    stored = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(state).items()}
    del stored["reachable"]
    return stored


def state_to_bytes(state: GateState) -> bytes:
    """What a file keeps."""
    return json.dumps(state_encode(state)).encode()


def state_decode(value: object) -> GateState | None:
    """The state of a stored dict. Keys of another version are dropped; anything that is no state is None."""
    if not isinstance(value, dict) or value.get("state") not in STATES:
        return None
    known = {field.name: value[field.name] for field in fields(GateState) if field.name in value and field.name != "reachable"}
    try:
        for name in ("since", "heartbeat", "eta"):
            known[name] = datetime.fromisoformat(known[name]) if known.get(name) else None
    except (TypeError, ValueError):
        return None
    return state if _is_sound(state := GateState(**known)) else None


def _is_sound(state: GateState) -> bool:
    """Whether what was read is of the types that all who read it count on."""
    texts = (state.operation, state.kind, state.stage, state.epoch, state.message, state.by)
    times = (state.since, state.heartbeat, state.eta)
    return (
        all(isinstance(text, str) for text in texts)
        and all(time is None or time.tzinfo is not None for time in times)
        and (state.percent is None or isinstance(state.percent, int | float))
    )
