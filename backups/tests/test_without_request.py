"""What runs in a worker is told everything by its arguments: no module that a service leans on knows a request or a thread's own state."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parent.parent
# What answers requests, and may know them; the gate's thread-local is the epoch that a thread of the web server has seen.
WEB = {"admin", "pages", "context_processors", "middleware", "templatetags", "unavailable", "urls", "views"}
MODULES = [path for path in sorted(APP.rglob("*.py")) if not ({"tests", "migrations"} | WEB) & {path.stem, *path.relative_to(APP).parts}]
OF_REQUESTS = ("django.http", "django.contrib.messages", "django.core.handlers", "django.shortcuts")
OF_THREADS = {("gate.py", "threading.local")}


def names(module: Path) -> Iterator[str]:
    """Every module that is imported, and every dotted name that is used."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"


@pytest.mark.parametrize("module", MODULES, ids=[path.relative_to(APP).as_posix() for path in MODULES])
def test_what_a_worker_runs_knows_no_request_and_no_thread(module: Path) -> None:
    used = set(names(module))
    assert not [name for name in used if name.startswith(OF_REQUESTS)]
    kept = {(module.name, name) for name in used if name in ("threading.local", "contextvars.ContextVar")}
    assert kept <= OF_THREADS


def test_the_modules_of_workers_are_looked_at() -> None:
    assert {"tasks.py", "restore.py", "recover.py", "ending.py", "tick.py", "watch.py"} <= {module.name for module in MODULES}
