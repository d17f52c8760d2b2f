"""Making an archive under a lock that is held: database, settings and uploads, verified before it has its name."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.files.storage import storages
from django.db import DatabaseError, connections, models

from backups.archive import ArchiveReader, ArchiveWriter, MemberSpool, archive_name
from backups.catalogue import Origin, catalogue_record, catalogue_verified
from backups.conf import conf
from backups.durable import large_blocks_given_back
from backups.engines import Engine, Snapshot
from backups.engines.base import BATCH
from backups.exceptions import ArchiveNotSaved, ArchiveRejected, ArchiveTooLarge, BackupError, DumpFailed, NameTaken, reason_of
from backups.files import apply_owner, private_folder
from backups.instructions import restore_instructions
from backups.interrupts import too_late, uninterrupted
from backups.journal import Journal
from backups.manifest import Manifest, UploadsInfo
from backups.pace import LIMITED_SECONDS, Pace, Step, beside, pace_for
from backups.preflight import preflight_create
from backups.progress import Progress
from backups.services.partials import partials_remove
from backups.storage import ArchiveStore, archive_store, publish
from backups.uploads import printable, uploads_list, uploads_root

__all__ = ["CreatedBackup", "archive_make"]


# Names have 32 random bits: a store that says «taken» again and again has another trouble.
NAMES_TRIED = 5


@dataclass(frozen=True)
class CreatedBackup:
    """An archive that was made: its name in the store or its path, bytes, manifest (without its list of members), warnings."""

    location: str
    size: int
    manifest: Manifest
    warnings: list[str]


def archive_make(
    journal: Journal,
    *,
    engine: Engine,
    progress: Progress,
    trigger: str,
    note: str = "",
    pin: bool = False,
    uploads: bool = True,
    output: Path | None = None,
    gentle: bool = False,
) -> CreatedBackup:
    """Make one archive in the store, or at ``output`` (a path that does not exist yet); nothing partial is left behind.

    A restore with the strategy in-place makes its safety archive so too. Raises ``PreflightRefused``, ``DumpFailed``
    or ``ArchiveNotSaved``.
    """
    store = None if output else archive_store()
    pace = pace_for(gentle=gentle)
    created_at = datetime.now(UTC)
    archive_id = secrets.token_hex(16) if journal.kind != "create" else journal.id
    progress.stage("preflight")
    journal.enter("preflight")
    preflight_create(engine=engine, store=store, output=output, uploads=uploads)
    folder = store.folder() if store else _folder_of(output)
    partial = folder / f"{journal.short_id}_{archive_name(created_at, archive_id)}.partial"
    journal.arguments["partial"] = str(partial)
    journal.enter("dump")
    try:
        with _clean_folder(folder, journal):
            with ArchiveWriter(partial, created_at=created_at) as writer:
                manifest = _write(
                    writer, journal, engine, progress, pace, created_at, archive_id, trigger=trigger, note=note, pin=pin, uploads=uploads
                )
                journal.enter("verify")
                with beside(pace, writer.sync, name="backups-sync"):
                    _verify(partial, progress, pace)
            journal.enter("store")
            size = partial.stat().st_size
            progress.stage("store", total=store.bytes_to_move(size) if store else None)
            # On this host it takes a rename, which no signal may divide from its row; an upload can be stopped.
            with uninterrupted(swallow=journal.kind == "create") if store is None or store.local_root else nullcontext():
                location = _save(partial, store, output, created_at, archive_id, progress, pace)
                if store is not None:
                    _catalogue(location, size, manifest, journal.requested_by, progress)
                if journal.kind == "create":
                    too_late()
        if pace.is_lifted:
            progress.warn(f"BACKUPS_GENTLE_RATE was lifted after {LIMITED_SECONDS / 3600:g} hours: it is too low for this site.")
    except OSError as error:
        raise DumpFailed(
            f"The archive could not be written: {error.strerror or error} ({folder}).",
            next_step="Free some space (manage.py backup_list shows the archives), then run backup_create again.",
        ) from error
    return CreatedBackup(location, size, manifest, list(progress.warnings))


def _folder_of(output: Path | None) -> Path:
    assert output is not None  # noqa: S101 - narrows for the type checker: without a store there is a path
    return output.parent


@contextmanager
def _clean_folder(folder: Path, journal: Journal) -> Iterator[None]:
    """Remove what this operation left in the folder of partial files, however the block ends."""
    try:
        yield
    finally:
        with uninterrupted(swallow=True):
            partials_remove(folder, journal.short_id)


def _write(
    writer: ArchiveWriter,
    journal: Journal,
    engine: Engine,
    progress: Progress,
    pace: Pace,
    created_at: datetime,
    archive_id: str,
    *,
    trigger: str,
    note: str,
    pin: bool,
    uploads: bool,
) -> Manifest:
    """Dump and uploads at the same time: the uploads go straight into the archive, the dump follows from its spool."""
    large_blocks_given_back()
    root = uploads_root() if uploads else None
    scratch = writer.path.with_name(f"{journal.short_id}_copy.partial")
    private_folder(scratch)
    progress.stage("dump")
    with engine.snapshot(journal, scratch, pace) as snapshot:
        info = snapshot.database
        spool = MemberSpool(writer.path.with_name(f"{journal.short_id}_dump.partial"), compress=not snapshot.is_compressed)
        on_bytes = pace.counted(progress.advance)
        dump = Step(pace, lambda: _dump(snapshot, spool, on_bytes), name="backups-dump")
        try:
            upload_bytes = 0 if root is None else sum(file.size for file in uploads_list(root))
            progress.stage("dump", total=info.size + upload_bytes)
            dump.start()
            count, written = (0, 0) if root is None else pace.run(lambda: _add_uploads(writer, root, progress, on_bytes))
            dump.result()
        except BaseException:
            snapshot.stop()
            pace.stop()
            dump.abandon()
            raise
        missing = () if root is None else tuple(_missing_uploads(snapshot, root))
        pace.run(lambda: writer.add_spool(info.member, spool, pace.moved))
        writer.add_bytes("settings.json", _settings_json(progress))
        writer.add_bytes("RESTORE.txt", restore_instructions(info).encode())
        manifest = Manifest(
            id=archive_id,
            created_at=created_at,
            app_version=conf.app_version,
            trigger=trigger,
            note=note,
            pinned=pin,
            database=info,
            migrations=snapshot.migrations,
            rows=snapshot.rows,
            uploads=UploadsInfo(root is not None, count, written, missing),
            members=writer.members,
        )
        writer.end(manifest)
    if missing:
        progress.warn(f"{len(missing)} files that rows name do not exist in the uploads, first {printable(missing[0])}.")
    # Nobody asks for single members any more.
    return replace(manifest, members=())


def _dump(snapshot: Snapshot, spool: MemberSpool, on_bytes: Callable[[int], object]) -> None:
    def take(data: memoryview) -> None:
        spool.write(data)
        on_bytes(len(data))

    with spool:
        snapshot.write_to(take)


def _add_uploads(writer: ArchiveWriter, root: Path, progress: Progress, on_bytes: Callable[[int], object]) -> tuple[int, int]:
    count = total = 0

    def skipped(path: str, reason: str) -> None:
        progress.warn(f"{path} is not in the archive: {reason}.")

    for file in uploads_list(root, on_skipped=skipped):
        try:
            writer.add_file(f"uploads/{file.path}", root / file.path, on_bytes)
        except FileNotFoundError:
            continue  # Deleted since it was listed: rows of the snapshot that name it are reported as missing files.
        count += 1
        total += writer.members[-1].size
    return count, total


def _missing_uploads(snapshot: Snapshot, root: Path) -> Iterator[str]:
    """Files that rows of the snapshot name and that are not below ``root``."""
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, models.FileField) and field.storage == storages["default"]:
                for name in snapshot.values(model._meta.db_table, str(field.column)):
                    # os.path: pathlib raises for a name that is too long for any file system.
                    if not os.path.isfile(root / name):  # noqa: PTH113
                        yield name


def _settings_json(progress: Progress) -> bytes:
    snapshot: dict[str, Any] = {}
    if conf.settings_snapshot is not None:
        try:
            snapshot = conf.settings_snapshot()
        except DatabaseError as error:
            # For people to read only: the dump holds the same rows, so an archive without it restores as well.
            progress.warn(f"settings.json is empty: {reason_of(error)}")
            connections.close_all()
    return (json.dumps(snapshot, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _verify(partial: Path, progress: Progress, pace: Pace) -> None:
    progress.stage("verify")
    try:
        with partial.open("rb") as source, ArchiveReader(source, name=partial.name) as reader:
            progress.stage("verify", total=reader.total_bytes)
            pace.run(lambda: reader.verify(pace.counted(progress.advance)))
    except ArchiveTooLarge as error:
        raise DumpFailed(
            f"The archive would be larger than this site restores: {error.message}",
            next_step="Raise the setting that is named, then run backup_create again.",
        ) from error
    except ArchiveRejected as error:
        raise DumpFailed(
            f"The archive was written, but reading it back found: {error.message}",
            next_step="Check the disk (dmesg, smartctl), then run backup_create again.",
        ) from error


def _save(
    partial: Path, store: ArchiveStore | None, output: Path | None, created_at: datetime, archive_id: str, progress: Progress, pace: Pace
) -> str:
    if store is None:
        assert output is not None  # noqa: S101 - narrows for the type checker
        publish(partial, output)
        return str(output)
    digest = "" if store.local_root else pace.run(lambda: _sha256(partial, pace.moved))
    on_bytes = pace.counted(progress.advance)
    name = archive_name(created_at, archive_id)
    for attempt in range(NAMES_TRIED):
        try:
            pace.run(functools.partial(store.save, partial, name, sha256=digest, on_bytes=on_bytes))
            return name
        except ArchiveNotSaved as error:
            if not isinstance(error, NameTaken) or attempt == NAMES_TRIED - 1:
                raise _kept_here(partial, name, error) from error
        name = archive_name(created_at, secrets.token_hex(16))
    raise AssertionError("The last attempt returns or raises.")


def _kept_here(partial: Path, name: str, error: ArchiveNotSaved) -> ArchiveNotSaved:
    """Keep the good archive on this host, since its making may have taken an hour, and say where."""
    folder = conf.state_dir / "unsaved"
    private_folder(folder)
    try:
        kept = Path(shutil.move(partial, folder / name))
        apply_owner(kept, folder)
    except OSError:
        return error
    return ArchiveNotSaved(
        error.message,
        state=f"It was made all the same: it is whole and verified, and lies at {kept}.",
        next_step=f"Copy it to a safe place, or restore from it: manage.py backup_restore {kept}",
    )


def _sha256(path: Path, on_bytes: Callable[[int], object]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BATCH):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()


def _catalogue(name: str, size: int, manifest: Manifest, requested_by: str, progress: Progress) -> None:
    try:
        catalogue_record(name, size, manifest, "valid", origin=Origin(requested_by))
        catalogue_verified(name)
    except DatabaseError as error:
        progress.warn(f"The archive has no row in the catalogue yet ({reason_of(error)}); backup_list --reconcile makes it.")
        connections.close_all()
    except BackupError as error:
        progress.warn(error.message)
