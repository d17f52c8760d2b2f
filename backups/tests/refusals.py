"""A site that has moved on since its backup, and the proof that a refused command left all of it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.test import override_settings

from backups.tests.servers import PgCluster
from backups.tests.site import Completed, SiteTemplates, populate
from backups.tests.test_killed import assert_tidy
from backups.tests.warm import WarmSite

__all__ = ["SIGNING_KEY", "Watched", "watched_site"]

# Known to the test as to the site, so that forged archives pass every check before the one they aim at.
SIGNING_KEY = "the-signing-key-of-these-tests"
# What a message says of the state of things where nothing was changed, whichever error it is.
UNCHANGED = ("Nothing was changed.", "The live data is as it was before.", "No archive was made; the live data is as it was.")


@dataclass
class Watched:
    """A site, an archive of what it was (in its store), and what is live: rows and uploads that no refusal may change."""

    site: WarmSite
    archive: Path
    tables: dict[str, Any]
    uploads: dict[str, str]
    archived_tables: dict[str, Any]
    archived_uploads: dict[str, str]

    def refused(self, *args: str | Path, code: int, says: str | tuple[str, ...] = (), env: dict[str, str] | None = None) -> Completed:
        """Run a command that must end with ``code``, say each of ``says``, the state of things and a next step, and change nothing."""
        ended = self.site.manage(*args, check=False, env=env)
        shown = f"{' '.join(map(str, args))} ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        assert ended.returncode == code, shown
        assert "Traceback" not in ended.stderr, shown
        for phrase in (says,) if isinstance(says, str) else says:
            assert phrase in ended.stderr, f"{phrase!r} is not said: {shown}"
        lines = ended.stderr.splitlines()
        begun = next(number for number, line in enumerate(lines) if line.startswith("CommandError: "))
        # Behind these three may stand what else could not be done, such as a note in the history.
        _, state, next_step, *_ = lines[begun:]
        assert state in UNCHANGED, shown
        assert next_step.strip().endswith((".", ")")) or "manage.py" in next_step or ": " in next_step, shown
        assert ended.stdout == "", shown
        self.assert_untouched(shown)
        return ended

    def restore_refused(
        self, archive: str | Path, *options: str, code: int, says: str | tuple[str, ...] = (), env: dict[str, str] | None = None
    ) -> Completed:
        """:meth:`refused` for ``backup_restore``, with progress off so that stderr is the message."""
        return self.refused("backup_restore", archive, "--no-input", "--no-progress", *options, code=code, says=says, env=env)

    def assert_untouched(self, context: str = "") -> None:
        """Every row and file is as it was, and nothing lies about."""
        assert self.site.dump_tables() == self.tables, f"rows changed: {context}"
        assert self.site.uploads() == self.uploads, f"uploads changed: {context}"
        assert list((self.site.state / "staging").glob("*")) == [], context
        assert list(self.site.media.glob(".backups-*")) == [], context
        if self.site.cluster:
            assert self.site.cluster.databases(self.site.database) == [self.site.database], context
        else:
            assert sorted(path.name for path in self.site.data_dir.glob("db*.sqlite3")) == ["db.sqlite3"], context


@contextmanager
def watched_site(templates: SiteTemplates, cluster: PgCluster | None, *, entries: int = 400, uploads_mb: int = 1) -> Iterator[Watched]:
    """Make one. On leaving, gate, lock, shadows and sessions are checked, and the site is closed."""
    plain = templates.site(cluster)
    plain.extra_env["BACKUPS_SIGNING_KEYS"] = SIGNING_KEY
    populate(plain, entries=entries, uploads_mb=uploads_mb)
    site = WarmSite.of(plain)
    archived_tables, archived_uploads = site.dump_tables(), site.uploads()
    archive = site.backups / site.manage("backup_create").stdout.strip()
    site.execute("INSERT INTO auth_group (name) VALUES ('Added after the backup')")
    site.execute("UPDATE clients_client SET notes = 'changed after the backup'")
    (site.media / "later.txt").write_text("uploaded after the backup")
    with override_settings(BACKUPS_SIGNING_KEYS=[SIGNING_KEY]):
        try:
            yield Watched(site, archive, site.dump_tables(), site.uploads(), archived_tables, archived_uploads)
            assert_tidy(site)
        finally:
            site.close()
