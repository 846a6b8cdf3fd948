"""What an encrypted store does beyond the others: nothing is readable without its key, and nothing can be altered."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ecrsim.blobs import BlobDamaged, BlobNotFound, BlobStore, StoreUnwritable, UploadNotFound
from ecrsim.blobs.encrypted import EncryptedStore
from ecrsim.blobs.framing import FRAME, HEADER, OVERHEAD
from ecrsim.blobs.names import split_name, stored_name
from ecrsim.core import ids
from tests.blobs.sources import Body, sha256

A, B = "a" * 32, "b" * 32
KEYS = {A: bytes(32), B: b"\1" * 32}
MARK = b"a sentence that nobody is to find"
DATA = MARK * (5 * FRAME // 2 // len(MARK))
DIGEST = sha256(DATA)


@pytest.fixture
def whole(tmp_path: Path) -> EncryptedStore:
    return EncryptedStore(tmp_path, "process", KEYS.__getitem__, ids.new_secret)


@pytest.fixture
def store(whole: EncryptedStore) -> BlobStore:
    return whole.within(A, KEYS[A])


def file_of(root: Path, digest: str, key: str = A) -> Path:
    algorithm, _, name = digest.partition(":")
    return root / "encrypted" / key / algorithm / name[:2] / name


def pushed(store: BlobStore, *pieces: bytes, upload_id: str = "upload") -> str:
    store.create_upload(upload_id)
    for piece in pieces:
        store.append(upload_id, Body(piece))
    digest, _ = store.digest_upload(upload_id)
    store.commit(upload_id, digest)
    return digest


def test_no_file_shows_a_byte_of_what_was_stored(store: BlobStore, tmp_path: Path):
    store.put(sha256(MARK), MARK)
    pushed(store, DATA)
    pushed(store, MARK, DATA, MARK)
    store.create_upload("unfinished")
    sink = store.receive("unfinished")
    sink.write(MARK)
    sink.write(DATA)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4
    for path in files:
        content = path.read_bytes()
        assert not any(MARK[at : at + 8] in content for at in range(len(MARK) - 8))
    sink.abandon()


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"x"], id="one byte"),
        pytest.param([DATA], id="one body"),
        pytest.param([DATA[:FRAME], DATA[FRAME:]], id="bodies that fill frames"),
        pytest.param([DATA[:100], DATA[100:]], id="bodies that fill none"),
        pytest.param([b"x"] * 50 + [DATA], id="many small bodies"),
    ],
)
def test_every_range_is_what_was_stored(store: BlobStore, pieces: list[bytes]):
    data = b"".join(pieces)
    digest = pushed(store, *pieces)
    assert store.stat(digest) == len(data)
    with store.open(digest) as blob:
        assert blob.read() == data
        for first in (0, 1, 99, 100, FRAME - 1, FRAME, FRAME + 1, len(data) - 1, len(data)):
            for length in (0, 1, 100, FRAME, 2 * FRAME + 1):
                if first >= 0:
                    blob.seek(first)
                    assert blob.read(length) == data[first : first + length]


BITS = {
    "the form": 0,
    "the size of frames": 9 * 8,
    "the space": 20 * 8,
    "the session's key": 60 * 8,
    "the blob's key": (HEADER - 1) * 8 + 7,
    "the length of the first frame": (HEADER + 3) * 8,
    "the nonce of the first frame": (HEADER + 4) * 8,
    "the first byte of the first frame": (HEADER + 16) * 8,
    "the last byte of the first frame": (HEADER + 15 + FRAME) * 8,
    "the tag of the first frame": (HEADER + 31 + FRAME) * 8,
    "the length of the second frame": (HEADER + 3 + FRAME + OVERHEAD) * 8,
    "the middle of the second frame": (HEADER + FRAME + OVERHEAD + FRAME // 2) * 8,
}


def flipped(bit: int) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        altered = bytearray(content)
        altered[bit // 8] ^= 1 << bit % 8
        return bytes(altered)

    return flip


def swapped(content: bytes) -> bytes:
    step = FRAME + OVERHEAD
    head, one, two = content[:HEADER], content[HEADER : HEADER + step], content[HEADER + step : HEADER + 2 * step]
    return head + two + one + content[HEADER + 2 * step :]


ALTERATIONS: dict[str, Callable[[bytes], bytes]] = {
    **{name: flipped(bit) for name, bit in BITS.items()},
    "the last bit of all": lambda content: flipped(len(content) * 8 - 1)(content),
    "the last byte cut off": lambda content: content[:-1],
    "the last frame cut off": lambda content: content[: HEADER + 2 * (FRAME + OVERHEAD)],
    "all frames cut off": lambda content: content[:HEADER],
    "the header cut off": lambda content: content[: HEADER - 1],
    "nothing left": lambda _: b"",
    "a byte behind it": lambda content: content + b"\0",
    "its last frame behind it": lambda content: content + content[HEADER + 2 * (FRAME + OVERHEAD) :],
    "its first frame behind it": lambda content: content + content[HEADER : HEADER + FRAME + OVERHEAD],
    "two frames swapped": swapped,
    "the first frame twice": lambda content: (content[: HEADER + FRAME + OVERHEAD] * 2)[
        HEADER : HEADER * 2 + 2 * (FRAME + OVERHEAD)
    ],
}


def read_into(read: bytearray, store: BlobStore) -> None:
    with store.open(DIGEST) as blob:
        while piece := blob.read(FRAME):
            read += piece


@pytest.mark.parametrize("alter", ALTERATIONS.values(), ids=ALTERATIONS)
def test_an_altered_file_gives_an_error_and_no_wrong_byte(
    store: BlobStore, tmp_path: Path, alter: Callable[[bytes], bytes]
):
    pushed(store, DATA)
    file = file_of(tmp_path, DIGEST)
    content = file.read_bytes()
    altered = alter(content)
    assert altered != content
    file.write_bytes(altered)
    read = bytearray()
    with pytest.raises(BlobDamaged):
        read_into(read, store)
    assert DATA.startswith(read)
    assert len(read) < len(DATA)


def test_a_file_in_the_place_of_another_is_noticed(store: BlobStore, whole: EncryptedStore, tmp_path: Path):
    pushed(store, DATA)
    other = bytes(reversed(DATA))
    store.put(sha256(other), other)
    whole.within(B, KEYS[B]).put(DIGEST, DATA)
    for source in (file_of(tmp_path, sha256(other)), file_of(tmp_path, DIGEST, B)):
        file_of(tmp_path, DIGEST).write_bytes(source.read_bytes())
        with pytest.raises(BlobDamaged):
            store.open(DIGEST)


def test_an_altered_session_is_never_a_blob(store: BlobStore, tmp_path: Path):
    store.create_upload("upload")
    store.append_bytes("upload", DATA)
    fresh = EncryptedStore(tmp_path, "process", KEYS.__getitem__, ids.new_secret).within(A, KEYS[A])
    file = tmp_path / "uploads" / "upload"
    file.write_bytes(flipped((HEADER + 100) * 8)(file.read_bytes()))
    with pytest.raises(StoreUnwritable, match="damaged"):
        fresh.commit("upload", DIGEST)
    assert (list(fresh.blobs()), fresh.upload_size("upload")) == ([], None)


def test_a_frame_that_was_cut_off_by_a_death_is_not_there(store: BlobStore, tmp_path: Path):
    store.create_upload("upload")
    store.append_bytes("upload", DATA)
    file = tmp_path / "uploads" / "upload"
    before = file.read_bytes()
    for torn in (1, 3, 4, 20, 5000):
        file.write_bytes(before + before[HEADER : HEADER + torn])
        fresh = EncryptedStore(tmp_path, "process", KEYS.__getitem__, ids.new_secret).within(A, KEYS[A])
        assert fresh.upload_size("upload") == len(DATA)
        assert fresh.digest_upload("upload") == (DIGEST, len(DATA))
    assert fresh.append_bytes("upload", MARK, offset=len(DATA)) == len(DATA + MARK)
    fresh.commit("upload", sha256(DATA + MARK))
    with fresh.open(sha256(DATA + MARK)) as blob:
        assert blob.read() == DATA + MARK


def test_a_session_whose_maker_died_before_its_header_is_none(store: BlobStore, tmp_path: Path):
    (tmp_path / "uploads" / "upload").write_bytes(b"ecrs")
    for use in (lambda: store.receive("upload"), lambda: store.read_upload("upload")):
        with pytest.raises(UploadNotFound):
            use()
    assert store.discard("upload") is True


def test_a_commit_under_another_digest_leaves_the_first_blob_as_it_is(store: BlobStore):
    store.create_upload("upload")
    store.append_bytes("upload", DATA)
    digests = [store.digest_upload("upload", algorithm)[0] for algorithm in ("sha256", "sha512")]
    for digest in [*digests, digests[0]]:
        store.commit("upload", digest, keep=True)
    for digest in digests:
        with store.open(digest) as blob:
            assert blob.read() == DATA


def test_spaces_share_nothing(whole: EncryptedStore, tmp_path: Path):
    for key in (A, B):
        assert pushed(whole.within(key, KEYS[key]), DATA, upload_id=f"upload-{key[0]}") == DIGEST
    assert file_of(tmp_path, DIGEST, A).read_bytes() != file_of(tmp_path, DIGEST, B).read_bytes()
    assert whole.within(A, KEYS[A]).delete(DIGEST)
    assert [name for name, _, _ in whole.blobs()] == [stored_name(DIGEST, B)]
    with pytest.raises(BlobNotFound):
        whole.within(A, KEYS[A]).open(DIGEST)
    with whole.within(B, KEYS[B]).open(DIGEST) as blob:
        assert blob.read() == DATA


def test_the_whole_store_knows_blobs_by_digest_and_space(whole: EncryptedStore, tmp_path: Path):
    name = stored_name(DIGEST, A)
    whole.within(A, KEYS[A]).put(DIGEST, DATA)
    assert (split_name(name), whole.stat(name), whole.path(name)) == ((DIGEST, A), len(DATA), None)
    assert list(whole.blobs()) == [(name, len(DATA), whole.modified_at(name))]
    with whole.open(name) as blob:
        assert blob.read() == DATA
        assert whole.set_aside(name, blob) is True
    assert list(whole.blobs()) == []
    assert [path.name for path in (tmp_path / "damaged").iterdir()] == [DIGEST.replace(":", "-")]
    whole.put(name, DATA)
    assert whole.delete(name) is True


@pytest.mark.parametrize("name", [DIGEST, f"{DIGEST}@", f"{DIGEST}@../x", f"x@{'a' * 32}", f"{DIGEST}@{'c' * 32}", ""])
def test_a_name_without_a_space_or_of_an_unknown_one_names_nothing(whole: EncryptedStore, name: str):
    assert (whole.stat(name), whole.modified_at(name), whole.delete(name)) == (None, None, False)
    with pytest.raises(BlobNotFound):
        whole.open(name)


def test_the_whole_store_goes_on_with_sessions_of_any_space(whole: EncryptedStore):
    whole.within(B, KEYS[B]).create_upload("upload")
    whole.append_bytes("upload", DATA)
    assert whole.digest_upload("upload") == (DIGEST, len(DATA))
    with whole.read_upload("upload") as session:
        assert session.read() == DATA
    whole.sync("upload")
    whole.commit("upload", stored_name(DIGEST, B))
    assert whole.within(B, KEYS[B]).stat(DIGEST) == len(DATA)
    with pytest.raises(ValueError, match="key space"):
        whole.create_upload("another")


KILLED = """
import os, sys
from ecrsim.blobs.encrypted import EncryptedStore
from ecrsim.core import ids
store = EncryptedStore(sys.argv[1], "process", {}.get, ids.new_secret).within("a" * 32, bytes(32))
store.create_upload("upload")
sink = store.receive("upload")
sink.write(b"acknowledged" * 100)
print(sink.close(), flush=True)
sink = store.receive("upload")
sink.write(bytes(5 << 20))
os.kill(os.getpid(), 9)
"""


def test_what_was_acknowledged_outlives_the_process(store: BlobStore, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, check=False, env={**os.environ}
    )
    assert (done.returncode, done.stdout) == (-9, b"1200\n")
    size = store.upload_size("upload")
    assert size is not None
    assert size >= 1200
    with store.read_upload("upload") as session:
        assert session.read() == b"acknowledged" * 100 + bytes(size - 1200)
