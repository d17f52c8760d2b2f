"""The settings of a site that people of the tests use in a browser: those of a real one, whose operations a test can stop."""

from __future__ import annotations

from timetracker.settings import *  # noqa: F403
from timetracker.settings import INSTALLED_APPS, STORAGES

INSTALLED_APPS = [*INSTALLED_APPS, "backups.tests.halting"]
# Under their hashed names, as in production; compressing them would take longer than it saves.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
# Argon2 is slow on purpose, and people of the tests log in often.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A page that a test sends to the closed gate must still wait there when the swap ends, also on a busy machine.
BACKUPS_HOLD_SECONDS = 6
