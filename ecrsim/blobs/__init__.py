"""Bytes by digest, and the upload sessions that they arrive through.

Only the protocol and its errors are offered here; a store is imported from its own module (`filesystem`, `memory`), so
that nobody pays for, or needs the platform of, a store that is not in use.
"""

from ecrsim.blobs.base import (
    BlobDamaged,
    BlobNotFound,
    BlobStore,
    BlobStoreError,
    ByteSource,
    DigestMismatch,
    LongBody,
    OffsetMismatch,
    ShortBody,
    Sink,
    StoreUnwritable,
    TooLarge,
    UploadBusy,
    UploadNotFound,
)

__all__ = [
    "BlobDamaged",
    "BlobNotFound",
    "BlobStore",
    "BlobStoreError",
    "ByteSource",
    "DigestMismatch",
    "LongBody",
    "OffsetMismatch",
    "ShortBody",
    "Sink",
    "StoreUnwritable",
    "TooLarge",
    "UploadBusy",
    "UploadNotFound",
]
