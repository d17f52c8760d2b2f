"""The password once more: before download and deletion, once in ten minutes, for this session and account alone."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.cache import caches
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from backups.pages.confirm import CONFIRMED_SECONDS, SESSION_KEY
from backups.tests.stored import archive_placed, store_of_its_own
from timetracker.accounts.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_gate"), pytest.mark.one_engine]

PASSWORD = "correct horse battery"


@pytest.fixture
def person(db: None) -> User:
    """Somebody on the staff who may download and delete."""
    made = User.objects.create_user("ada", password=PASSWORD, is_staff=True)
    made.user_permissions.set(Permission.objects.filter(codename__in=["download_backup", "delete_backup", "view_backup"]))
    return made


@pytest.fixture
def browser(person: User) -> Client:
    """Their browser."""
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def archive(settings: Settings, tmp_path: Path) -> str:
    """An archive that may be deleted."""
    store = store_of_its_own(settings, tmp_path / "store")
    name = archive_placed(store)
    archive_placed(store, 1)
    return name


@pytest.fixture
def path(archive: str) -> str:
    """Where its download is asked for."""
    return reverse("admin:backups_download", args=[archive])


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    """No wrong password is counted before and after a test."""
    caches["logins"].clear()
    yield
    caches["logins"].clear()


def asks(answer: Any) -> bool:
    """Whether it is the page that asks for the password."""
    assert answer.status_code == 200
    return 'name="password"' in answer.content.decode()


def test_first_asks_and_then_goes_on_with_what_was_asked_for(browser: Client, path: str) -> None:
    assert asks(browser.post(path))
    answer = browser.post(path, {"password": PASSWORD})
    assert not asks(answer)
    assert "The download begins by itself" in answer.content.decode()
    assert not asks(browser.post(path)), "once in ten minutes is enough"


def test_wrong_password_asks_again_and_says_so(browser: Client, path: str) -> None:
    answer = browser.post(path, {"password": "wrong"})
    assert asks(answer)
    assert "That is not the password of ada. Try again." in answer.content.decode()
    assert 'aria-invalid="true"' in answer.content.decode()
    assert asks(browser.post(path)), "a wrong one confirms nothing"


def test_fields_of_the_form_are_posted_once_more_but_never_the_password(browser: Client, path: str) -> None:
    fields = {"note": 'a "quoted" <b>', "several": ["1", "2"], "password": "wrong-one"}
    page = browser.post(path, fields).content.decode()
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.partition('class="confirm-password"')[2])
    assert [pair for pair in hidden if pair[0] != "csrfmiddlewaretoken"] == [
        ("note", "a &quot;quoted&quot; &lt;b&gt;"),
        ("several", "1"),
        ("several", "2"),
    ]
    assert sum(name == "csrfmiddlewaretoken" for name, _ in hidden) == 1
    assert "wrong-one" not in page


@pytest.mark.parametrize("ago", [CONFIRMED_SECONDS + 1, -3600], ids=["too long ago", "while the clock was ahead"])
def test_old_confirmation_counts_no_more(browser: Client, person: User, path: str, ago: float) -> None:
    session = browser.session
    session[SESSION_KEY] = [person.pk, time.time() - ago]
    session.save()
    assert asks(browser.post(path))


@pytest.mark.parametrize("left", ["yes", 5, [], [1], {"at": 1}, [None, None]], ids=str)
def test_what_makes_no_sense_in_the_session_confirms_nothing(browser: Client, path: str, left: object) -> None:
    session = browser.session
    session[SESSION_KEY] = left
    session.save()
    assert asks(browser.post(path))


def test_confirmation_is_that_of_one_session(browser: Client, person: User, path: str) -> None:
    browser.post(path, {"password": PASSWORD})
    other = Client()
    other.force_login(person)
    assert asks(other.post(path))


def test_confirmation_is_that_of_one_account(browser: Client, person: User, path: str) -> None:
    session = browser.session
    session[SESSION_KEY] = [person.pk + 1, time.time()]
    session.save()
    assert asks(browser.post(path))


def test_password_of_another_account_is_wrong(browser: Client, path: str) -> None:
    User.objects.create_superuser("bob", password="another good password")
    assert asks(browser.post(path, {"password": "another good password"}))
    assert asks(browser.post(path, {"username": "bob", "password": "another good password"}))


def test_guessing_is_throttled_like_logging_in(browser: Client, path: str, settings: Settings) -> None:
    for _ in range(settings.AXES_FAILURE_LIMIT - 1):
        assert asks(browser.post(path, {"password": "wrong"}))
    assert browser.post(path, {"password": "wrong"}).status_code == 429
    assert browser.post(path, {"password": PASSWORD}).status_code == 429, "the right one does not help now"
    assert asks(browser.post(path)), "who types nothing is told what is asked for"
    caches["logins"].clear()
    assert not asks(browser.post(path, {"password": PASSWORD}))


def test_account_without_a_password_is_told_what_to_do(browser: Client, person: User, path: str) -> None:
    person.set_unusable_password()
    person.save()
    browser.force_login(person)
    page = browser.post(path)
    assert not asks(page)
    assert "Your account has no password" in page.content.decode()


def test_who_may_not_is_refused_before_a_password_is_typed(browser: Client, person: User, path: str) -> None:
    person.user_permissions.clear()
    assert browser.post(path, {"password": PASSWORD}).status_code == 403
    assert SESSION_KEY not in browser.session
