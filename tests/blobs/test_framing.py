"""The form of encrypted files: what is found where, and what is good in one place only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ecrsim.blobs.base import BlobDamaged
from ecrsim.blobs.framing import FRAME, HEADER, OVERHEAD, SpaceKey, Uniform, is_blob, size_of_blob, space_of
from ecrsim.core import ids

SPACE, OTHER = "0" * 31 + "1", "0" * 31 + "2"
DIGEST = "sha256:" + "a" * 64
KEY = SpaceKey(SPACE, bytes(32), ids.new_secret)
HEAD, CIPHER = KEY.new_header("upload")
BLOB = KEY.blob_header(HEAD, CIPHER, DIGEST, 1000)

SIZES = [0, 1, 1000, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME - 1, 3 * FRAME]


def frames(size: int) -> list[int]:
    """The bytes of plaintext in each frame of a blob."""
    return [min(FRAME, size - first) for first in range(0, size, FRAME)]


@pytest.mark.parametrize("size", SIZES)
def test_the_length_of_a_file_tells_the_size_of_its_blob(size: int):
    assert size_of_blob(HEADER + size + OVERHEAD * len(frames(size))) == size


@pytest.mark.parametrize(
    "length", [0, 1, HEADER - 1, HEADER + 1, HEADER + OVERHEAD, HEADER + FRAME + OVERHEAD + 1], ids=str
)
def test_a_length_that_no_file_has(length: int):
    assert size_of_blob(length) is None


@pytest.mark.parametrize("size", [1, FRAME, FRAME + 1, 2 * FRAME + 7])
def test_each_byte_is_found_in_its_frame(size: int):
    layout, offset, first = Uniform(size), HEADER, 0
    for number, length in enumerate(frames(size)):
        for position in (first, first + length - 1):
            assert layout.find(position) == (number, offset, length + OVERHEAD, first)
        offset, first = offset + length + OVERHEAD, first + length
    assert layout.find(size) is None


@pytest.mark.parametrize("plain", [b"", b"x", bytes(1000), bytes(FRAME)], ids=len)
def test_a_frame_holds_what_was_put_in_it(plain: bytes):
    frame = b"".join(CIPHER.sealed(7, plain))
    assert len(frame) == len(plain) + OVERHEAD
    assert CIPHER.opened(7, frame) == plain


def test_the_same_bytes_are_never_encrypted_alike():
    assert CIPHER.sealed(0, b"same") != CIPHER.sealed(0, b"same")
    assert KEY.new_header("upload")[0] != HEAD


FRAME_OF_7 = b"".join(CIPHER.sealed(7, b"some plaintext"))


def altered(data: bytes) -> Iterator[bytes]:
    """The data with each of its bits turned, and cut off behind each of its bytes."""
    for bit in range(len(data) * 8):
        yield (int.from_bytes(data) ^ 1 << bit).to_bytes(len(data))
    for length in range(len(data)):
        yield data[:length]


def test_no_bit_of_a_frame_can_be_another_and_none_be_cut_off():
    for frame in altered(FRAME_OF_7):
        with pytest.raises(BlobDamaged):
            CIPHER.opened(7, frame)


def test_a_frame_is_good_in_its_place_and_its_file_alone():
    _, other = KEY.new_header("upload")
    for cipher, number in ((CIPHER, 8), (other, 7)):
        with pytest.raises(BlobDamaged):
            cipher.opened(number, FRAME_OF_7)


def test_no_bit_of_a_blobs_header_can_be_another_and_none_be_cut_off():
    for header in altered(BLOB):
        with pytest.raises(BlobDamaged):
            KEY.of_blob(header, DIGEST, 1000)


def test_a_header_opens_for_its_blob_and_for_its_session():
    assert KEY.of_blob(BLOB, DIGEST, 1000).opened(7, FRAME_OF_7) == b"some plaintext"
    for header in (HEAD, BLOB):
        assert KEY.of_session(header, "upload").opened(7, FRAME_OF_7) == b"some plaintext"
    assert (is_blob(HEAD), is_blob(BLOB), space_of(BLOB), space_of(b"{}")) == (False, True, SPACE, None)


@pytest.mark.parametrize(
    ("key", "digest", "size"),
    [
        pytest.param(KEY, "sha256:" + "b" * 64, 1000, id="another digest"),
        pytest.param(KEY, DIGEST, 999, id="another size"),
        pytest.param(SpaceKey(SPACE, bytes(31) + b"1", ids.new_secret), DIGEST, 1000, id="another key"),
        pytest.param(SpaceKey(OTHER, bytes(32), ids.new_secret), DIGEST, 1000, id="another space of the same key"),
    ],
)
def test_a_header_is_good_for_its_blob_alone(key: SpaceKey, digest: str, size: int):
    with pytest.raises(BlobDamaged):
        key.of_blob(BLOB, digest, size)


def test_a_session_is_no_blob_and_no_other_session():
    with pytest.raises(BlobDamaged):
        KEY.of_blob(HEAD, DIGEST, 1000)
    with pytest.raises(BlobDamaged):
        KEY.of_session(HEAD, "another")
