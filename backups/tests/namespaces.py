"""Run a function in a child process that has a file system of its own: small, full, read-only or foreign.

The mount lives in a private mount namespace and is gone with the child. That takes root, or user namespaces for an ordinary
user; a machine that has neither cannot prove what these tests prove, and says so (a skip, which CI counts as a failure).
"""

from __future__ import annotations

import functools
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backups.tests import BASE_DIR

__all__ = ["run_in_mount"]


@functools.cache
def _unshare() -> tuple[str, ...]:
    program = shutil.which("unshare") or "unshare"
    prefix = (program, "-m") if os.geteuid() == 0 else (program, "-Urm")
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting needs root, or user namespaces (sysctl kernel.unprivileged_userns_clone=1)")
    return prefix


def run_in_mount(function: Callable[[Path], None], folder: Path, mount: str) -> None:
    """Call ``function(folder)`` in a child after the shell command ``mount`` was run with ``$1`` set to ``folder``.

    The function is one of a module (it is imported again; settings are there, models are not) and fails by raising; its
    traceback is the failure's message.
    """
    result = subprocess.run(
        [
            *(*_unshare(), "sh", "-euc", f'{mount}; shift; exec "$@"', "sh", str(folder)),
            *(sys.executable, "-m", __name__, function.__module__, function.__qualname__, str(folder)),
        ],
        cwd=BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"]},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr


def _main(module: str, name: str, folder: str) -> None:
    getattr(importlib.import_module(module), name)(Path(folder))


if __name__ == "__main__":
    _main(*sys.argv[1:])
