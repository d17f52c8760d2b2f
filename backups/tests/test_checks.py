"""The system checks: each finds what it is there for, and a good configuration has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connections
from pytest_django import DjangoDbBlocker, Settings

from backups.checks import SETTING_IDS
from backups.conf import SETTING_DEFAULTS, Conf


def found() -> list[str]:
    """Ids of what the app's checks say, without those of other apps."""
    return [str(message.id) for message in run_checks() if str(message.id).startswith("backups.")]


def said(check_id: str) -> str:
    """The message of one finding."""
    (message,) = [message for message in run_checks() if message.id == check_id]
    return f"{message.msg} {message.hint}"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, settings: Settings) -> None:
    """Folders of the test's own, side by side."""
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.STATIC_ROOT = tmp_path / "static"
    settings.BACKUPS_STATE_DIR = tmp_path / "state"
    settings.STORAGES = settings.STORAGES | {"backups": file_store(tmp_path / "backups")}
    settings.CACHES = settings.CACHES | {"backups": file_cache(tmp_path / "gate")}


@pytest.fixture
def database_settings() -> Any:
    """The settings of the default database, put back afterwards."""
    configured = connections["default"].settings_dict
    before = dict(configured)
    yield configured
    configured.clear()
    configured.update(before)


def file_store(folder: Path) -> dict[str, Any]:
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": folder}}


def file_cache(folder: Path) -> dict[str, Any]:
    return {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": folder}


def test_a_good_configuration_has_no_finding() -> None:
    assert found() == []


def test_no_check_makes_a_query(django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.block():
        assert found() == []


def test_a_missing_cache_is_found(settings: Settings) -> None:
    settings.CACHES = {"default": settings.CACHES["default"]}
    assert found() == ["backups.E001"]


@pytest.mark.parametrize("backend", ["locmem.LocMemCache", "dummy.DummyCache", "db.DatabaseCache"])
def test_a_cache_that_cannot_carry_the_gate_is_found(settings: Settings, backend: str) -> None:
    settings.CACHES = settings.CACHES | {"backups": {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": "gate"}}
    assert found() == ["backups.E002"]


def test_a_redis_cache_is_fine_and_is_not_asked(settings: Settings) -> None:
    settings.CACHES = settings.CACHES | {
        "backups": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }
    assert found() == []


def test_a_missing_store_is_found(settings: Settings) -> None:
    settings.STORAGES = {name: value for name, value in settings.STORAGES.items() if name != "backups"}
    assert found() == ["backups.E003"]


def test_a_store_that_cannot_be_made_is_found(settings: Settings) -> None:
    settings.STORAGES = settings.STORAGES | {
        "backups": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"colour": "red"}}
    }
    assert found() == ["backups.E003"]


@pytest.mark.parametrize("served", ["MEDIA_ROOT", "STATIC_ROOT"])
def test_a_store_that_the_site_serves_is_found(settings: Settings, served: str) -> None:
    settings.STORAGES = settings.STORAGES | {"backups": file_store(getattr(settings, served) / "deep" / "backups")}
    assert found() == ["backups.E004"]
    assert served in said("backups.E004")


def test_a_store_that_is_the_uploads_folder_is_found_through_a_link(tmp_path: Path, settings: Settings) -> None:
    settings.MEDIA_ROOT.mkdir()
    (tmp_path / "link").symlink_to(settings.MEDIA_ROOT)
    settings.STORAGES = settings.STORAGES | {"backups": file_store(tmp_path / "link")}
    assert found() == ["backups.E004"]


def test_a_store_beside_the_uploads_with_a_longer_name_is_fine(tmp_path: Path, settings: Settings) -> None:
    settings.STORAGES = settings.STORAGES | {"backups": file_store(tmp_path / "media-backups")}
    assert found() == []


def test_a_state_folder_that_the_site_serves_is_found(settings: Settings) -> None:
    settings.BACKUPS_STATE_DIR = settings.MEDIA_ROOT / "state"
    assert found() == ["backups.E005"]


def test_a_gate_that_the_site_serves_is_found(settings: Settings) -> None:
    settings.CACHES = settings.CACHES | {"backups": file_cache(settings.MEDIA_ROOT / "gate")}
    assert found() == ["backups.E006"]


def test_a_site_that_serves_no_folder_has_no_finding(settings: Settings) -> None:
    settings.MEDIA_ROOT, settings.STATIC_ROOT = "", None
    assert found() == []


def test_a_database_without_an_engine_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "oracle")
    assert found() == ["backups.E007"]
    assert "oracle" in said("backups.E007")


def test_atomic_requests_on_sqlite_are_found(database_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")
    database_settings["ATOMIC_REQUESTS"] = True
    assert found() == ["backups.E008"]


def test_atomic_requests_on_postgresql_are_fine(database_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "postgresql")
    database_settings["ATOMIC_REQUESTS"] = True
    assert found() == []


def test_a_missing_middleware_is_found(settings: Settings) -> None:
    settings.MIDDLEWARE = settings.MIDDLEWARE[1:]
    assert found() == ["backups.E009"]


def test_a_middleware_before_the_gates_own_is_found(settings: Settings) -> None:
    settings.MIDDLEWARE = [settings.MIDDLEWARE[1], settings.MIDDLEWARE[0], *settings.MIDDLEWARE[2:]]
    assert found() == ["backups.E010"]
    assert "django.middleware.security.SecurityMiddleware" in said("backups.E010")


WRONG_VALUES: dict[str, list[Any]] = {
    "app_version": [None, 5],
    "state_dir": [None, "", 5],
    "signing_keys": ["secret", [""], [b"bytes"]],
    "settings_snapshot": [None, "no.such.module.snapshot", "backups.conf.SETTING_DEFAULTS"],
    "maintenance_url": [None, 5],
    "pg_bin_dirs": ["/usr/bin", None],
    "undo_hours": [0, -1, "72", True, None],
    "drain_seconds": [0, 2.5],
    "close_seconds": [0, "10"],
    "restore_jobs": [0, "2"],
    "max_ratio": [0, "1500"],
    "max_members": [0, None],
    "keep_safety": [0, "5"],
    "retry_minutes": [0, 2.5],
    "max_bytes": [0, 1e12],
    "hold_seconds": [-1, 0.5, None],
    "hold_waiters": [-1, "6"],
    "gate_exempt": ["/healthz", [5], ["healthz"], ["/"], None],
    "queue_minutes": [0, 1.5, "15"],
    "health_token": [None, 5, "short", "sixteen letters and spaces"],
    "max_age_hours": [0, "26"],
    "progress_hours": [0, 0.5],
    "allow_web_restore": [1, "yes", None],
    "site_name": [5, "nowhere.at_all"],
    "client_address": [5, "nowhere.at_all"],
    "direct_downloads": ["yes", 1],
    "import_dir": [5, "a/relative/path"],
    "max_upload_gb": [0, 0.5, True],
    "gentle_rate": ["40", -1, 2.5, True],
}


@pytest.mark.parametrize(("attribute", "value"), [(name, value) for name, values in WRONG_VALUES.items() for value in values])
def test_a_setting_of_a_wrong_type_or_value_is_found_by_name(settings: Settings, attribute: str, value: object) -> None:
    setting = f"BACKUPS_{attribute.upper()}"
    setattr(settings, setting, value)
    assert found() == [SETTING_IDS[attribute]]
    assert setting in said(SETTING_IDS[attribute])


def test_every_setting_has_a_check_of_its_own() -> None:
    attributes = {name for name, value in vars(Conf).items() if isinstance(value, property)}
    assert set(SETTING_IDS) == set(WRONG_VALUES) == attributes
    assert {f"BACKUPS_{name.upper()}" for name in attributes} == set(SETTING_DEFAULTS)
    assert len(set(SETTING_IDS.values())) == len(SETTING_IDS)
