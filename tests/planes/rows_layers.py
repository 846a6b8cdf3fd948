"""The table of rules, layers: uploads and what becomes of them."""

from __future__ import annotations

import hashlib

from tests.answers import ACCOUNT
from tests.planes.pushing import Plane
from tests.planes.table import NOWHERE, Act, Answers, elsewhere, repository_not_found, rule
from tests.pushing import digest_of

LAYER = b"some bytes of a layer"
NO_UPLOAD = "12345678-1234-1234-1234-123456789012"
UPLOAD_NOT_FOUND = Answers(
    "UploadNotFoundException",
    "404 BLOB_UPLOAD_UNKNOWN",
    f"The upload with id '{NO_UPLOAD}' in the repository with name 'app' "
    f"in registry with id '{ACCOUNT}' does not exist",
)


WRONG_DIGEST = Answers(
    "InvalidLayerException",
    "400 BLOB_UPLOAD_INVALID",
    "None of the provided layer digests match the calculated layer digest",
)
TOO_SMALL = Answers(
    "LayerPartTooSmallException",
    "400 BLOB_UPLOAD_INVALID",
    "All layer parts except the last part should be at least 5MB",
)
#: CompleteLayerUpload says so; docker pushes what is there already, and /v2/ takes it.
ALREADY_THERE = Answers(
    "LayerAlreadyExistsException",
    None,
    f"The layer with digest '{digest_of(LAYER)}' already exists in the repository with name 'app' "
    f"in registry with id '{ACCOUNT}'",
)


def pushes_layer(digest: str = digest_of(LAYER)) -> Act:
    """And asks for it."""

    def act(plane: Plane) -> None:
        plane.push_layer("app", LAYER, digest)
        assert plane.has_layer("app", digest)

    return act


def uploads(*sizes: int, digest: str | None = None) -> Act:
    """A layer in parts of these sizes."""

    def act(plane: Plane) -> None:
        upload_id = plane.begin("app")
        for number, size in enumerate(sizes):
            plane.append("app", upload_id, sum(sizes[:number]), b"x" * size)
        plane.complete("app", upload_id, digest or digest_of(b"x" * sum(sizes)))

    return act


ROWS = (
    rule(
        "a layer upload to a repository that is missing",
        "recorded",
        lambda plane: plane.begin("missing"),
        repository_not_found(),
    ),
    rule("a layer under a digest that is not its own", "recorded", pushes_layer(NOWHERE), WRONG_DIGEST),
    rule(
        "a layer under its sha512",
        "inferred",
        pushes_layer(f"sha512:{hashlib.sha512(LAYER).hexdigest()}"),
        shows=(),
    ),
    rule(
        "a layer of another repository is not there",
        "documented",
        pushes_layer(),
        given=elsewhere(lambda plane: plane.push_layer("other", LAYER)),
        shows=(),
    ),
    rule("a layer that is there", "inferred", pushes_layer(), ALREADY_THERE, given=pushes_layer(), shows=()),
    rule(
        "the digest is looked at before what is there",
        "recorded",
        pushes_layer(NOWHERE),
        WRONG_DIGEST,
        given=pushes_layer(),
    ),
    # Parts
    *(
        rule(
            f"parts of {', '.join(map(str, sizes))} bytes, where the least one has 10",
            "recorded",
            uploads(*sizes),
            None if is_taken else TOO_SMALL,
            shows=(),
            strict_ecr=True,
            quota_layer_part_min=10,
        )
        for sizes, is_taken in (
            ((4,), True),
            ((9,), True),
            ((10, 4), True),
            ((10, 10), True),
            ((4, 10), False),
            ((4, 10, 10), False),
            ((10, 4, 10), False),
            ((10, 9, 1), False),
            ((4, 4, 4), False),
        )
    ),
    rule("a part of just 5 MiB", "documented", uploads(5 << 20, 1), shows=(), strict_ecr=True),
    rule("a part of a byte less", "documented", uploads((5 << 20) - 1, 1), TOO_SMALL, strict_ecr=True),
    rule(
        "small parts are looked at before the digest",
        "inferred",
        uploads(1, 1, digest=NOWHERE),
        TOO_SMALL,
        strict_ecr=True,
    ),
    # Uploads
    rule(
        "a part of an upload that is not there",
        "inferred",
        lambda plane: plane.append("app", NO_UPLOAD, 0, LAYER),
        UPLOAD_NOT_FOUND,
    ),
    rule(
        "the end of an upload that is not there",
        "inferred",
        lambda plane: plane.complete("app", NO_UPLOAD, NOWHERE),
        UPLOAD_NOT_FOUND,
    ),
)
