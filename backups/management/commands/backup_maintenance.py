"""Close the site by hand, and open it again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.exceptions import UsageError
from backups.gate import gate_read, maintenance_off, maintenance_on
from backups.management.base import BackupCommand, asked_by
from backups.progress import Progress


class Command(BackupCommand):
    """The gate by hand, with no end of its own."""

    help = "Close the site by hand (on), and open it again (off). It stays closed until then, also over restarts and restores."
    locks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own options."""
        super().add_arguments(parser)
        parser.add_argument("switch", choices=("on", "off"), metavar="on|off", help="Begin or end the maintenance.")
        parser.add_argument("--message", default="", metavar="TEXT", help="A sentence for visitors: why, and until when.")
        parser.add_argument("--read-only", action="store_true", help="Let visitors read; refuse changes alone.")

    def run(self, progress: Progress, options: dict[str, Any]) -> None:
        """Switch, and say what visitors meet now."""
        if options["switch"] == "off" and (options["read_only"] or options["message"]):
            raise UsageError("--read-only and --message belong to on; off opens the site.", next_step="manage.py backup_maintenance off")
        if options["switch"] == "on":
            maintenance_on(message=options["message"], read_only=options["read_only"], by=asked_by())
        else:
            maintenance_off()
        gate = gate_read()
        met = {
            "open": "The site is open.",
            "read_only": "Visitors can read; changes and logins are refused.",
            "closed": "The site is closed.",
        }
        lines = [met[gate.state]]
        if gate.operation:
            lines.append(f"The {gate.kind} {gate.operation[:8]} goes on meanwhile.")
        if options["switch"] == "on":
            lines.append("End the maintenance: manage.py backup_maintenance off")
        self.result("\n".join(lines), state=gate.state, kind=gate.kind, operation=gate.operation, message=gate.message)
