"""``python -m backups.tests.gate_process``: a process that sets and reads the gate as it is told, word by word.

``raise``, ``read_only``, ``close`` and ``open`` set it, ``read`` reads it. The answer is that of :class:`Done`.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from backups.tests.site import Site
from backups.tests.standing import answer_lines, answering

__all__ = ["Done", "gate_process"]


@dataclass(frozen=True)
class Done:
    """What a word did, from when to when (seconds of the machine's monotonic clock), and the state of what was read or set."""

    began: float
    ended: float
    state: str


@contextlib.contextmanager
def gate_process(site: Site) -> Iterator[Callable[[str], Done]]:
    """Such a process of ``site`` for the length of the block; call it with a word."""
    with answering(site, __name__) as tell:
        yield lambda word: Done(**tell(word))


def main() -> None:
    """Do what each word says."""
    import django

    django.setup()
    from backups.gate import gate_close, gate_open, gate_raise, gate_read, gate_read_only, gate_stage

    def close() -> None:
        # The stage tells that it is for a moment only, so that visitors are held.
        gate_stage("swap")
        gate_close()

    words: dict[str, Callable[[], object]] = {
        "raise": lambda: gate_raise(uuid.uuid4().hex, "restore"),
        "read_only": gate_read_only,
        "close": close,
        "open": lambda: gate_open(epoch=uuid.uuid4().hex),
        "read": lambda: None,
    }

    def do(word: str) -> dict[str, object]:
        began = time.monotonic()
        words[word]()
        return asdict(Done(began, time.monotonic(), gate_read().state))

    answer_lines(do)


if __name__ == "__main__":
    main()
