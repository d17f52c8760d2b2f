"""The 503 of the gate: a page in the site's look, JSON, or a fragment for htmx.

Made without a query, session, user or context processor, and with security headers of its own: it goes out ahead of every
other middleware.
"""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse, JsonResponse
from django.template.loader import render_to_string

from backups.gate import MAINTENANCE, GateState

__all__ = ["BRIEF_STAGES", "SAFE_METHODS", "retry_after", "unavailable"]

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Stages of a closed gate that are over in a moment; in all others (a load in place) minutes can pass. None: recovery.
BRIEF_STAGES = ("", "swap", "switch", "reconcile")
LONGEST_RETRY = 120

POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Vary": "Accept, HX-Request",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# For the case that no template can be rendered: this answer must never be the one that fails.
PLAIN_PAGE = (
    '<!doctype html><html lang="en"><title>TimeTracker</title><p>The site cannot answer just now. Please try again in a moment.</p>'
)

logger = logging.getLogger(__name__)


def retry_after(gate: GateState) -> int:
    """Seconds, 1 to 120, after which it is worth trying again: from the estimate, else from the stage."""
    if gate.eta is not None:
        seconds = math.ceil((gate.eta - datetime.now(UTC)).total_seconds())
    elif gate.kind == MAINTENANCE:
        seconds = 60
    elif gate.state == "closed":
        seconds = 2 if gate.stage in BRIEF_STAGES else 10
    elif gate.state == "read_only":
        seconds = 30 if gate.stage == "shadow" else 10
    else:
        seconds = 5
    return min(max(seconds, 1), LONGEST_RETRY)


def unavailable(request: WSGIRequest, gate: GateState) -> HttpResponse:
    """The answer to ``request`` while ``gate`` does not let it through, or while the database cannot be reached."""
    seconds = retry_after(gate)
    context: dict[str, object] = {
        "heading": "Closed for a while" if gate.kind == MAINTENANCE else "One moment, please",
        "reason": _reason(gate),
        "wait": _wait(seconds),
        # How long a restore keeps changes away nobody knows beforehand, and when the site is opened again he alone who closed it.
        "later": "when it is over" if gate.kind == MAINTENANCE or gate.operation else f"in {_wait(seconds)}",
        "seconds": seconds,
        "is_change": request.method not in SAFE_METHODS,
    }
    response: HttpResponse
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        # What a program needs; the sentence is the same.
        response = JsonResponse(
            {"error": "unavailable", "state": gate.state, "reason": context["reason"], "retry_after": seconds}, status=503
        )
    elif request.headers.get("HX-Request") == "true":
        # Into a place of its own in the page, so that a filled form stays as it is.
        response = HttpResponse(_rendered("backups/notice.html", context), status=503)
        response["HX-Retarget"] = "#gate-message"
        response["HX-Reswap"] = "innerHTML"
        # Whatever part of its answer the form asked for.
        response["HX-Reselect"] = "unset"
    else:
        template = "backups/read_only.html" if context["is_change"] else "backups/maintenance.html"
        response = HttpResponse(_rendered(template, context), status=503)
    for name, value in HEADERS.items():
        response[name] = value
    response["Retry-After"] = str(seconds)
    response["Content-Length"] = str(len(response.content))
    if request.method == "HEAD":
        response.content = b""
    # Django logs a 5xx as an error, and this is none: a restore would fill the log.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _reason(gate: GateState) -> str:
    if gate.message:
        return gate.message
    if gate.kind == MAINTENANCE:
        return "The site is being maintained."
    if gate.operation:
        return "A backup is being restored."
    return "The site cannot reach its database just now."


def _wait(seconds: int) -> str:
    if seconds < 5:
        return "a moment"
    return f"{seconds} seconds" if seconds < 60 else "a minute or two"


def _rendered(template: str, context: dict[str, object]) -> str:
    try:
        return render_to_string(template, context)
    except Exception:  # the project's base template, or static files that were not collected
        logger.exception("The page %s could not be rendered.", template)
        return PLAIN_PAGE
