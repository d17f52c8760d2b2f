"""``backup_restore``: built and proven beside the live data, swapped in, undone with one command.

Read :func:`backup_restore` from top to bottom: it is the documentation of what happens and in which order.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from backups.archive import ArchiveReader
from backups.conf import conf
from backups.durable import write_back_gently
from backups.engines import Engine, Plan, engine_for
from backups.exceptions import BackupError, RestoreFailed, RestoreNotUndone
from backups.files import private_folder
from backups.gate import gate_close, gate_open, gate_raise, gate_read_only, gate_require, gate_stage
from backups.interrupts import uninterrupted
from backups.journal import Journal
from backups.manifest import Manifest
from backups.pace import Pace, beside
from backups.preflight import preflight_restore
from backups.progress import Event, Progress
from backups.services.archives import archive_opened
from backups.services.carry_over import carry_over_proof, carry_over_remember
from backups.services.ending import RestoreReport, ended_notes, operation_live
from backups.services.in_place import in_place_load
from backups.services.kept import kept_expire, kept_until
from backups.services.operation import operation_run
from backups.services.prepare import Prepare, shadow_waiting
from backups.services.preview import preview_require
from backups.services.stages import (
    Before,
    after_the_swap,
    enter,
    live_before,
    live_recounted,
    rows_equal,
    staging_folder,
    uploads_staged,
    warn_of_strays,
)
from backups.signals import restore_begins
from backups.uploads import (
    uploads_discard,
    uploads_kept,
    uploads_plan,
    uploads_ready,
    uploads_root,
    uploads_settle,
    uploads_staging,
    uploads_switch,
    uploads_sync,
)

__all__ = ["RestoreReport", "backup_restore"]

logger = logging.getLogger(__name__)

# Uploads of up to so many times the database's size are unpacked while that is loaded. Both write: the load its tables, indexes and
# log at 60 MB/s (measured, two cores), unpacking at several hundred; changes are refused for no longer than the load takes.
BESIDE_LOAD = 2


def backup_restore(
    *,
    archive: str,
    strategy: str = "auto",
    uploads: str = "merge",
    jobs: int | None = None,
    trust_unsigned: bool = False,
    previewed: str = "",
    requested_by: str = "",
    wait: float = 0,
    progress: Progress | None = None,
    request: str = "",
) -> RestoreReport:
    """Replace the live data by what ``archive`` holds (a path, or a name in the store).

    ``uploads``: ``merge`` (the archive's files win, others stay), ``exact`` (others go) or ``skip``. ``request``: the
    queued journal that asks for it. ``previewed``: the preview that it begins from; refused where that does not
    fit any more. Raises a :class:`~backups.exceptions.BackupError`; unless it is ``RestoreNotUndone``, the live data is as it was.
    """
    progress = progress or Progress()
    engine = engine_for()
    gate_require()
    with archive_opened(archive) as reader:
        reader.require_trust(trust_unsigned)
        arguments = {"strategy": strategy, "uploads": uploads, "jobs": jobs or conf.restore_jobs, "previewed": previewed}
        with (
            operation_run(
                "restore",
                engine=engine,
                progress=progress,
                wait=wait,
                requested_by=requested_by,
                archive=archive,
                arguments=arguments,
                request=request,
            ) as journal,
            restoring(journal, engine, progress) as staging,
        ):
            if previewed:
                preview_require(previewed, manifest=reader.manifest, journal=journal)
            kept_expire(engine, progress)
            enter(journal, progress, "preflight")
            plan = preflight_restore(
                manifest=reader.manifest, engine=engine, strategy=strategy, jobs=jobs or conf.restore_jobs, uploads=uploads
            )
            if uploads == "merge" and not reader.manifest.uploads.included:
                uploads = "skip"
            later = plan.strategy == "swap" and uploads_can_wait(engine, reader.manifest)
            dump = extract(journal, reader, progress, staging, uploads, part="rest" if later else "all")
            carry_over_proof(journal)
            engine.inspect_dump(dump, plan)
            for warning in plan.warnings:
                progress.warn(warning)
            before = live_before(engine)

            if plan.strategy == "in-place":
                return in_place_load(
                    journal=journal,
                    engine=engine,
                    plan=plan,
                    dump=dump,
                    uploads=uploads,
                    manifest_rows=reader.manifest.rows,
                    before=before,
                    progress=progress,
                )
            with shadow_waiting(journal) as prepare:
                with uploads_meanwhile(journal, reader, uploads) if later else nullcontext(Pace()) as pace:
                    shadow = build(journal, engine, plan, dump, reader.manifest.rows, progress, pace)
                return swap_in(journal, engine, plan, shadow, uploads=uploads, before=before, prepare=prepare, progress=progress)


@contextmanager
def restoring(journal: Journal, engine: Engine, progress: Progress) -> Iterator[Path]:
    """The gate's flag, a private staging folder, and the way back: the one place for failure and for cleaning up.

    On an exception the shadow and everything staged is removed, uploads and live database are as before, and the gate is
    open; except after :class:`~backups.exceptions.RestoreNotUndone`, where the gate stays as it is for recovery.
    """
    staging = staging_folder(journal)
    progress.sinks.append(_show_in_gate)
    try:
        gate_raise(journal.id, journal.kind)
        restore_begins.send_robust(sender=Journal, operation=journal.id, kind=journal.kind)
        private_folder(staging)
        yield staging
    except RestoreNotUndone:
        raise
    except BaseException as error:
        with uninterrupted(swallow=True):
            _undo_everything(journal, engine, staging, progress)
        if isinstance(error, BackupError) or not isinstance(error, Exception):
            raise
        raise RestoreFailed(f"The {journal.kind} failed: {type(error).__name__}: {error}") from error
    finally:
        progress.sinks.remove(_show_in_gate)
    with uninterrupted(swallow=True):
        shutil.rmtree(staging, ignore_errors=True)


def _show_in_gate(event: Event) -> None:
    if event.kind == "progress":
        gate_stage(event.stage, event.percent)


def _undo_everything(journal: Journal, engine: Engine, staging: Path, progress: Progress) -> None:
    try:
        warn_of_strays(progress, uploads_settle(journal.uploads, "old"))
        engine.discard_shadow(journal)
        if journal.uploads:
            uploads_discard(Path(journal.uploads["root"]), journal.id)
        shutil.rmtree(staging, ignore_errors=True)
    except Exception as error:
        raise RestoreNotUndone(f"Cleaning up after the failed {journal.kind} did not succeed: {error}") from error
    try:
        gate_open()
    except BackupError as error:
        raise RestoreNotUndone(
            f"After the failed {journal.kind} the gate could not be opened: {error.message}", state=error.state, next_step=error.next_step
        ) from error
    ended_notes(journal, "old")


def uploads_can_wait(engine: Engine, manifest: Manifest) -> bool:
    """Whether the uploads are unpacked while the dump is loaded, since that takes longer anyway.

    Else they are unpacked before: changes are refused from the load on, and for no longer than that must take.
    """
    return engine.loads_slowly and manifest.uploads.bytes <= BESIDE_LOAD * manifest.database.size


def extract(
    journal: Journal, reader: ArchiveReader, progress: Progress, staging: Path, uploads: str, *, part: Literal["all", "rest"] = "all"
) -> Path:
    """Verify the archive while it is extracted; from here on only the staged bytes are used. ``rest`` leaves the uploads for later."""
    left_for_later = reader.manifest.uploads.bytes if part == "rest" else 0
    enter(journal, progress, "extract", total=reader.total_bytes - left_for_later)
    dump = staging / reader.manifest.database.member
    uploads_to = None
    if uploads != "skip":
        root = uploads_root()
        journal.uploads = uploads_plan(root, journal.id)
        journal.save()
        uploads_to = uploads_staging(root, journal.id) / "new"
    with unpacking(staging, None if part == "rest" else uploads_to):
        reader.extract(database_to=dump, uploads_to=uploads_to if part == "all" else None, on_bytes=progress.advance, part=part)
        if part == "all" and uploads_to is not None:
            uploads_ready(root, uploads_to.parent)
            uploads_sync(uploads_to.parent)
    if part == "all":
        # Its list of members is long; and reconciling the catalogue at the end may open this very archive once more.
        reader.let_go()
    return dump


@contextmanager
def uploads_meanwhile(journal: Journal, reader: ArchiveReader, uploads: str) -> Iterator[Pace]:
    """Verify and extract the uploads in a thread of its own during the block, which is to end where the pace is stopped."""
    pace = Pace()
    staging = None if uploads == "skip" else Path(journal.uploads["staging"])

    def unpack() -> None:
        with unpacking(staging):
            reader.extract(
                database_to=None,
                uploads_to=staging and staging / "new",
                on_bytes=pace.moved,
                part="uploads",
                on_upload=lambda descriptor: write_back_gently(descriptor, pace.check),
            )
            if staging is not None:
                uploads_ready(staging.parent, staging)

    with beside(pace, unpack, name="backups-uploads"):
        yield pace
    reader.let_go()


@contextmanager
def unpacking(*places: Path | None) -> Iterator[None]:
    """Say what to do where the disks of ``places`` do not take what is unpacked."""
    try:
        yield
    except OSError as error:
        raise RestoreFailed(
            f"The archive could not be extracted to {' and '.join(str(place) for place in places if place)}: {error.strerror or error}.",
            next_step="Free some space there, then run the command again.",
        ) from error


def build(journal: Journal, engine: Engine, plan: Plan, dump: Path, expected: dict[str, int], progress: Progress, pace: Pace) -> str:
    """Load the dump into a shadow and prove that it holds the rows that the manifest counts."""
    gate_read_only()
    enter(journal, progress, "shadow", total=dump.stat().st_size)
    shadow = engine.build_shadow(journal, dump, plan, progress, pace)
    # The disk need not be bothered with what it has not written of it by now.
    dump.unlink(missing_ok=True)
    enter(journal, progress, "rows")
    rows_equal(expected, engine.rows(shadow))
    return shadow


def swap_in(
    journal: Journal,
    engine: Engine,
    plan: Plan,
    shadow: str,
    *,
    uploads: str,
    before: Before,
    prepare: Prepare,
    progress: Progress,
) -> RestoreReport:
    """Migrate and prove ``shadow``, stage the uploads, drain, swap, open. Shared by restore and undo."""
    enter(journal, progress, "migrate")
    outcome = prepare(shadow)
    for warning in outcome["warnings"]:
        progress.warn(warning)
    rows_after = engine.rows(shadow)
    enter(journal, progress, "analyze")
    for warning in engine.finish_shadow(journal):
        progress.warn(warning)

    root = uploads_staged(journal, engine, progress, uploads)
    before = live_recounted(engine, before)
    journal.arguments["nothing_before"] = before.state in ("nothing", "damaged")
    if before.state == "unread":
        progress.warn(f"The rows that were live before could not be counted: {before.reason}")
    carry_over_remember(journal)

    enter(journal, progress, "swap")
    with uninterrupted(swallow=True):
        strays: list[str] = []
        swapped = engine.swap(journal, on_close=_close(journal, engine), switch_uploads=_switch(journal, root, strays))
        with after_the_swap(journal):
            warn_of_strays(progress, strays)
            journal.kept = {
                "strategy": plan.strategy,
                "until": kept_until(),
                "database": swapped["kept"],
                "uploads": uploads_kept(journal.uploads) if root else {},
            }
            report = RestoreReport(
                operation=journal.id,
                kind=journal.kind,
                archive=journal.archive,
                strategy=plan.strategy,
                rows_before=before.rows,
                rows_after=rows_after,
                migrated=outcome["migrated"],
                milliseconds_closed=round(float(str(swapped["milliseconds_closed"])), 1),
                is_redo=journal.arguments.get("is_redo", False),
            )
            operation_live(journal, engine, status="done", report=report, progress=progress)
    return report


def _close(journal: Journal, engine: Engine) -> Callable[[], None]:
    def close() -> None:
        gate_close(local_marker=engine.vendor == "sqlite")

    return close


def _switch(journal: Journal, root: Path | None, strays: list[str]) -> Callable[[], None]:
    """``strays`` takes what found its place taken: the database is closed meanwhile, and nobody is told of it before it is open."""

    def switch() -> None:
        if root is not None:
            strays.extend(uploads_switch(root, uploads_staging(root, journal.id), journal.uploads, journal.save))

    return switch
