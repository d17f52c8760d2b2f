"""Pages that answer in every state of the site: health for monitors, progress and cancelling for whoever has the link.

None of them touches session, user or context processors; but for the readiness and the health none asks the database.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from backups.audit import audit_record
from backups.conf import conf
from backups.exceptions import AuditUnwritable
from backups.journal import Journal
from backups.links import (
    LinkExpired,
    LinkInvalid,
    cancel_link,
    cancel_right_of,
    progress_link,
    progress_operation_of,
)
from backups.metrics import CONTENT_TYPE, metrics_text
from backups.operation_words import checked_sentences, watched_words, ways_on
from backups.services.health import Health, backup_health, backup_ready
from backups.stage_words import stages_shown
from backups.watch import Watched, cancel_request, watch_read

__all__ = ["address_of", "alive", "cancel", "health", "metrics", "progress", "progress_data", "ready"]

View = Callable[..., HttpResponse]

# Headers by which a proxy says that it stands between: then the address of the caller is the proxy's.
PROXY_HEADERS = ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Forwarded", "Via")


def address_of(request: HttpRequest) -> str:
    """The address that a request came from, for the audit file; empty where it has none (a socket)."""
    return conf.client_address(request) if conf.client_address else str(request.META.get("REMOTE_ADDR", ""))


# --- for monitors -----------------------------------------------------------------------------------------------------


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """``/healthz``: the process answers. Nothing else is looked at."""
    return _unstored(HttpResponse("ok\n", content_type="text/plain; charset=utf-8"))


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """``/readyz``: 200 where visitors can be served, else 503; the gate is not closed and the database answers within 2 s."""
    found = backup_ready()
    return _status(JsonResponse({"ready": found.is_ready, **asdict(found)}), good=found.is_ready)


def for_monitors(view: View) -> View:
    """Let in who shows ``BACKUPS_HEALTH_TOKEN`` (``Authorization: Bearer …`` or ``?token=``); without one configured, this machine."""

    @wraps(view)
    def checked(request: HttpRequest) -> HttpResponse:
        if _is_monitor(request):
            return view(request)
        return _unstored(HttpResponseForbidden("Not for you.\n", content_type="text/plain; charset=utf-8"))

    return checked


@require_safe
@for_monitors
def health(request: HttpRequest) -> HttpResponse:
    """``/backups/health.json``: 200 where all is well, 503 with the problems where not."""
    found = backup_health()
    return _status(JsonResponse(_health_data(found)), good=found.is_healthy)


@require_safe
@for_monitors
def metrics(request: HttpRequest) -> HttpResponse:
    """``/backups/metrics``: the same for Prometheus; always 200, which takes anything else for a scrape that failed."""
    return _unstored(HttpResponse(metrics_text(backup_health()), content_type=CONTENT_TYPE))


def _status(response: HttpResponse, *, good: bool) -> HttpResponse:
    """200 or 503. The latter is an answer and no error: asked for every few seconds, it must not fill the log."""
    if not good:
        response.status_code = 503
        response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own mark, for which it has no name
    return _unstored(response)


def _is_monitor(request: HttpRequest) -> bool:
    wanted = conf.health_token
    if wanted:
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        shown = shown.strip() if scheme.lower() == "bearer" else request.GET.get("token", "")
        return constant_time_compare(shown, wanted)
    if any(header in request.headers for header in PROXY_HEADERS):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _health_data(found: Health) -> dict[str, Any]:
    """The health as JSON: ages are hours for backups and seconds for the tick, times ISO 8601."""
    last, now = found.last_backup, found.checked_at
    return {
        "healthy": found.is_healthy,
        "problems": found.problems,
        "checked_at": now,
        "backup": last and {**asdict(last), "age_hours": _units(now, last.made_at, timedelta(hours=1))},
        "archives": found.archives,
        "verified_at": found.verified_at,
        "last_failure": found.last_failure and asdict(found.last_failure),
        "gate": {name: getattr(found.gate, name) for name in ("state", "kind", "operation", "stage", "since", "reachable")},
        "database": found.database,
        "schedules": None if found.schedules is None else [asdict(schedule) for schedule in found.schedules],
        "tick": found.tick_at and {"at": found.tick_at, "age_seconds": _units(now, found.tick_at, timedelta(seconds=1))},
        "worker": found.worker and asdict(found.worker),
        "worker_expected": found.is_worker_expected,
        "queued": _named(found.queued),
        "running": _named(found.running),
        "interrupted": _named(found.interrupted),
        "kept": found.kept or None,
    }


def _named(journals: list[Journal]) -> list[str]:
    """Kind and short id, such as ``create 23ff2ea7``: words for programs, which never change."""
    return [f"{journal.kind} {journal.short_id}" for journal in journals]


def _units(now: datetime, then: datetime, unit: timedelta) -> float:
    return round((now - then) / unit, 1)


# --- for whoever has the link -----------------------------------------------------------------------------------------


@require_safe
def progress(request: HttpRequest, token: str) -> HttpResponse:
    """How an operation goes. Refreshes itself, with or without JavaScript, until there is a result."""
    try:
        watched = _watched(progress_operation_of(token))
    except LinkInvalid as error:
        return _link_refused(error)
    ways = ways_on(watched, _place(request))
    if watched.kind == "preview" and watched.status == "done" and ways:
        return _go_on(request, ways[0].path)
    is_part = request.headers.get("HX-Request") == "true"
    context = {
        "watched": watched,
        **watched_words(watched),
        "stages": stages_shown(watched.kind, watched.stage) if watched.status == "running" else [],
        "is_part": is_part,
        "checked": checked_sentences(watched.kind, watched.status, watched.report),
        "cancel": _cancel_path(request, watched),
        "ways": ways,
    }
    if not is_part:
        return _page("backups/progress.html", context)
    response = _page("backups/progress_state.html", context)
    if watched.is_finished and watched.is_whole:
        # The whole page once more: with the result in its title, and without what asks again.
        response.headers["HX-Refresh"] = "true"
    return response


@require_safe
def progress_data(request: HttpRequest, token: str) -> HttpResponse:
    """The same as JSON; times are ISO 8601, sizes bytes, the rate bytes per second.

    What a preview has found is about people's accounts: it stands on the page of those alone who may restore.
    """
    try:
        watched = _watched(progress_operation_of(token))
    except LinkInvalid as error:
        return _unstored(JsonResponse({"error": _sentence(error)}, status=_link_status(error)))
    report = {} if watched.kind == "preview" else watched.report
    return _unstored(JsonResponse({**asdict(watched), "report": report, "outcome": watched.outcome, "finished": watched.is_finished}))


@csrf_exempt  # The signed link is the right, and it is nowhere but with whom it was given to: no cookie is involved.
@require_http_methods(["GET", "HEAD", "POST"])
def cancel(request: HttpRequest, token: str) -> HttpResponse:
    """The form that cancels an operation; what it sends asks the operation to take its clean way back."""
    try:
        right = cancel_right_of(token)
        watched = _watched(right.operation)
    except LinkInvalid as error:
        return _link_refused(error)
    link = progress_link(watched.operation, may_cancel=True, account=right.account, place=_place(request))
    context: dict[str, Any] = {"watched": watched, **watched_words(watched), "progress": link}
    if request.method != "POST" or watched.is_finished:
        return _page("backups/cancel.html", context)
    address = address_of(request)
    try:
        # The database may be gone: the admin's log gets its line with the history's row, when the operation has ended.
        audit_record(
            "cancel",
            who=right.account or "the holder of a link",
            address=address,
            archive=watched.archive,
            operation=watched.operation,
            detail=f"{watched.kind}, by a signed link",
        )
        cancel_request(watched.operation, by=right.account or f"the holder of a link ({address or 'local'})")
    except AuditUnwritable as error:
        return _page("backups/cancel.html", {**context, "fault": error.message}, status=503)
    except OSError as error:
        fault = f"The wish could not be written ({error.strerror or error}), so it goes on."
        return _page("backups/cancel.html", {**context, "fault": fault}, status=503)
    return _unstored(HttpResponseRedirect(link))


def _watched(operation_id: str) -> Watched:
    watched = watch_read(operation_id)
    if watched is None:
        raise LinkInvalid("Nothing is known of this operation any more.")
    return watched


def _cancel_path(request: HttpRequest, watched: Watched) -> str:
    """Where the operation is cancelled; empty where it is over, or the link does not give that right."""
    token = request.GET.get("cancel", "")
    if not token or watched.is_finished or watched.cancelled_by:
        return ""
    try:
        right = cancel_right_of(token)
        path = cancel_link(watched.operation, account=right.account) if right.operation == watched.operation else ""
    except LinkInvalid:
        return ""
    return f"{path}?place=site" if path and _place(request) == "site" else path


def _place(request: HttpRequest) -> str:
    """Where the links of the page lead: whoever began in the site's own pages goes back there."""
    return "site" if request.GET.get("place") == "site" else "admin"


def _go_on(request: HttpRequest, path: str) -> HttpResponse:
    """Lead to another page, also where htmx asks and not the browser."""
    if request.headers.get("HX-Request") != "true":
        return _unstored(HttpResponseRedirect(path))
    response = _unstored(HttpResponse(status=204))
    response.headers["HX-Redirect"] = path
    return response


def _link_refused(error: LinkInvalid) -> HttpResponse:
    return _page("backups/link_refused.html", {"sentence": _sentence(error)}, status=_link_status(error))


def _link_status(error: LinkInvalid) -> int:
    return 410 if isinstance(error, LinkExpired) else 404


def _sentence(error: LinkInvalid) -> str:
    return str(error) or (type(error).__doc__ or "").strip()


def _page(template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """A page made without the request, so that no context processor runs; its address is a secret, so none is told it."""
    words = {"manage_command": os.environ.get("MANAGE_COMMAND") or "manage.py"}
    response = _unstored(HttpResponse(render_to_string(template, words | context), status=status))
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _unstored(response: HttpResponse) -> HttpResponse:
    response.headers["Cache-Control"] = "no-store"
    return response
