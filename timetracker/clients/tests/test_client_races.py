"""Two people at the same instant: nobody writes over the other, and nothing is left without what it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.http import HttpResponse
from django.urls import reverse

from timetracker.accounts.models import User
from timetracker.clients.models import Client, Document
from timetracker.tests.people import PDF, browser_of
from timetracker.tracking.models import Project

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*actions: Callable[[], HttpResponse]) -> list[HttpResponse]:
    """Let each run in a thread with a connection of its own; what they answer."""
    barrier = Barrier(len(actions), timeout=60)

    def run(action: Callable[[], HttpResponse]) -> HttpResponse:
        try:
            # The connection is open before the race begins.
            connection.ensure_connection()
            barrier.wait()
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actions)) as threads:
        return list(threads.map(run, actions))


def posting(page: str, /, *args: int, **form: object) -> Callable[[], HttpResponse]:
    """A browser of the administrator that sends this form when it is called."""
    browser = browser_of(User.objects.get(username="admin"))
    return lambda: browser.post(reverse(f"staff:{page}", args=args), form)  # type: ignore[return-value]


@pytest.fixture
def client() -> Client:
    User.objects.create_superuser("admin", is_staff=True)
    return Client.objects.create(name="Sample Bakery")


def test_of_forms_that_are_sent_at_once_one_is_saved_and_the_others_are_told(client: Client) -> None:
    for _ in range(3):
        client.refresh_from_db()
        loaded = {"name": client.name, "currency": "EUR", "as_of": client.updated_at.isoformat()}
        answers = at_once(*(posting("client_edit", client.pk, **loaded, phone=f"+{number}") for number in range(4)))
        told = [answer for answer in answers if answer.status_code == 200]
        assert len(told) == 3 and all("Somebody has changed this" in answer.content.decode() for answer in told)
        saved = [number for number, answer in enumerate(answers) if answer.status_code == 302]
        client.refresh_from_db()
        assert client.phone == f"+{saved[0]}"


def test_a_client_is_deleted_or_gets_a_project_and_never_both(client: Client) -> None:
    for number in range(5):
        client = Client.objects.create(name=f"Client {number}")
        form = {"client": client.pk, "name": "New", "code": f"NEW-{number}", "status": "active", "colour": "#aabbcc"}
        deleted, added = at_once(posting("client_delete", client.pk), posting("project_add", **form))
        is_there = Client.objects.filter(pk=client.pk).exists()
        assert is_there == Project.objects.filter(code=f"NEW-{number}").exists()
        assert (deleted.status_code, added.status_code) == ((409, 302) if is_there else (302, 200))


def test_a_document_that_is_deleted_while_it_is_changed_never_comes_back_without_its_file(
    client: Client, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    for _ in range(3):
        document = Document(client=client, title="Contract")
        document.file.save("contract.pdf", ContentFile(PDF))
        upload = SimpleUploadedFile("signed.pdf", PDF)
        at_once(posting("document_edit", document.pk, title="Mine", file=upload), posting("document_delete", document.pk))
        assert not Document.objects.exists() and not list(tmp_path.rglob("*.pdf"))
