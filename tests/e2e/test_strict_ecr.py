"""Where ECR and the OCI distribution specification part: each row of the profiles, with and without the switch."""

import hashlib
import json

import pytest
import requests

from tests.e2e import images
from tests.e2e.connection import Uploads

REPOSITORY = "e2e/profile"
OCTETS = {"Content-Type": "application/octet-stream"}


class Registry:
    """One repository of a server, and what a row asks of it."""

    def __init__(self, server):
        self.server = server
        self.uploads = Uploads(server, REPOSITORY)
        ecr = server.client()
        ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
        for name in (REPOSITORY, "e2e/mounting"):
            ecr.create_repository(repositoryName=name)

    def ask(self, method, path, **options):
        url = requests.compat.urljoin(f"{self.server.url}/v2/{REPOSITORY}/", path)
        return self.uploads.session.request(method, url, timeout=20, **options)

    def push_blob(self, content):
        self.uploads.finish(self.uploads.begin(), content, content, 0)
        return images.digest(content)

    def push_manifest(self, manifest, reference):
        return self.ask("PUT", f"manifests/{reference}", data=manifest, headers={"Content-Type": images.MANIFEST})

    def push_image(self, text):
        image = images.build_image(text)
        for content in (image.config, image.layer):
            self.push_blob(content)
        assert self.push_manifest(image.manifest, image.digest).status_code == 201
        return image


@pytest.fixture(scope="module")
def registries(launch):
    return {"specification": Registry(launch()), "ECR": Registry(launch("--strict-ecr"))}


@pytest.fixture(params=["specification", "ECR"])
def registry(request, registries):
    return registries[request.param]


@pytest.fixture
def strict(registry):
    return "--strict-ecr" in registry.server.options


def refusal(answer):
    [error] = answer.json()["errors"]
    return answer.status_code, error["code"], error["message"]


def test_a_chunk_is_created_or_accepted(registry, strict):
    patched = registry.ask("PATCH", registry.uploads.begin(), data=b"chunk", headers=OCTETS)
    assert (patched.status_code, patched.headers["Range"]) == (201 if strict else 202, "0-4")


def test_the_digest_of_a_manifest_comes_with_get_or_only_with_head(registry, strict):
    image = registry.push_image("digest header")
    path = f"manifests/{image.digest}"
    assert registry.ask("HEAD", path).headers["Docker-Content-Digest"] == image.digest
    assert ("Docker-Content-Digest" in registry.ask("GET", path).headers) is not strict


def test_tags_are_json_or_text(registry, strict):
    listed = registry.ask("GET", "tags/list")
    assert listed.headers["Content-Type"] == ("text/plain; charset=utf-8" if strict else "application/json")
    assert listed.json()["name"] == REPOSITORY


def test_a_page_above_a_thousand_is_refused_or_clamped(registry, strict):
    assert registry.ask("GET", "tags/list", params={"n": 1000}).status_code == 200
    listed = registry.ask("GET", "tags/list", params={"n": 1001})
    if strict:
        constraint = "'Member must have value less than or equal to 1000'"
        message = f"Invalid parameter at 'maxResults' failed to satisfy constraint: {constraint}"
        assert refusal(listed) == (405, "UNSUPPORTED", message)
    else:
        assert listed.status_code == 200


def test_an_image_without_layers(registry, strict):
    image = registry.push_image("layers to be taken away")
    pushed = registry.push_manifest(json.dumps({**json.loads(image.manifest), "layers": []}), "no-layers")
    if strict:
        status, code, message = refusal(pushed)
        assert (status, code) == (405, "UNSUPPORTED")
        assert message.startswith("Invalid parameter at 'ImageManifest' failed to satisfy constraint: ")
    else:
        assert pushed.status_code == 201


def test_a_manifest_with_a_member_that_nobody_knows(registry, strict):
    image = registry.push_image("a strange member to be added")
    pushed = registry.push_manifest(json.dumps({**json.loads(image.manifest), "newUnspecifiedField": "x"}), "strange")
    if strict:
        message = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
        assert refusal(pushed) == (405, "UNSUPPORTED", message)
    else:
        assert pushed.status_code == 201


def test_an_empty_blob(registry, strict):
    location = registry.uploads.begin()
    done = registry.ask("PUT", location, params={"digest": images.digest(b"")})
    if strict:
        status, code, message = refusal(done)
        assert (status, code) == (400, "BLOB_UPLOAD_INVALID")
        assert message.endswith("cannot be completed because it does not have any parts")
    else:
        assert done.status_code == 201
        assert registry.uploads.pull(images.digest(b"")) == b""


def test_a_small_part_that_is_not_the_last(registry, strict):
    location = registry.uploads.begin()
    for part in (b"small", b"last"):
        assert registry.ask("PATCH", location, data=part, headers=OCTETS).status_code in {201, 202}
    done = registry.ask("PUT", location, params={"digest": images.digest(b"smalllast")})
    if strict:
        message = "All layer parts except the last part should be at least 5MB"
        assert refusal(done) == (400, "BLOB_UPLOAD_INVALID", message)
    else:
        assert done.status_code == 201


def test_large_parts_are_taken_by_both(registry):
    parts = (bytes(5 * 1024 * 1024), b"last")
    location = registry.uploads.begin()
    for part in parts:
        assert registry.ask("PATCH", location, data=part, headers=OCTETS).status_code in {201, 202}
    digest = f"sha256:{hashlib.sha256(b''.join(parts)).hexdigest()}"
    assert registry.ask("PUT", location, params={"digest": digest}).status_code == 201


@pytest.mark.parametrize("named", [True, False], ids=["with from", "without from"])
@pytest.mark.parametrize("used", [True, False], ids=["of an image", "of no image"])
def test_a_mount(registry, strict, used, named):
    """ECR mounts what an image of the named repository uses; the specification asks for no more than that it exists."""
    text = f"to be mounted {used} {named}"
    digest = images.digest(registry.push_image(text).layer) if used else registry.push_blob(text.encode())
    parameters = {"mount": digest} | ({"from": REPOSITORY} if named else {})
    answer = registry.ask("POST", "/v2/e2e/mounting/blobs/uploads/", params=parameters)
    assert answer.status_code == (201 if not strict or (used and named) else 202)
    where = f"/v2/e2e/mounting/blobs/{digest if answer.status_code == 201 else 'uploads/'}"
    assert answer.headers["Location"].startswith(where)


def test_a_blob_is_deleted_or_the_route_is_not_there(registry, strict):
    digest = registry.push_blob(b"to be deleted")
    deleted = registry.ask("DELETE", f"blobs/{digest}")
    assert deleted.status_code == (405 if strict else 202)
    assert registry.ask("HEAD", f"blobs/{digest}").status_code == (200 if strict else 404)


def test_head_of_what_can_be_no_tag(registry, strict):
    assert registry.ask("HEAD", "manifests/a%2Bb").status_code == (400 if strict else 404)
    assert registry.ask("HEAD", "manifests/a-b").status_code == 404


def test_docker_pushes_to_the_strict_server(registries, docker, tmp_path):
    """Layers below 5 MiB in one PATCH, which ECR answers with 201."""
    server = registries["ECR"].server
    docker("login", "--username", "AWS", "--password-stdin", server.registry, stdin=server.password())
    image = f"{server.registry}/{REPOSITORY}:docker"
    docker("build", f"--tag={image}", str(images.write_context(tmp_path / "context", "strictly")))
    docker("push", image)
    docker("image", "rm", "--force", image)
    assert "Digest: sha256:" in docker("pull", image)
    docker("image", "rm", "--force", image)
