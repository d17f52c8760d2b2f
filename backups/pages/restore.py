"""The way to a restore: the archive, the preview that a worker makes of it, and what is decided and confirmed there.

The restore itself ends all sessions, and takes the rows with it that these pages are made of; so from its start on everything
hangs on the signed link to its progress (:mod:`backups.links`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern
from django.views.decorators.http import require_http_methods, require_safe

from backups.conf import conf
from backups.exceptions import BackupError
from backups.journal import Journal, journal_find, journal_load_all
from backups.models import Backup
from backups.origin import signature_said
from backups.pages.acts import act_record, asker, own_progress
from backups.pages.allowed import confirmation_name, is_confirmation, restore_only
from backups.pages.ask import task_request
from backups.pages.confirm import password_asked
from backups.pages.place import SITE, Place, page_path
from backups.pages.row_counts import RowCounts, model_counts, row_counts

__all__ = ["urls"]

# So long a preview says what a restore would do.
FRESH = timedelta(hours=1)
# The archives from which one is chosen outside the admin; the admin's list has them all, with filters.
CHOICES = 50


def urls(place: Place) -> list[URLPattern]:
    """The pages of this module in ``place``. The admin has a list of its own to choose an archive from."""
    pages = [
        page_path(place, "archives/<archive:archive>/restore/", restore, "restore"),
        page_path(place, "restore/<operation:operation>/", preview, "preview"),
    ]
    return [page_path(place, "", choose, "choose"), *pages] if place is SITE else pages


# --- the archive ----------------------------------------------------------------------------------------------------------


@require_safe
@restore_only
def choose(request: HttpRequest, *, place: Place) -> HttpResponse:
    """The newest archives, to choose one of them."""
    backups = list(Backup.objects.all()[: CHOICES + 1])
    context = {"title": "Choose an archive", "backups": backups[:CHOICES], "more": len(backups) > CHOICES}
    return render(request, "backups/restore_choose.html", {**place.context(request), **context})


@require_http_methods(["GET", "HEAD", "POST"])
@restore_only
def restore(request: HttpRequest, *, archive: str, place: Place) -> HttpResponse:
    """What the archive is and what will happen; with POST, ask for the preview."""
    backup = get_object_or_404(Backup, name=archive)
    uploads = "skip" if request.POST.get("uploads") == "skip" else "merge"
    error = None
    if request.method == "POST":
        try:
            act_record(request, "preview", archive=archive)
            journal = task_request("preview", archive=archive, arguments={"uploads": uploads}, requested_by=asker(request))
        except BackupError as refusal:
            error = refusal
        else:
            return HttpResponseRedirect(own_progress(request, journal.id, place))
    context = {
        "title": "Restore from this archive",
        "backup": backup,
        "error": error,
        "uploads": uploads,
        "previous": "" if error else _previous(request, backup, place),
        "undo_hours": conf.undo_hours,
    }
    return render(request, "backups/restore.html", {**place.context(request), **context}, status=409 if error else 200)


def _previous(request: HttpRequest, backup: Backup, place: Place) -> str:
    """The path of the last preview of the archive that the asking user made, while it still counts; empty without one."""
    found = [journal for journal in journal_load_all() if journal.kind == "preview" and journal.archive == backup.name]
    counting = (journal for journal in reversed(found) if journal.status == "done" and not _stale(request, journal))
    return next((place.url("preview", journal.id) for journal in counting), "")


# --- the preview ----------------------------------------------------------------------------------------------------------


class RestoreForm(forms.Form):
    """What a person decides and confirms below a preview."""

    uploads = forms.ChoiceField(choices=(), error_messages={"required": "Choose what becomes of the uploads."})
    site_name = forms.CharField(max_length=200, error_messages={"required": "Type the site's name to confirm."})
    trust = forms.BooleanField(
        required=False,
        error_messages={"required": "Without this consent the archive is not restored: nothing proves that it is this site's."},
    )

    def __init__(self, *args: Any, name: str, choices: list[str], needs_trust: bool, **kwargs: Any) -> None:
        """``name`` is what has to be typed, ``choices`` of ``merge``, ``exact`` and ``skip`` what the archive allows."""
        super().__init__(*args, **kwargs)
        self._name = name
        self.fields["uploads"].choices = [(choice, choice) for choice in choices]  # type: ignore[attr-defined]
        self.fields["trust"].required = needs_trust

    def clean_site_name(self) -> str:
        """Compare it."""
        typed = str(self.cleaned_data["site_name"])
        if not is_confirmation(typed, self._name):
            raise forms.ValidationError(f"That is not the site's name. Type: {self._name}")
        return typed


@require_http_methods(["GET", "HEAD", "POST"])
@restore_only
def preview(request: HttpRequest, *, operation: str, place: Place) -> HttpResponse:
    """What a preview found, and the form below it; with POST, begin the restore."""
    journal = journal_find(operation)
    if journal is None or journal.kind != "preview":
        raise Http404
    if not journal.is_finished:
        return HttpResponseRedirect(own_progress(request, journal.id, place))
    if journal.status != "done":
        return _failed(request, journal, place)
    begun = _begun_from(journal)
    if begun is not None and not begun.is_finished:
        return HttpResponseRedirect(own_progress(request, begun.id, place))
    report = journal.report
    name, choices = confirmation_name(request), _choices(report)
    form = RestoreForm(
        request.POST if request.method == "POST" else None,
        name=name,
        choices=choices,
        needs_trust=report["signature"] != "valid",
        initial={"uploads": choices[0]},
    )
    stale, error = _stale(request, journal), None
    if request.method == "POST" and not stale and form.is_valid():
        try:
            return _begin(request, journal, form, place)
        except BackupError as refusal:
            error = refusal
    context = {
        "title": "Preview of a restore",
        "journal": journal,
        "shown": _shown(journal),
        "form": form,
        "choices": choices,
        "chosen": form["uploads"].value(),
        "name": name,
        "stale": stale,
        "error": error,
        "undo_hours": conf.undo_hours,
        "again": place.url("restore", journal.archive),
    }
    return render(request, "backups/restore_preview.html", {**place.context(request), **context}, status=409 if error else 200)


def _begin(request: HttpRequest, journal: Journal, form: RestoreForm, place: Place) -> HttpResponse:
    """Ask for the password where it is due, write the act down, ask the workers. Raises BackupError."""
    uploads, trust = form.cleaned_data["uploads"], journal.report["signature"] != "valid"
    asks = password_asked(
        request,
        place=place,
        title="Restore: your password, please",
        sentences=[
            f"The live data is about to be replaced by {journal.archive}. Everybody, you too, must log in again afterwards.",
            f"It can be undone for {conf.undo_hours} hours.",
        ],
        button="Restore now",
        back=place.url("preview", journal.id),
    )
    if asks is not None:
        return asks
    consent = ", without a valid signature: consent given" if trust else ""
    act_record(request, "restore", archive=journal.archive, detail=f"uploads {uploads}, preview {journal.short_id}{consent}")
    arguments = {"uploads": uploads, "trust_unsigned": trust, "previewed": journal.id}
    begun = task_request("restore", archive=journal.archive, arguments=arguments, requested_by=asker(request))
    return HttpResponseRedirect(own_progress(request, begun.id, place))


def _choices(report: dict[str, Any]) -> list[str]:
    """What may become of the uploads, the safest first: an archive without any must not remove those that are there."""
    return ["merge", "exact", "skip"] if report["uploads"] else ["skip"]


def _stale(request: HttpRequest, journal: Journal) -> str:
    """Why the preview does not count any more, in a sentence; empty while it does."""
    if journal.requested_by != asker(request):
        return f"This preview was made for {journal.requested_by or 'somebody else'}; what becomes of your own account is not in it."
    ended = datetime.fromisoformat(journal.ended_at)
    if not timedelta(minutes=-5) < datetime.now(UTC) - ended < FRESH:
        return "This preview is more than an hour old, and the site has gone on since."
    row = Backup.objects.filter(name=journal.archive).first()
    if row is None or row.archive_id != journal.report["archive_id"]:
        return "The archive is no longer in the store, or it is another one now."
    ended_after = [other for other in journal_load_all() if other.ended_at > journal.ended_at]
    if any(other.kind in ("restore", "undo") and other.status != "failed" for other in ended_after):
        return "The data was replaced after this preview was made."
    if _begun_from(journal) is not None:
        return "A restore has been begun from this preview already, and did not succeed."
    return ""


def _begun_from(journal: Journal) -> Journal | None:
    """The first restore that was begun from this preview: there is never a second one (see preview_require)."""
    return next((other for other in journal_load_all() if other.kind == "restore" and other.arguments.get("previewed") == journal.id), None)


def _failed(request: HttpRequest, journal: Journal, place: Place) -> HttpResponse:
    """A preview that was refused, cancelled or interrupted: what was found and what to do."""
    context = {
        "title": "This archive cannot be restored now",
        "journal": journal,
        "state": journal.report.get("state", "Nothing was changed."),
        "next_step": journal.report.get("next_step", "Make the preview again."),
        # Uploads on a storage that is no folder, say: the database alone can be restored all the same.
        "may_skip": journal.arguments.get("uploads") != "skip" and journal.report.get("is_refusal", False),
        "again": place.url("restore", journal.archive),
    }
    return render(request, "backups/restore_failed.html", {**place.context(request), **context})


@dataclass(frozen=True)
class Verdict:
    """One sentence about the restore that matters before all others; ``icon`` is good, warning or bad."""

    icon: str
    heading: str
    sentence: str = ""


def _shown(journal: Journal) -> dict[str, Any]:
    """What the page tells of the preview's report, in the order of the page."""
    report, plan = journal.report, journal.report["plan"]
    lost = model_counts(report["newer"])
    counts = row_counts(report["rows"])
    return {
        "made_at": datetime.fromisoformat(report["created_at"]),
        "previewed_at": datetime.fromisoformat(journal.ended_at),
        "verdicts": [_loss(report, counts, sum(count for _, count in lost)), _own_account(report), _signature(report)],
        "counts": counts,
        "lost": lost,
        "unread": report["unread"],
        "uploads": report["uploads"],
        "has_uploads": report["has_uploads"],
        "missing_uploads": report["missing_uploads"],
        "accounts": report["accounts"],
        "administrators": report["administrators"],
        "migrations": report["migrations"],
        "warnings": report["warnings"],
        "is_in_place": plan["strategy"] == "in-place",
        "seconds_closed": max(0.1, plan["seconds_closed"]),
        "tools": ", ".join(f"{name} {version}" for name, version in plan["tools"].items()),
        # Absent in a preview that an earlier version made.
        "spaces": plan.get("spaces", []),
    }


def _loss(report: dict[str, Any], counts: RowCounts, lost: int) -> Verdict:
    if report["unread"]:
        return Verdict("warning", "It is not known what would be lost.", f"What is live could not be read: {report['unread']}")
    if lost:
        rows = "1 row is" if lost == 1 else f"{lost:,} rows are"
        return Verdict("warning", f"{rows} newer than the archive, and would be lost.", "Below they are counted.")
    if any(count.before > count.after and not count.is_record for count in counts.different):
        return Verdict("warning", "Some tables would have fewer rows than now.", "They are named below.")
    return Verdict("good", "No row would be lost that is newer than the archive.")


def _own_account(report: dict[str, Any]) -> Verdict:
    own = report["own"]
    if own is None:
        return Verdict("warning", "It is not known whether you could log in afterwards.")
    if own["could_log_in"]:
        is_same = own["sentence"] == "as today"
        how = "with the password of today" if is_same else own["sentence"]
        sentence = f"As {own['username']}, {how}. Everybody must, since all sessions end."
        return Verdict("good" if is_same else "warning", "You could log in afterwards.", sentence)
    others = report["administrators"]
    who = (
        f"Who could administer the site then: {', '.join(others)}."
        if others
        else (
            "Nobody could administer the site then: the archive has no active superuser. Only a command on the server could make one "
            "(createsuperuser)."
        )
    )
    return Verdict("bad", "You could not log in afterwards:", f"{own['sentence']}. {who}")


def _signature(report: dict[str, Any]) -> Verdict:
    proven = "Every byte was read, and each SHA-256 is right."
    if report["signature"] == "valid":
        return Verdict("good", "This site made the archive.", f"Its signature is valid. {proven}")
    return Verdict("warning", "Nothing proves that this site made the archive.", f"{signature_said(report['signature'])} {proven}")
