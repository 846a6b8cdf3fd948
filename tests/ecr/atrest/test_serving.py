"""Encrypted layers from the server itself: what is wrong behind the status breaks the connection."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecrsim.testing import build_image, client_over_socket, push_image
from tests.answers import ACCOUNT, REGION
from tests.ecr.atrest.conftest import blob_files
from tests.faults.serving import Serving
from tests.pushing import create

LAYER = os.urandom(1 << 20) * 6
IMAGE = build_image(LAYER)
DIGEST = list(IMAGE.blobs)[1]


@pytest.fixture
def served(data_dir: Path) -> Iterator[tuple[Serving, Any]]:
    server = Serving(data_dir, encrypt="1")
    try:
        yield server, client_over_socket("ecr", server.url, region=REGION, account=ACCOUNT)
    finally:
        server.kill()


def pulled(server: Serving, ecr: Any, **headers: str) -> tuple[int, bytes, bool]:
    """Status, bytes that came, and whether all came that were announced."""
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("GET", f"/v2/app/blobs/{DIGEST}", headers={"Authorization": f"Basic {token}", **headers})
        with closing(connection.getresponse()) as answer:
            try:
                return answer.status, answer.read(), True
            except http.client.IncompleteRead as error:
                return answer.status, error.partial, False


def test_a_turned_bit_behind_the_status_ends_the_body_too_early(served: tuple[Serving, Any], data_dir: Path):
    server, ecr = served
    create(ecr)
    push_image(ecr, "app", IMAGE, "v1")
    assert pulled(server, ecr) == (200, LAYER, True)
    assert pulled(server, ecr, Range="bytes=3000000-4999999") == (206, LAYER[3_000_000:5_000_000], True)
    (file,) = blob_files(data_dir, DIGEST)
    content = bytearray(file.read_bytes())
    content[4 << 20] ^= 1
    file.write_bytes(content)
    status, body, is_whole = pulled(server, ecr)
    assert (status, is_whole) == (200, False)
    assert LAYER.startswith(body)
    assert pulled(server, ecr, Range="bytes=0-999999") == (206, LAYER[:1_000_000], True)
    assert pulled(server, ecr, Range="bytes=4150000-4150010")[0] == 404, "the frame of the turned bit"
