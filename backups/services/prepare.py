"""Start ``python -m backups.shadow`` on a database and read its outcome."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

import backups
from backups.engines.process import Child, child
from backups.exceptions import RestoreFailed
from backups.journal import Journal
from backups.shadow import READY

__all__ = ["Prepare", "shadow_command", "shadow_run", "shadow_waiting"]

# Migrates, checks and analyzes the database of that name; returns ``{"migrated": [...], "warnings": [...]}``. Raises
# :class:`~backups.exceptions.RestoreFailed` with the process's reason.
Prepare = Callable[[str], dict[str, Any]]


def shadow_command(*words: str) -> tuple[list[str], dict[str, str]]:
    """The arguments and the environment of the fresh process."""
    # The package must be found whatever the current folder is.
    project = str(Path(backups.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH", "")]))
    settings_module = os.environ.get("DJANGO_SETTINGS_MODULE") or settings.SETTINGS_MODULE
    return [sys.executable, "-m", "backups.shadow", *words], {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": settings_module}


def shadow_run(journal: Journal, name: str, *, lenient: bool = False, analyze: bool = False) -> dict[str, Any]:
    """Do what :data:`Prepare` says in a process that is started for it; ``analyze``: also where nothing has to be migrated."""
    options = [option for option, given in (("--lenient", lenient), ("--analyze", analyze)) if given]
    args, env = shadow_command(name, *options)
    with child(args, env, operation=journal.id, stdout=subprocess.PIPE) as running:
        return _outcome(running)


@contextmanager
def shadow_waiting(journal: Journal) -> Iterator[Prepare]:
    """Start the process now, so that it has loaded the project when there is a shadow, and end it with the block.

    Where it has ended by then (a project that asks its database while it is loaded: it knows none yet), another is started.
    """
    args, env = shadow_command("--wait", "--analyze")
    with child(args, env, operation=journal.id, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:

        def prepare(name: str) -> dict[str, Any]:
            # Libraries may have printed something before, with or without an end of its line.
            while not (line := running.stdout.readline()).endswith(READY):
                if not line:
                    return shadow_run(journal, name, analyze=True)
            try:
                running.stdin.write(json.dumps(name).encode() + b"\n")
                # As where it is started with the name: nothing more is to be read.
                running.stdin.close()
            except BrokenPipeError:
                return shadow_run(journal, name, analyze=True)
            return _outcome(running)

        yield prepare


def _outcome(running: Child) -> dict[str, Any]:
    output = running.stdout.read()
    if (code := running.wait()) != 0:
        # Its last line is the reason; warnings of libraries may stand before it. The system ends one without a word.
        lines = [line.strip() for line in running.stderr.splitlines() if line.strip()]
        reason = f"the process was ended by signal {-code}" if code < 0 else lines[-1] if lines else "no reason given"
        raise RestoreFailed(f"The restored database could not be brought to this code's state: {reason}")
    outcome: dict[str, Any] = json.loads(output.decode().strip().splitlines()[-1])
    return outcome
