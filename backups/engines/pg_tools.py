"""PostgreSQL's client programs: which of the installed ones fit, and how they are called.

The server's own major comes first; a newer client only where that is missing (measured: ``pg_dump`` 15 refuses a 17
server, ``pg_restore`` 15 cannot read 17's archives, and 17 into a 15 server fails on ``transaction_timeout``).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from backups.conf import conf
from backups.engines.pg_server import Server
from backups.exceptions import PreflightRefused

__all__ = [
    "LOCK_WAIT",
    "Tools",
    "dump_command",
    "find_tools",
    "list_command",
    "load_command",
    "psql_command",
    "script_command",
    "supports_zstd",
]

Command = tuple[list[str], dict[str, str]]

PROGRAMS = ("pg_dump", "pg_restore", "psql")
# Milliseconds that pg_dump waits for a table that a migration holds.
LOCK_WAIT = 60_000
# Folders of one major: Debian and Ubuntu, Red Hat, Homebrew, Postgres.app.
_FOLDERS_OF_MAJORS = (
    ("/usr/lib/postgresql", "*/bin"),
    ("/usr", "pgsql-*/bin"),
    ("/opt/homebrew/opt", "postgresql@*/bin"),
    ("/usr/local/opt", "postgresql@*/bin"),
    ("/Applications/Postgres.app/Contents/Versions", "*/bin"),
)
_FOLDERS = ("/usr/local/pgsql/bin", "/usr/local/bin", "/opt/homebrew/bin")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")


@dataclass(frozen=True)
class Tools:
    """The programs of one folder, all of one version."""

    folder: Path
    major: int
    version: str

    def program(self, name: str) -> str:
        """The path of one program."""
        return str(self.folder / name)

    def as_dict(self) -> dict[str, str]:
        """Program to version, for the plan."""
        return dict.fromkeys(PROGRAMS, self.version)


def _folders() -> Iterator[Path]:
    """Every folder that may hold the programs, the preferred ones first."""
    yield from conf.pg_bin_dirs
    for root, pattern in _FOLDERS_OF_MAJORS:
        yield from sorted(Path(root).glob(pattern))
    yield from (Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry)
    yield from (Path(entry) for entry in _FOLDERS)


def _tools_in(folder: Path) -> Tools | None:
    """The tools in ``folder``, or None where it has not all of them."""
    if not all(os.access(folder / name, os.X_OK) for name in PROGRAMS):
        return None
    # Debian's /usr/bin/pg_dump is a script that chooses a version by itself; the real programs are found elsewhere.
    if (folder / "pg_dump").resolve().name == "pg_wrapper":
        return None
    try:
        answer = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer.stdout)
    return Tools(folder, int(match[1]), match[1] + match[2]) if match else None


def find_tools(server_major: int, *, at_least: int = 0) -> tuple[Tools, list[str]]:
    """The tools for a server, and warnings: its own major, else the next newer one.

    ``at_least`` is the major that wrote the dump: an older ``pg_restore`` cannot read it. Raises
    :class:`~backups.exceptions.PreflightRefused` naming the package to install.
    """
    wanted = max(server_major, at_least)
    found: dict[int, Tools] = {}
    for folder in dict.fromkeys(_folders()):
        tools = _tools_in(folder)
        if tools is not None:
            found.setdefault(tools.major, tools)
        if tools is not None and tools.major == wanted:
            break
    usable = sorted(major for major in found if major >= wanted)
    if not usable:
        have = ", ".join(str(major) for major in sorted(found)) or "none"
        reason = f"the server is PostgreSQL {server_major}" if wanted == server_major else f"the dump was written by pg_dump {at_least}"
        raise PreflightRefused(
            f"pg_dump, pg_restore and psql of version {wanted} or newer are needed ({reason}); found: {have}.",
            next_step=f"Install the package postgresql-client-{wanted}, or name the folder of the programs in BACKUPS_PG_BIN_DIRS.",
        )
    tools = found[usable[0]]
    if tools.major == server_major:
        return tools, []
    return tools, [
        f"The server is PostgreSQL {server_major}, but its own client programs are not used: those of {tools.version} are "
        f"({tools.folder}). Install postgresql-client-{server_major} to use the server's own."
        if at_least <= server_major
        else f"The dump was written by pg_dump {at_least}: pg_restore {tools.version} loads it into the PostgreSQL {server_major} server."
    ]


def supports_zstd(tools: Tools) -> bool:
    """Whether ``pg_dump`` was built with zstd: it complains about that before it connects."""
    if tools.major < 16:
        return False
    args = [tools.program("pg_dump"), "--format=custom", "--compress=zstd:1", "--no-password", "--dbname=host=/nowhere"]
    answer = subprocess.run(args, env={"LC_ALL": "C"}, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    return "compression" not in answer.stderr.lower()


def dump_command(tools: Tools, server: Server, *, operation: str, snapshot: str, compress: str) -> Command:
    """``pg_dump`` of the live database in custom format to stdout, of an exported snapshot."""
    args = [
        tools.program("pg_dump"),
        "--format=custom",
        f"--compress={compress}",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_WAIT}",
        "--no-password",
        f"--dbname={server.conninfo(server.live, operation=operation)}",
    ]
    return args, server.environment()


def list_command(tools: Tools, dump: Path) -> Command:
    """``pg_restore`` printing the table of contents; connects to nothing."""
    return [tools.program("pg_restore"), "--list", str(dump)], {"LC_ALL": "C"}


def script_command(tools: Tools, dump: Path, contents: Path) -> Command:
    """``pg_restore`` printing the SQL of the listed entries; connects to nothing."""
    return [tools.program("pg_restore"), "--no-owner", f"--use-list={contents}", "--file=-", str(dump)], {"LC_ALL": "C"}


def load_command(tools: Tools, server: Server, dump: Path, contents: Path, *, database: str, operation: str, jobs: int) -> Command:
    """``pg_restore`` of the listed entries into ``database``, ending at the first error."""
    args = [
        tools.program("pg_restore"),
        "--exit-on-error",
        "--no-owner",
        "--no-password",
        f"--jobs={jobs}",
        f"--use-list={contents}",
        f"--dbname={server.conninfo(database, operation=operation, settings=LOAD_SETTINGS)}",
        str(dump),
    ]
    return args, server.environment()


def psql_command(tools: Tools, server: Server, scripts: list[str], *, database: str, operation: str, single_transaction: bool) -> Command:
    """``psql`` of ``scripts`` (paths, ``-`` for stdin) into ``database``, ending at the first error."""
    args = [
        tools.program("psql"),
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        *(["--single-transaction"] if single_transaction else []),
        *(f"--file={script}" for script in scripts),
        f"--dbname={server.conninfo(database, operation=operation, settings=LOAD_SETTINGS)}",
    ]
    return args, {**server.environment(), "PGCLIENTENCODING": "UTF8"}


# A load that is thrown away after a crash need not wait for the disk at each statement: what comes before the swap commits
# with synchronous_commit on, which makes everything written earlier durable too (there is one WAL).
LOAD_SETTINGS = {"synchronous_commit": "off", "client_min_messages": "warning"}
