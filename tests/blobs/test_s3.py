"""What a store in S3 does beyond what all stores do: nodes beside each other, and servers that fail."""

import contextlib
import hashlib
import itertools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ecrsim.blobs import (
    BlobNotFound,
    DigestMismatch,
    OffsetMismatch,
    StoreUnwritable,
    UploadBusy,
    UploadNotFound,
    s3,
    s3_reading,
    s3_session,
    s3_sink,
    s3_store,
)
from ecrsim.blobs.s3 import Bucket
from ecrsim.blobs.s3_store import S3Store
from tests.blobs.conftest import store_in
from tests.blobs.sources import sha256
from tests.s3_servers import S3Server

MIB = 1024 * 1024
#: Two pieces and a half.
LARGE = os.urandom(1000) * (20 * MIB // 1000)


@pytest.fixture(params=["moto", "versitygw"])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket(server: S3Server) -> str:
    return server.new_bucket()


@pytest.fixture
def node(server: S3Server, bucket: str, request: pytest.FixtureRequest) -> Callable[..., S3Store]:
    """One more node over the bucket, which shares no memory with others."""

    def begin(**access: Any) -> S3Store:
        store = store_in(server, bucket, **access)
        request.addfinalizer(store.close)
        return store

    return begin


def read(store: S3Store, digest: str, first: int = 0, length: int | None = None) -> bytes:
    with store.open(digest, first, length) as blob:
        return blob.read() if length is None else blob.read(length)


# Nodes


@pytest.mark.parametrize("keep", [True, False])
def test_a_layer_of_many_pieces_is_pushed_through_many_nodes(node, server, bucket, keep):
    nodes = [node() for _ in range(3)]
    nodes[0].create_upload("upload")
    cuts = [0, 3 * MIB, 3 * MIB + 7, 12 * MIB, 12 * MIB, len(LARGE)]
    for number, (start, end) in enumerate(itertools.pairwise(cuts)):
        assert nodes[number % 3].append_bytes("upload", LARGE[start:end], offset=start) == end
        assert {each.upload_size("upload") for each in nodes} == {end}
    digest = sha256(LARGE)
    for each in nodes:
        assert each.digest_upload("upload") == (digest, len(LARGE))
    sha512 = f"sha512:{hashlib.sha512(LARGE).hexdigest()}"
    assert nodes[0].digest_upload("upload", "sha512") == (sha512, len(LARGE))
    nodes[1].commit("upload", digest, keep=keep)
    assert [read(each, digest) == LARGE for each in nodes] == [True] * 3
    if keep:
        assert nodes[2].upload_size("upload") == len(LARGE)
        with pytest.raises(OffsetMismatch):
            nodes[2].append_bytes("upload", b"more")
        nodes[2].commit("upload", digest, keep=True)
        assert nodes[0].discard("upload") is True
    assert [key for key in server.keys(bucket) if "/uploads/" in key] == []
    assert [name for name, _, _ in nodes[0].blobs()] == [digest]


def test_no_object_is_visible_before_its_digest_was_checked(node, server, bucket):
    store = node()
    store.create_upload("upload")
    store.append_bytes("upload", LARGE)
    assert [key for key in server.keys(bucket) if "/blobs/" in key] == []
    with pytest.raises(DigestMismatch):
        store.commit("upload", sha256(b"other"))
    assert [key for key in server.keys(bucket) if "/blobs/" in key] == []


def test_of_two_nodes_that_go_on_from_one_state_one_comes_through(node):
    one, other = node(), node()
    one.create_upload("upload")
    first, second = one.receive("upload"), other.receive("upload")
    first.write(b"first")
    second.write(b"second, longer")
    assert second.close() == 14
    with pytest.raises(UploadBusy):
        first.close()
    assert one.upload_size("upload") == other.upload_size("upload") == 14
    assert one.digest_upload("upload") == (sha256(b"second, longer"), 14)


def test_a_long_request_is_busy_for_other_nodes_and_shows_them_what_it_has(node, monkeypatch):
    monkeypatch.setattr(s3_sink, "BEAT", 0.0)
    one, other = node(), node()
    one.create_upload("upload")
    sink = one.receive("upload")
    sink.write(LARGE)
    sink.note()
    for use in (
        lambda: other.append_bytes("upload", b"x"),
        lambda: other.digest_upload("upload"),
        lambda: other.commit("upload", sha256(LARGE)),
        lambda: other.discard("upload"),
        lambda: other.sync("upload"),
    ):
        with pytest.raises(UploadBusy):
            use()
    assert other.upload_size("upload") in (0, 8 * MIB, 16 * MIB)
    assert sink.close() == len(LARGE)
    assert other.digest_upload("upload") == (sha256(LARGE), len(LARGE))


def test_a_request_says_that_it_is_at_work_while_its_body_does_not_come(node, monkeypatch):
    monkeypatch.setattr(s3_sink, "BEAT", 0.5)
    one, other = node(), node()
    one.create_upload("upload")
    with one.receive("upload") as sink:
        sink.write(b"abc")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(UploadNotFound):
                try:
                    other.sync("upload")
                except UploadBusy:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("nobody learnt of the request")
    other.sync("upload")


def test_an_upload_of_a_node_that_was_killed_is_gone_on_with(node, monkeypatch):
    monkeypatch.setattr(s3_sink, "BEAT", 0.0)
    killed, other = node(), node()
    killed.create_upload("upload")
    killed.append_bytes("upload", LARGE[:100])
    sink = killed.receive("upload")
    sink.write(LARGE[100:])
    sink.note()
    # Neither closed nor abandoned: the process is no more. The others wait until it says nothing for a while.
    killed._beat.remove(sink)
    monkeypatch.setattr(s3_session, "LEASE", -1)
    size = other.upload_size("upload")
    assert size is not None
    assert size % s3_session.PIECE in (0, 100)
    assert other.append_bytes("upload", LARGE[size:], offset=size) == len(LARGE)
    other.commit("upload", sha256(LARGE))
    assert read(other, sha256(LARGE)) == LARGE


def test_an_upload_of_a_node_that_was_killed_is_ended_as_it_is(node, monkeypatch):
    monkeypatch.setattr(s3_sink, "BEAT", 0.0)
    killed, other = node(), node()
    killed.create_upload("upload")
    killed.append_bytes("upload", LARGE[:100])
    sink = killed.receive("upload")
    sink.write(LARGE[100:])
    sink.note()
    killed._beat.remove(sink)
    lease = s3_session.LEASE
    monkeypatch.setattr(s3_session, "LEASE", -1)
    digest, size = other.digest_upload("upload")
    assert size >= 100
    monkeypatch.setattr(s3_session, "LEASE", lease)
    # The moment at which the lease ran out, and the commit that begins with it.
    found = other._sessions.find("upload")
    assert found is not None
    monkeypatch.setattr(other._sessions, "get", lambda _: found)
    other.commit("upload", digest, keep=True)
    monkeypatch.undo()
    other.commit("upload", digest, keep=True)
    assert other.discard("upload") is True


@pytest.mark.parametrize("noted", [True, False])
@pytest.mark.parametrize("end", ["close", "write", "abandon"])
def test_a_node_that_was_paused_past_its_lease_does_no_damage(node, monkeypatch, noted, end):
    monkeypatch.setattr(s3_sink, "BEAT", 0.0 if noted else 1000.0)
    paused, other = node(), node()
    paused.create_upload("upload")
    sink = paused.receive("upload")
    sink.write(LARGE)
    paused._beat.remove(sink)
    monkeypatch.setattr(s3_session, "LEASE", -1)
    monkeypatch.setattr(s3_sink, "BEAT", 0.0)
    taken = other.upload_size("upload")
    assert other.append_bytes("upload", LARGE[taken:], offset=taken) == len(LARGE)
    if end == "abandon":
        sink.abandon()
    else:
        with pytest.raises(UploadBusy):
            sink.write(b"more") if end == "write" else sink.close()
    third = node()
    assert third.digest_upload("upload") == (sha256(LARGE), len(LARGE))
    third.commit("upload", sha256(LARGE))
    assert read(third, sha256(LARGE)) == LARGE


def test_a_session_that_is_discarded_elsewhere_takes_no_bytes(node, monkeypatch):
    one, other = node(), node()
    one.create_upload("upload")
    sink = one.receive("upload")
    sink.write(b"abc")
    other.discard("upload")
    with pytest.raises(UploadNotFound):
        sink.close()
    assert list(one.uploads()) == []


def test_an_abandoned_body_of_many_pieces_leaves_none_of_them(node, server, bucket, monkeypatch):
    monkeypatch.setattr(s3_sink, "BEAT", 0.0)
    store = node()
    store.create_upload("upload")
    store.append_bytes("upload", b"held")
    before = server.keys(bucket)
    sink = store.receive("upload")
    sink.write(LARGE)
    sink.abandon()
    assert server.keys(bucket) == before
    assert node().digest_upload("upload") == (sha256(b"held"), 4)


def test_another_node_reads_a_session_while_it_grows_and_goes_on_in_the_blob(node, monkeypatch):
    monkeypatch.setattr(s3_sink, "BEAT", 0.0)
    monkeypatch.setattr(s3_reading, "_GLANCE", 0.0)
    one, other = node(), node()
    one.create_upload("upload")
    reader = other.read_upload("upload", sha256(LARGE))
    assert reader.read(10) == b""
    got = b""
    with one.receive("upload") as sink:
        for start in range(0, len(LARGE), MIB):
            sink.write(LARGE[start : start + MIB])
            got += reader.read(3 * MIB)
    assert len(got) >= 8 * MIB, "it sees pieces before the end"
    one.commit("upload", sha256(LARGE))
    while piece := reader.read(MIB):
        got += piece
    assert got == LARGE
    reader.close()


def test_a_short_piece_that_was_replaced_is_read_on(node, monkeypatch):
    monkeypatch.setattr(s3_reading, "_GLANCE", 0.0)
    one, other = node(), node()
    one.create_upload("upload")
    one.append_bytes("upload", b"abc")
    with other.read_upload("upload") as reader:
        assert reader.read(2) == b"ab"
        one.append_bytes("upload", b"def")
        assert reader.read(10) + reader.read(10) == b"cdef"
        one.discard("upload")
        assert reader.read(10) == b""


def test_64_pushes_of_one_blob_on_two_nodes(node):
    nodes = [node(), node()]
    digest = sha256(LARGE[: 9 * MIB])

    def push(number: int) -> None:
        store = nodes[number % 2]
        store.create_upload(f"upload-{number}")
        store.append_bytes(f"upload-{number}", LARGE[: 9 * MIB] if number % 16 == 0 else b"small")
        found, _ = store.digest_upload(f"upload-{number}")
        store.commit(f"upload-{number}", found)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(push, range(64)))
    assert {name for name, _, _ in nodes[0].blobs()} == {digest, sha256(b"small")}
    assert read(nodes[1], digest) == LARGE[: 9 * MIB]
    assert list(nodes[0].uploads()) == []


# Multipart uploads that nobody completed


def test_an_abandoned_multipart_upload_is_listed_and_ended(node, server, bucket, monkeypatch):
    store = node()
    key = "some/prefix/blobs/sha256/ab/" + "ab" * 32
    server.client.create_multipart_upload(Bucket=bucket, Key=key)
    other = server.client.create_multipart_upload(Bucket=bucket, Key="elsewhere")
    [(name, _, begun_at)] = store.uploads()
    assert name.startswith("multipart-")
    now = store.bucket.now()
    monkeypatch.setattr(store.bucket, "now", lambda: begun_at + 3599)
    with pytest.raises(UploadBusy):
        store.discard(name)
    monkeypatch.setattr(store.bucket, "now", lambda: max(now, begun_at + 3600))
    assert store.discard(name) is True
    assert store.discard(name) is False
    left = server.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    assert [each["UploadId"] for each in left] == [other["UploadId"]], "those of others are left alone"


def test_a_commit_that_fails_leaves_no_multipart_upload(node, server, bucket, monkeypatch):
    store = node()
    store.create_upload("upload")
    store.append_bytes("upload", LARGE)

    def fail(*_: object) -> None:
        raise StoreUnwritable("no more parts")

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "_copied_part", fail)
        with pytest.raises(StoreUnwritable):
            store.commit("upload", sha256(LARGE))
    assert [name for name, _, _ in store.uploads()] == ["upload"]
    assert server.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    node().commit("upload", sha256(LARGE))
    assert read(store, sha256(LARGE)) == LARGE


# Blobs


@pytest.mark.parametrize(("first", "length"), [(0, 1), (5 * MIB, None), (5 * MIB, 100), (len(LARGE) - 1, 1)])
def test_a_part_is_read_alone_and_the_rest_after_it(node, first, length):
    store = node()
    store.put(sha256(LARGE), LARGE)
    with store.open(sha256(LARGE), first, length) as blob:
        assert blob.tell() == first
        part = blob.read(length or 10)
        assert part == LARGE[first : first + (length or 10)]
        assert blob.read(10) == LARGE[first + len(part) : first + len(part) + 10]
        blob.seek(3)
        assert blob.read(4) == LARGE[3:7]
        blob.seek(-4, 2)
        assert blob.read() == LARGE[-4:]


def test_a_size_is_known_for_a_while_without_asking(node, monkeypatch):
    store, other = node(), node()
    digest = sha256(b"layer")
    store.put(digest, b"layer")
    store.put(sha256(b"second"), b"second")
    other.learn([digest, sha256(b"second"), sha256(b"absent"), "none"])
    asked: list[str] = []
    monkeypatch.setattr(other.bucket, "head", lambda key: asked.append(key) or pytest.fail("asked"))
    assert (other.stat(digest), other.stat(sha256(b"second"))) == (5, 6)
    monkeypatch.undo()
    store.delete(digest)
    assert store.stat(digest) is None
    monkeypatch.setattr(s3_store, "_KNOWN_FOR", 0.0)
    late = node()
    late.learn([sha256(b"second")])
    store.delete(sha256(b"second"))
    assert late.stat(sha256(b"second")) is None


def test_a_blob_that_is_gone_is_known_no_more(node):
    store, other = node(), node()
    digest = sha256(b"layer")
    store.put(digest, b"layer")
    other.delete(digest)
    assert store.stat(digest) == 5, "for some seconds"
    with pytest.raises(BlobNotFound):
        store.open(digest)
    assert store.stat(digest) is None


def test_a_damaged_blob_is_set_aside_unless_it_was_replaced(node, server, bucket):
    store = node()
    digest = sha256(b"right")
    key = f"some/prefix/blobs/sha256/{digest[7:9]}/{digest[7:]}"
    server.client.put_object(Bucket=bucket, Key=key, Body=b"wrong")
    with store.open(digest) as blob:
        store.put(digest, b"right")
        assert store.set_aside(digest, blob) is False
    assert read(store, digest) == b"right"
    server.client.put_object(Bucket=bucket, Key=key, Body=b"wrong")
    with store.open(digest) as blob:
        assert store.set_aside(digest, blob) is True
    assert store.stat(digest) is None
    found = server.client.get_object(Bucket=bucket, Key=f"some/prefix/damaged/sha256-{digest[7:]}")
    assert found["Body"].read() == b"wrong"


def test_what_is_longer_than_one_copy_is_copied_in_parts(node, monkeypatch):
    monkeypatch.setattr(s3, "_COPY", 6 * MIB)
    monkeypatch.setattr(s3, "_COPY_PART", 5 * MIB)
    store = node()
    digest = sha256(LARGE)
    store.put(digest, LARGE)
    with store.open(digest) as blob:
        assert store.set_aside(digest, blob) is True
    [found] = store.bucket.objects("damaged/")
    assert store.bucket.get(found.key)[1] == LARGE


def test_other_things_under_the_prefix_are_no_blobs(node, server, bucket):
    store = node()
    for key in ("blobs/sha256/ab/readme", "blobs/sha256/" + "ab" * 32, "uploads/.hidden/x", "else"):
        server.client.put_object(Bucket=bucket, Key=f"some/prefix/{key}", Body=b"x")
    server.client.put_object(Bucket=bucket, Key="some/prefixed", Body=b"x")
    assert (list(store.blobs()), list(store.uploads())) == ([], [])


def test_pieces_of_which_no_session_is_left_are_garbage(node, server, bucket):
    store = node()
    server.client.put_object(Bucket=bucket, Key="some/prefix/uploads/lost/abc-0", Body=b"xyz")
    assert [(name, size) for name, size, _ in store.uploads()] == [("lost", 3)]
    assert store.upload_size("lost") is None
    store.discard("lost")
    assert list(store.uploads()) == []


def test_open_answers_are_bounded_and_taken_up_where_they_were(node, monkeypatch):
    store = node()
    store._answers = s3_reading.OpenAnswers(2)
    store.put(sha256(LARGE), LARGE)
    files = [store.open(sha256(LARGE)) for _ in range(5)]
    got = [b""] * 5
    for _ in range(3):
        for number, file in enumerate(files):
            got[number] += file.read(MIB)
            assert len(store._answers) <= 2
    assert got == [LARGE[: 3 * MIB]] * 5
    for file in files:
        file.close()
    assert len(store._answers) == 0


def test_a_presigned_url_gives_ranges_and_ends(node, server):
    import urllib3

    store = node()
    store.put(sha256(b"the layer"), b"the layer")
    http = urllib3.PoolManager()
    url = store.url(sha256(b"the layer"), 60)
    assert http.request("GET", url).data == b"the layer"
    part = http.request("GET", url, headers={"Range": "bytes=4-7"})
    assert (part.status, part.data) == (206, b"laye")
    other = node(public_url="http://s3.example:9000").url(sha256(b"the layer"), 60)
    assert other.startswith("http://s3.example:9000/")


def test_a_presigned_url_ends(versitygw):
    import urllib3

    store = store_in(versitygw, versitygw.new_bucket())
    store.put(sha256(b"the layer"), b"the layer")
    url = store.url(sha256(b"the layer"), 1)
    time.sleep(2.1)
    assert urllib3.PoolManager().request("GET", url).status == 403
