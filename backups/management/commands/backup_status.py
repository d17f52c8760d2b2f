"""Show how things stand, and bring them in order after an interruption."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from backups.exceptions import UsageError
from backups.gate import MAINTENANCE, GateState
from backups.management.base import BackupCommand, confirmed
from backups.preflight import size_human
from backups.progress import Progress
from backups.services.recover import backup_recover
from backups.services.status import Status, backup_force_open, backup_status


class Command(BackupCommand):
    """Gate, lock, journal, last backup, kept state."""

    help = "Show gate, lock, interrupted operations, last backup and kept state. Works with the database closed or broken."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the command's own options."""
        super().add_arguments(parser)
        parser.add_argument("--recover", action="store_true", help="Finish or undo what an interrupted operation left, and say which.")
        parser.add_argument("--force-open", action="store_true", help="Open the gate although an outcome is unproven (asks).")

    def run(self, progress: Progress, options: dict[str, Any]) -> None:
        """Recover or force where asked, else show."""
        if options["recover"] and options["force_open"]:
            raise UsageError("--recover and --force-open are two things.", next_step="Run it with --recover alone first.")
        if options["recover"]:
            recovered = backup_recover(wait=options["wait"], progress=progress)
            lines = [settled.message for settled in recovered.settled] or ["Nothing was interrupted; there is nothing to recover."]
            self.result("\n".join(lines), settled=[asdict(settled) for settled in recovered.settled])
            return
        if options["force_open"]:
            question = "This opens the site on whatever data is there, whole or half. First try: manage.py backup_status --recover"
            if not confirmed(question, "open the gate", out=self.err):
                raise UsageError("Not confirmed.", next_step="Run it again and type: open the gate")
            unproven = backup_force_open()
            text = "The gate is open.\n" + ("Unproven: " + "; ".join(unproven) if unproven else "Nothing was interrupted.")
            self.result(text, unproven=unproven)
            return
        status = backup_status()
        self.result(_text(status), **asdict(status))


def _gate_text(gate: GateState) -> str:
    if gate.operation:
        return f"{gate.state}, {gate.kind} {gate.operation[:8]} in stage {gate.stage}"
    if gate.kind == MAINTENANCE:
        since = f" since {gate.since:%Y-%m-%d %H:%M} UTC" if gate.since else ""
        by = f" by {gate.by}" if gate.by else ""
        return f"{gate.state} by hand{since}{by}. End it: manage.py backup_maintenance off"
    return gate.state if gate.reachable else f"{gate.state} (its cache cannot be asked)"


def _text(status: Status) -> str:
    lines = [f"Gate       {_gate_text(status.gate)}"]
    lines.append(f"Database   {status.database}" + (f": {status.database_detail}" if status.database_detail else ""))
    lines.append(f"Lock       held by {status.locked_by}" if status.locked_by else "Lock       free")
    for operation in status.interrupted:
        lines.append(f"Interrupted  {operation}. Run: manage.py backup_status --recover")
    last = status.last_backup
    if last is None:
        lines.append("Backups    none yet. Make one: manage.py backup_create")
    else:
        verified = f"verified {last.verified_at:%Y-%m-%d %H:%M} UTC" if last.verified_at else "not verified since the last restore"
        lines.append(f"Backups    {status.archives}, last {last.name} ({size_human(last.size)}, {verified})")
    if status.kept:
        size = f", {size_human(status.kept['bytes'])}" if status.kept["bytes"] is not None else ""
        lines.append(f"Undo       until {status.kept['until'][:16].replace('T', ' ')} UTC{size}: manage.py backup_undo")
    else:
        lines.append("Undo       nothing is kept")
    lines.extend(f"Problem    {problem}" for problem in status.problems)
    return "\n".join(lines)
