"""What the log says of a request in one line."""

from __future__ import annotations

from logging import ERROR, Filter, LogRecord

__all__ = ["RefusalInOneLine"]


class RefusalInOneLine(Filter):
    """Takes the traceback of a request that was refused (403 and the like), and says its reason instead.

    It lets every record pass. Errors (500) keep their traceback.
    """

    def filter(self, record: LogRecord) -> bool:
        """Change the record where it is such a refusal."""
        if record.levelno < ERROR and record.exc_info:
            reason = " ".join(str(record.exc_info[1]).split())
            record.msg, record.args = record.getMessage() + (f": {reason}" if reason else ""), None
            record.exc_info = record.exc_text = None
        return True
