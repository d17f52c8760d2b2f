"""Start ``python -m backups.shadow`` on a database and read its outcome."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings

import backups
from backups.engines.process import child
from backups.exceptions import RestoreFailed
from backups.journal import Journal

__all__ = ["shadow_command", "shadow_run"]


def shadow_command(name: str, *, lenient: bool) -> tuple[list[str], dict[str, str]]:
    """The arguments and the environment of the fresh process for the database ``name``."""
    args = [sys.executable, "-m", "backups.shadow", name]
    if lenient:
        args.append("--lenient")
    # The package must be found whatever the current folder is.
    project = str(Path(backups.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH", "")]))
    settings_module = os.environ.get("DJANGO_SETTINGS_MODULE") or settings.SETTINGS_MODULE
    return args, {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": settings_module}


def shadow_run(journal: Journal, name: str, *, lenient: bool = False) -> dict[str, Any]:
    """Migrate and check ``name``; returns ``{"migrated": [...], "warnings": [...]}``.

    Raises :class:`~backups.exceptions.RestoreFailed` with the process's reason.
    """
    args, env = shadow_command(name, lenient=lenient)
    with child(args, env, operation=journal.id, stdout=subprocess.PIPE) as running:
        output = running.stdout.read()
        if running.wait() != 0:
            # Its last line is the reason; warnings of libraries may stand before it.
            lines = [line.strip() for line in running.stderr.splitlines() if line.strip()]
            reason = lines[-1] if lines else "no reason given"
            raise RestoreFailed(f"The restored database could not be brought to this code's state: {reason}")
    outcome: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    return outcome
