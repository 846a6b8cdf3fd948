"""One fault, two answers: the error class on the API, its OCI code on /v2/, ECR's sentence on both, and nothing stored.

The codes are those that ECR was seen to send; where only the code is known, the status is our reading (inferred), as
`docs/fidelity.md` lists.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from ecrsim.core.errors import (
    AccessDeniedException,
    EmptyUploadException,
    LayerInaccessibleException,
    ServiceUnavailableException,
)
from ecrsim.dataplane.errors import _TABLE
from ecrsim.ecr.images.manifest import NotAnImage
from tests.planes.catalogue import FIXTURES, REFUSED
from tests.planes.conftest import Planes
from tests.planes.pushing import Plane, Refused, client, push, rows
from tests.pushing import digest_of

IMAGE = FIXTURES["oci-image"]
OTHER = FIXTURES["oci-image-arm64"]
INDEX = FIXTURES["docker-list"]
CHILD = FIXTURES["docker-schema2"]
NOWHERE = "sha256:" + "0" * 64
NO_UPLOAD = "12345678-1234-1234-1234-123456789012"
LAYER = b"some bytes of a layer"
FOREIGNER = "111111111111"

INVALID_JSON = "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
NO_REPOSITORY = "The repository with name 'missing' does not exist in the registry with id '000000000000'"


def push_manifest(plane: Plane, manifest: bytes, media_type: str | None = IMAGE.media_type) -> None:
    plane.push_manifest("app", manifest, media_type, "v1")


def changed(**members: Any) -> bytes:
    """The manifest of the image with other members; None takes one away."""
    document = IMAGE.document | members
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


BASE = IMAGE.document["layers"][0]
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
#: The index that BuildKit writes for a cache: layers and a config of its own, and no image.
CACHE = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [BASE]}).encode()


def with_image(plane: Plane) -> None:
    push(plane, "app", IMAGE, "v1")


def with_layers(plane: Plane) -> None:
    for digest, data in IMAGE.layers.items():
        plane.push_layer("app", data, digest)


def with_index(plane: Plane) -> None:
    for name in INDEX.after:
        push(plane, "app", FIXTURES[name])
    push(plane, "app", INDEX, "v1")


def immutable(plane: Plane, mode: str = "IMMUTABLE", **members: Any) -> None:
    with_image(plane)
    push(plane, "app", OTHER)
    client(plane.sim).put_image_tag_mutability(repositoryName="app", imageTagMutability=mode, **members)


def immutable_but(plane: Plane, pattern: str, mode: str) -> None:
    filters = [{"filterType": "WILDCARD", "filter": pattern}]
    immutable(plane, mode, imageTagMutabilityExclusionFilters=filters)


def two_parts(plane: Plane) -> str:
    upload_id = plane.begin("app")
    plane.append("app", upload_id, 0, LAYER)
    plane.append("app", upload_id, len(LAYER), LAYER)
    return upload_id


class Fault(NamedTuple):
    """`api` and `registry`: the code of each plane, for the same `message`."""

    id: str
    given: Callable[[Plane], object]
    act: Callable[[Plane], object]
    api: str
    registry: str
    message: str
    settings: dict[str, Any] = {}  # noqa: RUF012 - read only


def nothing(plane: Plane) -> None:
    """The empty repository."""


IMMUTABLE_TEXT = (
    "The image tag 'v1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."
)
SCHEMA1, WITHDRAWN = REFUSED

FAULTS = (
    Fault(
        "a layer upload to a repository that is missing",
        nothing,
        lambda plane: plane.begin("missing"),
        "RepositoryNotFoundException",
        "404 NAME_UNKNOWN",
        NO_REPOSITORY,
    ),
    Fault(
        "a push to a repository that is missing",
        nothing,
        lambda plane: plane.push_manifest("missing", IMAGE.manifest, IMAGE.media_type, "v1"),
        "RepositoryNotFoundException",
        "404 NAME_UNKNOWN",
        NO_REPOSITORY,
    ),
    Fault(
        "a pull from a repository that is missing",
        nothing,
        lambda plane: plane.pull("missing", "v1"),
        "RepositoryNotFoundException",
        "404 NAME_UNKNOWN",
        NO_REPOSITORY,
    ),
    Fault(
        "a pull by a tag that is missing",
        with_image,
        lambda plane: plane.pull("app", "v2"),
        "ImageNotFound",
        "404 MANIFEST_UNKNOWN",
        "Requested image not found",
    ),
    Fault(
        "a pull by a digest that is missing",
        with_image,
        lambda plane: plane.pull("app", NOWHERE),
        "ImageNotFound",
        "404 MANIFEST_UNKNOWN",
        "Requested image not found",
    ),
    Fault(
        "an image whose layers are not there",
        nothing,
        lambda plane: push_manifest(plane, IMAGE.manifest),
        "LayersNotFoundException",
        "404 BLOB_UPLOAD_UNKNOWN",
        f"Layers with digests '[{', '.join(IMAGE.layers)}]' required for pushing image into repository "
        "with name 'app' in the registry with id '000000000000' do not exist",
    ),
    Fault(
        "an index whose images are not there",
        nothing,
        lambda plane: push_manifest(plane, INDEX.manifest, INDEX.media_type),
        "ReferencedImagesNotFoundException",
        "404 MANIFEST_BLOB_UNKNOWN",
        f"Images with digests '[{', '.join(FIXTURES[name].digest for name in INDEX.after)}]' required for pushing "
        "image into repository with name 'app' in the registry with id '000000000000' do not exist",
    ),
    Fault(
        "an index of layers, as BuildKit's cache is with image-manifest=false",
        with_layers,
        lambda plane: push_manifest(plane, CACHE, INDEX_TYPE),
        "InvalidParameterException",
        "400 MANIFEST_INVALID",
        f"Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{BASE['digest']} of type "
        f"{BASE['mediaType']} is not an image'",
    ),
    *(
        Fault(
            f"{what}, strictly",
            with_layers,
            lambda plane, manifest=manifest: push_manifest(plane, manifest),
            "InvalidParameterException",
            "405 UNSUPPORTED",
            INVALID_JSON,
            {"strict_ecr": True},
        )
        for what, manifest in (
            ("a member that nobody knows", changed(org="x")),
            ("a platform in the config", changed(config=IMAGE.document["config"] | {"platform": {"os": "linux"}})),
            ("a layer's type with parameters", changed(layers=[BASE | {"mediaType": "a/b+json;version=0.2"}])),
            ("an artifact type with parameters", changed(artifactType="a/b+json;version=0.2")),
        )
    ),
    Fault(
        "501 layers",
        with_layers,
        lambda plane: push_manifest(plane, changed(layers=[BASE] * 501)),
        "InvalidParameterException",
        "405 UNSUPPORTED",
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Limit on number of layers per image "
        "exceeded'",
    ),
    Fault(
        "an image without layers, strictly",
        with_layers,
        lambda plane: push_manifest(plane, changed(layers=[])),
        "InvalidParameterException",
        "405 UNSUPPORTED",
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Image has to have at least 1 layer'",
        {"strict_ecr": True},
    ),
    Fault(
        "an immutable tag pushed to another image",
        immutable,
        lambda plane: plane.push_manifest("app", OTHER.manifest, None, "v1"),
        "ImageTagAlreadyExistsException",
        "400 TAG_INVALID",
        IMMUTABLE_TEXT,
    ),
    Fault(
        "an immutable tag pushed again to the same image",
        immutable,
        lambda plane: plane.push_manifest("app", IMAGE.manifest, None, "v1"),
        "ImageTagAlreadyExistsException",
        "400 TAG_INVALID",
        IMMUTABLE_TEXT,
    ),
    Fault(
        "a tag that no exclusion makes mutable",
        lambda plane: immutable_but(plane, "dev-*", "IMMUTABLE_WITH_EXCLUSION"),
        lambda plane: plane.push_manifest("app", OTHER.manifest, None, "v1"),
        "ImageTagAlreadyExistsException",
        "400 TAG_INVALID",
        IMMUTABLE_TEXT,
    ),
    Fault(
        "a tag that an exclusion makes immutable",
        lambda plane: immutable_but(plane, "v*", "MUTABLE_WITH_EXCLUSION"),
        lambda plane: plane.push_manifest("app", OTHER.manifest, None, "v1"),
        "ImageTagAlreadyExistsException",
        "400 TAG_INVALID",
        IMMUTABLE_TEXT,
    ),
    Fault(
        "bytes under a digest that is not theirs",
        with_layers,
        lambda plane: plane.push_manifest("app", IMAGE.manifest, None, None, NOWHERE),
        "ImageDigestDoesNotMatchException",
        "400 MANIFEST_INVALID",
        f"The image with digest '{NOWHERE}' in repository 'app' and registry ID '000000000000' "
        "does not match the image digest that Amazon ECR has calculated.",
    ),
    *(
        Fault(
            f"a manifest that is {what}", with_layers, act, "InvalidParameterException", "405 UNSUPPORTED", INVALID_JSON
        )
        for what, act in (
            ("not JSON", lambda plane: push_manifest(plane, b"{")),
            ("JSON, but no object", lambda plane: push_manifest(plane, b"[]")),
            ("of Docker's schema 1", lambda plane: push_manifest(plane, SCHEMA1.manifest, SCHEMA1.media_type)),
            ("of a withdrawn type", lambda plane: push_manifest(plane, WITHDRAWN.manifest, WITHDRAWN.media_type)),
            ("of no type at all", lambda plane: push_manifest(plane, changed(mediaType=None), None)),
            ("told to be of another type", lambda plane: push_manifest(plane, IMAGE.manifest, INDEX.media_type)),
            ("without a config", lambda plane: push_manifest(plane, changed(config=None))),
            ("without a digest in its subject", lambda plane: push_manifest(plane, changed(subject={"size": 2}))),
            ("annotated with a number", lambda plane: push_manifest(plane, changed(annotations={"a": 1}))),
            ("of schema version 3", lambda plane: push_manifest(plane, changed(schemaVersion=3))),
        )
    ),
    Fault(
        "an image without layers, where ECR's rules are kept on /v2/ too",
        with_layers,
        lambda plane: push_manifest(plane, changed(layers=[])),
        "InvalidParameterException",
        "405 UNSUPPORTED",
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Image has to have at least 1 layer'",
        {"strict_ecr": True},
    ),
    Fault(
        "a layer under a digest that is not its own",
        nothing,
        lambda plane: plane.push_layer("app", LAYER, NOWHERE),
        "InvalidLayerException",
        "400 BLOB_UPLOAD_INVALID",
        "None of the provided layer digests match the calculated layer digest",
    ),
    Fault(
        "a layer of a part too small",
        nothing,
        lambda plane: plane.complete("app", two_parts(plane), digest_of(LAYER + LAYER)),
        "LayerPartTooSmallException",
        "400 BLOB_UPLOAD_INVALID",
        "All layer parts except the last part should be at least 5MB",
        {"strict_ecr": True},
    ),
    Fault(
        "a part of an upload that is not there",
        nothing,
        lambda plane: plane.append("app", NO_UPLOAD, 0, LAYER),
        "UploadNotFoundException",
        "404 BLOB_UPLOAD_UNKNOWN",
        f"The upload with id '{NO_UPLOAD}' in the repository with name 'app' "
        "in registry with id '000000000000' does not exist",
    ),
    Fault(
        "the end of an upload that is not there",
        nothing,
        lambda plane: plane.complete("app", NO_UPLOAD, NOWHERE),
        "UploadNotFoundException",
        "404 BLOB_UPLOAD_UNKNOWN",
        f"The upload with id '{NO_UPLOAD}' in the repository with name 'app' "
        "in registry with id '000000000000' does not exist",
    ),
    Fault(
        "one image more than a repository may hold",
        lambda plane: (
            with_image(plane),
            [plane.push_layer("app", b, d) for d, b in OTHER.layers.items() if d not in IMAGE.layers],
        ),
        lambda plane: plane.push_manifest("app", OTHER.manifest, None, "v2"),
        "LimitExceededException",
        "403 DENIED",
        "The repository with name 'app' in registry with id '000000000000' already has the maximum allowed number of "
        "images which is '1'",
        {"quota_images": 1},
    ),
    Fault(
        "one tag more than an image may have",
        with_image,
        lambda plane: plane.push_manifest("app", IMAGE.manifest, None, "v2"),
        "LimitExceededException",
        "403 DENIED",
        "Adding tag 'v2' to an image in the repository with name 'app' in registry with id '000000000000' exceeds the "
        "maximum allowed number of tags per image which is '1'",
        {"quota_tags_per_image": 1},
    ),
    Fault(
        "the deletion of an image that an index lists",
        with_index,
        lambda plane: plane.delete("app", CHILD.digest),
        "ImageReferencedByManifestList",
        "405 UNSUPPORTED",
        f"Requested image referenced by manifest list: [{INDEX.digest}]",
    ),
    Fault(
        "the deletion of an image that is missing",
        with_image,
        lambda plane: plane.delete("app", NOWHERE),
        "ImageNotFound",
        "404 MANIFEST_UNKNOWN",
        "Requested image not found",
    ),
)


def ask(plane: Plane, act: Callable[[Plane], object]) -> Refused:
    with pytest.raises(Refused) as refusal:
        act(plane)
    return refusal.value


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_maps_by_the_table_and_changes_nothing(planes: Planes, fault: Fault):
    api, registry = planes.apart(**fault.settings)
    for plane, code in ((api, fault.api), (registry, fault.registry)):
        fault.given(plane)
        before = rows(plane.sim)
        refused = ask(plane, fault.act)
        assert (refused.code, refused.message) == (code, fault.message)
        # An upload that is refused at its end is no part of the truth: it has no bytes that somebody could see.
        assert rows(plane.sim) | {"layer_uploads": []} == before | {"layer_uploads": []}
    assert (rows(api.sim) | {"layer_uploads": []}) == (rows(registry.sim) | {"layer_uploads": []})
    assert len(rows(api.sim)["layer_uploads"]) == len(rows(registry.sim)["layer_uploads"])


def test_an_upload_without_bytes_is_refused_by_both(planes: Planes):
    """On /v2/ where ECR's rules are kept: the specification has blobs of no bytes."""
    empty = digest_of(b"")
    for plane in planes.apart(strict_ecr=True):
        upload_id = plane.begin("app")
        refused = ask(plane, lambda plane, upload_id=upload_id: plane.complete("app", upload_id, empty))
        assert refused.code in ("EmptyUploadException", "400 BLOB_UPLOAD_INVALID")
        assert refused.message == (
            f"The upload with id '{upload_id}' in the repository with name 'app' in registry "
            "with id '000000000000' cannot be completed because it does not have any parts"
        )  # recorded


def test_the_whole_table_is_held():
    """Denials, empty uploads, layers of archived images and a full disk have tests of their own."""
    elsewhere = {
        AccessDeniedException,
        EmptyUploadException,
        LayerInaccessibleException,
        NotAnImage,  # an InvalidParameterException to the API
        ServiceUnavailableException,
    }
    held = {fault.api for fault in FAULTS} | {each.__name__ for each in elsewhere}
    assert {each.__name__ for each in _TABLE} - held == set()


def test_a_part_out_of_order_is_refused_with_the_place_to_go_on_from(planes: Planes):
    api, registry = planes.apart(quota_layer_part_min=1)
    for plane in (api, registry):
        upload_id = plane.begin("app")
        plane.append("app", upload_id, 0, LAYER)
        refused = ask(plane, lambda plane, upload_id=upload_id: plane.append("app", upload_id, 5, LAYER))
        if plane is api:
            assert refused.code == "InvalidLayerPartException"
        else:
            assert refused.code == "416 BLOB_UPLOAD_INVALID"
            assert refused.message == f"First byte of the layer part is 5 instead of {len(LAYER)}"  # recorded
        plane.append("app", upload_id, len(LAYER), LAYER)
        plane.complete("app", upload_id, digest_of(LAYER + LAYER))
    assert rows(api.sim) == rows(registry.sim)


def test_an_upload_of_another_repository_is_not_there(planes: Planes):
    for plane in planes.apart():
        client(plane.sim).create_repository(repositoryName="other")
        upload_id = plane.begin("other")
        plane.append("other", upload_id, 0, LAYER)
        refused = ask(plane, lambda plane, upload_id=upload_id: plane.complete("app", upload_id, digest_of(LAYER)))
        assert refused.code in ("UploadNotFoundException", "404 BLOB_UPLOAD_UNKNOWN")
        plane.complete("other", upload_id, digest_of(LAYER))


@pytest.mark.parametrize(
    ("action", "act"),
    [
        ("InitiateLayerUpload", lambda plane: plane.begin("app")),
        ("PutImage", lambda plane: plane.push_manifest("app", IMAGE.manifest, IMAGE.media_type, "v1")),
        ("BatchGetImage", lambda plane: plane.pull("app", "v1")),
        ("BatchDeleteImage", lambda plane: plane.delete("app", "v1")),
    ],
)
def test_another_account_is_denied_with_one_sentence(planes: Planes, action: str, act: Callable[[Plane], object]):
    api, registry = planes.apart(account=FOREIGNER)
    sentences = set()
    for plane, code in ((api, "AccessDeniedException"), (registry, "403 DENIED")):
        refused = ask(plane, act)
        assert refused.code == code
        sentences.add(refused.message)
    (sentence,) = sentences
    assert f"User: arn:aws:iam::{FOREIGNER}:root is not authorized to perform: ecr:{action} on resource: " in sentence
    assert "arn:aws:ecr:us-east-1:000000000000:repository/app" in sentence


@pytest.mark.parametrize("fixture", REFUSED, ids=lambda each: each.name)
def test_what_ecr_refuses_is_refused_however_it_is_told(planes: Planes, fixture: Any):
    for plane in planes.apart():
        for media_type in (fixture.media_type, IMAGE.media_type, None):
            refused = ask(plane, lambda plane, told=media_type: push_manifest(plane, fixture.manifest, told))
            assert refused.message == INVALID_JSON
