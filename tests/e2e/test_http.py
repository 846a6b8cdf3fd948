"""HTTP as registry clients use it, against the server that users run: bodies, connections, early errors."""

import hashlib
import json
import os
import socket

import pytest

from tests.e2e import images
from tests.e2e.clients import Client
from tests.e2e.connection import Connection, Uploads

MEBIBYTE = 1024 * 1024


@pytest.fixture
def connection(server):
    with Connection(server) as opened:
        yield opened


@pytest.fixture
def uploads(server, create_repository):
    return Uploads(server, create_repository("wire"))


@pytest.fixture
def pushed(server, uploads):
    """An image with the tag `v1` in the repository of `uploads`."""
    image = images.build_image("on the wire")
    for content in (image.config, image.layer):
        uploads.finish(uploads.begin(), content, content, 0)
    server.client().put_image(repositoryName=uploads.repository, imageManifest=image.manifest.decode(), imageTag="v1")
    return image


def test_head_tells_what_get_gives_on_one_connection(connection, uploads, pushed):
    base = f"/v2/{uploads.repository}"
    for path, content in (
        (f"{base}/manifests/v1", pushed.manifest),
        (f"{base}/blobs/{images.digest(pushed.layer)}", pushed.layer),
    ):
        head = connection.ask("HEAD", path)
        found = connection.ask("GET", path)
        assert (head.status, found.status, found.body) == (200, 200, content)
        assert head.headers["content-length"] == str(len(content))
        for name in ("content-type", "docker-content-digest", "content-length", "etag"):
            assert head.headers[name] == found.headers[name]
    # Errors too: a body after the head of a HEAD would be taken for the next answer.
    for path in (f"{base}/manifests/absent", f"{base}/blobs/{images.digest(b'absent')}", "/v2/e2e/none/manifests/v1"):
        assert connection.ask("HEAD", path).status == 404
        assert connection.ask("GET", path).status == 404


def test_digests_and_names_may_be_percent_encoded(connection, uploads, pushed):
    escaped = images.digest(pushed.layer).replace(":", "%3A")
    assert connection.ask("GET", f"/v2/{uploads.repository}/blobs/{escaped}").body == pushed.layer
    escaped = pushed.digest.replace(":", "%3a")
    assert connection.ask("GET", f"/v2/{uploads.repository}/manifests/{escaped}").body == pushed.manifest
    escaped = uploads.repository.replace("/", "%2F")
    assert json.loads(connection.ask("GET", f"/v2/{escaped}/tags/list").body)["tags"] == ["v1"]


def test_several_accept_lines_are_one_list(connection, uploads, pushed):
    lines = [("Accept", kind) for kind in (images.DOCKER_MANIFEST, images.MANIFEST, images.INDEX, "application/json")]
    found = connection.ask("GET", f"/v2/{uploads.repository}/manifests/v1", *lines)
    assert (found.status, found.headers["content-type"], found.body) == (200, images.MANIFEST, pushed.manifest)


def test_the_ping_needs_no_slash(launch):
    """At a server of its own: one that has public repositories challenges with Bearer."""
    with Connection(launch()) as connection:
        for path in ("/v2", "/v2/"):
            challenged = connection.ask("GET", path, logged_in=False)
            assert challenged.status == 401
            assert challenged.headers["www-authenticate"].startswith('Basic realm="http://localhost/"')
            assert connection.ask("GET", path).status == 200


def test_a_stream_in_chunks_of_any_size(connection, uploads):
    pieces = [os.urandom(size) for size in (1, 70_000, 3, 600_000, 4096)]
    location = uploads.begin()
    connection.begin("PATCH", location, ("Transfer-Encoding", "chunked"))
    for piece in (*pieces, b""):
        connection.send_chunk(piece)
    patched = connection.reply()
    content = b"".join(pieces)
    assert (patched.status, patched.headers["range"]) == (202, f"0-{len(content) - 1}")
    uploads.finish(patched.headers["location"], b"", content, 0)


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
def test_an_upload_goes_on_after_the_client_vanished(server, uploads, chunked):
    content = os.urandom(3 * MEBIBYTE)
    sent = 2 * MEBIBYTE
    location = uploads.begin()
    with Connection(server) as connection:
        if chunked:
            connection.begin("PATCH", location, ("Transfer-Encoding", "chunked"))
            connection.send_chunk(content[:sent])
        else:
            connection.begin("PATCH", location, ("Content-Length", len(content)))
            connection.send(content[:sent])
        # The end of sending, in the middle of the body; the server closes once it has noticed.
        connection.socket.shutdown(socket.SHUT_WR)
        while connection.stream.read(4096):
            pass
    assert uploads.range(location) == f"0-{sent - 1}"
    uploads.finish(location, content[sent:], content, sent)


def test_an_upload_goes_on_after_a_restart(launch, tmp_path):
    content = os.urandom(MEBIBYTE)
    server = launch(folder=tmp_path / "served")
    server.client().create_repository(repositoryName="e2e/resumed")
    before = Uploads(server, "e2e/resumed")
    location = before.begin()
    with Connection(server) as connection:
        connection.begin("PATCH", location, ("Content-Length", 1000))
        connection.send(content[:1000])
        assert connection.reply().status == 202
    assert server.stop() == 0
    after = Uploads(launch(folder=tmp_path / "served"), "e2e/resumed")
    assert after.range(location) == "0-999"
    after.finish(location, content[1000:], content, 1000)


UNWANTED = {
    "no login": ("PATCH", "{upload}", (), False, 401),
    "no such upload": ("PATCH", "/v2/{name}/blobs/uploads/00000000-0000-4000-8000-000000000000", (), True, 404),
    "no such repository": ("PUT", "/v2/e2e/none/blobs/uploads/00000000-0000-4000-8000-000000000000", (), True, 404),
    "wrong offset": ("PATCH", "{upload}", (("Content-Range", f"7-{30 * MEBIBYTE + 6}"),), True, 416),
    "too large a manifest": ("PUT", "/v2/{name}/manifests/v1", (("Content-Type", images.MANIFEST),), True, 413),
    "no call of the API": ("POST", "/", (("Content-Type", "text/plain"),), False, 404),
}


@pytest.mark.parametrize(("method", "path", "headers", "logged_in", "status"), UNWANTED.values(), ids=UNWANTED)
def test_an_early_error_is_read_by_a_client_that_is_still_sending(
    connection, uploads, method, path, headers, logged_in, status
):
    """The answer comes before the end of the body, which is then read to its end: docker would report a reset."""
    size = 30 * MEBIBYTE
    path = path.format(upload=uploads.begin(), name=uploads.repository)
    connection.begin(method, path, *headers, ("Content-Length", size), logged_in=logged_in)
    connection.send(bytes(size // 2))
    assert connection.reply().status == status
    connection.send(bytes(size // 2))
    assert connection.ask("GET", "/v2/").status == 200


def test_an_early_error_to_a_stream_ends_the_connection_after_the_stream(connection):
    path = "/v2/e2e/none/blobs/uploads/00000000-0000-4000-8000-000000000000"
    connection.begin("PATCH", path, ("Transfer-Encoding", "chunked"))
    connection.send_chunk(bytes(MEBIBYTE))
    refused = connection.reply()
    assert (refused.status, refused.headers["connection"]) == (404, "close")
    for _ in range(20):
        connection.send_chunk(bytes(MEBIBYTE))
    connection.send_chunk(b"")
    assert connection.ended()


def test_a_body_is_asked_for_before_it_is_sent(connection, uploads):
    content = os.urandom(5000)
    path = f"{uploads.begin()}?digest={images.digest(content)}"
    connection.begin("PUT", path, ("Expect", "100-continue"), ("Content-Length", len(content)))
    assert connection.reply().status == 100
    connection.send(content)
    assert connection.reply().status == 201
    assert uploads.pull(images.digest(content)) == content


def test_a_body_that_is_not_wanted_is_not_asked_for(connection, uploads):
    head = (("Expect", "100-continue"), ("Content-Length", 5000))
    connection.begin("PUT", f"{uploads.begin()}?digest={images.digest(b'')}", *head, logged_in=False)
    refused = connection.reply()
    assert (refused.status, refused.headers["connection"]) == (401, "close")
    assert connection.ended()


def test_one_connection_carries_many_requests(connection, uploads, pushed):
    for number in range(200):
        if number % 2:
            connection.begin("PUT", f"/v2/{uploads.repository}/manifests/v1", ("Content-Length", 3), logged_in=False)
            connection.send(b"{ }")
            assert connection.reply().status == 401
        else:
            assert connection.ask("GET", f"/v2/{uploads.repository}/manifests/v1").body == pushed.manifest


def test_idle_connections_keep_nobody_out(server):
    """Each client of each test run holds some; the server must not count them as requests."""
    held = []
    try:
        for _ in range(300):
            held.append(Connection(server))
            assert held[-1].ask("GET", "/v2/").status == 200
        with Connection(server) as another:
            assert another.ask("GET", "/v2/").status == 200
        assert held[0].ask("GET", "/v2/").status == 200
    finally:
        for connection in held:
            connection.close()


def test_localhost_is_served_by_ipv6_as_well(server, uploads):
    if not ipv6_loopback():
        pytest.skip("this machine has no ::1")
    content = os.urandom(8 * MEBIBYTE)
    with Connection(server, "::1") as connection:
        connection.begin("PATCH", uploads.begin(), ("Content-Length", len(content)))
        connection.send(content)
        patched = connection.reply()
        assert patched.status == 202
        uploads.finish(patched.headers["location"], b"", content, 0)
        pulled = connection.ask("GET", f"/v2/{uploads.repository}/blobs/{images.digest(content)}")
        assert hashlib.sha256(pulled.body).digest() == hashlib.sha256(content).digest()


def ipv6_loopback():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_docker_shows_why_a_layer_is_refused_while_it_streams(launch, docker, tmp_path):
    settings = tmp_path / "ecrsim.toml"
    settings.write_text(f"quota_layer_size = {MEBIBYTE}\n")
    server = launch("--config", str(settings))
    server.client().create_repository(repositoryName="e2e/quota")
    docker("login", "--username", "AWS", "--password-stdin", server.registry, stdin=server.password())
    context = images.write_context(tmp_path / "context", "too large")
    (context / "random").write_bytes(os.urandom(40 * MEBIBYTE))
    with (context / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("COPY random /random\n")
    image = f"{server.registry}/e2e/quota:v1"
    docker("build", f"--tag={image}", str(context))
    printed = docker.refuses("push", image)
    docker("image", "rm", "--force", image)
    assert f"denied: A layer can have {MEBIBYTE} bytes at most" in printed


def test_curl_uploads_a_file_as_it_comes(curl: Client, server, uploads, tmp_path):
    """curl asks with Expect before it sends a megabyte or more."""
    file = tmp_path / "layer"
    file.write_bytes(os.urandom(4 * MEBIBYTE))
    digest = images.digest(file.read_bytes())
    url = f"{server.url}{uploads.begin()}?digest={digest}"
    login = ("--user", f"AWS:{server.password()}")
    assert curl(*login, "--upload-file", str(file), "--write-out", "%{http_code}", url).endswith("201")
    assert uploads.pull(digest) == file.read_bytes()
    refused = curl("--upload-file", str(file), "--write-out", "%{http_code}", f"{server.url}{uploads.begin()}")
    assert refused == "Not Authorized\n401"
