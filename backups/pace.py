"""How hard an operation works the machine: as fast as it can, or gently.

Gently, what moves an operation's bytes has a low priority for processor and disk, and so have the programs that it starts; and no more
bytes pass in a second than ``BACKUPS_GENTLE_RATE`` says. A lowered priority can be raised again by root alone, while a worker's
process goes on to other tasks; but on Linux it belongs to the thread (setpriority(2), ioprio_set(2)). So each step of a gentle operation
runs in a thread made for it, which ends with it, and the thread that waits for it keeps its own.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from backups.conf import conf
from backups.durable import libc
from backups.interrupts import uninterrupted

__all__ = ["LIMITED_SECONDS", "Pace", "Step", "Stopped", "ahead", "beside", "pace_for"]

T = TypeVar("T")

MEGABYTE = 1_000_000
# Unused rate is kept for so many seconds: a pause of the disk is made up for, an idle hour is not.
BURST_SECONDS = 0.5
# After so long the rate no longer holds: an operation holds the lock, on PostgreSQL a snapshot too (no vacuum then removes what died
# since), and a rate that is too low for the data would make that days.
LIMITED_SECONDS = 4 * 3600.0

# As by nice(1): a tenth of a processor that somebody else wants all of. At 19 it would be a seventieth, for as long as the others please,
# and with Python's lock in hand the threads that wait for a wish to cancel would wait as well.
NICENESS = 10
LOWEST_NICE = 19
# So many pieces are made before the first of them is taken.
AHEAD = 2
# Seconds after which a signal is noticed at the latest.
SIGNAL_SECONDS = 0.5
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_CLASS_SHIFT = 13
_BEST_EFFORT, _IDLE = 2, 3
_LOWEST_LEVEL = 7
# ioprio_set(2) has no wrapper in the C library: its number and that of ioprio_get(2). Elsewhere the nice value decides about the disk
# as well, where nothing else was set: level (nice + 20) / 5.
_IOPRIO_CALLS = {"x86_64": (251, 252), "aarch64": (30, 31)}


class Stopped(Exception):
    """The operation is being ended: raised in the threads that work for it."""


class Pace:
    """The pace of one operation. ``rate`` is in bytes a second, for all its threads together; 0: no limit.

    At full speed (``gentle`` is False) steps run where they are called, and nothing waits. ``is_lifted`` tells that the rate has ceased to
    hold. ``clock`` tells seconds; ``wait`` takes some and returns when they are over, or sooner after :meth:`stop`.
    """

    def __init__(
        self,
        *,
        gentle: bool = False,
        rate: float = 0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self.is_gentle = gentle
        self.is_lifted = False
        self._rate, self._clock = rate if gentle else 0, clock
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._lock = threading.Lock()
        # The instant to which the bytes that have passed suffice at that rate.
        self._began = self._paid_until = clock()

    def moved(self, count: int) -> None:
        """Note that ``count`` bytes have passed, and wait until others may. Called from any thread; raises :class:`Stopped`."""
        if pause := self._pause_after(count):
            self._wait(pause)
        self.check()

    def check(self) -> None:
        """Raise :class:`Stopped` where the operation is being ended."""
        if self._stopped.is_set():
            raise Stopped

    def counted(self, on_bytes: Callable[[int], object]) -> Callable[[int], None]:
        """``on_bytes``, followed by :meth:`moved`."""

        def passed(count: int) -> None:
            on_bytes(count)
            self.moved(count)

        return passed

    def stop(self) -> None:
        """End all steps of the operation at their next piece; those that wait, at once."""
        self._stopped.set()

    def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises. Gently, it runs in a thread of its own; a signal ends that first.

        ``work`` must call :meth:`moved` or :meth:`check` every now and then: else it does not notice that it is to end.
        """
        if not self.is_gentle:
            return work()
        step = Step(self, work, name="backups-gentle")
        try:
            step.start()
            step.wait()
        except BaseException:
            self.stop()
            step.abandon()
            raise
        return step.result()

    def _pause_after(self, count: int) -> float:
        """Seconds to wait after so many bytes. A piece that is sent again counts again (then its first number is taken back)."""
        if not self._rate or self.is_lifted or count <= 0:
            return 0.0
        with self._lock:
            now = self._clock()
            if now - self._began > LIMITED_SECONDS:
                self.is_lifted = True
                return 0.0
            self._paid_until = max(self._paid_until, now - BURST_SECONDS) + count / self._rate
            return max(0.0, self._paid_until - now)


class Step(Generic[T]):
    """A part of an operation in a thread of its own, with the priority that fits the operation's pace.

    A program dies with the thread that started it, so whoever starts one must do so in here and wait for it in here.
    """

    def __init__(self, pace: Pace, work: Callable[[], T], *, name: str) -> None:
        self._pace, self._work = pace, work
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._is_begun = False
        # Held until the work has ended. And not Thread.join(): interrupted by a signal, it takes the thread for ended (Python 3.11,
        # gh-90882); and not an Event: a signal between two of its own steps leaves it locked for ever.
        self._at_work = threading.Lock()
        self._is_over = False
        self._results: list[T] = []
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        with uninterrupted():
            self._at_work.acquire()
            self._thread.start()
            self._is_begun = True

    def wait(self) -> None:
        """Wait for the end, whatever it is; a signal ends the waiting, and the step goes on."""
        while not self._is_over:
            # In pieces: a signal that arrives in the instant before a wait for a lock does not end it.
            if self._at_work.acquire(timeout=SIGNAL_SECONDS):
                self._at_work.release()

    def result(self) -> T:
        """Wait for the end; what the work returned, or the error that it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def abandon(self) -> None:
        """Wait for the end of a step that was stopped, or was never begun; what comes of it is of no use any more."""
        if self._is_begun:
            with uninterrupted(swallow=True):
                self.wait()

    def _run(self) -> None:
        try:
            if self._pace.is_gentle:
                _lower_priority()
            self._results.append(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again by result(), in the thread that waits
            self._error = error
        finally:
            self._is_over = True
            self._at_work.release()


@contextmanager
def beside(pace: Pace, work: Callable[[], object], *, name: str) -> Iterator[None]:
    """Let ``work`` go on in a thread of its own during the block, and wait for it at the end.

    Where one of the two fails ``pace`` is stopped, so that the other ends at its next piece too, and the first error is raised.
    """

    def stopping() -> None:
        try:
            work()
        except BaseException:
            pace.stop()
            raise

    step = Step(pace, stopping, name=name)
    try:
        step.start()
        yield
        step.wait()
    except BaseException as error:
        pace.stop()
        step.abandon()
        if isinstance(error, Stopped):
            step.result()
        raise
    step.result()


def ahead(pieces: Iterable[T], *, name: str) -> Generator[T, None, None]:
    """The same pieces, made in a thread of its own, :data:`AHEAD` of them before they are taken; its error is raised in their place.

    No piece may change when the next one is made.
    """
    # Not queue.Queue, which a signal between two of its own steps can leave locked.
    made: SimpleQueue[T | None] = SimpleQueue()
    wanted: SimpleQueue[None] = SimpleQueue()
    pace = Pace()

    def wait_until_wanted() -> None:
        while True:
            # Whoever takes the pieces may have ended before it could say so.
            pace.check()
            with suppress(Empty):
                return wanted.get(timeout=SIGNAL_SECONDS)

    def make() -> None:
        try:
            for piece in pieces:
                wait_until_wanted()
                made.put(piece)
        finally:
            made.put(None)

    for _ in range(AHEAD):
        wanted.put(None)
    with beside(pace, make, name=name):
        while (piece := made.get()) is not None:
            yield piece
            wanted.put(None)


def pace_for(*, gentle: bool) -> Pace:
    """The pace of an operation that begins now."""
    return Pace(gentle=gentle, rate=conf.gentle_rate * MEGABYTE if gentle else 0)


def _lower_priority() -> None:
    """Put the calling thread, and what it starts from now on, behind the others; Linux alone, where that is a thread's own."""
    if sys.platform != "linux":
        return
    os.setpriority(os.PRIO_PROCESS, 0, min(LOWEST_NICE, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS))
    calls = _IOPRIO_CALLS.get(platform.machine())
    if calls is None:
        return
    number_set, number_get = calls
    syscall = libc().syscall
    # Whoever has put the whole site into the idle class wants it so. By itself the best-effort class is right: an idle backup on a busy
    # disk would hold its lock and its snapshot for as long as the others please.
    if syscall(number_get, _IOPRIO_WHO_PROCESS, 0) >> _IOPRIO_CLASS_SHIFT != _IDLE:
        syscall(number_set, _IOPRIO_WHO_PROCESS, 0, _BEST_EFFORT << _IOPRIO_CLASS_SHIFT | _LOWEST_LEVEL)
