"""Admin of the schedules: said as a sentence, with the next runs and with what went wrong."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from backups.models import EVERY_DAY, BackupSchedule, default_time_zone
from backups.presence import worker_seen
from backups.schedules import DAY_NAMES, next_runs, schedule_zone, sentence
from backups.services.schedule import ATTEMPTS

__all__ = ["BackupScheduleAdmin", "BackupScheduleForm"]


class WeekdaysField(forms.TypedMultipleChoiceField):
    """The days of the week as boxes to tick; its value is the sum of their bits."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, **options: Any) -> None:
        """Offer Monday to Sunday."""
        choices = [(1 << number, name) for number, name in enumerate(DAY_NAMES)]
        super().__init__(choices=choices, coerce=int, error_messages={"required": "Choose at least one day."}, **options)

    def prepare_value(self, value: Any) -> Any:
        """The ticked boxes of a sum; what was posted comes as it is."""
        return [1 << number for number in range(7) if value & 1 << number] if isinstance(value, int) else value

    def clean(self, value: Any) -> int:
        """The sum of the ticked boxes."""
        return sum(super().clean(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare boxes with boxes."""
        return super().has_changed(self.prepare_value(initial), data)


def _time_zones() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(available_timezones())]


class BackupScheduleForm(forms.ModelForm):
    """Days as boxes, the time zone from the list of those that this machine knows."""

    days = WeekdaysField(initial=EVERY_DAY, help_text="The days on which a backup is made.")
    time_zone = forms.ChoiceField(
        choices=_time_zones,
        initial=default_time_zone,
        help_text="A backup is made at this time of day there, in summer and in winter.",
    )

    class Meta:
        model = BackupSchedule
        fields = (
            "enabled",
            "days",
            "at",
            "time_zone",
            "uploads",
            "note",
            "keep_last",
            "keep_daily",
            "keep_weekly",
            "keep_monthly",
            "keep_yearly",
        )


@admin.register(BackupSchedule)
class BackupScheduleAdmin(admin.ModelAdmin):
    """Schedules: what each does in words, when next, and the last error."""

    form = BackupScheduleForm
    list_display = ("does", "enabled", "next_run", "outcome")
    list_display_links = ("does",)
    readonly_fields = ("does", "next_five_runs", "outcome", "key")
    fieldsets = (
        (None, {"fields": ("does", "next_five_runs", "outcome")}),
        ("When", {"fields": ("enabled", "days", "at", "time_zone")}),
        ("What", {"fields": ("uploads", "note")}),
        (
            "Which archives are kept",
            {
                "fields": ("keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"),
                "description": "An archive stays while one of these keeps it. Pinned ones, the newest and the last verified always stay.",
            },
        ),
        ("Record", {"fields": ("key",)}),
    )

    def get_fieldsets(self, request: HttpRequest, obj: BackupSchedule | None = None) -> Any:
        """A new one has no runs, no errors and no key yet."""
        return self.fieldsets if obj else self.fieldsets[1:-1]

    @admin.display(description="what it does", ordering="at")
    def does(self, schedule: BackupSchedule) -> str:
        """The schedule in words."""
        return sentence(schedule)

    @admin.display(description="next run")
    def next_run(self, schedule: BackupSchedule) -> str:
        """When it runs next, in its own time zone."""
        runs = _runs(schedule, count=1)
        return runs[0] if runs else "-"

    @admin.display(description="next five runs")
    def next_five_runs(self, schedule: BackupSchedule) -> SafeString | str:
        """When it runs, in its own time zone."""
        return format_html_join("", "<div>{}</div>", ((run,) for run in _runs(schedule, count=5))) or "-"

    @admin.display(description="last error")
    def outcome(self, schedule: BackupSchedule) -> str:
        """Why the last backup was given up, or how far its attempts have come."""
        if schedule.next_attempt_at:
            at = f"{schedule.next_attempt_at:%Y-%m-%d %H:%M} UTC"
            return f"Attempt {schedule.attempts} of {ATTEMPTS} has not succeeded; the next is at {at}."
        return schedule.last_error or "-"

    def save_model(self, request: HttpRequest, obj: BackupSchedule, form: forms.ModelForm, change: bool) -> None:
        """Save; a schedule that a person has edited is the site's own, which a restore never gives up for an archive's."""
        obj.is_default = False
        super().save_model(request, obj, form, change)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Warn where nothing happens by itself."""
        if request.method == "GET":
            if not BackupSchedule.objects.filter(enabled=True).exists():
                messages.warning(request, "No schedule is on, so no backup is made by itself. Add one, or switch one on.")
            elif worker_seen() is None:
                messages.warning(request, "No worker is heard, so no backup is made by itself. Start one: ./run keeps it going.")
        return super().changelist_view(request, extra_context)


def _runs(schedule: BackupSchedule, *, count: int) -> list[str]:
    return [_local(run, schedule) for run in next_runs(schedule, timezone.now(), count)] if schedule.enabled else []


def _local(moment: datetime, schedule: BackupSchedule) -> str:
    zone = schedule_zone(schedule)
    said = schedule.time_zone if zone.key == schedule.time_zone else f"UTC, since this machine does not know {schedule.time_zone}"
    return f"{moment.astimezone(zone):%A, %Y-%m-%d %H:%M} ({said})"
