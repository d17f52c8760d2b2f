"""``./run`` as a person types it: from a copy of the project in a folder with a space in its name, and without git."""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from backups.tests.servers import PgCluster, free_port
from backups.tests.site import measured
from timetracker.tests.test_supervisor import wait_for_end

BASE_DIR = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "var", "node_modules", "__pycache__", ".*_cache", ".coverage*", ".hypothesis")
SECONDS = 120


class Checkout:
    """A copy of the project with an environment that is already installed, and data of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "time tracker"
        shutil.copytree(BASE_DIR, self.root, ignore=NOT_COPIED, symlinks=True)
        self.data_dir = self.root / "var"
        self.cwd = folder / "somewhere else"
        self.cwd.mkdir()
        # A module of that name in the caller's folder must not get in the way.
        (self.cwd / "timetracker.py").write_text("raise SystemExit('the wrong module')\n")
        (self.cwd / "secrets.py").write_text("raise SystemExit('the wrong module')\n")
        self.env = measured({"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "HOME": str(folder)})
        self.bin = folder / "bin"
        self.bin.mkdir()

    def install(self) -> None:
        """Make ``.venv`` look as ``./run`` leaves it, with the packages of the Python that runs the tests."""
        environment = Path(sys.prefix)
        venv = self.root / ".venv"
        venv.mkdir()
        for name in ("bin", "lib"):
            (venv / name).symlink_to(environment / name)
        shutil.copy(environment / "pyvenv.cfg", venv)
        shutil.copy(self.root / "requirements" / "base.txt", venv / "installed-base.txt")

    def program(self, name: str, script: str) -> None:
        """Put a program in front of the PATH."""
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run ``./run`` to its end, from another folder."""
        return subprocess.run(
            [str(self.root / "run"), *args], env=self.env | env, cwd=self.cwd, capture_output=True, text=True, timeout=SECONDS
        )

    @contextlib.contextmanager
    def started(self, *args: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """``./run`` in the background, killed at the end with what it started."""
        process = subprocess.Popen(
            [str(self.root / "run"), *args],
            env=self.env | {"PORT": str(free_port()), **env},
            cwd=self.cwd,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                yield process
            finally:
                # The supervisor ends its children, which are in groups of their own, when it is asked or killed.
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()


def read_until(process: subprocess.Popen[str], pattern: str) -> tuple[re.Match[str], str]:
    """Read lines until one holds ``pattern``; the match, and everything read so far."""
    assert process.stderr
    text = ""
    for line in process.stderr:
        text += line
        if match := re.search(pattern, line):
            return match, text
    raise AssertionError(f"./run ended with {process.wait()} without {pattern!r}:\n{text}")


def log_in(address: str, password: str, *, username: str = "admin", path: str = "admin/") -> str:
    """Log in to the admin, or to the portal as somebody else; the page that follows."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar := http.cookiejar.CookieJar()))
    url = f"{address}{path}login/?next=/{path}"
    # gunicorn binds a moment after the address is printed; a refused connection means: not yet.
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            opener.open(url, timeout=SECONDS).close()
            break
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = urllib.parse.urlencode({"username": username, "password": password, "csrfmiddlewaretoken": token or ""}).encode()
    with opener.open(url, form, timeout=SECONDS) as page:
        return str(page.read().decode())


@pytest.fixture
def bare(tmp_path: Path) -> Checkout:
    """A checkout on which nothing is installed."""
    return Checkout(tmp_path)


@pytest.fixture
def checkout(bare: Checkout) -> Checkout:
    """A checkout with its environment."""
    bare.install()
    return bare


def processes_below(pid: int) -> list[int]:
    """Ids of the process's descendants."""
    found: list[int] = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *processes_below(int(child))]
    return found


def site_children(pid: int) -> dict[str, int]:
    """The ids of web server, worker and beat, by their names, as far as they are there."""
    found: dict[str, int] = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            words = Path(f"/proc/{child}/cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        found |= {name: int(child) for name, mark in (("web", "gunicorn"), ("worker", "worker"), ("beat", "beat")) if mark in words}
    return found


# --- words -----------------------------------------------------------------------------------------------------------


def test_help_names_every_command_and_installs_nothing(bare: Checkout) -> None:
    completed = bare.run("help")
    assert completed.returncode == 0
    commands = re.findall(r"^    ([a-z]+)\)", (BASE_DIR / "run").read_text(), re.MULTILINE)
    assert {"manage", "backup", "restore", "test", "soak", "lint", "lock"} <= set(commands)
    for command in commands:
        assert f"./run {command}" in completed.stdout
    assert not (bare.root / ".venv").exists()


def test_an_unknown_word_is_a_usage_error(checkout: Checkout) -> None:
    for args in (["strat"], ["--empty", "--fast"]):
        completed = checkout.run(*args)
        assert completed.returncode == 2
        assert "help" in completed.stderr


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
def test_the_script_is_read_by_every_shell_at_hand(shell: str) -> None:
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(BASE_DIR / "run")], check=True)


# --- the environment -------------------------------------------------------------------------------------------------

FAKE_UV = """
echo "$@" >> "$UV_LOG"
case $1 in venv)
    for last; do :; done
    mkdir "$last"
    ln -s "$REAL_ENVIRONMENT/bin" "$REAL_ENVIRONMENT/lib" "$last"
    cp "$REAL_ENVIRONMENT/pyvenv.cfg" "$last"
esac
"""


def test_locks_are_installed_with_their_hashes_once_and_again_when_they_changed(bare: Checkout, tmp_path: Path) -> None:
    log = tmp_path / "uv.log"
    bare.program("uv", FAKE_UV)
    bare.env |= {"UV_LOG": str(log), "REAL_ENVIRONMENT": sys.prefix, "DATA_DIR": str(tmp_path / "data")}
    install = f"pip install --quiet --python {bare.root}/.venv/bin/python --require-hashes -r {bare.root}/requirements/base.txt"

    assert bare.run("manage", "version").returncode == 0
    first = log.read_text().splitlines()
    assert first[0].startswith("venv ")
    assert first[1:] == [install]
    bare.run("manage", "version")
    assert log.read_text().splitlines() == first

    with (bare.root / "requirements" / "base.txt").open("a") as lock:
        lock.write("# changed\n")
    bare.run("manage", "version")
    assert log.read_text().splitlines() == [*first, install]


def test_an_install_that_fails_is_tried_again(bare: Checkout, tmp_path: Path) -> None:
    log = tmp_path / "uv.log"
    bare.program("uv", FAKE_UV + 'case $1 in pip) [ -f "$UV_LOG.works" ];; esac')
    bare.env |= {"UV_LOG": str(log), "REAL_ENVIRONMENT": sys.prefix, "DATA_DIR": str(tmp_path / "data")}
    failed = bare.run("manage", "version")
    assert failed.returncode != 0
    assert "The packages could not be installed" in failed.stderr
    Path(f"{log}.works").touch()
    assert bare.run("manage", "version").returncode == 0
    assert sum("--require-hashes" in line for line in log.read_text().splitlines()) == 2


def only_these_programs(checkout: Checkout, *names: str) -> None:
    for name in names:
        (checkout.bin / name).symlink_to(shutil.which(name) or name)
    checkout.env["PATH"] = str(checkout.bin)


def test_a_machine_without_python_is_told_what_to_install(bare: Checkout) -> None:
    only_these_programs(bare, "sh", "dirname", "rm", "cmp")
    completed = bare.run("manage", "check")
    assert completed.returncode == 1
    assert "Python 3.11 or newer is needed" in completed.stderr


def test_an_old_python_is_passed_over(bare: Checkout) -> None:
    only_these_programs(bare, "sh", "dirname", "rm", "cmp")
    bare.program("python3", "exit 1")
    completed = bare.run("manage", "check")
    assert completed.returncode == 1
    assert "Python 3.11 or newer is needed" in completed.stderr


def test_a_python_without_venv_is_told_what_to_install(bare: Checkout) -> None:
    only_these_programs(bare, "sh", "dirname", "rm", "cmp")
    bare.program("python3", f'case $2 in *ensurepip*) exit 1;; esac; exec "{sys.executable}" "$@"')
    completed = bare.run("manage", "check")
    assert completed.returncode == 1
    assert "venv" in completed.stderr
    assert "nstall" in completed.stderr
    assert not (bare.root / ".venv").exists()


# --- commands --------------------------------------------------------------------------------------------------------


def test_manage_runs_in_the_callers_folder_and_keeps_the_exit_code(checkout: Checkout) -> None:
    assert checkout.run("manage", "shell", "-v", "0", "-c", "import os; print(os.getcwd())").stdout.strip() == str(checkout.cwd)
    assert checkout.run("manage", "shell", "-v", "0", "-c", "raise SystemExit(7)").returncode == 7


def test_messages_name_commands_as_they_are_typed(checkout: Checkout) -> None:
    assert "Make one: ./run manage backup_create" in checkout.run("manage", "backup_list").stdout
    missing = checkout.run("restore", "/nowhere/archive.zip", "--no-input")
    assert missing.returncode == 2
    assert missing.stderr.endswith("Run: ./run manage backup_list\n")


def test_the_secret_key_is_made_once_and_is_private(checkout: Checkout) -> None:
    assert checkout.run("manage", "check").returncode == 0
    key_file = checkout.data_dir / "secret_key"
    key = key_file.read_text()
    assert len(key) >= 50
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert checkout.run("manage", "check").returncode == 0
    assert key_file.read_text() == key
    assert list(checkout.data_dir.glob(".secret_key*")) == []


def test_two_first_starts_at_once_agree_on_one_key(checkout: Checkout) -> None:
    command = [str(checkout.root / "run"), "manage", "shell", "-v", "0", "-c", "from django.conf import settings as s; print(s.SECRET_KEY)"]
    both = [subprocess.Popen(command, env=checkout.env, cwd=checkout.cwd, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    keys = {process.communicate(timeout=SECONDS)[0] for process in both}
    assert keys == {(checkout.data_dir / "secret_key").read_text() + "\n"}


def test_a_key_in_the_environment_makes_no_file(checkout: Checkout) -> None:
    assert checkout.run("manage", "check", SECRET_KEY="k" * 60).returncode == 0
    assert not (checkout.data_dir / "secret_key").exists()


# --- the site --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_the_site_starts_with_demo_data_and_a_one_time_admin_and_ends_without_a_trace(
    engine: str, checkout: Checkout, request: pytest.FixtureRequest
) -> None:
    if engine == "postgresql":
        pg: PgCluster = request.getfixturevalue("pg")
        name = pg.create_database()
        request.addfinalizer(lambda: pg.drop_databases(name))
        checkout.env |= {"DATABASE_URL": pg.url(name), "BACKUPS_PG_BIN_DIRS": str(pg.bin_dir)}
    count = "from timetracker.tracking.models import TimeEntry; print(TimeEntry.objects.count())"
    with checkout.started() as site:
        address, _ = read_until(site, r"TimeTracker is at (\S+)")
        password, _ = read_until(site, r"Log in as admin with the password (\S+)")
        assert "Site administration" in log_in(address[1], password[1])
        guest, _ = read_until(site, r"/portal/: log in as (\S+) with the password (\S+)")
        assert "Active projects" in log_in(address[1], guest[2], username=guest[1], path="portal/")
        assert site_children(site.pid).keys() == {"web", "worker", "beat"}
        children = processes_below(site.pid)
        site.send_signal(signal.SIGINT)
        assert site.wait(SECONDS) == 0
        for child in children:
            wait_for_end(child)
    entries = int(checkout.run("manage", "shell", "-v", "0", "-c", count).stdout)
    assert entries > 0

    with checkout.started() as site:
        assert site.stderr
        _, said = read_until(site, r"TimeTracker is at (\S+)")
        for word in ("Installing", "Migrating", "Collecting", "demo"):
            assert word not in said
        site.terminate()
        assert "password" not in site.stderr.read()
    assert int(checkout.run("manage", "shell", "-v", "0", "-c", count).stdout) == entries


def test_a_real_start_is_empty_and_stays_so(checkout: Checkout) -> None:
    count = "from timetracker.tracking.models import TimeEntry; print(TimeEntry.objects.count())"
    for args in (["--empty"], []):
        with checkout.started(*args) as site:
            _, said = read_until(site, "TimeTracker is at")
            assert "demo" not in said
        assert checkout.run("manage", "shell", "-v", "0", "-c", count).stdout.strip() == "0"


def test_what_dies_is_started_again_and_nothing_is_left_when_the_supervisor_is_killed(checkout: Checkout) -> None:
    with checkout.started("--empty") as site:
        address, _ = read_until(site, r"TimeTracker is at (\S+)")
        password, _ = read_until(site, r"Log in as admin with the password (\S+)")
        log_in(address[1], password[1])
        first = site_children(site.pid)
        for pid in first.values():
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + SECONDS
        while len(again := site_children(site.pid)) < 3 or set(again.values()) & set(first.values()):
            assert time.monotonic() < deadline, f"{first} became {again}"
            time.sleep(0.02)
        log_in(address[1], password[1])
        children = processes_below(site.pid)
        site.kill()
        for child in children:
            wait_for_end(child)


def test_a_busy_port_is_named_with_the_next_step(checkout: Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        completed = checkout.run(PORT=str(port))
    assert completed.returncode == 1
    assert f"Port {port} of 127.0.0.1 is in use" in completed.stderr
    assert f"PORT={port + 1} ./run" in completed.stderr
    assert not (checkout.data_dir / "db.sqlite3").exists()


@pytest.mark.parametrize("port", ["eighty", "0", "65536", "-1"])
def test_a_port_that_is_none_is_said_in_one_sentence(checkout: Checkout, port: str) -> None:
    completed = checkout.run(PORT=port)
    assert completed.returncode == 1
    assert completed.stderr == f"PORT must be a number from 1 to 65535, such as 8000. It is {port!r}.\n"


def test_a_data_folder_that_cannot_be_made_is_said_with_the_next_step(checkout: Checkout) -> None:
    (checkout.root / "taken").write_text("a file, where the folder should be")
    for args in ([], ["backup"]):
        completed = checkout.run(*args, DATA_DIR="taken/data", PORT=str(free_port()))
        assert completed.returncode == 1
        assert "Traceback" not in completed.stderr
        assert str(checkout.root / "taken" / "data") in completed.stderr
        assert "Check that the disk has space, and that you are the user whose files these are." in completed.stderr


def test_a_database_that_cannot_be_opened_is_named(checkout: Checkout) -> None:
    database = checkout.root / "time.sqlite3"
    database.mkdir()
    completed = checkout.run(DATABASE_URL=f"sqlite:///{database.name}", PORT=str(free_port()))
    assert completed.returncode == 1
    assert f"The database ({database}) does not answer" in completed.stderr
    assert "Check DATABASE_URL" in completed.stderr


def test_pending_migrations_on_existing_data_are_preceded_by_a_backup(checkout: Checkout) -> None:
    with checkout.started("--empty") as site:
        _, said = read_until(site, "TimeTracker is at")
        assert "backup" not in said
    assert checkout.run("manage", "migrate", "tracking", "zero").returncode == 0
    with checkout.started() as site:
        _, said = read_until(site, "TimeTracker is at")
        assert said.index("making a backup first") < said.index("Migrating the database")
    (archive,) = (checkout.data_dir / "backups").glob("backup_*.zip")
    assert checkout.run("manage", "backup_verify", archive.name).returncode == 0


def test_a_start_on_a_lost_database_is_refused_and_names_the_way_back(checkout: Checkout) -> None:
    with checkout.started("--empty") as site:
        read_until(site, "TimeTracker is at")
    for file in checkout.data_dir.glob("db.sqlite3*"):
        file.unlink()
    completed = checkout.run(PORT=str(free_port()))
    assert completed.returncode == 1
    assert "its database" in completed.stderr
    assert "./run restore" in completed.stderr
    with checkout.started("--empty") as site:
        read_until(site, "TimeTracker is at")


def test_an_unreachable_server_is_said_without_the_password(checkout: Checkout) -> None:
    url = f"postgres://ann:geheim@127.0.0.1:{free_port()}/time"
    completed = checkout.run(PORT=str(free_port()), DATABASE_URL=url)
    assert completed.returncode != 0
    assert "onnection" in completed.stderr
    assert "Traceback" not in completed.stderr
    assert "geheim" not in completed.stdout + completed.stderr


def test_unsafe_settings_are_refused_in_one_sentence(checkout: Checkout) -> None:
    completed = checkout.run(PORT=str(free_port()), ALLOWED_HOSTS="*")
    assert completed.returncode == 1
    assert "ALLOWED_HOSTS is empty or holds '*'" in completed.stderr
    assert "Traceback" not in completed.stderr
