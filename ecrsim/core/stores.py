"""The blob store that the settings name, and where it keeps whose it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ecrsim.blobs.base import BlobStore
from ecrsim.blobs.filesystem import FilesystemStore
from ecrsim.blobs.identity import DirectoryHome, StoreHome
from ecrsim.config import Config
from ecrsim.core import ids


def store_of(
    config: Config, data_dir: Path, may_wait: Callable[[], None], key_of: Callable[[str], bytes]
) -> tuple[BlobStore, StoreHome]:
    """`may_wait` is called before each wait for a network, and raises in a thread that may not.

    `key_of` gives the key of a key space, where the store is encrypted.
    """
    place = config.blob_store_in(data_dir)
    if not place.startswith("s3://"):
        root = Path(place)
        if config.encrypt:
            # Imported when it is in use: 40 ms and 9 MB, most of them `cryptography`'s.
            from ecrsim.blobs.encrypted import EncryptedStore

            return EncryptedStore(root, config.durability, key_of, ids.new_secret), DirectoryHome(root)
        return FilesystemStore(root, durability=config.durability), DirectoryHome(root)
    # Imported when it is in use: with boto3, 120 ms and 20 MB.
    from ecrsim.blobs.s3 import Bucket, S3Access
    from ecrsim.blobs.s3_identity import S3Home
    from ecrsim.blobs.s3_store import S3Store

    access = S3Access(
        config.s3_aws_access_key_id,
        config.s3_aws_secret_access_key,
        config.s3_aws_session_token,
        config.s3_aws_profile,
        config.s3_aws_region,
        config.s3_aws_endpoint_url,
        config.blob_s3_public_url,
        config.s3_aws_ca_bundle,
        "" if config.blob_s3_sse == "bucket" else config.blob_s3_sse,
        config.blob_s3_kms_key,
    )
    bucket = Bucket(place, access, may_wait)
    return S3Store(bucket, ids.new_uuid), S3Home(bucket, data_dir)
