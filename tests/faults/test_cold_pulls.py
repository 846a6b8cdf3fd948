"""Many first pulls through a cache at a real server, whose upstream is slow, gives pieces of any size and breaks off.

Each body has the length that was promised and the bytes of its digest, however far its reader is behind.
"""

from __future__ import annotations

import http.client
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ecrsim.core.digest import digest_of
from ecrsim.testing import BuiltImage, build_image
from tests.core.upstream.servers import Handler, Registry, serving
from tests.faults.client import Client
from tests.faults.serving import Serving

IMAGES, LAYERS = 30, 3
#: Bytes a second, of one layer.
RATE = 150_000_000


class Uneven(Registry):
    """A registry that gives blobs at a bounded speed in uneven pieces, every other one with a break in it."""

    def __init__(self, images: list[BuiltImage], chance: random.Random) -> None:
        super().__init__({"library/app": {f"v{number}": image for number, image in enumerate(images)}})
        self._chance = chance
        self._blobs = {digest: data for image in images for digest, data in image.blobs.items()}

    def __call__(self, handler: Handler) -> object:
        data = self._blobs.get(handler.path.rpartition("/")[2])
        if data is None or handler.command == "HEAD" or handler.headers.get("Range"):
            return super().__call__(handler)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        end = self._chance.randrange(len(data)) if self._chance.random() < 0.5 else len(data)
        sent, began = 0, time.monotonic()
        while sent < end:
            piece = data[sent : min(end, sent + self._chance.choice((1000, 16_384, 65_536, 262_144, 700_000)))]
            handler.wfile.write(piece)
            sent += len(piece)
            time.sleep(max(0.0, sent / RATE - (time.monotonic() - began)))
        return None if end == len(data) else handler.cut()


def pull(server: Serving, token: str, digests: list[str]) -> list[str]:
    """What is wrong with these layers, pulled over one connection that is kept."""
    connection, wrong = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60), []
    try:
        for digest in digests:
            path = f"/v2/cache/library/app/blobs/{digest}"
            connection.request("GET", path, headers={"Authorization": f"Basic {token}"})
            answer = connection.getresponse()
            try:
                content = answer.read()
            except http.client.IncompleteRead as error:
                wrong.append(f"{digest} ended {error.expected} bytes short after {len(error.partial)}")
                break
            if answer.status != 200 or digest_of(content) != digest:
                wrong.append(f"{digest}: {answer.status}, {len(content)} bytes of {digest_of(content)}")
    finally:
        connection.close()
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_no_first_pull_ends_short(tmp_path: Path, workers: int) -> None:
    chance = random.Random(20261129 + workers)  # noqa: S311 - nothing here is a secret
    images = [
        build_image(*(chance.randbytes(chance.randrange(200_000, 1_500_000)) for _ in range(LAYERS)))
        for _ in range(IMAGES)
    ]
    with (
        serving(Uneven(images, chance)) as upstream,
        Serving(tmp_path / "data", workers=workers, upstream=f"quay.io={upstream.url}") as server,
        ThreadPoolExecutor(LAYERS) as pool,
    ):
        client = Client(server.url)
        client.api("CreatePullThroughCacheRule", ecrRepositoryPrefix="cache", upstreamRegistryUrl="quay.io")
        token = client.token()
        for number, image in enumerate(images):
            assert client.registry("GET", f"cache/library/app/manifests/v{number}").body == image.manifest
            digests = list(image.blobs)
            # Each asks for them in another order, so that they read beside each other and join in the middle.
            orders = [digests[first:] + digests[:first] for first in range(LAYERS)]
            assert list(pool.map(lambda order: pull(server, token, order), orders)) == [[]] * LAYERS
        client.close()
        assert server.stop() == 0
