"""The PostgreSQL server crashes and comes back in the middle of a restore."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from backups.tests.site import Site
from backups.tests.test_killed import Prepared, prepared

__all__ = ["prepared"]

STAGES = {"auto": ("shadow", "migrate", "drain", "swap"), "in-place": ("dump", "load", "migrate", "switch")}


WAYS = pytest.mark.parametrize("prepared", ["postgresql", "in-place"], indirect=True)
MODES = pytest.mark.parametrize("mode", ["immediate", "fast"])
Mode = Literal["fast", "immediate"]


@WAYS
@MODES
def test_a_restore_whose_server_stops_ends_on_old_or_new(prepared: Prepared, mode: Mode) -> None:
    """In order in every second stage, as in a crash in those between: `./run soak` stops it both ways in each."""
    stopped_in(prepared, STAGES[prepared.strategy][int(mode == "fast") :: 2], mode)


@pytest.mark.soak
@WAYS
@MODES
def test_a_restore_whose_server_stops_in_any_stage_ends_on_old_or_new(prepared: Prepared, mode: Mode) -> None:
    stopped_in(prepared, STAGES[prepared.strategy], mode)


def stopped_in(prepared: Prepared, stages: tuple[str, ...], mode: Mode) -> None:
    """Stop the server when a restore enters each of ``stages``, start it again, and recover."""
    site: Site = prepared.site
    assert site.cluster is not None
    for stage in stages:
        process = site.popen(*prepared.restore, "--json")
        assert process.stdout is not None
        assert process.stderr is not None
        seen = []
        for line in process.stdout:
            event = json.loads(line)
            seen.append(event["stage"] if event["event"] == "stage" else event["event"])
            if event["event"] == "stage" and event["stage"] == stage:
                site.cluster.stop(mode)
                break
        else:
            raise AssertionError(f"the restore never came to {stage}: {seen}\n{process.stderr.read()}")
        process.communicate(timeout=120)
        site.cluster.start()
        # Usually it failed; where the swap was through before the server went, it may have ended well.
        assert process.returncode in (0, 1, 3, 6, 7)
        if prepared.recovered() == "new":
            site.manage("backup_undo", "--no-input")
            prepared.undone()
