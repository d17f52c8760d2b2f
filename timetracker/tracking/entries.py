"""Time entries: who may change which, and the ways to change them.

Time on an invoice does not change, and time of somebody else only by who sees everybody's: both are refused with a sentence,
never done in part. Entries of one person may overlap (a call during a train ride): that is told, and not refused.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Case, Count, F, Q, QuerySet, Value, When
from django.db.models.functions import Concat, Length, StrIndex
from django.db.models.lookups import GreaterThan
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES
from timetracker.billing.models import Invoice
from timetracker.tracking.days import local_datetime, zone_of
from timetracker.tracking.durations import whole_second
from timetracker.tracking.models import Project, TimeEntry

__all__ = [
    "EntryRefused",
    "entries_change",
    "entries_delete",
    "entry_delete",
    "entry_duplicate",
    "entry_refusal",
    "entry_save",
    "entry_warnings",
    "future_warning",
    "overlap_warning",
    "overlaps_of",
    "project_refusal",
    "tagged",
]

_NAMED = 3


class EntryRefused(ValidationError):
    """The entry may not be changed so, and nothing was; the message names the cause and the next step."""


# --- one entry --------------------------------------------------------------------------------------------------------


def entry_refusal(entry: TimeEntry, user: User) -> str:
    """Say why ``user`` may not change ``entry`` (or add it, while it is not saved), as it stands; empty: she may."""
    return _not_permitted(user, "add" if entry.pk is None else "change", others=entry.user_id != user.pk) or _billed(entry)


def project_refusal(project: Project) -> str:
    """Say why ``project`` takes no new time, by its row in the database; empty: it does."""
    # It may have been closed since the page was loaded.
    found = Project.objects.filter(pk=project.pk).values_list("status", "client__active", "client__name").first()
    status, is_client_active, client = found or (None, True, "")
    if status == Project.Status.ACTIVE and is_client_active:
        return ""
    if not is_client_active:
        return f"{project.code} takes no new time: its client, {client}, is archived. Choose another project, or have the client reopened."
    state = Project.Status(status).label.lower() if status else "deleted"
    return f"{project.code} is {state} and takes no new time. Choose an active project, or have this one opened again."


def entry_save(entry: TimeEntry, *, user: User) -> TimeEntry:
    """Check ``entry``, which ``user`` has changed or made, and write it in whole seconds.

    What is refused is judged by the row in the database, whatever happened since ``entry`` was read. Raises EntryRefused,
    or ValidationError by fields for what the model does not take.
    """
    try:
        with transaction.atomic():
            stored = None if entry.pk is None else _locked(entry)
            if refusal := (stored and entry_refusal(stored, user)) or entry_refusal(entry, user):
                raise EntryRefused(refusal, code="refused")
            if stored is not None and stored.updated_at != entry.updated_at:
                raise EntryRefused(
                    "This entry was changed meanwhile, so nothing was saved. Look at it, and save once more.", code="changed"
                )
            if stored is None or stored.project_id != entry.project_id:
                _take_time(entry.project)
            entry.started_at = whole_second(entry.started_at)
            if entry.ended_at is not None:
                entry.ended_at = whole_second(entry.ended_at)
            entry.full_clean()
            entry.save()
    except IntegrityError as error:
        # What full_clean looked for has come in between: a second running timer, or what the entry is on is deleted.
        raise EntryRefused("Somebody changed the same at this moment. Reload the page and try again.", code="race") from error
    return entry


def entry_delete(entry: TimeEntry, *, user: User) -> None:
    """Delete ``entry``. Raises EntryRefused, judged by the row in the database."""
    with transaction.atomic():
        stored = _locked(entry)
        if refusal := _not_permitted(user, "delete", others=stored.user_id != user.pk) or _billed(stored):
            raise EntryRefused(refusal, code="refused")
        stored.delete()


def entry_duplicate(entry: TimeEntry, *, user: User, day: date | None = None) -> TimeEntry:
    """Save and return a copy of ``entry`` that is on no invoice, at the same clock time of ``day`` where its person is.

    The copy is as long as the original, also where clocks change; ``day`` None: at the same time, and so over it. Raises
    EntryRefused, also for an entry that runs and for a project that is not active.
    """
    if entry.ended_at is None:
        raise EntryRefused("This timer still runs. Stop it first, then copy it.", code="running")
    started_at = entry.started_at
    if day is not None:
        zone = zone_of(entry.user)
        started_at = local_datetime(day, entry.started_at.astimezone(zone).time(), zone)
    copied = ("user", "project", "task", "break_seconds", "notes", "tags", "billable")
    copy = TimeEntry(started_at=started_at, ended_at=started_at + (entry.ended_at - entry.started_at))
    for name in copied:
        setattr(copy, name, getattr(entry, name))
    return entry_save(copy, user=user)


def overlaps_of(entry: TimeEntry) -> QuerySet[TimeEntry]:
    """Return the other entries of the same person that share time with ``entry``, the first first. What runs has no end yet."""
    others = TimeEntry.objects.filter(user_id=entry.user_id).exclude(pk=entry.pk)
    if entry.ended_at is not None:
        others = others.filter(started_at__lt=entry.ended_at)
    after = Q(ended_at__isnull=True) | Q(ended_at__gt=entry.started_at)
    return others.filter(after).select_related("project").order_by("started_at", "id")


def overlap_warning(entry: TimeEntry) -> str:
    """Name up to three entries that share time with ``entry``, on its person's clock; empty where there is none."""
    found = list(overlaps_of(entry)[: _NAMED + 1])
    if not found:
        return ""
    zone = zone_of(entry.user)
    said = []
    for other in found[:_NAMED]:
        end = f"{other.ended_at.astimezone(zone):%H:%M}" if other.ended_at else "now"
        said.append(f"{other.project.code} {other.started_at.astimezone(zone):%Y-%m-%d %H:%M}–{end}")
    more = " and more" if len(found) > _NAMED else ""
    return f"Shares time with {', '.join(said)}{more}. Both count in full."


def future_warning(entry: TimeEntry) -> str:
    """Say that ``entry`` ends after this minute, on its person's clock; empty where it does not. It may be planned, or a slip of the pen.

    Pages take and show minutes, and a timer that is stopped in the second of its start ends one second later.
    """
    if entry.ended_at is None or entry.ended_at < timezone.now().replace(second=0, microsecond=0) + timedelta(minutes=1):
        return ""
    return f"This ends in the future: {entry.ended_at.astimezone(zone_of(entry.user)):%Y-%m-%d %H:%M}. It counts as worked all the same."


def entry_warnings(entry: TimeEntry) -> list[str]:
    """Return what is not refused, and should be known of an entry that was written."""
    return [warning for warning in (overlap_warning(entry), future_warning(entry)) if warning]


# --- many entries -----------------------------------------------------------------------------------------------------


def entries_change(
    entries: QuerySet[TimeEntry], *, user: User, project: Project | None = None, billable: bool | None = None, add_tag: str = ""
) -> int:
    """Change all of ``entries`` (not sliced) or none, and return how many: what is None or empty stays as it is.

    A task of another project than the new one is taken off. Raises EntryRefused, which says how many are in the way; also
    for a project that is not active and a tag that does not fit.
    """
    changes: dict[str, Any] = {"updated_at": timezone.now()}
    if project is not None:
        changes["project"] = project
        changes["task"] = Case(When(project=project, then=F("task")), default=Value(None))
    if billable is not None:
        changes["billable"] = billable
    with transaction.atomic():
        count = _all_free(entries, user, "change")
        if project is not None:
            _take_time(project)
        if add_tag:
            changes["tags"] = _tags_with(add_tag, entries)
        return _all_done(entries.order_by().filter(invoice_item__isnull=True).update(**changes), count)


def entries_delete(entries: QuerySet[TimeEntry], *, user: User) -> int:
    """Delete all of ``entries`` (not sliced) or none, and return how many. Raises EntryRefused, which says how many are in the way."""
    with transaction.atomic():
        count = _all_free(entries, user, "delete")
        return _all_done(entries.order_by().filter(invoice_item__isnull=True).delete()[0], count)


def tagged(tag: str) -> GreaterThan:
    """A condition on entries: ``tag`` is one of their tags, capital letters as they are."""
    return GreaterThan(StrIndex(Concat(Value(", "), "tags", Value(", ")), Value(f", {tag}, ")), 0)


# --- rules ------------------------------------------------------------------------------------------------------------


def _not_permitted(user: User, action: str, *, others: bool) -> str:
    if not user.has_perm(f"tracking.{action}_timeentry"):
        return f"You may not {action} time entries. Ask somebody who gives out roles."
    # Who may see the time of everybody may change it, too, as far as she may change time at all.
    if others and not user.has_perm(ALL_ENTRIES):
        return f"You may not {action} time of other people. Ask them, or somebody who sees everybody's time."
    return ""


def _billed(entry: TimeEntry) -> str:
    if entry.invoice_item is None:
        return ""
    invoice = entry.invoice_item.invoice
    if invoice.status == Invoice.Status.DRAFT:
        return f"This time is on a draft of an invoice: {invoice}. Take it off the draft first."
    return f"This time is on invoice {invoice}, which has been issued. Enter the difference as new time."


def _locked(entry: TimeEntry) -> TimeEntry:
    """The row as it is now, which nobody else can change until this transaction ends."""
    stored = TimeEntry.objects.select_for_update().filter(pk=entry.pk).first()
    if stored is None:
        raise EntryRefused("This entry has been deleted meanwhile. Reload the page.", code="gone")
    return stored


def _take_time(project: Project) -> None:
    if refusal := project_refusal(project):
        raise EntryRefused(refusal, code="project")


def _all_free(entries: QuerySet[TimeEntry], user: User, action: str) -> int:
    """Count ``entries``, in one query, and refuse them where one is in the way."""
    found = entries.order_by().aggregate(
        count=Count("pk"),
        others=Count("pk", filter=~Q(user=user)),
        billed=Count("pk", filter=Q(invoice_item__isnull=False)),
    )
    if refusal := _not_permitted(user, action, others=found["others"] > 0):
        raise EntryRefused(refusal, code="refused")
    if found["billed"]:
        raise EntryRefused(
            f"{found['billed']} of these {found['count']} entries are on an invoice and do not change. Choose the others alone.",
            code="refused",
        )
    return int(found["count"])


def _all_done(done: int, count: int) -> int:
    if done != count:
        raise EntryRefused("Some of these entries have changed meanwhile, so none was. Reload the page and choose again.", code="race")
    return done


def _tags_with(tag: str, entries: QuerySet[TimeEntry]) -> Case:
    """Return the tags of an entry with ``tag`` behind them, where it is not among them."""
    tag = tag.strip()
    if not tag or "," in tag:
        raise EntryRefused("One tag can be added, without a comma. Add several one after the other.", code="tag")
    tags = Case(When(tags="", then=Value(tag)), When(tagged(tag), then=F("tags")), default=Concat("tags", Value(f", {tag}")))
    longest = TimeEntry._meta.get_field("tags").max_length or 0
    if entries.order_by().alias(new_length=Length(tags)).filter(new_length__gt=longest).exists():
        raise EntryRefused(f"With “{tag}” the tags of some entries would be longer than {longest} characters.", code="tag")
    return tags
