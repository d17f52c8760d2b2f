"""What stands in the cells of the list of archives, and beside the words of one archive's page. Each takes a row and asks nothing."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from backups.models import Backup
from backups.origin import ENGINES, signature_said, why_made
from backups.preflight import size_human
from backups.services.keeping import Kept
from backups.times import ago, local_minute

__all__ = [
    "buttons",
    "contents",
    "contents_at_length",
    "engine_words",
    "kept",
    "kept_at_length",
    "note",
    "short",
    "sign",
    "verified",
    "verified_at_length",
    "when",
    "why",
    "why_words",
]

# Characters of a note, or of a problem, in a cell of the list: the archive's page has all of it.
MOST = 80


def when(backup: Backup) -> SafeString:
    """When it was made, by the reader's clock, and how long ago."""
    at = format_html('<time datetime="{}">{}</time>', backup.created_at.isoformat(), local_minute(backup.created_at))
    return _lines(at, ago(backup.created_at))


@admin.display(description="why")
def why(backup: Backup) -> SafeString:
    """Why it was made, and who made or brought it."""
    return _lines(why_made(backup.trigger, is_uploaded=backup.is_uploaded), backup.requested_by)


def why_words(backup: Backup) -> str:
    """The same in one line."""
    reason = why_made(backup.trigger, is_uploaded=backup.is_uploaded)
    if backup.is_uploaded and (made := why_made(backup.trigger, is_uploaded=False)):
        reason = f"{reason}; where it was made: {made}"
    return f"{reason}, by {backup.requested_by}" if backup.requested_by else reason


def engine_words(backup: Backup) -> str:
    """Its database: ``PostgreSQL 15.14``."""
    return f"{ENGINES.get(backup.vendor, backup.vendor)} {backup.server_version.split(' ')[0]}".strip()


def _contents_words(backup: Backup) -> str:
    """Rows and uploads: ``13,540 rows, 157 uploads``."""
    if not backup.has_uploads:
        return f"{backup.row_count:,} rows, no uploads"
    return f"{backup.row_count:,} rows, {backup.upload_count:,} uploads"


@admin.display(description="contents")
def contents(backup: Backup) -> SafeString:
    """What is in it, and of which database."""
    rows, uploads = _contents_words(backup).rsplit(", ", 1)
    missing = f"{backup.missing_uploads:,} files missing" if backup.missing_uploads else ""
    return _lines(rows, uploads, missing, engine_words(backup))


def contents_at_length(backup: Backup) -> SafeString:
    """The same with the bytes of the uploads, and what is missing in them."""
    lines = [_contents_words(backup)]
    if backup.has_uploads:
        lines[0] += f" ({size_human(backup.upload_bytes)})"
    if backup.missing_uploads:
        lines.append(f"{backup.missing_uploads:,} files that rows name did not exist when it was made.")
    return _lines(*lines)


@admin.display(description="verified")
def verified(backup: Backup) -> SafeString:
    """What the last verification found, with a sign and in words."""
    at = local_minute(backup.verified_at) if backup.verified_at else ""
    if backup.problem:
        return _lines(sign("bad", "✕", "damaged"), short(backup.problem))
    if not at:
        return _lines(sign("quiet", "–", "not verified"))
    return _lines(sign("good", "✓", "verified"), at, *_signature(backup))


def verified_at_length(backup: Backup) -> SafeString:
    """The whole outcome, and whose signature it bears."""
    cell = verified(backup)
    if backup.problem:
        before = f"It was right on {local_minute(backup.verified_at)}." if backup.verified_at else ""
        cell = _lines(sign("bad", "✕", "damaged"), backup.problem, before)
    return format_html("{}{}", cell, format_html('<div class="quiet">{}</div>', signature_said(backup.signature)))


def kept(backup: Backup, judged: Kept | None) -> SafeString:
    """How long it stays, and by which rule; ``judged`` is None for one that nobody has judged."""
    if backup.pinned:
        # The one reason that counts: no rule could let it go.
        return format_html('<strong class="pinned">{} pinned</strong>{}', PIN, _lines("", "until it is unpinned"))
    return _lines(judged.how_long, judged.rule) if judged else _lines("-")


def kept_at_length(judged: Kept | None) -> SafeString:
    """How long it stays, and each reason."""
    return _lines(judged.how_long, *(judged.kept_by or [judged.rule])) if judged else _lines("-")


@admin.display(description="note", empty_value="")
def note(backup: Backup) -> str:
    """The beginning of its note."""
    return short(backup.note)


def buttons(backup: Backup, *, download: str, restore: str) -> SafeString:
    """The buttons of a row; each for the path that it leads to, none for an empty one. A download is posted: see the list's template."""
    name = local_minute(backup.created_at)
    shown = []
    if download:
        shown.append(
            format_html(
                '<button type="submit" class="button" form="row-form" formaction="{}" aria-label="{}">Download</button>',
                download,
                f"Download the backup of {name}",
            )
        )
    if restore:
        said = f"Restore the backup of {name}…"
        shown.append(format_html('<a class="button secondary" href="{}" aria-label="{}">Restore…</a>', restore, said))
    return format_html('<div class="row-buttons">{}</div>', format_html_join(" ", "{}", ((button,) for button in shown)))


# A pin, before the word that says the same.
PIN = mark_safe(
    '<svg class="icon" viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" focusable="false">'
    '<path d="M9.5 1.5 14.5 6.5 11 8 8.5 12.5 3.5 7.5 8 5ZM6 10 1.5 14.5"/></svg>'
)


def _signature(backup: Backup) -> list[str]:
    return [] if backup.signature in ("", "valid") else [f"signature: {backup.signature}"]


def sign(kind: str, picture: str, words: str) -> SafeString:
    """Words behind a sign that says the same; ``kind``, its colour, is good, bad or quiet."""
    return format_html('<span class="sign-{}"><span aria-hidden="true">{}</span> {}</span>', kind, picture, words)


def short(text: str, *, most: int = MOST) -> str:
    """The text in one line of ``most`` characters at most."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _lines(first: str, *others: str) -> SafeString:
    """The first line as it is, the others below it and quieter; empty ones are left out."""
    return format_html("{}{}", first, format_html_join("", '<div class="quiet">{}</div>', ((line,) for line in others if line)))
