"""The wire table, archived images: what a client of the registry is told while one is away, and when it is back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ecrsim.testing import Response
from tests.dataplane.wire import LAYER, Exchange, Row, World, ask, row
from tests.planes.catalogue import FIXTURES, Fixture

IMAGE = FIXTURES["oci-image"]
#: Shares no layer with the image.
OTHER = FIXTURES["helm-chart"]
INDEX = FIXTURES["docker-list"]
CHILD = FIXTURES[INDEX.after[0]]
ARTIFACT = FIXTURES["artifact-with-subject"]
SUBJECT = ARTIFACT.document["subject"]["digest"]
CONFIG, BASE = list(IMAGE.layers)[:2]
#: A restore that takes longer than the test.
SLOW: dict[str, Any] = {"restore_delay": 30 * 24 * 3600}

INACCESSIBLE = {
    "errors": [
        {
            "code": "UNKNOWN",
            "message": "The requested image is in an inaccessible state. Please restore if needed",
        }
    ]
}
GONE = ("GET /v2/app/manifests/v1", "GET /v2/app/manifests/{oci-image}")


def archive(world: World, *digests: str) -> None:
    for digest in digests:
        image_id = {"imageDigest": digest}
        world.api("UpdateImageStorageClass", repositoryName="app", imageId=image_id, targetStorageClass="ARCHIVE")


def restore(world: World, *digests: str) -> None:
    for digest in digests:
        image_id = {"imageDigest": digest}
        world.api("UpdateImageStorageClass", repositoryName="app", imageId=image_id, targetStorageClass="STANDARD")


def archived(world: World) -> None:
    """The image is archived; another with layers of its own is not."""
    world.image("oci-image", "v1")
    world.image("helm-chart", "v2")
    world.values.update(base=BASE, config=CONFIG)
    archive(world, IMAGE.digest)


def activating(world: World) -> None:
    archived(world)
    restore(world, IMAGE.digest)


def restored(world: World) -> None:
    activating(world)
    world.advance(5)


def with_artifact(world: World) -> None:
    """The subject stays, what is said about it is archived."""
    world.image("oci-image", "v1")
    world.image("artifact-with-subject")
    archive(world, ARTIFACT.digest)


def other_repository(world: World) -> None:
    archived(world)
    world.repository("other")
    world.mounting()


def both(id: str, source: str, *exchanges: Exchange, given: tuple[Callable[[World], object], ...]) -> list[Row]:
    """A row for an archived image, and one for an image that is being restored."""
    names = ("archived", "being restored")
    return [
        row(f"{id}, {name}", source, *exchanges, given=make, **SLOW) for name, make in zip(names, given, strict=True)
    ]


def blob_gone(digest: str) -> Callable[[Response], None]:
    def judge(answer: Response) -> None:
        (error,) = answer.json()["errors"]
        assert error["code"] == "UNKNOWN"
        assert error["message"].startswith(
            f"The layer with digest '{digest}' is inaccessible in the repository with name 'app' in the registry "
        )

    return judge


def lists(fixture: Fixture) -> Callable[[Response], None]:
    def judge(answer: Response) -> None:
        assert [each["digest"] for each in answer.json()["manifests"]] == [fixture.digest]

    return judge


def put(fixture: Fixture, reference: str) -> Exchange:
    send = {"Content-Type": fixture.media_type}
    return ask(f"PUT /v2/app/manifests/{reference}", 201, send=send, body=fixture.manifest)


AWAY = (archived, activating)

ROWS = (
    *both(
        "a manifest",
        "ECR recorded: UNKNOWN, documented: 404",
        *(ask(path, 404, INACCESSIBLE) for path in GONE),
        *(ask(path.replace("GET", "HEAD"), 404) for path in GONE),
        ask("GET /v2/app/manifests/v2", 200, OTHER.manifest),
        given=AWAY,
    ),
    *both(
        "its layers",
        "ECR inferred",
        ask("GET /v2/app/blobs/{base}", 404, blob_gone(BASE)),
        ask("GET /v2/app/blobs/{config}", 404, blob_gone(CONFIG)),
        ask("HEAD /v2/app/blobs/{base}", 200),
        ask("GET /v2/app/blobs/{nowhere}", 404, "BLOB_UNKNOWN"),
        *(ask(f"GET /v2/app/blobs/{digest}", 200, data) for digest, data in OTHER.layers.items()),
        given=AWAY,
    ),
    *both(
        "tags",
        "ECR documented: ListImages shows what is active",
        ask("GET /v2/app/tags/list", 200, {"name": "app", "tags": ["v2"]}),
        ask("GET /v2/app/tags/list?n=1", 200, {"name": "app", "tags": ["v2"]}, headers={"Link": None}),
        given=AWAY,
    ),
    *both(
        "a push of the image",
        "ECR documented: it restores at once",
        put(IMAGE, "v1"),
        ask("GET /v2/app/manifests/v1", 200, IMAGE.manifest),
        ask("GET /v2/app/blobs/{base}", 200, IMAGE.layers[BASE]),
        ask("GET /v2/app/tags/list", 200, {"name": "app", "tags": ["v1", "v2"]}),
        given=AWAY,
    ),
    *both(
        "a push of the image, layers first, as docker does",
        "ECR documented: it restores at once",
        ask("HEAD /v2/app/manifests/v1", 404),
        ask("HEAD /v2/app/blobs/{base}", 200),
        ask("POST /v2/app/blobs/uploads/", 202, keep={"upload": "Location"}),
        ask("PUT {upload}?digest={base}", 201, body=IMAGE.layers[BASE]),
        ask("HEAD /v2/app/blobs/{base}", 200),
        put(IMAGE, "{oci-image}?tag=v3"),
        ask("GET /v2/app/manifests/v3", 200, IMAGE.manifest),
        ask("GET /v2/app/manifests/v1", 200, IMAGE.manifest),
        given=AWAY,
    ),
    *both(
        "a push of another image under its tag",
        "ECR inferred",
        put(OTHER, "v1"),
        ask("GET /v2/app/manifests/v1", 200, OTHER.manifest),
        ask("GET /v2/app/manifests/{oci-image}", 404, INACCESSIBLE),
        given=AWAY,
    ),
    *both(
        "deletion by digest",
        "ECR documented",
        ask("DELETE /v2/app/manifests/{oci-image}", 202),
        ask("GET /v2/app/manifests/v1", 404, "MANIFEST_UNKNOWN"),
        ask("GET /v2/app/manifests/{oci-image}", 404, "MANIFEST_UNKNOWN"),
        given=AWAY,
    ),
    *both(
        "deletion by tag",
        "ECR inferred: as BatchDeleteImage, the image goes with its last tag",
        ask("DELETE /v2/app/manifests/v1", 202),
        ask("GET /v2/app/manifests/v1", 404, "MANIFEST_UNKNOWN"),
        ask("GET /v2/app/manifests/{oci-image}", 404, "MANIFEST_UNKNOWN"),
        given=AWAY,
    ),
    *both(
        "a mount of its layer elsewhere",
        "ECR inferred: what cannot be read cannot be mounted",
        ask("POST /v2/other/blobs/uploads/?mount={base}&from=app", 202),
        ask("POST /v2/other/blobs/uploads/?mount={base}", 202),
        ask("HEAD /v2/other/blobs/{base}", 404),
        given=(other_repository, lambda world: [other_repository(world), restore(world, IMAGE.digest)]),
    ),
    row(
        "a layer that another image uses too",
        "ECR inferred",
        ask("GET /v2/app/blobs/{base}", 200, IMAGE.layers[BASE]),
        ask("HEAD /v2/app/blobs/{base}", 200),
        ask("GET /v2/app/manifests/v1", 404, INACCESSIBLE),
        ask("GET /v2/app/tags/list", 200, {"name": "app", "tags": ["same-layers", "v2"]}),
        given=lambda world: [
            archived(world),
            world.tag(IMAGE._replace(manifest=IMAGE.manifest + b"\n"), "same-layers"),
        ],
    ),
    row(
        "a layer that no image uses is no archived one",
        "OCI end-2",
        ask("GET /v2/app/blobs/{layer}", 200, LAYER),
        ask("HEAD /v2/app/blobs/{layer}", 200),
        given=lambda world: [archived(world), world.layer()],
    ),
    row(
        "a layer, where pulls are sent elsewhere",
        "ECR inferred",
        ask("GET /v2/app/blobs/{base}", 404, blob_gone(BASE)),
        given=archived,
        blob_redirect=True,
    ),
    row(
        "an image that is back",
        "ECR documented",
        ask("GET /v2/app/manifests/v1", 200, IMAGE.manifest),
        ask("HEAD /v2/app/manifests/{oci-image}", 200),
        ask("GET /v2/app/blobs/{base}", 200, IMAGE.layers[BASE]),
        ask("GET /v2/app/tags/list", 200, {"name": "app", "tags": ["v1", "v2"]}),
        given=restored,
    ),
    row(
        "an index whose image is archived is given",
        "ECR inferred",
        ask("GET /v2/app/manifests/multi", 200, INDEX.manifest),
        ask(f"GET /v2/app/manifests/{CHILD.digest}", 404, INACCESSIBLE),
        given=lambda world: [
            world.image("docker-list", "multi"),
            archive(world, INDEX.digest, CHILD.digest),
            world.tag(INDEX, "multi"),
        ],
    ),
    row(
        "what is said about an image is archived",
        "ECR documented: referrers that are active are listed",
        ask(
            f"GET /v2/app/referrers/{SUBJECT}",
            200,
            {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []},
        ),
        put(ARTIFACT, "{artifact-with-subject}"),
        ask(f"GET /v2/app/referrers/{SUBJECT}", 200, lists(ARTIFACT)),
        given=with_artifact,
    ),
)
