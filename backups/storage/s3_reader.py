"""Reading an S3 object as a seekable file, by ranges; and what S3's errors mean in a sentence."""

from __future__ import annotations

import io
import os
import time
from typing import TYPE_CHECKING, Any, cast

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from urllib3.exceptions import HTTPError

from backups.exceptions import ArchiveRejected, ArchiveUnreadable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

__all__ = ["BUFFER", "FAULTS", "S3Reader", "code_of", "sentence_of", "status_of"]

# Everything that boto3 raises when the service, the network or the credentials fail.
FAULTS = (BotoCoreError, ClientError, Boto3Error, HTTPError, OSError)

# Bytes of the buffer in front of the reader.
BUFFER = 256 * 1024


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status that the service answered with, or None where it did not answer."""
    return error.response["ResponseMetadata"].get("HTTPStatusCode") if isinstance(error, ClientError) else None


def code_of(error: BaseException) -> str:
    """The error code of the answer (``AccessDenied``, ``NoSuchKey``, …); empty where there was none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def sentence_of(error: BaseException) -> str:
    """What went wrong, for people; never a credential or a signed URL."""
    if isinstance(error, ClientError):
        detail = error.response.get("Error", {})
        # A HEAD request has no body: its code is the status and its message one word.
        words = [str(status_of(error)), detail.get("Code", ""), detail.get("Message", "")]
        return "the service answered " + " ".join(dict.fromkeys(word for word in words if word))
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return str(error).rstrip(".")
    if isinstance(error, FileNotFoundError):
        return f"there is no {error.filename or error}"
    if isinstance(error, (BotoCoreError, HTTPError, ConnectionError, TimeoutError)):
        return f"the connection failed or was lost ({type(error).__name__})"
    return str(error).rstrip(".")


class S3Reader(io.RawIOBase):
    """One object, read by ranged requests that grow while reading goes on in order: few requests, no byte wasted on a jump.

    The object is pinned by its ETag: one that is replaced meanwhile is an error (ArchiveRejected). A lost connection and an
    answer of 5xx are tried again from the byte that was reached. Raises FileNotFoundError where there is no such object, and
    :class:`~backups.exceptions.ArchiveUnreadable` where the service keeps failing.
    """

    first_window = BUFFER
    largest_window = 64 * 1024 * 1024
    # Rather read and drop so many bytes than make another request.
    skip = 64 * 1024
    # Failures in a row, without one byte between them, after which the reader gives up; pauses double from the first.
    attempts = 5
    pause_seconds = 0.2

    def __init__(self, client: S3Client, bucket: str, key: str, arguments: dict[str, Any], place: str) -> None:
        """Ask for size and ETag. ``arguments`` go with every request; ``place`` is the store's name in messages."""
        super().__init__()
        self._client, self._bucket, self._key, self._arguments, self._place = client, bucket, key, arguments, place
        self._position = 0
        self._body: StreamingBody | None = None
        self._body_at = self._body_end = 0
        self._window = self.first_window
        try:
            head = client.head_object(Bucket=bucket, Key=key, **arguments)
        except FAULTS as error:
            if status_of(error) == 404 and code_of(error) != "NoSuchBucket":
                raise FileNotFoundError(key) from error
            raise self._unreadable(error) from error
        self.size, self.etag = int(head["ContentLength"]), str(head["ETag"])

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True: a jump costs nothing until the next read."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position in bytes, from the beginning, here or the end."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError(f"Cannot seek to {start + offset}.")
        self._position = start + offset
        return self._position

    def close(self) -> None:
        """Drop the request that is under way."""
        self._drop_body()
        super().close()

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read up to the buffer's size; 0 at the end."""
        self._checkClosed()
        view = memoryview(buffer).cast("B")[: max(0, self.size - self._position)]
        failures = 0
        while view:
            try:
                count = self._read_some(view)
            except FAULTS as error:
                self._drop_body()
                failures += 1
                if status_of(error) == 412:
                    raise ArchiveRejected(f"{self._key} in {self._place} was replaced while it was read.") from error
                if (status_of(error) or 500) < 500 or failures == self.attempts:
                    raise self._unreadable(error) from error
                time.sleep(self.pause_seconds * 2 ** (failures - 1))
                continue
            self._position += count
            return count
        return 0

    def _read_some(self, view: memoryview) -> int:
        body = self._body_at_position()
        # The stub asks for a file where a buffer is meant.
        count = body.readinto(cast(Any, view[: self._body_end - self._body_at]))
        if not count:
            raise ConnectionError("the answer ended early")
        self._body_at += count
        return count

    def _body_at_position(self) -> StreamingBody:
        """The running answer, moved to the position where that is near, else a new request."""
        gap = self._position - self._body_at
        if self._body is not None and self._body_at < self._body_end and 0 <= gap <= min(self.skip, self._body_end - self._body_at - 1):
            while self._body_at < self._position:
                dropped = len(self._body.read(self._position - self._body_at))
                if not dropped:
                    raise ConnectionError("the answer ended early")
                self._body_at += dropped
            return self._body
        goes_on = self._body is not None and gap == 0
        self._window = min(self._window * 4, self.largest_window) if goes_on else self.first_window
        self._drop_body()
        end = min(self._position + self._window, self.size)
        answer = self._client.get_object(
            Bucket=self._bucket, Key=self._key, Range=f"bytes={self._position}-{end - 1}", IfMatch=self.etag, **self._arguments
        )
        self._body, self._body_at, self._body_end = answer["Body"], self._position, end
        if answer["ContentLength"] != end - self._position:
            raise ArchiveUnreadable(f"{self._place} does not honour ranges: {answer['ContentLength']} bytes for {end - self._position}.")
        return self._body

    def _drop_body(self) -> None:
        if getattr(self, "_body", None) is not None:
            self._body.close()  # type: ignore[union-attr]
            self._body = None

    def _unreadable(self, error: BaseException) -> ArchiveUnreadable:
        return ArchiveUnreadable(f"{self._key} cannot be read from {self._place}: {sentence_of(error)}.")
