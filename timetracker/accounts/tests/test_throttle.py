"""The throttle of logins: the team's, the portal's and the admin's, counted in a cache and never in the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axes.handlers.proxy import AxesProxyHandler
from django.apps import apps
from django.conf import settings as site_settings
from django.core.cache import caches
from django.db import connection
from django.http import HttpRequest
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from timetracker.accounts.models import User
from timetracker.accounts.throttle import ThrottleHandler, client_address

PASSWORD = "correct horse battery"
LIMIT = site_settings.AXES_FAILURE_LIMIT
LOGINS = ["portal:login", "admin:login", "staff:login"]

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def counts() -> Iterator[None]:
    """Nothing is counted before and after a test, and the handler knows the cache of the settings."""
    caches["logins"].clear()
    yield
    AxesProxyHandler.get_implementation(force=True)
    caches["logins"].clear()


@pytest.fixture
def boss() -> User:
    return User.objects.create_superuser("boss", "boss@studio.example", PASSWORD)


def try_login(password: str, *, page: str = "admin:login", username: str = "boss", address: str = "127.0.0.1") -> Any:
    """One login from one address."""
    return Browser(REMOTE_ADDR=address).post(reverse(page), {"username": username, "password": password})


@pytest.mark.parametrize("page", LOGINS)
def test_ten_wrong_passwords_and_the_right_one_has_to_wait_too(boss: User, page: str) -> None:
    answers = [try_login("wrong", page=page).status_code for _ in range(LIMIT)]
    assert answers == [200] * (LIMIT - 1) + [429]
    locked = try_login(PASSWORD, page=page)
    assert locked.status_code == 429 and locked.headers["Retry-After"] == "900"
    assert b"For the next 15 minutes" in locked.content and "no-store" in locked.headers["Cache-Control"]


def test_all_logins_count_together(boss: User) -> None:
    for number in range(LIMIT):
        try_login("wrong", page=LOGINS[number % len(LOGINS)])
    assert [try_login(PASSWORD, page=page).status_code for page in LOGINS] == [429] * len(LOGINS)


def test_a_login_that_has_to_wait_takes_no_query(boss: User) -> None:
    for _ in range(LIMIT):
        try_login("wrong")
    with CaptureQueriesContext(connection) as queries:
        assert try_login(PASSWORD).status_code == 429
    assert not len(queries)


def test_other_names_and_other_addresses_go_on(boss: User) -> None:
    User.objects.create_superuser("second", "second@studio.example", PASSWORD)
    for _ in range(LIMIT):
        try_login("wrong")
    assert try_login(PASSWORD, username="second").status_code == 302
    assert try_login(PASSWORD, address="192.0.2.9").status_code == 302


def test_the_right_password_forgets_the_wrong_ones(boss: User) -> None:
    for _ in range(3):
        for _ in range(LIMIT - 1):
            assert try_login("wrong").status_code == 200
        assert try_login(PASSWORD).status_code == 302


def test_the_pause_is_not_made_longer_by_trying_on(boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(LIMIT):
        try_login("wrong")
    cache = caches["logins"]
    written: list[str] = []
    for name in ("set", "add", "incr", "touch"):
        monkeypatch.setattr(cache, name, lambda *args, name=name, **kwargs: written.append(name))
    for _ in range(3):
        assert try_login("wrong").status_code == 429
    assert written == []


def test_parallel_tries_in_one_process_are_all_counted(boss: User) -> None:
    handler = ThrottleHandler()
    begin = threading.Barrier(8)

    def fail() -> None:
        request = HttpRequest()
        request.META["REMOTE_ADDR"] = "192.0.2.1"
        AxesProxyHandler.update_request(request)
        begin.wait()
        handler.user_login_failed(None, {"username": "boss"}, request)

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = "192.0.2.1"
    assert handler.get_failures(request, {"username": "boss"}) == 8


def test_a_cache_out_of_reach_ends_the_throttle_and_not_the_logins(boss: User, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    # Nobody listens on port 1.
    unreachable = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    settings.CACHES = {**settings.CACHES, "logins": unreachable}
    AxesProxyHandler.get_implementation(force=True)
    assert [try_login("wrong").status_code for _ in range(LIMIT + 1)] == [200] * (LIMIT + 1)
    assert try_login(PASSWORD).status_code == 302
    for sentence in ("Logins are not throttled", "A failed login is not counted", "stay counted"):
        assert sentence in caplog.text


def test_a_count_that_is_cut_off_on_disk_ends_no_login(boss: User) -> None:
    try_login("wrong")
    (file,) = Path(str(site_settings.CACHES["logins"]["LOCATION"])).glob("*.djcache")
    file.write_bytes(file.read_bytes()[:-3])
    assert try_login(PASSWORD).status_code == 302


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        # Anybody can send the header; only a proxy of ours is believed, and of it what it added itself.
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.5, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("", "198.51.100.7", "198.51.100.7"),
    ],
)
def test_address_is_that_of_the_visitor_and_not_of_our_proxy(peer: str, forwarded: str, found: str) -> None:
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(request) == found


def test_no_password_and_no_name_is_logged(boss: User, caplog: pytest.LogCaptureFixture) -> None:
    try_login("a-password-that-is-wrong", username="a-password-typed-as-name")
    assert "a-password" not in caplog.text and "127.0.0.1" in caplog.text


def test_logins_have_a_cache_of_their_own() -> None:
    """Whoever floods it must not be able to drop the gate."""
    locations = [str(site_settings.CACHES[name]["LOCATION"]) for name in ("backups", "logins")]
    assert len(set(locations)) == 2 and site_settings.AXES_CACHE == "logins"


def test_the_throttle_brings_no_migration() -> None:
    from django.db.migrations.loader import MigrationLoader

    assert "axes" in MigrationLoader(None).unmigrated_apps and apps.is_installed("axes")
