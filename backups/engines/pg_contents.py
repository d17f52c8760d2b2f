"""What is in a dump: ``pg_restore`` tells its table of contents, and prints single tables of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from backups.engines.pg_catalog import major_of
from backups.engines.pg_load import listed
from backups.engines.pg_toc import Contents, copied_rows, parse_contents
from backups.engines.pg_tools import Tools, list_command, script_command
from backups.engines.process import child_output
from backups.exceptions import ArchiveRejected, BackupError, PreflightRefused

__all__ = ["contents_inspect", "contents_read", "contents_rows"]


def contents_read(tools: Tools, dump: Path, *, operation: str) -> Contents:
    """The table of contents. Raises :class:`~backups.exceptions.BackupError` with the words of ``pg_restore``."""
    args, env = list_command(tools, dump)
    return parse_contents(child_output(args, env, operation=operation))


def contents_inspect(tools: Tools, dump: Path, *, server_version: str, operation: str) -> Contents:
    """The table of contents of a dump that is to go to a server of that version.

    Raises :class:`~backups.exceptions.ArchiveRejected` for one that cannot be read, and PreflightRefused where the tools or
    the server are too old for it.
    """
    try:
        contents = contents_read(tools, dump, operation=operation)
    except BackupError as error:
        if "unsupported version" in error.message:
            raise PreflightRefused(
                f"pg_restore {tools.version} is too old for the dump: {error.message}",
                next_step="Install the newest postgresql-client package, or name its folder in BACKUPS_PG_BIN_DIRS.",
            ) from error
        raise ArchiveRejected(f"The dump cannot be read: {error.message}") from error
    if contents.server_major > major_of(server_version):
        raise PreflightRefused(
            f"The dump comes from PostgreSQL {contents.server_major}, and this server is {server_version}.",
            next_step=f"Install PostgreSQL {contents.server_major} or newer (package postgresql-{contents.server_major}).",
        )
    return contents


def contents_rows(tools: Tools, dump: Path, table: str, *, operation: str) -> Iterator[dict[str, str | None]]:
    """Rows of one table, as text by the names of their columns; none where the dump has no such table."""
    entries = list(contents_read(tools, dump, operation=operation).table_data(table))
    if not entries:
        return
    with listed(dump, iter(entries)) as path:
        args, env = script_command(tools, dump, path)
        script = child_output(args, env, operation=operation)
    yield from copied_rows(script)
