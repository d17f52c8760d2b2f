"""The rules for tests themselves (``conftest.py``), on small test files in a pytest of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BASE_DIR = Path(__file__).resolve().parents[2]

NOT_RUN = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason="no server here")
def test_skipped(): pass

def test_skips_itself(): pytest.skip("no server there")

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_to_fail(): assert False
"""

WHOLE_MODULE = 'import pytest\npytest.importorskip("no_such_module")\n'

DATABASE = """
import pytest
from django.test import TestCase

def test_elsewhere(): pass

@pytest.mark.django_db
def test_marked(): pass

def test_with_fixture(db): pass

class TestOfDjango(TestCase):
    def test_method(self): pass
"""


def run_pytest(folder: Path, content: str, *args: str, **env: str) -> str:
    """Run pytest under the project's ``conftest.py`` on one file; its output."""
    shutil.copy(BASE_DIR / "conftest.py", folder)
    (folder / "test_small.py").write_text(content)
    (folder / "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = timetracker.settings_for_tests\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", "-rA", *args]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(BASE_DIR), **env}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True).stdout


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_a_test_that_does_not_run_fails_in_ci(tmp_path: Path, workers: list[str]) -> None:
    output = run_pytest(tmp_path, NOT_RUN, *workers, CI="true")
    assert "2 failed, 1 passed, 1 error" in output
    assert "Not run in CI: Skipped: no server here" in output


def test_a_test_that_does_not_run_is_skipped_elsewhere(tmp_path: Path) -> None:
    assert "1 passed, 2 skipped, 1 xfailed" in run_pytest(tmp_path, NOT_RUN)


def test_a_module_that_skips_itself_fails_in_ci(tmp_path: Path) -> None:
    output = run_pytest(tmp_path, WHOLE_MODULE, CI="true")
    assert "1 error" in output
    assert "no_such_module" in output


def test_the_second_engine_runs_the_tests_of_djangos_database_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/second.sqlite3"
    output = run_pytest(tmp_path, DATABASE, TEST_DATABASE_URL=url)
    assert "3 passed, 1 deselected" in output
    assert "4 passed" in run_pytest(tmp_path, DATABASE)
