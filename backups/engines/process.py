"""Child processes: client programs that die with this process and can be found by the operation they belong to.

A ``psql`` left alone commits after its parent's death (measured), therefore every child here

* gets ``SIGKILL`` from the kernel when its parent dies (``PR_SET_PDEATHSIG``, Linux). **The kernel sends it when the
  thread that started the child ends**, so the thread that enters :func:`child` must live until it leaves it;
* carries ``BACKUPS_OPERATION=<id>`` in its environment, by which :func:`end_children` finds what is left: a worker
  forked by ``pg_restore --jobs`` inherits the environment, but not the death signal;
* is the leader of a session of its own: Ctrl-C reaches this process alone, which ends its children in order, and no
  program can ask for a password on the terminal.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

from backups.durable import libc
from backups.exceptions import BackupError, RestoreNotUndone

__all__ = ["OPERATION_VARIABLE", "Child", "child", "child_output", "end_children", "first_error"]

OPERATION_VARIABLE = "BACKUPS_OPERATION"

# Bytes that a pipe holds: the default of 64 KiB makes a fast dump wait for the compressor at every turn.
PIPE_BYTES = 1024 * 1024
# The first error stands among the first lines, its consequences after it; the rest would only fill memory.
FIRST_LINES = 200
LAST_LINES = 50
LINE_LENGTH = 2000
# Seconds after SIGKILL: only a process stuck in the kernel (a dead disk) takes longer.
END_SECONDS = 30.0
# Seconds between two checks of whether to go on waiting for a program.
CHECK_SECONDS = 0.2

_PR_SET_PDEATHSIG = 1
# Looked up here, before any fork: between fork and exec nothing may be imported, loaded or locked.
_prctl = getattr(libc(), "prctl", None)

_ERROR_LINE = re.compile(r"\b(?:error|fatal|panic):", re.IGNORECASE)
_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)|(://[^:/@\s]*:)[^@\s]*(?=@)", re.IGNORECASE)


def _before_exec() -> Callable[[], None]:
    """What the child calls between fork and exec: ask for the death signal, end if the parent is gone already, and stay as nice.

    Where the scheduler weighs sessions against each other (sched(7), autogroup), a nice value counts within its session alone, and
    a new session begins at 0: what a gentle thread starts would rival the whole site as an equal.
    """
    parent, niceness = os.getpid(), os.getpriority(os.PRIO_PROCESS, 0)

    def before_exec() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        if niceness > 0:
            with suppress(OSError):
                os.write(os.open("/proc/self/autogroup", os.O_WRONLY | os.O_CLOEXEC), b"%d" % niceness)

    return before_exec


def first_error(stderr: str, secrets: Sequence[str] = ()) -> str:
    """The first line of a client program's ``stderr`` that speaks of an error, else its first line; empty for none.

    What comes after the first error is mostly its consequence. Values in ``secrets`` and passwords of connection
    strings are replaced by ``***``.
    """
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    line = next((line for line in lines if _ERROR_LINE.search(line)), lines[0] if lines else "")
    for secret in secrets:
        if secret:
            line = line.replace(secret, "***")
    return _PASSWORD.sub(lambda match: f"{match[1] or match[3]}***", line)


class Child:
    """A running program. Made by :func:`child` only, which ends and reaps it."""

    def __init__(self, popen: subprocess.Popen[bytes], secrets: Sequence[str]) -> None:
        """Begin to collect the program's stderr."""
        self._popen = popen
        self._secrets = tuple(secrets)
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._left_out = 0
        self._reader = threading.Thread(target=self._collect, name=f"stderr of {popen.pid}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's id, which is the id of its session and process group too."""
        return self._popen.pid

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe to the program; only with ``stdin=PIPE``."""
        assert self._popen.stdin is not None  # noqa: S101  (a mistake of the caller)
        return self._popen.stdin

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe from the program, unbuffered; only with ``stdout=PIPE``."""
        assert self._popen.stdout is not None  # noqa: S101
        return self._popen.stdout

    @property
    def stderr(self) -> str:
        """What the program wrote to stderr: its first and last lines. Complete after :meth:`wait`."""
        gap = [f"[{self._left_out} lines left out]"] if self._left_out else []
        return "\n".join([*self._first, *gap, *self._last])

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended."""
        return self._popen.poll() is None

    def wait(self, check: Callable[[], object] | None = None) -> int:
        """Wait for the end of the program and of its stderr; return its exit code (negative: a signal's number).

        ``check`` is called again and again meanwhile; what it raises ends the waiting.
        """
        while check is not None and self.is_running:
            check()
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(CHECK_SECONDS)
        code = self._popen.wait()
        self._reader.join(timeout=5)
        return code

    def failure(self) -> str:
        """One sentence about a program that failed: its name and its first error, or the code it ended with."""
        code = self.wait()
        line = first_error(self.stderr, self._secrets)
        name = Path(str(self._popen.args[0])).name if isinstance(self._popen.args, (list, tuple)) else "The program"
        if line:
            return f"{name} failed: {line}"
        return f"{name} was ended by signal {-code}." if code < 0 else f"{name} failed with exit code {code}."

    def kill(self) -> None:
        """End the program and what it has forked, at once; callable from any thread."""
        if self._popen.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)

    def _collect(self) -> None:
        """Keep the first and last lines of stderr, each of bounded length."""
        pipe = self._popen.stderr
        if pipe is None:
            return
        with suppress(ValueError, OSError):
            while raw := pipe.readline(LINE_LENGTH):
                line = raw.decode(errors="replace").rstrip("\n")
                if len(self._first) < FIRST_LINES:
                    self._first.append(line)
                    continue
                self._left_out += len(self._last) == LAST_LINES
                self._last.append(line)


@contextmanager
def child(
    args: Sequence[str],
    env: Mapping[str, str],
    *,
    operation: str,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.DEVNULL,
    cwd: Path | None = None,
    secrets: Sequence[str] = (),
) -> Iterator[Child]:
    """Start a program with exactly the environment ``env`` and the operation's id; end and reap it on leaving.

    ``args`` is a list (no shell). ``secrets`` never appear in :meth:`Child.failure`. Raises
    :class:`~backups.exceptions.BackupError` where the program cannot be started.
    """
    try:
        popen = subprocess.Popen(  # noqa: S603  (a list, no shell)
            list(args),
            env={**env, OPERATION_VARIABLE: operation},
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            close_fds=True,
            start_new_session=True,
            preexec_fn=_before_exec(),  # noqa: PLW1509  (makes system calls and nothing else)
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise BackupError(f"{args[0]} cannot be started: {error}.") from error
    for pipe in (popen.stdin, popen.stdout):
        if pipe is not None and hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    running = Child(popen, secrets)
    try:
        yield running
    finally:
        running.kill()
        for pipe in (popen.stdin, popen.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        running.wait()
        if popen.stderr is not None:
            popen.stderr.close()


def child_output(args: Sequence[str], env: Mapping[str, str], *, operation: str, secrets: Sequence[str] = ()) -> str:
    """Run a program to its end and return its stdout (held in memory: for short answers only).

    Raises :class:`~backups.exceptions.BackupError` with the program's first error unless it ended well.
    """
    with child(args, env, operation=operation, stdout=subprocess.PIPE, secrets=secrets) as running:
        output = b"".join(iter(lambda: running.stdout.read(PIPE_BYTES), b""))
        if running.wait() != 0:
            raise BackupError(running.failure())
    return output.decode(errors="replace")


def _ancestors() -> set[int]:
    """This process and all processes above it."""
    found, pid = set(), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            # "pid (name) state ppid …": the name may hold spaces and brackets, so cut after the last one.
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            break
    return found


def _find_children(operation: str) -> list[int]:
    """Open a pidfd of each process of this user that carries the operation's id; the caller closes them."""
    mark = f"{OPERATION_VARIABLE}={operation}".encode()
    spared, uid, found = _ancestors(), os.geteuid(), []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if pid in spared:
            continue
        # The pidfd comes first: it holds on to this very process, so that no later one of the same id is hit.
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            is_ours = folder.stat().st_uid == uid and mark in (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            is_ours = False
        if is_ours:
            found.append(descriptor)
        else:
            os.close(descriptor)
    return found


def _stuck(operation: str) -> NoReturn:
    raise RestoreNotUndone(f"A child process of operation {operation[:8]} does not end although it was killed; its disk may hang.")


def end_children(operation: str, *, seconds: float = END_SECONDS) -> int:
    """Kill every process of this user that belongs to ``operation`` and wait until none is left; return how many.

    This process and those above it are spared. Finds nothing where there is no ``/proc``. Raises
    :class:`~backups.exceptions.RestoreNotUndone` where one is still there after ``seconds``.
    """
    if not operation:
        raise ValueError("An operation's id is needed: an empty one would match foreign processes.")
    if not Path("/proc/self/environ").exists():
        return 0
    deadline, ended = time.monotonic() + seconds, 0
    # Again until a look finds nothing: a program may fork between the look and the signal.
    while found := _find_children(operation):
        try:
            for descriptor in found:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            for descriptor in found:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    _stuck(operation)
            ended += len(found)
        finally:
            for descriptor in found:
                os.close(descriptor)
    return ended
