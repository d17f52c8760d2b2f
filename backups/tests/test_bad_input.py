"""Bad input of every kind: each is refused with its exit code, its cause and the next step, and the live data stays as it is."""

from __future__ import annotations

import json
import random
import sqlite3
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from backups.archive import ArchiveReader
from backups.manifest import DatabaseInfo
from backups.tests.hostile import HOSTILE, Forgery, Piece, damaged_in, make_archive
from backups.tests.refusals import Watched, watched_site
from backups.tests.servers import PgCluster
from backups.tests.site import SiteTemplates

# The kinds that the requirements name one by one; on one engine every kind goes through the command.
NAMED = (
    "empty",
    "not_a_zip",
    "cut_in_half",
    "member_missing",
    "member_added",
    "member_twice",
    "traversal",
    "absolute_path",
    "symlink",
    "bomb_that_claims_to_be_small",
    "bomb_beyond_the_ratio",
    "local_header_with_another_size",
    "local_header_with_another_name",
    "unknown_format",
    "manifest_edited",
    "content_exchanged",
    "signature_of_another_key",
    "signature_missing",
    "flask_archive",
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def watched(request: pytest.FixtureRequest, site_templates: SiteTemplates) -> Iterator[Watched]:
    """A site per engine that every test of this module must leave as it found it."""
    cluster: PgCluster | None = None
    if request.param == "postgresql":
        cluster = request.getfixturevalue("pg15")
        assert cluster is not None
        cluster.start()
    with watched_site(site_templates, cluster) as made:
        yield made


@pytest.fixture
def sealed(watched: Watched, tmp_path: Path) -> Callable[[bytes], Path]:
    """Writes bytes to an archive file of this test."""

    def write(data: bytes) -> Path:
        path = tmp_path / "given.zip"
        path.write_bytes(data)
        return path

    return write


def postgres_only(watched: Watched) -> PgCluster:
    """The cluster; tests that use it are parametrised for PostgreSQL alone."""
    assert watched.site.cluster is not None
    return watched.site.cluster


on_sqlite = pytest.mark.parametrize("watched", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("watched", ["postgresql"], indirect=True)


# --- what is no archive -----------------------------------------------------------------------------------------------


def test_archive_that_is_not_there_is_a_usage_error(watched: Watched, tmp_path: Path) -> None:
    watched.restore_refused(tmp_path / "nowhere.zip", code=2, says=("There is no file", "nowhere.zip"))
    watched.restore_refused("backup_20200101_000000_00000000.zip", code=2, says="There is no archive")
    watched.restore_refused(tmp_path, code=2, says="is a folder")
    watched.restore_refused("../../etc/passwd.zip", code=2, says="There is no file")


def hostile_refused(watched: Watched, tmp_path: Path, case: str) -> None:
    """One hostile archive through the command; nothing of it may land outside of the staging that is removed."""
    path = tmp_path / f"{case}.zip"
    path.write_bytes(HOSTILE[case].build(Forgery.of(watched.archive)))
    watched.restore_refused(path, code=5, says=(path.name, HOSTILE[case].message))
    path.unlink()
    assert list(tmp_path.iterdir()) == []
    assert list(watched.site.data_dir.rglob("*escaped*")) == []
    assert not Path("/tmp/escaped.txt").exists()  # the target of the absolute path


@pytest.mark.parametrize("case", NAMED)
def test_hostile_archive_is_refused_by_the_command(watched: Watched, tmp_path: Path, case: str) -> None:
    hostile_refused(watched, tmp_path, case)


@on_sqlite
@pytest.mark.parametrize("case", sorted(set(HOSTILE) - set(NAMED)))
def test_every_other_hostile_archive_is_refused_by_the_command(watched: Watched, tmp_path: Path, case: str) -> None:
    hostile_refused(watched, tmp_path, case)


def test_upload_that_is_damaged_is_found_before_the_swap_also_while_the_dump_is_loaded(watched: Watched, tmp_path: Path) -> None:
    upload = max(watched.archived_uploads, key=lambda name: len(watched.archived_uploads[name]))
    bad = tmp_path / "bad.zip"
    bad.write_bytes(damaged_in(watched.archive, f"uploads/{upload}"))
    ended = watched.site.manage("backup_restore", bad, "--no-input", "--json", check=False)
    assert ended.returncode == 5, ended
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert f"uploads/{upload}" in events[-1]["message"]
    stages = [event["stage"] for event in events if event["event"] == "stage"]
    assert stages[-1] in (("shadow", "rows") if watched.site.cluster else ("extract",))
    watched.assert_untouched()


def test_hostile_archive_in_the_store_is_listed_as_broken_and_fails_verify(watched: Watched) -> None:
    bad = watched.archive.with_name("backup_20200101_000000_0badf00d.zip")
    bad.write_bytes(HOSTILE["content_exchanged"].build(Forgery.of(watched.archive)))
    try:
        verified = watched.site.manage("backup_verify", bad.name, "--no-progress", check=False)
        assert verified.returncode == 5
        assert "BROKEN" in verified.stdout
        assert "does not match its SHA-256" in verified.stdout
        all_of_them = watched.site.manage("backup_verify", "--all", "--no-progress", check=False)
        assert all_of_them.returncode == 5
        assert f"{watched.archive.name}  whole" in all_of_them.stdout, "one that is broken does not hide the others"
        bad.write_bytes(b"")
        assert "BROKEN" in watched.site.manage("backup_list").stdout
    finally:
        bad.unlink()
    watched.assert_untouched()


# --- truncated, flipped -----------------------------------------------------------------------------------------------


def truncations_refused(watched: Watched, sealed: Callable[[bytes], Path], *, count: int, seed: int) -> None:
    data = watched.archive.read_bytes()
    lengths = sorted(random.Random(seed).sample(range(1, len(data)), count))
    print(f"seed {seed}: {count} lengths of {len(data)} bytes")
    for length in lengths:
        watched.restore_refused(sealed(data[:length]), code=5, says="given.zip")


def test_truncated_archive_is_refused(watched: Watched, sealed: Callable[[bytes], Path]) -> None:
    truncations_refused(watched, sealed, count=6, seed=20261122)


@pytest.mark.soak
def test_archive_truncated_at_fifty_lengths_is_refused(watched: Watched, sealed: Callable[[bytes], Path]) -> None:
    truncations_refused(watched, sealed, count=50, seed=random.randrange(10**6))


def flips_refused(watched: Watched, sealed: Callable[[bytes], Path], *, count: int, seed: int) -> None:
    """Three of four bits anywhere; the others outside of the members' contents, which make up nearly all of the file."""
    data = watched.archive.read_bytes()
    chance = random.Random(seed)
    places = chance.sample(range(8 * len(data)), count * 3 // 4) + chance.sample(_bits_of_structure(watched.archive), count // 4)
    refused = 0
    for bit in places:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path = sealed(bytes(flipped))
        ended = watched.site.manage("backup_restore", path, "--no-input", "--no-progress", "--uploads", "exact", check=False)
        if ended.returncode:
            assert ended.returncode == 5, f"bit {bit}: {ended.stderr}"
            assert "given.zip" in ended.stderr, f"bit {bit}: {ended.stderr}"
            watched.assert_untouched(f"bit {bit}: {ended.stderr}")
            refused += 1
        else:
            # A bit without data: who made a member, its attributes, the padding of a deflate stream's last byte.
            assert watched.site.dump_tables() == watched.archived_tables, f"bit {bit}"
            assert watched.site.uploads() == watched.archived_uploads, f"bit {bit}"
            watched.site.manage("backup_undo", "--no-input", "--no-progress")
            _forget_kept_state(watched)
    print(f"seed {seed}: {refused} of {count} flipped bits refused, {count - refused} carried no data and restored exactly the archive")
    assert refused >= count * 2 // 3


def _bits_of_structure(archive: Path) -> list[int]:
    """The bits of local headers, central directory and end record."""
    with archive.open("rb") as source, ArchiveReader(source, name=archive.name) as reader:
        entries = [(entry.offset, entry.header_size, entry.end) for entry in reader._entries]
    spans = [(offset, offset + size) for offset, size, _ in entries] + [(max(end for _, _, end in entries), archive.stat().st_size)]
    return [bit for start, end in spans for bit in range(8 * start, 8 * end)]


def _forget_kept_state(watched: Watched) -> None:
    """Let the kept state expire, so that the site is again what a refusal must leave it as."""
    for path in (watched.site.state / "journal").glob("*.json"):
        journal = json.loads(path.read_bytes())
        if journal["kept"]:
            journal["kept"]["until"] = "2020-01-01T00:00:00+00:00"
            path.write_text(json.dumps(journal))
    # A restore lets go of what has expired before it looks at the archive's content.
    bad = watched.site.data_dir / "other.zip"
    bad.write_bytes(HOSTILE["content_exchanged"].build(Forgery.of(watched.archive)))
    watched.restore_refused(bad, code=5)
    bad.unlink()


def test_archive_with_a_flipped_bit_is_refused_or_restores_exactly_what_was_archived(
    watched: Watched, sealed: Callable[[bytes], Path]
) -> None:
    flips_refused(watched, sealed, count=20, seed=20261122)


@pytest.mark.soak
def test_archive_with_one_of_two_hundred_bits_flipped_is_refused_or_restores_exactly(
    watched: Watched, sealed: Callable[[bytes], Path]
) -> None:
    flips_refused(watched, sealed, count=200, seed=random.randrange(10**6))


# --- whole archives that do not fit -----------------------------------------------------------------------------------


def test_dump_of_the_other_vendor_is_refused_naming_both(watched: Watched, tmp_path: Path) -> None:
    if watched.site.vendor == "sqlite":
        info = DatabaseInfo("postgresql", "db.dump", "pg_dump-custom", "15.8", "15.8", 5, "UTF8")
        make_archive(tmp_path / "other.zip", database=b"PGDMP", info=info)
    else:
        make_archive(tmp_path / "other.zip")
    watched.restore_refused(tmp_path / "other.zip", code=3, says=("postgresql", "sqlite", "DATABASE_URL"))


def test_dump_that_is_none_of_its_vendor_is_refused(watched: Watched, sealed: Callable[[bytes], Path]) -> None:
    good = Forgery.of(watched.archive)
    content = b"PGDMP\x01\x0e\x00 and so on" if watched.site.vendor == "sqlite" else b"SQLite format 3\x00 and so on"
    good.pieces[good.pieces.index(good.dump)] = Piece(good.dump.name, content * 100)
    watched.restore_refused(sealed(good.sealed()), code=5, says="dump")


def test_unknown_migrations_are_refused_by_name(watched: Watched, sealed: Callable[[bytes], Path]) -> None:
    good = Forgery.of(watched.archive)
    good.manifest["migrations"]["tracking"] += ["0998_from_the_future", "0999_and_further"]
    good.manifest["migrations"]["an_app_that_is_gone"] = ["0001_initial"]
    good.manifest["app_version"] = "99.1"
    names = ("tracking.0998_from_the_future", "tracking.0999_and_further", "an_app_that_is_gone.0001_initial")
    refused = watched.restore_refused(sealed(good.sealed()), code=3, says=names)
    assert "Install TimeTracker 99.1" in refused.stderr


def test_dump_whose_rows_are_not_those_of_the_manifest_fails_naming_the_table(watched: Watched, sealed: Callable[[bytes], Path]) -> None:
    good = Forgery.of(watched.archive)
    good.manifest["rows"]["tracking_timeentry"] += 1
    watched.restore_refused(sealed(good.sealed()), code=6, says="tracking_timeentry has 400 rows, and the archive's manifest counts 401")


@on_sqlite
def test_damaged_database_in_a_signed_archive_is_refused(watched: Watched, sealed: Callable[[bytes], Path]) -> None:
    good = Forgery.of(watched.archive)
    content = bytearray(good.dump.data)
    (page_size,) = struct.unpack(">H", content[16:18])
    for page in range(8, len(content) // page_size, 3):
        content[page * page_size : page * page_size + 64] = b"\xa5" * 64
    good.pieces[good.pieces.index(good.dump)] = Piece(good.dump.name, bytes(content))
    watched.restore_refused(sealed(good.sealed()), code=5, says="The archive's dump")
    # Half of a file: its header says how many pages there should be.
    good.pieces[good.pieces.index(good.dump)] = Piece(good.dump.name, bytes(content[: len(content) // 2]))
    watched.restore_refused(sealed(good.sealed()), code=5, says="The archive's dump")


@on_sqlite
def test_database_of_another_text_encoding_is_refused(watched: Watched, sealed: Callable[[bytes], Path], tmp_path: Path) -> None:
    other = tmp_path / "utf16.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.executescript("PRAGMA encoding='UTF-16le'; CREATE TABLE t (x text); INSERT INTO t VALUES ('ü');")
    good = Forgery.of(watched.archive)
    good.manifest["database"]["encoding"] = "UTF-16le"
    good.pieces[good.pieces.index(good.dump)] = Piece(good.dump.name, other.read_bytes())
    watched.restore_refused(sealed(good.sealed()), code=3, says="UTF-16le")


@on_postgresql
def test_dump_that_fails_halfway_leaves_the_live_data(watched: Watched, sealed: Callable[[bytes], Path]) -> None:
    good = Forgery.of(watched.archive)
    data = good.dump.data
    # Its table of contents is at its start and whole; the rows of the last tables are missing.
    good.pieces[good.pieces.index(good.dump)] = Piece(good.dump.name, data[: len(data) * 2 // 3])
    watched.restore_refused(sealed(good.sealed()), code=6, says="pg_restore")


@on_postgresql
def test_load_that_breaks_a_constraint_halfway_leaves_the_live_data(watched: Watched, sealed: Callable[[bytes], Path]) -> None:
    cluster = postgres_only(watched)
    scratch = cluster.create_database()
    try:
        # The rows first, then a foreign key that they break: as a dump of a database whose triggers were once off.
        cluster.psql(
            "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (parent_id int); INSERT INTO child VALUES (1);"
            "ALTER TABLE child ADD CONSTRAINT child_parent FOREIGN KEY (parent_id) REFERENCES parent NOT VALID;"
            "UPDATE pg_constraint SET convalidated = true WHERE conname = 'child_parent'",
            database=scratch,
        )
        dump = subprocess.run(
            [cluster.bin_dir / "pg_dump", "-Fc", "-h", cluster.socket_dir, "-p", str(cluster.port), "-U", "postgres", scratch],
            capture_output=True,
            check=True,
        ).stdout
    finally:
        cluster.drop_databases(scratch)
    good = Forgery.of(watched.archive)
    good.pieces[good.pieces.index(good.dump)] = Piece(good.dump.name, dump)
    refused = watched.restore_refused(sealed(good.sealed()), code=6, says="child_parent")
    assert "violates foreign key constraint" in refused.stderr, "the first error of pg_restore is the one that is shown"


# --- the server and the role ------------------------------------------------------------------------------------------


@on_postgresql
def test_wrong_password_is_refused_without_showing_it(watched: Watched) -> None:
    cluster = postgres_only(watched)
    url = cluster.url(watched.site.database, over="tcp").replace(quote(cluster.passwords["timetracker"], safe=""), "wr0ng%25s3cret")
    restore: tuple[str | Path, ...] = ("backup_restore", watched.archive)
    for command in ((*restore, "--no-input"), (*restore, "--dry-run"), ("backup_create",)):
        says = ("password authentication failed", "DATABASE_URL")
        refused = watched.refused(*command, "--no-progress", code=3, says=says, env={"DATABASE_URL": url})
        assert "s3cret" not in refused.stderr + refused.stdout


@on_postgresql
def test_server_that_does_not_answer_is_refused(watched: Watched) -> None:
    cluster = postgres_only(watched)
    url = cluster.url(watched.site.database, over="tcp").replace(f":{cluster.port}/", ":1/")
    watched.restore_refused(watched.archive, code=3, says=("cannot be reached", "127.0.0.1:1"), env={"DATABASE_URL": url})
    watched.refused("backup_create", "--no-progress", code=3, says="cannot be reached", env={"DATABASE_URL": url})


@on_postgresql
def test_role_that_does_not_own_the_database_is_refused_naming_the_owner(watched: Watched) -> None:
    cluster = postgres_only(watched)
    cluster.create_role("visitor")
    try:
        env = {"DATABASE_URL": cluster.url(watched.site.database, user="visitor")}
        watched.restore_refused(watched.archive, code=3, says=("visitor does not own", "timetracker", "ALTER DATABASE"), env=env)
        watched.refused("backup_create", "--no-progress", code=3, says="permission denied for table", env=env)
    finally:
        cluster.execute("DROP ROLE visitor")


@on_postgresql
def test_swap_is_refused_to_a_role_without_createdb_and_says_what_to_grant(watched: Watched) -> None:
    cluster = postgres_only(watched)
    cluster.execute("ALTER ROLE timetracker NOCREATEDB")
    try:
        watched.restore_refused(
            watched.archive, "--strategy", "swap", code=3, says=("may not create databases", "CREATEDB", "--strategy in-place")
        )
    finally:
        cluster.execute("ALTER ROLE timetracker CREATEDB")


@pytest.fixture
def spare(request: pytest.FixtureRequest, site_templates: SiteTemplates) -> Iterator[Watched]:
    """A PostgreSQL site of one's own, for restores that succeed."""
    cluster: PgCluster = request.getfixturevalue("pg")
    with watched_site(site_templates, cluster) as made:
        yield made


def test_role_without_createdb_falls_back_to_in_place(spare: Watched) -> None:
    cluster = postgres_only(spare)
    cluster.execute("ALTER ROLE timetracker NOCREATEDB")
    try:
        preview = spare.site.manage("backup_restore", spare.archive.name, "--dry-run")
        assert "Strategy  in-place" in preview.stdout
        assert "CREATEDB" in preview.stdout
        spare.assert_untouched()
        restored = spare.site.manage("backup_restore", spare.archive.name, "--no-input", "--uploads", "exact")
        assert "Restored (in-place)" in restored.stdout
        assert spare.site.dump_tables() == spare.archived_tables
        assert spare.site.uploads() == spare.archived_uploads
        spare.site.manage("backup_undo", "--no-input")
        assert spare.site.dump_tables() == spare.tables
        assert spare.site.uploads() == spare.uploads
    finally:
        cluster.execute("ALTER ROLE timetracker CREATEDB")


def test_extensions_and_event_triggers_in_the_database_are_no_obstacle(spare: Watched) -> None:
    cluster, site = postgres_only(spare), spare.site
    site.execute("CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'")
    for statement in ("CREATE EXTENSION pgcrypto", "CREATE EVENT TRIGGER note_changes ON ddl_command_end EXECUTE FUNCTION noted()"):
        cluster.execute(statement, database=site.database)
    before = site.dump_tables()
    archive = site.manage("backup_create").stdout.strip()
    with (site.backups / archive).open("rb") as source, ArchiveReader(source, name=archive) as reader:
        assert "pgcrypto" in reader.manifest.database.extensions
    site.execute("DELETE FROM tracking_timeentry")
    restored = site.manage("backup_restore", archive, "--no-input")
    assert "Restored (swap)" in restored.stdout
    assert "Left out: event trigger note_changes" in restored.stderr
    assert site.dump_tables() == before
    assert site.fetch("SELECT length(digest('x', 'sha256'))") == [(32,)], "the extension works"


def test_extension_that_only_a_superuser_can_make_leads_to_in_place(spare: Watched) -> None:
    cluster, site = postgres_only(spare), spare.site
    cluster.execute("CREATE EXTENSION pg_stat_statements", database=site.database)
    before = site.dump_tables()
    archive = site.manage("backup_create").stdout.strip()
    site.execute("DELETE FROM tracking_timeentry")
    restored = site.manage("backup_restore", archive, "--no-input")
    assert "Restored (in-place)" in restored.stdout
    assert "pg_stat_statements" in restored.stderr
    assert site.dump_tables() == before


def test_function_of_another_role_is_refused_in_place_by_name(spare: Watched) -> None:
    cluster, site = postgres_only(spare), spare.site
    cluster.execute("CREATE FUNCTION theirs(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'", database=site.database)
    archive = site.manage("backup_create").stdout.strip()
    refused = spare.restore_refused(archive, "--strategy", "in-place", code=3, says="function public.theirs(integer) of postgres")
    assert 'ALTER function public.theirs(integer) OWNER TO "timetracker"' in refused.stderr
    restored = site.manage("backup_restore", archive, "--no-input")
    assert "Restored (swap)" in restored.stdout


# --- the store and the destination ------------------------------------------------------------------------------------


def test_store_that_cannot_be_written_is_refused_before_the_dump(watched: Watched) -> None:
    aside = watched.site.backups.with_name("backups.aside")
    watched.site.backups.rename(aside)
    watched.site.backups.write_text("a file where the folder should be")
    try:
        watched.refused("backup_create", "--no-progress", code=3, says=str(watched.site.backups))
    finally:
        watched.site.backups.unlink()
        aside.rename(watched.site.backups)


def test_name_that_is_taken_is_left_as_it_is(watched: Watched, tmp_path: Path) -> None:
    taken = tmp_path / "taken.zip"
    taken.write_bytes(b"somebody's only copy")
    watched.refused("backup_create", "--no-progress", "--output", taken, code=2, says=("exists already", "taken.zip"))
    assert taken.read_bytes() == b"somebody's only copy"
    watched.refused("backup_create", "--no-progress", "--output", tmp_path / "no" / "folder.zip", code=2, says=("does not exist", "mkdir"))


def test_words_that_do_not_fit_are_usage_errors(watched: Watched) -> None:
    for words in (["--strategy", "sideways"], ["--uploads", "some"], ["--jobs", "0"], ["--no-such-option"]):
        ended = watched.site.manage("backup_restore", watched.archive.name, "--no-input", *words, check=False)
        assert ended.returncode == 2, ended.stderr
        assert words[0] in ended.stderr
        watched.assert_untouched()


@on_postgresql
def test_too_little_disk_on_the_server_is_refused_with_both_sizes(watched: Watched, sealed: Callable[[bytes], Path]) -> None:
    cluster = postgres_only(watched)
    good = Forgery.of(watched.archive)
    good.manifest["database"]["size"] = 10**15
    # Only then a role may know where the server's disk is.
    cluster.execute("GRANT pg_read_all_settings TO timetracker")
    try:
        refused = watched.restore_refused(sealed(good.sealed()), code=3, says=("1000.0 TB", "free"))
        assert "Free some space" in refused.stderr
    finally:
        cluster.execute("REVOKE pg_read_all_settings FROM timetracker")
