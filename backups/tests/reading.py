"""What a person reads of a page."""

from __future__ import annotations

import html
import re
from typing import Any

__all__ = ["text_in", "text_of"]


def text_in(markup: str) -> str:
    """The words of some HTML: no tags, single spaces."""
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup))).strip()


def text_of(response: Any, *, since: str = "<body") -> str:
    """The words of an answer, from ``since`` on; all of them where that is not in it."""
    page: str = response.content.decode()
    return text_in(page[max(page.find(since), 0) :])
