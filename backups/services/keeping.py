"""Which archives stay, why and for how long: what prune goes by, what the list says, and what other rules would do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from django.db.models import Q
from django.utils import timezone

from backups.conf import conf
from backups.journal import journal_load_all
from backups.models import SCHEDULE_TRIGGER, Backup, BackupSchedule
from backups.preflight import size_human
from backups.retention import FUTURE, PINNED, Candidate, KeepRules, Stay, retention_foresee
from backups.schedules import runs_after, schedule_zone
from backups.services.listing import ListedArchive

__all__ = [
    "JudgedArchive",
    "Kept",
    "RulesTried",
    "TriedArchive",
    "archives_judge",
    "archives_judged",
    "archives_needed",
    "rules_try",
    "rules_try_all",
]

# Made by operations for their own safety: the newest few of each stay.
SAFETY_TRIGGERS = ("before-restore", "before-migrate")
# Nobody plans further ahead; and so many runs are still foreseen within milliseconds.
HORIZON = timedelta(days=5 * 366)
# What judging wants to know of a row.
ROW_FIELDS = ("name", "created_at", "is_good", "pinned", "size", "trigger", "is_uploaded")


@dataclass(frozen=True)
class JudgedArchive:
    """An archive, and why it stays; with an empty ``kept_by`` it goes. ``created_at`` is aware, ``size`` in bytes."""

    name: str
    created_at: datetime
    size: int
    trigger: str
    kept_by: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """How long an archive stays, if all goes well: in words (``how_long``), and by which rule; both say why it goes where it does.

    ``until`` is the (aware) time of the run whose prune removes it, None where no end is in sight or it goes already.
    """

    how_long: str
    rule: str
    until: datetime | None = None
    kept_by: tuple[str, ...] = ()

    @property
    def goes(self) -> bool:
        """Whether the next prune removes it."""
        return not self.kept_by


@dataclass(frozen=True)
class TriedArchive:
    """One archive, and how long it would stay. ``created_at`` is aware, ``size`` in bytes."""

    name: str
    created_at: datetime
    size: int
    kept: Kept

    @property
    def size_said(self) -> str:
        """The size for people."""
        return size_human(self.size)


@dataclass(frozen=True)
class RulesTried:
    """What the keep rules of one schedule do to its ``archives``, newest first. ``next_run`` is aware, None where it is off."""

    archives: tuple[TriedArchive, ...]
    next_run: datetime | None = None

    @property
    def now(self) -> tuple[TriedArchive, ...]:
        """Those that a prune would remove now."""
        return tuple(archive for archive in self.archives if archive.kept.goes)

    @property
    def next(self) -> tuple[TriedArchive, ...]:
        """Those that the prune after the next run removes beside them, if that run goes well."""
        return tuple(archive for archive in self.archives if archive.kept.until and archive.kept.until == self.next_run)

    @property
    def bytes_said(self) -> str:
        """How much space those free that go now, for people."""
        return size_human(sum(archive.size for archive in self.now))


def archives_judge(listed: Iterable[ListedArchive]) -> dict[str, Kept]:
    """How long each of ``listed`` stays, by name. Raises DatabaseError where the schedules cannot be read."""
    return _judged([_Archive(_candidate(archive), archive.size, archive.trigger, archive.is_uploaded) for archive in listed])


def archives_judged() -> dict[str, Kept]:
    """How long each archive of the catalogue stays, by name; from rows and journals alone, in two queries."""
    return _judged(_rows())


def archives_needed() -> dict[str, list[str]]:
    """Archives by name that something else leans on, and what."""
    needed: dict[str, list[str]] = defaultdict(list)
    for journal in journal_load_all():
        if name := str(journal.kept.get("archive", "")):
            needed[name].append(f"the undo of {journal.named} needs it")
        if journal.status == "queued" and journal.archive:
            needed[journal.archive].append(f"the {journal.named} waits for it")
    return needed


def rules_try(schedule: BackupSchedule) -> RulesTried:
    """What the rules of ``schedule``, as it stands here, saved or not, do to its archives in the catalogue."""
    return _tried(schedule, _rows(trigger=schedule.trigger), archives_needed())


def rules_try_all(schedules: Iterable[BackupSchedule]) -> dict[str, RulesTried]:
    """The same for each of ``schedules``, by its key, in one query."""
    by_trigger = _by_trigger(_rows())
    needed = archives_needed()
    return {schedule.key: _tried(schedule, by_trigger.get(schedule.trigger, []), needed) for schedule in schedules}


# --- judging ------------------------------------------------------------------------------------------------------------


class _Archive(NamedTuple):
    """What is judged: ``size`` in bytes; ``is_uploaded``: a person has brought it."""

    candidate: Candidate
    size: int
    trigger: str
    is_uploaded: bool


def _judged(archives: Iterable[_Archive]) -> dict[str, Kept]:
    everything = list(archives)
    kept = {archive.candidate.name: _for_ever("uploaded ones always stay") for archive in everything if archive.is_uploaded}
    by_trigger = _by_trigger(everything)
    for schedule in BackupSchedule.objects.all():
        for stay in _foreseen(schedule, by_trigger.pop(schedule.trigger, [])):
            kept[stay.archive.name] = _by_schedule(stay, schedule)
    safety = KeepRules(last=conf.keep_safety)
    for trigger in SAFETY_TRIGGERS:
        candidates = [archive.candidate for archive in by_trigger.pop(trigger, [])]
        for stay in retention_foresee(candidates, safety, timezone.now(), ()):
            kept[stay.archive.name] = _by_count(stay, trigger)
    for trigger, others in by_trigger.items():
        for_ever = _for_ever(_without_rules(trigger))
        kept.update((archive.candidate.name, for_ever) for archive in others)
    for name, reasons in archives_needed().items():
        if name in kept:
            kept[name] = _needed_too(kept[name], reasons)
    return kept


def _by_trigger(archives: Iterable[_Archive]) -> dict[str, list[_Archive]]:
    """Those that no person has brought, by why they were made."""
    by_trigger: dict[str, list[_Archive]] = defaultdict(list)
    for archive in archives:
        if not archive.is_uploaded:
            by_trigger[archive.trigger].append(archive)
    return by_trigger


def _foreseen(schedule: BackupSchedule, archives: Iterable[_Archive]) -> list[Stay]:
    now, rules = timezone.now(), _rules(schedule)
    end = now + _horizon(rules)
    runs = takewhile(lambda run: run <= end, runs_after(schedule, now)) if schedule.enabled else ()
    return retention_foresee([archive.candidate for archive in archives], rules, now, runs)


def _rules(schedule: BackupSchedule) -> KeepRules:
    return KeepRules(
        last=schedule.keep_last,
        daily=schedule.keep_daily,
        weekly=schedule.keep_weekly,
        monthly=schedule.keep_monthly,
        yearly=schedule.keep_yearly,
        time_zone=schedule_zone(schedule).key,
    )


def _horizon(rules: KeepRules) -> timedelta:
    """After so long nothing of today is kept any more if a backup is made in each week; but no further than anybody plans."""
    days = max(8 * rules.last, 8 * rules.daily, 8 * rules.weekly, 32 * rules.monthly, 367 * rules.yearly)
    return timedelta(days=min(days, HORIZON.days) + 16)


def _candidate(archive: ListedArchive) -> Candidate:
    return Candidate(archive.name, archive.created_at, archive.verified_at is not None and not archive.problem, archive.pinned)


def _without_rules(trigger: str) -> str:
    """Why an archive stays that no rules are for."""
    if trigger.startswith(SCHEDULE_TRIGGER):
        return "its schedule is gone"
    return f"{trigger} ones always stay" if trigger else "it cannot be read"


def _rows(**chosen: str) -> list[_Archive]:
    """The archives of the catalogue. Of the two times only one is read, since a page that lists thousands waits for each."""
    rows = Backup.objects.filter(**chosen).order_by().annotate(is_good=Q(verified_at__isnull=False, problem=""))
    return [
        _Archive(Candidate(name, created_at, is_good, pinned), size, trigger, is_uploaded)
        for name, created_at, is_good, pinned, size, trigger, is_uploaded in rows.values_list(*ROW_FIELDS)
    ]


def _tried(schedule: BackupSchedule, archives: Sequence[_Archive], needed: Mapping[str, list[str]]) -> RulesTried:
    sizes = {archive.candidate.name: archive.size for archive in archives if not archive.is_uploaded}
    tried = []
    for stay in _foreseen(schedule, [archive for archive in archives if not archive.is_uploaded]):
        name, kept = stay.archive.name, _by_schedule(stay, schedule)
        kept = _needed_too(kept, needed[name]) if name in needed else kept
        tried.append(TriedArchive(name, stay.archive.created_at, sizes[name], kept))
    return RulesTried(tuple(tried), next(runs_after(schedule, timezone.now())) if schedule.enabled else None)


# --- words --------------------------------------------------------------------------------------------------------------

GOES = Kept("until the next prune", "no rule keeps it")


def _for_ever(rule: str) -> Kept:
    return Kept("for ever", rule, kept_by=(rule,))


def _by_schedule(stay: Stay, schedule: BackupSchedule) -> Kept:
    return _kept(stay, endless="for more than 5 years" if schedule.enabled else "while its schedule is off")


def _by_count(stay: Stay, trigger: str) -> Kept:
    newest = f"among the newest {conf.keep_safety} {trigger} ones" if conf.keep_safety > 1 else f"the newest {trigger} one"
    return _kept(stay, endless=f"while {newest}")


def _kept(stay: Stay, *, endless: str) -> Kept:
    """``endless``: how long it stays where a rule keeps it beyond all that is foreseen."""
    if not stay.kept_by:
        return GOES
    if stay.until is not None:
        return Kept(f"until {timezone.localtime(stay.until):%Y-%m-%d}", stay.longest, stay.until, stay.kept_by)
    how_long = {PINNED: "for ever", FUTURE: "until the clock has caught up"}.get(stay.longest, endless)
    return Kept(how_long, stay.longest, kept_by=stay.kept_by)


def _needed_too(kept: Kept, reasons: Sequence[str]) -> Kept:
    """What something leans on stays until that is over, whatever the rules say."""
    if kept.goes:
        return Kept("while it is needed", reasons[0], kept_by=tuple(reasons))
    how_long = f"at least {kept.how_long}" if kept.until else kept.how_long
    return Kept(how_long, kept.rule, kept_by=(*kept.kept_by, *reasons))
