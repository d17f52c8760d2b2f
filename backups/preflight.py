"""Every check that needs no side effect, before an operation begins.

What belongs to one vendor (role, tools, sessions, extensions) is the engine's: ``Engine.plan_restore`` and
``Engine.inspect_dump``. Here is what all share: migrations, space, places to write.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from django.conf import settings

from backups.conf import conf
from backups.engines import Engine, Plan, Space
from backups.exceptions import BackupError, PreflightRefused
from backups.files import private_folder
from backups.manifest import Manifest
from backups.storage import ArchiveStore, archive_store
from backups.uploads import uploads_list, uploads_root

__all__ = [
    "HEADROOM",
    "bytes_to_create",
    "migrations_pending_for",
    "migrations_unknown",
    "preflight_create",
    "preflight_restore",
    "size_human",
    "store_free_bytes",
]

# Bytes that must stay free on a disk that an operation writes to: a full disk stops the site itself.
HEADROOM = 16 * 1024 * 1024
# A dump's compressed size is at most this share of the live database (indexes are not dumped, text shrinks).
DUMP_SHARE = 0.6


def store_free_bytes() -> int | None:
    """Bytes free where archives are written; None where nobody can tell now, which keeps neither a page nor a backup from its end."""
    try:
        return archive_store().free_bytes()
    except BackupError:
        return None


def size_human(count: float) -> str:
    """Bytes for people: ``812 kB``, ``1.4 GB`` (powers of 1000, as disks are sold)."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("bytes", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that there is."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _free(folder: Path) -> int:
    return shutil.disk_usage(_existing(folder)).free


def _require_space(folder: Path, needed: int, what: str) -> None:
    free = _free(folder)
    if free < needed + HEADROOM:
        raise PreflightRefused(
            f"{what} needs about {size_human(needed)} in {folder}, and {size_human(free)} are free there.",
            next_step="Free some space, then run the command again.",
        )


def _require_writable(folder: Path, what: str) -> None:
    private_folder(folder)
    probe = folder / f".write-probe-{os.getpid()}"
    try:
        probe.touch(mode=0o600)
        probe.unlink()
    except OSError as error:
        raise PreflightRefused(
            f"{what} cannot be written: {folder}: {error.strerror}.",
            next_step=f"Make it writable for the user that runs this (id {os.geteuid()}), then run the command again.",
        ) from error


def _state_writable() -> None:
    try:
        _require_writable(conf.state_dir, "The state folder (BACKUPS_STATE_DIR)")
    except OSError as error:
        raise PreflightRefused(
            f"The state folder {conf.state_dir} cannot be made: {error.strerror}.",
            next_step="Set DATA_DIR to a folder that can be written, then run the command again.",
        ) from error


def _refuse_database_inside(root: Path) -> None:
    """The uploads change places by renames: a SQLite file among them would be moved away while it is open."""
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3") and Path(str(database["NAME"])).resolve().is_relative_to(root):
        raise PreflightRefused(
            f"The database {database['NAME']} lies inside MEDIA_ROOT ({root}), which the site serves and a restore exchanges.",
            next_step="Stop the site, move the database out of there and set DATABASE_URL. "
            "Or leave the uploads out: backup_create --no-uploads, backup_restore --uploads skip.",
        )


def bytes_to_create(database_bytes: int, upload_bytes: int) -> int:
    """How many bytes an archive of a live database and of uploads of these sizes may take; beside them HEADROOM must stay free."""
    return int(database_bytes * DUMP_SHARE) + upload_bytes


def preflight_create(*, engine: Engine, store: ArchiveStore | None, output: Path | None, uploads: bool) -> None:
    """Refuse where there is no database to dump, the destination cannot be written or has too little space."""
    live = engine.live_state()
    if live.state != "ok":
        raise PreflightRefused(
            f"There is no database to back up: it is {live.state}. {live.detail}".strip(),
            next_step="Bring it back from an archive: manage.py backup_list, then manage.py backup_restore ARCHIVE",
        )
    upload_bytes = 0
    if uploads:
        root = uploads_root()
        _refuse_database_inside(root)
        upload_bytes = sum(file.size for file in uploads_list(root))
    needed = bytes_to_create(live.size, upload_bytes)
    if store is None:
        if output is None:
            raise ValueError("A backup goes to the store or to a path.")
        _require_writable(output.parent, "The destination")
        _require_space(output.parent, needed, "The archive")
        return
    store.check_writable()
    _require_space(store.folder(), needed, "The archive")


def _disk_migrations() -> set[tuple[str, str]]:
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None, ignore_no_migrations=True)
    names = set(loader.disk_migrations)
    for migration in loader.disk_migrations.values():
        names.update(migration.replaces)
    return names


def migrations_unknown(manifest: Manifest) -> list[str]:
    """Migrations applied in the archive that this code does not have, as ``app.name``."""
    known = _disk_migrations()
    return sorted(f"{app}.{name}" for app, names in manifest.migrations.items() for name in names if (app, name) not in known)


def migrations_pending_for(applied_by_app: Mapping[str, Sequence[str]]) -> list[str]:
    """Migrations that this code has and a database lacks in which ``applied_by_app`` were applied, as ``app.name``."""
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None, ignore_no_migrations=True)
    applied = {(app, name) for app, names in applied_by_app.items() for name in names}
    return sorted(f"{app}.{name}" for app, name in loader.graph.nodes if (app, name) not in applied)


def preflight_restore(*, manifest: Manifest, engine: Engine, strategy: str, jobs: int, uploads: str) -> Plan:
    """Check everything that the manifest alone can tell, and decide how the restore will go.

    ``uploads`` is ``merge``, ``exact`` or ``skip``. Raises :class:`~backups.exceptions.PreflightRefused`.
    """
    if manifest.database.vendor != engine.vendor:
        raise PreflightRefused(
            f"The archive holds a {manifest.database.vendor} database, and this site uses {engine.vendor}.",
            next_step=f"Restore it into a site whose DATABASE_URL names a {manifest.database.vendor} database.",
        )
    unknown = migrations_unknown(manifest)
    if unknown:
        raise PreflightRefused(
            f"The archive was made by newer or other code (version {manifest.app_version or 'unknown'}): "
            f"this code does not know its migrations {', '.join(unknown)}.",
            next_step=f"Install TimeTracker {manifest.app_version or 'of that version'} or newer, then run the command again.",
        )
    if uploads == "exact" and not manifest.uploads.included:
        raise PreflightRefused(
            "The archive holds no uploads, so --uploads exact would remove every file there is.",
            next_step="Run the command again with --uploads skip.",
        )
    dump_size = next(member.size for member in manifest.members if member.path == manifest.database.member)
    _state_writable()
    plan = engine.plan_restore(manifest.database, strategy=strategy, jobs=jobs, dump_size=dump_size)
    needed = {conf.state_dir: dump_size}
    if uploads != "skip" and manifest.uploads.included:
        root = uploads_root()
        _refuse_database_inside(root)
        _require_writable(root, "The uploads folder (MEDIA_ROOT)")
        needed[root] = manifest.uploads.bytes
    plan.spaces = _spaces(needed, plan)
    _require_space_together(plan)
    return plan


def _require_space_together(plan: Plan) -> None:
    """Refuse where a disk has too little free; one of which nobody knows how much that is, is let pass."""
    for space in plan.spaces:
        if space.free is not None and space.free < space.needed + HEADROOM:
            raise PreflightRefused(
                f"The restore needs about {size_human(space.needed)} on {space.disk}, and {size_human(space.free)} are free there.",
                next_step="Free some space there, then run the command again.",
            )


def _spaces(needed: Mapping[Path, int], plan: Plan) -> list[Space]:
    """What is needed and free on each disk. Folders on one file system share its space; a server's disk stands by itself."""
    database = Path(str(settings.DATABASES["default"].get("NAME") or ""))
    is_file = database.is_absolute()
    spaces = [] if is_file or not plan.needed_bytes else [Space("the disk of the database", plan.needed_bytes, plan.free_bytes)]
    parts = [*needed.items(), (database.parent, plan.needed_bytes)] if is_file else list(needed.items())
    disks: dict[int, tuple[Path, int]] = {}
    for folder, count in parts:
        existing = _existing(folder)
        first, total = disks.get(device := existing.stat().st_dev, (folder, 0))
        disks[device] = (first, total + count)
    return spaces + [Space(f"the disk of {folder}", count, _free(folder)) for folder, count in disks.values() if count]
