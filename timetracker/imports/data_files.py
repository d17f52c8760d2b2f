"""The files that rows of an export name: looked at as on the pages, and stored with the rows."""

from __future__ import annotations

from pathlib import PurePosixPath

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models import FileField, Model

from timetracker.attachments import DOCUMENT_MEGABYTES, PAPERS, PICTURES, RECEIPT_MEGABYTES, AttachmentField, file_discard
from timetracker.imports.data_file import DataFile
from timetracker.imports.data_here import Values

__all__ = ["DataFiles"]

_MEGABYTE = 1024 * 1024
# Which files a field takes: endings, and MiB. Any other field: as documents do.
_TAKEN = {"receipt": (PICTURES, RECEIPT_MEGABYTES), "pdf": (("pdf",), DOCUMENT_MEGABYTES)}


class DataFiles:
    """Files of one import, which come with ``data``. A file is named as :mod:`timetracker.imports.data_rows` reads it."""

    def __init__(self, data: DataFile) -> None:
        """Nothing is stored yet."""
        self._data = data
        self._stored: list[str] = []

    def check(self, field: FileField, named: Values) -> None:
        """Look at the file for ``field`` of a new row. Raises ValidationError for one that the pages would not take, or that is missing."""
        endings, megabytes = _taken(field)
        content = self._content(named, megabytes)
        if content is not None:
            AttachmentField(endings=endings, megabytes=megabytes).clean(SimpleUploadedFile(named["name"], content))
        elif not field.blank:
            raise ValidationError("The file is not there. Bring the whole ZIP, or leave this row out.")

    def store(self, row: Model, field: FileField, named: Values) -> str:
        """Store the file for ``field`` of ``row``, and return its name there; empty where it did not come with the rows."""
        content = self._content(named, _taken(field)[1])
        if content is None:
            return ""
        name = field.generate_filename(row, PurePosixPath(named["name"]).name)
        self._stored.append(default_storage.save(name, ContentFile(content)))
        return self._stored[-1]

    def discard(self) -> None:
        """Delete what was stored."""
        for name in self._stored:
            file_discard(name)

    def _content(self, named: Values, megabytes: int) -> bytes | None:
        """What is in a file; None where the export went without it, or ``data.json`` came alone. Raises ValidationError."""
        if named["member"] is None or self._data.is_alone:
            return None
        content = self._data.content(named["member"], megabytes * _MEGABYTE)
        if content is None:
            raise ValidationError(f"The ZIP has no such file, or one of more than {megabytes} MB. Bring it as it was downloaded.")
        return content


def _taken(field: FileField) -> tuple[tuple[str, ...], int]:
    return _TAKEN.get(field.name, (PAPERS, DOCUMENT_MEGABYTES))
