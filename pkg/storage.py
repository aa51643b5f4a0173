"""Object storage (S3: MinIO, SeaweedFS or another), the one place that knows its client.

An object is transferred in one request with a pre-signed URL: a PUT stores the whole object or nothing, so that a crash
leaves no parts behind, and it streams from the file, so that memory does not grow with it. Every call has a deadline. When
a transfer is given up or cancelled, its connection is cut: it does not go on after its caller has gone.
"""

import asyncio
import http.client
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Self, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import S3Error

from pkg.dependency_calls import Dependency
from pkg.errors import DependencyRefused, DependencyUnavailable
from pkg.settings import Port, Seconds, Secret, Section
from pkg.tls import TlsSettings, is_refused_certificate
from pkg.tracing import Kind, child
from pkg.uploads import transfer_time_s

# An object never changes under its key, so that phones and CDNs may keep what they have.
PUBLIC_CACHE_CONTROL = "public, max-age=31536000, immutable"
BLOCK_BYTES = 256 * 1024
THREADS = 8
MAX_ERROR_BYTES = 4096
LINK_LIFETIME = timedelta(hours=1)
# Statuses below 500 that a retry may cure: time-outs, conflicts, locks, too many requests.
PASSING = frozenset({408, 409, 423, 425, 429})
# Refusals of a clock that is wrong, ours or the server's: they end when it is set.
CLOCK_CODES = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
STORAGE = Dependency("storage")
TRACED = {"rpc.system.name": "aws-api", "rpc.service": "S3"}

T = TypeVar("T")


class StorageSettings(Section):
    """The section `storage`: an S3-compatible server."""

    host: str
    """Where the S3 server listens."""
    port: Port
    """Its port."""
    tls: TlsSettings | None = None
    access_key: Secret
    """The name of the S3 account."""
    secret_key: Secret
    """The secret of the S3 account."""
    region: str
    """Given, so that signing a URL never asks the server for it."""
    timeout_s: Seconds
    """The deadline of a call, and of a pause in a transfer, which gets time for its size on top (2 MB a second)."""


@dataclass(frozen=True)
class Bucket:
    """A bucket, and whether anyone may read single objects of it by their keys."""

    name: str
    is_public: bool


class ObjectMissing(Exception):
    """No object has this key."""


def object_path(bucket: Bucket, key: str) -> str:
    """Return the form in which rows and replies carry an object: `bucket/key`."""
    return f"{bucket.name}/{key}"


def random_key(suffix: str = "") -> str:
    """Return a key that nobody can guess: 160 random bits in hex and an ending such as ".mp4"."""
    return secrets.token_hex(20) + suffix


class Storage:
    """Objects in buckets.

    Every call raises DependencyUnavailable when storage does not answer in time or has a problem. It is then unknown whether a
    write was carried out: a server that was frozen may still do it later. Where no retry helps (a wrong key, missing rights, no such
    bucket) that is DependencyRefused.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self._timeout_s = settings.timeout_s
        self._tls = settings.tls
        # Two tries of half the time each: a server's restart costs a connection, not the call.
        self._pool = urllib3.PoolManager(
            ssl_context=settings.tls.make_context() if settings.tls else None,
            maxsize=THREADS,
            timeout=urllib3.Timeout(total=settings.timeout_s / 2),
            retries=urllib3.Retry(total=1, redirect=0),
        )
        self._minio = Minio(
            f"{settings.host}:{settings.port}",
            access_key=settings.access_key.get_secret_value(),
            secret_key=settings.secret_key.get_secret_value(),
            secure=settings.tls is not None,
            region=settings.region,  # without it, signing asks the server
            http_client=self._pool,
        )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="storage")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._pool.clear()

    async def ensure_buckets(self, buckets: Iterable[Bucket]) -> None:
        """Make the buckets that are missing, and let anyone read single objects of the public ones."""
        for bucket in buckets:
            await self._ask_minio(self._ensure_bucket, bucket)

    async def ping(self, bucket: Bucket) -> None:
        """Check that the server answers, and has a bucket."""
        await self._require_bucket(bucket)

    async def put_file(self, bucket: Bucket, key: str, path: Path, content_type: str) -> None:
        """Store a file as one object, wholly or not at all."""
        with path.open("rb") as body:
            size = os.fstat(body.fileno()).st_size
            headers = {"Content-Type": content_type, "Content-Length": str(size)}
            if bucket.is_public:
                headers["Cache-Control"] = PUBLIC_CACHE_CONTROL
            request = replace(self._request("PUT", bucket, key), body=body, headers=headers)
            await self._transfer(request, size=size)

    async def get_file(self, bucket: Bucket, key: str, path: Path) -> None:
        """Write an object to a file; on an error a part of it may be there.

        Raises:
            ObjectMissing: there is no such object.
        """
        size = await self.find_size(bucket, key)
        if size is None:
            raise ObjectMissing(object_path(bucket, key))
        with path.open("wb") as sink:
            request = replace(self._request("GET", bucket, key), sink=sink)
            await self._transfer(request, size=size)

    async def find_size(self, bucket: Bucket, key: str) -> int | None:
        """Return an object's size in bytes, or None where there is no such object."""
        try:
            return await self._transfer(self._request("HEAD", bucket, key))
        except ObjectMissing:
            await self._require_bucket(bucket)
            return None

    async def exists(self, bucket: Bucket, key: str) -> bool:
        """Tell whether there is such an object."""
        return await self.find_size(bucket, key) is not None

    async def delete(self, bucket: Bucket, key: str) -> None:
        """Remove an object; one that is missing is fine."""
        with suppress(ObjectMissing):
            await self._transfer(self._request("DELETE", bucket, key))

    async def _require_bucket(self, bucket: Bucket) -> None:
        """Raise DependencyRefused where the bucket itself is missing: that says nothing about single objects."""
        if not await self._ask_minio(self._minio.bucket_exists, bucket.name):
            raise DependencyRefused(detail=f"storage: no bucket {bucket.name}")

    async def _ask_minio(self, question: Callable[..., T], *args: object) -> T:
        loop = asyncio.get_running_loop()
        operation = question.__name__.strip("_")
        with STORAGE.call(operation), child(f"s3 {operation}", Kind.CLIENT, TRACED):
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await loop.run_in_executor(self._threads, question, *args)
            except Exception as exc:
                # minio raises errors of the XML parser and of http.client as well, where a server answers with rubbish.
                raise _describe_failure(exc, question.__name__) from exc

    def _request(self, method: str, bucket: Bucket, key: str) -> "_Request":
        url = self._minio.get_presigned_url(method, bucket.name, key, expires=LINK_LIFETIME)
        return _Request(method, url, timeout_s=self._timeout_s, tls=self._tls)

    async def _transfer(self, request: "_Request", *, size: int = 0) -> int:
        """Carry out a request for an object of this size; return the length that the reply declares."""
        with (
            STORAGE.call(request.method),
            child(f"s3 {request.method}", Kind.CLIENT, TRACED) as span,
        ):
            span.set("dousheng.bytes", size)
            return await self._run(request, size=size)

    async def _run(self, request: "_Request", *, size: int) -> int:
        running = asyncio.get_running_loop().run_in_executor(self._threads, request.run)
        try:
            async with asyncio.timeout(self._timeout_s + transfer_time_s(size)):
                return await asyncio.shield(running)
        except ObjectMissing:
            raise
        except Exception as exc:
            raise _describe_failure(exc, request.method) from exc
        finally:
            await _settle(request, running)

    def _ensure_bucket(self, bucket: Bucket) -> None:
        if not self._minio.bucket_exists(bucket.name):
            try:
                self._minio.make_bucket(bucket.name)
            except S3Error:
                # Another instance may have made it first; each server has its own error code for that.
                if not self._minio.bucket_exists(bucket.name):
                    raise
        if bucket.is_public:
            self._minio.set_bucket_policy(bucket.name, _public_read_policy(bucket))


@dataclass
class _Request:
    """One request on a connection of its own, which another thread may cut."""

    method: str
    url: str
    timeout_s: float
    tls: TlsSettings | None
    headers: dict[str, str] = field(default_factory=dict)
    body: BinaryIO | None = None
    sink: BinaryIO | None = None  # gets the object
    _is_cut: bool = field(default=False, init=False)
    _connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self._connection = _connect_to(self.url, self.tls, timeout_s=self.timeout_s / 2)

    def run(self) -> int:
        """Do the request and return the length that the reply declares; blocks."""
        try:
            self._connection.connect()
            # The connection is set before the mark is read; cut() does it the other way round.
            if self._is_cut:
                raise ConnectionAbortedError("the caller has gone")
            self._connection.sock.settimeout(self.timeout_s)
            parts = urlsplit(self.url)
            target = f"{parts.path}?{parts.query}"
            self._connection.request(self.method, target, body=self.body, headers=self.headers)
            # A reply that is not read to its end holds the socket.
            with self._connection.getresponse() as reply:
                return self._receive(reply)
        finally:
            self._connection.close()

    def cut(self) -> None:
        """Make run() end soon, from another thread."""
        self._is_cut = True
        sock: socket.socket | None = self._connection.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _receive(self, reply: http.client.HTTPResponse) -> int:
        if reply.status == http.HTTPStatus.NOT_FOUND and self.method != "PUT":
            raise ObjectMissing(urlsplit(self.url).path.lstrip("/"))
        if not 200 <= reply.status < 300:
            raise _Refused(reply.status, _find_code(reply.read(MAX_ERROR_BYTES)))
        length = int(reply.headers.get("Content-Length", 0))
        if self.sink is not None:
            shutil.copyfileobj(reply, self.sink, BLOCK_BYTES)
            self.sink.flush()
            if self.sink.tell() != length:
                raise http.client.IncompleteRead(b"", length - self.sink.tell())
        return length


class _Refused(Exception):
    """A reply with another status than success."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


def _find_code(body: bytes) -> str:
    """Return S3's error code in a reply; the rest may name keys and signatures."""
    found = re.search(rb"<Code>([A-Za-z]+)</Code>", body)
    return found[1].decode("ascii") if found else ""


def _describe_failure(exc: Exception, what: str) -> DependencyUnavailable:
    """Return what an exception of a client means to callers."""
    if isinstance(exc, S3Error):
        exc = _Refused(exc.response.status, str(exc.code))
    if isinstance(exc, _Refused):
        failure = DependencyRefused if _is_final(exc) else DependencyUnavailable
        return failure(detail=f"storage: {what} failed: {exc}")
    failure = DependencyRefused if is_refused_certificate(exc) else DependencyUnavailable
    return failure(detail=f"storage: {what} failed: {type(exc).__name__} {exc}")


def _is_final(refusal: _Refused) -> bool:
    """Tell whether the same request would be refused again: a redirect (a wrong region or endpoint), and most of 4xx."""
    if refusal.status in PASSING or refusal.code in CLOCK_CODES:
        return False
    return refusal.status == 501 or 300 <= refusal.status < 500


def _connect_to(
    url: str, tls: TlsSettings | None, *, timeout_s: float
) -> http.client.HTTPConnection:
    """Return a connection that is not open yet."""
    netloc = urlsplit(url).netloc
    if tls is None:
        return http.client.HTTPConnection(netloc, timeout=timeout_s, blocksize=BLOCK_BYTES)
    return http.client.HTTPSConnection(
        netloc, timeout=timeout_s, blocksize=BLOCK_BYTES, context=tls.make_context()
    )


async def _settle(request: _Request, running: asyncio.Future[int]) -> None:
    """Cut a request that nobody waits for any more, and see its thread end."""
    if running.done():
        return
    request.cut()
    # A thread that is still resolving a host name cannot be interrupted; it will see the mark.
    await asyncio.wait([running], timeout=1)
    running.cancel()
    if running.done() and not running.cancelled():
        running.exception()  # expected, but asyncio reports an exception that nobody has read


def _public_read_policy(bucket: Bucket) -> str:
    """Return the S3 policy under which anyone reads an object whose key they know, and lists nothing."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": ["*"]},
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket.name}/*"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
