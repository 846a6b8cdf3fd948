"""The table of rules, manifests: what they must be, what must be there, how many, and which fault is told first."""

from __future__ import annotations

import json
from typing import Any

from ecrsim.testing import build_image
from tests.answers import constraint
from tests.planes.catalogue import FIXTURES, REFUSED, Fixture
from tests.planes.pushing import Plane, push
from tests.planes.rows_tags import immutable, turned
from tests.planes.table import (
    CHILD,
    IMAGE,
    INDEX,
    INVALID_JSON,
    NOWHERE,
    ONE,
    THREE,
    TWO,
    WRONG_DIGEST,
    Answers,
    after,
    deletes,
    elsewhere,
    fixture_of,
    holding,
    images_missing,
    layers_missing,
    layers_of,
    no_room,
    parameter,
    pushes,
    repository_not_found,
    rule,
    told,
)
from tests.pushing import artifact_of, digest_of, index_of, numbered

SCHEMA1, WITHDRAWN = REFUSED
BASE = IMAGE.document["layers"][0]
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
PRETTY = "application/vnd.docker.distribution.manifest.v1+prettyjws"
#: The index that BuildKit writes for a cache: layers and a config of its own, and no image.
CACHE = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [BASE]}).encode()
BARE_SCHEMA1 = json.dumps({"schemaVersion": 1, "name": "app", "tag": "v1", "fsLayers": [], "history": []}).encode()
NO_LAYER = parameter("Image has to have at least 1 layer")
TOO_DEEP = parameter("Limit on number of layers per image exceeded")


def changed(image: Fixture = IMAGE, **members: Any) -> bytes:
    """Another manifest that needs the same; None takes a member away."""
    document = image.document | members
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


def made(manifest: bytes, image: Fixture = IMAGE) -> Fixture:
    return image._replace(manifest=manifest, digest=digest_of(manifest))


LAYERLESS = made(changed(layers=[]))
DEEP = {count: made(changed(layers=[BASE] * count)) for count in (1, 2, 500, 501)}
SHA512 = FIXTURES["sha512-image"]
#: Its layers one and two are nowhere, `there` is in the repository.
SCATTERED = fixture_of(build_image(b"one", b"there", b"two", b"one", config=b"config"))
CONFIG, LAYER_ONE, _, LAYER_TWO = SCATTERED.layers
#: An index of images one, three, two, and one again.
LISTING = fixture_of(index_of(numbered(1), numbered(3), numbered(2), numbered(1)))
ORPHAN = fixture_of(artifact_of(NOWHERE))
FOREIGN = {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": NOWHERE, "size": 9}
ABROAD = made(
    changed(
        ONE,
        layers=[
            *ONE.document["layers"],
            FOREIGN,
            {**FOREIGN, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "urls": ["https://x"]},
        ],
    ),
    ONE,
)


def in_other(image: Fixture) -> Any:
    return elsewhere(lambda plane: push(plane, "other", image))


#: Manifests that ECR was seen to refuse by its sentence for invalid JSON, and how they are told.
SEEN_REFUSED = (
    *(
        (f"the text {text}, told {'to be an image' if media_type else 'nothing of'}", told(text.encode(), media_type))
        for media_type in (None, IMAGE.media_type)
        for text in ("no JSON", "{", "[]", "null", "5", '"x"', "{}", '{"schemaVersion": 2}')
    ),
    ("of Docker's schema 1", told(SCHEMA1.manifest, SCHEMA1.media_type)),
    ("of Docker's schema 1, told to be an image", told(SCHEMA1.manifest)),
    ("of Docker's schema 1, told nothing of", told(SCHEMA1.manifest, None)),
    ("of schema 1 without signatures", told(BARE_SCHEMA1, None)),
    ("of schema 1 without signatures, told to be of it", told(BARE_SCHEMA1, PRETTY)),
    *(
        (f"of the type {media_type}", told(changed(mediaType=media_type), None))
        for media_type in (
            "application/vnd.docker.distribution.manifest.v1+json",
            PRETTY,
            "application/vnd.example",
        )
    ),
    ("of no type at all", told(changed(mediaType=None), None)),
)
#: Manifests that are refused by the same sentence in our reading (docs/fidelity.md).
READ_REFUSED = (
    ("of a withdrawn type", told(WITHDRAWN.manifest, WITHDRAWN.media_type)),
    ("of a withdrawn type, told to be an image", told(WITHDRAWN.manifest)),
    ("of a withdrawn type, told nothing of", told(WITHDRAWN.manifest, None)),
    (
        "of the type application/vnd.oci.artifact.manifest.v1+json",
        told(changed(mediaType="application/vnd.oci.artifact.manifest.v1+json"), None),
    ),
    *(
        (f"told to be {media_type}", told(IMAGE.manifest, media_type))
        for media_type in (INDEX.media_type, CHILD.media_type, INDEX_TYPE, "application/vnd.example")
    ),
    ("without a config", told(changed(config=None))),
    ("without a digest in its subject", told(changed(subject={"size": 2}))),
    ("annotated with a number", told(changed(annotations={"a": 1}))),
    ("of schema version 3", told(changed(schemaVersion=3))),
    *(
        (f"of three layers of {size} bytes", told(changed(layers=[{**BASE, "size": size}] * 3)))
        for size in (2**62, 2**63 - 1)
    ),
)
#: What ECR refuses and the specification takes; on /v2/ it is refused where ECR's rules are kept.
STRICTLY = (
    ("a member that nobody knows", changed(org="x")),
    ("a platform in the config", changed(config=IMAGE.document["config"] | {"platform": {"os": "linux"}})),
    ("a layer's type with parameters", changed(layers=[BASE | {"mediaType": "a/b+json;version=0.2"}])),
    ("an artifact type with parameters", changed(artifactType="a/b+json;version=0.2")),
)


def missing(plane: Plane) -> object:
    return plane.push_manifest("missing", IMAGE.manifest, IMAGE.media_type, "v1")


MANIFESTS = (
    *(
        rule(f"a manifest that is {what}", source, act, INVALID_JSON, given=layers_of(IMAGE), shows=())
        for source, rows in (("recorded", SEEN_REFUSED), ("inferred", READ_REFUSED))
        for what, act in rows
    ),
    *(
        rule(
            f"{what}, strictly",
            "recorded",
            told(manifest),
            INVALID_JSON,
            given=layers_of(IMAGE),
            shows=(),
            strict_ecr=True,
        )
        for what, manifest in STRICTLY
    ),
    *(
        rule(
            f"an image whose layers are {text}, strictly",
            "recorded",
            told(changed(layers=layers)),
            NO_LAYER,
            given=layers_of(IMAGE),
            shows=(),
            strict_ecr=True,
        )
        for text, layers in (("none", []), ("not told", None))
    ),
    rule(
        "an image without layers, which the specification has",
        "recorded; OCI conformance",
        pushes(LAYERLESS, "v1"),
        NO_LAYER._replace(registry=None),
        given=layers_of(IMAGE),
    ),
    rule(
        "an index of layers, as BuildKit's cache is with image-manifest=false",
        "inferred",
        told(CACHE, INDEX_TYPE),
        Answers(
            "InvalidParameterException",
            "400 MANIFEST_INVALID",
            constraint("ImageManifest", f"{BASE['digest']} of type {BASE['mediaType']} is not an image"),
        ),
        given=layers_of(IMAGE),
        shows=(),
    ),
    *(
        rule(
            f"bytes under a digest that is not theirs, {how}",
            "recorded",
            pushes(IMAGE, tag, NOWHERE),
            WRONG_DIGEST,
            given=layers_of(IMAGE),
            shows=(),
        )
        for how, tag in (("alone", None), ("with a tag", "v1"))
    ),
    rule(
        "an image under its sha512",
        "inferred",
        pushes(SHA512, "v1", SHA512.digest),
        given=layers_of(SHA512),
        shows=((SHA512, "v1"),),
    ),
)

PIECES = (
    rule("a push to a repository that is missing", "recorded", missing, repository_not_found()),
    rule(
        "an image whose layers are not there",
        "recorded",
        told(IMAGE.manifest),
        layers_missing(*IMAGE.layers),
        shows=(),
    ),
    rule(
        "config and layers that are missing are named once, in their order",
        "recorded",
        pushes(SCATTERED, "v1"),
        layers_missing(CONFIG, LAYER_ONE, LAYER_TWO),
        given=lambda plane: plane.push_layer("app", b"there"),
        shows=(),
    ),
    rule(
        "a layer of another repository does not count",
        "documented",
        pushes(IMAGE, "v1"),
        layers_missing(*IMAGE.layers),
        given=elsewhere(layers_of(IMAGE, repository="other")),
        shows=(),
    ),
    rule(
        "a layer that lies elsewhere need not be here",
        "inferred",
        pushes(ABROAD, "v1"),
        given=layers_of(ONE),
        shows=((ABROAD, "v1"),),
    ),
    rule(
        "an index whose images are not there",
        "recorded",
        told(INDEX.manifest, INDEX.media_type),
        images_missing(*(FIXTURES[name].digest for name in INDEX.after)),
        shows=(),
    ),
    rule(
        "images of an index that are missing are named once, in its order",
        "recorded",
        pushes(LISTING, "v1"),
        images_missing(ONE.digest, TWO.digest),
        given=holding((THREE,)),
        shows=((THREE,),),
    ),
    rule(
        "an image of another repository does not count",
        "documented",
        pushes(fixture_of(index_of(numbered(1))), "v1"),
        images_missing(ONE.digest),
        given=in_other(ONE),
        shows=(),
    ),
    rule(
        "a subject need not be there",
        "inferred",
        pushes(ORPHAN, "v1"),
        given=layers_of(ORPHAN),
        shows=((ORPHAN, "v1"),),
    ),
    rule(
        "neither layers nor images need be there where they may be missing",
        "setting",
        after(pushes(THREE, "v1"), pushes(LISTING, "v2")),
        shows=((THREE, "v1"), (LISTING, "v2")),
        sparse=True,
    ),
)

QUOTAS = (
    *(
        rule(
            f"500 layers{', strictly' if strict else ''}",
            "recorded",
            pushes(DEEP[500], "v1"),
            given=layers_of(IMAGE),
            shows=((DEEP[500], "v1"),),
            strict_ecr=strict,
        )
        for strict in (False, True)
    ),
    *(
        rule(
            f"501 layers{', strictly' if strict else ''}",
            "recorded",
            pushes(DEEP[501], "v1"),
            TOO_DEEP,
            given=layers_of(IMAGE),
            shows=(),
            strict_ecr=strict,
        )
        for strict in (False, True)
    ),
    rule(
        "as many layers as an image may have",
        "setting",
        pushes(DEEP[1], "v1"),
        given=layers_of(IMAGE),
        shows=((DEEP[1], "v1"),),
        quota_layers_per_image=1,
    ),
    rule(
        "one layer more than an image may have",
        "setting",
        pushes(DEEP[2], "v1"),
        TOO_DEEP,
        given=layers_of(IMAGE),
        shows=(),
        quota_layers_per_image=1,
    ),
    rule(
        "one image more than a repository may hold",
        "recorded",
        pushes(THREE, "v3"),
        no_room(2),
        given=after(holding((ONE, "v1"), (TWO, "v2")), in_other(THREE)),
        shows=((ONE, "v1"), (TWO, "v2")),
        quota_images=2,
    ),
    rule(
        "an image that is there takes no more room",
        "inferred",
        pushes(ONE, "again"),
        given=holding((ONE, "v1"), (TWO, "v2")),
        shows=((ONE, "v1", "again"), (TWO, "v2")),
        quota_images=2,
    ),
    rule(
        "an image that is deleted makes room",
        "inferred",
        pushes(THREE),
        given=after(holding((ONE, "v1"), (TWO, "v2")), deletes("v2")),
        shows=((ONE, "v1"), (THREE,)),
        quota_images=2,
    ),
)

#: Has a layer that is nowhere.
MISSING = fixture_of(build_image(b"missing"))
(LOST,) = MISSING.layers.keys() - ONE.layers.keys()
taken = holding((ONE, "taken"))
still = ((ONE, "taken"),)

#: Each request is wrong in two ways; the one that is looked at first is the answer.
ORDER = (
    rule(
        "the repository is looked at before the manifest",
        "inferred",
        lambda plane: plane.push_manifest("missing", b"{", IMAGE.media_type, "v1"),
        repository_not_found(),
    ),
    rule(
        "the manifest is looked at before its digest",
        "inferred",
        lambda plane: plane.push_manifest("app", b"{", IMAGE.media_type, "new", NOWHERE),
        INVALID_JSON,
        given=taken,
        shows=still,
    ),
    rule(
        "the number of layers is looked at before the digest",
        "inferred",
        pushes(LAYERLESS, "new", NOWHERE),
        NO_LAYER,
        given=after(taken, layers_of(IMAGE)),
        shows=still,
        strict_ecr=True,
    ),
    rule(
        "the digest is looked at before the tag",
        "inferred",
        pushes(TWO, "taken", NOWHERE),
        WRONG_DIGEST,
        given=after(taken, turned("IMMUTABLE")),
        shows=still,
    ),
    rule(
        "the digest is looked at before the layers",
        "inferred",
        pushes(MISSING, "new", NOWHERE),
        WRONG_DIGEST,
        given=taken,
        shows=still,
    ),
    rule(
        "the tag is looked at before the layers",
        "inferred",
        pushes(MISSING, "taken"),
        immutable("taken"),
        given=after(taken, turned("IMMUTABLE")),
        shows=still,
    ),
    rule(
        "the layers are looked at before the room",
        "inferred",
        pushes(MISSING, "new"),
        layers_missing(LOST),
        given=taken,
        shows=still,
        quota_images=1,
    ),
)

ROWS = (*MANIFESTS, *PIECES, *QUOTAS, *ORDER)
