"""The settings of a site that visitors of the tests use: those of a real one, with the pages of :mod:`backups.tests.pages`.

``PAGES_CONNECTION`` (JSON) is laid over the database's settings: ``{"CONN_MAX_AGE": null, "CONN_HEALTH_CHECKS": false}``.
"""

from __future__ import annotations

import json
import os

from timetracker.settings import *  # noqa: F403
from timetracker.settings import DATABASES, INSTALLED_APPS, STATIC_ROOT, STORAGES

ROOT_URLCONF = "backups.tests.pages"
INSTALLED_APPS = [*INSTALLED_APPS, "backups.tests.halting"]
DATABASES["default"] |= json.loads(os.environ.get("PAGES_CONNECTION", "{}"))
# Nothing is collected here, so there is no manifest of hashed names to look in.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
# A restore drops the sessions, and then everybody logs in at once. Argon2 is slow on purpose, and not what is tried here.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
