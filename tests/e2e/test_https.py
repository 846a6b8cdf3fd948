"""HTTPS with ecrsim's own certificate authority: clients that are given it trust the registry, others refuse it."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys

import pytest
import requests

from tests.e2e import images
from tests.e2e.clients import Client, clean_environ, require


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def tls(launch, tmp_path_factory):
    """A server with TLS, the port of HTTPS, and a file with the authority that `ecrsim tls ca` prints."""
    port = free_port()
    server = launch("--tls", "--tls-port", str(port))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ECRSIM_")}
    printed = subprocess.run(
        [sys.executable, "-m", "ecrsim", "tls", "ca", "--data-dir", str(server.folder / "data")],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.startswith("-----BEGIN CERTIFICATE-----")
    authority = tmp_path_factory.mktemp("authority") / "ca.crt"
    authority.write_text(printed)
    server.client().create_repository(repositoryName="secure/app")
    return server, f"localhost:{port}", authority


def test_curl_trusts_the_authority(tls, curl):
    server, registry, authority = tls
    credentials = f"AWS:{server.password()}"
    trusted = ("--cacert", str(authority), "--user", credentials, "--output", "-", "--write-out", "%{http_code}")
    assert curl(*trusted, f"https://{registry}/v2/").endswith("200")
    refused = curl.attempt(f"https://{registry}/v2/")
    assert refused.status == 60, refused.text


def test_a_strict_client_trusts_the_authority_too(tls):
    """Python 3.13 is strict by default: the certificate has to name the key of its authority."""
    _, registry, authority = tls
    context = ssl.create_default_context(cafile=str(authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", "000000000000.dkr.ecr.us-east-1.amazonaws.com", "127.0.0.1"):
        with (
            socket.create_connection(("127.0.0.1", int(registry.partition(":")[2])), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            secure.sendall(f"GET /v2/ HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            assert secure.recv(12) == b"HTTP/1.1 401"


def test_a_large_layer_goes_both_ways(tls):
    server, registry, authority = tls
    content = os.urandom(20_000_000)
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(authority)
        session.auth = ("AWS", server.password())
        uploads = f"https://{registry}/v2/secure/app/blobs/uploads/"
        done = session.post(uploads, params={"digest": images.digest(content)}, data=content, timeout=60)
        assert done.status_code == 201
        pulled = session.get(f"https://{registry}{done.headers['Location']}", timeout=60)
        assert images.digest(pulled.content) == images.digest(content)


@pytest.mark.parametrize(
    "host",
    [
        "000000000000.dkr.ecr.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
        "000000000000.dkr.ecr.ap-southeast-2.localhost",
    ],
)
def test_the_certificate_covers_the_names_of_ecr(tls, curl, host):
    _, registry, authority = tls
    port = registry.partition(":")[2]
    mapped = ("--resolve", f"{host}:{port}:127.0.0.1", "--cacert", str(authority), "--output", "-")
    assert curl(*mapped, "--write-out", "%{http_code}", f"https://{host}:{port}/v2/").endswith("401")


def test_skopeo_verifies_the_certificate(tls, containers_environ, tmp_path):
    server, registry, authority = tls
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    (certificates / "ca.crt").write_bytes(authority.read_bytes())
    skopeo = Client((require("skopeo"),), containers_environ)
    options = ("--cert-dir", str(certificates), "--username", "AWS", "--password-stdin")
    skopeo("login", *options, registry, stdin=server.password())
    image = images.build_image("by skopeo over tls")
    layout = images.write_layout(tmp_path / "layout", image)
    target = f"docker://{registry}/secure/app:skopeo"
    skopeo("copy", "--dest-cert-dir", str(certificates), f"oci:{layout}:v1", target)
    [detail] = server.client().describe_images(repositoryName="secure/app", imageIds=[{"imageTag": "skopeo"}])[
        "imageDetails"
    ]
    assert detail["imageDigest"] == image.digest
    assert "certificate" in skopeo.refuses("inspect", target)


def test_crane_trusts_the_authority_of_its_environment(tls, tmp_path):
    server, registry, authority = tls
    # The pool of a Go program on Linux; both variables, so that the system's own authorities are not read.
    environ = {**clean_environ(tmp_path / "home"), "SSL_CERT_FILE": str(authority), "SSL_CERT_DIR": str(tmp_path)}
    crane = Client((require("crane"),), environ)
    crane("auth", "login", registry, "--username", "AWS", "--password-stdin", stdin=server.password())
    image = images.build_image("by crane over tls")
    crane("push", str(images.write_layout(tmp_path / "layout", image)), f"{registry}/secure/app:crane")
    assert crane("digest", f"{registry}/secure/app:crane").strip() == image.digest


def test_docker_pushes_over_https(tls, docker, tmp_path):
    """The daemon asks a registry on the loopback by HTTPS before it asks by HTTP."""
    server, registry, _ = tls
    docker("login", "--username", "AWS", "--password-stdin", registry, stdin=server.password())
    context = images.write_context(tmp_path / "context", "over tls")
    docker("build", f"--tag={registry}/secure/app:docker", str(context))
    docker("push", f"{registry}/secure/app:docker")
    docker("image", "rm", "--force", f"{registry}/secure/app:docker")
    assert "Digest: sha256:" in docker("pull", f"{registry}/secure/app:docker")
    docker("image", "rm", "--force", f"{registry}/secure/app:docker")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "registry.test:{plain}", "localhost:{secure}"])
def test_urls_have_the_scheme_that_the_client_came_by_whatever_name_it_gives(tls, name):
    """The relay tells the server; a Host header does not."""
    server, registry, authority = tls
    secure = registry.partition(":")[2]
    host = {"Host": name.format(plain=server.port, secure=secure)}
    by_tls = requests.get(f"https://{registry}/v2/", headers=host, verify=str(authority), timeout=20)
    assert by_tls.headers["WWW-Authenticate"].startswith(f'Basic realm="https://{host["Host"]}/"')
    plain = requests.get(f"{server.url}/v2/", headers=host, timeout=20)
    assert plain.headers["WWW-Authenticate"].startswith(f'Basic realm="http://{host["Host"]}/"')


def test_policies_see_how_and_from_where_the_client_came(tls):
    """aws:SecureTransport and aws:SourceIp are those of the client, not of the relay."""
    server, registry, authority = tls
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "ecr:ListImages",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}, "NotIpAddress": {"aws:SourceIp": "::1"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    server.client().create_repository(repositoryName="secure/only")
    server.client().set_repository_policy(repositoryName="secure/only", policyText=policy)
    credentials, path = ("AWS", server.password()), "/v2/secure/only/tags/list"
    for url, status in (
        (f"https://{registry}", 200),
        (server.url, 403),
        (f"http://localhost:{registry.partition(':')[2]}", 0),
        *([(f"http://[::1]:{server.port}", 200)] if has_six() else []),
    ):
        with contextlib.suppress(requests.ConnectionError):  # plain HTTP on the port of HTTPS
            answer = requests.get(f"{url}{path}", auth=credentials, verify=str(authority), timeout=20)
            assert answer.status_code == status, url
    audit = requests.get(f"{server.url}/_ecrsim/audit", params={"limit": "1000"}, timeout=20).json()["records"]
    sources = [each["source"] for each in audit if each["resource"].endswith("/secure/only")]
    expected = ["127.0.0.1", "127.0.0.1", *(["::1"] if has_six() else [])]
    assert sources[-len(expected) :] == expected


def has_six() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False
