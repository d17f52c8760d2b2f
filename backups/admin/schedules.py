"""Admin of the schedules: said as a sentence, with the next runs and with what went wrong."""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, cast
from zoneinfo import available_timezones

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import AdminErrorList, AdminForm
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.contenttypes.models import ContentType
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from backups.exceptions import AuditUnwritable
from backups.models import EVERY_DAY, BackupSchedule, default_time_zone
from backups.pages.acts import act_audit
from backups.presence import worker_seen
from backups.schedules import DAY_NAMES, next_runs, schedule_zone, sentence
from backups.services.keeping import RulesTried, rules_try, rules_try_all
from backups.services.schedule import ATTEMPTS
from backups.times import local_minute

__all__ = ["BackupScheduleAdmin", "BackupScheduleForm", "schedule_digest"]

SEEN_SALT = "backups.schedule.seen"


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


class SeenField(forms.CharField):
    """What a schedule said when its page was made, hidden in the form; nobody types it, and so it is no change."""

    widget = forms.HiddenInput

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Never."""
        return False


def _time_zones() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(available_timezones())]


class BackupScheduleForm(forms.ModelForm):
    """Days as boxes, the time zone from the list of those that this machine knows.

    What somebody else has changed since the page was made is not reverted: the form says so once, and shows what was typed.
    """

    days = WeekdaysField(initial=EVERY_DAY, help_text="The days on which a backup is made.")
    time_zone = forms.ChoiceField(
        choices=_time_zones,
        initial=default_time_zone,
        help_text="A backup is made at this time of day there, in summer and in winter.",
    )
    seen = SeenField(required=False)

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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Keep what the schedule says before what was typed is put into it."""
        super().__init__(*args, **kwargs)
        # One that is being added has been seen by nobody.
        self._before = None if self.instance.pk is None else (schedule_digest(self.instance), sentence(self.instance))
        if self._before:
            self.initial["seen"] = _signed(self._before[0])

    def clean(self) -> dict[str, Any] | None:
        """Refuse what was typed about a schedule that says something else by now; saved once more, it counts."""
        cleaned = super().clean()
        if self._before is None:
            return cleaned
        digest, said = self._before
        seen, at = _seen(self.data.get(self.add_prefix("seen"), ""))
        if seen != digest:
            self.add_error(
                None,
                f"This schedule has been changed since you opened the page{_changed_by(self.instance, since=at)}. It says now: {said}"
                " What you typed stands below and is not saved. Look at it again; saved now, it replaces the other change.",
            )
            # In a copy: what was sent is the request's own.
            sent = cast(QueryDict, self.data).copy()
            sent[self.add_prefix("seen")] = _signed(digest)
            self.data = sent
        return cleaned


def schedule_digest(schedule: BackupSchedule) -> str:
    """What tells whether anything that the form shows has changed."""
    values = [str(getattr(schedule, name)) for name in BackupScheduleForm.Meta.fields]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _signed(digest: str) -> str:
    """The digest and the time, so that a page says what it has shown and when."""
    return signing.dumps([digest, timezone.now().isoformat()], salt=SEEN_SALT)


def _seen(signed: str) -> tuple[str, datetime | None]:
    """Digest and time of what a page has shown; an empty one and None where it does not say that."""
    try:
        digest, at = signing.loads(signed, salt=SEEN_SALT)
    except signing.BadSignature:
        return "", None
    return digest, datetime.fromisoformat(at)


def _changed_by(schedule: BackupSchedule, *, since: datetime | None) -> str:
    """By whom, and when, as far as the admin's log knows."""
    about = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(BackupSchedule), object_id=str(schedule.pk))
    last = about.filter(action_time__gte=since).select_related("user").order_by("action_time").last() if since else None
    return f", by {last.user.get_username()} at {local_minute(last.action_time)}" if last else ""


class ScheduleList(ChangeList):
    """Knows of each schedule what its keep rules do."""

    def get_results(self, request: HttpRequest) -> None:
        """Look at the archives once for all of them."""
        super().get_results(request)
        tried = rules_try_all(self.result_list)
        for schedule in self.result_list:
            schedule.tried = tried[schedule.key]


@admin.register(BackupSchedule)
class BackupScheduleAdmin(admin.ModelAdmin):
    """Schedules: what each does in words, when next, the last error, and what its keep rules delete.

    A change is written into the audit file before it is made; one that cannot be written is not made.
    """

    form = BackupScheduleForm
    list_display = ("does", "enabled", "next_run", "deletes", "outcome")
    list_display_links = ("does",)
    readonly_fields = ("does", "next_five_runs", "outcome", "key")
    fieldsets = (
        (None, {"fields": ("does", "next_five_runs", "outcome")}),
        ("When", {"fields": ("enabled", "days", "at", "time_zone")}),
        (
            "What",
            {
                "fields": ("uploads", "note"),
                "description": "It is made gently: at a low priority, and no faster than BACKUPS_GENTLE_RATE where that is set.",
            },
        ),
        ("Record", {"fields": ("key",)}),
        # The last, so that what these rules would delete stands right below them.
        (
            "Which archives are kept",
            {
                "fields": (("keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly"),),
                "description": "An archive stays while one of these keeps it. Pinned ones, the newest and the last verified always stay.",
            },
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: BackupSchedule | None = None) -> Any:
        """A new one has no runs, no errors and no key yet."""
        return self.fieldsets if obj else [named for named in self.fieldsets[1:] if named[0] != "Record"]

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        """The list that looks at the archives."""
        return ScheduleList

    # --- columns ----------------------------------------------------------------------------------------------------

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

    @admin.display(description="deletes")
    def deletes(self, schedule: BackupSchedule) -> str:
        """How many of its archives go with the next prune, and how many after the next run."""
        tried: RulesTried = schedule.tried  # type: ignore[attr-defined]  # by ScheduleList
        going = [f"{len(archives)} {when}" for archives, when in ((tried.now, "now"), (tried.next, "after the next run")) if archives]
        return f"{' and '.join(going)}, of {len(tried.archives)}" if going else f"none of {len(tried.archives)}"

    @admin.display(description="last error")
    def outcome(self, schedule: BackupSchedule) -> str:
        """Why the last backup was given up, or how far its attempts have come."""
        if schedule.next_attempt_at:
            at = f"{schedule.next_attempt_at:%Y-%m-%d %H:%M} UTC"
            return f"Attempt {schedule.attempts} of {ATTEMPTS} has not succeeded; the next is at {at}."
        return schedule.last_error or "-"

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> BackupSchedule | None:
        """The schedule; one that is about to be saved is held, so that of two who save at once the second is told."""
        found: BackupSchedule | None = super().get_object(request, object_id, from_field)
        if found is None or request.method != "POST" or not transaction.get_connection(found._state.db).in_atomic_block:
            return found
        return self.get_queryset(request).select_for_update().filter(pk=found.pk).first()

    # --- changing ---------------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: BackupSchedule, form: forms.ModelForm, change: bool) -> None:
        """Save; a schedule that a person has edited is the site's own, which a restore never gives up for an archive's."""
        changed = f" (changed: {', '.join(form.changed_data) or 'nothing'})" if change else ""
        act_audit(request, "schedule-change" if change else "schedule-add", detail=f"{obj.key}: {sentence(obj)}{changed}")
        obj.is_default = False
        super().save_model(request, obj, form, change)
        if (going := rules_try(obj).now) and request.user.has_perm("backups.view_backup"):
            messages.warning(request, f"By these rules the next prune deletes {_counted(len(going))}: {_named([a.name for a in going])}.")

    def delete_model(self, request: HttpRequest, obj: BackupSchedule) -> None:
        """Delete; its archives stay."""
        act_audit(request, "schedule-delete", detail=f"{obj.key}: {sentence(obj)}")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[BackupSchedule]) -> None:
        """Delete several; their archives stay."""
        for schedule in queryset:
            act_audit(request, "schedule-delete", detail=f"{schedule.key}: {sentence(schedule)}")
        super().delete_queryset(request, queryset)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The form; "Try these rules" shows it again as it was filled in, with what its rules would delete."""
        if request.method == "POST" and "_try" in request.POST:
            return self._as_typed(request, object_id, form_url)
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except AuditUnwritable as error:
            messages.error(request, error.message)
            return self._as_typed(request, object_id, form_url)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Ask, and delete."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except AuditUnwritable as error:
            messages.error(request, error.message)
            return redirect(request.path)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: BackupSchedule | None = None,
    ) -> HttpResponse:
        """Show with the form what its rules do to the archives: those that are saved, or those that were typed and make sense."""
        context["may_try"] = not add and self.has_change_permission(request, obj)
        # Django's own link would come before the button.
        context["show_delete"] = False
        context["may_delete"] = not add and self.has_delete_permission(request, obj)
        if obj is not None and not context["adminform"].form.errors:
            context |= {"tried": rules_try(obj), "said": sentence(obj)}
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _as_typed(self, request: HttpRequest, object_id: str | None, form_url: str) -> HttpResponse:
        """The form as it was sent, with nothing saved."""
        add = object_id is None
        schedule = None if object_id is None else self.get_object(request, unquote(object_id))
        if schedule is None and not add:
            raise Http404
        if not (self.has_add_permission(request) if add else self.has_change_permission(request, schedule)):
            raise PermissionDenied
        form = self.get_form(request, schedule, change=not add)(request.POST, instance=schedule)
        form.is_valid()
        fields = AdminForm(
            form, list(self.get_fieldsets(request, schedule)), {}, self.get_readonly_fields(request, schedule), model_admin=self
        )
        context = {
            **self.admin_site.each_context(request),
            "title": "Add backup schedule" if add else "Change backup schedule",
            "adminform": fields,
            "object_id": object_id,
            "original": schedule,
            "is_popup": False,
            "to_field": None,
            "media": self.media + fields.media,
            "inline_admin_formsets": [],
            "errors": AdminErrorList(form, []),
            "preserved_filters": self.get_preserved_filters(request),
            "is_typed": True,
        }
        return self.render_change_form(request, context, add=add, change=not add, form_url=form_url, obj=schedule)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Warn where nothing happens by itself."""
        if request.method == "GET":
            if not BackupSchedule.objects.filter(enabled=True).exists():
                messages.warning(request, "No schedule is on, so no backup is made by itself. Add one, or switch one on.")
            elif worker_seen() is None:
                messages.warning(request, "No worker is heard, so no backup is made by itself. Start one: ./run keeps it going.")
        try:
            return super().changelist_view(request, extra_context)
        except AuditUnwritable as error:
            messages.error(request, error.message)
            return redirect(request.get_full_path())


def _counted(count: int) -> str:
    """``this one``, ``these three``, ``these 12``."""
    words = ("two", "three", "four", "five", "six", "seven", "eight", "nine")
    return "this one" if count == 1 else f"these {words[count - 2] if count < 10 else count}"


def _named(names: list[str]) -> str:
    """The first few of ``names``."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _runs(schedule: BackupSchedule, *, count: int) -> list[str]:
    return [_local(run, schedule) for run in next_runs(schedule, timezone.now(), count)] if schedule.enabled else []


def _local(moment: datetime, schedule: BackupSchedule) -> str:
    zone = schedule_zone(schedule)
    said = schedule.time_zone if zone.key == schedule.time_zone else f"UTC, since this machine does not know {schedule.time_zone}"
    return f"{moment.astimezone(zone):%A, %Y-%m-%d %H:%M} ({said})"
