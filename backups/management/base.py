"""What all ``backup_*`` commands share: options, progress, signals, and errors as exit codes."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Any, NoReturn, TextIO, cast

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from backups.exceptions import BackupError, Interrupted
from backups.interrupts import interruptible
from backups.management.terminal import as_typed, json_line, progress_shown
from backups.progress import Progress

__all__ = ["BackupCommand", "asked_by", "confirmed"]


def asked_by() -> str:
    """Who runs the command, as text for the journal and the history."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return f"user {os.geteuid()} (command line)"


def confirmed(question: str, word: str, *, out: TextIO) -> bool:
    """Ask for ``word`` to be typed. Where nobody can answer, that is a no."""
    out.write(f"{as_typed(question)}\nType {word} to go on: ")
    out.flush()
    return sys.stdin.readline().strip() == word


class BackupCommand(BaseCommand):
    """A thin command: :meth:`run` calls one service and prints.

    System checks are off: they would query the default database, and these commands must work while it is broken.
    """

    requires_system_checks: list[str] = []
    locks = True

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Make the parser: an option is what is written out, and no beginning of one."""
        return super().create_parser(prog_name, subcommand, allow_abbrev=False, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the options that every command has."""
        parser.add_argument("--json", action="store_true", help="Print one JSON event a line on stdout.")
        parser.add_argument("--no-progress", action="store_true", help="Show warnings only.")
        if self.locks:
            parser.add_argument(
                "--wait",
                type=float,
                default=0,
                metavar="SECONDS",
                help="Wait this long for another operation to end (default: not at all).",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, and turn a :class:`~backups.exceptions.BackupError` into its message and exit code."""
        self.as_json = bool(options["json"])
        # Django's wrapper of stdout adds line ends of its own and colours; a result is written as it is.
        self.out = cast(TextIO, self.stdout._out)
        self.err = cast(TextIO, self.stderr._out)
        shown: dict[str, Any] = {"out": self.out, "err": self.err, "as_json": self.as_json, "quiet": bool(options["no_progress"])}
        try:
            with interruptible(), progress_shown(**shown) as (progress, self.hide_progress):
                self.run(progress, options)
        except (BackupError, Interrupted) as error:
            self._fail(error)
        except ImproperlyConfigured as error:
            self._fail(BackupError(str(error), next_step="Correct the setting, then run: manage.py check"))

    def run(self, progress: Progress, options: dict[str, Any]) -> None:
        """What the command is for."""
        raise NotImplementedError

    def result(self, text: str, **fields: Any) -> None:
        """Print the result: ``text``, or with ``--json`` the event ``result`` with ``fields``."""
        self.hide_progress()
        if self.as_json:
            json_line(self.out, "result", **fields)
        else:
            self.out.write(as_typed(text).rstrip("\n") + "\n")
            self.out.flush()

    def _fail(self, error: BackupError | Interrupted) -> NoReturn:
        notes = getattr(error, "__notes__", [])
        if self.as_json:
            json_line(
                self.out,
                "error",
                error=type(error).__name__,
                message=error.message,
                state=error.state,
                next_step=as_typed(error.next_step),
                notes=notes,
                exit_code=error.exit_code,
            )
        text = "\n".join([error.message, error.state, error.next_step, *notes])
        raise CommandError(as_typed(text), returncode=error.exit_code) from error
