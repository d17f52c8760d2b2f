"""How an operation stands or has ended, as people would say it: a status alone calls a cancelled one failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CANCELLED_BY", "outcome_of"]

# The key of an operation's report that says who cancelled it; absent where nobody did.
CANCELLED_BY = "cancelled_by"


def outcome_of(status: str, report: Mapping[str, Any]) -> str:
    """``cancelled`` for an operation that failed because somebody wanted it to end; else its status."""
    return "cancelled" if status == "failed" and report.get(CANCELLED_BY) else status
