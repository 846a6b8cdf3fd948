"""A session that is committed and kept: it is a blob already, and can be committed again."""

import os
from pathlib import Path

import pytest

from ecrsim.blobs import BlobStore, OffsetMismatch
from ecrsim.blobs.filesystem import FilesystemStore
from tests.blobs.sources import Body, sha256

HELLO = b"hello, layer"


def kept(store: BlobStore) -> str:
    """The digest of a blob whose session `upload` was kept."""
    store.create_upload("upload")
    store.append("upload", Body(HELLO))
    store.commit("upload", sha256(HELLO), keep=True)
    return sha256(HELLO)


def content(store: BlobStore, digest: str) -> bytes:
    with store.open(digest) as blob:
        return blob.read()


def test_it_is_a_blob_and_a_session(store: BlobStore) -> None:
    digest = kept(store)
    assert content(store, digest) == HELLO
    assert store.upload_size("upload") == len(HELLO)
    assert store.digest_upload("upload") == (digest, len(HELLO))


def test_it_takes_no_more_bytes(store: BlobStore) -> None:
    digest = kept(store)
    for offset in (None, 0, len(HELLO)):
        with pytest.raises(OffsetMismatch) as mismatch:
            store.append("upload", Body(b" and more"), offset=offset)
        assert mismatch.value.expected == len(HELLO)
    assert content(store, digest) == HELLO
    assert store.upload_size("upload") == len(HELLO)


@pytest.mark.parametrize("keep", [True, False])
def test_it_can_be_committed_again(store: BlobStore, keep: bool) -> None:
    digest = kept(store)
    store.commit("upload", digest, keep=keep)
    assert content(store, digest) == HELLO
    assert store.upload_size("upload") == (len(HELLO) if keep else None)


def test_it_can_be_committed_again_after_its_blob_was_deleted(store: BlobStore) -> None:
    """As garbage collection does with a blob whose transaction came to nothing."""
    digest = kept(store)
    assert store.delete(digest)
    store.commit("upload", digest, keep=True)
    assert content(store, digest) == HELLO


def test_it_is_discarded_and_the_blob_stays(store: BlobStore) -> None:
    digest = kept(store)
    assert store.discard("upload")
    assert store.upload_size("upload") is None
    assert content(store, digest) == HELLO


def test_bytes_that_are_there_already_are_kept_beside_the_session(store: BlobStore) -> None:
    store.put(sha256(HELLO), HELLO)
    digest = kept(store)
    assert [size for _, size, *_ in store.blobs()] == [len(HELLO)]
    assert store.upload_size("upload") == len(HELLO)
    assert store.discard("upload")
    assert content(store, digest) == HELLO


def test_a_damaged_blob_is_replaced(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    store.put(sha256(HELLO), HELLO)
    path = store.path(sha256(HELLO))
    assert path is not None
    os.truncate(path, 3)
    digest = kept(store)
    assert content(store, digest) == HELLO


def test_without_hard_links_the_session_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    store = FilesystemStore(tmp_path)
    digest = kept(store)
    assert content(store, digest) == HELLO
    assert store.upload_size("upload") is None
    store.commit("upload", digest, keep=True)
    assert not store.discard("upload")
