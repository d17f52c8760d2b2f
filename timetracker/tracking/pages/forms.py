"""Forms of the pages about time."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.validators import MaxValueValidator
from django.utils import timezone
from django.utils.text import Truncator

from timetracker.accounts.models import User
from timetracker.accounts.roles import ALL_ENTRIES, team
from timetracker.careful_forms import DayField, carry
from timetracker.tracking.days import local_datetime, today_in, zone_of
from timetracker.tracking.entries import entry_save
from timetracker.tracking.free_time import length_start
from timetracker.tracking.hours_text import Hours, read_hours
from timetracker.tracking.models import TimeEntry
from timetracker.tracking.pages.work import Work, WorkField, work_key

__all__ = ["CopyForm", "DatedEntryForm", "EntryFields", "EntryForm", "MomentForm", "NewEntryForm", "StartForm"]

# Which field of the form a fault of the model's belongs to.
_FIELD_OF = {"started_at": "time", "ended_at": "time", "break_seconds": "break_minutes", "project": "work", "task": "work"}

# What the fields of an entry are called where it is told that somebody has changed them.
_LABELS = {
    "day": "Day",
    "work": "Project or task",
    "time": "Time",
    "break_minutes": "Break in minutes",
    "notes": "Note",
    "tags": "Tags",
    "billable": "Billable",
}


class StartForm(forms.Form):
    """What to work on. Without a time the timer starts; with one that time is booked on the day, a length alone where there is room."""

    work = WorkField()
    notes = forms.CharField(required=False, max_length=20_000)
    time = forms.CharField(required=False, max_length=40)

    def __init__(self, *args: Any, user: User, zone: ZoneInfo, now: datetime, **kwargs: Any) -> None:
        """Begin with her latest work that has ended."""
        super().__init__(*args, **kwargs)
        self.user, self.zone, self.now = user, zone, now
        if not self.is_bound and (latest := _latest_of(user)) is not None:
            self.initial = {"work": work_key(latest.project_id, latest.task_id), "notes": latest.notes}

    @property
    def chosen(self) -> str:
        """The key of the work that the select shows."""
        return str(self["work"].value() or "")

    def clean_time(self) -> Hours | None:
        """Read it, for today."""
        text = str(self.cleaned_data["time"]).strip()
        return read_hours(text, day=today_in(self.zone, self.now), zone=self.zone) if text else None

    def clean(self) -> dict[str, Any]:
        """With a time, make the entry of it (:attr:`entry`); nothing is written."""
        asked = super().clean() or self.cleaned_data
        self.entry: TimeEntry | None = None
        work, hours = asked.get("work"), asked.get("time")
        if work is not None and hours is not None:
            length = timedelta(seconds=hours.seconds)
            day = today_in(self.zone, self.now)
            started_at = hours.started_at or length_start(self.user, length=length, day=day, zone=self.zone, now=self.now)
            self.entry = TimeEntry(
                user=self.user,
                project=work.project,
                task=work.task,
                notes=asked.get("notes", ""),
                started_at=started_at,
                ended_at=hours.ended_at or started_at + length,
                billable=work.project.billable,
                source=TimeEntry.Source.MANUAL,
            )
        return asked

    def save(self) -> TimeEntry | None:
        """Write the entry that was asked for, if one was; None where it was refused, and the form says why."""
        return _save(self, self.entry, self.user) if self.entry is not None else None


class MomentForm(forms.Form):
    """A point in time on a local clock: when the timer began, or when work ended."""

    day = DayField()
    time = forms.TimeField(widget=forms.TimeInput(attrs={"type": "time"}))

    def __init__(self, *args: Any, zone: ZoneInfo, **kwargs: Any) -> None:
        """In this time zone."""
        super().__init__(*args, **kwargs)
        self.zone = zone

    @property
    def time_shown(self) -> str:
        """What the field for the time holds: what was typed, or a time as browsers write it."""
        value = self["time"].value()
        return f"{value:%H:%M}" if isinstance(value, time) else value or ""

    def moment(self) -> datetime:
        """The point in time, aware; of a valid form."""
        return local_datetime(self.cleaned_data["day"], self.cleaned_data["time"], self.zone)


class EntryFields(forms.Form):
    """What an entry that has ended is made of."""

    work = WorkField()
    time = forms.CharField(max_length=40)
    break_minutes = forms.IntegerField(min_value=0, required=False, validators=[MaxValueValidator(100_000)])
    notes = forms.CharField(required=False, max_length=20_000)
    tags = forms.CharField(required=False, max_length=200)
    billable = forms.BooleanField(required=False)

    @property
    def chosen(self) -> str:
        """The key of the work that the select shows."""
        return str(self["work"].value() or "")


class EntryForm(EntryFields):
    """An entry that has ended; a running one is the timer's. Clock times that nobody touches stay as they are, to the second.

    It carries when the entry was last changed (``as_of``), and writes over nothing that has come since: refused, it says what
    the entry holds now, and keeps what was typed; sent once more, it writes. Without ``as_of`` it asks for nothing of it.
    """

    as_of = forms.CharField(required=False, max_length=40)

    def __init__(self, *args: Any, entry: TimeEntry, user: User, **kwargs: Any) -> None:
        """Begin with what the entry is."""
        zone = zone_of(user)
        began, ended = entry.started_at.astimezone(zone), (entry.ended_at or entry.started_at).astimezone(zone)
        kwargs["initial"] = {
            "day": began.date(),
            "work": work_key(entry.project_id, entry.task_id),
            "time": f"{began:%H:%M}–{ended:%H:%M}",
            "break_minutes": entry.break_seconds // 60 or None,
            "notes": entry.notes,
            "tags": entry.tags,
            "billable": entry.billable,
            "as_of": entry.updated_at.isoformat(),
        }
        super().__init__(*args, **kwargs)
        self.kept = Work(entry.project, entry.task)
        self.fields["work"] = WorkField(keep=self.kept)
        self.entry, self.user, self.zone, self.begins_on = entry, user, zone, began.date()

    def clean_time(self) -> Hours | None:
        """Read it where it was changed, for the day on which the entry begins."""
        if "time" not in self.changed_data:
            return None
        return read_hours(self.cleaned_data["time"], day=self.begins_on, zone=self.zone)

    def clean(self) -> dict[str, Any]:
        """Bring the entry into the state that is asked for; nothing is written."""
        asked = super().clean() or self.cleaned_data
        if asked.get("as_of") and "as_of" in self.changed_data:
            self._refuse_changed()
        if self.errors:
            return asked
        entry, work = self.entry, cast(Work, asked["work"])
        entry.project, entry.task = work.project, work.task
        entry.notes, entry.tags, entry.billable = asked["notes"], asked["tags"], asked["billable"]
        if "break_minutes" in self.changed_data:
            entry.break_seconds = 60 * (asked["break_minutes"] or 0)
        hours = asked["time"]
        if hours is not None:
            # A length is what was worked, so the break comes on top.
            entry.started_at = hours.started_at or entry.started_at
            entry.ended_at = hours.ended_at or entry.started_at + timedelta(seconds=hours.seconds + entry.break_seconds)
        return asked

    def save(self) -> TimeEntry | None:
        """Write the entry; None where it was refused, and the form says why."""
        return _save(self, self.entry, self.user)

    def _refuse_changed(self) -> None:
        """Say that the entry has changed since the form was opened, and how it differs from what was typed."""
        carry(self, "as_of", self.initial["as_of"])
        self.add_error(
            None, "This entry was changed since you opened it, so nothing was saved. Yours is still here; save again to keep it."
        )
        for name in self.changed_data:
            if name != "as_of":
                self.add_error(None, f"{_LABELS[name]}: now “{self._now(name)}”, unlike yours.")

    def _now(self, name: str) -> str:
        """What the entry holds, as people read it."""
        if name == "work":
            return str(self.kept)
        value = self.initial[name]
        if isinstance(value, bool):
            return "yes" if value else "no"
        return Truncator("nothing" if value in ("", None) else str(value)).chars(80)


class DatedEntryForm(EntryForm):
    """The same with the day, to which the entry moves: as long as it is, at the same clock time."""

    day = DayField()
    # The time is read for the day.
    field_order = ["day"]

    def clean_day(self) -> date:
        """Keep it for the time."""
        self.begins_on = self.cleaned_data["day"]
        return self.begins_on

    def clean(self) -> dict[str, Any]:
        """Move the entry first: a length is counted from its start."""
        if not self.errors and "day" in self.changed_data:
            entry, began = self.entry, self.entry.started_at
            entry.started_at = local_datetime(self.begins_on, began.astimezone(self.zone).time(), self.zone)
            entry.ended_at = entry.ended_at and entry.started_at + (entry.ended_at - began)
        return super().clean()


class NewEntryForm(EntryFields):
    """An entry of any day, of oneself or, for who sees everybody's time, of somebody else.

    Clock times are those of whoever fills it in. A length alone goes where that person has room.
    """

    person = forms.ModelChoiceField(User.objects.none(), required=False, error_messages={"invalid_choice": "Choose somebody of the team."})
    day = DayField()
    field_order = ["person", "day"]

    def __init__(self, *args: Any, user: User, day: date, **kwargs: Any) -> None:
        """Begin with ``day``, and her latest work that has ended."""
        latest = _latest_of(user)
        work = work_key(latest.project_id, latest.task_id) if latest else ""
        kwargs["initial"] = {"person": user.pk, "day": day, "work": work, "billable": True}
        super().__init__(*args, **kwargs)
        self.user, self.zone = user, zone_of(user)
        if user.has_perm(ALL_ENTRIES):
            cast("forms.ModelChoiceField[User]", self.fields["person"]).queryset = team().prefetch_related(None).filter(is_active=True)
        else:
            del self.fields["person"]

    def clean_time(self) -> Hours:
        """Read it, for the day."""
        return read_hours(self.cleaned_data["time"], day=self.cleaned_data.get("day", today_in(self.zone)), zone=self.zone)

    def clean(self) -> dict[str, Any]:
        """Make the entry (:attr:`entry`); nothing is written."""
        asked = super().clean() or self.cleaned_data
        if self.errors:
            return asked
        person, work, hours = asked.get("person") or self.user, cast(Work, asked["work"]), cast(Hours, asked["time"])
        pause = 60 * (asked["break_minutes"] or 0)
        # A length is what was worked, so the break comes on top.
        length = timedelta(seconds=hours.seconds + pause)
        started_at = hours.started_at or length_start(person, length=length, day=asked["day"], zone=self.zone, now=timezone.now())
        self.entry = TimeEntry(
            user=person,
            project=work.project,
            task=work.task,
            started_at=started_at,
            ended_at=hours.ended_at or started_at + length,
            break_seconds=pause,
            notes=asked["notes"],
            tags=asked["tags"],
            billable=asked["billable"],
            source=TimeEntry.Source.MANUAL,
        )
        return asked

    def save(self) -> TimeEntry | None:
        """Write the entry; None where it was refused, and the form says why."""
        return _save(self, self.entry, self.user)


class CopyForm(forms.Form):
    """The day to which an entry is copied."""

    day = DayField()


def _latest_of(user: User) -> TimeEntry | None:
    """Her latest entry that has ended: while a timer runs, that leads back to what came before it."""
    return TimeEntry.objects.filter(user=user, ended_at__isnull=False).order_by("-started_at", "-id").first()


def _save(form: forms.Form, entry: TimeEntry, user: User) -> TimeEntry | None:
    """Write ``entry`` in the name of ``user``, or put each fault beside the field that it belongs to."""
    try:
        return entry_save(entry, user=user)
    except ValidationError as error:
        # A refusal as a whole has no fields.
        faults = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
        for name, sentences in faults.items():
            field = _FIELD_OF.get(name, name)
            for sentence in sentences:
                form.add_error(field if field in form.fields else None, sentence)
        return None
