"""The settings of the test process itself: those of a site, on throw-away data, deaf to the developer's environment.

Scratch sites (``backups/tests/site.py``) do not use this: they run on ``timetracker.settings`` in processes of their own.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from timetracker.secret_files import SECRETS

_data_dir = Path(tempfile.mkdtemp(prefix="timetracker-test-"))
(_data_dir / "static").mkdir()
atexit.register(shutil.rmtree, _data_dir, ignore_errors=True)

_mail = ("ADMINS", "DEFAULT_FROM_EMAIL", "EMAIL_URL", "SERVER_EMAIL")
_files = tuple(f"{name}_FILE" for name in SECRETS)
_ignored = (*_mail, *_files, "DEBUG", "LOG_LEVEL", "REDIS_URL", "SECRET_KEY_FALLBACKS", "SITE_URL")
for _name in [name for name in os.environ if name.startswith("BACKUPS_") or name in _ignored]:
    del os.environ[_name]
os.environ |= {
    "SECRET_KEY": "a-key-for-tests-that-is-long-enough-to-pass-every-check-0123456789",
    "DATA_DIR": str(_data_dir),
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", ""),
}

from timetracker.settings import *  # noqa: E402, F403
from timetracker.settings import DATABASES, STORAGES  # noqa: E402

# A real file, as on a site: in memory there is no WAL and no second connection.
if not os.environ["DATABASE_URL"]:
    DATABASES["default"]["TEST"] = {"NAME": str(_data_dir / "test.sqlite3")}
# Nothing is collected in this process, so there is no manifest of hashed names to look in.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
# Argon2 is slow on purpose, and tests log in often.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
