"""``python -m bench.flask_way create|restore ARCHIVE UPLOADS DATABASE_URL``: the backup of the Flask original, from its description.

Create: PostgreSQL by ``pg_dump -Fc`` as it is into a temporary folder, SQLite by copying the file; then Python's zipfile with
DEFLATED over everything. Restore: ``extractall`` into a temporary folder; ``pg_restore --clean --if-exists --no-owner`` into
the live database, or the file copied over the live one; then the uploads copied over the live ones, file by file. The start
of its Flask application and its migrations at the end are left out: both are for it.

``UPLOADS`` may be ``-``: without them. ``DATABASE_URL`` is a libpq URI, or ``sqlite:///`` and a path.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

__all__ = ["flask_create", "flask_restore"]

SQLITE = "sqlite:///"


def flask_create(archive: Path, uploads: Path | None, database: str) -> None:
    """Make ``archive``."""
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / ("database.sqlite" if database.startswith(SQLITE) else "database.dump")
        if database.startswith(SQLITE):
            shutil.copy2(database.removeprefix(SQLITE), dump)
        else:
            _call("pg_dump", "-Fc", "-f", str(dump), database)
        # Local time without a zone, as there.
        manifest = {"created_at": datetime.now().isoformat(), "database": dump.name}  # noqa: DTZ005
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
            target.write(dump, dump.name)
            target.writestr("settings.json", "{}")
            target.writestr("manifest.json", json.dumps(manifest))
            for file in _files(uploads):
                target.write(file, f"uploads/{file.relative_to(uploads or file)}")


def flask_restore(archive: Path, uploads: Path | None, database: str) -> None:
    """Bring back what ``archive`` holds."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as source:
            source.extractall(folder)  # noqa: S202 - as there; the archive is our own
        if database.startswith(SQLITE):
            shutil.copy2(Path(folder) / "database.sqlite", database.removeprefix(SQLITE))
        else:
            _call("pg_restore", "--clean", "--if-exists", "--no-owner", "-d", database, str(Path(folder) / "database.dump"))
        unpacked = Path(folder) / "uploads"
        for file in _files(unpacked if uploads else None):
            place = (uploads or unpacked) / file.relative_to(unpacked)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)


def _files(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def _call(*args: str) -> None:
    subprocess.run(args, check=True)  # noqa: S603 - a list made above, no shell


def main(verb: str, archive: str, uploads: str, database: str) -> None:
    """Create or restore."""
    act = {"create": flask_create, "restore": flask_restore}[verb]
    act(Path(archive), None if uploads == "-" else Path(uploads), database)


if __name__ == "__main__":
    main(*sys.argv[1:])
