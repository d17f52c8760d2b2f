"""The stages of operations, as people would say them; journals, logs and JSON keep their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["STAGES", "StageShown", "stage_word", "stages_shown"]

# Those of all operations, in their order.
STAGES: Mapping[str, str] = {
    "lock": "Waiting for its turn",
    "preflight": "Checks before the start",
    "copy": "Copying it from its folder",
    "hash": "Counting its SHA-256",
    "extract": "Reading and proving the archive",
    "verify": "Reading and proving the archive",
    "compare": "Comparing with the live data",
    "shadow": "Building the new database beside the live one",
    "load": "Loading the database",
    "rows": "Counting its rows",
    "migrate": "Migrating, checking and making it fast",
    "analyze": "Making it durable",
    "uploads": "Putting the uploads together",
    "drain": "Waiting for open transactions",
    "dump": "Writing the database into the archive",
    "store": "Putting it into the store",
    "swap": "The swap",
    "switch": "Switching the uploads",
    "reconcile": "Bringing the list of archives into line",
    "prune": "Deleting what no rule keeps",
    "delete": "Deleting the archive",
    "sweep": "Clearing up",
}
# What is another thing in an operation of another kind.
OTHERWISE: Mapping[tuple[str, str], str] = {
    ("undo", "shadow"): "Making ready what was kept",
    ("create", "uploads"): "Writing the uploads into the archive",
}


def stage_word(kind: str, stage: str) -> str:
    """What people call that stage of an operation of that kind; one that is not known here keeps its name, none is empty."""
    return OTHERWISE.get((kind, stage)) or STAGES.get(stage, stage)


# What each kind that takes long goes through; what it may leave out stands here only where it is always told of.
WAYS: Mapping[str, tuple[str, ...]] = {
    "create": ("preflight", "dump", "verify", "store"),
    "preview": ("preflight", "verify", "compare"),
    "restore": ("preflight", "extract", "shadow", "rows", "migrate", "analyze", "uploads", "drain", "swap", "reconcile"),
    "undo": ("shadow", "migrate", "analyze", "uploads", "drain", "swap", "reconcile"),
}
# Left out where it is not at work just now: only some operations have it.
SOMETIMES = "uploads"


@dataclass(frozen=True)
class StageShown:
    """One stage of an operation that is at work, and whether it is over, at work, or to come."""

    word: str
    state: Literal["over", "now", "ahead"]


def stages_shown(kind: str, stage: str) -> list[StageShown]:
    """The stages of an operation that is in ``stage``; none where its way is not known, as of a load in place."""
    way = [each for each in WAYS.get(kind, ()) if each != SOMETIMES or stage == SOMETIMES]
    if stage in way:
        reached = way.index(stage)
    elif stage in ("", "lock"):
        reached = -1
    else:
        return []
    return [
        StageShown(stage_word(kind, each), "over" if number < reached else "now" if number == reached else "ahead")
        for number, each in enumerate(way)
    ]
