"""The project's settings, and with them the packages that ``requirements/bench.in`` names.

``RIVAL_APPS`` says which of them are installed, ``RIVAL_STORE`` is the folder for what they make.
"""

from __future__ import annotations

import os

from timetracker.settings import *  # noqa: F403
from timetracker.settings import INSTALLED_APPS, STORAGES

INSTALLED_APPS = [*INSTALLED_APPS, *os.environ["RIVAL_APPS"].split(",")]

_STORE = os.environ["RIVAL_STORE"]
STORAGES["dbbackup"] = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": _STORE}}
PGCLONE_STORAGE_LOCATION = _STORE
