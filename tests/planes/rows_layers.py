"""The table of rules, layers: uploads and what becomes of them."""

from __future__ import annotations

from tests.answers import ACCOUNT
from tests.planes.pushing import Plane
from tests.planes.table import NOWHERE, Answers, repository_not_found, rule
from tests.pushing import digest_of

LAYER = b"some bytes of a layer"
NO_UPLOAD = "12345678-1234-1234-1234-123456789012"
UPLOAD_NOT_FOUND = Answers(
    "UploadNotFoundException",
    "404 BLOB_UPLOAD_UNKNOWN",
    f"The upload with id '{NO_UPLOAD}' in the repository with name 'app' "
    f"in registry with id '{ACCOUNT}' does not exist",
)


def two_parts(plane: Plane) -> str:
    upload_id = plane.begin("app")
    plane.append("app", upload_id, 0, LAYER)
    plane.append("app", upload_id, len(LAYER), LAYER)
    return upload_id


ROWS = (
    rule(
        "a layer upload to a repository that is missing",
        "recorded",
        lambda plane: plane.begin("missing"),
        repository_not_found(),
    ),
    rule(
        "a layer under a digest that is not its own",
        "recorded",
        lambda plane: plane.push_layer("app", LAYER, NOWHERE),
        Answers(
            "InvalidLayerException",
            "400 BLOB_UPLOAD_INVALID",
            "None of the provided layer digests match the calculated layer digest",
        ),
    ),
    rule(
        "a layer of a part too small",
        "recorded",
        lambda plane: plane.complete("app", two_parts(plane), digest_of(LAYER + LAYER)),
        Answers(
            "LayerPartTooSmallException",
            "400 BLOB_UPLOAD_INVALID",
            "All layer parts except the last part should be at least 5MB",
        ),
        strict_ecr=True,
    ),
    rule(
        "a part of an upload that is not there",
        "recorded",
        lambda plane: plane.append("app", NO_UPLOAD, 0, LAYER),
        UPLOAD_NOT_FOUND,
    ),
    rule(
        "the end of an upload that is not there",
        "recorded",
        lambda plane: plane.complete("app", NO_UPLOAD, NOWHERE),
        UPLOAD_NOT_FOUND,
    ),
)
