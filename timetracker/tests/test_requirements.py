"""What a running site imports is in requirements/base.txt: the tests themselves run with much more installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BASE_DIR = Path(__file__).resolve().parents[2]
# Refuses to import whatever belongs to no distribution of the lock, then imports what is named.
IMPORTER = """
import importlib, importlib.metadata, re, sys
locked = set(sys.argv[1].split(","))
def name_of(distribution):
    return re.sub(r"[-_.]+", "-", distribution).lower()
owners = importlib.metadata.packages_distributions()
absent = {module for module, found in owners.items() if not locked.intersection(map(name_of, found))}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def imported(tmp_path: Path, locked: set[str], *modules: str) -> subprocess.CompletedProcess[str]:
    """Import ``modules`` in a process of its own in which nothing but ``locked`` is installed."""
    env = {
        "PATH": os.defpath,
        "PYTHONPATH": str(BASE_DIR),
        "DATA_DIR": str(tmp_path),
        "SECRET_KEY": "k" * 50,
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "BACKUPS_S3_BUCKET": "archives",
    }
    command = [sys.executable, "-c", IMPORTER, ",".join(sorted(locked)), *modules]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def locked() -> set[str]:
    """Names in the lock of a running site."""
    return set(re.findall(r"^([a-z0-9-]+)==", (BASE_DIR / "requirements/base.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    "modules",
    [
        ("timetracker.wsgi", "timetracker.urls", "redis", "django.core.cache.backends.redis"),
        ("timetracker.celery", "backups.gate", "kombu.transport.redis", "kombu.transport.filesystem", "celery.apps.worker", "celery.beat"),
        ("timetracker.supervisor", "gunicorn.app.wsgiapp", "gunicorn.workers.gthread"),
        ("timetracker.wsgi", "storages.backends.s3", "backups.shadow", "timetracker.tracking.demo.make"),
    ],
    ids=["web", "worker", "supervisor", "commands"],
)
def test_each_process_runs_with_nothing_but_the_lock(tmp_path: Path, locked: set[str], modules: tuple[str, ...]) -> None:
    completed = imported(tmp_path, locked, *modules)
    assert completed.returncode == 0, completed.stderr


def test_a_package_that_is_missing_from_the_lock_is_noticed(tmp_path: Path, locked: set[str]) -> None:
    completed = imported(tmp_path, locked - {"packaging"}, "kombu.transport.redis")
    assert "No module named 'packaging'" in completed.stderr
