"""The wire table, manifests: push by tag and by digest, pull, delete."""

from __future__ import annotations

import json
from typing import Any

from tests.dataplane.wire import VALUES, Exchange, World, ask, row
from tests.planes.catalogue import ACCEPTED, FIXTURES, Fixture
from tests.pushing import digest_of

IMAGE = FIXTURES["oci-image"]
DOCKER = FIXTURES["docker-schema2"]
INDEX = FIXTURES["docker-list"]
ARTIFACT = FIXTURES["artifact-with-subject"]
SHA512 = FIXTURES["sha512-image"]
BUNDLE = FIXTURES["index-with-subject"]

UNKNOWN = "MANIFEST_UNKNOWN"
#: A tag of ECR's grammar alone.
ECR_TAG = ".-" + "v" * 298
MAX_MANIFEST = 4 * 1024 * 1024
#: What clients list, as one header; most send a line for each.
EVERY_TYPE = ", ".join(sorted({fixture.media_type for fixture in ACCEPTED}))


def put(fixture: Fixture, reference: str, status: int = 201, answers: str | None = None, **headers: Any) -> Exchange:
    """PUT of a fixture under its own type."""
    wanted = {name.replace("_", "-"): value for name, value in headers.items()}
    send = {"Content-Type": fixture.media_type}
    return ask(f"PUT /v2/app/manifests/{reference}", status, answers, send=send, body=fixture.manifest, headers=wanted)


def gives(reference: str, fixture: Fixture) -> Exchange:
    return ask(f"GET /v2/app/manifests/{reference}", 200, fixture.manifest, headers=told(fixture))


def told(fixture: Fixture) -> dict[str, Any]:
    """The headers of a manifest; the type without parameters, the digest that the image is named by."""
    return {
        "Content-Type": fixture.media_type,
        "Content-Length": str(len(fixture.manifest)),
        "Docker-Content-Digest": fixture.digest,
        "Docker-Distribution-Api-Version": "registry/2.0",
        "ETag": f'"{fixture.digest}"',
    }


def by_tag(fixture: Fixture) -> Fixture:
    """A push by tag names the image by sha256, whatever else it is known by."""
    return fixture._replace(digest=digest_of(fixture.manifest))


def gone(reference: str, code: str = UNKNOWN) -> Exchange:
    return ask(f"GET /v2/app/manifests/{reference}", 404, code)


def layers(*fixtures: Fixture) -> Any:
    """Given: the layers of these, and not the images."""

    def push(world: World) -> None:
        for data in {data for fixture in fixtures for data in fixture.layers.values()}:
            world.layer(data)

    return push


def image(name: str, *tags: str) -> Any:
    return lambda world: world.image(name, *tags)


def changed(fixture: Fixture, **members: Any) -> Fixture:
    """Another manifest that needs the same."""
    document = {name: value for name, value in (fixture.document | members).items() if value is not None}
    return fixture._replace(manifest=json.dumps(document).encode())


def of_size(size: int) -> Fixture:
    """An image whose manifest has exactly this many bytes."""
    empty = changed(IMAGE, annotations={"pad": ""})
    return changed(IMAGE, annotations={"pad": "x" * (size - len(empty.manifest))})


TYPED = IMAGE.media_type
TWICE = changed(IMAGE, layers=IMAGE.document["layers"] * 3)
NO_LAYERS = changed(IMAGE, layers=[])
ABSENT_SUBJECT = changed(ARTIFACT, subject={"mediaType": TYPED, "digest": VALUES["nowhere"], "size": 7})

ROWS = (
    # Push
    row(
        "by tag",
        "OCI end-7",
        put(
            IMAGE,
            "v1",
            Location="/v2/app/manifests/{oci-image}",
            Docker_Content_Digest="{oci-image}",
            Content_Length="0",
            OCI_Subject=None,
            OCI_Tag=None,
        ),
        gives("v1", IMAGE),
        gives("{oci-image}", IMAGE),
        given=layers(IMAGE),
    ),
    row(
        "by digest",
        "OCI end-7",
        put(IMAGE, "{oci-image}", Location="/v2/app/manifests/{oci-image}", Docker_Content_Digest="{oci-image}"),
        gives("{oci-image}", IMAGE),
        ask("GET /v2/app/tags/list", 200, {"name": "app", "tags": []}),
        given=layers(IMAGE),
    ),
    row(
        "by digest with tags",
        "OCI end-7b",
        put(IMAGE, "{oci-image}?tag=v1&tag=v2", OCI_Tag="v1, v2", Docker_Content_Digest="{oci-image}"),
        gives("v1", IMAGE),
        gives("v2", IMAGE),
        given=layers(IMAGE),
    ),
    row(
        "by digest with ten tags",
        "OCI end-7b",
        put(
            IMAGE,
            "{oci-image}?" + "&".join(f"tag=t{n}" for n in range(10)),
            OCI_Tag=", ".join(f"t{n}" for n in range(10)),
        ),
        ask("GET /v2/app/tags/list", 200, {"name": "app", "tags": [f"t{n}" for n in range(10)]}),
        given=layers(IMAGE),
    ),
    row(
        "by digest with more tags than can be taken",
        "OCI end-7b",
        put(IMAGE, "{oci-image}?" + "&".join(f"tag=t{n}" for n in range(101)), 414),
        gone("{oci-image}"),
        given=layers(IMAGE),
    ),
    row(
        "by digest with a tag that is none",
        "OCI end-7b",
        put(IMAGE, "{oci-image}?tag=v1&tag=a%2Bb", 405, "UNSUPPORTED"),
        gone("v1"),
        given=layers(IMAGE),
    ),
    row(
        "again",
        "docker",
        put(IMAGE, "v1", Docker_Content_Digest="{oci-image}"),
        gives("v1", IMAGE),
        given=image("oci-image", "v1"),
    ),
    row("again by digest", "docker", put(IMAGE, "{oci-image}"), gives("v1", IMAGE), given=image("oci-image", "v1")),
    row(
        "under a digest that is none",
        "conformance invalid digest",
        put(IMAGE, "sha256:baddigeststring", 400, "DIGEST_INVALID"),
        ask("GET /v2/app/manifests/sha256:baddigeststring", 400, "DIGEST_INVALID"),
        given=layers(IMAGE),
    ),
    row(
        "under a tag that PutImage takes, and the specification does not have",
        "ECR documented; on this plane inferred",
        put(IMAGE, ECR_TAG),
        gives(ECR_TAG, IMAGE),
        ask(f"HEAD /v2/app/manifests/{ECR_TAG}", 200),
        ask("GET /v2/app/tags/list", 200, {"name": "app", "tags": [ECR_TAG]}),
        ask(f"DELETE /v2/app/manifests/{ECR_TAG}", 202),
        gone(ECR_TAG),
        given=layers(IMAGE),
    ),
    row(
        "under the longest tag",
        "OCI grammar",
        put(IMAGE, "_" + "V" * 127),
        gives("_" + "V" * 127, IMAGE),
        given=layers(IMAGE),
    ),
    row(
        "by sha512",
        "conformance sha512",
        put(
            SHA512,
            "{sha512-image}",
            Docker_Content_Digest="{sha512-image}",
            Location="/v2/app/manifests/{sha512-image}",
        ),
        gives("{sha512-image}", SHA512),
        given=lambda world: [
            world.ask("POST", f"/v2/app/blobs/uploads/?digest={digest}", body=data)
            for digest, data in SHA512.layers.items()
        ],
    ),
    row(
        "by sha512 with a tag",
        "OCI end-7b",
        put(SHA512, "{sha512-image}?tag=v1", OCI_Tag="v1"),
        gives("v1", SHA512),
        given=image("sha512-image"),
    ),
    row(
        "to a repository that is made for it",
        "create_on_push",
        ask(
            "PUT /v2/new/manifests/v1",
            201,
            send={"Content-Type": FIXTURES["empty-index"].media_type},
            body=FIXTURES["empty-index"].manifest,
        ),
        ask("GET /v2/new/tags/list", 200, {"name": "new", "tags": ["v1"]}),
        create_on_push=True,
    ),
    # Content-Type
    row(
        "a type with parameters",
        "OCI end-3",
        ask("PUT /v2/app/manifests/v1", 201, send={"Content-Type": f"{TYPED}; charset=utf-8"}, body=IMAGE.manifest),
        gives("v1", IMAGE),
        given=layers(IMAGE),
    ),
    row(
        "no type, the body says it",
        "OCI end-7",
        ask("PUT /v2/app/manifests/v1", 201, body=IMAGE.manifest),
        gives("v1", IMAGE),
        given=layers(IMAGE),
    ),
    row(
        "a type that says nothing",
        "OCI end-7",
        ask("PUT /v2/app/manifests/v1", 201, body=IMAGE.manifest, send={"Content-Type": "application/octet-stream"}),
        gives("v1", IMAGE),
        given=layers(IMAGE),
    ),
    row(
        "what is no JSON",
        "ECR recorded",
        ask("PUT /v2/app/manifests/v1", 405, "UNSUPPORTED", body=b"blablabla", send={"Content-Type": TYPED}),
        ask("PUT /v2/app/manifests/v1", 405, "UNSUPPORTED", body=b"", send={"Content-Type": TYPED}),
    ),
    # Content
    row(
        "an image without layers",
        "conformance no layers",
        put(NO_LAYERS, "v1"),
        ask("GET /v2/app/manifests/v1", 200, NO_LAYERS.manifest),
        given=layers(IMAGE),
    ),
    row(
        "a layer named three times",
        "OCI image specification",
        put(TWICE, "v1"),
        ask("GET /v2/app/manifests/v1", 200, TWICE.manifest),
        given=layers(IMAGE),
    ),
    row(
        "an index of nothing",
        "conformance empty index",
        put(FIXTURES["empty-index"], "v1"),
        gives("v1", FIXTURES["empty-index"]),
    ),
    row(
        "layers that are elsewhere",
        "conformance non-distributable",
        put(FIXTURES["oci-foreign-layers"], "v1"),
        put(FIXTURES["docker-foreign-layers"], "v2"),
        given=layers(FIXTURES["oci-foreign-layers"]),
    ),
    *(
        row(
            f"{fixture.name}, byte for byte",
            "conformance",
            gives("v1", by_tag(fixture)),
            gives(fixture.digest, fixture),
            ask("HEAD /v2/app/manifests/v1", 200, b"", headers=told(by_tag(fixture))),
            given=image(fixture.name, "v1"),
        )
        for fixture in ACCEPTED
    ),
    row(
        "the largest manifest",
        "OCI size limit",
        put(of_size(MAX_MANIFEST), "v1"),
        ask("HEAD /v2/app/manifests/v1", 200, headers={"Content-Length": str(MAX_MANIFEST)}),
        given=layers(IMAGE),
    ),
    row(
        "one byte more",
        "OCI size limit",
        put(of_size(MAX_MANIFEST + 1), "v1", 413, "SIZE_INVALID"),
        gone("v1"),
        given=layers(IMAGE),
    ),
    # Subjects
    row(
        "an image with a subject",
        "OCI end-7",
        put(ARTIFACT, "{artifact-with-subject}", OCI_Subject="{oci-image}"),
        given=lambda world: (world.image(), layers(ARTIFACT)(world)),
    ),
    row(
        "an index with a subject",
        "OCI end-7",
        put(BUNDLE, "bundle", OCI_Subject="{oci-image}"),
        given=image("artifact-with-subject"),
    ),
    row(
        "a subject that is not there",
        "OCI end-7",
        put(ABSENT_SUBJECT, "v1", OCI_Subject="{nowhere}"),
        given=layers(ARTIFACT),
    ),
    row("no subject", "OCI end-7", put(IMAGE, "v2", OCI_Subject=None), given=image("oci-image", "v1")),
    # Pull
    row(
        "HEAD",
        "OCI end-3",
        ask("HEAD /v2/app/manifests/v1", 200, b"", headers=told(IMAGE)),
        ask("HEAD /v2/app/manifests/{oci-image}", 200, b"", headers=told(IMAGE)),
        given=image("oci-image", "v1"),
    ),
    row(
        "a digest that is percent-encoded",
        "docker",
        ask("GET /v2/app/manifests/{encoded}", 200, IMAGE.manifest),
        given=lambda world: (world.image(), world.values.update(encoded=world.values["oci-image"].replace(":", "%3A"))),
    ),
    *(
        row(
            f"a client that accepts {what}",
            "OCI end-3",
            ask(
                "GET /v2/app/manifests/v1",
                200,
                IMAGE.manifest,
                send={"Accept": accept},
                headers={"Content-Type": TYPED},
            ),
            given=image("oci-image", "v1"),
        )
        for what, accept in (
            ("every type", EVERY_TYPE),
            ("anything", "*/*"),
            ("this type", TYPED),
            ("another type only", DOCKER.media_type),
            ("this type and anything", f"{TYPED}, */*"),
            ("nothing that makes sense", ";;q="),
        )
    ),
    row(
        "a list is not turned into an image",
        "OCI end-3",
        ask("GET /v2/app/manifests/v1", 200, INDEX.manifest, send={"Accept": DOCKER.media_type}),
        given=image("docker-list", "v1"),
    ),
    row(
        "parameters that nobody knows",
        "containerd",
        ask("GET /v2/app/manifests/v1?ns=docker.io", 200, IMAGE.manifest),
        given=image("oci-image", "v1"),
    ),
    *(
        row(
            f"{method} of {what}",
            "OCI end-3",
            ask(f"{method} /v2/app/manifests/{reference}", status, None if method == "HEAD" else code),
            given=image("oci-image", "v1"),
        )
        for method in ("GET", "HEAD")
        for what, reference, status, code in (
            ("a tag that is not there", "v2", 404, UNKNOWN),
            ("a digest that is not there", "{nowhere}", 404, UNKNOWN),
            ("a sha512 digest that is not there", "{nowhere512}", 404, UNKNOWN),
            ("a digest that is none", "sha256:totallywrong", 400, "DIGEST_INVALID"),
            ("the digest of a layer", "{layer}", 404, UNKNOWN),
        )
    ),
    row(
        "GET of a tag that is none",
        "conformance invalid name",
        ask("GET /v2/app/manifests/.INVALID_MANIFEST_NAME", 404, UNKNOWN),
        ask("GET /v2/app/manifests/" + "v" * 301, 404, UNKNOWN),
    ),
    row("HEAD of a tag that is none", "conformance invalid name", ask("HEAD /v2/app/manifests/a%2Bb", 404)),
    row(
        "HEAD of a tag that is none, strictly",
        "ECR recorded",
        ask("HEAD /v2/app/manifests/a%2Bb", 400),
        strict_ecr=True,
    ),
    *(
        row(
            f"{method} in a repository that is missing",
            "ECR recorded",
            ask(f"{method} /v2/none/manifests/v1", 404, None if method == "HEAD" else "NAME_UNKNOWN"),
        )
        for method in ("GET", "HEAD", "DELETE")
    ),
    # Deletion
    row(
        "of a tag",
        "OCI end-9",
        ask("DELETE /v2/app/manifests/v1", 202, b"", headers={"Content-Length": "0", "Content-Type": None}),
        ask("HEAD /v2/app/manifests/v1", 404),
        gives("v2", IMAGE),
        gives("{oci-image}", IMAGE),
        ask("DELETE /v2/app/manifests/v1", 404, UNKNOWN),
        given=image("oci-image", "v1", "v2"),
    ),
    row(
        "of the last tag",
        "ECR inferred: as BatchDeleteImage, the image goes with it",
        ask("DELETE /v2/app/manifests/v1", 202),
        gone("{oci-image}"),
        given=image("oci-image", "v1"),
    ),
    row(
        "of an image",
        "OCI end-9",
        ask("DELETE /v2/app/manifests/{oci-image}", 202, b"", headers={"Content-Length": "0", "Content-Type": None}),
        ask("HEAD /v2/app/manifests/{oci-image}", 404),
        gone("v1"),
        gone("v2"),
        ask("GET /v2/app/tags/list", 200, {"name": "app", "tags": []}),
        ask("DELETE /v2/app/manifests/{oci-image}", 404, UNKNOWN),
        given=image("oci-image", "v1", "v2"),
    ),
    row(
        "of an image that is pushed again",
        "OCI end-9",
        ask("DELETE /v2/app/manifests/{oci-image}", 202),
        put(IMAGE, "v1"),
        gives("v1", IMAGE),
        given=image("oci-image", "v1"),
    ),
    row(
        "of the last tag of an image that an index lists",
        "OCI end-9",
        ask("DELETE /v2/app/manifests/child", 202),
        ask("HEAD /v2/app/manifests/child", 404),
        gives("{docker-schema2}", DOCKER),
        given=lambda world: (world.image("docker-list", "v1"), world.tag(DOCKER, "child")),
    ),
    row(
        "of a digest that is none",
        "OCI end-9",
        ask("DELETE /v2/app/manifests/sha256:totallywrong", 400, "DIGEST_INVALID"),
    ),
    row(
        "GET of a digest that is none, with a body",
        "conformance of release v1.1.1",
        ask(
            "GET /v2/app/manifests/sha256:totallywrong",
            400,
            "DIGEST_INVALID",
            body=b"blablabla",
            send={"Content-Type": TYPED},
        ),
    ),
    row("of a tag that is none", "OCI end-9", ask("DELETE /v2/app/manifests/.INVALID", 404, UNKNOWN)),
    row(
        "of what is not there",
        "OCI end-9",
        ask("DELETE /v2/app/manifests/{nowhere}", 404, UNKNOWN),
        ask("DELETE /v2/app/manifests/v9", 404, UNKNOWN),
    ),
)
