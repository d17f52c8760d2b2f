"""Which archives stay and which may go. Pure: no clock, no query, no store.

The rules count archives and periods in which there are archives, never days on a calendar: where backups have stopped, nothing goes.
Only verified archives count. One that is not verified, or was found damaged, evicts no other; it stays as long as a rule would
keep it if it counted, since a damaged archive may be the only one that holds some of the data.

An archive whose time has not come yet was made while the clock was wrong. It stays, and does not count until then: as "the newest"
of months it would let each new backup go as soon as it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

__all__ = ["CLOCKS_DIFFER", "FUTURE", "PINNED", "Candidate", "Decision", "KeepRules", "Stay", "retention_decide", "retention_foresee"]

# Clocks of several hosts may differ by so much.
CLOCKS_DIFFER = timedelta(hours=1)
FUTURE = "made while the clock was ahead"
PINNED = "pinned"


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


@dataclass(frozen=True)
class Stay:
    """How long one archive stays: until the prune after the run at ``until`` (aware).

    ``until`` is None where no end is in sight, and where ``kept_by`` (as in :class:`Decision`) is empty: then the next prune
    removes it. ``longest`` is the one of ``kept_by`` that holds longest.
    """

    archive: Candidate
    kept_by: tuple[str, ...]
    until: datetime | None = None
    longest: str = ""


def _week(local: datetime) -> tuple[int, int]:
    return local.isocalendar()[:2]


# A rule's name in KeepRules, and what tells two of its periods apart.
PERIODS: dict[str, Callable[[datetime], object]] = {
    "daily": lambda local: local.date(),
    "weekly": _week,
    "monthly": lambda local: (local.year, local.month),
    "yearly": lambda local: local.year,
}


@dataclass(frozen=True)
class _Rank:
    """The place of an archive among the ``count`` that a rule keeps: 1 is the newest.

    ``periods`` are those in which there are archives, newest first; its own is at ``number - 1``. Empty for a rule that
    counts archives.
    """

    number: int
    count: int
    periods: Sequence[object] = ()


@dataclass(frozen=True)
class _Reason:
    """A reason to keep an archive. Without a ``rank`` it does not end by itself; ``rule`` is that of the rank."""

    words: str
    rule: str = ""
    rank: _Rank | None = None
    # Whether archives that are not verified count, too.
    counts_all: bool = False


def retention_decide(archives: Iterable[Candidate], rules: KeepRules, now: datetime) -> list[Decision]:
    """Decide for each of ``archives`` (those of one schedule), newest first; ``now`` is aware.

    Never let go: what is pinned, the newest one, the newest verified one, what a rule keeps, and what comes from the future.
    """
    return [Decision(archive, tuple(reason.words for reason in reasons)) for archive, reasons in _judge(archives, rules, now)]


def retention_foresee(archives: Iterable[Candidate], rules: KeepRules, now: datetime, runs: Iterable[datetime]) -> list[Stay]:
    """How long each of ``archives`` (those of one schedule) stays if all goes well, newest first.

    ``runs`` are the instants after ``now``, ascending, at which the schedule makes a good archive and prunes after it. What still
    stays after the last of them has no ``until``; nor has what comes from the future, which begins to count at an unknown time.
    """
    archives = list(archives)
    arrivals = _Arrivals(archives, rules, now, list(runs))
    stays = []
    for archive, reasons in _judge(archives, rules, now):
        if not reasons:
            # Nearly all of thousands: a third of the time for 10,000 (measured).
            stays.append(Stay(archive, ()))
            continue
        ends = [(arrivals.end_of(reason, archive), reason) for reason in reasons]
        kept_by = tuple(reason.words for reason in reasons)
        if endless := [reason for end, reason in ends if end is None]:
            # What never ends comes first; of the others the last is that of the longest periods.
            stays.append(Stay(archive, kept_by, None, (endless[0] if endless[0].rank is None else endless[-1]).words))
        else:
            until, longest = max(((end, reason.words) for end, reason in ends if end), key=lambda end: end[0], default=(None, ""))
            stays.append(Stay(archive, kept_by, until, longest))
    return stays


class _Arrivals:
    """What will count beside the archives of now: the runs to come, and archives from the future when their time comes."""

    def __init__(self, archives: list[Candidate], rules: KeepRules, now: datetime, runs: list[datetime]) -> None:
        self._zone, self._now = ZoneInfo(rules.time_zone), now
        future = [archive for archive in archives if archive.created_at > now + CLOCKS_DIFFER]
        # Each as (the run after which it counts, when it was made). The key: whether archives that are not verified count, too.
        self._events = {
            counts_all: sorted(
                [(run, run) for run in runs]
                + [
                    (run, archive.created_at)
                    for archive in future
                    if (counts_all or archive.is_verified) and (run := _counts_after(archive, runs))
                ]
            )
            for counts_all in (False, True)
        }
        self._periods: dict[tuple[str, bool], list[object]] = {}

    def end_of(self, reason: _Reason, archive: Candidate) -> datetime | None:
        """The run after which ``reason`` keeps ``archive`` no more; None where it goes on beyond all of them."""
        rank = reason.rank
        if rank is None:
            return None
        events = self._events[reason.counts_all]
        if not rank.periods:
            # All of them are newer than what was made by now.
            pushing = events if archive.created_at <= self._now else [event for event in events if event[1] > archive.created_at]
            needed = rank.count - rank.number + 1
            return pushing[needed - 1][0] if needed <= len(pushing) else None
        own, newer = rank.periods[rank.number - 1], set(rank.periods[: rank.number - 1])
        for (run, made_at), period in zip(events, self._periods_of(reason), strict=True):
            if made_at > archive.created_at:
                newer.add(period)
                if period == own or len(newer) >= rank.count:
                    return run
        return None

    def _periods_of(self, reason: _Reason) -> list[object]:
        key = (reason.rule, reason.counts_all)
        if key not in self._periods:
            period_of = PERIODS[reason.rule]
            self._periods[key] = [period_of(made_at.astimezone(self._zone)) for _, made_at in self._events[reason.counts_all]]
        return self._periods[key]


def _counts_after(archive: Candidate, runs: list[datetime]) -> datetime | None:
    """The first of ``runs`` at which an archive from the future counts."""
    return next((run for run in runs if run >= archive.created_at - CLOCKS_DIFFER), None)


def _judge(archives: Iterable[Candidate], rules: KeepRules, now: datetime) -> list[tuple[Candidate, list[_Reason]]]:
    """Each of ``archives``, newest first, with the reasons to keep it."""
    ordered = sorted(archives, key=lambda archive: (archive.created_at, archive.name), reverse=True)
    newest_first = [archive for archive in ordered if archive.created_at <= now + CLOCKS_DIFFER]
    verified = [archive for archive in newest_first if archive.is_verified]
    by_rule = _kept_by_rules(verified, rules)
    if_it_counted = _kept_by_rules(newest_first, rules) if len(verified) < len(newest_first) else by_rule
    judged = [(archive, [_Reason(FUTURE)]) for archive in ordered[: len(ordered) - len(newest_first)]]
    for place, archive in enumerate(newest_first):
        reasons = []
        if archive.is_pinned:
            reasons.append(_Reason(PINNED))
        if place == 0:
            reasons.append(_Reason("newest", rank=_Rank(1, 1), counts_all=True))
        if verified and archive is verified[0]:
            reasons.append(_Reason("last verified", rank=_Rank(1, 1)))
        if archive.is_verified:
            reasons.extend(_reason(rule, rank) for rule, rank in by_rule.get(archive.name, ()))
        else:
            reasons.extend(_reason(rule, rank, counts_all=True) for rule, rank in if_it_counted.get(archive.name, ()))
        judged.append((archive, reasons))
    return judged


def _reason(rule: str, rank: _Rank, *, counts_all: bool = False) -> _Reason:
    return _Reason(f"{rule} {rank.number} of {rank.count}{', not verified' if counts_all else ''}", rule, rank, counts_all)


def _kept_by_rules(newest_first: list[Candidate], rules: KeepRules) -> dict[str, list[tuple[str, _Rank]]]:
    """The rules that keep each archive, by its name, with its place under them."""
    zone = ZoneInfo(rules.time_zone)
    kept: dict[str, list[tuple[str, _Rank]]] = {}
    for number, archive in enumerate(newest_first[: rules.last], start=1):
        kept.setdefault(archive.name, []).append(("last", _Rank(number, rules.last)))
    for rule, period_of in PERIODS.items():
        count = getattr(rules, rule)
        periods: list[object] = []
        seen: set[object] = set()
        for archive in newest_first:
            if len(periods) >= count:
                break
            period = period_of(archive.created_at.astimezone(zone))
            if period not in seen:
                seen.add(period)
                periods.append(period)
                kept.setdefault(archive.name, []).append((rule, _Rank(len(periods), count, periods)))
    return kept
