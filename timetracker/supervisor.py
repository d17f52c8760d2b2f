"""Keeps the site's processes alive: what ``./run`` turns into when everything is prepared.

A child that ends is started again, after a pause that doubles while it keeps ending. Ctrl-C and SIGTERM end all children
in order. When this process is killed, the kernel ends them (Linux).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Supervisor", "site_processes"]

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# Seconds after which a child counts as having come up; its next pause is the first one again.
STEADY = 30.0
# Seconds for children to end by themselves: a little more than gunicorn gives its requests.
GRACE = 35.0

_PR_SET_PDEATHSIG = 1
# Looked up before any fork: between fork and exec nothing may be imported or locked.
_prctl = getattr(ctypes.CDLL(None), "prctl", None)


def site_processes(host: str, port: int) -> dict[str, list[str]]:
    """The command line of each process of the site, by its name."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    celery = [sys.executable, "-P", "-m", "celery", "--quiet", "--app", "timetracker.celery:app"]
    return {
        "web": [
            *(sys.executable, "-P", "-m", "gunicorn", "timetracker.wsgi:application"),
            *("--bind", address, "--worker-class", "gthread", "--workers", "1", "--threads", "8"),
            *("--graceful-timeout", "30", "--log-level", "warning", "--no-control-socket"),
        ],
        "worker": [*celery, "worker", "--without-gossip", "--without-mingle", "--without-heartbeat"],
        "beat": [*celery, "beat"],
    }


@dataclass
class _Child:
    name: str
    args: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    pause: float = FIRST_PAUSE


def _end_with(parent: int) -> Callable[[], None]:
    def before_exec() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


class Supervisor:
    """Runs ``commands`` (name to command line) until a signal says stop.

    ``say`` gets a sentence about each child that ends. Pauses and ``grace`` are seconds.
    """

    def __init__(
        self,
        commands: dict[str, list[str]],
        *,
        say: Callable[[str], None],
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
        grace: float = GRACE,
    ) -> None:
        """Keep the commands; nothing is started yet."""
        self._children = [_Child(name, args, pause=first_pause) for name, args in commands.items()]
        self._say = say
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._grace = grace

    def run(self) -> None:
        """Start everything and keep it alive; returns after Ctrl-C, SIGTERM or SIGHUP, when all children are gone.

        Call it in the main thread: the death signal is bound to the thread that starts a child.
        """
        with _signals() as wait:
            try:
                while True:
                    now = time.monotonic()
                    for child in self._children:
                        self._look_after(child, now)
                    due = [child.due for child in self._children if child.process is None]
                    if wait(max(0.0, min(due) - now) if due else None):
                        break
                self._stop(wait)
            finally:
                for child in self._children:
                    self._kill_group(child)

    def _look_after(self, child: _Child, now: float) -> None:
        if child.process is not None and (code := child.process.poll()) is not None:
            self._kill_group(child)
            if now - child.started >= STEADY:
                child.pause = self._first_pause
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            self._say(f"{child.name} {how}; it is started again in {child.pause:g} s.")
            child.process, child.due = None, now + child.pause
            child.pause = min(child.pause * 2, self._longest_pause)
        if child.process is None and child.due <= now:
            child.started = now
            child.process = subprocess.Popen(  # noqa: S603 - a list made above, no shell
                child.args,
                stdin=subprocess.DEVNULL,
                # A group of its own: Ctrl-C reaches us alone, and we end the children in order.
                start_new_session=True,
                preexec_fn=_end_with(os.getpid()),
            )

    def _stop(self, wait: Callable[[float | None], bool]) -> None:
        """Ask all children to end; a second signal, or the end of the grace, is the end of patience."""
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.terminate()
        deadline = time.monotonic() + self._grace
        while any(child.process is not None and child.process.poll() is None for child in self._children):
            left = deadline - time.monotonic()
            if left <= 0 or wait(left):
                return

    def _kill_group(self, child: _Child) -> None:
        """Kill the child and what it left behind: a worker of a dead web server still holds the port."""
        if child.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[float | None], bool]]:
    """Yield ``wait(seconds)``: sleep until a child ends or the time is over, and say whether a stop was asked for.

    Signals arrive as bytes in a socket, so that none is lost between a look and a sleep.
    """
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    before = {signum: signal.signal(signum, lambda *_: None) for signum in (*stops, signal.SIGCHLD)}
    wakeup = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)

    def wait(seconds: float | None) -> bool:
        ready, _, _ = select.select([reading], [], [], seconds)
        return bool(ready) and any(signum in stops for signum in reading.recv(4096))

    try:
        yield wait
    finally:
        signal.set_wakeup_fd(wakeup)
        for signum, disposition in before.items():
            signal.signal(signum, disposition)
        reading.close()
        writing.close()


def main() -> None:
    """``python -m timetracker.supervisor HOST PORT``."""
    host, port = sys.argv[1:]
    Supervisor(site_processes(host, int(port)), say=lambda sentence: print(sentence, file=sys.stderr, flush=True)).run()


if __name__ == "__main__":
    main()
