"""What the next backup will cost, and whether there is room for it: shown before anybody begins one."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from backups.engines import engine_for
from backups.estimate import Estimate, Run, estimate
from backups.models import Operation
from backups.preflight import HEADROOM, bytes_to_create, size_human, store_free_bytes
from backups.services.question import Question
from backups.times import duration_human
from backups.uploads import uploads_list, uploads_root

__all__ = ["CreateEstimate", "create_estimate"]

# The next one is like the last few.
LAST_RUNS = 7
# Seconds for the sizes of the database and of the uploads: a page does not wait longer, and says that it does not know.
SECONDS = 2.0


@dataclass(frozen=True)
class CreateEstimate:
    """What a backup would cost; ``likely`` is None without earlier ones of about its size, and ``runs`` counts those of any size.

    ``needed`` and ``free`` are bytes, None where unknown.
    """

    uploads: bool
    likely: Estimate | None
    needed: int | None
    free: int | None
    runs: int = 0

    @property
    def fits(self) -> bool | None:
        """Whether there is room; None where that is not known. The backup itself looks again before it begins."""
        return None if self.needed is None or self.free is None else self.free >= self.needed + HEADROOM

    @property
    def said(self) -> str:
        """Size and time in a sentence."""
        if self.likely is None and self.runs:
            return "How large it gets and how long it takes is not known yet: no earlier backup of this kind was of about this size."
        if self.likely is None:
            return "How large it gets and how long it takes is not known yet: no earlier backup of this kind has been made."
        low, typical, high = (size_human(size) for size in (self.likely.size.low, self.likely.size.typical, self.likely.size.high))
        bounds = f" ({low} to {high})" if low != high else ""
        spent = timedelta(seconds=max(1, self.likely.seconds.typical))
        runs = f"last {self.likely.runs}" if self.likely.runs > 1 else "last one"
        return f"About {typical}{bounds} in about {duration_human(spent)}, going by the {runs} of this kind."

    @property
    def space_said(self) -> str:
        """Whether there is room, in a sentence."""
        if self.needed is None or self.free is None:
            return "Whether there is room is not known now; the backup looks before it begins."
        if not self.fits:
            return (
                f"There is too little room: it may need {size_human(self.needed)} while it is made,"
                f" and {size_human(self.free)} are free. Free some space first."
            )
        return f"There is room: it may need {size_human(self.needed)} while it is made, and {size_human(self.free)} are free."


def create_estimate(*, uploads: bool) -> CreateEstimate:
    """What a backup made now would cost: one query, and four seconds at most where neither database nor disk answers."""
    # Both are asked at once, and waited for below.
    live, files = _LIVE.begin(), _UPLOADS.begin() if uploads else None
    database_bytes = _answer(live)
    upload_bytes = _answer(files) if files is not None else 0
    if database_bytes is None or upload_bytes is None:
        return CreateEstimate(uploads, estimate(_runs(uploads)), None, store_free_bytes())
    runs = _runs(uploads)
    likely = estimate(runs, source=database_bytes + upload_bytes)
    return CreateEstimate(uploads, likely, bytes_to_create(database_bytes, upload_bytes), store_free_bytes(), len(runs))


def _runs(uploads: bool) -> list[Run]:
    """The last backups with, or without, uploads that went well: those at full speed, and gentle ones where there are no others."""
    made = Operation.objects.filter(kind="create", status="done", report__has_key="upload_bytes").order_by("-started_at")
    reports = made.values_list("report", flat=True)[: 4 * LAST_RUNS]
    runs = [(bool(report.get("gentle")), run) for report in reports if (run := _run(report, uploads))]
    return [run for is_gentle, run in runs if not is_gentle][:LAST_RUNS] or [run for _, run in runs][:LAST_RUNS]


def _run(report: Any, uploads: bool) -> Run | None:
    """The run of one report; None where it is of the other kind, or no such report: the history lies in the store, for others to write."""
    try:
        if (report["upload_bytes"] is None) == uploads:
            return None
        return Run(sum(report["seconds"].values()), report["bytes"] + 0, report["database_bytes"] + (report["upload_bytes"] or 0))
    except (AttributeError, KeyError, TypeError):
        return None


def _answer(asked: Future[int]) -> int | None:
    try:
        return asked.result(timeout=SECONDS)
    except Exception:  # whatever it is: it is not known
        return None


_LIVE = Question(lambda: engine_for().live_state().size)
_UPLOADS = Question(lambda: sum(file.size for file in uploads_list(uploads_root())))
