"""A server whose blobs are in S3, as clients see it: pulls, redirects, and a bucket that does not answer."""

import os
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import urllib3
from botocore.exceptions import ClientError

from tests.stores.registry import NAME, sha256
from tests.stores.test_nodes import manifest

pytestmark = pytest.mark.slow
MIB = 1024 * 1024
LARGE = os.urandom(1000) * (20 * MIB // 1000)
CONFIG = b'{"architecture":"amd64","os":"linux"}'


def push_image(node, layer: bytes) -> None:
    node.push_layer(CONFIG)
    node.push_layer(layer)
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    answer = node.ask("PUT", f"/v2/{NAME}/manifests/v1", manifest(CONFIG, layer), kind)
    assert answer.status == 201, answer.data


@pytest.fixture
def node(serve, versitygw):
    found = serve(s3=versitygw)
    found.ecr.create_repository(repositoryName=NAME)
    return found


def test_many_pull_at_once_and_one_of_them_slowly(node):
    """Nothing is held up by who takes nothing; `close` of the node looks whether the loop was."""
    push_image(node, LARGE)
    slow = node.ask("GET", f"/v2/{NAME}/blobs/{sha256(LARGE)}", preload_content=False)
    assert slow.read(1000) == LARGE[:1000]
    with ThreadPoolExecutor(8) as pool:
        pulled = list(pool.map(lambda _: node.pull_layer(sha256(LARGE)).data == LARGE, range(24)))
    assert pulled == [True] * 24
    assert node.ecr.describe_images(repositoryName=NAME)["imageDetails"]
    assert slow.read() == LARGE[1000:]


@pytest.mark.parametrize("span", ["bytes=0-0", "bytes=100-", "bytes=-7", f"bytes={len(LARGE) - 1}-"])
def test_ranges(node, span):
    node.push_layer(LARGE)
    answer = node.pull_layer(sha256(LARGE), Range=span)
    first, _, last = span.removeprefix("bytes=").partition("-")
    wanted = LARGE[int(first) : int(last) + 1 if last else None] if first else LARGE[-int(last) :]
    assert (answer.status, answer.data == wanted) == (206, True)
    assert node.pull_layer(sha256(LARGE), Range=f"bytes={len(LARGE)}-").status == 416


def test_a_download_url_streams_through_ecrsim_unless_told_otherwise(node):
    push_image(node, LARGE)
    url = node.ecr.get_download_url_for_layer(repositoryName=NAME, layerDigest=sha256(LARGE))["downloadUrl"]
    assert url.startswith(f"{node.url}/_download/")
    assert urllib3.PoolManager().request("GET", url).data == LARGE


def test_a_redirected_pull_is_led_to_the_bucket(serve, versitygw):
    node = serve("--blob-redirect", s3=versitygw)
    node.ecr.create_repository(repositoryName=NAME)
    push_image(node, LARGE)
    answer = node.pull_layer(sha256(LARGE))
    where = answer.headers["Location"]
    assert (answer.status, urlsplit(where).netloc) == (307, urlsplit(versitygw.url).netloc)
    assert "X-Amz-Expires=3600" in where
    http = urllib3.PoolManager()
    assert http.request("GET", where).data == LARGE
    part = http.request("GET", where, headers={"Range": "bytes=5-9"})
    assert (part.status, part.data) == (206, LARGE[5:10])
    url = node.ecr.get_download_url_for_layer(repositoryName=NAME, layerDigest=sha256(LARGE))["downloadUrl"]
    assert urlsplit(url).netloc == urlsplit(versitygw.url).netloc
    assert http.request("GET", url).data == LARGE
    assert node.ask("HEAD", f"/v2/{NAME}/blobs/{sha256(LARGE)}").status == 200
    assert node.pull_layer(sha256(b"never pushed")).status == 404


def test_a_bucket_that_does_not_answer_is_503_and_loses_nothing(serve, versitygw):
    node = serve(s3=versitygw)
    node.ecr.create_repository(repositoryName=NAME)
    push_image(node, b"acknowledged")
    where = node.begin_upload()
    assert node.ask("PATCH", where, b"first half, ").status == 202
    versitygw.kill()
    try:
        answers = [
            node.ask("GET", f"/v2/{NAME}/blobs/{sha256(b'acknowledged')}"),
            node.ask("GET", where),
            node.ask("PATCH", where, b"second half"),
            node.ask("PUT", f"{where}?digest={sha256(b'first half, second half')}"),
            node.ask("POST", f"/v2/{NAME}/blobs/uploads/"),
        ]
        assert [(each.status, each.headers.get("Retry-After")) for each in answers] == [(503, "1")] * len(answers)
        with pytest.raises(ClientError) as error:
            node.ecr.initiate_layer_upload(repositoryName=NAME)
        metadata = error.value.response["ResponseMetadata"]
        assert (metadata["HTTPStatusCode"], metadata["HTTPHeaders"]["retry-after"]) == (503, "1")
        assert node.ask("GET", f"/v2/{NAME}/manifests/v1").status == 200, "what is in the database is answered"
    finally:
        versitygw.start()
    assert node.pull_layer(sha256(b"acknowledged")).data == b"acknowledged"
    answer = node.ask("GET", where)
    assert (answer.status, answer.headers["Range"]) == (204, "0-11")
    assert node.ask("PATCH", where, b"second half").status == 202
    assert node.ask("PUT", f"{where}?digest={sha256(b'first half, second half')}").status == 201
    assert node.pull_layer(sha256(b"first half, second half")).data == b"first half, second half"


def test_a_server_does_not_start_over_a_bucket_that_is_not_there(serve, versitygw, tmp_path):
    from tests.faults.serving import NotServing, Serving

    settings = {**versitygw.settings, "blob_store": "s3://no-such-bucket/ecr"}
    with pytest.raises(NotServing, match="NoSuchBucket"):
        Serving(tmp_path / "other", **settings)
