"""Imports from their beginning to their end.

A file is brought, then checked, then written: each of the latter two reads all of it, a small file within the page, a large one in the
worker. Nothing but the row itself is written until a whole file has been found good; then all of it is, in one transaction. Work that
was overtaken, by a cancellation or by a second worker that took the first for dead, is taken back with that transaction.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import IO, cast

from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import connection, transaction
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.attachments import file_discard, storage_asked
from timetracker.imports.data_file import data_open
from timetracker.imports.data_sheet import DataSheet
from timetracker.imports.exceptions import FileRefused, ImportOvertaken, ImportStopped
from timetracker.imports.fields import fields_for
from timetracker.imports.models import Import
from timetracker.imports.options import Options, options_guess
from timetracker.imports.permissions import may_create, may_import
from timetracker.imports.problems import problems_file
from timetracker.imports.record_sheets import ClientSheet, ProjectSheet
from timetracker.imports.records import records
from timetracker.imports.sheets import Sheet
from timetracker.imports.spool import Spool
from timetracker.imports.text import LARGEST, text_open
from timetracker.imports.time_sheet import TimeSheet
from timetracker.progress import Report, WorkCancelled, WorkGivesWay, progress_cancel, progress_of
from timetracker.tracking.days import zone_of

__all__ = ["import_begin", "import_bring", "import_discard", "import_is_stuck", "import_run"]

logger = logging.getLogger(__name__)

# Bytes up to which a file is read within the page: some two thousand rows, less than a second.
AT_ONCE = 256 * 1024
# A ZIP may be some hundred times as large as it looks.
AT_ONCE_DATA = 16 * 1024
# Bytes that an export may have: with the files, which it holds as they are.
LARGEST_DATA = 1024**3
# Without a sign of work for so long it can be begun again.
PATIENCE = timedelta(seconds=60)
# Any number that nothing else locks: imports into one database are written one after the other, or two of the same file would both be new.
_TURN = 7_413_608_211
_SHEETS: dict[str, type[Sheet]] = {Import.Kind.TIME: TimeSheet, Import.Kind.CLIENTS: ClientSheet, Import.Kind.PROJECTS: ProjectSheet}


def import_bring(upload: UploadedFile[bytes], *, kind: str, by: User) -> Import:
    """Keep a file, with a guess of what its columns mean, and return its row. Raises FileRefused for what is no table, and OSError where
    it cannot be kept.

    What was chosen for the latest file of the same columns is chosen again.
    """
    largest = LARGEST_DATA if kind == Import.Kind.DATA else LARGEST
    if (upload.size or 0) > largest:
        raise FileRefused(f"The file has more than {largest // 1024**2} MB. Divide it, and import one part after the other.")
    file: IO[bytes] = upload.file  # type: ignore[assignment]
    options = _options_of_data(file) if kind == Import.Kind.DATA else _options_guessed(file, kind, by)
    row = Import(kind=kind, by=by, name=str(upload.name or "file")[-255:], options=options.to_json())
    file.seek(0)
    with storage_asked():
        row.file.save("", File(file), save=False)
    try:
        row.save()
    except BaseException:
        file_discard(str(row.file.name))
        raise
    return row


def _options_of_data(file: IO[bytes]) -> Options:
    """There is nothing to choose. Raises FileRefused for what can be no export."""
    with data_open(file):
        return Options("", "")


def _options_guessed(file: IO[bytes], kind: str, by: User) -> Options:
    options = options_guess(file, kind, fields_for(kind, by), zone=zone_of(by).key)
    before = Import.objects.filter(by=by, kind=kind, options__header=options.header).exclude(state=Import.State.BROUGHT).first()
    if before is None:
        return options
    return replace(Options.from_json(before.options), encoding=options.encoding, delimiter=options.delimiter)


def import_begin(row: Import, act: Import.Act) -> None:
    """Begin to check or to write: a small file at once, a large one in the worker. What has begun already goes on as it is.

    Raises ImportStopped where the worker cannot be told; the row says so, too.
    """
    if row.is_under_way and not import_is_stuck(row):
        return
    run, problems = uuid.uuid4(), row.problems.name or ""
    began = Import.objects.filter(pk=row.pk, run=row.run, state=row.state).update(
        state=Import.State.WAITING, act=act, run=run, problems="", counts={}, message="", begun_at=timezone.now(), ended_at=None
    )
    if not began:
        return
    if problems:
        file_discard(problems)
    if _size(row) <= (AT_ONCE_DATA if row.kind == Import.Kind.DATA else AT_ONCE):
        import_run(row.pk, run)
    else:
        _send(row.pk, run)


def import_is_stuck(row: Import) -> bool:
    """Whether nothing has been heard for a minute of what should be under way: the worker was killed, or there is none."""
    if not row.is_under_way or row.begun_at is None:
        return False
    progress = progress_of(str(row.run)) if row.state == Import.State.RUNNING else None
    return timezone.now() - row.begun_at > PATIENCE and not (progress and progress.is_alive)


def import_discard(row: Import) -> None:
    """Delete a row with its files. What is under way for it is taken back."""
    if row.run is not None:
        progress_cancel(str(row.run))
    row.delete()
    for file in (row.file, row.problems):
        if file:
            file_discard(str(file.name))


def import_run(pk: int, run: uuid.UUID) -> None:
    """Check or write, if that is still what was begun as ``run``. All that goes wrong is in the row, and nothing else is written then."""
    mine = Import.objects.filter(pk=pk, run=run)
    if not mine.filter(state=Import.State.WAITING).update(state=Import.State.RUNNING, begun_at=timezone.now()):
        return
    row = mine.select_related("by").first()
    if row is None:
        return
    try:
        _run(row)
    except (ImportOvertaken, WorkCancelled):
        logger.info("Import %s was cancelled or begun again; what this run had written is taken back.", pk)
        return
    except WorkGivesWay:
        message = "The site was closed for a restore or for maintenance meanwhile, so nothing was imported. Begin again when it is over."
    except ImportStopped as error:
        message = str(error)
    except FileNotFoundError:
        message = "The file is no longer in the site's storage; a restore may have taken it away. Nothing was imported: upload it again."
    except Exception:
        logger.exception("Import %s failed.", pk)
        message = "It failed, and nothing was imported. The reason is in the log of the site: tell whoever runs it, or begin again."
    else:
        return
    mine.filter(state=Import.State.RUNNING).update(state=Import.State.FAILED, message=message, ended_at=timezone.now())


def _size(row: Import) -> int:
    """Bytes of its file; 0 where it cannot be had, as the run then says."""
    try:
        with storage_asked():
            return row.file.size
    except OSError:
        return 0


def _send(pk: int, run: uuid.UUID) -> None:
    from timetracker.imports.tasks import run_import

    try:
        run_import.apply_async((pk, str(run)), retry=False)
    except Exception as error:  # each broker has errors of its own
        logger.warning("An import could not be given to the worker: %s", error)
        message = "The worker cannot be reached, so nothing was begun. Tell whoever runs this site, and begin again."
        Import.objects.filter(pk=pk, run=run).update(state=Import.State.FAILED, message=message, ended_at=timezone.now())
        raise ImportStopped(message) from error


def _run(row: Import) -> None:
    """Read all of the file into the spool, compare it with what is here and, where nothing is wrong and that was asked for, write it."""
    if not row.by.is_active or not may_import(row.by, row.kind):
        raise ImportStopped("You may no longer import this. Ask somebody who gives out roles.")
    report = Report(str(row.run))
    with Spool() as spool, row.file.storage.open(str(row.file.name)) as opened:
        file = cast(IO[bytes], opened.file)
        if row.kind == Import.Kind.DATA:
            _run_data(row, spool, file, report)
        else:
            sheet = _SHEETS[row.kind](_options(row), row.by, spool)
            _read(file, sheet, report, size=row.file.size)
            _settle(row, sheet, report)


def _run_data(row: Import, spool: Spool, file: IO[bytes], report: Report) -> None:
    with data_open(file) as data:
        sheet = DataSheet(row.by, spool, data)
        report.stage("Reading", data.size, "bytes")
        for done in sheet.read():
            report.done(done)
        try:
            _settle(row, sheet, report)
        except BaseException:
            sheet.files.discard()
            raise


def _settle(row: Import, sheet: Sheet | DataSheet, report: Report) -> None:
    report.stage("Comparing with what is here", sheet.spool.rows, "rows")
    for done in sheet.compare():
        report.done(done)
    if row.act == Import.Act.CHECK or sheet.spool.bad:
        _end_check(row, sheet)
        return
    with transaction.atomic():
        _take_turn()
        report.stage("Writing", sheet.spool.rows, "rows")
        for done in sheet.write():
            report.done(done)
        _end(row, state=Import.State.DONE, counts=sheet.counts.to_json())


def _options(row: Import) -> Options:
    """What was chosen, as far as she may still bring it in."""
    options = Options.from_json(row.options)
    columns = {field.name: options.columns[field.name] for field in fields_for(row.kind, row.by) if field.name in options.columns}
    return replace(options, columns=columns, creates=options.creates and may_create(row.by, row.kind))


def _read(file: IO[bytes], sheet: Sheet, report: Report, *, size: int) -> None:
    report.stage("Reading", size, "bytes")
    text = text_open(file, sheet.options.encoding)
    try:
        rows = records(text, sheet.options.delimiter)
        first = next(rows, None)
        if first is None or first.cells != sheet.options.header:
            raise FileRefused("The first row is not the one whose columns were matched. Match the columns again.")
        for record in rows:
            sheet.read(record)
            report.done(file.tell())
    finally:
        text.detach()


def _end_check(row: Import, sheet: Sheet | DataSheet) -> None:
    name, counts = "", sheet.counts
    counts.bad = sheet.spool.bad
    if counts.bad:
        with problems_file(sheet.spool.problems()) as file:
            name = row.problems.storage.save(row.problems.field.generate_filename(row, ""), File(file))
    try:
        _end(row, state=Import.State.CHECKED, counts=counts.to_json(), problems=name)
    except ImportOvertaken:
        if name:
            file_discard(name)
        raise


def _end(row: Import, **values: object) -> None:
    """Say in the row that it is done. Raises ImportOvertaken where it is no longer this run's."""
    mine = Import.objects.filter(pk=row.pk, run=row.run, state=Import.State.RUNNING)
    if not mine.update(ended_at=timezone.now(), **values):
        raise ImportOvertaken


def _take_turn() -> None:
    """Wait until no other import writes. SQLite has let this transaction begin only then."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_TURN])
