"""``backup_create``: one archive of database, settings and uploads."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path

from backups.archive import archive_name
from backups.engines import Engine, engine_for
from backups.exceptions import UsageError
from backups.manifest import text_accepted
from backups.preflight import migrations_pending_for, store_free_bytes
from backups.progress import Progress
from backups.services.make import CreatedBackup, archive_make
from backups.services.operation import operation_run

__all__ = ["CreatedBackup", "backup_create", "migrations_pending"]


def backup_create(
    *,
    trigger: str = "manual",
    note: str = "",
    pin: bool = False,
    uploads: bool = True,
    output: Path | None = None,
    gentle: bool = False,
    requested_by: str = "",
    wait: float = 0,
    progress: Progress | None = None,
    request: str = "",
) -> CreatedBackup:
    """Make one archive in the store, or at ``output`` (a new file, or a folder). ``request``: the queued journal that asks for it.

    ``gentle``: at a low priority, and no faster than ``BACKUPS_GENTLE_RATE`` (:mod:`backups.pace`).
    Raises :class:`~backups.exceptions.OperationLocked`, ``PreflightRefused``, ``DumpFailed``, ``ArchiveNotSaved`` or
    ``Interrupted``; none of them leaves a partial file.
    """
    engine = engine_for()
    progress = progress or Progress()
    # A browser ends lines in its own way, and no remark may be what a backup fails for.
    note = text_accepted(note)
    arguments = {"trigger": trigger, "note": note, "pin": pin, "uploads": uploads, "output": str(output or ""), "gentle": gentle}
    if output is not None:
        output = _destination(output)
    with operation_run(
        "create", engine=engine, progress=progress, wait=wait, requested_by=requested_by, arguments=arguments, request=request
    ) as journal:
        made = archive_make(
            journal,
            engine=engine,
            progress=progress,
            trigger=trigger,
            note=note,
            pin=pin,
            uploads=uploads,
            output=output,
            gentle=gentle,
        )
        journal.archive = made.location
        journal.report = {
            "archive": made.location,
            "bytes": made.size,
            "rows": sum(made.manifest.rows.values()),
            # What estimates and the chart of the space go by; uploads are None where they were left out.
            "database_bytes": made.manifest.database.size,
            "upload_bytes": made.manifest.uploads.bytes if made.manifest.uploads.included else None,
            "free_bytes": None if output else store_free_bytes(),
            "gentle": gentle,
            "seconds": progress.timings,
        }
        return made


def migrations_pending(engine: Engine) -> list[str]:
    """Names of migrations that the code has and the live data lacks; empty where there is no data to protect."""
    if engine.live_state().state != "ok":
        return []
    applied = engine.migrations()
    return migrations_pending_for(applied) if applied else []


def _destination(output: Path) -> Path:
    output = output.expanduser().absolute()
    if output.is_dir():
        return output / archive_name(datetime.now(UTC), secrets.token_hex(16))
    if output.exists():
        raise UsageError(f"{output} exists already.", next_step="Choose another path, or a folder: a new name is made in it.")
    if not output.parent.is_dir():
        raise UsageError(f"The folder {output.parent} does not exist.", next_step=f"Run: mkdir -p {output.parent}")
    return output
