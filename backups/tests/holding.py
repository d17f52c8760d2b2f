"""``python -m backups.tests.holding``: hold the lock as a restore does, print the operation's id, and end with the next line of stdin."""

from __future__ import annotations

import sys


def main() -> None:
    """Hold."""
    import django

    django.setup()
    from backups.engines import engine_for
    from backups.progress import Progress
    from backups.services.operation import operation_run

    with operation_run("restore", engine=engine_for(), progress=Progress()) as journal:
        print(journal.id, flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
