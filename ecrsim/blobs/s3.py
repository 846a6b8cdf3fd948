"""One bucket, as little of S3 as a blob store needs: the only place that knows boto3.

Every call may wait for the network, and says so first (`may_wait`). What S3 refuses or does not answer is
StoreUnwritable, after boto3 has tried again: 503 to a client, who may come again. Two answers are no failures and have
exceptions of their own: `Missing`, and `Overtaken` where a conditional write came too late.
"""

from __future__ import annotations

import contextlib
import functools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from ecrsim.blobs.base import BlobStoreError, StoreUnwritable

#: `s3://bucket`, `s3://bucket/some/prefix`.
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9!_.*'()/-]*))?")
#: Seconds that a connection may take, and each wait for bytes of an answer.
_CONNECT, _READ = 3, 15
#: How often a request is sent before it has failed; the pauses between are boto3's, a second or two.
_ATTEMPTS = 4
#: Threads of a process that bring pieces to S3 and let S3 copy, whatever the number of uploads.
PARALLEL = 16
#: Connections to S3 that are kept. More are opened where more is asked at once, and closed afterwards.
_CONNECTIONS = 64
#: The most bytes that S3 copies in one request; and of a part beyond.
_COPY, _COPY_PART = 5 * 1024**3, 512 * 1024**2
_TYPE = "application/octet-stream"


class Missing(BlobStoreError):
    """There is no such object."""


class Overtaken(BlobStoreError):
    """A conditional write found another version of the object than it named."""


class S3Access(NamedTuple):
    """How a bucket is reached. Either keys or the `profile` of a configuration of AWS's; nothing else is looked for.

    `endpoint_url`: of a server that is not AWS's. `public_url`: what presigned URLs begin with, where clients know the
    server by another name.
    """

    access_key_id: str = ""
    secret_access_key: str = ""
    session_token: str = ""
    profile: str = ""
    region: str = ""
    endpoint_url: str = ""
    public_url: str = ""
    ca_bundle: str = ""
    #: ServerSideEncryption and SSEKMSKeyId of what is written; empty: what the bucket does by itself.
    sse: str = ""
    kms_key: str = ""


class Stored(NamedTuple):
    """An object: `modified_at` and `asked_at`, the moment of the answer, in epoch seconds of S3's own clock."""

    key: str
    size: int
    modified_at: float
    etag: str = ""
    asked_at: float = 0


def parse_url(url: str) -> tuple[str, str] | None:
    """(bucket, prefix) of `s3://bucket/prefix`; None of what is none. The prefix is empty or ends with a slash."""
    match = _URL.fullmatch(url)
    if match is None or "//" in url.removeprefix("s3://"):
        return None
    prefix = (match[2] or "").rstrip("/")
    return match[1], f"{prefix}/" if prefix else ""


class Bucket:
    """The objects below one prefix. Keys are relative to it. Safe for threads."""

    def __init__(self, url: str, access: S3Access, may_wait: Callable[[], None] = lambda: None) -> None:
        parts = parse_url(url)
        if parts is None:
            raise ValueError(f"not s3://bucket/prefix: {url!r}")
        self.bucket, self.prefix = parts
        self.url = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        self._access, self.may_wait = access, may_wait
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._sse = {}
        if access.sse:
            self._sse["ServerSideEncryption"] = access.sse
        if access.kms_key:
            self._sse["SSEKMSKeyId"] = access.kms_key

    # One object

    def head(self, key: str) -> Stored:
        """Missing."""
        with self._asking(f"look at {key}"):
            return _stored(key, self._client().head_object(**self._named(key)))

    def get(self, key: str) -> tuple[Stored, bytes]:
        """The object and all its bytes. Missing."""
        with self._asking(f"read {key}"):
            answer = self._client().get_object(**self._named(key))
            with contextlib.closing(answer["Body"]) as body:
                return _stored(key, answer), body.read()

    def stream(self, key: str, first: int = 0, length: int | None = None) -> tuple[Stored, Any]:
        """The object and its bytes from `first` on, to be read and closed. Missing. Its size is that of all of it."""
        extra = {} if not first and length is None else {"Range": f"bytes={first}-{_last(first, length)}"}
        with self._asking(f"read {key}"):
            answer = self._client().get_object(**self._named(key), **extra)
        return _stored(key, answer), answer["Body"]

    def put(self, key: str, data: bytes, *, only_new: bool = False, only_etag: str = "") -> str:
        """Store bytes at once and as a whole; the ETag. Overtaken where there is one already, or another version.

        Missing where there should be a version and is none.
        """
        extra = {"IfNoneMatch": "*"} if only_new else {"IfMatch": only_etag} if only_etag else {}
        with self._asking(f"write {key}"):
            answer = self._client().put_object(**self._named(key), Body=data, ContentType=_TYPE, **extra, **self._sse)
            return str(answer["ETag"])

    def delete(self, *keys: str) -> None:
        """Remove objects; those that are not there do no harm."""
        for start in range(0, len(keys), 1000):
            some = [{"Key": self.prefix + key} for key in keys[start : start + 1000]]
            with self._asking("delete objects"):
                request = {"Objects": some, "Quiet": True}
                answer = self._client().delete_objects(Bucket=self.bucket, Delete=request)
                for error in answer.get("Errors", []):
                    raise StoreUnwritable(f"{self.url}: S3 does not delete {error.get('Key')}: {error.get('Message')}")

    def copy(self, source: Stored, key: str) -> None:
        """Copy an object within S3."""
        if source.size > _COPY:
            self._copy_in_parts(source, key)
            return
        with self._asking(f"copy {source.key}"):
            self._client().copy_object(**self._named(key), CopySource=self._named(source.key), **self._sse)

    def renew(self, stored: Stored) -> None:
        """Give an object the current time."""
        if stored.size:
            # Not a copy onto itself, which may leave the time as it is.
            self._copy_in_parts(stored, stored.key)
        else:
            self.put(stored.key, b"")

    def _copy_in_parts(self, source: Stored, key: str) -> None:
        starts = range(0, source.size, _COPY_PART)
        self.join([(source.key, start, min(_COPY_PART, source.size - start)) for start in starts], key)

    # Many

    def objects(self, prefix: str) -> Iterator[Stored]:
        """All below a prefix, in the order of their keys."""
        more: dict[str, str] = {}
        while True:
            with self._asking("list objects"):
                place = {"Bucket": self.bucket, "Prefix": self.prefix + prefix}
                answer = self._client().list_objects_v2(**place, **more)
            for found in answer.get("Contents", []):
                moment = float(int(found["LastModified"].timestamp()))
                yield Stored(found["Key"].removeprefix(self.prefix), found["Size"], moment, found.get("ETag", ""))
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def join(self, spans: Sequence[tuple[str, int, int]], key: str) -> None:
        """Make one object of parts of others, (key, first byte, length), within S3. It is there as a whole at the end.

        All but the last are at least 5 MiB. A process that dies meanwhile leaves a multipart upload (`unfinished`).
        """
        with self._asking(f"write {key}"):
            begun = self._client().create_multipart_upload(**self._named(key), ContentType=_TYPE, **self._sse)
        upload = {**self._named(key), "UploadId": begun["UploadId"]}
        try:
            numbered = list(enumerate(spans, 1))
            parts = list(self.pool().map(lambda each: self._copied_part(upload, *each), numbered))
            with self._asking(f"write {key}"):
                self._client().complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            with contextlib.suppress(BlobStoreError):
                self.abort(key, begun["UploadId"])
            raise

    def _copied_part(self, upload: dict[str, str], number: int, span: tuple[str, int, int]) -> dict[str, Any]:
        key, first, length = span
        with self._asking(f"copy {key}"):
            answer = self._client().upload_part_copy(
                **upload,
                PartNumber=number,
                CopySource=self._named(key),
                CopySourceRange=f"bytes={first}-{_last(first, length)}",
            )
            return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    def unfinished(self) -> Iterator[tuple[str, str, float]]:
        """(key, S3's upload id, begun at) of the multipart uploads below the prefix that nobody has completed."""
        more: dict[str, str] = {}
        while True:
            with self._asking("list multipart uploads"):
                answer = self._client().list_multipart_uploads(Bucket=self.bucket, Prefix=self.prefix, **more)
            for found in answer.get("Uploads", []):
                yield found["Key"].removeprefix(self.prefix), found["UploadId"], found["Initiated"].timestamp()
            if not answer.get("IsTruncated"):
                return
            more = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}

    def now(self) -> float:
        """The time by S3's clock, in epoch seconds, to a second."""
        with self._asking("ask for the bucket"):
            return _asked_at(self._client().head_bucket(Bucket=self.bucket))

    def abort(self, key: str, upload_id: str) -> None:
        """End a multipart upload that nobody will complete."""
        with contextlib.suppress(Missing), self._asking(f"abort an upload of {key}"):
            self._client().abort_multipart_upload(**self._named(key), UploadId=upload_id)

    # URLs, clients, threads

    def presigned(self, key: str, seconds: int) -> str:
        """A URL that S3 answers without credentials for so long, by its own clock: a week at the most."""
        where = self._access.public_url or self._access.endpoint_url
        url: str = self._client(where).generate_presigned_url(
            "get_object", Params=self._named(key), ExpiresIn=max(1, min(seconds, 7 * 24 * 3600))
        )
        return url

    def pool(self) -> ThreadPoolExecutor:
        """The threads that wait for S3 beside those who asked."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(PARALLEL, "s3")
            return self._pool

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + key}

    def _client(self, where: str | None = None) -> Any:
        where = self._access.endpoint_url if where is None else where
        client = self._clients.get(where)
        if client is None:
            with self._lock:
                client = self._clients[where] = _make_client(self._access, where)
        return client

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Around a request: its failures in the words of blob stores."""
        self.may_wait()
        # boto3 costs 100 ms and 19 MB, which who has a directory does without.
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ClientError as error:
            said, status = error.response.get("Error", {}), _status(error)
            code = str(said.get("Code", ""))
            if status == 404 and code != "NoSuchBucket":
                raise Missing(f"{self.url}: cannot {what}: {code}") from None
            if status == 412 or code == "ConditionalRequestConflict":
                raise Overtaken(f"{self.url}: cannot {what}: {code}") from None
            reason = said.get("Message") or "no reason was given"
            raise StoreUnwritable(f"{self.url}: cannot {what}: {code or status}: {reason}") from error
        except (BotoCoreError, HTTPError, OSError) as error:
            # Of what breaks in the middle of a body, botocore translates a part.
            raise StoreUnwritable(f"{self.url}: cannot {what}: {error}") from error


def interrupted() -> tuple[type[BaseException], ...]:
    """What reading the bytes of an answer may fail with, when the connection does."""
    # boto3 costs 100 ms and 19 MB, which who has a directory does without.
    from botocore.exceptions import BotoCoreError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, HTTPError, OSError


@functools.lru_cache(maxsize=8)
def _make_client(access: S3Access, where: str) -> Any:
    # boto3 costs 100 ms and 19 MB, which who has a directory does without.
    import boto3
    import botocore.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    settings: dict[str, Any] = {
        "connect_timeout": _CONNECT,
        "read_timeout": _READ,
        "retries": {"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        "max_pool_connections": _CONNECTIONS,
        "tcp_keepalive": True,
        "signature_version": "s3v4",
        # A puller compares the digest; to sum up each pull beside would be for nothing.
        "response_checksum_validation": "when_required",
        # AWS_ENDPOINT_URL and its like lead to what is tested, ecrsim itself perhaps.
        "ignore_configured_endpoint_urls": True,
    }
    if where:
        # No name of such a server is that of a bucket, and no proxy is on the way to it.
        settings |= {"s3": {"addressing_style": "path"}, "proxies": {}}
    try:
        # Named keys and a named profile keep boto3 from looking at AWS_ACCESS_KEY_ID and its like; and without its
        # variable, from AWS_PROFILE.
        core = botocore.session.Session(session_vars={"profile": (None, [], None, None)})
        session = boto3.Session(
            aws_access_key_id=access.access_key_id or None,
            aws_secret_access_key=access.secret_access_key or None,
            aws_session_token=access.session_token or None,
            profile_name=access.profile or None,
            botocore_session=core,
        )
        region = access.region or (core.get_scoped_config().get("region") if access.profile else None)
        return session.client(
            "s3",
            region_name=region or "us-east-1",
            endpoint_url=where or None,
            # Never AWS_CA_BUNDLE, which is the certificate of what is tested.
            verify=access.ca_bundle or True,
            config=Config(**settings),
        )
    except (BotoCoreError, ValueError) as error:
        raise StoreUnwritable(f"S3 cannot be asked: {error}") from error


def _stored(key: str, answer: dict[str, Any]) -> Stored:
    total = answer.get("ContentRange", "").rpartition("/")[2]
    size = int(total) if total.isdigit() else answer["ContentLength"]
    return Stored(key, size, float(int(answer["LastModified"].timestamp())), answer.get("ETag", ""), _asked_at(answer))


def _asked_at(answer: dict[str, Any]) -> float:
    """The moment of an answer; 0 where it does not say."""
    with contextlib.suppress(KeyError, ValueError):
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    return 0.0


def _last(first: int, length: int | None) -> str:
    return "" if length is None else str(first + length - 1)


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
