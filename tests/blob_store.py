"""Which blob store the tests run on: `TEST_BLOB_STORE`, directory or s3.

In S3 every ecrsim that would keep its blobs in its data directory has a prefix of that directory instead, in a bucket
of versitygw that is started once for the whole run, or of moto where versitygw is missing.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from ecrsim.config import Config
from tests import s3_servers

BLOB_STORE = os.environ.get("TEST_BLOB_STORE") or "directory"
#: URL and bucket of the run, for its worker processes too.
_SERVER, _BUCKET = "TEST_S3_URL", "TEST_S3_BUCKET"


def settings() -> dict[str, str]:
    """How an ecrsim reaches the bucket of the run."""
    return {
        "s3_aws_endpoint_url": os.environ[_SERVER],
        "s3_aws_access_key_id": s3_servers.ACCESS_KEY,
        "s3_aws_secret_access_key": s3_servers.SECRET_KEY,
    }


def use_s3(config: pytest.Config) -> None:
    if _SERVER not in os.environ:
        held = ExitStack()
        server = held.enter_context(s3_servers.versitygw() if s3_servers.has_versitygw() else s3_servers.moto())
        os.environ |= {_SERVER: server.url, _BUCKET: server.new_bucket()}
        config.add_cleanup(held.close)
    Config.blob_store_in = _place_in  # type: ignore[method-assign]
    # What a setting is where a test does not say: the URL of the store alone would not do.
    defaults = Config.__init__.__kwdefaults__
    assert defaults is not None
    defaults.update(settings())


_chosen = Config.blob_store_in


def _place_in(self: Config, data_dir: Path) -> str:
    if self.blob_store:
        return _chosen(self, data_dir)
    name = hashlib.sha256(os.path.realpath(data_dir).encode()).hexdigest()[:20]
    return f"s3://{os.environ[_BUCKET]}/{name}"
