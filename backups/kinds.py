"""The kinds of operations, and what people call them."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["KINDS", "kind_word", "operation_named"]

KINDS: Mapping[str, str] = {
    "create": "Backup",
    "restore": "Restore",
    "preview": "Preview",
    "undo": "Undo",
    "verify": "Verification",
    "prune": "Pruning",
    "upload": "Upload",
    "delete": "Deletion",
    "reconcile": "Look at the store",
}


def kind_word(kind: str) -> str:
    """What people call an operation of that kind."""
    return KINDS.get(kind, kind.capitalize())


def operation_named(kind: str, operation: str) -> str:
    """One operation within a sentence, after an article or none: ``backup 23ff2ea7``; ``operation`` is its id."""
    return f"{kind_word(kind).lower()} {operation[:8]}"
