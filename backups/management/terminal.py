"""What a person or a script sees while a command runs: a bar on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from backups.preflight import size_human
from backups.progress import Event, Progress, Sink

# Imported where a bar is drawn: most commands draw none.
if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

__all__ = ["Bar", "as_typed", "json_line", "lines_sink", "progress_shown"]

# Seconds between two lines of the same stage where there is no terminal: a log should stay readable.
LINE_SECONDS = 5.0


def as_typed(text: str) -> str:
    """``text`` with its commands as this person types them: ``MANAGE_COMMAND`` (``./run manage``) stands for ``manage.py``."""
    return text.replace("manage.py ", f"{os.environ.get('MANAGE_COMMAND') or 'manage.py'} ")


def json_line(stream: TextIO, event: str, /, **fields: Any) -> None:
    """Write one JSON event: ``{"event": event, …}`` on a line of its own."""
    stream.write(json.dumps({"event": event, **fields}, ensure_ascii=False, default=str) + "\n")
    stream.flush()


def _amount(event: Event) -> str:
    parts = []
    if event.percent is not None:
        parts.append(f"{event.percent:.0f} %")
    if event.done:
        parts.append(size_human(event.done))
    if event.rate:
        parts.append(f"{size_human(event.rate)}/s")
    return ", ".join(parts)


def lines_sink(stream: TextIO) -> Sink:
    """A sink that writes one line per stage, warning and note, and one every few seconds of a long stage."""
    shown = 0.0
    stage = ""

    def sink(event: Event) -> None:
        nonlocal shown, stage
        if event.kind == "progress":
            if event.seconds - shown < LINE_SECONDS:
                return
            shown = event.seconds
            stream.write(f"{event.stage}: {_amount(event)}\n")
        elif event.kind == "stage":
            shown = 0.0
            # A stage that is entered again with its total known is the same stage.
            if stage != event.stage:
                stage = event.stage
                stream.write(f"{event.stage}{': ' + event.message if event.message else ''}\n")
        else:
            stream.write(f"{'warning' if event.kind == 'warning' else 'note'}: {as_typed(event.message)}\n")
        stream.flush()

    return sink


class Bar:
    """A sink that draws one bar for the current stage (rich), with percent, bytes and rate.

    It is there from a stage's beginning on, and gone once :meth:`hide` is called: what is written to the same terminal, a
    question or a result, would be overwritten.
    """

    def __init__(self, stream: TextIO) -> None:
        """Keep the stream; nothing is drawn yet."""
        self._stream = stream
        self._bars: Bars | None = None

    def __call__(self, event: Event) -> None:
        """Show the event."""
        if event.kind in ("warning", "note"):
            self._console.print(f"{event.kind.capitalize()}: {as_typed(event.message)}", markup=False, highlight=False)
            return
        if event.kind == "stage" and self._bars is None:
            self._bars = self._started()
        if self._bars is not None:
            [task] = self._bars.task_ids
            # A total of 0 bytes is a stage that moves none: the bar pulses, as where the total is unknown.
            self._bars.update(task, description=event.stage, completed=event.done, total=event.total or None, amount=_amount(event))

    def hide(self) -> None:
        """Erase the bar; the next stage draws it anew."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=self._stream)

    def _started(self) -> Bars:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:10}"),
            BarColumn(),
            TextColumn("{task.fields[amount]}", markup=False),
            TimeElapsedColumn(),
        )
        bars = Progress(*columns, console=self._console, transient=True)
        bars.add_task("", total=None, amount="")
        bars.start()
        return bars


@contextmanager
def progress_shown(*, out: TextIO, err: TextIO, as_json: bool, quiet: bool) -> Iterator[tuple[Progress, Callable[[], None]]]:
    """A :class:`~backups.progress.Progress` that is shown in the way that fits, and what hides it: call that before other output.

    ``quiet`` shows warnings and notes only.
    """
    progress = Progress()
    bar = Bar(err)
    if as_json:
        progress.sinks.append(lambda event: json_line(out, event.kind, **{k: v for k, v in event.as_json().items() if k != "kind"}))
    elif quiet:
        lines = lines_sink(err)
        progress.sinks.append(lambda event: lines(event) if event.kind in ("warning", "note") else None)
    elif err.isatty():
        progress.sinks.append(bar)
    else:
        progress.sinks.append(lines_sink(err))
    try:
        yield progress, bar.hide
    finally:
        bar.hide()
