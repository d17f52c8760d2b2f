"""PostgreSQL: the engines' contract, on the oldest and the newest server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from backups.tests.contracts import EngineContract
from backups.tests.scratch_postgres import ScratchPostgres, scratch_postgres
from backups.tests.servers import PgCluster


class TestPostgres15(EngineContract):
    """The contract on the oldest server."""

    @pytest.fixture
    def database(self, pg: PgCluster, settings: Settings) -> Iterator[ScratchPostgres]:
        """A scratch database on it."""
        settings.BACKUPS_PG_BIN_DIRS = [str(pg.bin_dir)]
        with scratch_postgres(pg) as scratch:
            yield scratch
