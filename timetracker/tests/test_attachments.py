"""Files that people attach: which are taken, and that they follow their rows through commit and rollback."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile

from timetracker.attachments import PAPERS, PICTURES, AttachmentField, attachment_followed
from timetracker.clients.models import Client, Document
from timetracker.tests.people import PDF, PNG, file_names

pytestmark = pytest.mark.usefixtures("media")


TAKEN = [
    ("letter.pdf", PDF),
    ("LETTER.PDF", b"\n" * 900 + PDF),
    ("photo.png", PNG),
    ("photo.jpeg", b"\xff\xd8\xff\xe0"),
    ("photo.webp", b"RIFF\x10\0\0\0WEBPVP8 "),
    ("table.xlsx", b"PK\x03\x04\x14"),
    ("hours.csv", "day;hours\n2025-03-03;1½\n".encode()),
    ("hours.csv", "day;hours\n".encode("utf-16")),
]


@pytest.mark.parametrize(("name", "content"), TAKEN)
def test_a_file_is_taken_that_is_what_its_name_says(name: str, content: bytes) -> None:
    upload = SimpleUploadedFile(name, content)
    assert AttachmentField(endings=PAPERS, megabytes=1).clean(upload) is upload
    assert upload.read() == content, "it is read from its beginning afterwards"


REFUSED = [
    ("page.html", b"<html>", "is not taken"),
    ("picture.svg", b"<svg onload=alert(1)>", "is not taken"),
    ("letter", PDF, "is not taken"),
    ("letter.pdf.exe", PDF, "is not taken"),
    ("letter.pdf", b"<html><script>", "no PDF file inside"),
    ("letter.pdf", b" " * 1024 + PDF, "no PDF file inside"),
    ("photo.png", PDF, "no PNG file inside"),
    ("hours.csv", b"MZ\x90\0\x03", "no CSV file inside"),
    ("letter.pdf", PDF + b"0" * 1024 * 1024, "1.0 MB, and 1 is the most"),
    ("letter.pdf", b"", "empty"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), REFUSED)
def test_a_file_is_refused_with_the_reason(name: str, content: bytes, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AttachmentField(endings=PAPERS, megabytes=1).clean(SimpleUploadedFile(name, content))
    assert sentence in " ".join(caught.value.messages)


def test_a_receipt_is_no_text(media: Path) -> None:
    with pytest.raises(ValidationError):
        AttachmentField(endings=PICTURES, megabytes=1).clean(SimpleUploadedFile("hours.csv", b"day"))


Committing = Callable[..., AbstractContextManager[object]]


def stored(title: str = "Contract") -> Document:
    client, _ = Client.objects.get_or_create(name="Sample Bakery")
    document = Document(client=client, title=title)
    document.file.save("contract.pdf", ContentFile(PDF))
    return document


@pytest.mark.django_db
def test_a_file_goes_when_another_has_taken_its_place(media: Path, django_capture_on_commit_callbacks: Committing) -> None:
    document = stored()
    with django_capture_on_commit_callbacks(execute=True), attachment_followed(document, "file"):
        document.file = ContentFile(PDF, "newer.pdf")
        document.save()
        assert file_names(media) == ["contract.pdf", "newer.pdf"], "the old one stays until the row is committed"
    assert file_names(media) == ["newer.pdf"]


@pytest.mark.django_db
def test_nothing_is_lost_and_nothing_left_over_where_the_row_is_not_written(
    media: Path, django_capture_on_commit_callbacks: Committing
) -> None:
    document = stored()
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(OSError), attachment_followed(document, "file"):
        document.file = ContentFile(PDF, "newer.pdf")
        document.save()
        raise OSError("the line is cut")
    document.refresh_from_db()
    assert file_names(media) == ["contract.pdf"] and document.file.read() == PDF
    document.file.close()


@pytest.mark.django_db
def test_a_file_goes_with_its_row_unless_another_row_names_it(media: Path, django_capture_on_commit_callbacks: Committing) -> None:
    first = stored()
    second = Document.objects.create(client=first.client, title="The same", file=first.file.name)
    for document, left in ((first, ["contract.pdf"]), (second, [])):
        with django_capture_on_commit_callbacks(execute=True), attachment_followed(document, "file"):
            document.delete()
        assert file_names(media) == left


@pytest.mark.django_db
def test_what_is_uploaded_under_the_name_of_a_stored_file_never_deletes_that(media: Path) -> None:
    default_storage.save("contract.pdf", ContentFile(b"of somebody else"))
    document = stored()
    with pytest.raises(OSError), attachment_followed(document, "file"):
        document.file = ContentFile(PDF, "contract.pdf")
        raise OSError("before anything is saved")
    assert file_names(media) == ["contract.pdf", "contract.pdf"]
