"""A store in S3 whose server fails, is slow to answer, or drops connections."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from urllib3.exceptions import SSLError
from urllib3.response import HTTPResponse

from ecrsim.blobs import (
    StoreUnwritable,
    UploadBusy,
)
from ecrsim.blobs.s3 import Bucket
from ecrsim.blobs.s3_store import S3Store
from tests.blobs.conftest import store_in
from tests.blobs.sources import sha256

MIB = 1024 * 1024
#: Two pieces and a half.
LARGE = os.urandom(1000) * (20 * MIB // 1000)


def read(store: S3Store, digest: str) -> bytes:
    with store.open(digest) as blob:
        return blob.read()


def test_a_bucket_that_is_not_there_is_said(moto):
    with pytest.raises(StoreUnwritable, match="NoSuchBucket"):
        store_in(moto, "no-such-bucket").check()


class _Relay(ThreadingHTTPServer):
    """A server between store and S3 that fails as `fault(method, path, number of the request)` says."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Relayed)
        self.target = url
        self.fault: Callable[[str, str, int], str] = lambda *_: ""
        self.count = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Relayed(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Relay

    def _relay(self) -> None:
        import urllib3

        with self.server.lock:
            self.server.count += 1
            number = self.server.count
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault(self.command, self.path, number)
        if fault == "503":
            text = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
            self.send_response(503)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else text)
            return
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        http = urllib3.PoolManager(retries=False)
        answer = http.request(self.command, self.server.target + self.path, body=body, headers=headers)
        if fault == "lost":
            # S3 has done it, and nobody hears so.
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "server", "date", "content-length"):
                self.send_header(name, value)
        size = answer.headers["Content-Length"] if self.command == "HEAD" else str(len(answer.data))
        self.send_header("Content-Length", size)
        self.end_headers()
        data = answer.data
        if fault == "cut":
            data = data[: len(data) // 2]
            self.close_connection = True
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _relay  # noqa: N815 - names of http.server's

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def relay(versitygw) -> Iterator[_Relay]:
    """Between a store and versitygw, whose signatures are of another host: it is told which one clients mean."""
    server = _Relay(versitygw.url)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def shaky(relay, versitygw, monkeypatch) -> Iterator[S3Store]:
    """A store that reaches S3 by the relay, and does not wait long between its attempts."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    store = store_in(versitygw, versitygw.new_bucket(), endpoint_url=relay.url)
    yield store
    store.close()


def push(store: S3Store, upload_id: str, data: bytes) -> str:
    store.create_upload(upload_id)
    store.append_bytes(upload_id, data)
    digest, _ = store.digest_upload(upload_id)
    store.sync(upload_id)
    store.commit(upload_id, digest, keep=True)
    store.discard(upload_id)
    return digest


@pytest.mark.parametrize("fault", ["503", "drop", "lost"])
@pytest.mark.parametrize("every", [2, 3])
def test_what_fails_now_and_then_is_tried_again(relay, shaky, fault, every):
    relay.fault = lambda _method, _path, number: fault if number % every == 0 else ""
    for number, data in enumerate((b"", b"small", LARGE)):
        digest = push(shaky, f"upload-{number}", data)
        assert read(shaky, digest) == data
    relay.fault = lambda *_: ""
    # One that S3 began unheard is ended by a collection.
    assert [name for name, _, _ in shaky.uploads() if not name.startswith("multipart-")] == []
    assert len(list(shaky.blobs())) == 3


def test_a_pull_goes_on_where_a_connection_broke(relay, shaky):
    shaky.put(sha256(LARGE), LARGE)
    relay.fault = lambda method, _, number: "cut" if method == "GET" and number % 2 else ""
    with shaky.open(sha256(LARGE)) as blob:
        got = b""
        while piece := blob.read(512 * 1024):
            got += piece
    assert got == LARGE


@pytest.mark.parametrize("fault", ["503", "drop"])
def test_a_server_that_does_not_answer_is_an_unwritable_store(relay, shaky, fault):
    shaky.create_upload("upload")
    shaky.append_bytes("upload", b"held")
    shaky.put(sha256(b"layer"), b"layer")
    blob = shaky.open(sha256(b"layer"))
    sink = shaky.receive("upload", 4)
    relay.fault = lambda *_: fault
    for use in (
        lambda: shaky.create_upload("other"),
        lambda: shaky.append_bytes("none", b"x"),
        lambda: shaky.digest_upload("none"),
        lambda: shaky.open(sha256(b"layer")),
        lambda: shaky.stat(sha256(b"unknown")),
        lambda: shaky.put(sha256(b"other"), b"other"),
        lambda: shaky.discard("none"),
        lambda: list(shaky.blobs()),
        lambda: list(shaky.uploads()),
        lambda: (blob.seek(1), blob.read(1)),
        shaky.check,
    ):
        with pytest.raises(StoreUnwritable):
            use()
    with pytest.raises(StoreUnwritable):
        (sink.write(LARGE), sink.close())
    relay.fault = lambda *_: ""
    assert shaky.digest_upload("upload") == (sha256(b"held"), 4)
    shaky.append_bytes("upload", b" and more", offset=4)
    shaky.commit("upload", sha256(b"held and more"))


def test_a_write_that_was_done_unheard_is_not_done_away_with(relay, shaky, monkeypatch):
    """Every answer to the last write of a body is lost: its client does not know, and the session is one of the two."""
    shaky.create_upload("upload")
    shaky.append_bytes("upload", b"held")
    sink = shaky.receive("upload")
    sink.write(LARGE)
    relay.fault = lambda method, path, _: "lost" if method == "PUT" and path.endswith("/session") else ""
    with pytest.raises((StoreUnwritable, UploadBusy)):
        sink.close()
    relay.fault = lambda *_: ""
    size = shaky.upload_size("upload")
    digest, _ = shaky.digest_upload("upload")
    assert (size, digest) in {(4, sha256(b"held")), (4 + len(LARGE), sha256(b"held" + LARGE))}
    shaky.commit("upload", digest)
    assert len(read(shaky, digest)) == size


def test_a_server_without_conditional_writes_is_refused(moto, monkeypatch):
    store = store_in(moto, moto.new_bucket())
    put = store.bucket.put
    monkeypatch.setattr(store.bucket, "put", lambda key, data, **_: put(key, data))
    with pytest.raises(StoreUnwritable, match="If-None-Match"):
        store.check()


def test_tls_that_breaks_in_the_middle_of_a_body_is_an_unwritable_store(moto, monkeypatch):
    """botocore translates two of urllib3's errors, and passes on this one."""

    def broken(*_: object, **__: object) -> bytes:
        raise SSLError("DECRYPTION_FAILED_OR_BAD_RECORD_MAC")

    store = store_in(moto, moto.new_bucket())
    store.create_upload("upload")
    monkeypatch.setattr(HTTPResponse, "read", broken)
    with pytest.raises(StoreUnwritable, match="BAD_RECORD_MAC"):
        store.bucket.get("uploads/upload/session")


def test_nothing_is_asked_in_a_thread_that_may_not_wait(moto):
    class MayNot(BaseException):
        pass

    def refuse() -> None:
        raise MayNot

    store = S3Store(Bucket("s3://bucket", moto.access, refuse), lambda: "token")
    for use in (
        lambda: store.stat(sha256(b"x")),
        lambda: store.learn([sha256(b"x"), sha256(b"y")]),
        lambda: store.open(sha256(b"x")),
        lambda: store.upload_size("upload"),
        lambda: store.read_upload("upload"),
    ):
        with pytest.raises(MayNot):
            use()
