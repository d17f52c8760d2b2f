"""``DATABASE_URL``: one variable that names the database.

=============================================  =================================================================
``sqlite:////srv/time/db.sqlite3``             a file (``sqlite:///`` and a path; percent-encoding is undone)
``postgres://user:password@host:5432/name``    TCP; escape ``: / @ % ?`` and spaces in the password as ``%XX``
``postgres://user@%2Frun%2Fpostgresql/name``   a unix socket's folder
``postgres://…/name?sslmode=verify-full``      any option of libpq: ``sslmode``, ``sslrootcert``, ``connect_timeout`` …
``postgres:///?service=time``                  a section of libpq's service file
=============================================  =================================================================
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from django.core.exceptions import ImproperlyConfigured

__all__ = ["database_settings"]

# libpq's words for what Django has settings of its own for.
_KEYWORDS = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def database_settings(url: str) -> dict[str, Any]:
    """The entry of ``DATABASES`` for ``url``. Raises ImproperlyConfigured, never repeating the URL: it may hold a password."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        if not rest.startswith("/") or rest == "/":
            raise ImproperlyConfigured("DATABASE_URL names no file. Write sqlite:////absolute/path or sqlite:///relative/path.")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": unquote(rest[1:])}
    if separator and scheme in ("postgres", "postgresql"):
        return _postgresql(url)
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:// or postgres://.")


def _postgresql(url: str) -> dict[str, Any]:
    # libpq's own reader: it alone knows every form (sockets, several hosts, percent-encoding, options).
    import psycopg2
    from psycopg2.extensions import parse_dsn

    not_understood = ImproperlyConfigured(
        "DATABASE_URL is no address that PostgreSQL's client library understands. "
        "Write postgres://user:password@host:5432/name, with % and : / @ ? of the password as %XX."
    )
    try:
        parts = parse_dsn(url)
    except psycopg2.ProgrammingError:
        # Its message repeats parts of the URL; "from None" keeps them out of the traceback too.
        raise not_understood from None
    # A / in the password ends the address, and the password's beginning is taken for the port: libpq would repeat it.
    if not all(port.isdecimal() for port in parts.get("port", "").split(",") if port):
        raise not_understood
    settings: dict[str, Any] = {"ENGINE": "django.db.backends.postgresql", "NAME": ""}
    settings |= {_KEYWORDS[word]: value for word, value in parts.items() if word in _KEYWORDS}
    options = {word: value for word, value in parts.items() if word not in _KEYWORDS}
    if not settings["NAME"] and "service" not in options:
        raise ImproperlyConfigured("DATABASE_URL names no database: its path is empty, and there is no ?service=.")
    return {**settings, "OPTIONS": options}
