"""The strategy in-place: one transaction on the live database that drops what the role owns and loads the dump.

``pg_restore --clean --if-exists`` alone leaves tables that are newer than the archive, and fails on their foreign keys
(measured). The script is written to a file first and ``pg_restore``'s exit code checked: a pipe can end on the boundary
of a statement, and ``psql`` would commit half. The mark, a comment on the database, is part of the transaction and
tells afterwards whether it was committed.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from psycopg2 import sql

from backups.engines.pg_catalog import execute, fetch
from backups.engines.pg_load import granting, listed, script_pieces
from backups.engines.pg_server import Connection, Server, application_name
from backups.engines.pg_toc import Contents
from backups.engines.pg_tools import Tools, psql_command
from backups.engines.process import Child, child
from backups.exceptions import RestoreFailed
from backups.progress import Progress

__all__ = ["load_in_place", "mark_of"]

POLL_SECONDS = 0.1

# Dropped in this order: relations first, since most of the rest hangs on them; CASCADE takes what depends, IF EXISTS
# forgives what has gone with another. Extension members (deptype e) stay, and parts of other objects (deptype i) go with them;
# the key columns of a partitioned table (objsubid above 0) are parts of it themselves.
_DROPS = """\
SET client_min_messages = error;
DO $backups$
DECLARE
    found record;
    granted record;
    head text;
BEGIN
    -- Default privileges of today would be given to each table that is loaded; those of the archive come with its grants.
    FOR found IN
        SELECT pg_get_userbyid(d.defaclrole) AS role, n.nspname AS schema, d.defaclacl AS acl,
               acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole) AS built_in,
               CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                                    WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END AS kind
        FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
        WHERE pg_has_role(d.defaclrole, 'USAGE')
    LOOP
        head := format('ALTER DEFAULT PRIVILEGES FOR ROLE %I', found.role) || coalesce(' IN SCHEMA ' || quote_ident(found.schema), '');
        FOR granted IN SELECT DISTINCT a.grantee FROM aclexplode(found.acl) a LOOP
            EXECUTE format('%s REVOKE ALL ON %s FROM %s', head, found.kind,
                           CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(granted.grantee)) END);
        END LOOP;
        -- One without a schema stands in the place of the built-in rights, instead of adding to them.
        CONTINUE WHEN found.schema IS NOT NULL;
        FOR granted IN SELECT a.grantee, a.privilege_type FROM aclexplode(found.built_in) a LOOP
            EXECUTE format('%s GRANT %s ON %s TO %s', head, granted.privilege_type, found.kind,
                           CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(granted.grantee)) END);
        END LOOP;
    END LOOP;
    FOR found IN
        WITH objects (place, classid, objid, namespace, owner) AS (
            SELECT 1, 'pg_catalog.pg_class'::regclass, oid, relnamespace, relowner FROM pg_catalog.pg_class
                WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND relpersistence <> 't'
            UNION ALL SELECT 2, 'pg_catalog.pg_proc'::regclass, oid, pronamespace, proowner FROM pg_catalog.pg_proc
            UNION ALL SELECT 3, 'pg_catalog.pg_operator'::regclass, oid, oprnamespace, oprowner FROM pg_catalog.pg_operator
            UNION ALL SELECT 3, 'pg_catalog.pg_opclass'::regclass, oid, opcnamespace, opcowner FROM pg_catalog.pg_opclass
            UNION ALL SELECT 4, 'pg_catalog.pg_opfamily'::regclass, oid, opfnamespace, opfowner FROM pg_catalog.pg_opfamily
            UNION ALL SELECT 5, 'pg_catalog.pg_type'::regclass, t.oid, t.typnamespace, t.typowner FROM pg_catalog.pg_type t
                LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
                WHERE t.typtype IN ('d', 'e', 'r') OR (t.typtype = 'b' AND t.typcategory <> 'A') OR c.relkind = 'c'
            UNION ALL SELECT 6, 'pg_catalog.pg_collation'::regclass, oid, collnamespace, collowner FROM pg_catalog.pg_collation
            UNION ALL SELECT 6, 'pg_catalog.pg_conversion'::regclass, oid, connamespace, conowner FROM pg_catalog.pg_conversion
            UNION ALL SELECT 6, 'pg_catalog.pg_ts_config'::regclass, oid, cfgnamespace, cfgowner FROM pg_catalog.pg_ts_config
            UNION ALL SELECT 7, 'pg_catalog.pg_ts_dict'::regclass, oid, dictnamespace, dictowner FROM pg_catalog.pg_ts_dict
            UNION ALL SELECT 7, 'pg_catalog.pg_statistic_ext'::regclass, oid, stxnamespace, stxowner FROM pg_catalog.pg_statistic_ext
        )
        SELECT o.classid, o.objid
        FROM objects o JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace
        WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND pg_has_role(o.owner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                          WHERE d.classid = o.classid AND d.objid = o.objid AND d.objsubid = 0 AND d.deptype IN ('e', 'i'))
        ORDER BY o.place, o.objid
    LOOP
        DECLARE
            kind text;
            identity text;
        BEGIN
            SELECT i.type, i.identity INTO kind, identity FROM pg_identify_object(found.classid, found.objid, 0) i;
            CONTINUE WHEN identity IS NULL;
            kind := CASE kind WHEN 'composite type' THEN 'type' WHEN 'statistics object' THEN 'statistics' ELSE kind END;
            EXECUTE format('DROP %s IF EXISTS %s CASCADE', kind, identity);
        END;
    END LOOP;
    FOR found IN SELECT nspname AS name FROM pg_catalog.pg_namespace n WHERE """
_DROPPED_SCHEMAS = """\
n.nspname NOT IN ('public', 'information_schema') AND n.nspname !~ '^pg_' AND pg_has_role(n.nspowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                          WHERE d.classid = 'pg_catalog.pg_namespace'::regclass AND d.objid = n.oid AND d.deptype = 'e')"""
_DROPS_END = """
    LOOP
        EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', found.name);
    END LOOP;
    PERFORM lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE pg_has_role(lomowner, 'USAGE');
END
$backups$;
"""
# Before the commit: what was loaded is what the archive counts, while nobody else can have written to it. A table that the
# archive does not know is another role's, and none of our business.
_COUNTS = """\
DO $backups$
DECLARE
    checked record;
    counted bigint;
BEGIN
    FOR checked IN
        SELECT w.key, w.value::bigint AS wanted, t.identity
        FROM jsonb_each_text({expected}) w LEFT JOIN (
            SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS key,
                   CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || format('%I.%I', n.nspname, c.relname) AS identity
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
        ) t USING (key)
        ORDER BY 1
    LOOP
        counted := 0;
        IF checked.identity IS NOT NULL THEN
            EXECUTE 'SELECT count(*) FROM ' || checked.identity INTO counted;
        END IF;
        IF counted <> checked.wanted THEN
            RAISE EXCEPTION 'After loading, table % has % rows, and the archive''s manifest counts %.',
                            checked.key, counted, checked.wanted;
        END IF;
    END LOOP;
END
$backups$;
"""
_WARNING = re.compile(r"WARNING:\s+(Left out: .*)$")


def mark_of(operation: str) -> str:
    """The comment on the database that says: the transaction of this operation was committed."""
    return f"backups:{operation}"


def remaining_schemas(connection: Connection) -> set[str]:
    """Schemas of the live database that the drops leave, so that the script must not create them."""
    return {
        str(name)
        for (name,) in fetch(
            connection,
            f"SELECT nspname FROM pg_catalog.pg_namespace n WHERE NOT ({_DROPPED_SCHEMAS})",  # noqa: S608  (a constant)
        )
    }


def _grants_script(connection: Connection, statements: list[str]) -> str:
    """Each grant in a block of its own: one that this server's roles do not allow must not end the transaction."""
    block = """\
DO $backups$ BEGIN
    EXECUTE {grant};
EXCEPTION WHEN undefined_object OR insufficient_privilege THEN
    RAISE WARNING USING MESSAGE = {told} || ' (' || SQLERRM || ')';
END $backups$;
"""
    return "".join(
        sql.SQL(block).format(grant=sql.Literal(statement), told=sql.Literal(f"Left out: {statement}")).as_string(connection)
        for statement in statements
    )


def _write_load(path: Path, tools: Tools, dump: Path, contents: Path, *, server_major: int, operation: str) -> None:
    """Write ``pg_restore``'s script whole; a failure of it raises before anything of it is used."""
    with path.open("wb") as file:
        for piece in script_pieces(tools, dump, contents, server_major=server_major, operation=operation):
            file.write(piece)


def load_in_place(
    maintenance: Connection,
    server: Server,
    tools: Tools,
    dump: Path,
    contents: Contents,
    *,
    extensions_present: set[str],
    schemas_present: set[str],
    expected: Mapping[str, int],
    server_major: int,
    operation: str,
    progress: Progress,
) -> None:
    """Drop and load in one transaction of the live database, which is committed only with the ``expected`` rows per table.

    ``maintenance`` ends sessions that stand in the way meanwhile. Raises :class:`~backups.exceptions.RestoreFailed` with
    ``psql``'s first error; nothing was changed then.
    """
    with tempfile.TemporaryDirectory(prefix="in-place-", dir=dump.parent) as name:
        folder = Path(name)
        drops, load, after = folder / "1-drop.sql", folder / "2-load.sql", folder / "3-after.sql"
        statements, left_out = granting(tools, dump, contents, operation=operation)
        for statement in left_out:
            progress.warn(f"Left out, since another role granted it: {statement}")
        with listed(dump, contents.loaded(extensions_present=extensions_present, schemas_present=schemas_present)) as entries:
            _write_load(load, tools, dump, entries, server_major=server_major, operation=operation)
        drops.write_text(_DROPS + _DROPPED_SCHEMAS + _DROPS_END)
        mark = sql.SQL("COMMENT ON DATABASE {} IS {};\n").format(sql.Identifier(server.live), sql.Literal(mark_of(operation)))
        counts = sql.SQL(_COUNTS).format(expected=sql.Literal(json.dumps(dict(expected))))
        after.write_text(
            counts.as_string(maintenance) + _grants_script(maintenance, statements) + mark.as_string(maintenance), encoding="utf-8"
        )
        scripts = [str(drops), str(load), str(after)]
        args, env = psql_command(tools, server, scripts, database=server.live, operation=operation, single_transaction=True)
        # The commit is the point of no return, so it must reach the disk like any other.
        args = [argument.replace("synchronous_commit=off", "synchronous_commit=on") for argument in args]
        with child(args, env, operation=operation, secrets=server.secrets) as running:
            _watch(running, load, maintenance, server, operation=operation, progress=progress, total=dump.stat().st_size)
            if running.wait() != 0:
                raise RestoreFailed(running.failure())
            for line in running.stderr.splitlines():
                if match := _WARNING.search(line):
                    progress.warn(match[1])
    with server.connection(server.live, operation=operation) as connection:
        execute(connection, "ANALYZE")


def _watch(
    running: Child, script: Path, maintenance: Connection, server: Server, *, operation: str, progress: Progress, total: int
) -> None:
    """Until ``psql`` ends: report how far it has read, and end sessions that hold what it waits for."""
    shown, size = 0, max(script.stat().st_size, 1)
    while running.is_running:
        done = min(int(total * _offset(running.pid, script) / size), total)
        if done > shown:
            progress.advance(done - shown)
            shown = done
        _end_blockers(maintenance, server, operation=operation)
        time.sleep(POLL_SECONDS)
    progress.advance(total - shown)


def _offset(pid: int, path: Path) -> int:
    """How many bytes of ``path`` the process has read, or 0 where that cannot be seen."""
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if link.readlink() == path:
                return int(Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return 0


def _end_blockers(maintenance: Connection, server: Server, *, operation: str) -> None:
    """End the sessions for whose locks the load waits, as far as this role may."""
    fetch(
        maintenance,
        """
        SELECT pg_terminate_backend(b.pid)
        FROM pg_catalog.pg_stat_activity waiting
        CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid)
        JOIN pg_catalog.pg_stat_activity b ON b.pid = blocking.pid
        JOIN pg_catalog.pg_roles r ON r.oid = b.usesysid
        CROSS JOIN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) me
        WHERE waiting.datname = %s AND waiting.application_name = %s AND b.application_name <> %s
          AND (me.rolsuper OR (NOT r.rolsuper AND (pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))))
        """,
        (server.live, application_name(operation), application_name(operation)),
    )
