"""A store in an S3 bucket, over django-storages' ``S3Storage`` (its options, credentials and client)."""

from __future__ import annotations

import contextlib
import hashlib
import io
import posixpath
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlsplit

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError
from s3transfer.manager import TransferManager

from backups.exceptions import ArchiveNotFound, ArchiveNotSaved, ArchiveRejected, BackupError, NameTaken
from backups.storage.base import (
    BLOCK,
    HISTORY,
    Archives,
    ArchiveStore,
    OnBytes,
    StoredArchive,
    checked_name,
    checked_operation,
    is_archive_name,
    outbox,
    record_operation,
    sweep_folder,
)
from backups.storage.s3_reader import BUFFER, FAULTS, S3Reader, code_of, sentence_of, status_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from storages.backends.s3 import S3Storage

__all__ = ["S3Store"]

# One CopyObject takes at most 5 GiB (S3's limit); a larger archive is copied in parts, of which there may be 10,000.
COPY_AT_ONCE = 5 * 1024**3
COPY_PART = 1024**3

# Services that speak S3 without conditional writes say so in one of these ways.
_NOT_IMPLEMENTED = ("NotImplemented", "InvalidArgument", "InvalidRequest")
_UNFINISHED = re.compile(r"backup_[0-9]{8}_[0-9]{6}_([0-9a-f]{8})\.zip\.partial|([0-9a-f]{8})\.check\.partial")


class S3Store(ArchiveStore):
    """Archives as objects of one bucket (below ``location``, where that is set).

    An archive is sent as ``<name>.partial``, read back and compared, and only then copied inside the service to its name.
    """

    copy_at_once = COPY_AT_ONCE
    copy_part = COPY_PART
    # The most that S3 lists at once.
    page_size = 1000

    def __init__(self, storage: S3Storage) -> None:
        """Take the backend; nothing is contacted yet."""
        self.storage = storage
        self.bucket = str(storage.bucket_name)

    @property
    def _client(self) -> S3Client:
        return cast("S3Client", self.storage.connection.meta.client)

    def _key(self, name: str) -> str:
        return posixpath.join(self.storage.location.strip("/"), name)

    def _arguments(self, allowed: list[str]) -> Any:
        """Those of the backend's ``object_parameters`` that an operation takes (encryption, storage class, …)."""
        given = {**self.storage.get_object_parameters(""), **({"ACL": self.storage.default_acl} if self.storage.default_acl else {})}
        return {name: value for name, value in given.items() if name in allowed}

    def describe(self) -> str:
        """Bucket, folder and host."""
        place = f"the S3 bucket {self.bucket}"
        if folder := self.storage.location.strip("/"):
            place += f", folder {folder}"
        if self.storage.endpoint_url:
            parts = urlsplit(self.storage.endpoint_url)
            place += f" at {parts.hostname}" + (f":{parts.port}" if parts.port else "")
        return place

    def folder(self) -> Path:
        """The outbox on this machine."""
        return outbox()

    # --- save ---------------------------------------------------------------------------------------------------

    def save(self, partial: Path, name: str, *, sha256: str, on_bytes: OnBytes) -> None:
        """Send as ``<name>.partial``, read that back, copy exactly what was read to the final name."""
        key = self._key(checked_name(name))
        sent = f"{key}.partial"
        try:
            if self._head(key) is not None:
                raise NameTaken(f"{name} is in {self.describe()} already; it was left as it is.")
            try:
                self._send(partial, sent, sha256, on_bytes)
                etag = self._read_back(sent, partial.stat().st_size, sha256, on_bytes)
                self._copy(sent, key, etag, partial.stat().st_size, sha256)
            finally:
                self._drop(sent)
        except FAULTS as error:
            raise ArchiveNotSaved(f"The archive {name} could not be saved in {self.describe()}: {sentence_of(error)}.") from error
        partial.unlink()

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            return dict(self._client.head_object(Bucket=self.bucket, Key=key, **self._arguments(TransferManager.ALLOWED_DOWNLOAD_ARGS)))
        except ClientError as error:
            if status_of(error) == 404 and code_of(error) != "NoSuchBucket":
                return None
            raise

    def _send(self, partial: Path, key: str, sha256: str, on_bytes: OnBytes) -> None:
        try:
            # By name and not as an open file: boto3 would read the parts of one into memory, which grow with the archive.
            self._client.upload_file(
                str(partial),
                self.bucket,
                key,
                ExtraArgs=self._written(sha256, TransferManager.ALLOWED_UPLOAD_ARGS),
                Callback=lambda count: (on_bytes(count), None)[1],
                Config=self.storage.transfer_config,
            )
        except S3UploadFailedError as error:
            # boto3 makes a sentence of the service's answer; people and callers need the answer itself.
            raise error.__context__ or error from None

    def _written(self, sha256: str, allowed: list[str]) -> Any:
        """Arguments of a write. The hash travels with the object, so that the copy can be told from a stranger's."""
        given = self._arguments(allowed)
        return {**given, "ContentType": "application/zip", "Metadata": {**given.get("Metadata", {}), "sha256": sha256}}

    def _read_back(self, key: str, size: int, sha256: str, on_bytes: OnBytes) -> str:
        """Hash the object and return its ETag: the copy is made of exactly these bytes."""
        digest = hashlib.sha256()
        try:
            with self._reader(key) as reader:
                while data := reader.read(BLOCK):
                    digest.update(data)
                    on_bytes(len(data))
        except ArchiveRejected as error:
            raise ArchiveNotSaved(f"What was sent could not be read back: {error.message}") from error
        if reader.size != size or digest.hexdigest() != sha256:
            raise ArchiveNotSaved(
                f"Other bytes came back from {self.describe()} than were sent: "
                f"{reader.size} of {size} bytes, SHA-256 {digest.hexdigest()} instead of {sha256}."
            )
        return reader.etag

    def _copy(self, source: str, key: str, etag: str, size: int, sha256: str) -> None:
        fault: Exception | None = None
        try:
            self._copy_if_absent(source, key, etag, size, sha256)
        except FAULTS as error:
            # An answer that was lost, or a retry that met its own success, leaves the copy in place: look there.
            fault = error
        there = self._head(key)
        if there is not None and there["ContentLength"] == size and there["Metadata"].get("sha256") == sha256:
            return
        name = posixpath.basename(key)
        if fault is None:
            # It was written by us just now: the service did not heed the ETag, or lost it.
            self._drop(key)
            raise ArchiveNotSaved(f"Other bytes were copied to {name} in {self.describe()} than were read back; it was deleted there.")
        if there is not None and status_of(fault) == 412:
            raise NameTaken(f"{name} is in {self.describe()} already; it was left as it is.") from fault
        raise fault

    def _copy_if_absent(self, source: str, key: str, etag: str, size: int, sha256: str) -> None:
        copy = self._copy_at_once if size <= self.copy_at_once else self._copy_in_parts
        try:
            copy(source, key, etag, size, sha256, {"IfNoneMatch": "*"})
        except ClientError as error:
            if code_of(error) not in _NOT_IMPLEMENTED:
                raise
            # No conditional writes here: the look at the beginning, and a name with the operation's id, must do.
            copy(source, key, etag, size, sha256, {})

    def _copy_at_once(self, source: str, key: str, etag: str, size: int, sha256: str, condition: dict[str, str]) -> None:
        self._client.copy_object(
            Bucket=self.bucket,
            Key=key,
            CopySource={"Bucket": self.bucket, "Key": source},
            CopySourceIfMatch=etag,
            MetadataDirective="REPLACE",
            **self._written(sha256, TransferManager.ALLOWED_COPY_ARGS),
            **cast(Any, condition),
        )

    def _copy_in_parts(self, source: str, key: str, etag: str, size: int, sha256: str, condition: dict[str, str]) -> None:
        client, written = self._client, self._written(sha256, TransferManager.ALLOWED_COPY_ARGS)
        upload = client.create_multipart_upload(Bucket=self.bucket, Key=key, **written)["UploadId"]
        try:
            parts = []
            for number, start in enumerate(range(0, size, self.copy_part), 1):
                answer = client.upload_part_copy(
                    Bucket=self.bucket,
                    Key=key,
                    UploadId=upload,
                    PartNumber=number,
                    CopySource={"Bucket": self.bucket, "Key": source},
                    CopySourceIfMatch=etag,
                    CopySourceRange=f"bytes={start}-{min(start + self.copy_part, size) - 1}",
                )
                parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
            client.complete_multipart_upload(
                Bucket=self.bucket, Key=key, UploadId=upload, MultipartUpload=cast(Any, {"Parts": parts}), **cast(Any, condition)
            )
        except BaseException:
            with contextlib.suppress(*FAULTS):
                client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload)
            raise

    def _drop(self, key: str) -> None:
        """Delete what must not stay; a partial object that cannot be deleted now is left to :meth:`sweep_partials`."""
        try:
            self._client.delete_object(Bucket=self.bucket, Key=key)
        except FAULTS:
            return

    # --- read ---------------------------------------------------------------------------------------------------

    def _reader(self, key: str) -> S3Reader:
        return S3Reader(self._client, self.bucket, key, self._arguments(TransferManager.ALLOWED_DOWNLOAD_ARGS), self.describe())

    def open(self, name: str) -> BinaryIO:
        """Ranged requests behind a buffer; nothing is downloaded but what is read."""
        checked_name(name)
        try:
            reader = self._reader(self._key(name))
        except FileNotFoundError as error:
            raise ArchiveNotFound(f"There is no archive {name} in {self.describe()}.") from error
        return io.BufferedReader(reader, BUFFER)

    def download_url(self, name: str, *, seconds: int, file_name: str) -> str:
        """A presigned URL; none where the service is not asked by https, or a browser could not ask as this backend does."""
        arguments = self._arguments(TransferManager.ALLOWED_DOWNLOAD_ARGS)
        saved = {"ResponseContentDisposition": f'attachment; filename="{file_name}"', "ResponseContentType": "application/zip"}
        url = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self.bucket, "Key": self._key(checked_name(name)), **saved}, ExpiresIn=seconds
        )
        # Browsers refuse a download by http that an https page leads to, newer buckets a signature of the second version; and the
        # customer's own key for encryption goes by a header.
        fits = url.startswith("https:") and "X-Amz-Signature=" in url and not arguments
        return url if fits else ""

    def _keys(self, prefix: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._key(prefix), Delimiter="/", PaginationConfig={"PageSize": self.page_size}
        )
        for page in pages:
            for item in page.get("Contents", ()):
                yield {**item, "Name": posixpath.basename(item["Key"])}

    def list(self) -> Archives:
        """One request for each thousand objects."""
        try:
            found = [
                StoredArchive(item["Name"], item["Size"], item["LastModified"])
                for item in self._keys("backup_")
                if is_archive_name(item["Name"])
            ]
        except FAULTS as error:
            raise self.refused("The archives cannot be listed", sentence_of(error)) from error
        return sorted(found, key=lambda archive: archive.name, reverse=True)

    def exists(self, name: str) -> bool:
        """One HEAD request."""
        try:
            return self._head(self._key(checked_name(name))) is not None
        except FAULTS as error:
            raise self.refused(f"The archive {name} cannot be looked for", sentence_of(error)) from error

    def delete(self, name: str) -> None:
        """Delete the object (in a bucket with versions: hide it)."""
        try:
            self._client.delete_object(Bucket=self.bucket, Key=self._key(checked_name(name)))
        except FAULTS as error:
            raise self.refused(f"The archive {name} cannot be deleted", sentence_of(error)) from error

    def check_writable(self) -> None:
        """List, write, read and delete: all that a backup needs."""
        key = self._key(f"{secrets.token_hex(4)}.check.partial")
        client, arguments = self._client, self._arguments(TransferManager.ALLOWED_COPY_ARGS)
        try:
            client.list_objects_v2(Bucket=self.bucket, Prefix=self._key("backup_"), MaxKeys=1)
            client.put_object(Bucket=self.bucket, Key=key, Body=bytes(4096), **arguments)
            try:
                self._head(key)
            finally:
                client.delete_object(Bucket=self.bucket, Key=key)
        except FAULTS as error:
            raise self.refused("Nothing can be written", sentence_of(error)) from error

    # --- run history --------------------------------------------------------------------------------------------

    def save_record(self, operation_id: str, data: bytes) -> None:
        """Put the object: S3 replaces it at once or not at all."""
        key = self._key(f"{HISTORY}/{checked_operation(operation_id)}.json")
        arguments = {**self._arguments(TransferManager.ALLOWED_COPY_ARGS), "ContentType": "application/json"}
        try:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=data, **arguments)
        except FAULTS as error:
            raise BackupError(f"The run history cannot be written in {self.describe()}: {sentence_of(error)}.") from error

    def delete_record(self, operation_id: str) -> None:
        """Delete the object; S3 says nothing of one that was not there."""
        try:
            self._client.delete_object(Bucket=self.bucket, Key=self._key(f"{HISTORY}/{checked_operation(operation_id)}.json"))
        except FAULTS as error:
            raise self.refused("The run history cannot be shortened", sentence_of(error)) from error

    def records(self) -> Iterator[tuple[str, bytes]]:
        """One request for each record."""
        arguments = self._arguments(TransferManager.ALLOWED_DOWNLOAD_ARGS)
        try:
            for item in self._keys(f"{HISTORY}/"):
                if operation := record_operation(item["Name"]):
                    yield operation, self._client.get_object(Bucket=self.bucket, Key=item["Key"], **arguments)["Body"].read()
        except FAULTS as error:
            raise self.refused("The run history cannot be read", sentence_of(error)) from error

    # --- sweep --------------------------------------------------------------------------------------------------

    def sweep_partials(self, operation: str | None) -> tuple[str, ...]:
        """Sweep the outbox, the partial objects and the uploads in parts that were never completed (they cost storage)."""
        removed = [*sweep_folder(outbox(), operation)]
        try:
            for item in [*self._keys("")]:
                if self._is_left_by(item["Name"], operation):
                    self._client.delete_object(Bucket=self.bucket, Key=item["Key"])
                    removed.append(item["Name"])
            self._abort_uploads(operation)
        except FAULTS as error:
            raise self.refused("Unfinished objects cannot be removed", sentence_of(error)) from error
        return tuple(removed)

    def _abort_uploads(self, operation: str | None) -> None:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket, Prefix=self._key("backup_"))
        try:
            for page in pages:
                for item in page.get("Uploads", ()):
                    name = posixpath.basename(item["Key"])
                    if self._is_left_by(name if name.endswith(".partial") else f"{name}.partial", operation):
                        self._client.abort_multipart_upload(Bucket=self.bucket, Key=item["Key"], UploadId=item["UploadId"])
        except ClientError as error:
            # Many keys may not list these uploads, and some services cannot; buckets have rules that expire them.
            if status_of(error) not in (403, 405, 501):
                raise

    @staticmethod
    def _is_left_by(name: str, operation: str | None) -> bool:
        match = _UNFINISHED.fullmatch(name)
        return match is not None and (operation is None or checked_operation(operation)[:8] in match.groups())
