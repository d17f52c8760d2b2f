"""What a person or a script sees while a command runs: a bar on a terminal, plain lines elsewhere, JSON lines on request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from backups.preflight import size_human
from backups.progress import Event, Progress, Sink

__all__ = ["bar_sink", "json_line", "lines_sink", "progress_shown"]

# Seconds between two lines of the same stage where there is no terminal: a log should stay readable.
LINE_SECONDS = 5.0


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
            stream.write(f"{'warning' if event.kind == 'warning' else 'note'}: {event.message}\n")
        stream.flush()

    return sink


@contextmanager
def bar_sink(stream: TextIO) -> Iterator[Sink]:
    """A sink that draws one bar for the current stage (rich), with percent, bytes and rate."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(file=stream)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:10}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("start", total=None)

        def sink(event: Event) -> None:
            if event.kind in ("stage", "progress"):
                bars.update(task, description=event.stage, completed=event.done, total=event.total)
            else:
                console.print(f"{'Warning' if event.kind == 'warning' else 'Note'}: {event.message}", markup=False, highlight=False)

        yield sink


@contextmanager
def progress_shown(*, out: TextIO, err: TextIO, as_json: bool, quiet: bool) -> Iterator[Progress]:
    """A :class:`~backups.progress.Progress` that is shown in the way that fits; ``quiet`` shows warnings and notes only."""
    progress = Progress()
    if as_json:
        progress.sinks.append(lambda event: json_line(out, event.kind, **{k: v for k, v in event.as_json().items() if k != "kind"}))
        yield progress
    elif quiet:
        lines = lines_sink(err)
        progress.sinks.append(lambda event: lines(event) if event.kind in ("warning", "note") else None)
        yield progress
    elif err.isatty():
        with bar_sink(err) as sink:
            progress.sinks.append(sink)
            yield progress
    else:
        progress.sinks.append(lines_sink(err))
        yield progress
