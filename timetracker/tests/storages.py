"""The default storage, when it fails in a way of its own, as storages in a bucket do."""

from __future__ import annotations

from typing import NoReturn

import pytest
from django.core.files.storage import storages

__all__ = ["BucketError", "storage_fails"]


class BucketError(Exception):
    """What the library of an object store raises: no OSError."""


def storage_fails(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Let ``method`` of the default storage (``open``, ``save``, ``delete``) raise BucketError from now on."""

    def refused(*_: object, **__: object) -> NoReturn:
        raise BucketError("no such bucket")

    monkeypatch.setattr(type(storages["default"]), method, refused)
