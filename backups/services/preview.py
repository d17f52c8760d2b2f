"""What a restore would do, without touching anything: ``backup_restore --dry-run``, and the preview of the pages."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import is_password_usable

from backups.archive import ArchiveReader
from backups.conf import conf
from backups.engines import Engine, Plan, engine_for
from backups.exceptions import ArchiveRejected, BackupError, PreflightRefused
from backups.files import private_folder
from backups.journal import Journal, journal_find, journal_load_all
from backups.manifest import Manifest, manifest_digest
from backups.preflight import migrations_pending_for, preflight_restore
from backups.progress import Progress
from backups.services.archives import archive_is_stored, archive_note, archive_opened
from backups.services.changes import changed_rows
from backups.services.operation import operation_run
from backups.services.stages import PREVIEW, live_before, staging_folder
from backups.uploads import UploadsDifference, uploads_compare, uploads_root

__all__ = ["AccountDifference", "OwnAccount", "Preview", "backup_preview", "preview_require", "restore_preview"]

# So many names of administrators are enough for a person to see that there is one.
NAMED = 5


@dataclass(frozen=True)
class AccountDifference:
    """What would be different for one account: absent in the archive, another password, other rights."""

    username: str
    sentence: str


@dataclass(frozen=True)
class OwnAccount:
    """Whether the asking person could log in to the site after the restore, and why, or with what difference."""

    username: str
    could_log_in: bool
    sentence: str


@dataclass
class Preview:
    """What a restore would do. ``rows`` maps a table to (now, in the archive), tables that are equal included.

    ``newer`` maps a model's label to rows added or changed since the archive was made: they would be lost.
    ``accounts`` names the differences of the asking user, or of all staff where nobody in particular asks. ``own`` is about the
    asking user alone, None where nobody in particular asks; ``administrators`` are active superusers in the archive, the first
    few. ``unread`` says why the live data could not be looked at; then nothing is compared with it.
    """

    manifest: Manifest
    signature: str
    plan: Plan
    labels: dict[str, str]
    rows: dict[str, tuple[int, int]]
    newer: dict[str, int]
    migrations: list[str]
    accounts: list[AccountDifference] = field(default_factory=list)
    own: OwnAccount | None = None
    administrators: list[str] = field(default_factory=list)
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
    with _scratch(conf.state_dir / "staging" / f"{PREVIEW}{uuid.uuid4().hex[:8]}") as folder:
        return _preview(
            archive,
            folder,
            progress or Progress(),
            strategy=strategy,
            uploads=uploads,
            jobs=jobs,
            trust_unsigned=trust_unsigned,
            username=username,
        )


def backup_preview(
    *, archive: str, uploads: str = "merge", requested_by: str = "", progress: Progress | None = None, request: str = ""
) -> Preview:
    """The preview as an operation like others, for pages: with the lock, so that the archive is not pruned meanwhile.

    Whether an archive without a valid signature is trusted is decided afterwards, by who has seen the preview. ``requested_by``
    is whose account is looked at; ``uploads`` is ``merge`` or ``skip``. The journal's report is the preview as JSON, or the
    state and the next step of the error that it raises, which is one that
    :func:`~backups.services.restore.backup_restore` would raise before it begins.
    """
    progress = progress or Progress()
    with operation_run(
        "preview",
        engine=engine_for(),
        progress=progress,
        requested_by=requested_by,
        archive=archive,
        arguments={"uploads": uploads},
        request=request,
    ) as journal:
        return _recorded(journal, progress)


def preview_require(operation: str, *, manifest: Manifest, journal: Journal) -> None:
    """Raise a BackupError unless the restore ``journal`` may begin from the preview ``operation``. The lock is held.

    The archive must be the one that was previewed, and the live data must not have been replaced since. One preview begins one
    restore: of a form that is sent twice, the second restore would throw away what the first one kept for undo.
    """
    preview = journal_find(operation)
    if preview is None or preview.kind != "preview" or preview.status != "done":
        raise PreflightRefused("There is no preview that this restore could begin from.", next_step="Make the preview again.")
    if manifest_digest(manifest) != preview.report["digest"]:
        raise ArchiveRejected(
            f"{journal.archive} is not what was previewed: it was replaced meanwhile.", next_step="Make the preview again."
        )
    for other in journal_load_all():
        if other.id == journal.id:
            continue
        if other.kind in ("restore", "undo") and other.status in ("done", "recovered") and other.ended_at > preview.ended_at:
            raise PreflightRefused("The data was replaced after the preview was made.", next_step="Make the preview again.")
        if other.arguments.get("previewed") == operation and (other.created_at, other.id) < (journal.created_at, journal.id):
            raise PreflightRefused("A restore has been begun from this preview already.", next_step="Make the preview again.")


def _recorded(journal: Journal, progress: Progress) -> Preview:
    try:
        with _scratch(staging_folder(journal)) as folder:
            preview = _preview(
                journal.archive,
                folder,
                progress,
                uploads=journal.arguments["uploads"],
                trust_unsigned=True,
                username=journal.requested_by,
                with_staff=True,
            )
    except BackupError as error:
        # Of a refusal the archive may be as good as any: something else stands in the way.
        journal.report = {"state": error.state, "next_step": error.next_step, "is_refusal": isinstance(error, PreflightRefused)}
        raise
    if archive_is_stored(journal.archive):
        archive_note(journal.archive, progress)
    journal.report = _report(preview)
    return preview


def _report(preview: Preview) -> dict[str, Any]:
    """The preview as JSON: the manifest by its facts and its digest, which says later whether it is still the same archive."""
    manifest = preview.manifest
    return {
        "signature": preview.signature,
        "plan": asdict(preview.plan),
        "rows": preview.rows,
        "newer": preview.newer,
        "migrations": preview.migrations,
        "accounts": [asdict(account) for account in preview.accounts],
        "own": preview.own and asdict(preview.own),
        "administrators": preview.administrators,
        "uploads": preview.uploads and asdict(preview.uploads),
        "warnings": preview.warnings,
        "unread": preview.unread,
        "archive_id": manifest.id,
        "digest": manifest_digest(manifest),
        "created_at": manifest.created_at.isoformat(),
        "note": manifest.note,
        "app_version": manifest.app_version,
        "vendor": manifest.database.vendor,
        "server_version": manifest.database.server_version,
        "has_uploads": manifest.uploads.included,
        "missing_uploads": len(manifest.uploads.missing),
    }


def _preview(
    archive: str,
    folder: Path,
    progress: Progress,
    *,
    uploads: str,
    trust_unsigned: bool,
    username: str,
    strategy: str = "auto",
    jobs: int | None = None,
    with_staff: bool = False,
) -> Preview:
    """``folder`` is an empty private one for the dump; ``with_staff``: the differences of all staff, also where somebody asks."""
    engine = engine_for()
    with archive_opened(archive) as reader:
        reader.require_trust(trust_unsigned)
        manifest = reader.manifest
        progress.stage("preflight")
        plan = preflight_restore(manifest=manifest, engine=engine, strategy=strategy, jobs=jobs or conf.restore_jobs, uploads=uploads)
        dump = _verified_dump(reader, folder, progress)
        engine.inspect_dump(dump, plan)
        progress.stage("compare")
        live = live_before(engine)
        tables = sorted(live.rows.keys() | manifest.rows.keys())
        archived = _archived_accounts(engine, dump)
        now = _live_accounts(engine) if live.rows else {}
        preview = Preview(
            manifest=manifest,
            signature=reader.signature,
            plan=plan,
            labels={model._meta.db_table: model._meta.label for model in apps.get_models()},
            rows={table: (live.rows.get(table, 0), manifest.rows.get(table, 0)) for table in tables},
            newer=changed_rows(engine, live.rows, since=manifest.created_at) if live.rows else {},
            migrations=migrations_pending_for(manifest.migrations),
            accounts=_differences(now, archived, "" if with_staff else username),
            own=_own(username, now.get(username), archived.get(username)) if username else None,
            administrators=[name for name, account in archived.items() if account["is_superuser"] and account["is_active"]][:NAMED],
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
def _scratch(folder: Path) -> Iterator[Path]:
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


Accounts = dict[str, dict[str, object]]


def _archived_accounts(engine: Engine, dump: Path) -> Accounts:
    """The accounts in the dump, by their names."""
    meta = get_user_model()._meta
    name_column = get_user_model().USERNAME_FIELD
    return {str(row[name_column]): _account(row) for row in engine.archived_rows(dump, meta.db_table)}


def _live_accounts(engine: Engine) -> Accounts:
    """The accounts that are live, by their names in order; none where the table is damaged: nobody is left to compare with."""
    meta, name_column = get_user_model()._meta, get_user_model().USERNAME_FIELD
    columns = [name_column, "password", "is_active", "is_staff", "is_superuser"]
    selected = ", ".join(f'"{column}"' for column in columns)
    try:
        rows = engine.select(f'SELECT {selected} FROM "{meta.db_table}" ORDER BY "{name_column}"')  # noqa: S608 - names of the model
    except BackupError:
        return {}
    return {str(values[0]): _account(dict(zip(columns, values, strict=True))) for values in rows}


def _differences(now: Accounts, archived: Accounts, username: str) -> list[AccountDifference]:
    """What is different for the one named, or for every active account of staff; nothing where nothing live could be read."""
    found = []
    for name, account in now.items():
        if name != username if username else not (account["is_staff"] and account["is_active"]):
            continue
        if sentence := _difference(account, archived.get(name)):
            found.append(AccountDifference(name, sentence))
    if now and username and username not in archived and not found:
        found.append(AccountDifference(username, "has no account, neither now nor in the archive"))
    return found


def _own(username: str, now: Mapping[str, object] | None, then: Mapping[str, object] | None) -> OwnAccount:
    if then is None:
        return OwnAccount(username, False, "the archive has no account of that name")
    if not then["is_active"]:
        return OwnAccount(username, False, "in the archive the account is switched off")
    if not is_password_usable(str(then["password"] or "!")):
        return OwnAccount(username, False, "in the archive the account has no password")
    parts = []
    if now is not None and now["password"] != then["password"]:
        parts.append("with the password of then, which is another one")
    if not then["is_staff"]:
        parts.append("but not to the admin: in the archive the account is not staff")
    elif now is not None and now["is_superuser"] and not then["is_superuser"]:
        parts.append("but no longer as a superuser")
    return OwnAccount(username, True, ", ".join(parts) or "as today")


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
