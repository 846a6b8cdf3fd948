"""Real clients against a server whose layers are in S3, pulled through it and led to the bucket by 307."""

import re
from collections.abc import Iterator

import pytest

from tests import s3_servers
from tests.e2e import images
from tests.e2e.server import ServerProcess
from tests.e2e.test_docker import build, run_image


@pytest.fixture(scope="module")
def s3() -> Iterator[s3_servers.Versitygw]:
    if not s3_servers.has_versitygw():
        pytest.skip("versitygw is missing: scripts/tools versitygw")
    with s3_servers.versitygw() as running:
        yield running


@pytest.fixture(scope="module", params=["through ecrsim", "redirected"])
def server(request, s3, tmp_path_factory) -> Iterator[ServerProcess]:
    """In the place of the server that other tests share: its clients log in to this one."""
    options = ["--access-log", "--blob-store", f"s3://{s3.new_bucket()}/ecr"]
    if request.param == "redirected":
        # By the name that the registry has: crane follows no redirect from a name to an address of this machine.
        options += ["--blob-redirect", "--blob-s3-public-url", s3.url.replace("127.0.0.1", "localhost")]
    environ = {f"ECRSIM_{name.upper()}": value for name, value in s3.settings.items()}
    running = ServerProcess(tmp_path_factory.mktemp("s3"), *options, **environ)
    running.is_redirecting = request.param == "redirected"
    yield running
    assert running.stop() == 0


def pulled(server: ServerProcess, name: str) -> set[int]:
    """The statuses of the pulls of the repository's layers."""
    found = re.findall(rf"GET /v2/{name}/blobs/sha256:[0-9a-f]+ (\d+)", server.log.read_text())
    return {int(status) for status in found}


def expected(server: ServerProcess) -> set[int]:
    return {307} if server.is_redirecting else {200}


def test_crane(crane, server, create_repository, tmp_path):
    name = create_repository()
    uri = f"{server.registry}/{name}"
    image = images.build_image("by crane, in S3")
    crane("push", str(images.write_layout(tmp_path / "layout", image)), f"{uri}:v1")
    checked = crane.attempt("validate", "--remote", f"{uri}:v1").text
    assert "PASS" in checked, checked
    crane("pull", "--format", "oci", f"{uri}:v1", str(tmp_path / "back"))
    back = tmp_path / "back" / "blobs" / "sha256" / image.digest.removeprefix("sha256:")
    assert back.read_bytes() == image.manifest
    assert pulled(server, name) == expected(server)


def test_skopeo(skopeo, server, create_repository, tmp_path):
    name = create_repository()
    reference = f"docker://{server.registry}/{name}:v1"
    layout = images.write_layout(tmp_path / "layout", images.build_image("by skopeo, in S3"))
    skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:v1", reference)
    skopeo("copy", "--src-tls-verify=false", reference, f"oci:{tmp_path}/back:v1")
    assert pulled(server, name) == expected(server)


def test_docker(docker_logged_in, server, create_repository, tmp_path):
    docker = docker_logged_in
    name = create_repository()
    uri = f"{server.registry}/{name}"
    build(docker, tmp_path, "from a bucket", f"{uri}:v1")
    docker("push", f"{uri}:v1")
    docker("image", "rm", "--force", f"{uri}:v1")
    docker("pull", f"{uri}:v1")
    assert run_image(docker, f"{uri}:v1") == "from a bucket"
    assert pulled(server, name) == expected(server)


def test_regctl_and_oras(regctl, oras, server, create_repository, tmp_path):
    name = create_repository()
    content = tmp_path / "content.bin"
    content.write_bytes(bytes(range(256)) * 4096 * 20)
    oras("push", f"{server.registry}/{name}:v1", "content.bin:application/octet-stream", cwd=tmp_path)
    regctl("image", "copy", f"{server.registry}/{name}:v1", f"{server.registry}/{name}:v2")
    (tmp_path / "back").mkdir()
    oras("pull", "--output", str(tmp_path / "back"), f"{server.registry}/{name}:v2")
    back = tmp_path / "back" / "content.bin"
    assert back.read_bytes() == content.read_bytes()
    assert pulled(server, name) == expected(server)
