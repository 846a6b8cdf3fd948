"""A cache that encrypts at rest: while a layer comes and afterwards, no file shows a byte of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecrsim.testing import build_image
from tests.core.upstream.servers import Registry
from tests.ecr.atrest.conftest import IMAGE, LAYER, LAYER_DIGEST, blob_files, shows
from tests.ecr.pullthrough.test_streaming import begin, rest, taken
from tests.keys import change_key, encrypted, make_key

BLOB = f"/v2/cache/library/app/blobs/{LAYER_DIGEST}"
#: Two frames and a part of the third.
BEGUN = 600_000


class Slow:
    """A registry that gives the layer to `BEGUN`, and the rest when it is let go."""

    def __init__(self) -> None:
        self.registry = Registry({"library/app": {"v1": IMAGE, "v2": build_image(LAYER, config=b"{}")}})
        self.go = threading.Event()

    def __call__(self, handler: Any) -> Any:
        if not handler.path.endswith(LAYER_DIGEST) or handler.command == "HEAD":
            return self.registry(handler)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(LAYER)))
        handler.end_headers()
        handler.wfile.write(LAYER[:BEGUN])
        handler.wfile.flush()
        self.go.wait(30)
        handler.wfile.write(LAYER[BEGUN:])
        return None


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.go.set()


@pytest.mark.parametrize("options", [{}, encrypted()], ids=["AES256", "KMS"])
def test_a_layer_is_given_while_it_comes_and_nothing_shows_it(
    cache: Callable[..., Any], slow: Slow, tmp_path: Path, options: dict[str, Any]
):
    found = cache(slow, encrypt=True, data_dir=str(tmp_path))
    found.rule()
    found.ecr.create_repository(repositoryName="cache/library/app", **options)
    assert found.ask("GET", "/v2/cache/library/app/manifests/v1").body == IMAGE.manifest
    answer = begin(found, BLOB)
    got = taken(answer, 1)
    assert shows(tmp_path) == []
    slow.go.set()
    assert got + rest(answer) == LAYER
    found.settle()
    assert found.whole("v1") == IMAGE.blobs
    assert shows(tmp_path) == []
    assert len(blob_files(tmp_path)) == 1


def test_a_key_that_is_shut_while_a_layer_comes(cache: Callable[..., Any], slow: Slow, tmp_path: Path):
    """What has begun comes to its end; nothing begins until the key is back."""
    found = cache(slow, encrypt=True, data_dir=str(tmp_path))
    found.rule()
    key = make_key(found.sim)
    found.ecr.create_repository(repositoryName="cache/library/app", **encrypted(key))
    assert found.ask("GET", "/v2/cache/library/app/manifests/v1").body == IMAGE.manifest
    answer = begin(found, BLOB)
    got = taken(answer, 1)
    change_key(found.sim, "disable", key)
    assert found.ask("GET", "/v2/cache/library/app/manifests/v1").status == 403
    assert found.ask("GET", BLOB).status == 403
    change_key(found.sim, "enable", key)
    slow.go.set()
    assert got + rest(answer) == LAYER
    found.settle()
    assert found.whole("v1") == IMAGE.blobs
