"""Secrets from files: ``SECRET_KEY_FILE=/run/secrets/secret_key`` stands for ``SECRET_KEY`` with what is in that file.

Containers get secrets as files, which neither the list of processes nor ``docker inspect`` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

__all__ = ["SECRETS", "with_secret_files"]

# Variables that hold a secret, or may.
SECRETS = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "DATABASE_URL",
    "REDIS_URL",
    "EMAIL_URL",
    "BACKUPS_SIGNING_KEYS",
    "BACKUPS_MAINTENANCE_URL",
    "BACKUPS_HEALTH_TOKEN",
)


def with_secret_files(environ: Mapping[str, str]) -> dict[str, str]:
    """``environ`` with the content of each file that ``<secret>_FILE`` names; the end of its line is not a part of it.

    Raises ImproperlyConfigured for a file that cannot be read or is empty, and where the variable itself is set as well.
    """
    values = dict(environ)
    for name in SECRETS:
        path = values.get(f"{name}_FILE")
        if not path:
            continue
        if values.get(name):
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set. Remove one of them.")
        try:
            values[name] = Path(path).read_text().rstrip("\r\n")
        except (OSError, UnicodeError) as error:
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which cannot be read: {error}") from error
        if not values[name]:
            raise ImproperlyConfigured(f"{name}_FILE names {path}, which is empty.")
    return values
