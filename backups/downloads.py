"""Links to the file of an archive: signed, for one account, for ten minutes, and for one download.

Who comes first claims the link: a file of the link's own in ``BACKUPS_STATE_DIR/downloads``, made so that of several processes and
hosts one succeeds, with the ETag of the download in it. From then on the link gives its account nothing but the rest of that very
download, as long as the content is the same: so browsers, and programs that ask for no more than a range (``curl -C -``), go on
after a lost connection, and nobody begins a second time.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from django.core import signing

from backups.conf import conf
from backups.files import apply_owner, private_folder, sync_folder

__all__ = [
    "LINK_SECONDS",
    "DownloadLink",
    "download_claim",
    "download_claimed",
    "download_etag",
    "download_link_read",
    "download_token",
    "downloads_sweep",
]

SALT = "backups.download"
# Seconds for which a link can be claimed, and for which the claimed one gives the rest of its download.
LINK_SECONDS = 600
RESUME_SECONDS = 86400
# Bytes at the end of an archive that tell it from every other: the directory there has a checksum of each member.
TAIL = 64 * 1024


@dataclass(frozen=True)
class DownloadLink:
    """What a link says: the account that it is for, the archive, and what makes it one of its kind (32 hex digits).

    ``is_fresh``: it is not too old to begin with.
    """

    account: str
    archive: str
    nonce: str
    is_fresh: bool

    @property
    def is_open(self) -> bool:
        """Whether a download may begin."""
        return self.is_fresh and not self.is_claimed

    @property
    def is_claimed(self) -> bool:
        """Whether the download has begun."""
        return (_folder() / self.nonce).exists()


def download_token(archive: str, *, account: object) -> str:
    """A new link's token: for ``archive``, and for the account with the primary key ``account``."""
    return signing.dumps([str(account), archive, secrets.token_hex(16)], salt=SALT)


def download_link_read(token: str) -> DownloadLink | None:
    """What a token says; None for one that the site has not made, or that is too old even to go on with."""
    try:
        account, archive, nonce = signing.loads(token, salt=SALT, max_age=RESUME_SECONDS)
    except signing.BadSignature:
        return None
    try:
        signing.loads(token, salt=SALT, max_age=LINK_SECONDS)
    except signing.SignatureExpired:
        return DownloadLink(account, archive, nonce, is_fresh=False)
    return DownloadLink(account, archive, nonce, is_fresh=True)


def download_claim(link: DownloadLink, etag: str) -> bool:
    """Begin the download: True for exactly one of all who try, whatever their process and host. Raises OSError.

    The claim is durable before the first byte is sent; it keeps ``etag``, of :func:`download_etag`.
    """
    folder = _folder()
    private_folder(folder)
    try:
        descriptor = os.open(folder / link.nonce, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    try:
        apply_owner(descriptor, folder)
        os.write(descriptor, etag.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(folder)
    return True


def download_claimed(link: DownloadLink) -> str:
    """The ETag of the download that the link has begun; empty where it has begun none, or died while it did."""
    try:
        return (_folder() / link.nonce).read_text()
    except OSError:
        return ""


def download_etag(link: DownloadLink, file: BinaryIO, size: int) -> str:
    """The (strong) ETag of this link's download: it changes with the content, and no other link has it."""
    file.seek(max(0, size - TAIL))
    content = hashlib.sha256(file.read(TAIL)).hexdigest()
    return f'"{signing.Signer(salt=SALT).signature(f"{link.nonce} {size} {content}")}"'


def downloads_sweep() -> None:
    """Forget the claims of links that are of no use any more."""
    oldest = time.time() - RESUME_SECONDS - LINK_SECONDS
    for claim in _folder().glob("*"):
        with suppress(OSError):
            if claim.stat().st_mtime < oldest:
                claim.unlink()


def _folder() -> Path:
    return conf.state_dir / "downloads"
