"""``backup_restore --dry-run``: what a restore would do, without touching anything."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.apps import apps
from django.contrib.auth import get_user_model

from backups.archive import ArchiveReader
from backups.conf import conf
from backups.engines import Engine, Plan, engine_for
from backups.exceptions import BackupError
from backups.files import private_folder
from backups.manifest import Manifest
from backups.preflight import migrations_pending_for, preflight_restore
from backups.progress import Progress
from backups.services.archives import archive_opened
from backups.services.changes import changed_rows
from backups.services.stages import PREVIEW, live_before
from backups.uploads import UploadsDifference, uploads_compare, uploads_root

__all__ = ["AccountDifference", "Preview", "restore_preview"]


@dataclass(frozen=True)
class AccountDifference:
    """What would be different for one account: absent in the archive, another password, other rights."""

    username: str
    sentence: str


@dataclass
class Preview:
    """What a restore would do. ``rows`` maps a table to (now, in the archive), tables that are equal included.

    ``newer`` maps a model's label to rows added or changed since the archive was made: they would be lost.
    ``accounts`` names the differences of the asking user, or of all staff where nobody in particular asks. ``unread`` says why
    the live data could not be looked at; then nothing is compared with it.
    """

    manifest: Manifest
    signature: str
    plan: Plan
    labels: dict[str, str]
    rows: dict[str, tuple[int, int]]
    newer: dict[str, int]
    migrations: list[str]
    accounts: list[AccountDifference] = field(default_factory=list)
    uploads: UploadsDifference | None = None
    warnings: list[str] = field(default_factory=list)
    unread: str = ""


def restore_preview(
    *,
    archive: str,
    strategy: str = "auto",
    uploads: str = "merge",
    jobs: int | None = None,
    trust_unsigned: bool = False,
    username: str = "",
    progress: Progress | None = None,
) -> Preview:
    """Verify the whole archive, run the preflight, and compare; nothing live is touched and no lock is taken.

    ``username`` is who asks. Raises what :func:`~backups.services.restore.backup_restore` would raise before it begins.
    """
    progress = progress or Progress()
    engine = engine_for()
    with archive_opened(archive) as reader, _scratch() as folder:
        reader.require_trust(trust_unsigned)
        manifest = reader.manifest
        progress.stage("preflight")
        plan = preflight_restore(manifest=manifest, engine=engine, strategy=strategy, jobs=jobs or conf.restore_jobs, uploads=uploads)
        dump = _verified_dump(reader, folder, progress)
        engine.inspect_dump(dump, plan)
        progress.stage("compare")
        live = live_before(engine)
        tables = sorted(live.rows.keys() | manifest.rows.keys())
        preview = Preview(
            manifest=manifest,
            signature=reader.signature,
            plan=plan,
            labels={model._meta.db_table: model._meta.label for model in apps.get_models()},
            rows={table: (live.rows.get(table, 0), manifest.rows.get(table, 0)) for table in tables},
            newer=changed_rows(engine, live.rows, since=manifest.created_at) if live.rows else {},
            migrations=migrations_pending_for(manifest.migrations),
            accounts=_accounts(engine, dump, username) if live.rows else [],
            unread="" if live.state == "counted" else live.reason,
            warnings=plan.warnings,
        )
        if uploads != "skip" and manifest.uploads.included:
            members = (
                (member.path.removeprefix("uploads/"), member.size, member.sha256)
                for member in manifest.members
                if member.path.startswith("uploads/")
            )
            preview.uploads = uploads_compare(uploads_root(), members)
        progress.finish()
        return preview


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = conf.state_dir / "staging" / f"{PREVIEW}{uuid.uuid4().hex[:8]}"
    private_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _verified_dump(reader: ArchiveReader, folder: Path, progress: Progress) -> Path:
    progress.stage("verify", total=reader.total_bytes)
    dump = folder / reader.manifest.database.member
    reader.extract(database_to=dump, uploads_to=None, on_bytes=progress.advance)
    return dump


def _accounts(engine: Engine, dump: Path, username: str) -> list[AccountDifference]:
    """Compare accounts now and in the dump: the one named, or every active account of staff."""
    user_model = get_user_model()
    table, name_column = user_model._meta.db_table, user_model.USERNAME_FIELD
    columns = [name_column, "password", "is_active", "is_staff", "is_superuser"]
    archived = {str(row[name_column]): _account(row) for row in engine.archived_rows(dump, table)}
    selected = ", ".join(f'"{column}"' for column in columns)
    found = []
    try:
        rows = engine.select(f'SELECT {selected} FROM "{table}" ORDER BY "{name_column}"')  # noqa: S608 - names of the model
    except BackupError:
        return []  # Damaged: nobody is left to compare with.
    for values in rows:
        row = dict(zip(columns, values, strict=True))
        name, now = str(row[name_column]), _account(row)
        if name != username if username else not (now["is_staff"] and now["is_active"]):
            continue
        sentence = _difference(now, archived.get(name))
        if sentence:
            found.append(AccountDifference(name, sentence))
    if username and username not in archived and not found:
        found.append(AccountDifference(username, "has no account, neither now nor in the archive"))
    return found


def _account(row: Mapping[str, object]) -> dict[str, object]:
    """The parts of an account that decide who can log in; truth values of both vendors' dumps as bool."""
    flags = {flag: str(row.get(flag)) in ("1", "t", "True") for flag in ("is_active", "is_staff", "is_superuser")}
    return {"password": row.get("password"), **flags}


def _difference(now: Mapping[str, object], then: Mapping[str, object] | None) -> str:
    if then is None:
        return "does not exist in the archive and could not log in afterwards"
    parts = []
    if now["password"] != then["password"]:
        parts.append("has another password in the archive")
    for flag, phrase in (("is_active", "active"), ("is_staff", "staff"), ("is_superuser", "superuser")):
        if now[flag] != then[flag]:
            parts.append(f"is {phrase if then[flag] else f'not {phrase}'} in the archive")
    return " and ".join(parts)
