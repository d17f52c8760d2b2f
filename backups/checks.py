"""System checks: what would make a backup or a restore unsafe, found before either is tried. None makes a query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.cache.backends.base import InvalidCacheBackendError
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, InvalidStorageError, storages
from django.db import connections

from backups.conf import conf
from backups.gate import CACHE_ALIAS, cache_folder, gate_cache_fault

__all__ = ["ENGINE_VENDORS", "SETTING_IDS"]

STORE_ALIAS = "backups"
ENGINE_VENDORS = ("postgresql", "sqlite")
MIDDLEWARE = "backups.middleware.MaintenanceMiddleware"

# The attribute of conf -> the id of its check. Ids only grow: one that is given up is never used again.
SETTING_IDS = {
    "app_version": "backups.E101",
    "state_dir": "backups.E102",
    "signing_keys": "backups.E103",
    "settings_snapshot": "backups.E104",
    "maintenance_url": "backups.E105",
    "pg_bin_dirs": "backups.E106",
    "undo_hours": "backups.E107",
    "drain_seconds": "backups.E108",
    "close_seconds": "backups.E109",
    "restore_jobs": "backups.E110",
    "max_ratio": "backups.E111",
    "max_members": "backups.E112",
    "max_bytes": "backups.E113",
    "hold_seconds": "backups.E114",
    "hold_waiters": "backups.E115",
    "gate_exempt": "backups.E116",
    "queue_minutes": "backups.E117",
    "keep_safety": "backups.E118",
    "retry_minutes": "backups.E119",
    "health_token": "backups.E120",
    "max_age_hours": "backups.E121",
    "progress_hours": "backups.E122",
    "allow_web_restore": "backups.E123",
    "site_name": "backups.E124",
    "import_dir": "backups.E125",
    "max_upload_gb": "backups.E126",
    "client_address": "backups.E127",
    "direct_downloads": "backups.E128",
    "gentle_rate": "backups.E129",
}


@register("backups")
def check_gate_cache(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E001 there is no cache for the gate; E002 it cannot carry the gate."""
    hint = f"Add CACHES[{CACHE_ALIAS!r}]: a file-based cache in a folder of its own, or Redis or Valkey where there are several hosts."
    fault = gate_cache_fault()
    if not fault:
        return []
    return [Error(fault, hint=hint, id="backups.E002" if CACHE_ALIAS in settings.CACHES else "backups.E001")]


@register("backups")
def check_store(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E003 there is no store for the archives."""
    try:
        storages[STORE_ALIAS]
    except (InvalidStorageError, ImproperlyConfigured, TypeError) as error:
        return [
            Error(
                f"STORAGES has no usable entry {STORE_ALIAS!r}: {error}",
                hint="Add it: the place where archives are kept.",
                id="backups.E003",
            )
        ]
    return []


@register("backups")
def check_private_folders(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E004 store, E005 state, E006 gate below a folder that the site serves: anyone could fetch the whole database."""
    served = [(name, Path(str(getattr(settings, name))).resolve()) for name in ("MEDIA_ROOT", "STATIC_ROOT") if getattr(settings, name)]
    return [
        Error(f"{what} {folder} lies inside {name} ({root}), which the site serves.", hint="Move it out of there.", id=check_id)
        for what, folder, check_id in _private_folders()
        for name, root in served
        if folder.resolve().is_relative_to(root)
    ]


@register("backups")
def check_databases(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E007 a database that no engine can back up; E008 ATOMIC_REQUESTS on SQLite, where a page would hold the write lock."""
    messages: list[CheckMessage] = []
    connection = connections["default"]
    if connection.vendor not in ENGINE_VENDORS:
        messages.append(
            Error(
                f"The backups app has no engine for the database vendor {connection.vendor!r}.",
                hint="Use PostgreSQL or SQLite (DATABASE_URL).",
                id="backups.E007",
            )
        )
    if connection.vendor == "sqlite" and connection.settings_dict.get("ATOMIC_REQUESTS"):
        messages.append(
            Error(
                "ATOMIC_REQUESTS is on for SQLite: every page would hold the write lock and keep a restore from its swap.",
                hint="Remove ATOMIC_REQUESTS and use transaction.atomic() where a view writes.",
                id="backups.E008",
            )
        )
    return messages


@register("backups")
def check_middleware(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E009 the gate's middleware is missing; E010 another stands before it, which would ask a closed database."""
    entries = list(settings.MIDDLEWARE)
    if MIDDLEWARE not in entries:
        return [Error("MIDDLEWARE lacks the gate's middleware.", hint=f"Put {MIDDLEWARE!r} first.", id="backups.E009")]
    if entries[0] != MIDDLEWARE:
        return [Error(f"{entries[0]} stands before the gate's middleware.", hint=f"Put {MIDDLEWARE!r} first.", id="backups.E010")]
    return []


@register("backups")
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E101 to E129: a ``BACKUPS_*`` setting of a wrong type or value."""
    messages: list[CheckMessage] = []
    for attribute, check_id in SETTING_IDS.items():
        try:
            getattr(conf, attribute)
        except (ImproperlyConfigured, ImportError) as error:
            setting = f"BACKUPS_{attribute.upper()}"
            message = str(error) if setting in str(error) else f"{setting}: {error}"
            messages.append(Error(message, hint="docs/admin/SETTINGS.md lists its values.", id=check_id))
    return messages


def _private_folders() -> Iterator[tuple[str, Path, str]]:
    """The folders that nobody may fetch, as far as they are known: what it is, where, and the check's id."""
    try:
        store = storages[STORE_ALIAS]
    except (InvalidStorageError, ImproperlyConfigured, TypeError):
        store = None
    if isinstance(store, FileSystemStorage):
        yield "The store", Path(store.location), "backups.E004"
    with suppress(ImproperlyConfigured):
        yield "BACKUPS_STATE_DIR", conf.state_dir, "backups.E005"
    with suppress(InvalidCacheBackendError):
        if folder := cache_folder():
            yield "The gate's cache", folder, "backups.E006"
