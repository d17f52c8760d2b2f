"""Which archives stay and which may go. Pure: no clock, no query, no store.

The rules count archives and periods in which there are archives, never days on a calendar: where backups have stopped, nothing goes.
Only verified archives count. One that is not verified, or was found damaged, evicts no other; it stays as long as a rule would
keep it if it counted, since a damaged archive may be the only one that holds some of the data.

An archive whose time has not come yet was made while the clock was wrong. It stays, and does not count until then: as "the newest"
of months it would let each new backup go as soon as it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

__all__ = ["CLOCKS_DIFFER", "Candidate", "Decision", "KeepRules", "retention_decide"]

# Clocks of several hosts may differ by so much.
CLOCKS_DIFFER = timedelta(hours=1)
FUTURE = "made while the clock was ahead"


@dataclass(frozen=True)
class Candidate:
    """An archive that rules may keep or not. ``created_at`` is aware; ``is_verified``: read back, and right when last read."""

    name: str
    created_at: datetime
    is_verified: bool
    is_pinned: bool = False


@dataclass(frozen=True)
class KeepRules:
    """How many to keep: of the newest, and the newest one of so many days, weeks (from Monday), months and years of ``time_zone``."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    time_zone: str = "UTC"


@dataclass(frozen=True)
class Decision:
    """What is to become of one archive: it may go where ``kept_by`` is empty, else that names each reason to keep it."""

    archive: Candidate
    kept_by: tuple[str, ...]


def _week(local: datetime) -> tuple[int, int]:
    return local.isocalendar()[:2]


# A rule's name in KeepRules, and what tells two of its periods apart.
PERIODS: dict[str, Callable[[datetime], object]] = {
    "daily": lambda local: local.date(),
    "weekly": _week,
    "monthly": lambda local: (local.year, local.month),
    "yearly": lambda local: local.year,
}


def retention_decide(archives: Iterable[Candidate], rules: KeepRules, now: datetime) -> list[Decision]:
    """Decide for each of ``archives`` (those of one schedule), newest first; ``now`` is aware.

    Never let go: what is pinned, the newest one, the newest verified one, what a rule keeps, and what comes from the future.
    """
    ordered = sorted(archives, key=lambda archive: (archive.created_at, archive.name), reverse=True)
    newest_first = [archive for archive in ordered if archive.created_at <= now + CLOCKS_DIFFER]
    verified = [archive for archive in newest_first if archive.is_verified]
    by_rule = _kept_by_rules(verified, rules)
    if_it_counted = _kept_by_rules(newest_first, rules)
    decisions = [Decision(archive, (FUTURE,)) for archive in ordered if archive.created_at > now + CLOCKS_DIFFER]
    for archive in newest_first:
        reasons = []
        if archive.is_pinned:
            reasons.append("pinned")
        if archive == newest_first[0]:
            reasons.append("newest")
        if verified and archive == verified[0]:
            reasons.append("last verified")
        if archive.is_verified:
            reasons.extend(by_rule.get(archive.name, ()))
        else:
            reasons.extend(f"{reason}, not verified" for reason in if_it_counted.get(archive.name, ()))
        decisions.append(Decision(archive, tuple(reasons)))
    return decisions


def _kept_by_rules(newest_first: list[Candidate], rules: KeepRules) -> dict[str, list[str]]:
    """The rules that keep each archive, by its name: ``last 2 of 3``, ``daily 1 of 7``."""
    zone = ZoneInfo(rules.time_zone)
    kept: dict[str, list[str]] = {}
    for number, archive in enumerate(newest_first[: rules.last], start=1):
        kept.setdefault(archive.name, []).append(f"last {number} of {rules.last}")
    for rule, period_of in PERIODS.items():
        count = getattr(rules, rule)
        seen: set[object] = set()
        for archive in newest_first:
            period = period_of(archive.created_at.astimezone(zone))
            if period not in seen and len(seen) < count:
                seen.add(period)
                kept.setdefault(archive.name, []).append(f"{rule} {len(seen)} of {count}")
    return kept
