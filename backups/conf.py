"""The ``BACKUPS_*`` settings, read at use and never at import.

Each property checks the type of what it finds and raises :class:`~django.core.exceptions.ImproperlyConfigured`
naming the setting. Defaults stand here and in ``docs/admin/SETTINGS.md``; a test holds the two together.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

__all__ = ["SETTING_DEFAULTS", "Conf", "conf"]

# What fits into a header of HTTP as it is, and is too long to be guessed.
_TOKEN = re.compile(r"[!-~]{16,}")

SETTING_DEFAULTS: dict[str, Any] = {
    "BACKUPS_APP_VERSION": "",
    "BACKUPS_STATE_DIR": None,
    "BACKUPS_SIGNING_KEYS": [],
    "BACKUPS_SETTINGS_SNAPSHOT": "",
    "BACKUPS_MAINTENANCE_URL": "",
    "BACKUPS_PG_BIN_DIRS": [],
    "BACKUPS_UNDO_HOURS": 72,
    "BACKUPS_DRAIN_SECONDS": 10,
    "BACKUPS_CLOSE_SECONDS": 10,
    "BACKUPS_RESTORE_JOBS": 2,
    "BACKUPS_QUEUE_MINUTES": 15,
    "BACKUPS_MAX_RATIO": 1500,
    "BACKUPS_MAX_MEMBERS": 2_000_000,
    "BACKUPS_MAX_BYTES": 4 * 1024**4,
    "BACKUPS_HOLD_SECONDS": 2,
    "BACKUPS_HOLD_WAITERS": 6,
    "BACKUPS_GATE_EXEMPT": ["/healthz", "/readyz", "/backups/health.json", "/backups/metrics", "/backups/progress/", "/backups/cancel/"],
    "BACKUPS_KEEP_SAFETY": 5,
    "BACKUPS_RETRY_MINUTES": 5,
    "BACKUPS_HEALTH_TOKEN": "",
    "BACKUPS_MAX_AGE_HOURS": 26,
    "BACKUPS_PROGRESS_HOURS": 24,
    "BACKUPS_ALLOW_WEB_RESTORE": True,
    "BACKUPS_SITE_NAME": "",
    "BACKUPS_CLIENT_ADDRESS": "",
    "BACKUPS_DIRECT_DOWNLOADS": True,
    "BACKUPS_IMPORT_DIR": "",
    "BACKUPS_MAX_UPLOAD_GB": 200,
    "BACKUPS_GENTLE_RATE": 0,
}


class Conf:
    """The settings as typed attributes; use the instance :data:`conf`."""

    def _read(self, name: str, kind: type | tuple[type, ...]) -> Any:
        value = getattr(settings, name, SETTING_DEFAULTS[name])
        if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind):
            wanted = kind.__name__ if isinstance(kind, type) else " or ".join(k.__name__ for k in kind)
            raise ImproperlyConfigured(f"{name} must be {wanted}, not {type(value).__name__}.")
        return value

    def _positive(self, name: str, *, lowest: int = 1) -> int:
        value = self._read(name, int)
        if value < lowest:
            raise ImproperlyConfigured(f"{name} must be {lowest} or more, not {value}.")
        return int(value)

    def _callable(self, name: str) -> Callable[..., Any] | None:
        """What the dotted path in the setting names; None where it is empty."""
        path = self._read(name, str)
        if not path:
            return None
        target = import_string(path)
        if not callable(target):
            raise ImproperlyConfigured(f"{name} names {path}, which cannot be called.")
        return target  # type: ignore[no-any-return]

    @property
    def app_version(self) -> str:
        """The version of the surrounding project, written into each manifest."""
        return str(self._read("BACKUPS_APP_VERSION", str))

    @property
    def state_dir(self) -> Path:
        """Folder of the journals, staging and locks; on storage that every host which may recover can reach."""
        value = getattr(settings, "BACKUPS_STATE_DIR", None)
        if not isinstance(value, (str, Path)) or not str(value):
            raise ImproperlyConfigured("BACKUPS_STATE_DIR must be the path of a folder.")
        return Path(value)

    @property
    def signing_keys(self) -> list[bytes]:
        """Keys of the archive's signature: the first signs, all verify. Default: derived from ``SECRET_KEY``."""
        keys = self._read("BACKUPS_SIGNING_KEYS", (list, tuple))
        if any(not isinstance(key, str) or not key for key in keys):
            raise ImproperlyConfigured("BACKUPS_SIGNING_KEYS must be a list of strings that are not empty.")
        if keys:
            return [str(key).encode() for key in keys]
        secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        return [hmac.new(str(secret).encode(), b"backups.manifest", hashlib.sha256).hexdigest().encode() for secret in secrets]

    @property
    def settings_snapshot(self) -> Callable[[], dict[str, Any]] | None:
        """The callable that returns the settings snapshot (a JSON-ready dict without secrets), or None."""
        return self._callable("BACKUPS_SETTINGS_SNAPSHOT")

    @property
    def maintenance_url(self) -> str:
        """URL of the maintenance database, where the live one's server is behind a pooler; else empty."""
        return str(self._read("BACKUPS_MAINTENANCE_URL", str))

    @property
    def pg_bin_dirs(self) -> list[Path]:
        """Folders searched for PostgreSQL's client programs before the usual places."""
        return [Path(entry) for entry in self._read("BACKUPS_PG_BIN_DIRS", (list, tuple))]

    @property
    def undo_hours(self) -> int:
        """Hours for which the kept state of the last restore stays."""
        return self._positive("BACKUPS_UNDO_HOURS")

    @property
    def drain_seconds(self) -> int:
        """Longest wait, in seconds, for transactions that began before the gate."""
        return self._positive("BACKUPS_DRAIN_SECONDS")

    @property
    def close_seconds(self) -> int:
        """Longest time, in seconds, to wait for ended sessions to be gone before the swap is given up."""
        return self._positive("BACKUPS_CLOSE_SECONDS")

    @property
    def restore_jobs(self) -> int:
        """Default of ``backup_restore --jobs``: parallel connections of ``pg_restore``."""
        return self._positive("BACKUPS_RESTORE_JOBS")

    @property
    def queue_minutes(self) -> int:
        """Minutes after which a request that nobody has begun is given up, instead of coming as a surprise."""
        return self._positive("BACKUPS_QUEUE_MINUTES")

    @property
    def max_ratio(self) -> int:
        """Largest accepted ratio of a member's size to its compressed size (deflate itself ends near 1032)."""
        return self._positive("BACKUPS_MAX_RATIO")

    @property
    def max_members(self) -> int:
        """Largest accepted number of members of an archive."""
        return self._positive("BACKUPS_MAX_MEMBERS")

    @property
    def max_bytes(self) -> int:
        """Largest accepted sum of the members' sizes, in bytes."""
        return self._positive("BACKUPS_MAX_BYTES")

    @property
    def hold_seconds(self) -> int:
        """Longest time, in seconds, that a request waits for the gate to open; 0: none waits."""
        return self._positive("BACKUPS_HOLD_SECONDS", lowest=0)

    @property
    def hold_waiters(self) -> int:
        """Requests of one process that may wait so long at a time; fewer than its threads, so that some can answer."""
        return self._positive("BACKUPS_HOLD_WAITERS", lowest=0)

    @property
    def gate_exempt(self) -> list[str]:
        """Paths that the gate does not stop, each with all below it. They must not need the database."""
        paths = self._read("BACKUPS_GATE_EXEMPT", (list, tuple))
        if any(not isinstance(path, str) or not path.startswith("/") or path == "/" for path in paths):
            raise ImproperlyConfigured("BACKUPS_GATE_EXEMPT must be a list of paths that begin with a slash, and not the slash alone.")
        return list(paths)

    @property
    def keep_safety(self) -> int:
        """How many of the newest archives made before a restore, and before migrations, pruning leaves."""
        return self._positive("BACKUPS_KEEP_SAFETY")

    @property
    def retry_minutes(self) -> int:
        """Minutes from a scheduled backup that failed to the second attempt; each later pause is three times as long."""
        return self._positive("BACKUPS_RETRY_MINUTES")

    @property
    def health_token(self) -> str:
        """What a monitor shows to read the site's health; empty: only this machine may, without a proxy between."""
        token = str(self._read("BACKUPS_HEALTH_TOKEN", str))
        if token and not _TOKEN.fullmatch(token):
            raise ImproperlyConfigured("BACKUPS_HEALTH_TOKEN must be 16 or more visible ASCII characters, without a space.")
        return token

    @property
    def max_age_hours(self) -> int:
        """Hours after which the newest good backup is too old for the site to call itself healthy."""
        return self._positive("BACKUPS_MAX_AGE_HOURS")

    @property
    def progress_hours(self) -> int:
        """Hours for which a link to an operation's progress, or to its cancelling, works."""
        return self._positive("BACKUPS_PROGRESS_HOURS")

    @property
    def allow_web_restore(self) -> bool:
        """Whether pages may restore and undo; the commands always may."""
        return bool(self._read("BACKUPS_ALLOW_WEB_RESTORE", bool))

    @property
    def site_name(self) -> Callable[[], str] | None:
        """The callable that returns the name that a person types to confirm a restore; None: the host's name is typed."""
        return self._callable("BACKUPS_SITE_NAME")

    @property
    def client_address(self) -> Callable[[Any], str] | None:
        """The callable that tells from which address a request (its argument) comes, behind the site's proxies; None: the peer's."""
        return self._callable("BACKUPS_CLIENT_ADDRESS")

    @property
    def direct_downloads(self) -> bool:
        """Whether browsers are sent to the store itself, where it has signed URLs of its own; else the site sends the file."""
        return bool(self._read("BACKUPS_DIRECT_DOWNLOADS", bool))

    @property
    def import_dir(self) -> Path | None:
        """The folder on the server from which an archive may be taken in by its path; None: none may."""
        value = self._read("BACKUPS_IMPORT_DIR", (str, Path))
        if not str(value):
            return None
        if not Path(value).is_absolute():
            raise ImproperlyConfigured(f"BACKUPS_IMPORT_DIR must be an absolute path, not {str(value)!r}.")
        return Path(value)

    @property
    def max_upload_gb(self) -> int:
        """Largest archive that may be uploaded, in GB (1000 million bytes)."""
        return self._positive("BACKUPS_MAX_UPLOAD_GB")

    @property
    def gentle_rate(self) -> int:
        """Most MB (1 million bytes) that a gentle operation moves in a second; 0: no limit."""
        return self._positive("BACKUPS_GENTLE_RATE", lowest=0)


conf = Conf()
