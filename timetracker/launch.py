"""What ``./run`` starts: makes the site ready, then becomes its supervisor.

In this order: secret key, recovery of an interrupted restore, a backup when migrations are pending on existing data,
migrations, static files, demo data (once), the first admin (once), the web server. Every step finds out by itself
whether there is something to do, so that a second start is quick and harmless.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import django
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import Error, connection, connections
from django.db.migrations.executor import MigrationExecutor

__all__ = ["main"]

BASE_DIR = Path(__file__).resolve().parent.parent
FIRST_ADMIN = "admin"


def say(sentence: str) -> None:
    """Tell the person in front of the terminal; stdout stays for results."""
    print(sentence, file=sys.stderr, flush=True)


def secret_key_ensure() -> None:
    """Make ``DATA_DIR/secret_key`` (0600) unless there is one, or ``SECRET_KEY`` or its file is given.

    Written under another name first and linked into place: two starts at once end up with one and the same key.
    """
    if os.environ.get("SECRET_KEY") or os.environ.get("SECRET_KEY_FILE"):
        return
    folder = (BASE_DIR / (os.environ.get("DATA_DIR") or "var")).resolve()
    key_file = folder / "secret_key"
    if key_file.is_file() and key_file.read_text().strip():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = folder / f".secret_key.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(50))
        file.flush()
        os.fsync(file.fileno())
    try:
        if key_file.is_file():  # empty: a crash of another program left it
            temporary.replace(key_file)
        else:
            key_file.hardlink_to(temporary)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)


def address_refused(host: str, port: int) -> str:
    """Why the web server could not listen there, as a sentence; empty where it could."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return (
                    f"Port {port} of {host} is in use, by this site or another program. Stop it, or choose another: PORT={port + 1} ./run"
                )
            return f"Cannot listen on {host}, port {port}: {error.strerror}. Choose others: HOST=127.0.0.1 PORT=8000 ./run"
    return ""


def port_wanted() -> int:
    """``PORT``, 8000 where it is not set. Raises ImproperlyConfigured."""
    port = os.environ.get("PORT") or "8000"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ImproperlyConfigured(f"PORT must be a number from 1 to 65535, such as 8000. It is {port!r}.")
    return int(port)


def recover() -> None:
    """End what an interrupted restore left, before anything else looks at the database; its notes say what was done."""
    call_command("backup_status", "--recover", "--no-progress", stdout=io.StringIO())
    connections.close_all()


def migrate() -> None:
    """Bring the database to the newest migrations; on existing data a backup comes first."""
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return
    if executor.loader.applied_migrations:
        say("Migrations are pending: making a backup first.")
        call_command("backup_create", "--before-migrate", "--note", "before migrations", stdout=sys.stderr)
    say("Migrating the database.")
    call_command("migrate", interactive=False, verbosity=0)


def collect_static() -> None:
    """Collect the static files when they changed since the last time."""
    digest = hashlib.sha256(str(settings.STATIC_ROOT).encode())
    for finder in get_finders():
        for name, storage in sorted(finder.list([]), key=lambda found: found[0]):
            stat = Path(storage.path(name)).stat()
            digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    stamp = settings.STATE_DIR / "static"
    if (settings.STATIC_ROOT / "staticfiles.json").is_file() and stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    say("Collecting static files.")
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stamp.write_text(digest.hexdigest())


def fill_first_time(*, empty: bool) -> str:
    """Put demo data into an installation that never had any data, unless ``empty``; decided once, at the first start.

    Returns a sentence that says how to log in to the clients' portal, or an empty string.
    """
    marker = settings.STATE_DIR / "first_start"
    if marker.exists():
        return ""
    is_wanted = not empty and not get_user_model().objects.exists()
    if is_wanted:
        say("Filling in demo data; for a real start with nothing in it: ./run --empty")
        call_command("demo_data", stdout=sys.stderr)
    marker.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    marker.write_text("demo\n" if is_wanted else "empty\n")
    return open_portal() if is_wanted else ""


def open_portal() -> str:
    """Give a demo client's person a one-time password, and say so in a sentence."""
    guest = get_user_model().objects.filter(client_person__client__portal_enabled=True).order_by("pk")[0]
    password = secrets.token_urlsafe(12)
    guest.set_password(password)
    guest.save(update_fields=["password"])
    return f"A client's view is at /portal/: log in as {guest.username} with the password {password} (shown this once; change it there)."


def admin_ensure() -> str:
    """Make the first admin where nobody administers the site; the one-time password, or an empty string."""
    users = get_user_model().objects
    if users.filter(is_superuser=True, is_active=True).exists():
        return ""
    if users.filter(username=FIRST_ADMIN).exists():
        say(f"Nobody administers this site, and {FIRST_ADMIN} is taken. Make an admin: ./run manage createsuperuser")
        return ""
    password = secrets.token_urlsafe(12)
    users.create_superuser(username=FIRST_ADMIN, password=password)
    return password


def refuse_lost_database(*, restore: str, anew: str) -> None:
    """Stop where an installation that has been in use meets an empty database: starting anew would hide the loss.

    ``restore`` is what to type before an archive's name to bring the data back, ``anew`` what to type to begin anew all the same.
    """
    if not (settings.STATE_DIR / "first_start").exists() or connection.introspection.table_names():
        return
    say(
        f"This installation had data, but its database ({connection.settings_dict['NAME']}) is empty. Nothing was changed.\n"
        f"Bring the data back: {os.environ['MANAGE_COMMAND']} backup_list, then {restore} NAME. To begin anew without it: {anew}"
    )
    raise SystemExit(1)


@contextlib.contextmanager
def failures_told() -> Iterator[None]:
    """Say in a sentence or two what kept the site from being made ready, and end with the exit code for it."""
    try:
        yield
    except ImproperlyConfigured as error:
        say(str(error))
        raise SystemExit(1) from None
    except CommandError as error:
        say(str(error))
        raise SystemExit(error.returncode) from None
    except Error as error:
        file = f" ({connection.settings_dict['NAME']})" if connection.vendor == "sqlite" else ""
        say(f"The database{file} does not answer as it should: {error}".rstrip())
        say(f"Check DATABASE_URL, the server and the disk's space; {os.environ['MANAGE_COMMAND']} backup_status says more.")
        say("Then start again. Where data is lost or damaged, docs/DATABASE_RECOVERY.md says what to do.")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        say("Interrupted. Start again in the same way.")
        raise SystemExit(130) from None


def make_ready(*, empty: bool, demo: bool, restore: str, anew: str) -> list[str]:
    """Bring the site into a state in which its processes can be started; the sentences that say how to log in.

    ``demo`` fills an installation that never had any data. ``empty`` begins anew where the database of one that has been in
    use is empty; ``restore`` and ``anew`` are what to type for the one or the other there.
    """
    django.setup()
    recover()
    if not empty:
        refuse_lost_database(restore=restore, anew=anew)
    migrate()
    collect_static()
    client_view = fill_first_time(empty=not demo)
    password = admin_ensure()
    log_in = password and f"Log in as {FIRST_ADMIN} with the password {password} (shown this once; change it there)."
    return [sentence for sentence in (log_in, client_view) if sentence]


def prepare(*, empty: bool) -> None:
    """Make the site ready and leave its processes to others: what a container does once, before theirs start. No demo data."""
    os.umask(0o077)
    with failures_told():
        restore = f"{os.environ['MANAGE_COMMAND']} backup_restore"
        ways_in = make_ready(empty=empty, demo=False, restore=restore, anew="docker compose run --rm prepare --empty")
    for sentence in ("The site is ready.", *ways_in):
        say(sentence)


def start(*, empty: bool) -> NoReturn:
    """Make the site ready and become its supervisor."""
    os.umask(0o077)
    with failures_told():
        host, port = os.environ.get("HOST") or "127.0.0.1", port_wanted()
        if refusal := address_refused(host, port):
            say(refusal)
            raise SystemExit(1)
        ways_in = make_ready(empty=empty, demo=not empty, restore="./run restore", anew="./run --empty")
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - a comparison
    for sentence in (f"TimeTracker is at {settings.SITE_URL or f'http://{shown}:{port}'}/ - Ctrl-C ends it.", *ways_in):
        say(sentence)
    connections.close_all()
    # gunicorn puts its working directory first on the path of modules: that must be ours and not the caller's.
    os.chdir(BASE_DIR)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "timetracker.supervisor", host, str(port)])  # noqa: S606 - our own Python


def manage(args: list[str]) -> NoReturn:
    """Become ``manage.py`` with ``args``, in the caller's folder."""
    os.execv(sys.executable, [sys.executable, str(BASE_DIR / "manage.py"), *args])  # noqa: S606 - our own Python


def main() -> None:
    """``python -m timetracker.launch start [--empty]``, ``… prepare [--empty]`` or ``… manage ARGUMENTS``."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "timetracker.settings")
    # Messages that say what to type next say it in the words of ./run, or of whoever set this.
    os.environ.setdefault("MANAGE_COMMAND", "./run manage")
    command, *args = sys.argv[1:]
    if command in ("start", "prepare") and args not in ([], ["--empty"]):
        say(f"Unknown: {' '.join(args)}. Type ./run help")
        raise SystemExit(2)
    try:
        secret_key_ensure()
        if command == "manage":
            manage(args)
        if command == "prepare":
            prepare(empty="--empty" in args)
        else:
            start(empty="--empty" in args)
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        say(f"TimeTracker could not write or read its files: {error.strerror or error}{where}.")
        say("Check that the disk has space, and that you are the user whose files these are. Then run the command again.")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
