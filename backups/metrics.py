"""The site's health for Prometheus, in its text format 0.0.4.

Times are timestamps and not ages, so that an alert computes the age itself. What is not known has no sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from backups.gate import STATES
from backups.services.health import Health

__all__ = ["CONTENT_TYPE", "metrics_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Sample(NamedTuple):
    value: float
    labels: Mapping[str, str] = {}


def metrics_text(health: Health) -> str:
    """All gauges with their help, each sample on a line."""
    lines = []
    for name, explanation, samples in _gauges(health):
        if samples:
            lines += [f"# HELP backups_{name} {explanation}", f"# TYPE backups_{name} gauge"]
            lines += [f"backups_{name}{_labels(sample.labels)} {sample.value:.15g}" for sample in samples]
    return "\n".join(lines) + "\n"


def _gauges(health: Health) -> Iterator[tuple[str, str, Sequence[_Sample]]]:
    last, failure = health.last_backup, health.last_failure
    yield "healthy", "1 where health.json answers 200, else 0.", [_Sample(health.is_healthy)]
    yield "problems", "Reasons for which the site is not healthy.", [_Sample(len(health.problems))]
    yield "last_backup_timestamp_seconds", "When the newest good archive was made.", _time(last.made_at if last else None)
    yield "last_verified_timestamp_seconds", "When an archive was last read back and was right.", _time(health.verified_at)
    failed = [_Sample(failure.ended_at.timestamp(), {"kind": failure.kind})] if failure else []
    yield "last_failure_timestamp_seconds", "When an operation last failed, and its kind.", failed
    yield "archives", "Archives in the store.", [] if health.archives is None else [_Sample(health.archives)]
    states = [_Sample(health.gate.state == state, {"state": state}) for state in STATES]
    yield "gate_state", "1 for the state in which the gate is.", states
    yield "gate_reachable", "1 where the gate's cache answers, else 0.", [_Sample(health.gate.reachable)]
    yield "database_up", "1 where the database answers and is whole, else 0; absent while it is closed.", _database(health)
    yield "worker_up", "1 where a worker is there, else 0.", [_Sample(health.worker is not None)]
    yield "tick_timestamp_seconds", "When the tick that starts schedules last came.", _time(health.tick_at)
    yield "requests_queued", "Requests that wait to be begun.", [_Sample(len(health.queued))]
    yield "operations_running", "Operations at work.", [_Sample(len(health.running))]
    yield "operations_interrupted", "Operations that were killed and wait for recovery.", [_Sample(len(health.interrupted))]
    schedules = health.schedules or ()
    due = [_Sample(schedule.next_due_at.timestamp(), {"schedule": schedule.key}) for schedule in schedules if schedule.next_due_at]
    yield "schedule_next_timestamp_seconds", "When each enabled schedule is due next.", due
    attempts = [_Sample(schedule.attempts, {"schedule": schedule.key}) for schedule in schedules]
    yield "schedule_failed_attempts", "Attempts of each schedule that failed since its last success.", attempts
    until = _time(datetime.fromisoformat(health.kept["until"])) if health.kept.get("until") else []
    yield "kept_state_expires_timestamp_seconds", "Until when backup_undo is possible.", until


def _database(health: Health) -> list[_Sample]:
    return [] if health.database == "closed" else [_Sample(health.database == "ok")]


def _time(instant: datetime | None) -> list[_Sample]:
    return [] if instant is None else [_Sample(instant.timestamp())]


def _labels(labels: Mapping[str, str]) -> str:
    quoted = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{','.join(quoted)}}}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
