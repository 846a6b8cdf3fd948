"""What strict ECR takes in a manifest, member by member; both planes are held to the same table."""

import json

import pytest

from ecrsim.core.errors import InvalidParameterException
from ecrsim.ecr.images import grammar
from ecrsim.ecr.images.grammar import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, stranger
from ecrsim.ecr.images.manifest import read

DIGEST = "sha256:" + "a" * 64
DESCRIPTOR = {"mediaType": "application/x", "digest": DIGEST, "size": 1}
PLATFORM = {"architecture": "amd64", "os": "windows", "os.version": "10.0.17763.1", "variant": "v8"}


def image(config=None, layer=None, subject=None, **members):
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": DESCRIPTOR | (config or {}),
        "layers": [DESCRIPTOR, DESCRIPTOR | (layer or {})],
        "subject": DESCRIPTOR | (subject or {}),
        **members,
    }


def index(entry=None, platform=None, **members):
    listed = {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 1, "platform": PLATFORM | (platform or {})}
    return {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [listed, listed | (entry or {})],
        **members,
    }


#: What the document is → the path that is refused, or None. R: recorded, I: inferred.
CASES = {
    "an image of the specification": (image(annotations={"a": "b"}, artifactType="a/b"), None),
    "an index of the specification": (index(annotations={"a": "b"}, artifactType="a/b", subject=DESCRIPTOR), None),
    "data in a config (R)": (image(config={"data": "e30="}), None),
    "artifactType in what an index lists (R)": (index({"artifactType": "a/b"}), None),
    "urls and annotations in a layer (I)": (image(layer={"urls": ["https://x"], "annotations": {"a": "b"}}), None),
    "a platform in a config (R)": (image(config={"platform": {"os": "linux"}}), "config.platform"),
    "a platform in a subject (R)": (image(subject={"platform": {"os": "linux"}}), "subject.platform"),
    "a platform in a layer (I)": (image(layer={"platform": {"os": "linux"}}), "layers[].platform"),
    "os.features in a platform (R)": (index(platform={"os.features": ["x"]}), "manifests[].platform.os.features"),
    "features in a platform of OCI (I)": (index(platform={"features": ["sse4"]}), "manifests[].platform.features"),
    "features in a platform of Docker (I)": (index(platform={"features": ["sse4"]}, mediaType=DOCKER_LIST), None),
    "a member of one's own (R)": (image(org="x"), "org"),
    "a member of one's own in a layer (I)": (image(layer={"org": "x"}), "layers[].org"),
    "layers in an index (I)": (index(layers=[]), "layers"),
    "manifests in an image (I)": (image(manifests=[]), "manifests"),
    "an artifact type with parameters (R)": (image(artifactType="a/b+json;version=0.2"), "artifactType"),
    "a layer's type with parameters (R)": (image(layer={"mediaType": "a/b+json;version=0.2"}), "layers[].mediaType"),
    "a config's type with parameters (I)": (image(config={"mediaType": "a/b; c=d"}), "config.mediaType"),
}


@pytest.mark.parametrize(("document", "found"), CASES.values(), ids=CASES)
def test_what_ecr_takes(document, found):
    media_type = document["mediaType"]
    assert stranger(document, media_type) == found
    manifest = json.dumps(document).encode()
    assert read(manifest, None).media_type == media_type
    if found is None:
        assert read(manifest, None, strict=True) == read(manifest, None)
        return
    with pytest.raises(InvalidParameterException) as caught:
        read(manifest, None, strict=True)
    # Recorded.
    assert caught.value.message == (
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
    )


def test_every_media_type_has_a_grammar():
    assert set(grammar.MEMBERS) == {DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST}


@pytest.mark.parametrize("value", [None, 5, "text", [], [None], {"a": None}])
@pytest.mark.parametrize("member", ["config", "layers", "subject", "manifests"])
def test_what_has_the_wrong_form_is_left_to_the_reader(member, value):
    found = {stranger({member: value}, media_type) for media_type in grammar.MEMBERS}
    assert {path.partition(".")[0] for path in found if path} <= {member}
