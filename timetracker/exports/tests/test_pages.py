"""Exports as a browser asks for them: who may, what she sees of it, and who gets the file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client as Browser
from django.utils import timezone

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role
from timetracker.exports import asking
from timetracker.exports.models import Export
from timetracker.tests.people import HTMX, browser_of, somebody
from timetracker.tests.storages import storage_fails

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]

CONTENT = b"PK\x03\x04 a ZIP"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Export]:
    """The exports that a worker was told of, in place of telling one."""
    told: list[Export] = []
    monkeypatch.setattr(asking, "_wake", told.append)
    return told


@pytest.fixture
def owner() -> User:
    return somebody("olga", Role.OWNER)


@pytest.fixture
def robin() -> User:
    return somebody("robin", Role.MEMBER, full_name="Robin Sample")


def ready(user: User, scope: str = "own") -> Export:
    export = Export.objects.create(user=user, asked_by=str(user), scope=scope, state="ready", size=len(CONTENT))
    default_storage.save(export.stored_name, ContentFile(CONTENT))
    return export


def status(browser: Browser, export: Export) -> int:
    """The status of the answer to who asks for the file."""
    response = browser.get(address(export))
    if response.streaming:
        # Which closes the file.
        b"".join(response.streaming_content)  # type: ignore[attr-defined]
    return response.status_code


def address(export: Export) -> str:
    return f"/exports/{export.token}/file/"


# --- asking ---------------------------------------------------------------------------------------------------------------


def test_a_member_asks_for_her_own_data_on_her_account_page(
    robin: User, told: list[Export], django_capture_on_commit_callbacks: Any
) -> None:
    browser = browser_of(robin)
    page = browser.get("/account/").content.decode()
    assert 'action="/exports/own/ask/?at=account"' in page
    assert "without rates" in page
    with django_capture_on_commit_callbacks(execute=True):
        response = browser.post("/exports/own/ask/?at=account")
    assert (response.status_code, response["Location"]) == (302, "/account/#export-own")
    export = Export.objects.get()
    assert (export.user, export.asked_by, export.scope, export.state) == (robin, "Robin Sample (robin)", "own", "queued")
    assert told == [export]
    assert "Waiting for the worker" in browser.get("/account/").content.decode()


def test_asking_twice_asks_once_and_a_new_one_takes_the_place_of_the_one_before(robin: User, media: Path) -> None:
    before = ready(robin)
    browser = browser_of(robin)
    browser.post("/exports/own/ask/")
    browser.post("/exports/own/ask/")
    assert Export.objects.exclude(pk=before.pk).count() == Export.objects.count() == 1


def test_an_owner_takes_everything_from_import_export(owner: User, told: list[Export]) -> None:
    browser = browser_of(owner)
    page = browser.get("/import-export/").content.decode()
    assert 'action="/exports/everything/ask/?at=import_export"' in page
    assert 'action="/exports/own/ask/?at=import_export"' in page
    assert browser.post("/exports/everything/ask/")["Location"] == "/import-export/#export-everything"
    assert Export.objects.get().scope == "everything"


@pytest.mark.parametrize("role", [Role.MANAGER, Role.MEMBER, Role.BOOKKEEPER])
def test_only_who_may_is_offered_everything_and_gets_it(role: Role) -> None:
    browser = browser_of(somebody("kim", role))
    assert "/exports/everything/" not in browser.get("/import-export/").content.decode()
    assert browser.post("/exports/everything/ask/").status_code == 403
    assert browser.get("/exports/everything/", headers=HTMX).status_code == 404
    assert not Export.objects.exists()


def test_what_is_neither_ones_own_nor_everything_cannot_be_asked_for(owner: User) -> None:
    browser = browser_of(owner)
    assert browser.post("/exports/all/ask/").status_code == 403
    assert browser.get("/exports/all/").status_code == 404
    assert browser.get("/exports/own/ask/").status_code == 405


def test_strangers_and_people_of_clients_ask_for_nothing() -> None:
    guest = User.objects.create_user("guest")
    assert Browser().post("/exports/own/ask/")["Location"].startswith("/login/")
    assert browser_of(guest).post("/exports/own/ask/")["Location"] == "/portal/"
    assert not Export.objects.exists()


# --- waiting --------------------------------------------------------------------------------------------------------------


def test_who_waits_with_the_page_open_sees_when_it_is_ready(robin: User) -> None:
    export = Export.objects.create(user=robin, asked_by="robin", scope="own", state="making", began_at=timezone.now())
    browser = browser_of(robin)
    part = browser.get("/exports/own/?at=account", headers=HTMX).content.decode()
    assert 'hx-get="/exports/own/?at=account" hx-trigger="every 2s"' in part
    assert "Being made" in part
    assert "<html" not in part
    Export.objects.update(state="ready", missing_files=2)
    part = browser.get("/exports/own/?at=account", headers=HTMX).content.decode()
    assert "hx-trigger" not in part
    assert address(export) in part
    assert "2 files that rows name could not be found, and are not in it." in part
    assert browser.get("/exports/own/?at=account")["Location"] == "/account/#export-own"


def test_why_there_is_no_file_is_said(robin: User) -> None:
    Export.objects.create(user=robin, asked_by="robin", scope="own", state="failed", reason="The worker <stopped>.")
    page = browser_of(robin).get("/account/").content.decode()
    assert "<strong>There is no file.</strong> The worker &lt;stopped&gt;." in page
    assert "Make it anew" in page


@pytest.mark.parametrize("state", ["queued", "making", "ready", "failed"])
def test_one_is_given_up_file_and_row(robin: User, media: Path, state: str, django_capture_on_commit_callbacks: Any) -> None:
    export = ready(robin)
    Export.objects.update(state=state, began_at=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):
        response = browser_of(robin).post(f"/exports/{export.token}/delete/?at=account")
    assert response["Location"] == "/account/#export-own"
    assert not Export.objects.exists()
    assert not list((media / "exports").iterdir())


def test_nobody_gives_up_what_is_anothers(robin: User, owner: User) -> None:
    export = ready(robin)
    assert browser_of(owner).post(f"/exports/{export.token}/delete/").status_code == 404
    assert Export.objects.exists()


# --- having it ------------------------------------------------------------------------------------------------------------


def test_the_file_is_saved_and_never_shown_or_kept_on_the_way(robin: User) -> None:
    export = ready(robin)
    response = browser_of(robin).get(address(export))
    assert b"".join(response.streaming_content) == CONTENT  # type: ignore[attr-defined]
    assert response["Content-Type"] == "application/zip"
    assert response["Content-Disposition"] == f'attachment; filename="timetracker-own-{export.created_at:%Y-%m-%d-%H%M}.zip"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response["Cache-Control"]
    assert "private" in response["Cache-Control"]


def test_nobody_else_gets_the_file_whatever_she_may(robin: User, owner: User) -> None:
    export = ready(robin)
    root = User.objects.create_superuser("root")
    for browser in (browser_of(owner), browser_of(root), Browser()):
        assert status(browser, export) == 404
    assert browser_of(robin).get(f"/exports/{uuid4()}/file/").status_code == 404


def test_who_has_lost_her_account_gets_nothing(robin: User) -> None:
    export, browser = ready(robin), browser_of(robin)
    User.objects.filter(pk=robin.pk).update(is_staff=False)
    assert status(browser, export) == 404
    User.objects.filter(pk=robin.pk).update(is_staff=True, is_active=False)
    assert status(browser, export) == 404
    robin.delete()
    export.refresh_from_db()
    assert (export.user, export.asked_by) == (None, "Robin Sample")
    assert status(browser, export) == 404


def test_who_has_lost_the_right_to_everything_does_not_get_what_she_asked_for_before() -> None:
    kim = somebody("kim", Role.MEMBER, "exports.export_everything")
    everything, own, browser = ready(kim, "everything"), ready(kim), browser_of(kim)
    assert status(browser, everything) == 200
    kim.user_permissions.remove(Permission.objects.get(codename="export_everything"))
    assert status(browser, everything) == 404
    assert browser.post(f"/exports/{everything.token}/delete/").status_code == 404
    assert status(browser, own) == 200


def test_nothing_is_handed_out_that_is_not_ready_has_expired_or_is_gone(robin: User) -> None:
    export, browser = ready(robin), browser_of(robin)
    Export.objects.update(state="making")
    assert status(browser, export) == 404
    Export.objects.update(state="ready", expires_at=timezone.now() - timedelta(seconds=1))
    assert status(browser, export) == 404
    assert address(export) not in browser.get("/account/").content.decode()
    Export.objects.update(expires_at=timezone.now() + timedelta(days=1))
    default_storage.delete(export.stored_name)
    assert status(browser, export) == 404


def test_storage_that_fails_in_its_own_way_is_told_and_no_error_of_the_site(robin: User, monkeypatch: pytest.MonkeyPatch) -> None:
    export, browser = ready(robin), browser_of(robin)
    storage_fails(monkeypatch, "open")
    assert browser.get(address(export)).status_code == 404
