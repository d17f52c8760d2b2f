"""Why demo data is not made or not removed."""

from __future__ import annotations

__all__ = ["DemoRefused"]


class DemoRefused(Exception):
    """Nothing was changed; the message says what was found and what to do."""
