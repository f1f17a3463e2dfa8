"""A store in an S3-compatible bucket. The only module that imports boto3.

Conditional writes need a server that honours If-None-Match and If-Match on PutObject
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html). Credentials come from
boto3's own chain and are never repeated in a message.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    InvalidRegionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
    TokenRetrievalError,
)

from touge.contract.artifacts import is_key
from touge.contract.errors import (
    AlreadyExists,
    Conflict,
    InfrastructureError,
    ObjectNotFound,
    SettingsError,
    TougeError,
)
from touge.storage.port import ObjectInfo, check_key, check_prefix
from touge.storage.settings import StoreSettings

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

Checksums = Literal["when_required", "when_supported"]

#: Files above this go up in parts, several at once, streamed from disk.
_WHOLE_BYTES = 8 << 20
_TRANSFER = TransferConfig(multipart_threshold=_WHOLE_BYTES)
_BUFFER = 1 << 20
_CREDENTIALS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_MISSET = (InvalidRegionError, ParamValidationError)


class S3Store:
    """Objects below one prefix of one bucket."""

    def __init__(self, bucket: str, prefix: str, settings: StoreSettings) -> None:
        self.bucket = bucket
        inner = prefix.strip("/")
        if inner and not is_key(inner):
            raise SettingsError(f"store s3://{bucket}/{prefix}: expected a prefix of segments joined by single slashes")
        self.prefix = f"{inner}/" if inner else ""
        self.uri = f"s3://{bucket}/{self.prefix}".rstrip("/")
        with _explained(self.uri):
            self._client = _client(settings)

    def get(self, key: str) -> bytes:
        """Return the object's content; raises ObjectNotFound."""
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        """Return a stream over the object or a part of it; raises ObjectNotFound."""
        if length == 0:
            self.stat(key)
            return io.BytesIO()
        end = "" if length is None else str(offset + length - 1)
        ranged: dict[str, Any] = {"Range": f"bytes={offset}-{end}"} if offset or length else {}
        try:
            with _explained(self._at(key)):
                answer = self._client.get_object(Bucket=self.bucket, Key=self._name(key), **ranged)
        except _PastTheEnd:
            return io.BytesIO()
        return cast("BinaryIO", io.BufferedReader(_Body(answer["Body"], self._at(key)), _BUFFER))

    def put(self, key: str, data: bytes | Path) -> ObjectInfo:
        """Write an object whole; a large file goes up in parts and appears when the last one is there."""
        if isinstance(data, bytes) or data.stat().st_size <= _WHOLE_BYTES:
            return self._put(key, data if isinstance(data, bytes) else data.read_bytes())
        with data.open("rb") as stream, _explained(self._at(key)):
            self._client.upload_fileobj(stream, self.bucket, self._name(key), Config=_TRANSFER)
        return self.stat(key)

    def create(self, key: str, data: bytes) -> ObjectInfo:
        """Write an object that must not exist."""
        try:
            return self._put(key, data, IfNoneMatch="*")
        except _ConditionFailed:
            raise AlreadyExists(f"{self._at(key)} exists already") from None

    def replace(self, key: str, data: bytes, *, etag: str) -> ObjectInfo:
        """Write an object only if it still has this entity tag."""
        try:
            return self._put(key, data, IfMatch=etag)
        except (_ConditionFailed, ObjectNotFound):
            raise Conflict(f"{self._at(key)}: no longer version {etag}. Read it and try again") from None

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known of the object without reading it; raises ObjectNotFound."""
        with _explained(self._at(key)):
            head = self._client.head_object(Bucket=self.bucket, Key=self._name(key))
        return ObjectInfo(key, head["ContentLength"], head["ETag"], int(head["LastModified"].timestamp() * 1e6))

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield all objects whose key starts with `prefix`, in key order; folder marks of consoles are no objects."""
        whole = self.prefix + check_prefix(prefix)
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=whole)
        with _explained(self._at(prefix)):
            for item in (item for page in pages for item in page.get("Contents", ())):
                key = item["Key"].removeprefix(self.prefix)
                if key and not key.endswith("/"):
                    yield ObjectInfo(key, item["Size"], item["ETag"], int(item["LastModified"].timestamp() * 1e6))

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is fine."""
        with _explained(self._at(key)):
            self._client.delete_object(Bucket=self.bucket, Key=self._name(key))

    def _put(self, key: str, data: bytes, **condition: Any) -> ObjectInfo:
        with _explained(self._at(key)):
            answer = self._client.put_object(Bucket=self.bucket, Key=self._name(key), Body=data, **condition)
        written = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
        return ObjectInfo(key, len(data), answer["ETag"], int(written.timestamp() * 1e6))

    def _name(self, key: str) -> str:
        return self.prefix + check_key(key)

    def _at(self, key: str) -> str:
        return f"{self.uri}/{key}"


class _ConditionFailed(InfrastructureError):
    """412: the object exists, or is not the version that was expected."""


class _PastTheEnd(InfrastructureError):
    """416: the range begins behind the object's last byte."""


_FAILED = (InfrastructureError, "the store failed; try again")
_REFUSED = (
    SettingsError,
    "the store refuses. Check that the credentials are right, not expired, and allowed to do this, and the clock",
)
_ELSEWHERE = (SettingsError, "the bucket is in another region. Set TOUGE_S3_REGION to it")
_UNABLE = (SettingsError, "the store cannot do this; it must honour conditional writes")

#: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_BY_CODE: Mapping[str, tuple[type[TougeError], str]] = {
    "NoSuchBucket": (SettingsError, "the bucket does not exist. Create it, or correct the address"),
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "IllegalLocationConstraintException": _ELSEWHERE,
    "PermanentRedirect": _ELSEWHERE,
    "BadDigest": _FAILED,
    "IncompleteBody": _FAILED,
    "RequestTimeout": _FAILED,
}
_BY_STATUS: Mapping[int, tuple[type[TougeError], str]] = {
    301: _ELSEWHERE,
    404: (ObjectNotFound, "does not exist"),
    405: _UNABLE,
    408: _FAILED,
    409: (Conflict, "another write was under way; try again"),
    412: (_ConditionFailed, "the condition does not hold"),
    416: (_PastTheEnd, "the range begins behind the end"),
    429: _FAILED,
    501: _UNABLE,
}


class _Body(io.RawIOBase):
    """An answer's body as a file whose errors are ours."""

    def __init__(self, body: StreamingBody, where: str) -> None:
        self._body, self._where = body, where

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _explained(self._where):
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


def _client(settings: StoreSettings) -> S3Client:
    # Our own sha256 is verified by every reader. Servers other than Amazon's may not know the checksums that
    # botocore adds since 1.36 (https://github.com/boto/boto3/issues/4392).
    checksums: Checksums = "when_required" if settings.endpoint else "when_supported"
    config = Config(
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        s3={"addressing_style": "path" if settings.path_style else "auto"},
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
    )
    return boto3.Session().client("s3", endpoint_url=settings.endpoint, region_name=settings.region, config=config)


@contextlib.contextmanager
def _explained(where: str) -> Iterator[None]:
    """Turn boto3's errors into ours."""
    try:
        yield
    except ClientError as error:
        raise _meaning(error, where) from error
    except _CREDENTIALS as error:
        raise SettingsError(
            f"{where}: no usable credentials ({type(error).__name__}). "
            "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this workload a role"
        ) from error
    except _MISSET as error:
        raise SettingsError(f"{where}: no valid address ({error}). Correct it, or TOUGE_S3_REGION") from error
    except SSLError as error:
        raise InfrastructureError(
            f"{where}: no trusted TLS connection. For a private authority set AWS_CA_BUNDLE to its certificate"
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise InfrastructureError(
            f"{where}: the store did not answer ({type(error).__name__}). Check TOUGE_S3_ENDPOINT and the network"
        ) from error


def _meaning(error: ClientError, where: str) -> TougeError:
    """Return what an answer means, by its code where that says more than its HTTP status."""
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500))
    kind, meaning = _BY_CODE.get(code) or _BY_STATUS.get(status) or _in_general(status)
    return kind(f"{where}: {meaning} ({code}, {status})")


def _in_general(status: int) -> tuple[type[TougeError], str]:
    return _REFUSED if 400 <= status < 500 else _FAILED
