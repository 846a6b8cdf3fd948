"""The wire table, the profile `strict_ecr`: where ECR answers otherwise than the specification asks.

Each row has its counterpart, the specification's answer, in another part of the table or right behind it.
"""

from __future__ import annotations

import json
from typing import Any

from tests.dataplane.rows_uploads import BLOB, OPENED, START
from tests.dataplane.wire import LAYER, LONG, VALUES, Exchange, Row, World, ask, row
from tests.planes.catalogue import FIXTURES

IMAGE = FIXTURES["oci-image"]
CUSTOM = FIXTURES["custom-members"]
#: What ECR says of a `last` that it did not give (recorded).
INVALID_NEXT = {
    "errors": [
        {
            "code": "UNSUPPORTED",
            "message": "Invalid parameter at 'NextToken' failed to satisfy constraint: 'Invalid next token provided'",
        }
    ]
}
CONFIG, BASE = list(IMAGE.layers)[:2]
NO_LAYERS = json.dumps(IMAGE.document | {"layers": []}).encode()


def put(body: bytes, status: int, answers: str | None = None) -> Exchange:
    return ask("PUT /v2/app/manifests/v1", status, answers, send={"Content-Type": IMAGE.media_type}, body=body)


def layers_of_image(world: World) -> None:
    for data in IMAGE.layers.values():
        world.layer(data)


def tagged(*tags: str) -> Any:
    return lambda world: world.image("oci-image", *tags)


def fresh(world: World) -> None:
    world.session()


def layers_of_custom(world: World) -> None:
    for data in CUSTOM.layers.values():
        world.layer(data)


def image_in_other(world: World) -> None:
    """The image is in the repository `other`, which has one layer besides; mounting is on."""
    world.repository("other")
    world.image(repository="other")
    world.layer(LAYER, "other")
    world.mounting()
    world.values.update(base=BASE)


def both(id: str, source: str, strict: tuple[Exchange, ...], lenient: tuple[Exchange, ...], **given: Any) -> list[Row]:
    """A row for each profile."""
    return [
        row(f"{id}, as ECR", source, *strict, strict_ecr=True, **given),
        row(f"{id}, as the specification", source, *lenient, **given),
    ]


ROWS = (
    *both(
        "a chunk is accepted",
        "ECR recorded: 201",
        (ask("PATCH {upload}", 201, body=LAYER, headers={"Range": "0-15"}),),
        (ask("PATCH {upload}", 202, body=LAYER),),
        given=fresh,
    ),
    *both(
        "GET of a manifest tells the digest",
        "ECR recorded: it does not",
        (ask("GET /v2/app/manifests/v1", 200, IMAGE.manifest, headers={"Docker-Content-Digest": None}),),
        (ask("GET /v2/app/manifests/v1", 200, IMAGE.manifest, headers={"Docker-Content-Digest": "{oci-image}"}),),
        given=lambda world: world.image("oci-image", "v1"),
    ),
    *both(
        "HEAD of a manifest tells the digest",
        "ECR recorded",
        (ask("HEAD /v2/app/manifests/v1", 200, headers={"Docker-Content-Digest": "{oci-image}"}),),
        (ask("HEAD /v2/app/manifests/v1", 200, headers={"Docker-Content-Digest": "{oci-image}"}),),
        given=lambda world: world.image("oci-image", "v1"),
    ),
    *both(
        "the type of a list of tags",
        "ECR recorded",
        (
            ask(
                "GET /v2/app/tags/list",
                200,
                {"name": "app", "tags": []},
                headers={"Content-Type": "text/plain; charset=utf-8"},
            ),
        ),
        (ask("GET /v2/app/tags/list", 200, headers={"Content-Type": "application/json"}),),
    ),
    *both(
        "members that nobody knows",
        "ECR recorded",
        (put(CUSTOM.manifest, 405, "UNSUPPORTED"),),
        (put(CUSTOM.manifest, 201),),
        given=layers_of_custom,
    ),
    *both(
        "an image without layers",
        "ECR recorded",
        (put(NO_LAYERS, 405, "UNSUPPORTED"),),
        (put(NO_LAYERS, 201),),
        given=lambda world: [world.layer(data) for data in IMAGE.layers.values()],
    ),
    *both(
        "a manifest is put",
        "ECR recorded: no Location",
        (
            ask(
                "PUT /v2/app/manifests/v1",
                201,
                send={"Content-Type": IMAGE.media_type},
                body=IMAGE.manifest,
                headers={"Location": None, "Docker-Content-Digest": "{oci-image}"},
            ),
        ),
        (
            ask(
                "PUT /v2/app/manifests/v1",
                201,
                send={"Content-Type": IMAGE.media_type},
                body=IMAGE.manifest,
                headers={"Location": "/v2/app/manifests/{oci-image}"},
            ),
        ),
        given=layers_of_image,
    ),
    *both("GET /v2/", "ECR recorded: no body", (ask("GET /v2/", 200, b""),), (ask("GET /v2/", 200, b"{}"),)),
    row(
        "a list of tags goes on after what ECR gave",
        "ECR recorded",
        *(
            ask(f"GET /v2/app/tags/list?{query}", 405, INVALID_NEXT)
            for query in ("last=a", "n=1&last=a", "last=%2F%2F", f"last={VALUES['layer']}")
        ),
        ask("GET /v2/app/tags/list?last=", 200, {"name": "app", "tags": ["a", "b"]}),
        given=tagged("a", "b"),
        strict_ecr=True,
    ),
    row(
        "the catalog goes on after what ECR gave",
        "ECR recorded",
        ask("GET /v2/_catalog?last=app", 405, INVALID_NEXT),
        strict_ecr=True,
    ),
    row(
        "more chunks than a layer may have parts",
        "ECR documented",
        ask("PATCH {upload}", 201, body=LAYER),
        ask("PATCH {upload}", 201, body=LAYER),
        ask("PATCH {upload}", 403, "DENIED", body=LAYER),
        ask("PUT {upload}?digest={layer}", 403, "DENIED", body=LAYER),
        ask("GET {upload}", 204, headers={"Range": "0-31"}),
        given=fresh,
        strict_ecr=True,
        quota_layer_parts=2,
        quota_layer_part_min=1,
    ),
    *both(
        "an upload without bytes",
        "ECR recorded",
        (ask("PUT {upload}?digest={empty}", 400, "BLOB_UPLOAD_INVALID"), ask("HEAD /v2/app/blobs/{empty}", 404)),
        (ask("PUT {upload}?digest={empty}", 201),),
        given=fresh,
    ),
    *both(
        "a first chunk below the minimum",
        "ECR recorded",
        (
            ask("PATCH {upload}", 201, body=LAYER[:5]),
            ask("PATCH {upload}", 201, body=LAYER[5:]),
            ask("PUT {upload}?digest={layer}", 400, "BLOB_UPLOAD_INVALID"),
        ),
        (
            ask("PATCH {upload}", 202, body=LAYER[:5]),
            ask("PATCH {upload}", 202, body=LAYER[5:]),
            ask("PUT {upload}?digest={layer}", 201),
        ),
        given=fresh,
    ),
    row(
        "the chunk in the last request counts as one",
        "ECR recorded",
        ask("PATCH {upload}", 201, body=LONG[:1999]),
        ask("PUT {upload}?digest={long}", 400, "BLOB_UPLOAD_INVALID", body=LONG[1999:]),
        given=fresh,
        strict_ecr=True,
        quota_layer_part_min=2000,
    ),
    *both(
        "a mount of a layer that no image uses",
        "ECR recorded",
        (ask(f"{START}?mount={{layer}}&from=other", 202, headers=OPENED),),
        (ask(f"{START}?mount={{layer}}&from=other", 201, headers=BLOB),),
        given=image_in_other,
    ),
    *both(
        "a mount of a layer that an image uses",
        "ECR recorded",
        (ask(f"{START}?mount={{base}}&from=other", 201),),
        (ask(f"{START}?mount={{base}}&from=other", 201),),
        given=image_in_other,
    ),
    *both(
        "an anonymous mount",
        "ECR documented",
        (ask(f"{START}?mount={{base}}", 202, headers=OPENED),),
        (ask(f"{START}?mount={{base}}", 201),),
        given=image_in_other,
    ),
)
