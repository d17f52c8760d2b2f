"""``python -IS launch.py < ORDER``: run commands one after the other and print what they cost, as JSON.

A process of its own and a small one: what the kernel says of a child's largest resident set takes in that of the process that
started it, as it was then. ORDER is JSON with ``commands``, ``env``, ``folder`` and ``log`` (a file, for all output).
It ends with the first command that fails: ``code`` is that one's exit code, ``failed`` the command, null where none did.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any


def launched(order: dict[str, Any]) -> dict[str, Any]:
    """Run what ``order`` says; seconds of the clock, of the processors, and the KiB of the largest process."""
    cpu_seconds, peak_kib = 0.0, 0
    with open(order["log"], "wb") as log:  # noqa: PTH123 - as few modules as can be
        began = time.monotonic()
        for command in order["commands"]:
            process = subprocess.Popen(  # noqa: S603 - lists that the contenders make, no shell
                command, env=order["env"], cwd=order["folder"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
            _, status, usage = os.wait4(process.pid, 0)
            # It is reaped: the object must not wait for it again.
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu_seconds += usage.ru_utime + usage.ru_stime
            peak_kib = max(peak_kib, usage.ru_maxrss)
            if process.returncode:
                return {"code": process.returncode, "failed": command}
        seconds = time.monotonic() - began
    return {"code": 0, "failed": None, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_kib": peak_kib}


if __name__ == "__main__":
    json.dump(launched(json.load(sys.stdin)), sys.stdout)
