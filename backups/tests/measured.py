"""``python -m backups.tests.measured OUT COMMAND …``: run a command and write its peak memory to OUT.

The kernel's high-water mark of this process (``VmHWM``, KiB), which begins anew with the program; ``ru_maxrss`` of a waiting
parent would not do, since it takes in the parent's own size at the fork.
"""

from __future__ import annotations

import sys
from pathlib import Path

from django.core.management import execute_from_command_line

from backups.tests import BASE_DIR


def peak_kib() -> int:
    """The largest resident set of this process, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/self/status has no VmHWM.")


if __name__ == "__main__":
    try:
        execute_from_command_line([str(BASE_DIR / "manage.py"), *sys.argv[2:]])
    finally:
        Path(sys.argv[1]).write_text(str(peak_kib()))
