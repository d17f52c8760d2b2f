"""Changing everything there is on a scratch site, so that a restore has something to bring back."""

from __future__ import annotations

import random

from backups.tests.site import Site

__all__ = ["wreck"]


def wreck(site: Site, *, seed: int = 1) -> None:
    """Delete, update and add rows, drop a table, add one with a foreign key to ours, change, delete and add uploads."""
    chance = random.Random(seed)
    with site.cursor() as cursor:
        cursor.execute("DELETE FROM tracking_timeentry WHERE id % 3 = 0")
        cursor.execute("UPDATE tracking_timeentry SET notes = 'overwritten' WHERE id % 5 = 1")
        cursor.execute("UPDATE accounts_user SET password = 'lost'")
        cursor.execute("UPDATE clients_client SET name = name || ' (wrecked)'")
        cursor.execute("INSERT INTO auth_group (name) VALUES ('Added after the backup')")
        cursor.execute("CREATE TABLE added_later (id integer PRIMARY KEY, client_id bigint REFERENCES clients_client (id))")
        cursor.execute("INSERT INTO added_later SELECT id, id FROM clients_client")
        cursor.execute("DROP TABLE clients_document")
    files = sorted(path for path in site.media.rglob("*") if path.is_file())
    for path in files:
        fate = chance.choice(("stay", "delete", "change"))
        if fate != "stay":
            # As Django does it: a file is replaced, never written into.
            path.unlink()
        if fate == "change":
            path.write_bytes(b"changed " + str(path.name).encode())
    (site.media / "added").mkdir(exist_ok=True)
    (site.media / "added" / "later.txt").write_text("added after the backup")
    (site.media / "top.txt").write_text("added at the top")
