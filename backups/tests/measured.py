"""``python -m backups.tests.measured OUT COMMAND …``: run a command and write its peak memory to OUT.

The kernel's high-water mark of this process (``VmHWM``, KiB), which begins anew with the program; ``ru_maxrss`` of a waiting
parent would not do, since it takes in the parent's own size at the fork. :func:`measured_run` does so from a test.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.management import execute_from_command_line

from backups.tests import BASE_DIR

if TYPE_CHECKING:
    from backups.tests.site import Site

__all__ = ["Measured", "measured_run"]


@dataclass(frozen=True)
class Measured:
    """A command that went well: what it printed, its seconds from start to end, and its peak memory in KiB."""

    stdout: str
    seconds: float
    peak_kib: int


def measured_run(site: Site, *args: str | Path) -> Measured:
    """Run a command of ``manage.py`` in a process of its own; fail the test, showing the output, where its exit code is not 0."""
    out = site.data_dir / "peak"
    began = time.monotonic()
    process = site.run_python("-m", "backups.tests.measured", out, *args)
    stdout, stderr = process.communicate(timeout=7200)
    seconds = time.monotonic() - began
    assert process.returncode == 0, f"{args}\n{stdout}\n{stderr}"
    return Measured(stdout, seconds, int(out.read_text()))


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
