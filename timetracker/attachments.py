"""Files that people attach to rows: which are taken, how one takes the place of another, and how they are handed out.

They lie in the default storage, whichever that is: nothing here knows a path.
"""

# Django's form classes take no type arguments at run time.
# mypy: disable-error-code="type-arg"

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.db import models, transaction
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, Http404

__all__ = [
    "DOCUMENT_MEGABYTES",
    "PAPERS",
    "PICTURES",
    "RECEIPT_MEGABYTES",
    "AttachmentField",
    "attachment_answer",
    "attachment_followed",
    "file_discard",
    "storage_asked",
]

logger = logging.getLogger(__name__)

# The most that one file may have, in MiB.
DOCUMENT_MEGABYTES, RECEIPT_MEGABYTES = 25, 10
_MEGABYTE = 1024 * 1024
# Bytes at the beginning that are looked at: PDF allows for so many before its mark (ISO 32000-1, annex H.3.4.1).
_HEAD = 1024
# Bytes of a name before its ending.
_STEM = 200


def _begins(*marks: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(marks)


def _is_text(head: bytes) -> bool:
    """Text of any encoding; in UTF-16, as spreadsheets write it, it begins with a byte order mark."""
    return b"\0" not in head or head.startswith((b"\xff\xfe", b"\xfe\xff"))


_ZIP = _begins(b"PK\x03\x04")
# What a file begins with whose name ends so.
_IS: dict[str, Callable[[bytes], bool]] = {
    "pdf": lambda head: b"%PDF-" in head,
    "png": _begins(b"\x89PNG\r\n\x1a\n"),
    "jpg": _begins(b"\xff\xd8\xff"),
    "jpeg": _begins(b"\xff\xd8\xff"),
    "webp": lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
    **dict.fromkeys(("docx", "xlsx", "pptx", "odt", "ods", "odp", "zip"), _ZIP),
    **dict.fromkeys(("csv", "md", "txt"), _is_text),
}
PICTURES = ("pdf", "png", "jpg", "jpeg", "webp")
PAPERS = tuple(_IS)


class AttachmentField(forms.FileField):
    """A file of one of these ``endings``, which is what its ending says, and of ``megabytes`` at most.

    The file that is there is shown by the page, as a link that asks who opens it.
    """

    widget = forms.FileInput

    def __init__(self, *, endings: Iterable[str], megabytes: int, **options: Any) -> None:
        """Tell people what is taken."""
        self.endings, self.megabytes = tuple(endings), megabytes
        options.setdefault("help_text", f"{_listed(self.endings)}; up to {megabytes} MB.")
        super().__init__(**options)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Let the browser offer what is taken."""
        return super().widget_attrs(widget) | {"accept": ",".join(f".{ending}" for ending in self.endings)}

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Refuse what is not taken, of a file that was sent."""
        found = super().clean(data, initial)
        if isinstance(data, UploadedFile) and found is data:
            self._check(data)
        return found

    def _check(self, upload: UploadedFile) -> None:
        name = upload.name or ""
        ending = PurePosixPath(name).suffix.removeprefix(".").lower()
        if ending not in self.endings:
            raise ValidationError(f"“{name}” is not taken. Choose one of these: {_listed(self.endings)}.", code="ending")
        if (upload.size or 0) > self.megabytes * _MEGABYTE:
            size = f"{(upload.size or 0) / _MEGABYTE:.1f}"
            raise ValidationError(f"“{name}” has {size} MB, and {self.megabytes} is the most. Choose a smaller one.", code="size")
        upload.seek(0)
        head = upload.read(_HEAD)
        upload.seek(0)
        if not _IS[ending](head):
            raise ValidationError(f"“{name}” is no {ending.upper()} file inside. Save it as one, and choose it again.", code="content")


@contextmanager
def attachment_followed(row: models.Model, field: str) -> Iterator[None]:
    """Save or delete ``row`` within this block, in one transaction: its files follow it.

    The file that it had before goes once that is committed, unless another row names it too; a new one goes if it is not.
    Raises OSError where the storage does not take it, whichever storage it is.
    """
    stored = type(row)._default_manager.filter(pk=row.pk).values_list(field, flat=True).first() if row.pk else None
    before = str(stored or "")
    try:
        with transaction.atomic():
            file: Any = getattr(row, field)
            if file and not file._committed:
                with storage_asked():
                    file.save(_fitting(str(file.name)), file.file, save=False)
            yield
            file = getattr(row, field)
            if before and (row.pk is None or file.name != before):
                transaction.on_commit(partial(_discard, type(row), field, before), robust=True)
    except BaseException:
        after: Any = getattr(row, field)
        # Until it is in the storage its name is what the browser sent.
        if after and after._committed and after.name != before:
            _discard(type(row), field, after.name)
        raise


def attachment_answer(file: FieldFile) -> FileResponse:
    """Return the file, to be saved and never shown within the site: anybody may have written it. Raises Http404 where it is missing.

    A browser that shows it all the same gives it no script and nothing of the site. What forms do not take (a restore may bring it)
    goes without a kind, so that nothing opens it by itself.
    """
    try:
        with storage_asked():
            content = file.open("rb")
    except OSError as error:
        logger.error("The file of %s %s cannot be read: %s", file.instance._meta.verbose_name, file.instance.pk, error)
        raise Http404("The file is missing.") from error
    name = PurePosixPath(str(file.name))
    is_known = name.suffix.removeprefix(".").lower() in _IS
    kind = {} if is_known else {"content_type": "application/octet-stream"}
    response = FileResponse(content, as_attachment=True, filename=name.name, **kind)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _fitting(name: str) -> str:
    """Return ``name`` as every file system takes it, with its ending: some letters, and room for what a storage may put behind them."""
    path = PurePosixPath(name)
    letters = re.sub(r"[^-\w.]", "", path.stem.strip().replace(" ", "_")).strip(".")
    # Most take 255 bytes, which are 63 characters of the longest kind.
    stem = letters.encode()[:_STEM].decode(errors="ignore")
    return f"{stem or 'file'}{path.suffix}"


@contextmanager
def storage_asked() -> Iterator[None]:
    """Ask the storage for something within this block: what it fails with is an OSError then."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # each storage has errors of its own
        raise OSError(f"{type(error).__name__}: {error}") from error


def file_discard(name: str) -> bool:
    """Delete a file of the default storage that no row names any more; False where that cannot be, which is logged."""
    try:
        with storage_asked():
            default_storage.delete(name)
    except OSError as error:
        logger.error("The file %s, which no row names any more, cannot be deleted: %s", name, error)
        return False
    return True


def _discard(model: type[models.Model], field: str, name: str) -> None:
    if not model._default_manager.filter(**{field: name}).exists():
        file_discard(name)


def _listed(endings: Iterable[str]) -> str:
    return ", ".join(ending.upper() for ending in endings if ending != "jpeg")
