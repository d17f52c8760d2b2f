"""More time entries than the demo data makes in reasonable time: what is there, copied by the server itself.

Indexes are taken away first and made again afterwards, as a load would; constraints stay.
"""

from __future__ import annotations

from backups.tests.servers import PgCluster
from backups.tests.site import Site

__all__ = ["entries_multiply"]

TABLE = "tracking_timeentry"
# Copies are so much later than what they are copies of, each one more: the indexes on time must not be of few values.
SECONDS_APART = 37


def entries_multiply(site: Site, entries: int) -> None:
    """Copy the time entries of ``site`` until there are exactly ``entries``. Running timers, one a person at most, are not copied."""
    (there,), *_ = site.fetch(f"SELECT count(*) FROM {TABLE}")
    (ended,), *_ = site.fetch(f"SELECT count(*) FROM {TABLE} WHERE ended_at IS NOT NULL")
    missing = entries - there
    if missing <= 0:
        return
    copies = -(-missing // ended)
    if site.cluster:
        _multiply_postgres(site, site.cluster, copies, missing)
    else:
        _multiply_sqlite(site, copies, missing)


def _insert(columns: list[str], *, numbers: str, shifted: str, missing: int) -> str:
    """``numbers``: a source of rows with one column ``copy``, from 1 up; ``shifted``: a time by so many seconds later."""
    values = [shifted.format(column=name) if name in ("started_at", "ended_at") else name for name in columns]
    return (
        f"INSERT INTO {TABLE} ({', '.join(columns)}) SELECT {', '.join(values)} FROM {TABLE}, {numbers} "
        f"WHERE ended_at IS NOT NULL LIMIT {missing}"
    )


def _multiply_postgres(site: Site, cluster: PgCluster, copies: int, missing: int) -> None:
    columns = site.fetch(f"SELECT column_name FROM information_schema.columns WHERE table_name = '{TABLE}' AND column_name <> 'id'")
    indexes = site.fetch(
        f"SELECT indexname, indexdef FROM pg_indexes WHERE tablename = '{TABLE}' "
        f"AND indexname NOT IN (SELECT conname FROM pg_constraint WHERE conrelid = '{TABLE}'::regclass)"
    )
    connection = cluster.connect(site.database)
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'")
        # Copies refer to what their originals refer to: asking for each whether it is there would take most of the time.
        cursor.execute("SET session_replication_role = replica")
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        cursor.execute(
            _insert(
                [name for (name,) in columns],
                numbers=f"generate_series(1, {copies}) AS numbers (copy)",
                shifted=f"{{column}} + copy * interval '{SECONDS_APART} seconds'",
                missing=missing,
            )
        )
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute(f"VACUUM ANALYZE {TABLE}")
    connection.close()


def _multiply_sqlite(site: Site, copies: int, missing: int) -> None:
    columns = site.fetch(f"SELECT name FROM pragma_table_info('{TABLE}') WHERE name <> 'id'")
    indexes = site.fetch(f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = '{TABLE}' AND sql IS NOT NULL")
    with site.cursor() as cursor:
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        cursor.execute(
            f"WITH RECURSIVE numbers (copy) AS (SELECT 1 UNION ALL SELECT copy + 1 FROM numbers WHERE copy < {copies}) "
            + _insert(
                [name for (name,) in columns],
                numbers="numbers",
                # As Django writes it, with six digits of the second.
                shifted=f"strftime('%Y-%m-%d %H:%M:%f000', {{column}}, '+' || (copy * {SECONDS_APART}) || ' seconds')",
                missing=missing,
            )
        )
        for _, definition in indexes:
            cursor.execute(definition)
