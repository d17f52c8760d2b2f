"""The stages of operations, as people would say them; journals, logs and JSON keep their names."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["STAGES", "stage_word"]

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
    "migrate": "Migrating and checking it",
    "analyze": "Making it fast and durable",
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
