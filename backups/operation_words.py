"""Operations in words: what each is called, how far it is, what it has proven, and where to go on from it.

For every page that tells of one: with a session or by a signed link, in the admin or outside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from backups.kinds import kind_word
from backups.preflight import size_human
from backups.stage_words import stage_word
from backups.storage import is_archive_name
from backups.times import duration_human
from backups.watch import Watched

__all__ = ["Way", "checked_sentences", "watched_words", "ways_on"]


def watched_words(watched: Watched) -> dict[str, str]:
    """An operation in words: ``title``, ``stage`` with ``amount``, ``rate`` and ``left``; ``duration`` of it all. Some may be empty."""
    amount = rate = left = ""
    if watched.done:
        amount = f"{size_human(watched.done)} of {size_human(watched.total)}" if watched.total else size_human(watched.done)
    if watched.rate and not watched.is_finished:
        rate = f"{size_human(watched.rate)}/s"
        if watched.total and watched.total > watched.done:
            left = f"{_about(timedelta(seconds=(watched.total - watched.done) / watched.rate))} left in this stage"
    began, ended = watched.started_at or watched.created_at, watched.ended_at or timezone.now()
    duration = duration_human(ended - began) if began else ""
    stage = stage_word(watched.kind, watched.stage)
    return {"title": kind_word(watched.kind), "stage": stage, "amount": amount, "rate": rate, "left": left, "duration": duration}


def checked_sentences(kind: str, status: str, report: Mapping[str, Any]) -> list[str]:
    """What a restore or an undo has proven before the new data went live; of others, and of what has not ended well, nothing."""
    if status != "done" or "rows_after" not in report:
        return []
    rows, tables = sum(report["rows_after"].values()), len(report["rows_after"])
    migrated = report.get("migrated", [])
    checked = [
        f"Migrations that were run: {', '.join(migrated)}." if migrated else "No migration had to be run.",
        f"{rows:,} rows in {tables} tables went live.",
        f"The site was closed for {report['milliseconds_closed']:,.0f} ms.",
    ]
    if kind == "restore":
        checked[:0] = [
            "Every byte of the archive was read, and each SHA-256 was right.",
            "Each table of the new database had exactly the rows that the archive's manifest counts, before it went live.",
            "Every model of this version could be read in it, and Django's own checks passed.",
        ]
    return checked


def _about(spent: timedelta) -> str:
    """A foreseen time: ``about 8 s``, ``less than a second``."""
    said = duration_human(spent)
    return said if said.startswith("less") else f"about {said}"


@dataclass(frozen=True)
class Way:
    """A page to go on to: what its link says, and its path."""

    words: str
    path: str


def ways_on(watched: Watched, place: str, *, is_logged_in: bool = False, may_download: bool = True) -> list[Way]:
    """Where an operation leads that is over, the likeliest first; ``place`` is admin or site. Only pages that the site has.

    The pages ask for a login themselves: after a restore everybody has to log in again, which ``is_logged_in`` has done.
    ``may_download`` is false for who is known not to be allowed that; a page without a session knows of nobody.
    """
    if not watched.is_finished:
        return []
    archive = watched.archive if is_archive_name(watched.archive) else ""
    is_done = watched.status == "done"
    ways = []
    if watched.kind in ("restore", "undo"):
        words = "See the result" if is_logged_in else "Log in again to see the result"
        if watched.report.get("undo_until"):
            words += ", or undo it" if is_logged_in else ", or to undo it"
        ways.append((words if is_done else "See what happened", "result", [watched.operation]))
    elif watched.kind == "preview":
        ways.append(("See the preview" if is_done else "See what to do", "preview", [watched.operation]))
    elif watched.kind == "upload" and is_done and archive:
        ways.append(("Preview what restoring it would change", "restore", [archive]))
    elif watched.kind == "upload":
        ways.append(("Upload again", "upload", []))
    elif watched.kind == "create" and is_done and archive:
        if may_download:
            ways.append(("Download it", "download", [archive]))
        ways.append(("Look at the archive", "archive", [archive]))
    elif watched.kind == "verify" and archive:
        ways.append(("Look at the archive", "archive", [archive]))
    ways.append(("See all backups", "backup_changelist", []) if place == "admin" else ("See all archives", "choose", []))
    prefix = "backups:site-" if place == "site" else "admin:backups_"
    return [Way(words, path) for words, name, args in ways if (path := _path(prefix + name, args))]


def _path(name: str, args: list[str]) -> str:
    """The path of a page; empty where the site has not mounted it."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return ""
