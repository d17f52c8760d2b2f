"""Loading a dump into a shadow: the listed entries through ``pg_restore``, the grants one by one, and the progress of it."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import psycopg2

from backups.engines.pg_catalog import execute, fetch, present_extensions
from backups.engines.pg_server import Connection, Server
from backups.engines.pg_toc import Contents, Entry, grants, write_list
from backups.engines.pg_tools import Tools, load_command, psql_command, script_command
from backups.engines.process import PIPE_BYTES, Child, child, child_output
from backups.exceptions import RestoreFailed
from backups.pace import Pace
from backups.progress import Progress

__all__ = ["SizeWatch", "granting", "listed", "load_shadow", "run_grants", "script_pieces"]

# Seconds between two looks at the growing shadow.
PROGRESS_SECONDS = 0.5
# What pg_restore 17 and newer write at the head of each script, and older servers do not know.
_NOT_IN_OLD_SERVERS = b"SET transaction_timeout = 0;\n"
_HEAD_BYTES = 64 * 1024


@contextmanager
def listed(dump: Path, entries: Iterator[Entry]) -> Iterator[Path]:
    """A list file for ``pg_restore --use-list``, beside the dump in its private folder, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="contents-", dir=dump.parent) as folder:
        yield write_list(Path(folder) / "list", entries)


def script_pieces(tools: Tools, dump: Path, contents: Path, *, server_major: int, operation: str) -> Iterator[bytes]:
    """The SQL of the listed entries, in pieces, without the setting that a server older than the tools does not know.

    Raises :class:`~backups.exceptions.RestoreFailed` at the end unless ``pg_restore`` ended well: who reads must take
    nothing for whole before.
    """
    args, env = script_command(tools, dump, contents)
    with child(args, env, operation=operation, stdout=subprocess.PIPE) as running:
        head = b""
        while len(head) < _HEAD_BYTES and (piece := running.stdout.read(PIPE_BYTES)):
            head += piece
        if server_major < 17 <= tools.major:
            head = head.replace(_NOT_IN_OLD_SERVERS, b"", 1)
        yield head
        while piece := running.stdout.read(PIPE_BYTES):
            yield piece
        if running.wait() != 0:
            raise RestoreFailed(running.failure())


def load_shadow(
    server: Server,
    tools: Tools,
    dump: Path,
    contents: Contents,
    shadow: str,
    *,
    server_major: int,
    jobs: int,
    operation: str,
    pace: Pace,
) -> list[str]:
    """Load everything but grants into the empty ``shadow``, then the grants one by one; return warnings.

    Raises :class:`~backups.exceptions.RestoreFailed` with the tool's first error, :class:`~backups.pace.Stopped` soon after ``pace``
    was stopped.
    """
    with server.connection(shadow, operation=operation) as connection:
        present = set(present_extensions(connection))
    with listed(dump, contents.loaded(extensions_present=present, schemas_present=set())) as entries:
        if tools.major > server_major:
            _load_by_script(server, tools, dump, entries, shadow, server_major=server_major, operation=operation, pace=pace)
        else:
            args, env = load_command(tools, server, dump, entries, database=shadow, operation=operation, jobs=jobs)
            with child(args, env, operation=operation, secrets=server.secrets) as running:
                if running.wait(pace.check) != 0:
                    raise RestoreFailed(running.failure())
    with server.connection(shadow, operation=operation) as connection:
        return run_grants(connection, *granting(tools, dump, contents, operation=operation))


def _load_by_script(
    server: Server, tools: Tools, dump: Path, contents: Path, shadow: str, *, server_major: int, operation: str, pace: Pace
) -> None:
    """Load through ``psql``, one statement after the other. Half a script leaves half a shadow, which is thrown away."""
    args, env = psql_command(tools, server, ["-"], database=shadow, operation=operation, single_transaction=False)
    with child(args, env, operation=operation, stdin=subprocess.PIPE, secrets=server.secrets) as running:
        try:
            for piece in script_pieces(tools, dump, contents, server_major=server_major, operation=operation):
                pace.check()
                _write_whole(running, piece)
            running.stdin.close()
        except BrokenPipeError:
            raise RestoreFailed(running.failure()) from None
        if running.wait(pace.check) != 0:
            raise RestoreFailed(running.failure())


def _write_whole(running: Child, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[running.stdin.write(view) or 0 :]


def granting(tools: Tools, dump: Path, contents: Contents, *, operation: str) -> tuple[list[str], list[str]]:
    """The dump's grants: statements to run, and those that cannot be run because another role made them."""
    entries = list(contents.granting())
    if not entries:
        return [], []
    with listed(dump, iter(entries)) as path:
        args, env = script_command(tools, dump, path)
        return grants(child_output(args, env, operation=operation))


def run_grants(connection: Connection, statements: list[str], left_out: list[str]) -> list[str]:
    """Run each grant; return those that this server's roles or rights do not allow, as warnings."""
    warnings = [f"Left out, since another role granted it: {statement}" for statement in left_out]
    for statement in statements:
        try:
            execute(connection, statement)
        except (psycopg2.errors.UndefinedObject, psycopg2.errors.InsufficientPrivilege) as error:
            warnings.append(f"Left out: {statement} ({str(error).splitlines()[0]})")
    return warnings


class SizeWatch:
    """Reports the growth of the shadow as bytes of the dump: the share of the expected size that is on disk.

    ``pg_restore`` tells nothing, and with several jobs its reading of the file says nothing either.
    """

    def __init__(self, server: Server, shadow: str, *, expected: int, total: int, operation: str, progress: Progress) -> None:
        """``expected`` is the size in bytes that the loaded database will have, ``total`` that of the dump."""
        self._server, self._shadow, self._operation = server, shadow, operation
        self._expected, self._total, self._progress = max(expected, 1), total, progress
        self._shown = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="size of the shadow", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None:
            self._show(self._total)

    def _run(self) -> None:
        """Look again and again until the end; a failure to look ends the reporting and nothing else."""
        with suppress(Exception), self._server.connection(self._server.maintenance, operation=self._operation, readonly=True) as connection:
            base = self._size(connection)
            while not self._ended.wait(PROGRESS_SECONDS):
                share = (self._size(connection) - base) / max(self._expected - base, 1)
                self._show(int(self._total * min(max(share, 0.0), 0.99)))

    def _size(self, connection: Connection) -> int:
        return int(fetch(connection, "SELECT pg_catalog.pg_database_size(%s)", (self._shadow,))[0][0])

    def _show(self, done: int) -> None:
        if done > self._shown:
            self._progress.advance(done - self._shown)
            self._shown = done
