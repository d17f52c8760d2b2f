"""Admin of the archives: the list with what can be done to them, and the page of each.

Everything that takes time is asked of the workers, as the pages in :mod:`backups.pages` do; here only pins and notes are written.
"""

# Django's admin classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.forms import Textarea
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from backups.admin import cells
from backups.admin.filters import EngineFilter, TimeFilter, VerifiedFilter, WhyFilter
from backups.admin.lists import CountedOnce, ListAdmin
from backups.exceptions import BackupError
from backups.manifest import text_accepted
from backups.models import Backup
from backups.pages import create, delete, download, restore, result, running, undo, upload, verify
from backups.pages.acts import act_audit, act_record, asker
from backups.pages.allowed import restore_offered
from backups.pages.ask import one_by_one, task_request
from backups.pages.place import ADMIN, refused
from backups.pages.running import running_context
from backups.pages.undo import undo_available
from backups.preflight import size_human
from backups.services.figures import archives_figures
from backups.services.keeping import Kept, archives_judged
from backups.services.standing import standing
from backups.storage import is_archive_name
from backups.times import ago

__all__ = ["BackupAdmin"]

# So many requests at a time: each waits in line, and those that wait too long are given up (BACKUPS_QUEUE_MINUTES).
MOST_AT_ONCE = 10

PAGES = (create, upload, running, verify, download, delete, restore, result, undo)


class ArchiveList(CountedOnce):
    """The list; its links name the archive, since a restore gives the rows other numbers."""

    def url_for_result(self, result: Backup) -> str:  # type: ignore[override]
        """The page of one archive."""
        return ADMIN.url("archive", result.name)


@admin.register(Backup)
class BackupAdmin(ListAdmin):
    """The archives of the store."""

    actions = ("verify_archives", "pin", "unpin", "download", "restore", "remove")
    list_filter = (WhyFilter, ("pinned", admin.BooleanFieldListFilter), VerifiedFilter, EngineFilter, ("created_at", TimeFilter))
    search_fields = ("note",)
    search_help_text = "Search in the notes"
    readonly_fields = ("made", "reason", "contents_said", "size_said", "database", "checked", "stays", "archive_id")

    # --- what is where ------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """The pages around the archives, then the list's own."""
        around = [url for page in PAGES for url in page.urls(ADMIN)]
        own = path("archives/<archive:archive>/", self.admin_site.admin_view(self.archive_view), name="backups_archive")
        return [*around, own, *super().get_urls()]

    def archive_view(self, request: HttpRequest, archive: str) -> HttpResponse:
        """The page of the archive of that name."""
        return self.change_view(request, quote(archive))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Backup | None:
        """The row of that number, or of the archive of that name."""
        if is_archive_name(object_id):
            return self.get_queryset(request).filter(name=object_id).first()
        return super().get_object(request, object_id, from_field)

    # --- rights -------------------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Backup | None = None) -> bool:
        """A row is never deleted by itself: whoever may, deletes the archive, on a page of its own."""
        return False

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Who may delete archives."""
        return request.user.has_perm("backups.delete_backup")

    def has_download_permission(self, request: HttpRequest) -> bool:
        """Who may take archives away."""
        return request.user.has_perm("backups.download_backup")

    def has_restore_permission(self, request: HttpRequest) -> bool:
        """Who may restore by a page."""
        return restore_offered(request)

    # --- the list -----------------------------------------------------------------------------------------------------

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list whose links name the archives."""
        return ArchiveList

    def get_list_display(self, request: HttpRequest) -> tuple[Any, ...]:
        """The columns; the buttons are those that the asking user may use."""
        columns: tuple[Any, ...] = (*_columns(), _kept_column(), cells.note)
        buttons = self._buttons_column(request)
        return (*columns, buttons) if buttons else columns

    def _buttons_column(self, request: HttpRequest) -> Callable[[Backup], SafeString] | None:
        """The buttons of a row; None for who may use neither."""
        may_download, may_restore = self.has_download_permission(request), self.has_restore_permission(request)
        if not may_download and not may_restore:
            return None

        @admin.display(description=format_html('<span class="visually-hidden">{}</span>', "Buttons"))
        def buttons(backup: Backup) -> SafeString:
            return cells.buttons(
                backup,
                download=ADMIN.url("download", backup.name) if may_download else "",
                restore=ADMIN.url("restore", backup.name) if may_restore else "",
            )

        return buttons

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list with all that stands above it, in the reader's time zone."""

        def listed() -> HttpResponse:
            above = self._above(request) if self.has_view_permission(request) and request.method == "GET" else {}
            return super(BackupAdmin, self).changelist_view(request, {"title": "Backups", **above, **(extra_context or {})})

        return self._answered(request, listed)

    def _answered(self, request: HttpRequest, answer: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            return self.in_readers_zone(request, answer)
        except BackupError as error:
            return refused(request, error, place=ADMIN)

    def _above(self, request: HttpRequest) -> dict[str, Any]:
        return {
            **running_context(request, ADMIN),
            "standing": standing(),
            "figures": archives_figures(),
            "may_create": self.has_add_permission(request),
            "may_look": self.has_change_permission(request),
            "may_download": self.has_download_permission(request),
            "may_restore": self.has_restore_permission(request),
            "undoable": undo_available() if self.has_restore_permission(request) else None,
        }

    # --- the page of one archive --------------------------------------------------------------------------------------

    fieldsets = (
        (None, {"fields": ("note", "pinned")}),
        ("The archive", {"fields": ("made", "reason", "size_said", "contents_said", "database", "checked", "stays", "archive_id")}),
    )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page of one archive, in the reader's time zone, with the buttons that the reader may use."""
        buttons = {
            "title": "Backup",
            "may_verify": self.has_change_permission(request),
            "may_download": self.has_download_permission(request),
            "may_restore": self.has_restore_permission(request),
            "may_delete": self.has_remove_permission(request),
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
        }
        context = {**buttons, **(extra_context or {})}
        return self._answered(request, lambda: super(BackupAdmin, self).change_view(request, object_id, form_url, context))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A note has a few lines. What is changed is judged by what was shown: somebody may have pinned it since."""
        if db_field.name in ("note", "pinned"):
            kwargs["show_hidden_initial"] = True
        if db_field.name == "note":
            kwargs["widget"] = Textarea(attrs={"rows": 3, "class": "vLargeTextField"})
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Backup, form: Any, change: bool) -> None:
        """Write the note and the pin, and nothing else: a verification may have come in between. Audited before it is written."""
        if "pinned" in form.changed_data:
            act_audit(request, "pin" if obj.pinned else "unpin", archive=obj.name)
        if "note" in form.changed_data:
            obj.note = text_accepted(obj.note)
            act_audit(request, "note", archive=obj.name, detail=obj.note)
        if form.changed_data:
            obj.save(update_fields=form.changed_data)

    @admin.display(description="made")
    def made(self, backup: Backup) -> str:
        """When, and how long ago."""
        local = timezone.localtime(backup.created_at)
        return f"{local:%Y-%m-%d %H:%M:%S} ({local.tzname()}), {ago(backup.created_at)}"

    @admin.display(description="why")
    def reason(self, backup: Backup) -> str:
        """Why, and who asked for it."""
        return cells.why_words(backup)

    @admin.display(description="size")
    def size_said(self, backup: Backup) -> str:
        """In people's units, and exactly."""
        return f"{size_human(backup.size)} ({backup.size:,} bytes)"

    @admin.display(description="contents")
    def contents_said(self, backup: Backup) -> SafeString:
        """Rows, uploads, and files that are missing."""
        return cells.contents_at_length(backup)

    @admin.display(description="of")
    def database(self, backup: Backup) -> str:
        """Which server and which version of the site it is of."""
        return ", ".join(filter(None, [cells.engine_words(backup), backup.app_version and f"version {backup.app_version} of the site"]))

    @admin.display(description="verified")
    def checked(self, backup: Backup) -> SafeString:
        """What the last verification found, at length."""
        return cells.verified_at_length(backup)

    @admin.display(description="kept")
    def stays(self, backup: Backup) -> SafeString:
        """How long it stays, and each rule that keeps it."""
        return cells.kept_at_length(archives_judged().get(backup.name))

    # --- actions ------------------------------------------------------------------------------------------------------

    @admin.action(description="Verify: read every byte back", permissions=["change"])
    def verify_archives(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        """Ask for the verification of each."""
        names = list(queryset.values_list("name", flat=True))
        if _are_too_many(request, names):
            return None

        def ask(name: str) -> None:
            act_record(request, "verify", archive=name)
            task_request("verify", archive=name, requested_by=asker(request))

        one_by_one(names, ask)
        messages.success(request, f"{_count(len(names), 'verification')} asked for. The list tells the outcome when it is there.")
        return None

    @admin.action(description="Pin: keep until unpinned", permissions=["change"])
    def pin(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        """Mark them as ones to keep."""
        _pin_all(request, queryset, pinned=True)

    @admin.action(description="Unpin", permissions=["change"])
    def unpin(self, request: HttpRequest, queryset: QuerySet[Backup]) -> None:
        """Leave them to the rules."""
        _pin_all(request, queryset, pinned=False)

    @admin.action(description="Download (one)", permissions=["download"])
    def download(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        """On to its download; the browser posts once more, there."""
        name = _only_one(request, queryset, "download")
        return HttpResponseRedirect(ADMIN.url("download", name), preserve_request=True) if name else None

    @admin.action(description="Restore (one)…", permissions=["restore"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        """On to what a restore would change."""
        name = _only_one(request, queryset, "restore")
        return HttpResponseRedirect(ADMIN.url("restore", name)) if name else None

    @admin.action(description="Delete…", permissions=["remove"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Backup]) -> HttpResponse | None:
        """On to the question whether they shall go."""
        names = [("archive", name) for name in queryset.values_list("name", flat=True)]
        return HttpResponseRedirect(f"{ADMIN.url('delete-several')}?{urlencode(names[: delete.MOST_AT_ONCE + 1])}")


# --- columns ------------------------------------------------------------------------------------------------------------


def _columns() -> tuple[Callable[[Backup], Any], ...]:
    """Those that every reader sees, and that know all from the row."""
    zone = timezone.localtime().tzname()

    @admin.display(description=f"when ({zone})", ordering="created_at")
    def created_at(backup: Backup) -> SafeString:
        return cells.when(backup)

    @admin.display(description="size", ordering="size")
    def size(backup: Backup) -> str:
        return size_human(backup.size)

    return created_at, cells.why, size, cells.contents, cells.verified


def _kept_column() -> Callable[[Backup], SafeString]:
    """How long each stays; all are judged together, when the first is shown."""
    judged: dict[str, Kept] | None = None

    @admin.display(description="kept")
    def kept(backup: Backup) -> SafeString:
        nonlocal judged
        if judged is None:
            judged = archives_judged()
        return cells.kept(backup, judged.get(backup.name))

    return kept


# --- what actions share -------------------------------------------------------------------------------------------------


def _only_one(request: HttpRequest, queryset: QuerySet[Backup], what: str) -> str:
    """The name of the one archive that is chosen; empty where there are several, and the reader is told."""
    names = list(queryset.values_list("name", flat=True)[:2])
    if len(names) == 1:
        return names[0]
    messages.warning(request, f"Choose one archive to {what}.")
    return ""


def _are_too_many(request: HttpRequest, names: list[str]) -> bool:
    if len(names) > MOST_AT_ONCE:
        messages.warning(request, f"Choose at most {MOST_AT_ONCE} at a time: they are worked off one after another.")
    return len(names) > MOST_AT_ONCE


def _pin_all(request: HttpRequest, queryset: QuerySet[Backup], *, pinned: bool) -> None:
    act = "pin" if pinned else "unpin"

    def mark(name: str) -> int:
        act_record(request, act, archive=name)
        return Backup.objects.filter(name=name).update(pinned=pinned)

    changed = sum(one_by_one(list(queryset.filter(pinned=not pinned).values_list("name", flat=True)), mark, said=f"{act}ned"))
    them = "it" if changed == 1 else "them"
    what = f"pinned: nobody can delete {them}, and no rule does" if pinned else "left to the rules now"
    messages.success(request, f"{_count(changed, 'archive')} {what}.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
