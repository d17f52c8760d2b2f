"""Plain-text forms of previews and reports, for a terminal of 80 columns or more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from backups.preflight import size_human
from backups.services.changes import OWN_TABLES

if TYPE_CHECKING:
    # For the type checker only: a command that prints a table need not load all that can be reported.
    from backups.services.ending import RestoreReport
    from backups.services.preview import Preview
    from backups.services.prune import Pruned
    from backups.services.undo import UndoPreview

__all__ = ["preview_text", "pruned_text", "report_text", "table_text", "undo_preview_text"]


def table_text(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[int] = ()) -> str:
    """A table with aligned columns; those numbered in ``right`` align to the right."""
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _instant(moment: datetime | str) -> str:
    value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"


def _difference(count: int) -> str:
    return f"{count:+d}" if count else "0"


def preview_text(preview: Preview) -> str:
    """The dry run for people: the archive, rows, losses, accounts, migrations, uploads, how it would go."""
    manifest, plan = preview.manifest, preview.plan
    lines = [
        f"Archive   {manifest.id[:8]}, made {_instant(manifest.created_at)} ({manifest.trigger})"
        + (f", note: {manifest.note}" if manifest.note else ""),
        f"From      version {manifest.app_version or 'unknown'} on {manifest.database.vendor} {manifest.database.server_version}",
        f"Signature {preview.signature}; every byte was read and its SHA-256 is right",
        "",
        "Rows",
    ]
    rows = [
        (preview.labels.get(table, table), now, then, _difference(then - now))
        for table, (now, then) in preview.rows.items()
        if (now or then) and not table.startswith(OWN_TABLES)
    ]
    lines.append(
        table_text(("", "now", "archive", "difference"), rows, right=(1, 2, 3)) if rows else "No table has a row, now or in the archive."
    )
    lines.append("")
    if preview.unread:
        lines.append(f"What is live could not be read, so it is not known what would be lost: {preview.unread}")
    elif preview.newer:
        lines.append("Would be lost: rows added or changed after the archive was made")
        lines.append(table_text(("", "rows"), list(preview.newer.items()), right=(1,)))
    else:
        lines.append("Nothing that is newer than the archive would be lost.")
    lines.append("")
    lines.extend(f"Account   {account.username} {account.sentence}." for account in preview.accounts)
    lines.append("Sessions  Everyone must log in again.")
    lines.append(f"Migrate   {', '.join(preview.migrations)}" if preview.migrations else "Migrate   No migration needs to run.")
    if preview.uploads is None:
        lines.append("Uploads   stay as they are.")
    else:
        uploads = preview.uploads
        lines.append(
            f"Uploads   {uploads.added} added, {uploads.changed} changed, {uploads.kept} equal;"
            f" {uploads.others} that the archive does not have (they stay with --uploads merge and go with exact)."
        )
    tools = ", ".join(f"{name} {version}" for name, version in plan.tools.items())
    lines.append(f"Strategy  {plan.strategy}{f' ({tools})' if tools else ''}; closed for about {plan.seconds_closed:.1f} s.")
    for space in plan.spaces:
        free = "free space unknown" if space.free is None else f"{size_human(space.free)} free"
        lines.append(f"Space     {size_human(space.needed)} needed on {space.disk}, {free}.")
    lines.extend(f"Warning   {warning}" for warning in preview.warnings)
    lines.append("")
    lines.append("Nothing was changed. To restore, run the same command without --dry-run.")
    return "\n".join(lines)


def report_text(report: RestoreReport) -> str:
    """What a restore or undo did, for people."""
    changed = [
        (table, report.rows_before.get(table, 0) if report.rows_before else "-", report.rows_after.get(table, 0))
        for table in sorted(report.rows_before.keys() | report.rows_after.keys())
        if report.rows_before.get(table, 0) != report.rows_after.get(table, 0) and not table.startswith(OWN_TABLES)
    ]
    what = "Redone" if report.is_redo else "Undone" if report.kind == "undo" else "Restored"
    lines = [f"{what} ({report.strategy}): {sum(report.rows_after.values())} rows in {len(report.rows_after)} tables."]
    if changed:
        lines.append(table_text(("table", "before", "after"), changed, right=(1, 2)))
    if report.migrated:
        lines.append(f"Migrations run: {', '.join(report.migrated)}")
    lines.append("Seconds: " + ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in report.seconds.items()))
    lines.append(f"The site was closed for {report.milliseconds_closed:.0f} ms. Everyone must log in again.")
    if report.undo_until:
        lines.append(f"To go back until {_instant(report.undo_until)}: manage.py backup_undo")
    return "\n".join(lines)


def undo_preview_text(preview: UndoPreview) -> str:
    """What an undo would put aside, for people."""
    lines = [f"This brings back what was live before the {preview.kind} of {_instant(preview.ended_at)}."]
    back = [(table, *counts) for table, counts in preview.back.items() if counts[0] != counts[1] and not table.startswith(OWN_TABLES)]
    if back:
        lines.append("What comes back, and what goes:")
        lines.append(table_text(("table", "now", "after the undo"), back, right=(1, 2)))
    elif preview.back:
        lines.append("Every table has as many rows in it as now.")
    if preview.rows:
        lines.append("Since then:")
        lines.append(table_text(("table", "then", "now"), [(table, *counts) for table, counts in preview.rows.items()], right=(1, 2)))
    if preview.changed:
        lines.append("Rows added or changed since then, which will be put aside (backup_undo brings them back):")
        lines.append(table_text(("", "rows"), list(preview.changed.items()), right=(1,)))
    if preview.unread:
        lines.append(f"What is live could not be read, so it is not known what has changed since then: {preview.unread}")
    elif not preview.rows and not preview.changed:
        lines.append("No row has changed since then.")
    return "\n".join(lines)


def pruned_text(pruned: Pruned) -> str:
    """Which archives went or would go, and why each of the others stays, for people."""
    removed = pruned.removed
    would = "Would remove" if pruned.dry_run else "Removed"
    lines = [f"{would} {len(removed)} of {len(pruned.archives)} archives ({size_human(pruned.bytes)})."]
    lines.extend(f"  {archive.name}  {archive.trigger}  {size_human(archive.size)}" for archive in removed)
    stay = [(archive.name, archive.trigger, ", ".join(archive.kept_by)) for archive in pruned.archives if archive.kept_by]
    if stay:
        lines.extend(["", table_text(("stays", "made", "why"), stay)])
    lines.extend(["", *pruned.swept] if pruned.swept else [])
    return "\n".join(lines)
