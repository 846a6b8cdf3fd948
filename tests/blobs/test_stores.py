"""What every store does, whichever holds the bytes."""

import contextlib
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ecrsim.blobs import (
    BlobNotFound,
    BlobStore,
    DigestMismatch,
    OffsetMismatch,
    ShortBody,
    TooLarge,
    UploadBusy,
    UploadNotFound,
)
from tests.blobs.conftest import Subject
from tests.blobs.sources import Body, sha256

HELLO = b"hello, layer"
LARGE = bytes(range(256)) * 8192  # 2 MiB: several chunks, hashed on a second thread

NOT_DIGESTS = {
    "empty": "",
    "no algorithm": "a" * 64,
    "an unknown algorithm": "md5:" + "a" * 32,
    "short": "sha256:" + "a" * 63,
    "long": "sha256:" + "a" * 65,
    "the length of another algorithm": "sha512:" + "a" * 64,
    "upper case": "sha256:" + "A" * 64,
    "a line end after it": "sha256:" + "a" * 64 + "\n",
    "a path": "sha256:../../../../../../../etc/passwd",
    "a path as the algorithm": "../uploads:" + "a" * 64,
}

NOT_UPLOAD_IDS = {
    "empty": "",
    "a path upwards": "..",
    "a path": "../blobs",
    "an absolute path": "/etc/passwd",
    "hidden": ".put",
    "a line end after it": "upload\n",
    "too long for a file name": "u" * 300,
    "a zero byte": "up\0load",
}


def blob_of(store: BlobStore, digest: str) -> bytes:
    with store.open(digest) as blob:
        return blob.read()


def upload(store: BlobStore, upload_id: str, data: bytes) -> str:
    store.create_upload(upload_id)
    store.append(upload_id, Body(data))
    return store.digest_upload(upload_id)[0]


# Blobs


@pytest.mark.parametrize("data", [b"", HELLO, LARGE], ids=["empty", "small", "large"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_put_stores_bytes_under_their_digest(store: BlobStore, algorithm: str, data: bytes) -> None:
    digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    store.put(digest, data)
    assert store.stat(digest) == len(data)
    assert blob_of(store, digest) == data
    assert list(store.blobs()) == [(digest, len(data), store.modified_at(digest))]
    assert list(store.uploads()) == []


def age(subject: Subject) -> list[float]:
    """Let an hour pass; the modification times of the blobs then."""
    subject.age()
    return [modified_at for _, _, modified_at in subject.store.blobs()]


def test_put_again_renews_the_modification_time(subject: Subject) -> None:
    subject.store.put(sha256(HELLO), HELLO)
    [old] = age(subject)
    subject.store.put(sha256(HELLO), HELLO)
    [(digest, size, modified_at)] = subject.store.blobs()
    assert (digest, size) == (sha256(HELLO), len(HELLO))
    assert modified_at > old


def test_put_refuses_bytes_of_another_digest(store: BlobStore) -> None:
    with pytest.raises(DigestMismatch) as error:
        store.put(sha256(b"something else"), HELLO)
    assert error.value.computed == {"sha256": sha256(HELLO)}
    assert list(store.blobs()) == []


def test_a_blob_that_is_not_there(store: BlobStore) -> None:
    digest = sha256(b"absent")
    assert store.stat(digest) is None
    assert store.path(digest) is None
    assert store.modified_at(digest) is None
    assert store.delete(digest) is False
    with pytest.raises(BlobNotFound):
        store.open(digest)


@pytest.mark.parametrize("digest", NOT_DIGESTS.values(), ids=NOT_DIGESTS)
def test_a_malformed_digest_names_nothing_and_nothing_can_be_stored_under_it(store: BlobStore, digest: str) -> None:
    upload(store, "upload", HELLO)
    assert (store.stat(digest), store.path(digest), store.modified_at(digest)) == (None, None, None)
    assert store.delete(digest) is False
    with pytest.raises(BlobNotFound):
        store.open(digest)
    with pytest.raises(ValueError, match="not a digest"):
        store.put(digest, HELLO)
    with pytest.raises(ValueError, match="not a digest"):
        store.commit("upload", digest)
    assert store.upload_size("upload") == len(HELLO)
    assert list(store.blobs()) == []


def test_delete_removes_one_blob_and_disturbs_no_reader(store: BlobStore) -> None:
    store.put(sha256(HELLO), HELLO)
    store.put(sha256(b"other"), b"other")
    with store.open(sha256(HELLO)) as blob:
        assert store.delete(sha256(HELLO)) is True
        assert blob.read() == HELLO
    assert store.stat(sha256(HELLO)) is None
    assert blob_of(store, sha256(b"other")) == b"other"
    assert store.delete(sha256(HELLO)) is False


# Upload sessions


def test_a_new_session_is_empty(store: BlobStore) -> None:
    store.create_upload("upload")
    assert store.upload_size("upload") == 0
    assert [(upload_id, size) for upload_id, size, _ in store.uploads()] == [("upload", 0)]
    assert store.digest_upload("upload") == (sha256(b""), 0)


def test_an_id_in_use_cannot_be_created(store: BlobStore) -> None:
    upload(store, "upload", HELLO)
    with pytest.raises(FileExistsError):
        store.create_upload("upload")
    assert store.upload_size("upload") == len(HELLO)


USES: dict[str, Callable[[BlobStore, str], Any]] = {
    "append": lambda store, upload_id: store.append(upload_id, Body(b"x")),
    "digest": lambda store, upload_id: store.digest_upload(upload_id),
    "sync": lambda store, upload_id: store.sync(upload_id),
    "commit": lambda store, upload_id: store.commit(upload_id, sha256(b"x")),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("upload_id", [*NOT_UPLOAD_IDS.values(), "unknown"], ids=[*NOT_UPLOAD_IDS, "unknown"])
def test_an_unknown_or_malformed_id_names_no_session(
    store: BlobStore, upload_id: str, use: Callable[[BlobStore, str], Any]
) -> None:
    assert store.upload_size(upload_id) is None
    assert store.discard(upload_id) is False
    with pytest.raises(UploadNotFound):
        use(store, upload_id)
    assert list(store.uploads()) == []


@pytest.mark.parametrize("upload_id", NOT_UPLOAD_IDS.values(), ids=NOT_UPLOAD_IDS)
def test_no_session_can_have_a_malformed_id(store: BlobStore, upload_id: str) -> None:
    with pytest.raises(ValueError, match="not an upload id"):
        store.create_upload(upload_id)
    assert list(store.uploads()) == []


@pytest.mark.parametrize(
    ("pieces", "options", "kept"),
    [
        pytest.param([b"abc"], {}, b"abc", id="no options"),
        pytest.param([b"abc", b"de", b"f"], {}, b"abcdef", id="as many pieces as there are"),
        pytest.param([], {}, b"", id="an empty body"),
        pytest.param([b"abc"], {"offset": 4}, b"abc", id="the right offset"),
        pytest.param([b"abc"], {"length": 3}, b"abc", id="the promised length"),
        pytest.param([AssertionError("read")], {"length": 0}, b"", id="a promised length of nothing is not read"),
        pytest.param([b"abc", AssertionError("read on")], {"length": 3}, b"abc", id="nothing read after the length"),
        pytest.param([b"abc"], {"limit": 7}, b"abc", id="up to the limit"),
        pytest.param([b"abc"], {"limit": 7, "length": 3, "offset": 4}, b"abc", id="all options"),
        pytest.param([LARGE[:1000], LARGE], {}, LARGE[:1000] + LARGE, id="pieces of any size"),
    ],
)
def test_append(store: BlobStore, pieces: list[Any], options: dict[str, int], kept: bytes) -> None:
    upload(store, "upload", b"held")
    assert store.append("upload", Body(*pieces), **options) == 4 + len(kept)
    assert store.upload_size("upload") == 4 + len(kept)
    assert store.digest_upload("upload") == (sha256(b"held" + kept), 4 + len(kept))


@pytest.mark.parametrize(
    ("pieces", "options", "error", "detail"),
    [
        pytest.param([AssertionError("read")], {"offset": 0}, OffsetMismatch, {"expected": 4}, id="offset before"),
        pytest.param([AssertionError("read")], {"offset": 5}, OffsetMismatch, {"expected": 4}, id="offset after"),
        pytest.param([AssertionError("read")], {"length": 3, "limit": 6}, TooLarge, {"limit": 6}, id="length too much"),
        pytest.param([b"abc"], {"limit": 6}, TooLarge, {"limit": 6}, id="the first piece too much"),
        pytest.param([b"ab", b"c"], {"limit": 6}, TooLarge, {"limit": 6}, id="a later piece too much"),
        pytest.param([LARGE, b"c"], {"limit": 4 + len(LARGE)}, TooLarge, {}, id="one byte too much after many"),
    ],
)
def test_append_that_is_refused_leaves_the_session_as_it_was(
    store: BlobStore, pieces: list[Any], options: dict[str, int], error: type[Exception], detail: dict[str, int]
) -> None:
    upload(store, "upload", b"held")
    with pytest.raises(error) as raised:
        store.append("upload", Body(*pieces), **options)
    assert detail.items() <= vars(raised.value).items()
    assert store.upload_size("upload") == 4
    store.append("upload", Body(b" and more"), offset=4)
    assert store.digest_upload("upload") == (sha256(b"held and more"), 13)


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"ab", b"c"], [LARGE]], ids=["none", "one", "two", "large"])
@pytest.mark.parametrize("ending", [None, ConnectionResetError("reset"), OSError(5, "socket")], ids=str)
def test_a_body_that_is_cut_off_keeps_what_arrived(
    store: BlobStore, pieces: list[bytes], ending: BaseException | None
) -> None:
    arrived = b"".join(pieces)
    store.create_upload("upload")
    body = Body(*pieces, ending) if ending else Body(*pieces)
    with pytest.raises(type(ending) if ending else ShortBody) as error:
        store.append("upload", body, length=len(arrived) + 10)
    if isinstance(error.value, ShortBody):
        assert error.value.received == len(arrived)
    assert store.upload_size("upload") == len(arrived)
    assert store.append("upload", Body(b"0123456789"), offset=len(arrived)) == len(arrived) + 10
    assert store.digest_upload("upload") == (sha256(arrived + b"0123456789"), len(arrived) + 10)


def test_append_asks_for_no_more_than_the_length_and_never_for_much(store: BlobStore) -> None:
    store.create_upload("upload")
    body = Body(LARGE[: 512 * 1024], LARGE[512 * 1024 : 513 * 1024])
    store.append("upload", body, length=513 * 1024)
    assert body.asked == [512 * 1024, 1024]


def test_the_size_of_a_session_shows_what_was_written_of_a_request_in_flight(store: BlobStore) -> None:
    seen: list[int | None] = []
    store.create_upload("upload")
    store.append("upload", Body(b"abc", lambda: seen.append(store.upload_size("upload")), b"def"))
    assert seen == [3]


@pytest.mark.parametrize("end", ["commit", "discard"])
def test_a_session_is_read_while_it_grows_and_after_its_end(store: BlobStore, end: str) -> None:
    seen: list[bytes] = []
    store.create_upload("upload")
    with store.read_upload("upload") as file:
        assert file.read(10) == b""
        store.append("upload", Body(b"abc", lambda: seen.append(file.read(10)), b"def"))
        assert (seen, file.read(2), file.read(10), file.read(10)) == ([b"abc"], b"de", b"f", b"")
        file.seek(4)
        store.append("upload", Body(b"gh"))
        if end == "commit":
            store.commit("upload", sha256(b"abcdefgh"))
        else:
            store.discard("upload")
        assert file.read(10) == b"efgh"
    with pytest.raises(UploadNotFound):
        store.read_upload("upload")


@pytest.mark.parametrize("upload_id", ["none", "../blobs", ""])
def test_a_session_that_is_not_there_cannot_be_read(store: BlobStore, upload_id: str) -> None:
    with pytest.raises(UploadNotFound):
        store.read_upload(upload_id)


@pytest.mark.parametrize(
    "use", [*USES.values(), lambda store, upload_id: store.discard(upload_id)], ids=[*USES, "discard"]
)
def test_a_session_that_is_being_filled_is_busy(store: BlobStore, use: Callable[[BlobStore, str], Any]) -> None:
    def intrude() -> None:
        with pytest.raises(UploadBusy):
            use(store, "upload")

    store.create_upload("upload")
    store.create_upload("other")
    assert store.append("upload", Body(b"abc", intrude, lambda: store.append("other", Body(b"x")), b"def")) == 6
    assert store.digest_upload("upload") == (sha256(b"abcdef"), 6)
    assert store.upload_size("other") == 1, "another session is not busy"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_digest_follows_the_session(store: BlobStore, algorithm: str) -> None:
    store.create_upload("upload")
    so_far = b""
    for piece in (b"a", LARGE, b"", b"z" * 100):
        store.append("upload", Body(piece))
        so_far += piece
        digest = f"{algorithm}:{hashlib.new(algorithm, so_far).hexdigest()}"
        assert store.digest_upload("upload", algorithm) == (digest, len(so_far))
        assert store.digest_upload("upload", algorithm) == (digest, len(so_far))


@pytest.mark.parametrize("algorithm", ["md5", "", "SHA256", "blake3"])
def test_an_algorithm_that_names_no_blobs(store: BlobStore, algorithm: str) -> None:
    store.create_upload("upload")
    with pytest.raises(ValueError, match="not one of sha256, sha512"):
        store.digest_upload("upload", algorithm)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_commit_turns_the_session_into_a_blob(store: BlobStore, algorithm: str) -> None:
    upload(store, "upload", LARGE)
    digest, _ = store.digest_upload("upload", algorithm)
    store.sync("upload")
    store.commit("upload", digest)
    assert blob_of(store, digest) == LARGE
    assert [(name, size) for name, size, _ in store.blobs()] == [(digest, len(LARGE))]
    assert list(store.uploads()) == []
    with pytest.raises(UploadNotFound):
        store.append("upload", Body(b"late"))
    assert blob_of(store, digest) == LARGE


def test_a_blob_is_as_old_as_its_commit(subject: Subject) -> None:
    digest = upload(subject.store, "upload", HELLO)
    subject.age()
    [(_, _, old)] = subject.store.uploads()
    subject.store.commit("upload", digest)
    [(_, _, modified_at)] = subject.store.blobs()
    assert modified_at > old


def test_commit_of_bytes_that_are_there_already_keeps_one_copy_and_renews_it(subject: Subject) -> None:
    subject.store.put(sha256(HELLO), HELLO)
    [old] = age(subject)
    subject.store.commit("upload", upload(subject.store, "upload", HELLO))
    [(digest, size, modified_at)] = subject.store.blobs()
    assert (digest, size) == (sha256(HELLO), len(HELLO))
    assert modified_at > old
    assert list(subject.store.uploads()) == []


def test_commit_can_be_repeated(subject: Subject) -> None:
    digest = upload(subject.store, "upload", HELLO)
    subject.store.commit("upload", digest)
    [old] = age(subject)
    subject.store.commit("upload", digest)
    [(again, _, modified_at)] = subject.store.blobs()
    assert again == digest
    assert modified_at > old


def test_commit_refuses_a_digest_that_the_bytes_do_not_have(store: BlobStore) -> None:
    upload(store, "upload", HELLO)
    with pytest.raises(DigestMismatch) as error:
        store.commit("upload", sha256(b"something else"))
    assert error.value.computed == {"sha256": sha256(HELLO)}
    assert store.upload_size("upload") == len(HELLO)
    assert list(store.blobs()) == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_commit_refuses_a_digest_that_was_true_before_more_bytes_came(store: BlobStore, algorithm: str) -> None:
    upload(store, "upload", HELLO)
    digest, _ = store.digest_upload("upload", algorithm)
    store.append("upload", Body(b" and more"))
    with pytest.raises(DigestMismatch):
        store.commit("upload", digest)
    assert list(store.blobs()) == []


def test_discard_ends_the_session(store: BlobStore) -> None:
    upload(store, "upload", HELLO)
    assert store.discard("upload") is True
    assert store.upload_size("upload") is None
    assert list(store.uploads()) == []
    assert store.discard("upload") is False


def test_nothing_of_a_discarded_session_is_left_under_its_id(store: BlobStore) -> None:
    upload(store, "upload", HELLO)
    store.discard("upload")
    assert upload(store, "upload", b"other") == sha256(b"other")


@pytest.mark.parametrize("ending", [None, ConnectionResetError("reset")], ids=str)
def test_a_body_renews_its_session_whole_or_cut_off(subject: Subject, ending: BaseException | None) -> None:
    subject.store.create_upload("upload")
    subject.age()
    [(_, _, old)] = subject.store.uploads()
    with contextlib.suppress(ConnectionResetError):
        subject.store.append("upload", Body(b"abc", ending) if ending else Body(b"abc"))
    [(_, size, modified_at)] = subject.store.uploads()
    assert size == 3
    assert modified_at > old


def test_append_bytes_is_append(store: BlobStore) -> None:
    store.create_upload("upload")
    assert store.append_bytes("upload", LARGE) == len(LARGE)
    assert store.append_bytes("upload", b"abc", offset=len(LARGE)) == len(LARGE) + 3
    with pytest.raises(OffsetMismatch):
        store.append_bytes("upload", b"abc", offset=0)
    with pytest.raises(TooLarge):
        store.append_bytes("upload", b"abc", limit=len(LARGE) + 5)
    assert store.digest_upload("upload") == (sha256(LARGE + b"abc"), len(LARGE) + 3)


# Sinks


def test_a_sink_takes_pieces_in_whichever_thread_there_is(store: BlobStore) -> None:
    upload(store, "upload", b"held")
    sink = store.receive("upload", offset=4, length=len(LARGE) + 3)
    for piece in (LARGE, b"abc"):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(sink.write, piece).result()
    assert (sink.close(), sink.close()) == (4 + len(LARGE) + 3,) * 2
    assert store.digest_upload("upload") == (sha256(b"held" + LARGE + b"abc"), 4 + len(LARGE) + 3)


def test_an_abandoned_sink_leaves_the_session_as_it_was(store: BlobStore) -> None:
    upload(store, "upload", b"held")
    sink = store.receive("upload")
    sink.write(LARGE)
    with pytest.raises(UploadBusy):
        store.receive("upload")
    sink.abandon()
    sink.abandon()
    assert store.upload_size("upload") == 4
    assert store.append_bytes("upload", b" and more", offset=4) == 13
    assert store.digest_upload("upload") == (sha256(b"held and more"), 13)


def test_a_sink_that_is_left_by_an_error_keeps_what_came(store: BlobStore) -> None:
    store.create_upload("upload")
    with contextlib.suppress(ConnectionResetError), store.receive("upload", length=100) as sink:
        sink.write(b"abc")
        raise ConnectionResetError
    assert store.upload_size("upload") == 3
    sink = store.receive("upload", length=100)
    sink.write(b"def")
    with pytest.raises(ShortBody):
        sink.close()
    assert store.append_bytes("upload", b"ghi") == 9
    assert store.digest_upload("upload") == (sha256(b"abcdefghi"), 9)


# The store as a whole


def test_a_healthy_store_passes_its_check_and_the_check_leaves_nothing(store: BlobStore) -> None:
    store.check()
    assert list(store.blobs()) == []
    assert list(store.uploads()) == []
