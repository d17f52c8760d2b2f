"""``RESTORE.txt``: how to restore an archive by hand, with standard tools alone.

Every indented line is a command for a POSIX shell; a test runs them as they stand, after setting the names at the top.
"""

from __future__ import annotations

import textwrap

from backups.manifest import DatabaseInfo

__all__ = ["restore_instructions"]


def restore_instructions(database: DatabaseInfo) -> str:
    """The text of ``RESTORE.txt`` for an archive with this dump."""
    if database.vendor == "sqlite":
        vendor, names, load, undo = "SQLite", _SQLITE_NAMES, _SQLITE_LOAD, _SQLITE_UNDO
    else:
        vendor, names, load, undo = "PostgreSQL", _POSTGRESQL_NAMES, _postgresql_load(database), _POSTGRESQL_UNDO
    return _TEXT.format(vendor=vendor, version=database.server_version, names=names, load=load, undo=undo)


_TEXT = """\
HOW TO RESTORE THIS ARCHIVE BY HAND
===================================
You need this only where the application itself cannot do it. Where it runs, this does everything below, checks it and
can be undone:   ./run restore FILE

This archive holds a {vendor} database (server {version}), the uploaded files and a snapshot of the settings to read.
Every indented line is a command for a POSIX shell. Type them in this order, in one shell, in the folder of this archive.

1. Say where things are. Change these lines to yours.

{names}

2. Unpack the archive and check every file in it. The second command must end without a word.

    unzip -q "$ARCHIVE" -d "$FOLDER"
    (cd "$FOLDER" && sha256sum --check --quiet --strict SHA256SUMS)

3. Stop the site: web server, workers and scheduler. Nothing may write to the database or to the uploads now.

4. Load the database.

{load}

5. Put the uploads in place. Files that were added since stay; a file of the same name is replaced.
   (An archive made with --no-uploads has none: leave this step out.)

    mkdir -p "$UPLOADS"
    if [ -d "$FOLDER/uploads" ]; then cp -R "$FOLDER/uploads/." "$UPLOADS/"; fi

   Files and folders must belong to the user that the site runs as. As root: chown -R USER "$UPLOADS"

6. Bring the tables up to the version of the code, in the folder of the application. If the code is older than the archive
   (manifest.json, "app_version" and "migrations"), install that version first.

    (cd "$APPLICATION" && $MANAGE migrate --no-input)

7. Start the site, log in (everyone has to: sessions are part of the past) and look. When all is well, delete "$FOLDER";
   it holds everything that the site knows.

{undo}
"""

_SHARED_NAMES = """\
    ARCHIVE=backup.zip                      # this archive
    FOLDER=./restored                       # a new folder with room for everything in it
    UPLOADS=/srv/timetracker/var/media      # the site's uploads (MEDIA_ROOT)
    APPLICATION=/srv/timetracker            # the application's code
    MANAGE="./run manage"                   # how its manage.py is started"""

_SQLITE_NAMES = (
    _SHARED_NAMES
    + """
    DATABASE=/srv/timetracker/var/db.sqlite3"""
)

_SQLITE_LOAD = """\
   First check the copy; it must answer: ok

    sqlite3 "$FOLDER/db.sqlite" "PRAGMA integrity_check"

   Move the old database aside, with its -wal and -shm files: a -wal file that stays behind would be read as part of the new
   database, and would destroy it. Then put the copy in its place, readable by the user of the site alone.

    for END in "" -wal -shm; do if [ -e "$DATABASE$END" ]; then mv "$DATABASE$END" "$DATABASE.before$END"; fi; done
    cp "$FOLDER/db.sqlite" "$DATABASE"
    chmod 600 "$DATABASE"

   It must belong to the user that the site runs as. As root: chown USER "$DATABASE\""""

_SQLITE_UNDO = """\
To go back instead: stop the site, delete "$DATABASE" with its -wal and -shm, move "$DATABASE.before" (and .before-wal,
.before-shm) back to the old names, and start the site."""

_POSTGRESQL_NAMES = (
    _SHARED_NAMES
    + """
    DATABASE=timetracker                    # the name of the live database
    OWNER=timetracker                       # the role that the site logs in as
    export PGHOST=localhost PGUSER=postgres # a role that may create databases (PGPORT, PGPASSWORD as needed)"""
)


def _postgresql_load(database: DatabaseInfo) -> str:
    major = database.server_version.split(".")[0]
    text = f"""\
   createdb and pg_restore must be of version {major} or newer, and the server too: an older pg_restore cannot read db.dump.
   It is loaded into a new database beside the old one, so that a mistake costs nothing.

    createdb --template=template0 --encoding={database.encoding} --owner="$OWNER" "${{DATABASE}}_restored"
    pg_restore --exit-on-error --no-owner --no-privileges --role="$OWNER" --dbname="${{DATABASE}}_restored" "$FOLDER/db.dump"
    psql --quiet --dbname="${{DATABASE}}_restored" --command="ANALYZE"

   Exchange the names. Both commands fail while anybody is still connected.

    psql --quiet --dbname=postgres --command="ALTER DATABASE \\"$DATABASE\\" RENAME TO \\"${{DATABASE}}_before\\""
    psql --quiet --dbname=postgres --command="ALTER DATABASE \\"${{DATABASE}}_restored\\" RENAME TO \\"$DATABASE\\""

   (Where there is no old database, the first of the two has nothing to rename: leave it out.) Rights of other roles and
   settings of the database are not restored this way: give them again where the site needs them."""
    extensions = {name: version for name, version in database.extensions.items() if name != "plpgsql"}
    if extensions:
        named = ", ".join(f"{name} {version}" for name, version in sorted(extensions.items()))
        text += "\n\n" + textwrap.indent(
            textwrap.fill(
                f"The database used these extensions: {named}. They must be installed on the server. Where OWNER may not create "
                "them, leave --role out, or create them in the new database as a superuser and leave them out of the restore "
                "(pg_restore --list, then --use-list).",
                115,
            ),
            "   ",
        )
    return text


_POSTGRESQL_UNDO = """\
To go back instead: stop the site, rename "$DATABASE" away and "${DATABASE}_before" back to "$DATABASE" as in step 4, and
start the site. When the old data is no longer needed: dropdb "${DATABASE}_before\""""
