"""The wire table, repositories that a push makes: by a creation template for CREATE_ON_PUSH, or by the setting.

Which request makes it is not documented: the first that writes (inferred).
"""

from __future__ import annotations

import re
from typing import Any

from tests.dataplane.wire import LAYER, UUID, Exchange, World, ask, row
from tests.planes.catalogue import FIXTURES, Fixture

NEW = "POST /v2/prod/app/blobs/uploads/"
GONE = ask("GET /v2/prod/app/tags/list", 404, "NAME_UNKNOWN")
EMPTY = ask("GET /v2/prod/app/tags/list", 200, {"name": "prod/app", "tags": []})
INDEX = FIXTURES["empty-index"]
IMAGE = FIXTURES["oci-image"]


def template(world: World, **members: Any) -> None:
    world.api("CreateRepositoryCreationTemplate", prefix="prod", **{"appliedFor": ["CREATE_ON_PUSH"], **members})


def of_another_reason(world: World) -> None:
    template(world, appliedFor=["REPLICATION", "PULL_THROUGH_CACHE"])


def without_role(world: World) -> None:
    template(world, resourceTags=[{"Key": "a", "Value": "b"}])


def encrypted(world: World) -> None:
    """The template encrypts, and the layer to mount is not encrypted."""
    role = f"arn:aws:iam::{world.account}:role/r"
    template(world, encryptionConfiguration={"encryptionType": "KMS"}, customRoleArn=role)
    world.repository("other")
    world.layer(LAYER, "other")
    world.mounting()


def mountable(world: World) -> None:
    template(world)
    world.repository("other")
    world.layer(LAYER, "other")
    world.mounting()


def immutable(world: World) -> None:
    template(world, imageTagMutability="IMMUTABLE")


def put(fixture: Fixture, reference: str, status: int, answers: str | None = None) -> Exchange:
    return ask(
        f"PUT /v2/prod/app/manifests/{reference}",
        status,
        answers,
        send={"Content-Type": fixture.media_type},
        body=fixture.manifest,
    )


ROWS = (
    row(
        "an upload makes the repository",
        "ECR inferred",
        ask(NEW, 202, headers={"Location": re.compile(f"/v2/prod/app/blobs/uploads/{UUID}")}),
        EMPTY,
        given=template,
    ),
    row(
        "an upload in one request makes it",
        "ECR inferred",
        ask(f"{NEW}?digest={{layer}}", 201, body=LAYER),
        ask("GET /v2/prod/app/blobs/{layer}", 200, LAYER),
        given=template,
    ),
    row(
        "a mount makes it",
        "ECR inferred",
        ask(f"{NEW}?mount={{layer}}&from=other", 201),
        ask("HEAD /v2/prod/app/blobs/{layer}", 200),
        given=mountable,
    ),
    row(
        "a mount that its encryption does not allow makes it, and is an upload",
        "ECR documented",
        ask(f"{NEW}?mount={{layer}}&from=other", 202),
        ask("HEAD /v2/prod/app/blobs/{layer}", 404),
        EMPTY,
        given=encrypted,
    ),
    row(
        "a manifest makes it",
        "ECR inferred",
        put(INDEX, "v1", 201),
        ask("GET /v2/prod/app/tags/list", 200, {"name": "prod/app", "tags": ["v1"]}),
        given=template,
    ),
    row(
        "a manifest that is refused makes none",
        "ECR inferred",
        put(IMAGE, "v1", 404, "BLOB_UPLOAD_UNKNOWN"),
        GONE,
        given=template,
    ),
    row(
        "an upload that is refused makes none",
        "ECR inferred",
        ask(f"{NEW}?digest-algorithm=md5", 400, "UNSUPPORTED"),
        ask(f"{NEW}?digest=sha256:x", 400, "DIGEST_INVALID"),
        GONE,
        given=template,
    ),
    row(
        "a look makes none",
        "ECR documented",
        ask("HEAD /v2/prod/app/blobs/{layer}", 404),
        ask("HEAD /v2/prod/app/manifests/v1", 404),
        ask("GET /v2/prod/app/manifests/v1", 404, "NAME_UNKNOWN"),
        GONE,
        given=template,
    ),
    row(
        "a template of another reason makes none",
        "ECR documented",
        ask(NEW, 404, "NAME_UNKNOWN"),
        GONE,
        given=of_another_reason,
    ),
    row(
        "a template that lacks its role makes none",
        "ECR documented",
        ask(NEW, 404, "NAME_UNKNOWN"),
        put(INDEX, "v1", 404, "NAME_UNKNOWN"),
        GONE,
        given=without_role,
    ),
    row(
        "the prefix itself is not below it",
        "ECR documented",
        ask("POST /v2/prod/blobs/uploads/", 404, "NAME_UNKNOWN"),
        ask("POST /v2/production/app/blobs/uploads/", 404, "NAME_UNKNOWN"),
        given=template,
    ),
    row(
        "a template goes before the setting",
        "create_on_push",
        ask(NEW, 202),
        put(INDEX, "v1", 201),
        put(IMAGE, "v1", 400, "TAG_INVALID"),
        ask("POST /v2/elsewhere/blobs/uploads/", 202),
        given=immutable,
        create_on_push=True,
    ),
)
