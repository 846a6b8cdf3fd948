"""Two server processes over one data store: a directory that both have, and a bucket of S3."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stores.registry import NAME, sha256

pytestmark = pytest.mark.slow
MIB = 1024 * 1024
LARGE = os.urandom(1000) * (20 * MIB // 1000)


@pytest.fixture(params=["directory", "versitygw"])
def nodes(request, serve):
    s3 = request.getfixturevalue("versitygw") if request.param == "versitygw" else None
    first = serve(s3=s3)
    first.ecr.create_repository(repositoryName=NAME)
    return [first, serve(s3=s3)]


def manifest(config: bytes, layer: bytes) -> bytes:
    def descriptor(kind: str, data: bytes) -> dict[str, object]:
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": sha256(data), "size": len(data)}

    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", config),
            "layers": [descriptor("layer.v1.tar", layer)],
        }
    ).encode()


def test_an_upload_goes_on_on_another_node_and_is_pulled_from_both(nodes):
    one, other = nodes
    where = one.begin_upload()
    cuts = [0, MIB, 13 * MIB, len(LARGE)]
    for number in range(3):
        node, piece = nodes[number % 2], LARGE[cuts[number] : cuts[number + 1]]
        span = f"{cuts[number]}-{cuts[number + 1] - 1}"
        answer = node.ask("PATCH", where, piece, {"Content-Range": span})
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{cuts[number + 1] - 1}"), answer.data
        assert nodes[1 - number % 2].ask("GET", where).headers["Range"] == f"0-{cuts[number + 1] - 1}"
    assert other.ask("PUT", f"{where}?digest={sha256(LARGE)}").status == 201
    for node in nodes:
        assert node.pull_layer(sha256(LARGE)).data == LARGE
        part = node.pull_layer(sha256(LARGE), Range=f"bytes={9 * MIB}-{9 * MIB + 99}")
        assert (part.status, part.data) == (206, LARGE[9 * MIB : 9 * MIB + 100])
        assert node.ask("HEAD", f"/v2/{NAME}/blobs/{sha256(LARGE)}").headers["Content-Length"] == str(len(LARGE))


def test_an_image_is_pushed_through_both_nodes(nodes):
    one, other = nodes
    config = b'{"architecture":"amd64","os":"linux"}'
    one.push_layer(config)
    other.push_layer(b"layer")
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    body = manifest(config, b"layer")
    assert one.ask("PUT", f"/v2/{NAME}/manifests/v1", body, kind).status == 201
    assert other.ask("PUT", f"/v2/{NAME}/manifests/v2", body, kind).status == 201
    [found] = one.ecr.describe_images(repositoryName=NAME)["imageDetails"]
    assert sorted(found["imageTags"]) == ["v1", "v2"]
    missing = manifest(config, b"never pushed")
    assert other.ask("PUT", f"/v2/{NAME}/manifests/v3", missing, kind).status == 404


def test_a_node_is_killed_while_a_layer_comes_and_the_other_takes_it_from_the_beginning(nodes):
    one, other = nodes
    kept = other.push_layer(b"acknowledged before")
    where = one.begin_upload()

    def body():
        for start in range(0, len(LARGE), MIB):
            yield LARGE[start : start + MIB]
            time.sleep(0.05)
        one.kill()
        yield b""

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(one.ask, "PATCH", where, body())
        assert isinstance(sending.exception(timeout=60), Exception)
    assert other.pull_layer(kept).data == b"acknowledged before"
    assert other.push_layer(LARGE) == sha256(LARGE)
    assert other.pull_layer(sha256(LARGE)).data == LARGE


def test_both_nodes_push_one_layer_at_once_while_garbage_is_collected(nodes):
    with ThreadPoolExecutor(8) as pool:
        layers = [os.urandom(10) * 1000 for _ in range(4)]
        pushed = pool.map(lambda number: nodes[number % 2].push_layer(layers[number % 4]), range(32))
        assert set(pushed) == {sha256(each) for each in layers}
    for node in nodes:
        assert [node.pull_layer(sha256(each)).data for each in layers] == layers
