"""``manifest.sig``: who wrote the manifest."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Literal

from backups.conf import conf
from backups.exceptions import ArchiveRejected
from backups.json_window import Pieces

__all__ = ["Signature", "sign", "signature_state"]

Signature = Literal["valid", "missing", "unknown key"]

_SIGNATURE = re.compile(rb"hmac-sha256 ([0-9a-f]{16}) ([0-9a-f]{64})\n")


def sign(data: bytes | Pieces) -> bytes:
    """Make the content of ``manifest.sig`` for a manifest (whole or in pieces): ``hmac-sha256``, the first key's id, the MAC."""
    key = conf.signing_keys[0]
    return f"hmac-sha256 {_key_id(key)} {_mac(key, data)}\n".encode()


def signature_state(data: bytes | Pieces, signature: bytes | None) -> Signature:
    """Say whether ``signature`` (the content of ``manifest.sig``, None where there is none) is one of ours over ``data``.

    ``data`` is read where the key is known.

    Raises :class:`~backups.exceptions.ArchiveRejected` where the key is known and the MAC is another one (the manifest
    was edited or damaged), and where ``signature`` is no signature.
    """
    if signature is None:
        return "missing"
    match = _SIGNATURE.fullmatch(signature)
    if match is None:
        raise ArchiveRejected("manifest.sig is not a signature of this format")
    named, mac = match[1].decode(), match[2].decode()
    for key in conf.signing_keys:
        if hmac.compare_digest(_key_id(key), named):
            if hmac.compare_digest(_mac(key, data), mac):
                return "valid"
            raise ArchiveRejected("manifest.json does not match its signature: it was edited or damaged after it was made")
    return "unknown key"


def _key_id(key: bytes) -> str:
    """Name a key without telling it: 64 bits of a MAC over a fixed text."""
    return hmac.new(key, b"backups.signature.key-id", hashlib.sha256).hexdigest()[:16]


def _mac(key: bytes, data: bytes | Pieces) -> str:
    mac = hmac.new(key, b"backups.signature.manifest\n", hashlib.sha256)
    for piece in [data] if isinstance(data, bytes) else data:
        mac.update(piece)
    return mac.hexdigest()
