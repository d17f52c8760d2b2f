"""``python -m backups.tests.asking KIND [ARCHIVE] [ARGUMENTS]``: ask the workers for an operation, as a page does.

ARGUMENTS is JSON. Prints the journal as JSON, or ``{"error": class, "message": …, "next_step": …}``; beside it the
``seconds`` that the asking took.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Any


def main(argv: list[str]) -> None:
    """Ask, and print the answer."""
    import timetracker.wsgi

    assert timetracker.wsgi.application, "a web process, with its Celery app"
    from backups.exceptions import BackupError
    from backups.tasks import task_request

    kind, archive, arguments = [*argv, *["", "", "{}"][len(argv) :]]
    answer: dict[str, Any]
    began = time.monotonic()
    try:
        answer = asdict(task_request(kind, archive=archive, arguments=json.loads(arguments), requested_by="a visitor"))
    except BackupError as error:
        answer = {"error": type(error).__name__, "message": error.message, "next_step": error.next_step}
    print(json.dumps({**answer, "seconds": time.monotonic() - began}))


if __name__ == "__main__":
    main(sys.argv[1:])
