"""Making an export: a ZIP on disk first, in the default storage then; no more of it in memory than some thousand rows."""

from __future__ import annotations

import io
import json
import logging
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from backups.gate import gate_read
from timetracker.accounts.models import User
from timetracker.attachments import file_discard
from timetracker.exports.access import may_export
from timetracker.exports.lock import export_lock
from timetracker.exports.models import Export
from timetracker.exports.sections import FORMAT, Section, sections_for
from timetracker.exports.snapshot import snapshot
from timetracker.exports.tables import table_write, tables_of
from timetracker.progress import Report, WorkCancelled, WorkGivesWay
from timetracker.siteconf.models import SiteSettings
from timetracker.tracking.days import zone_of

__all__ = ["INTERRUPTED", "ExportRefused", "exports_make"]

logger = logging.getLogger(__name__)

INTERRUPTED = "The worker was stopped while it made this. Ask for it again."
_CUT_OFF = "A restore of the site began meanwhile. Ask for it again when it is over."
_REFUSED = "You may not have this any more."
_BROKEN = "It could not be made. Whoever runs this site finds the cause in the worker's log."
_README = f"""What is in here

data.json   everything, exactly: the format {FORMAT}. TimeTracker can import it again.
*.csv       the same as tables, for spreadsheets. Text that a spreadsheet would take for a formula has an
            apostrophe in front, which the import of CSV takes away again.
files/      the files that rows name.

This is no backup: it cannot bring a site back as it was.
"""
# Bytes copied at once.
_BLOCK = 1024 * 1024


class ExportRefused(Exception):
    """There will be no file; the message says why, to the person who asked."""


def exports_make() -> None:
    """Make what is asked for, one after the other; nothing where another process is at it already.

    Raises nothing for an export that fails: its row says so.
    """
    with export_lock() as is_held:
        if not is_held:
            return
        for dead in Export.objects.filter(state=Export.State.MAKING):
            # Whoever began it held the lock.
            _fail(dead, INTERRUPTED)
        while export := Export.objects.filter(state=Export.State.QUEUED, expires_at__gt=timezone.now()).order_by("id").first():
            _make(export)


def _make(export: Export) -> None:
    if not _turn(export, Export.State.QUEUED, state=Export.State.MAKING, began_at=timezone.now()):
        return
    try:
        with tempfile.TemporaryFile(dir=_temporary_folder()) as file:
            report = Report(export.token.hex)
            counts, missing = _write(export, file, report)
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            report.stage("Putting it away", 0, "")
            report.done(0)
            default_storage.delete(export.stored_name)
            default_storage.save(export.stored_name, File(file))
    except WorkCancelled:
        # Its row is gone.
        logger.info("The export %s was given up.", export.token)
    except WorkGivesWay:
        _fail(export, _CUT_OFF)
    except ExportRefused as error:
        _fail(export, str(error))
    except Exception:
        # Its session may have been ended by a restore; the next query opens another.
        connection.close()
        is_cut_off = bool(gate_read().operation)
        logger.exception("The export %s for %s could not be made.", export.token, export.asked_by)
        _fail(export, _CUT_OFF if is_cut_off else _BROKEN)
    else:
        ready = {"state": Export.State.READY, "size": size, "row_counts": counts, "missing_files": missing}
        if not _turn(export, Export.State.MAKING, **ready):
            # Deleted meanwhile, or its row is gone with the data of before a restore.
            file_discard(export.stored_name)


def _fail(export: Export, reason: str) -> None:
    """Say why there is no file, and see to it that there is none. Where that cannot be now, the tick says so and the sweep deletes it."""
    try:
        _turn(export, Export.State.MAKING, state=Export.State.FAILED, reason=reason)
        default_storage.delete(export.stored_name)
    except Exception as error:  # each storage has errors of its own
        logger.error("The export %s failed, and what is left of it stays for now: %s", export.token, error)  # noqa: TRY400


def _turn(export: Export, before: Export.State, /, **values: Any) -> bool:
    """Change the row, whose state was ``before``; False where that is not so, or where there is no row.

    By its token: after a restore its id may be another's.
    """
    return bool(Export.objects.filter(token=export.token, state=before).update(updated_at=timezone.now(), **values))


def _write(export: Export, file: IO[bytes], report: Report) -> tuple[dict[str, int], int]:
    """Write the ZIP; return the number of rows of each section, and of files that are missing.

    Raises ExportRefused, WorkCancelled and WorkGivesWay: a restore waits for transactions that are older than it.
    """
    with snapshot():
        # Anew: what she may have now counts, and not what she might when she asked.
        user = User.objects.filter(exports=export).first()
        if user is None or not may_export(user, export.scope):
            raise ExportRefused(_REFUSED)
        sections = sections_for(user, export.scope)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.txt", _README)
            missing = frozenset(_files_write(archive, sections, report))
            counts = _json_write(archive, export, sections, missing, report)
            report.stage("Writing tables", sum(counts.values()), "rows")
            done = 0
            for table in (table for section in sections for table in tables_of(section)):
                with _text(archive, f"{table.name}.csv") as text:
                    for _ in table_write(table, text, zone_of(user)):
                        done += 1
                        report.done(done)
    return counts, len(missing)


def _files_write(archive: zipfile.ZipFile, sections: list[Section], report: Report) -> Iterator[str]:
    """Write the files that rows name; yield the members that are missing."""
    report.stage("Copying files", sum(section.count_files() for section in sections), "files")
    for done, (member, name) in enumerate(file for section in sections for file in section.files()):
        report.done(done)
        try:
            content = default_storage.open(name, "rb")
        except OSError as error:
            logger.warning("An export goes without the file %s: %s", name, error)
            yield member
            continue
        # What people attach is compressed already.
        info = zipfile.ZipInfo(member, datetime.now(UTC).timetuple()[:6])
        with content, archive.open(info, "w", force_zip64=True) as target:
            shutil.copyfileobj(content, target, _BLOCK)


def _json_write(
    archive: zipfile.ZipFile, export: Export, sections: list[Section], missing: frozenset[str], report: Report
) -> dict[str, int]:
    """Write ``data.json``, one row in a line; return the number of rows of each section."""
    counts: Counter[str] = Counter()
    head = {
        "format": FORMAT,
        "scope": export.scope,
        "made_at": timezone.now().isoformat(timespec="seconds"),
        "made_by": export.asked_by,
        "site": SiteSettings.load().company_name,
        "app_version": settings.APP_VERSION,
    }
    report.stage("Writing rows", sum(section.found.count() for section in sections), "rows")
    done = 0
    encode: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    with _text(archive, "data.json") as text:
        text.write(json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}"))
        for section in sections:
            text.write(f',\n "{section.name}": [')
            for row in section.rows(missing):
                text.write(f"{',' if counts[section.name] else ''}\n  {encode(row)}")
                counts[section.name] += 1
                done += 1
                report.done(done)
                for key, *_ in section.inner:
                    counts[f"invoice_{key}"] += len(row[key])
            text.write("\n ]")
        text.write("\n}\n")
    return {**dict.fromkeys((section.name for section in sections), 0), **counts}


@contextmanager
def _text(archive: zipfile.ZipFile, member: str) -> Iterator[IO[str]]:
    """A member of the archive to write text to, as UTF-8 and with no line end changed."""
    with archive.open(member, "w", force_zip64=True) as raw, io.TextIOWrapper(raw, "utf-8", newline="", write_through=False) as text:
        yield text


def _temporary_folder() -> Path:
    """Beside the data, and not where the system has its temporary files, which may lie in memory."""
    folder = Path(settings.DATA_DIR)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
