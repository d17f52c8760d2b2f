"""``backup_undo``: swap the kept state back, and keep what was live as redo."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from backups.engines import Engine, Plan, engine_for
from backups.exceptions import BackupError, PreflightRefused
from backups.gate import gate_read_only, gate_require
from backups.journal import Journal
from backups.progress import Progress
from backups.services.archives import archive_opened
from backups.services.changes import changed_rows
from backups.services.ending import RestoreReport
from backups.services.in_place import in_place_load
from backups.services.kept import kept_current, kept_expire, kept_usable
from backups.services.operation import operation_run
from backups.services.prepare import shadow_run
from backups.services.restore import extract, restoring, swap_in
from backups.services.stages import enter, live_before
from backups.uploads import uploads_adopt_kept, uploads_plan, uploads_staging

__all__ = ["UndoPreview", "backup_undo", "undo_preview"]


@dataclass(frozen=True)
class UndoPreview:
    """What an undo would do: the operation it undoes, and what has changed since, which it would put aside.

    ``rows`` maps a table to its count right after that operation and now, where they differ; ``back`` to its count now and in what
    comes back, tables that are equal included, and is empty where nobody could count that. ``changed`` maps a model's label to the
    rows that were added or changed since, for models that keep a time of change. ``unread`` says why the live data could not be
    looked at; then none of them is known.
    """

    operation: str
    kind: str
    archive: str
    ended_at: str
    until: str
    unread: str = ""
    rows: dict[str, tuple[int, int]] = field(default_factory=dict)
    back: dict[str, tuple[int, int]] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)


def _kept() -> Journal:
    kept = kept_current()
    if kept is None or not kept_usable(kept):
        raise BackupError(
            "There is nothing to undo: no restore has succeeded, or its kept state has expired.",
            next_step="Restore from an archive instead: manage.py backup_list",
        )
    return kept


def undo_preview() -> UndoPreview:
    """Say what :func:`backup_undo` would undo and what has changed since; touches nothing."""
    kept = _kept()
    engine = engine_for()
    live = live_before(engine)
    then: dict[str, int] = kept.report.get("rows_after", {})
    differ = {
        table: (then.get(table, 0), live.rows.get(table, 0))
        for table in sorted(then.keys() | live.rows.keys())
        if then
        and live.state == "counted"
        and then.get(table, 0) != live.rows.get(table, 0)
        and not table.startswith(("django_session", "backups_"))
    }
    before: dict[str, int] = kept.report.get("rows_before", {}) if live.state == "counted" else {}
    back = {table: (live.rows.get(table, 0), before.get(table, 0)) for table in sorted(before.keys() | live.rows.keys()) if before}
    return UndoPreview(
        operation=kept.id,
        kind=kept.kind,
        archive=kept.archive,
        ended_at=kept.ended_at,
        until=str(kept.kept["until"]),
        rows=differ,
        back=back,
        unread="" if live.state == "counted" else live.reason,
        changed=changed_rows(engine, live.rows, since=kept.ended_at) if live.rows else {},
    )


def backup_undo(
    *, undoes: str = "", requested_by: str = "", wait: float = 0, progress: Progress | None = None, request: str = ""
) -> RestoreReport:
    """Bring back what was live before the last restore (or undo); what is live now is kept in its place.

    ``undoes``: the operation that is to be undone and no other: a form that is sent twice must not undo its own undo.
    ``request``: the queued journal that asks for it. Raises a :class:`~backups.exceptions.BackupError`; unless it is
    ``RestoreNotUndone``, the live data is as it was.
    """
    progress = progress or Progress()
    engine = engine_for()
    gate_require()
    arguments = {"undoes": undoes or _kept().id}
    with (
        operation_run(
            "undo", engine=engine, progress=progress, wait=wait, requested_by=requested_by, arguments=arguments, request=request
        ) as journal,
        restoring(journal, engine, progress) as staging,
    ):
        kept_expire(engine, progress)
        kept = _kept()
        if undoes and kept.id != undoes:
            raise PreflightRefused(
                "Something else was restored or undone meanwhile, so that this would undo something else.",
                next_step="Look at what would be undone now: manage.py backup_undo --dry-run",
            )
        journal.arguments["undoes"], journal.archive = kept.id, kept.archive
        # Undo, undo again, and once more: every second one is a redo.
        journal.arguments["is_redo"] = kept.kind == "undo" and not kept.arguments.get("is_redo")
        if kept.kept["strategy"] == "in-place":
            return _undo_in_place(journal, engine, kept, staging, progress)
        return _undo_swap(journal, engine, kept, progress)


def _adopt_uploads(journal: Journal, kept: Journal) -> str:
    uploads = kept.kept.get("uploads")
    if not uploads:
        return "skip"
    root = Path(uploads["root"])
    journal.uploads = uploads_plan(root, journal.id)
    journal.save()
    uploads_adopt_kept(root, uploads_staging(root, journal.id), uploads, journal.uploads, journal.save)
    return "exact"


def _undo_swap(journal: Journal, engine: Engine, kept: Journal, progress: Progress) -> RestoreReport:
    before = live_before(engine)
    gate_read_only()
    enter(journal, progress, "shadow")
    shadow = engine.adopt_kept(journal, kept.kept["database"])
    uploads = _adopt_uploads(journal, kept)
    plan, prepare = Plan(strategy="swap"), partial(shadow_run, journal, lenient=True)
    return swap_in(journal, engine, plan, shadow, uploads=uploads, before=before, prepare=prepare, progress=progress)


def _undo_in_place(journal: Journal, engine: Engine, kept: Journal, staging: Path, progress: Progress) -> RestoreReport:
    before = live_before(engine)
    with archive_opened(str(kept.kept["archive"])) as reader:
        plan = engine.plan_restore(reader.manifest.database, strategy="in-place")
        dump = extract(journal, reader, progress, staging, "skip")
        rows = reader.manifest.rows
    engine.inspect_dump(dump, plan)
    uploads = _adopt_uploads(journal, kept)
    return in_place_load(
        journal=journal,
        engine=engine,
        plan=plan,
        dump=dump,
        uploads=uploads,
        manifest_rows=rows,
        before=before,
        progress=progress,
        lenient=True,
    )
