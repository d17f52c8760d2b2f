"""Documents of a client: added, replaced, removed, and opened by those alone who may."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from django.urls import reverse

from timetracker.accounts.roles import Role
from timetracker.clients.models import Client, Document
from timetracker.tests.people import PDF, browser_of, file_names, somebody

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]

Post = Callable[..., str]


@pytest.fixture
def document(media: Path) -> Document:
    document = Document(client=Client.objects.create(name="Sample Bakery"), title="Contract")
    document.file.save("contract.pdf", ContentFile(PDF))
    return document


@pytest.fixture
def manager() -> Browser:
    return browser_of(somebody("manager", Role.MANAGER))


@pytest.fixture
def post(manager: Browser, django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]]) -> Post:
    """Sends a form, and lets happen what a commit does; the page that it leads to."""

    def send(name: str, pk: int, /, **form: object) -> str:
        with django_capture_on_commit_callbacks(execute=True):
            return manager.post(reverse(f"staff:{name}", args=[pk]), form, follow=True).content.decode()

    return send


def test_a_document_is_added_under_the_name_of_its_file(post: Post, media: Path) -> None:
    client = Client.objects.create(name="Sample Bakery")
    page = post("document_add", client.pk, file=SimpleUploadedFile("Offer 2025.pdf", PDF), visible_to_client="on")
    made = Document.objects.get()
    assert (made.title, made.client, made.visible_to_client) == ("Offer 2025", client, True) and "Offer 2025 is saved." in page
    assert made.uploaded_by and made.uploaded_by.username == "manager" and len(file_names(media)) == 1


def test_a_file_that_is_not_what_it_says_is_refused_and_the_title_stays(post: Post, media: Path) -> None:
    client = Client.objects.create(name="Sample Bakery")
    page = post("document_add", client.pk, title="My offer", file=SimpleUploadedFile("offer.pdf", b"<html>"))
    assert "is no PDF file inside" in page and 'value="My offer"' in page and not Document.objects.exists() and file_names(media) == []


def test_a_document_is_opened_as_a_download_and_never_as_a_page(manager: Browser, document: Document) -> None:
    response = manager.get(reverse("staff:document", args=[document.pk]))
    assert b"".join(response) == PDF
    assert response["Content-Disposition"] == 'attachment; filename="contract.pdf"' and response["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response["Cache-Control"]


def test_a_document_is_not_opened_by_who_may_not_see_documents(document: Document) -> None:
    address = reverse("staff:document", args=[document.pk])
    assert browser_of(somebody("robin", Role.MEMBER)).get(address).status_code == 403
    assert Browser().get(address).status_code == 302
    assert Browser().get(f"/media/{document.file.name}").status_code == 404, "there is no way past the page"


def test_another_file_takes_the_place_of_the_first(post: Post, document: Document, media: Path) -> None:
    post("document_edit", document.pk, title="Contract", file=SimpleUploadedFile("signed.pdf", PDF + b" signed"))
    document.refresh_from_db()
    assert file_names(media) == ["signed.pdf"] and document.file.read() == PDF + b" signed"
    document.file.close()


def test_a_title_is_changed_and_the_file_stays(post: Post, document: Document, media: Path) -> None:
    post("document_edit", document.pk, title="Agreement", visible_to_client="on")
    document.refresh_from_db()
    assert (document.title, document.visible_to_client) == ("Agreement", True) and file_names(media) == ["contract.pdf"]


def test_a_refused_file_leaves_the_one_that_is_there(post: Post, document: Document, media: Path) -> None:
    page = post("document_edit", document.pk, title="Contract", file=SimpleUploadedFile("virus.exe", b"MZ"))
    assert "is not taken" in page and file_names(media) == ["contract.pdf"]


def test_a_document_is_deleted_with_its_file_after_a_question(manager: Browser, post: Post, document: Document, media: Path) -> None:
    assert "Delete Contract?" in manager.get(reverse("staff:document_delete", args=[document.pk])).content.decode()
    assert file_names(media) == ["contract.pdf"]
    post("document_delete", document.pk)
    assert not Document.objects.exists() and file_names(media) == []


def test_a_file_that_is_gone_is_not_found(manager: Browser, document: Document, media: Path) -> None:
    next(media.rglob("contract.pdf")).unlink()
    assert manager.get(reverse("staff:document", args=[document.pk])).status_code == 404


@pytest.mark.parametrize("name", ["document_edit", "document_delete"])
def test_a_member_changes_no_document(document: Document, name: str) -> None:
    browser = browser_of(somebody("robin", Role.MEMBER))
    assert browser.post(reverse(f"staff:{name}", args=[document.pk]), {"title": "Mine"}).status_code == 403
    assert Document.objects.get().title == "Contract"


def test_a_storage_that_takes_nothing_is_told_and_nothing_is_lost(
    post: Post, document: Document, media: Path, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MEDIA_ROOT = media.parent / "not-a-folder"
    settings.MEDIA_ROOT.write_text("in the way")
    page = post("document_edit", document.pk, title="Contract", file=SimpleUploadedFile("signed.pdf", PDF))
    assert "The file cannot be kept (" in page and "Choose the file once more" in page and "cannot be kept" in caplog.text
    settings.MEDIA_ROOT = media
    document.refresh_from_db()
    assert str(document.file.name).endswith("contract.pdf") and file_names(media) == ["contract.pdf"]


@pytest.mark.parametrize("name", ["Договор " * 30 + ".pdf", "契約書" * 70 + ".PDF", "💥.pdf", "؟ .pdf", "... .pdf"])
def test_a_file_of_any_name_is_kept_with_its_ending_and_opened_again(name: str, manager: Browser, post: Post, media: Path) -> None:
    client = Client.objects.create(name="Sample Bakery")
    for _ in range(2):
        assert "is saved." in post("document_add", client.pk, title="", file=SimpleUploadedFile(name, PDF))
    stored = file_names(media)
    assert len(set(stored)) == 2
    for kept in stored:
        assert len(kept.encode()) <= 255 and kept.lower().endswith(".pdf") and not kept.startswith(".")
    for document in Document.objects.all():
        answer = manager.get(reverse("staff:document", args=[document.pk]))
        assert b"".join(answer.streaming_content) == PDF  # type: ignore[attr-defined]


class Unreachable(Storage):
    """A storage elsewhere that answers nothing, with an error of its own."""

    def _save(self, name: str, content: File[Any]) -> str:
        raise BotoCoreError

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        raise BotoCoreError

    def exists(self, name: str) -> bool:
        raise BotoCoreError

    def delete(self, name: str) -> None:
        raise BotoCoreError


def test_a_storage_elsewhere_that_does_not_answer_is_told_and_nothing_is_lost(
    manager: Browser, post: Post, document: Document, media: Path, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": f"{__name__}.Unreachable"}}
    for name, pk in (("document_add", document.client_id), ("document_edit", document.pk)):
        page = post(name, pk, title="Contract", file=SimpleUploadedFile("signed.pdf", PDF))
        assert "The file cannot be kept (BotoCoreError: " in page and 'value="Contract"' in page
    assert manager.get(reverse("staff:document", args=[document.pk])).status_code == 404
    assert "cannot be read: BotoCoreError" in caplog.text
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}}
    assert Document.objects.get().file.name == document.file.name and file_names(media) == ["contract.pdf"]


def test_a_document_goes_also_where_its_file_stays(post: Post, document: Document, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": f"{__name__}.Unreachable"}}
    assert "Contract is deleted." in post("document_delete", document.pk)
    assert not Document.objects.exists() and "which no row names any more, cannot be deleted: BotoCoreError" in caplog.text


def test_the_admin_takes_no_other_files(document: Document) -> None:
    browser = browser_of(somebody("owner", Role.OWNER))
    form = {"client": document.client_id, "title": "Mine", "file": SimpleUploadedFile("page.html", b"<html>")}
    response = browser.post(reverse("admin:clients_document_add"), form)
    assert "is not taken" in response.content.decode() and Document.objects.count() == 1
