"""Commands in forks of one process that has loaded Django already: real processes with real exit codes, at a tenth of the price.

Starting Python and Django takes most of the time of a command that refuses. Tests with many such commands run them on a
:class:`WarmSite`; each is a process of its own all the same, with its own signals, descriptors and connections.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, Self

from backups.tests import BASE_DIR
from backups.tests.site import Completed, Site
from backups.tests.zygote import Fork, Zygote, foreign_modules

__all__ = ["WarmSite"]


@dataclass
class WarmSite(Site):
    """A :class:`Site` whose :meth:`manage` forks from a warm process, which is started anew where the environment has changed.

    What a process reads once, such as a file of its settings, is that of its first command: :meth:`cool` lets it be read again.
    """

    _server: Fork | None = None
    _server_env: dict[str, str] = field(default_factory=dict)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, site: Site) -> Self:
        """The same site, warm: itself, where it is that already. Closing either ends both."""
        return site if isinstance(site, cls) else cls.apart(site)

    @classmethod
    def apart(cls, site: Site) -> Self:
        """The same site with a warm process of its own, for commands beside each other."""
        return cls(**{item.name: getattr(site, item.name) for item in fields(Site)})

    def manage(
        self,
        *args: str | Path,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - the word of subprocess.run
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
    ) -> Completed:
        """As :meth:`Site.manage`; with ``env``, or beside another command, in a process that starts cold."""
        if env is not None or self._turn.locked():
            return super().manage(*args, check=check, input=input, env=env, timeout=timeout)
        completed = self._run({"args": list(map(str, args))}, input or "", timeout)
        if check and completed.returncode != 0:
            raise AssertionError(
                f"manage.py {' '.join(map(str, args))} ended with {completed.returncode}\n{completed.stdout}\n{completed.stderr}"
            )
        return completed

    def interrupted(self, signum: int, stage: str, *args: str | Path, after: int = 0) -> Completed:
        """Run a command that sends itself ``signum`` when its journal enters ``stage``, or ``after`` audit events of Python later.

        With events the signal finds it in the middle of its work there: a file is being opened, a child runs.
        """
        return self._run({"args": list(map(str, args)), "interrupt": [signum, stage, after]}, "", 300)

    def at_the_lock(self, ready: Path, go: Path, *args: str | Path) -> Completed:
        """Run a command that writes a byte into the pipe ``ready`` right before it asks for the lock, and waits for the end of ``go``."""
        return self._run({"args": list(map(str, args)), "at_the_lock": [str(ready), str(go)]}, "", 300)

    def filling(self, stage: str, ballast: Path, leave: int, *args: str | Path) -> Completed:
        """Run a command during which the disk runs full: at ``stage`` the file ``ballast`` takes all of it but ``leave`` bytes."""
        return self._run({"args": list(map(str, args)), "fill": [stage, str(ballast), leave]}, "", 300)

    @property
    def _log(self) -> Path:
        return self.data_dir.with_name(f"{self.data_dir.name}.warm.log")

    def _run(self, request: dict[str, object], given: str, timeout: float) -> Completed:
        with self._turn, tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "stdin").write_text(given)
            returncode = self._ask({**request, "folder": folder}, timeout)
            stdout, stderr = ((Path(folder) / name).read_text(errors="replace") for name in ("stdout", "stderr"))
        return Completed(returncode, stdout, stderr)

    def cool(self) -> None:
        """End the warm process; the next command starts another, with the settings of then."""
        if self._server is not None:
            self.kill_group(self._server)
            with self._server:
                pass
            if self._server in self._started:
                self._started.remove(self._server)
            self._server = None

    def _ask(self, request: Mapping[str, object], timeout: float) -> int:
        if self._server_env != self.env:
            self.cool()
        if self._server is None or self._server.poll() is not None:
            # Into a file: a pipe that nobody reads would stop the process when it is full.
            with self._log.open("w") as log:
                self._server = zygote_for(self.env).fork(__name__, env=self.env, cwd=self.data_dir, stderr=log)
            self._started.append(self._server)
            self._server_env = self.env
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        readable, _, _ = select.select([self._server.stdout], [], [], timeout)
        answer = self._server.stdout.readline() if readable else ""
        if not answer:
            self.cool()
            raise AssertionError(
                f"manage.py {request['args']!r} was not done after {timeout} s, or its parent is gone\n{self._log.read_text()}"
            )
        return int(answer)


def _fork(request: dict[str, object]) -> int:
    """Fork; in the child exchange the three streams and return 0, in the parent return the child's id."""
    child = os.fork()
    if child:
        return child
    folder = Path(str(request["folder"]))
    for descriptor, name, flags in (
        (0, "stdin", os.O_RDONLY),
        (1, "stdout", os.O_WRONLY | os.O_CREAT),
        (2, "stderr", os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(folder / name, flags, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    # What the parent had read ahead is not the command's input.
    sys.stdin = os.fdopen(0, closefd=False)
    return 0


def _interrupt_at(signum: int, stage: str, after: int) -> None:
    """Let this process send itself a signal at an instant of its journal."""
    from backups.journal import Journal

    left: int | None = None
    enter = Journal.enter

    def enter_watched(journal: Journal, name: str) -> None:
        nonlocal left
        enter(journal, name)
        if name == stage and left is None:
            left = after
            if not after:
                os.kill(os.getpid(), signum)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if left:
            left -= 1
            if not left:
                os.kill(os.getpid(), signum)

    setattr(Journal, "enter", enter_watched)  # noqa: B010 - the type checker allows no other way
    sys.addaudithook(count)


def _fill_at(stage: str, ballast: str, leave: int) -> None:
    """Let the disk run full at a stage of the journal, as if by another program."""
    from backups.journal import Journal

    enter = Journal.enter

    def enter_watched(journal: Journal, name: str) -> None:
        enter(journal, name)
        if name == stage and not Path(ballast).exists():
            with Path(ballast).open("wb") as file:
                for _ in range(100):
                    free = os.statvfs(Path(ballast).parent)
                    # The operation's own threads may have written since: then there is less to take.
                    with contextlib.suppress(OSError):
                        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - leave))
                        return

    setattr(Journal, "enter", enter_watched)  # noqa: B010


def _wait_at_the_lock(ready: str, go: str) -> None:
    """Let this process wait for the starting signal, once, before it asks for the lock."""
    from backups.progress import Progress

    enter = Progress.stage

    def stage(progress: Progress, name: str, **rest: Any) -> None:
        if name == "lock":
            Path(ready).write_bytes(b".")
            Path(go).read_bytes()
        enter(progress, name, **rest)

    setattr(Progress, "stage", stage)  # noqa: B010


def _manage(args: list[str]) -> NoReturn:
    """Run ``manage.py`` and end this process as Python does, but for clearing up its memory, all of which would be copied first."""
    from django.core.management import execute_from_command_line

    code: Any = 1
    try:
        execute_from_command_line([str(BASE_DIR / "manage.py"), *args])
        code = 0
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - as Python does at the top
        traceback.print_exc()
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


_zygotes: list[Zygote] = []


def zygote_for(env: Mapping[str, str]) -> Zygote:
    """Return the process from which that of a site with ``env`` forks; it lives as long as this one."""
    for zygote in _zygotes:
        if zygote.fits(env):
            return zygote
    command = [sys.executable, "-m", __name__, "modules"]
    loaded = subprocess.run(command, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, text=True)
    _zygotes.append(Zygote(json.loads(loaded.stdout), env))
    atexit.register(_zygotes[-1].close)
    return _zygotes[-1]


def _load() -> None:
    import django
    from django.core.checks import run_checks

    django.setup()
    # What a command imports on its way: loaded here, it is there in each fork.
    import backups.engines
    import backups.management.commands
    import backups.services

    for package in (backups.engines, backups.management.commands, backups.services):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    run_checks()


def main() -> None:
    """Load everything once, then fork for each line of stdin; answer with the exit code (negative: killed by that signal)."""
    _load()
    if sys.argv[1:] == ["modules"]:
        print(json.dumps(foreign_modules()))
        return
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        child = _fork(request)
        if not child:
            if request.get("interrupt"):
                _interrupt_at(*request["interrupt"])
            if request.get("fill"):
                _fill_at(*request["fill"])
            if request.get("at_the_lock"):
                _wait_at_the_lock(*request["at_the_lock"])
            _manage(request["args"])
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
