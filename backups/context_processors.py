"""What templates know of the gate."""

from __future__ import annotations

from django.http import HttpRequest

from backups.gate import GateState, gate_read

__all__ = ["gate"]


def gate(request: HttpRequest) -> dict[str, GateState]:
    """``gate``: the state under which the middleware let the request in, else that of now. No query."""
    state = getattr(request, "gate", None)
    return {"gate": state if isinstance(state, GateState) else gate_read()}
