"""What processes import: a running site what is in requirements/base.txt, and a command what it needs, or else it starts slowly.

The tests themselves run with much more installed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
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
# Runs the command line that it is given, then names all modules that this has imported.
COMMAND = """
import contextlib, io, runpy, sys
del sys.argv[0]
before = set(sys.modules)
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    runpy.run_path(sys.argv[0], run_name="__main__")
print(*sorted(set(sys.modules) - before), sep="\\n")
"""
# What Django, its apps of this project and reading an archive cannot do without.
ALWAYS = {"asgiref", "axes", "django", "django_htmx", "environ", "isal", "sqlparse"}


def run(tmp_path: Path, code: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``code`` in a process of its own, with the environment of a site that has just been unpacked."""
    env = {"PATH": os.defpath, "PYTHONPATH": str(BASE_DIR), "DATA_DIR": str(tmp_path), "SECRET_KEY": "k" * 50, **env}
    return subprocess.run([sys.executable, "-c", code, *args], env=env, capture_output=True, text=True, check=False, timeout=120)


def imported(tmp_path: Path, locked: set[str], *modules: str) -> subprocess.CompletedProcess[str]:
    """Import ``modules`` in a process of its own in which nothing but ``locked`` is installed."""
    return run(tmp_path, IMPORTER, ",".join(sorted(locked)), *modules, REDIS_URL="redis://127.0.0.1:1/0", BACKUPS_S3_BUCKET="archives")


def imported_by(tmp_path: Path, *words: str) -> set[str]:
    """The modules that a command of manage.py imports."""
    completed = run(tmp_path, COMMAND, str(BASE_DIR / "manage.py"), *words)
    assert completed.returncode == 0, completed.stderr
    return set(completed.stdout.split())


@pytest.fixture
def locked() -> set[str]:
    """Names in the lock of a running site."""
    return set(re.findall(r"^([a-z0-9-]+)==", (BASE_DIR / "requirements/base.txt").read_text(), re.MULTILINE))


@pytest.mark.parametrize(
    "modules",
    [
        (
            "timetracker.wsgi",
            "timetracker.urls",
            "redis",
            "django.core.cache.backends.redis",
            "timetracker.billing.invoice_pdf",
            "PIL.Image",
        ),
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


@pytest.mark.parametrize("words", [("--help",), ("backup_list",), ("backup_status", "--json"), ("backup_create", "--help")], ids=" ".join)
def test_a_command_imports_of_other_packages_what_it_cannot_do_without(tmp_path: Path, words: tuple[str, ...]) -> None:
    """No boto3 for a folder, no psycopg2 on SQLite, no Celery, no rich where nothing is drawn; nothing that is new, unnoticed."""
    found = {module.partition(".")[0] for module in imported_by(tmp_path, *words)}
    assert "django" in found
    assert found & packages_distributions().keys() <= ALWAYS


@pytest.mark.parametrize("words", [("--help",), ("backup_list",)], ids=" ".join)
def test_a_command_imports_no_pages(tmp_path: Path, words: tuple[str, ...]) -> None:
    found = imported_by(tmp_path, *words)
    assert "backups.models" in found
    pages = {
        "timetracker.urls",
        "backups.urls",
        "backups.admin",
        "backups.pages",
        "backups.tasks",
        "portal.admin",
        "django.contrib.auth.admin",
    }
    assert not found & pages
    if words == ("--help",):
        assert not {module for module in found if module.startswith(("backups.services", "backups.engines", "backups.archive"))}


def test_pages_import_what_draws_where_something_is_drawn(tmp_path: Path) -> None:
    """It is a sixth of all that a web process, a worker and each restore would load."""
    code = "import sys, django\ndjango.setup()\nimport timetracker.urls\nprint(*{name.partition('.')[0] for name in sys.modules})"
    found = set(run(tmp_path, code, DJANGO_SETTINGS_MODULE="timetracker.settings").stdout.split())
    assert {"timetracker", "portal"} <= found
    assert not found & {"PIL", "reportlab"}


def test_what_commands_do_not_import_is_checked_all_the_same(tmp_path: Path) -> None:
    code = (
        "import sys, django\n"
        "django.setup()\n"
        "from django.core.checks import run_checks\n"
        "print('backups.admin' in sys.modules)\n"
        "run_checks(tags=['admin'])\n"
        "print('backups.admin' in sys.modules)"
    )
    assert run(tmp_path, code, DJANGO_SETTINGS_MODULE="timetracker.settings").stdout.split() == ["False", "True"]
