"""The four workflows of the conformance suite of specification release v1.1.1, in our own words.

That suite cannot be built here (scripts/tools says why), so its checks are asked again, in its order, workflow by
workflow: pull, push, content discovery, content management. Where it allows two answers (201 or 202 to a mount), the
one that ecrsim gives is demanded.
"""

import base64
import json
from types import SimpleNamespace

import pytest
import requests

from tests.e2e import images

ABSENT = images.digest(b"never pushed")
BAD_NAME = ".INVALID_MANIFEST_NAME"
NOTE = "org.example.conformance"
DELETED = {202, 404}


class Registry(requests.Session):
    """A session whose URLs begin at the registry, logged in, and which follows `Location` as clients do."""

    def __init__(self, server):
        super().__init__()
        self.server = server
        self.auth = ("AWS", server.password())
        self.trust_env = False

    def request(self, method, url, **options):
        return super().request(method, requests.compat.urljoin(self.server.url, url), timeout=30, **options)

    def begin_upload(self, repository):
        begun = self.post(f"/v2/{repository}/blobs/uploads/", headers={"Content-Length": "0"})
        assert begun.status_code == 202
        return begun.headers["Location"]

    def push_blob(self, repository, content):
        """POST, then PUT with the whole body; answers the digest."""
        digest = images.digest(content)
        done = self.put(self.begin_upload(repository), params={"digest": digest}, data=content, headers=OCTETS)
        assert done.status_code == 201
        return digest

    def push_manifest(self, repository, reference, manifest, media_type=images.MANIFEST):
        return self.put(f"/v2/{repository}/manifests/{reference}", data=manifest, headers={"Content-Type": media_type})

    def push_image(self, repository, image, reference):
        for content in (image.config, image.layer):
            self.push_blob(repository, content)
        return self.push_manifest(repository, reference, image.manifest)


OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def registry(launch):
    server = launch()
    server.client().put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    for name in ("pull", "push", "mounted", "discovery", "management"):
        server.client().create_repository(repositoryName=f"released/{name}")
    with Registry(server) as session:
        yield session


def test_pull(registry):
    by_tag, by_digest = images.build_image("pulled by tag"), images.build_image("pulled by digest")
    assert registry.push_image("released/pull", by_tag, "tagtest0").status_code == 201
    assert registry.push_image("released/pull", by_digest, by_digest.digest).status_code == 201

    blobs, manifests = "/v2/released/pull/blobs", "/v2/released/pull/manifests"
    for method in ("HEAD", "GET"):
        assert registry.request(method, f"{blobs}/{ABSENT}").status_code == 404
        config = registry.request(method, f"{blobs}/{images.digest(by_tag.config)}")
        assert config.status_code == 200
        assert config.headers["Docker-Content-Digest"] == images.digest(by_tag.config)
        assert registry.request(method, f"{manifests}/{BAD_NAME}").status_code == 404
        for reference, image in (
            (by_tag.digest, by_tag),
            (by_digest.digest, by_digest),
            ("tagtest0", by_tag),
        ):
            found = registry.request(method, f"{manifests}/{reference}", headers={"Accept": images.MANIFEST})
            assert found.status_code == 200
            assert found.headers["Docker-Content-Digest"] == image.digest
            assert found.headers["Content-Type"] == images.MANIFEST
            assert found.content == (b"" if method == "HEAD" else image.manifest)

    # The suite sends a body with this GET.
    wrong = registry.get(
        f"{manifests}/sha256:totallywrong", data=b"blablabla", headers={"Content-Type": images.MANIFEST}
    )
    assert wrong.status_code in {400, 404}
    assert wrong.json()["errors"][0]["code"] in {"DIGEST_INVALID", "MANIFEST_INVALID", "MANIFEST_UNKNOWN"}

    for image in (by_tag, by_digest):
        assert registry.delete(f"{manifests}/{image.digest}").status_code == 202
        for content in (image.config, image.layer):
            assert registry.delete(f"{blobs}/{images.digest(content)}").status_code in DELETED


def test_push_streamed_and_monolithic(registry):
    uploads, blobs = "/v2/released/push/blobs/uploads/", "/v2/released/push/blobs"
    content = b"streamed"
    patched = registry.patch(registry.begin_upload("released/push"), data=iter([content]), headers=OCTETS)
    assert patched.status_code == 202
    done = registry.put(patched.headers["Location"], params={"digest": images.digest(content)}, headers=OCTETS)
    assert done.status_code == 201
    assert registry.get(done.headers["Location"]).content == content

    assert registry.get(f"{blobs}/{ABSENT}").status_code == 404
    content = b"one request"
    posted = registry.post(uploads, params={"digest": images.digest(content)}, data=content, headers=OCTETS)
    assert posted.status_code == 201
    assert registry.get(posted.headers["Location"]).content == content
    assert registry.get(f"{blobs}/{images.digest(content)}").status_code == 200
    digest = registry.push_blob("released/push", b"two requests")
    assert registry.get(f"{blobs}/{digest}").content == b"two requests"


def test_push_in_chunks(registry):
    content = b"Hello, how are you today?"
    digest = images.digest(content)

    def patch(url, first, last):
        headers = {**OCTETS, "Content-Range": f"{first}-{last}"}
        return registry.patch(url, data=content[first : last + 1], headers=headers)

    last = len(content) - 1
    assert patch(registry.begin_upload("released/push"), 3, last).status_code == 416

    first_location = registry.begin_upload("released/push")
    first = patch(first_location, 0, 2)
    assert (first.status_code, first.headers["Range"]) == (202, "0-2")
    assert patch(first_location, 0, 2).status_code == 416
    state = registry.get(first_location)
    assert (state.status_code, state.headers["Range"]) == (204, "0-2")
    second = patch(state.headers["Location"], 3, last)
    assert (second.status_code, second.headers["Range"]) == (202, f"0-{last}")
    done = registry.put(second.headers["Location"], params={"digest": digest}, headers=OCTETS)
    assert done.status_code == 201
    assert registry.get(done.headers["Location"]).content == content


def test_push_by_mount(registry):
    digest = registry.push_blob("released/push", b"to be mounted")
    image = images.build_image("refers to what is mounted")
    registry.push_image("released/push", image, "mount-source")
    uploads = "/v2/released/mounted/blobs/uploads/"

    for absent in ({"mount": ABSENT}, {"mount": ABSENT, "from": "released/push"}):
        accepted = registry.post(uploads, params=absent)
        assert accepted.status_code == 202
        path = accepted.headers["Location"].removeprefix(registry.server.url)
        assert path.startswith("/v2/released/mounted/blobs/uploads/")
    mounted = registry.post(uploads, params={"mount": images.digest(image.layer), "from": "released/push"})
    assert mounted.status_code == 201
    path = mounted.headers["Location"].removeprefix(registry.server.url)
    assert path == f"/v2/released/mounted/blobs/{images.digest(image.layer)}"
    assert registry.get(path).content == image.layer
    # Nothing refers to this one; either answer is legal, and an upload has to follow the second.
    either = registry.post(uploads, params={"mount": digest, "from": "released/push"})
    assert either.status_code in {201, 202}


def test_push_manifests(registry):
    image = images.build_image("four tags")
    manifests = "/v2/released/push/manifests"
    assert registry.get(f"{manifests}/{BAD_NAME}").status_code == 404
    for number in range(4):
        pushed = registry.push_image("released/push", image, f"test{number}")
        assert pushed.status_code == 201
        assert pushed.headers["Location"]
    no_layers = json.dumps({**json.loads(image.manifest), "layers": []}).encode()
    assert registry.push_manifest("released/push", "emptylayer", no_layers).status_code == 201
    # Members that the specification does not know are no error, and an image may carry its config inline.
    config = images.descriptor(images.CONFIG, image.config, data=base64.b64encode(image.config).decode())
    for tag, members in (("unspecified", {"newUnspecifiedField": "hello"}), ("inline", {"config": config})):
        manifest = json.dumps({**json.loads(image.manifest), **members}).encode()
        assert registry.push_manifest("released/push", tag, manifest).status_code == 201
        assert registry.get(f"{manifests}/{tag}").content == manifest
    found = registry.get(f"{manifests}/{image.digest}", headers={"Accept": images.MANIFEST})
    assert (found.status_code, found.content) == (200, image.manifest)


@pytest.fixture(scope="module")
def discovery(registry):
    """An image with four tags and five referrers, and a sixth referrer of a subject that was never pushed."""
    repository = "released/discovery"
    image = images.build_image("discovered")
    registry.push_blob(repository, b"{}")
    registry.push_blob(repository, b"referring")
    subject = images.descriptor(images.MANIFEST, image.manifest)
    absent = {**subject, "digest": ABSENT}

    def refer(number, subject, config_type, artifact_type=None):
        manifest = {
            "schemaVersion": 2,
            "mediaType": images.MANIFEST,
            "config": images.descriptor(config_type, b"{}"),
            "layers": [images.descriptor("application/vnd.example.layer", b"referring")],
            "subject": subject,
            "annotations": {NOTE: f"referrer {number}"},
        }
        return json.dumps(manifest | ({"artifactType": artifact_type} if artifact_type else {})).encode()

    empty, types = "application/vnd.oci.empty.v1+json", ("application/vnd.example.a", "application/vnd.example.b")
    referrers = [refer(1, subject, types[0]), refer(2, subject, empty, types[0])]
    index = {
        "schemaVersion": 2,
        "mediaType": images.INDEX,
        "artifactType": "application/vnd.example.index",
        "manifests": [images.descriptor(images.MANIFEST, child) for child in referrers],
        "subject": subject,
        "annotations": {NOTE: "referrer 3"},
    }
    referrers += [json.dumps(index).encode(), refer(4, subject, types[1]), refer(5, subject, empty, types[1])]
    # Three of the referrers come before their subject, two after it.
    for number, manifest in enumerate(referrers):
        if number == 3:
            for tag in range(4):
                registry.push_image(repository, image, f"test{tag}")
        media_type = images.INDEX if number == 2 else images.MANIFEST
        pushed = registry.push_manifest(repository, images.digest(manifest), manifest, media_type)
        assert (pushed.status_code, pushed.headers["OCI-Subject"]) == (201, image.digest)
    orphan = refer(6, absent, empty, types[1])
    pushed = registry.push_manifest(repository, images.digest(orphan), orphan)
    assert (pushed.status_code, pushed.headers["OCI-Subject"]) == (201, ABSENT)
    return SimpleNamespace(image=image, referrers=referrers, orphan=orphan, artifact_type=types[0])


def test_discovery_of_tags(registry, discovery):
    tags = "/v2/released/discovery/tags/list"
    every = registry.get(tags)
    assert (every.status_code, every.json()) == (
        200,
        {"name": "released/discovery", "tags": [f"test{number}" for number in range(4)]},
    )
    assert registry.get(tags, params={"n": 2}).json()["tags"] == ["test0", "test1"]
    assert registry.get(tags, params={"n": 2, "last": "test1"}).json()["tags"] == ["test2", "test3"]


def test_discovery_of_referrers(registry, discovery):
    def referrers(digest, **parameters):
        answer = registry.get(f"/v2/released/discovery/referrers/{digest}", params=parameters)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, images.INDEX)
        return answer.json()["manifests"], answer.headers

    nobody = images.digest(b"nobody refers to this")
    assert referrers(nobody)[0] == []
    found, _ = referrers(discovery.image.digest)
    assert {entry["digest"]: entry["annotations"] for entry in found} == {
        images.digest(manifest): json.loads(manifest)["annotations"] for manifest in discovery.referrers
    }
    filtered, headers = referrers(discovery.image.digest, artifactType=discovery.artifact_type)
    assert headers["OCI-Filters-Applied"] == "artifactType"
    assert {entry["digest"] for entry in filtered} == {images.digest(manifest) for manifest in discovery.referrers[:2]}
    assert [entry["digest"] for entry in referrers(ABSENT)[0]] == [images.digest(discovery.orphan)]


def test_management(registry):
    repository, image = "released/management", images.build_image("managed")
    manifests, blobs = f"/v2/{repository}/manifests", f"/v2/{repository}/blobs"
    registry.push_image(repository, image, "tagtest0")
    registry.push_image(repository, image, "kept")
    tags = f"/v2/{repository}/tags/list"
    assert registry.get(tags).json()["tags"] == ["kept", "tagtest0"]

    assert registry.delete(f"{manifests}/tagtest0").status_code == 202
    assert registry.get(f"{manifests}/tagtest0").status_code == 404
    assert registry.get(f"{manifests}/{image.digest}").status_code == 200
    assert registry.get(tags).json()["tags"] == ["kept"]
    assert registry.delete(f"{manifests}/{image.digest}").status_code == 202
    assert registry.delete(f"{manifests}/{image.digest}").status_code == 404
    assert registry.get(f"{manifests}/{image.digest}").status_code == 404
    emptied = registry.get(tags)
    assert (emptied.status_code, emptied.json()["tags"]) == (200, [])

    for content in (image.config, image.layer):
        assert registry.delete(f"{blobs}/{images.digest(content)}").status_code == 202
        assert registry.get(f"{blobs}/{images.digest(content)}").status_code == 404
        assert registry.delete(f"{blobs}/{images.digest(content)}").status_code == 404
