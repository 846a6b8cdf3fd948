"""ECR Public with real clients: pushes after a login, pulls without, by `public.ecr.aws` with TLS and by path.

Nobody's hosts file is written to: clients reach the name through a proxy that leads every host to the server.
"""

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ecrsim.testing import build_image
from tests.e2e import daemon, images
from tests.e2e.clients import Client, clean_environ, find, require
from tests.e2e.test_https import free_port

HOST = "public.ecr.aws"


class Tunnel:
    """A proxy for CONNECT that leads every name to one port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.asked: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(4096)
                if not piece:
                    return
                head += piece
            self.asked.append(head.split()[1].decode())
            with socket.create_connection(("127.0.0.1", self.port)) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
                back.start()
                _pass_on(client, server)
                back.join(60)

    def close(self) -> None:
        self.listener.close()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def site(launch, tmp_path_factory):
    """A server that is called as AWS's, its authority, and the environment in which clients reach it by name."""
    port = free_port()
    server = launch("--registry-host", "aws", "--tls", "--tls-port", str(port))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ECRSIM_")}
    command = [sys.executable, "-m", "ecrsim", "tls", "ca", "--data-dir", str(server.folder / "data")]
    printed = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout
    folder = tmp_path_factory.mktemp("authority")
    (folder / "ca.crt").write_text(printed)
    tunnel = Tunnel(port)
    trust = {"SSL_CERT_FILE": str(folder / "ca.crt"), "SSL_CERT_DIR": str(folder)}
    yield server, tunnel, {**trust, "HTTPS_PROXY": tunnel.url, "NO_PROXY": "localhost,127.0.0.1"}
    tunnel.close()


@pytest.fixture
def reached(site, tmp_path):
    """Two environments with a home each: of who logs in, and of anybody."""
    _, _, how = site
    return [{**clean_environ(tmp_path / name), **how} for name in ("me", "anybody")]


def repository(server, name):
    """A public repository; `<alias>/<name>`, of a server that is called as AWS's."""
    uri = server.client("ecr-public").create_repository(repositoryName=name)["repository"]["repositoryUri"]
    return str(uri).partition("/")[2]


def password(server):
    token = server.client("ecr-public").get_authorization_token()["authorizationData"]["authorizationToken"]
    return base64.b64decode(token).decode().removeprefix("AWS:")


def log_in(client, server, registry, *words):
    client(*words, registry, "--username", "AWS", "--password-stdin", stdin=password(server))


def package(helm, folder):
    """A chart as `web-1.0.0.tgz`."""
    (folder / "web").mkdir()
    (folder / "web" / "Chart.yaml").write_text("apiVersion: v2\nname: web\nversion: 1.0.0\n")
    helm("package", "web", cwd=folder)


def digests(server, name):
    return [
        each["imageDigest"] for each in server.client("ecr-public").describe_images(repositoryName=name)["imageDetails"]
    ]


class TestByName:
    def test_crane(self, site, reached, tmp_path):
        server, tunnel, _ = site
        mine, anybody = (Client((require("crane"),), environ) for environ in reached)
        uri = f"{HOST}/{repository(server, 'by-crane')}"
        layout = str(images.write_layout(tmp_path / "layout", image := images.build_image("by crane")))
        assert "401 Unauthorized" in anybody.refuses("push", layout, f"{uri}:v1")
        log_in(mine, server, HOST, "auth", "login")
        mine("push", layout, f"{uri}:v1")
        assert anybody("digest", f"{uri}:v1").strip() == image.digest == digests(server, "by-crane")[0]
        anybody("pull", f"{uri}:v1", str(tmp_path / "pulled.tar"))
        assert anybody("ls", uri).split() == ["v1"]
        assert f"{HOST}:443" in tunnel.asked

    def test_oras(self, site, reached, tmp_path):
        server, _, _ = site
        mine, anybody = (Client((require("oras"),), environ) for environ in reached)
        uri = f"{HOST}/{repository(server, 'by-oras')}"
        (tmp_path / "bill.json").write_text("{}")
        log_in(mine, server, HOST, "login")
        mine("push", f"{uri}:v1", "bill.json:application/json", cwd=tmp_path)
        mine("attach", "--artifact-type", "application/vnd.example.bill", f"{uri}:v1", "bill.json", cwd=tmp_path)
        anybody("pull", f"{uri}:v1", "--output", str(tmp_path / "back"))
        assert (tmp_path / "back" / "bill.json").read_text() == "{}"
        assert "application/vnd.example.bill" in anybody("discover", f"{uri}:v1")

    def test_helm(self, site, reached, tmp_path):
        server, _, _ = site
        mine, anybody = (Client((require("helm"),), environ) for environ in reached)
        name = repository(server, "charts/web")
        package(mine, tmp_path)
        log_in(mine, server, HOST, "registry", "login")
        mine("push", "web-1.0.0.tgz", f"oci://{HOST}/{name.removesuffix('/web')}", cwd=tmp_path)
        (tmp_path / "web-1.0.0.tgz").unlink()
        anybody("pull", f"oci://{HOST}/{name}", "--version", "1.0.0", cwd=tmp_path)
        assert (tmp_path / "web-1.0.0.tgz").is_file()

    def test_docker_logs_in_as_aws_documents_it(self, site, reached, tmp_path):
        """By `aws ecr-public get-login-password | docker login public.ecr.aws`; the daemon trusts the authority."""
        server, _, how = site
        program, docker = find("dockerd"), require("docker")
        if program is None or os.geteuid() != 0:
            pytest.skip("dockerd is not installed, or may not be started")
        private = daemon.PrivateDaemon(program, "vfs", how)
        try:
            mine, anybody = (
                Client((docker,), {**environ, "DOCKER_HOST": private.host, "DOCKER_BUILDKIT": "0"})
                for environ in reached
            )
            keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_PAGER": ""}
            aws = Client(
                (require("aws"), "--endpoint-url", server.url, "--region", "us-east-1"), {**reached[0], **keys}
            )
            given = aws("ecr-public", "get-login-password").strip()
            uri = f"{HOST}/{repository(server, 'by-docker')}:v1"
            mine("build", f"--tag={uri}", str(images.write_context(tmp_path / "context", "by docker")))
            assert anybody.attempt("push", uri).status != 0
            mine("login", "--username", "AWS", "--password-stdin", HOST, stdin=given)
            mine("push", uri)
            mine("image", "rm", "--force", uri)
            anybody("pull", uri)
        finally:
            private.stop()


class TestByPath:
    def test_crane_and_oras(self, server, home, tmp_path):
        mine = Client((require("crane"),), clean_environ(tmp_path / "me"))
        anybody = Client((require("crane"),), home)
        uri = server.client("ecr-public").create_repository(repositoryName="path/by-crane")["repository"][
            "repositoryUri"
        ]
        assert uri.startswith(f"{server.registry}/public/")
        layout = str(images.write_layout(tmp_path / "layout", image := images.build_image("by path")))
        log_in(mine, server, server.registry, "auth", "login")
        mine("push", layout, f"{uri}:v1")
        assert anybody("digest", f"{uri}:v1").strip() == image.digest
        anybody("pull", f"{uri}:v1", str(tmp_path / "pulled.tar"))
        oras = Client((require("oras"),), home)
        assert oras("resolve", f"{uri}:v1").strip() == image.digest

    def test_helm(self, server, tmp_path):
        mine, anybody = (Client((require("helm"),), clean_environ(tmp_path / name)) for name in ("me", "anybody"))
        created = server.client("ecr-public").create_repository(repositoryName="path/charts/web")["repository"]
        uri = created["repositoryUri"]
        package(mine, tmp_path)
        login = ("--username", "AWS", "--password-stdin", "--plain-http")
        mine("registry", "login", server.registry, *login, stdin=password(server))
        mine("push", "web-1.0.0.tgz", f"oci://{uri.removesuffix('/web')}", "--plain-http", cwd=tmp_path)
        (tmp_path / "web-1.0.0.tgz").unlink()
        anybody("pull", f"oci://{uri}", "--version", "1.0.0", "--plain-http", cwd=tmp_path)
        assert (tmp_path / "web-1.0.0.tgz").is_file()

    def test_docker(self, server, docker, tmp_path):
        created = server.client("ecr-public").create_repository(repositoryName="path/by-docker")["repository"]
        uri = f"{created['repositoryUri']}:v1"
        docker("login", "--username", "AWS", "--password-stdin", server.registry, stdin=password(server))
        docker("build", f"--tag={uri}", str(images.write_context(tmp_path / "context", "by path")))
        docker("push", uri)
        docker("logout", server.registry)
        docker("image", "rm", "--force", uri)
        docker("pull", uri)
        assert docker.attempt("push", uri).status != 0

    def test_private_repositories_beside_it_are_as_before(self, server, docker, create_repository, tmp_path):
        """The name challenges with Bearer by now, for both."""
        with contextlib.suppress(server.client("ecr-public").exceptions.RepositoryAlreadyExistsException):
            server.client("ecr-public").create_repository(repositoryName="path/first")
        uri = f"{server.registry}/{create_repository()}:v1"
        docker("build", f"--tag={uri}", str(images.write_context(tmp_path / "context", "private")))
        assert docker.attempt("push", uri).status != 0
        docker("login", "--username", "AWS", "--password-stdin", server.registry, stdin=server.password())
        docker("push", uri)
        docker("image", "rm", "--force", uri)
        docker("pull", uri)
        docker("logout", server.registry)
        docker("image", "rm", "--force", uri)
        assert docker.attempt("pull", uri).status != 0


def test_docker_pulls_a_public_image_through_a_private_cache(server, docker_logged_in, tmp_path):
    public = server.client("ecr-public")
    uri = public.create_repository(repositoryName="cached")["repository"]["repositoryUri"]
    crane = Client((require("crane"),), clean_environ(tmp_path / "me"))
    log_in(crane, server, server.registry, "auth", "login")
    image = images.build_image("cached")
    crane("push", str(images.write_layout(tmp_path / "layout", image)), f"{uri}:v1")
    rule = {"ecrRepositoryPrefix": "aws-public", "upstreamRegistryUrl": HOST}
    server.client().create_pull_through_cache_rule(**rule)
    docker_logged_in("pull", f"{server.registry}/aws-public/{uri.split('/', 2)[2]}:v1")
    [found] = server.client().describe_images(repositoryName=f"aws-public/{uri.split('/', 2)[2]}")["imageDetails"]
    assert found["imageDigest"] == image.digest


def test_the_aws_cli_calls_every_operation(server, home, tmp_path):
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_PAGER": ""}
    words = ("--endpoint-url", server.url, "--region", "us-east-1", "--output", "text", "ecr-public")
    aws = Client((require("aws"), *words), {**home, **keys})
    here = ("--repository-name", "by/cli")
    arn = aws("create-repository", *here, "--query", "repository.repositoryArn").strip()
    assert arn == "arn:aws:ecr-public::000000000000:repository/by/cli"
    aws("tag-resource", "--resource-arn", arn, "--tags", "Key=team,Value=blue")
    assert aws("list-tags-for-resource", "--resource-arn", arn).split() == ["TAGS", "team", "blue"]
    aws("put-repository-catalog-data", *here, "--catalog-data", "description=Short,architectures=ARM")
    assert "Short" in aws("get-repository-catalog-data", *here)
    aws("put-registry-catalog-data", "--display-name", "Us")
    assert "Us" in aws("get-registry-catalog-data")
    assert "ACTIVE" in aws("describe-registries")
    assert aws("describe-images", *here).strip() == ""
    assert aws("describe-image-tags", *here).strip() == ""
    assert "by/cli" in aws("describe-repositories", "--repository-names", "by/cli")
    image = build_image(b"by the AWS CLI")
    for digest, data in image.blobs.items():
        (tmp_path / "layer").write_bytes(data)
        upload = ("--upload-id", aws("initiate-layer-upload", *here, "--query", "uploadId").strip())
        part = ("--part-first-byte", "0", "--part-last-byte", str(len(data) - 1))
        aws("upload-layer-part", *here, *upload, *part, "--layer-part-blob", f"fileb://{tmp_path / 'layer'}")
        assert digest in aws("complete-layer-upload", *here, *upload, "--layer-digests", digest)
        assert "AVAILABLE" in aws("batch-check-layer-availability", *here, "--layer-digests", digest)
    (tmp_path / "manifest").write_bytes(image.manifest)
    aws("put-image", *here, "--image-tag", "v1", "--image-manifest", f"file://{tmp_path / 'manifest'}")
    assert image.digest in aws("describe-images", *here)
    assert "v1" in aws("describe-image-tags", *here)
    allow = {"Effect": "Allow", "Principal": "*", "Action": "ecr-public:DescribeImages"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    aws("set-repository-policy", *here, "--policy-text", policy)
    assert "ecr-public:DescribeImages" in aws("get-repository-policy", *here)
    aws("delete-repository-policy", *here)
    assert "RepositoryPolicyNotFoundException" in aws.refuses("get-repository-policy", *here)
    assert "v1" in aws("batch-delete-image", *here, "--image-ids", "imageTag=v1")
    aws("untag-resource", "--resource-arn", arn, "--tag-keys", "team")
    assert aws("list-tags-for-resource", "--resource-arn", arn).strip() == ""
    assert aws("get-authorization-token", "--query", "authorizationData.authorizationToken").strip()
    far = Client(
        (require("aws"), "--endpoint-url", server.url, "--region", "eu-west-1", "ecr-public"), {**home, **keys}
    )
    assert "only supported in us-east-1." in far.refuses("describe-repositories")
    assert "by/cli" in aws("delete-repository", *here, "--force")
    assert Path(home["HOME"]).is_dir()
