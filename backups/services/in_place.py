"""The strategy in-place: one transaction on the live database itself, where the role may not create databases.

The gate is closed from the load to the end. What would be kept by a swap is here an archive made beforehand (the safety
archive): going back, by failure or by undo, is a second load.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from django.db import connections

from backups.conf import conf
from backups.engines import Engine, Plan
from backups.engines.base import Which
from backups.exceptions import BackupError, PreflightRefused, RestoreFailed, RestoreNotUndone, reason_of
from backups.files import private_folder
from backups.gate import gate_close, gate_read_only
from backups.interrupts import uninterrupted
from backups.journal import Journal
from backups.progress import Progress
from backups.services.archives import archive_opened
from backups.services.carry_over import carry_over_remember
from backups.services.ending import RestoreReport, operation_live
from backups.services.kept import kept_until
from backups.services.make import archive_make
from backups.services.prepare import shadow_run
from backups.services.stages import (
    Before,
    after_the_swap,
    enter,
    staging_folder,
    uploads_staged,
    warn_of_strays,
)
from backups.uploads import uploads_kept, uploads_settle, uploads_staging, uploads_switch

__all__ = ["in_place_load", "in_place_settle"]


def in_place_load(
    *,
    journal: Journal,
    engine: Engine,
    plan: Plan,
    dump: Path,
    uploads: str,
    manifest_rows: dict[str, int],
    before: Before,
    progress: Progress,
    lenient: bool = False,
) -> RestoreReport:
    """Make the safety archive, load ``dump`` in one transaction, migrate, switch the uploads, open.

    A failure before the commit leaves the live data as it was; one after it loads the safety archive. Raises
    :class:`~backups.exceptions.RestoreNotUndone` where that fails too.
    """
    journal.database["strategy"] = "in-place"
    journal.save()
    if before.state in ("unread", "damaged"):
        # Without the safety archive there would be no way back, neither for an undo nor for a load that fails.
        raise PreflightRefused(
            f"What is live cannot be saved before it is replaced in place: {before.reason}",
            next_step="Remove what stands in the way. Or give the role CREATEDB: then a restore keeps what is live aside as it is.",
        )
    # From here on changes are refused: one made after the safety archive would be in neither the new data nor the kept.
    gate_read_only()
    root = uploads_staged(journal, engine, progress, uploads)
    if before.state == "counted":
        note = f"What was live before {journal.kind} {journal.short_id}; undo uses it."
        safety = archive_make(journal, engine=engine, progress=progress, trigger="before-restore", note=note, uploads=False)
        journal.arguments["safety"] = safety.location
        # Counted in the safety archive's own snapshot: with what was still written since the first count.
        before = replace(before, rows=safety.manifest.rows)
        journal.save()
    carry_over_remember(journal)
    try:
        enter(journal, progress, "load", total=dump.stat().st_size)
        engine.load_in_place(journal, dump, plan, progress, expected=manifest_rows, on_close=lambda: gate_close(local_marker=True))
        enter(journal, progress, "migrate")
        outcome = shadow_run(journal, _live_name(), lenient=lenient)
        rows_after = engine.rows()
        enter(journal, progress, "switch")
        with uninterrupted(swallow=True):
            if root is not None:
                warn_of_strays(progress, uploads_switch(root, uploads_staging(root, journal.id), journal.uploads, journal.save))
            kept = engine.settle(journal, "new")
    except BaseException as error:
        with uninterrupted(swallow=True):
            try:
                _back(journal, engine, progress)
                warn_of_strays(progress, uploads_settle(journal.uploads, "old"))
            except (BackupError, OSError) as failure:
                # Not even asked whether it was committed, perhaps: that is for recovery, once the server answers.
                raise RestoreNotUndone(f"The load failed ({reason_of(error)}), and so did going back: {reason_of(failure)}") from error
        raise
    with uninterrupted(swallow=True), after_the_swap(journal):
        for warning in outcome["warnings"]:
            progress.warn(warning)
        journal.kept = {
            "strategy": "in-place",
            "until": kept_until(),
            "database": kept,
            "archive": journal.arguments.get("safety", ""),
            "uploads": uploads_kept(journal.uploads) if root else {},
        }
        report = RestoreReport(
            operation=journal.id,
            kind=journal.kind,
            archive=journal.archive,
            strategy="in-place",
            rows_before=before.rows,
            rows_after=rows_after,
            migrated=outcome["migrated"],
            milliseconds_closed=round(1000 * sum(progress.timings.get(stage, 0.0) for stage in ("load", "migrate")), 1),
            is_redo=journal.arguments.get("is_redo", False),
        )
        operation_live(journal, engine, status="done", report=report, progress=progress)
    return report


def in_place_settle(journal: Journal, engine: Engine, progress: Progress) -> Which:
    """Bring an interrupted load to its end, by the database's own word whether it was committed.

    Committed: migrate (again), which makes it the new data; where that fails, or a way back had begun, the safety archive
    is loaded. Not committed: nothing has happened.
    """
    if not journal.database.get("going_back"):
        if engine.judge(journal) == "old":
            return "old"
        try:
            shadow_run(journal, _live_name(), lenient=journal.kind == "undo")
        except RestoreFailed as error:
            progress.warn(error.message)
        else:
            return "new"
    _back(journal, engine, progress)
    return "old"


def _live_name() -> str:
    return str(connections["default"].settings_dict["NAME"])


def _back(journal: Journal, engine: Engine, progress: Progress) -> None:
    """Load the safety archive, unless nothing was committed. Can be run again after it was killed."""
    if not journal.database.get("going_back") and engine.judge(journal) == "old":
        return
    safety = journal.arguments.get("safety")
    if not safety:
        raise RestoreNotUndone("The load was committed, then failed, and there was no readable database before it to go back to.")
    # From here on the mark in the database says nothing any more: it may stand on the old data, loaded again.
    journal.database["going_back"] = True
    journal.save()
    folder = staging_folder(journal)
    private_folder(folder)
    with archive_opened(safety) as reader:
        dump = folder / f"safety-{reader.manifest.database.member}"
        dump.unlink(missing_ok=True)
        reader.extract(database_to=dump, uploads_to=None, on_bytes=progress.advance)
        plan = engine.plan_restore(reader.manifest.database, strategy="in-place", jobs=conf.restore_jobs)
        engine.inspect_dump(dump, plan)
        engine.load_in_place(journal, dump, plan, progress, expected=reader.manifest.rows, on_close=lambda: None)
    engine.settle(journal, "old")
