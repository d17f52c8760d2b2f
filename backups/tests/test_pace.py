"""The pace of an operation: a limit of bytes, threads of a low priority, and that neither keeps it from ending."""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backups.engines.process import child_output
from backups.exceptions import Interrupted
from backups.interrupts import interruptible, uninterrupted
from backups.pace import AHEAD, LIMITED_SECONDS, Pace, Step, Stopped, ahead, beside

MB = 1_000_000
# What gentle work has, where these tests themselves have been made nice.
GENTLE = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
# The class best-effort, its last level.
LAST_ON_DISK = 2 << 13 | 7
IDLE = 3 << 13
IOPRIO_SET, IOPRIO_GET = {"x86_64": (251, 252), "aarch64": (30, 31)}[platform.machine()]


@dataclass
class Clock:
    """A clock that only waiting moves on."""

    now: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def priorities() -> tuple[int, int]:
    """Nice value of the calling thread, and class and level of its disk priority as one number."""
    return os.getpriority(os.PRIO_PROCESS, 0), ctypes.CDLL(None).syscall(IOPRIO_GET, 1, 0)


# --- the limit ------------------------------------------------------------------------------------------------------------


def test_bytes_pass_at_the_rate_whatever_the_size_of_the_pieces(clock: Clock) -> None:
    pace = Pace(gentle=True, rate=2 * MB, clock=clock, wait=clock.wait)
    began = clock.now
    for piece in (MB, 1, 3 * MB, 10, 6 * MB - 11):
        pace.moved(piece)
    assert clock.now - began == pytest.approx(5)


def test_a_slow_disk_is_no_reason_to_wait_as_well(clock: Clock) -> None:
    pace = Pace(gentle=True, rate=2 * MB, clock=clock, wait=clock.wait)
    for _ in range(10):
        clock.now += 0.5
        pace.moved(MB)
    assert clock.waits == []


def test_an_idle_minute_is_not_saved_up(clock: Clock) -> None:
    pace = Pace(gentle=True, rate=MB, clock=clock, wait=clock.wait)
    clock.now += 60
    began = clock.now
    for _ in range(10):
        pace.moved(MB)
    assert clock.now - began == pytest.approx(9.5)


def test_threads_share_the_rate(clock: Clock) -> None:
    pace = Pace(gentle=True, rate=MB, clock=clock, wait=clock.waits.append)
    for _ in range(3):
        thread = threading.Thread(target=pace.moved, args=(MB,))
        thread.start()
        thread.join()
    assert clock.waits == pytest.approx([1, 2, 3])


def test_what_is_sent_again_is_limited_and_not_given_back(clock: Clock) -> None:
    pace = Pace(gentle=True, rate=MB, clock=clock, wait=clock.wait)
    began = clock.now
    for count in (MB, -MB, MB):
        pace.moved(count)
    assert clock.now - began == pytest.approx(2)


def test_a_rate_that_would_take_days_is_lifted(clock: Clock) -> None:
    pace = Pace(gentle=True, rate=1, clock=clock, wait=clock.wait)
    pace.moved(int(LIMITED_SECONDS))
    assert not pace.is_lifted
    pace.moved(1)
    assert clock.now - 1000 == LIMITED_SECONDS + 1
    pace.moved(10**12)
    assert clock.now - 1000 == LIMITED_SECONDS + 1
    assert pace.is_lifted


@pytest.mark.parametrize(("gentle", "rate"), [(False, MB), (True, 0)], ids=["full speed", "without a limit"])
def test_without_a_limit_nothing_waits(clock: Clock, gentle: bool, rate: int) -> None:
    pace = Pace(gentle=gentle, rate=rate, clock=clock, wait=clock.wait)
    pace.moved(10**12)
    assert clock.waits == []


def test_what_is_counted_is_told_first(clock: Clock) -> None:
    told: list[tuple[int, float]] = []
    pace = Pace(gentle=True, rate=MB, clock=clock, wait=clock.wait)
    pace.counted(lambda count: told.append((count, clock.now)))(MB)
    assert told == [(MB, 1000)]
    assert clock.now == 1001


# --- the priority ---------------------------------------------------------------------------------------------------------


def test_gentle_work_has_a_low_priority_and_whoever_waits_for_it_keeps_its_own() -> None:
    before = priorities()
    assert before[0] < GENTLE, "this needs room below the priority that the tests have"
    assert Pace(gentle=True).run(priorities) == (GENTLE, LAST_ON_DISK)
    assert priorities() == before


def test_full_speed_works_where_it_is_called() -> None:
    assert Pace().run(threading.current_thread) is threading.current_thread()


def test_programs_of_gentle_work_have_its_priority_also_where_sessions_are_weighed_against_each_other() -> None:
    """Each program has a session of its own, which the kernel's autogroup would weigh like the whole site."""
    is_grouped = Path("/proc/self/autogroup").exists()
    script = "nice; ionice -p $$; cat /proc/$$/autogroup" if is_grouped else "nice; ionice -p $$"
    gently = Pace(gentle=True).run(lambda: child_output(["sh", "-c", script], dict(os.environ), operation="0" * 32))
    lines = gently.splitlines()
    assert lines[:2] == [str(GENTLE), "best-effort: prio 7"]
    assert not is_grouped or lines[2].endswith(f" nice {GENTLE}")
    usual = child_output(["sh", "-c", "nice"], dict(os.environ), operation="0" * 32)
    assert int(usual) == os.getpriority(os.PRIO_PROCESS, 0)


def test_gentle_work_of_a_site_that_runs_idle_stays_idle() -> None:
    code = (
        "import ctypes\n"
        "from backups.pace import Pace\n"
        "from backups.tests.test_pace import IDLE, IOPRIO_SET, priorities\n"
        "assert ctypes.CDLL(None).syscall(IOPRIO_SET, 1, 0, IDLE) == 0\n"
        "print(*Pace(gentle=True).run(priorities))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert printed.split() == [str(GENTLE), str(IDLE)]


# --- the end --------------------------------------------------------------------------------------------------------------


def test_what_the_work_returns_or_raises_is_what_the_caller_gets_and_the_next_work_can_begin() -> None:
    pace = Pace(gentle=True)
    assert pace.run(lambda: 42) == 42
    with pytest.raises(FileNotFoundError, match="nowhere"):
        pace.run(lambda: Path("/nowhere").read_bytes())
    pace.check()
    assert pace.run(lambda: 43) == 43


def test_a_wait_ends_when_the_operation_is_ended() -> None:
    pace = Pace(gentle=True, rate=1)
    step = Step(pace, lambda: pace.moved(10**9), name="a wait of thirty years")
    step.start()
    pace.stop()
    with pytest.raises(Stopped):
        step.result()


def test_work_beside_a_block_is_waited_for() -> None:
    begun, done = threading.Event(), list[str]()

    def work() -> None:
        begun.wait()
        done.append("work")

    with beside(Pace(), work, name="test"):
        done.append("block")
        begun.set()
    assert done == ["block", "work"]


def test_work_that_fails_ends_the_block_beside_it_and_its_error_is_told() -> None:
    pace = Pace()
    with pytest.raises(FileNotFoundError, match="nowhere"), beside(pace, lambda: Path("/nowhere").read_bytes(), name="test"):
        while True:
            pace.check()


def test_work_that_fails_after_the_block_is_told_too() -> None:
    block_ended = threading.Event()

    def work() -> None:
        block_ended.wait()
        raise FileNotFoundError("late")

    with pytest.raises(FileNotFoundError, match="late"), beside(Pace(), work, name="test"):
        block_ended.set()


def test_block_that_fails_ends_the_work_beside_it_and_its_error_is_told() -> None:
    pace, begun, ended = Pace(), threading.Event(), threading.Event()

    def work() -> None:
        try:
            while True:
                begun.set()
                pace.check()
        finally:
            ended.set()

    with pytest.raises(ZeroDivisionError), beside(pace, work, name="test"):
        begun.wait()
        print(1 / 0)
    assert ended.is_set()


def test_pieces_that_are_made_ahead_come_in_their_order_and_no_further_ahead_than_said() -> None:
    made, taken = list[int](), list[int]()

    def pieces() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    for piece in ahead(pieces(), name="test"):
        taken.append(piece)
        # One more may be at hand that nobody has asked for yet.
        assert len(made) <= len(taken) + AHEAD + 1
    assert taken == list(range(100))


def test_error_of_whoever_makes_pieces_ahead_comes_in_the_place_of_its_piece() -> None:
    taken = list[int]()
    with pytest.raises(ZeroDivisionError):
        for piece in ahead((6 // divisor for divisor in (1, 2, 0, 3)), name="test"):
            taken.append(piece)
    assert taken == [6, 3]


def test_whoever_takes_no_more_pieces_ends_the_thread_that_makes_them() -> None:
    with closing(ahead(itertools.count(), name="test-ahead")) as pieces:
        assert [next(pieces), next(pieces)] == [0, 1]
    assert ended("test-ahead")


def test_a_signal_at_the_start_of_the_thread_that_makes_pieces_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is held back until the thread has begun, and comes before anybody waits for a piece."""

    class Signalled(threading.Thread):
        def start(self) -> None:
            super().start()
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(threading, "Thread", Signalled)
    with pytest.raises(Interrupted), interruptible():
        for _ in ahead(itertools.count(), name="test-ahead"):
            pass
    assert ended("test-ahead")


def test_a_signal_while_pieces_are_taken_ends_the_thread_that_makes_them() -> None:
    with pytest.raises(Interrupted), interruptible():
        for piece in ahead(itertools.count(), name="test-ahead"):
            if piece == 10:
                os.kill(os.getpid(), signal.SIGTERM)
    assert ended("test-ahead")


def ended(name: str) -> bool:
    """Whether the thread of that name, whose work is over, is gone within a minute."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join(60)
            return not thread.is_alive()
    return True


def test_a_signal_ends_gentle_work_before_it_goes_on() -> None:
    pace, ended = Pace(gentle=True, rate=MB), threading.Event()

    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            while True:
                pace.moved(1000 * MB)
        finally:
            ended.set()

    with pytest.raises(Interrupted), interruptible():
        pace.run(work)
    assert ended.is_set()


def test_a_signal_that_comes_right_before_the_wait_ends_it_too() -> None:
    """As where it finds the main thread between its last look at signals and the wait for a lock: nothing wakes that then."""
    pace = Pace(gentle=True, rate=MB)

    def work() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            pace.moved(1000 * MB)

    # Held back from the main thread, it is taken by the other one, and the main one only finds its mark.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        with pytest.raises(Interrupted), interruptible():
            pace.run(work)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def test_a_signal_that_comes_while_a_step_ends_does_not_leave_it_behind() -> None:
    """``Thread.join`` of Python 3.11 takes a thread for ended when a signal interrupts it."""
    pace, may_end, ended = Pace(), threading.Event(), threading.Event()

    def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        may_end.wait()
        ended.set()

    step = Step(pace, work, name="dump")
    with interruptible():
        with pytest.raises(Interrupted):
            step.start()
            step.wait()
        threading.Timer(0.05, may_end.set).start()
        step.abandon()
    assert ended.is_set()


def test_a_thread_that_must_not_be_interrupted_does_not_hold_back_the_signals_of_the_main_one() -> None:
    may_end, is_within = threading.Event(), threading.Event()

    def within() -> None:
        with uninterrupted():
            is_within.set()
            may_end.wait()

    thread = threading.Thread(target=within)
    thread.start()
    is_within.wait()
    with pytest.raises(Interrupted), interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
    may_end.set()
    thread.join()


def test_a_step_that_never_began_is_not_waited_for() -> None:
    Step(Pace(), lambda: None, name="never").abandon()
