"""The form of an encrypted file: a header with the file's own key, and frames of AES-256-GCM behind it.

    offset   bytes   header
         0       8   the form and its version
         8       4   bytes of plaintext in a full frame, big-endian as all numbers here
        12      16   the key space
        28      60   the file's key for its upload session: nonce, key, tag
        88      60   the file's key for the blob: the same; zeros until the session is a blob

                     a frame
         0       4   bytes of plaintext in it
         4      12   nonce
        16     n+16   ciphertext and tag

Each file has a random key, which the key of its space wraps. What a frame is bound to makes it good in one place only:
its number, and the key of its file. The key of a blob is bound to its digest, to the bytes of plaintext, and to the
rest of the header: no frame can be moved, no file take another's place, and nothing be cut off its end. Frames of a
blob are full but for the last one, so that a range is found by arithmetic. Those of a session are as long as they came,
and are never written twice: whatever is killed in the middle of one leaves what was there before.

Reading verifies each frame before it gives a byte of it. BlobDamaged is what a reader of altered bytes gets.
"""

from __future__ import annotations

import os
import struct
from array import array
from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ecrsim.blobs.base import BlobDamaged

#: Bytes of plaintext in a full frame. A quarter of a MiB encrypts as fast as more does, and is read for one byte of it.
FRAME = 256 * 1024

_FORM = b"ecrsim\x00\x01"
_FIXED = struct.Struct(">8sI16s")
_NONCE, _TAG, _KEY = 12, 16, 32
_SEALED = _NONCE + _KEY + _TAG
_SESSION, _BLOB = _FIXED.size, _FIXED.size + _SEALED
#: Bytes before the first frame.
HEADER = _BLOB + _SEALED
_LENGTH = struct.Struct(">I")
_BEFORE = _LENGTH.size + _NONCE
#: Bytes that a frame has beside its plaintext.
OVERHEAD = _BEFORE + _TAG
_NUMBER = struct.Struct(">Q")

#: 32 random bytes, others at each call.
Chance = Callable[[], bytes]


class SpaceKey:
    """The key of a key space: all that may share stored bytes. `space` has 32 hexadecimal digits, `key` 32 bytes."""

    def __init__(self, space: str, key: bytes, chance: Chance) -> None:
        self.space, self.key = space, key
        self._id = bytes.fromhex(space)
        self._cipher = AESGCM(key)
        self._chance = chance

    def new_header(self, upload_id: str | None = None) -> tuple[bytes, FileCipher]:
        """The header of a new file, with a new key; without an upload id, of one that is no session."""
        key = self._chance()
        fixed = _FIXED.pack(_FORM, FRAME, self._id)
        sealed = bytes(_SEALED) if upload_id is None else self._wrapped(key, _of_session(fixed, upload_id))
        return fixed + sealed + bytes(_SEALED), FileCipher(key, self._chance)

    def of_session(self, header: bytes, upload_id: str) -> FileCipher:
        """The cipher of an upload session's file. BlobDamaged."""
        fixed = self._checked(header)
        return self._opened(header, _SESSION, _of_session(fixed, upload_id), f"upload session {upload_id}")

    def of_blob(self, header: bytes, digest: str, size: int) -> FileCipher:
        """The cipher of a blob of `size` bytes. BlobDamaged."""
        self._checked(header)
        return self._opened(header, _BLOB, _of_blob(header, digest, size), f"blob {digest}")

    def blob_header(self, header: bytes, cipher: FileCipher, digest: str, size: int) -> bytes:
        """The header, with the file's key for the blob in it."""
        return header[:_BLOB] + self._wrapped(cipher.key, _of_blob(header, digest, size))

    def _wrapped(self, key: bytes, place: bytes) -> bytes:
        nonce = self._chance()[:_NONCE]
        return nonce + self._cipher.encrypt(nonce, key, place)

    def _checked(self, header: bytes) -> bytes:
        if len(header) != HEADER:
            raise BlobDamaged("the header of an encrypted file is cut off")
        form, frame, space = _FIXED.unpack_from(header)
        if (form, frame, space) != (_FORM, FRAME, self._id):
            raise BlobDamaged("the header of an encrypted file is not that of its key space")
        return header[: _FIXED.size]

    def _opened(self, header: bytes, at: int, place: bytes, name: str) -> FileCipher:
        sealed = header[at : at + _SEALED]
        try:
            key = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], place)
        except InvalidTag:
            raise BlobDamaged(f"{name} is not what was encrypted under this name") from None
        return FileCipher(key, self._chance)


def _of_session(fixed: bytes, upload_id: str) -> bytes:
    return b"session\0" + fixed + upload_id.encode()


def _of_blob(header: bytes, digest: str, size: int) -> bytes:
    return b"blob\0" + header[:_BLOB] + _NUMBER.pack(size) + digest.encode()


def is_blob(header: bytes) -> bool:
    """Whether the header has a key for a blob."""
    return any(header[_BLOB:])


def space_of(header: bytes) -> str | None:
    """The key space that a header names; None where it is none of this form."""
    if len(header) < _FIXED.size or not header.startswith(_FORM):
        return None
    return bytes(_FIXED.unpack_from(header)[2]).hex()


class FileCipher:
    """The cipher of one file's frames."""

    def __init__(self, key: bytes, chance: Chance) -> None:
        self.key = key
        self._cipher = AESGCM(key)
        self._chance = chance

    def sealed(self, number: int, plain: bytes | memoryview) -> tuple[bytes, bytes]:
        """The frame of this number, in two parts that follow each other."""
        before = _LENGTH.pack(len(plain)) + self._chance()[:_NONCE]
        return before, self._cipher.encrypt(before[_LENGTH.size :], plain, _NUMBER.pack(number) + before[:4])

    def opened(self, number: int, frame: bytes) -> bytes:
        """The plaintext of a frame. BlobDamaged."""
        before = frame[:_BEFORE]
        try:
            return self._cipher.decrypt(
                before[_LENGTH.size :], memoryview(frame)[_BEFORE:], _NUMBER.pack(number) + before[:4]
            )
        except (InvalidTag, ValueError):
            raise BlobDamaged(f"frame {number} of an encrypted file is not what was encrypted there") from None


class Span(NamedTuple):
    """A frame in its file: its number, where it begins there, how long it is, and the first byte of its plaintext."""

    number: int
    offset: int
    length: int
    first: int


class Uniform:
    """The frames of a blob of `size` bytes: all full but for the last one."""

    def __init__(self, size: int) -> None:
        self.size = size

    def find(self, position: int) -> Span | None:
        """The frame that has this byte of the plaintext."""
        if position >= self.size:
            return None
        number = position // FRAME
        first = number * FRAME
        length = min(FRAME, self.size - first)
        return Span(number, HEADER + number * (FRAME + OVERHEAD), length + OVERHEAD, first)


def size_of_blob(length: int) -> int | None:
    """Bytes of plaintext in a blob's file of this length; None when no blob's file is so long."""
    whole, rest = divmod(length - HEADER, FRAME + OVERHEAD)
    if whole < 0 or 0 < rest <= OVERHEAD:
        return None
    return whole * FRAME + max(0, rest - OVERHEAD)


class Growing:
    """The frames of a session, as far as they are whole. `scan` looks for more of them."""

    def __init__(self) -> None:
        # Where the plaintext of each begins; where it does in the file follows from that.
        self._firsts = array("Q")
        #: Bytes of plaintext.
        self.size = 0
        #: Whether all frames are full, but perhaps for the last one.
        self.is_uniform = True

    @property
    def count(self) -> int:
        return len(self._firsts)

    @property
    def end(self) -> int:
        """Where the next frame will begin in the file."""
        return HEADER + self.size + len(self._firsts) * OVERHEAD

    def scan(self, fd: int, length: int) -> None:
        """Take in the frames that were written since, up to this length of the file."""
        end = self.end
        while end + OVERHEAD < length:
            told = os.pread(fd, _LENGTH.size, end)
            plain = _LENGTH.unpack(told)[0] if len(told) == _LENGTH.size else 0
            if not 0 < plain <= FRAME or end + plain + OVERHEAD > length:
                return  # one that is being written, or was when its writer was killed
            self.add(plain)
            end += plain + OVERHEAD

    def add(self, plain: int) -> None:
        """A frame with so many bytes follows."""
        self.is_uniform = self.is_uniform and self.size % FRAME == 0
        self._firsts.append(self.size)
        self.size += plain

    def copy(self) -> Growing:
        """The same frames, to go its own way from here."""
        twin = Growing()
        twin._firsts, twin.size, twin.is_uniform = self._firsts[:], self.size, self.is_uniform
        return twin

    def find(self, position: int) -> Span | None:
        """The frame that has this byte of the plaintext."""
        if position >= self.size:
            return None
        number = bisect_right(self._firsts, position) - 1
        first = self._firsts[number]
        following = self._firsts[number + 1] if number + 1 < len(self._firsts) else self.size
        return Span(number, HEADER + first + number * OVERHEAD, following - first + OVERHEAD, first)
