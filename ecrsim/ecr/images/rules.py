"""Decisions about images: where a tag may go, and why an image id of a batch call fails. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from ecrsim.core.digest import ECR_DIGEST_TEXT, is_ecr_digest

#: Of a filter by `tagStatus`: whether images are to be tagged; ANY, which is not here, asks for both.
IS_TAGGED = {"TAGGED": True, "UNTAGGED": False}
TAG_TEXT = "[a-zA-Z0-9-_.]+"
_TAG = re.compile(TAG_TEXT)
#: Characters of a tag (documented in the model).
MAX_TAG = 300


class TagMove(Enum):
    """The effect of a push on a tag."""

    CREATE = "create"
    MOVE = "move"
    SAME = "same"
    FORBIDDEN = "forbidden"


def tag_move(current_digest: str | None, image_digest: str, immutable: bool) -> TagMove:
    """An immutable tag may not be pushed again, not even to the image that has it (observed)."""
    if current_digest is None:
        return TagMove.CREATE
    if immutable:
        return TagMove.FORBIDDEN
    return TagMove.SAME if current_digest == image_digest else TagMove.MOVE


class Failure(NamedTuple):
    code: str
    reason: str


MISSING = Failure("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
BAD_DIGEST = Failure(
    "InvalidImageDigest",
    f"Invalid request parameters: image digest should satisfy the regex '{ECR_DIGEST_TEXT}'",
)
BAD_TAG = Failure("InvalidImageTag", f"Invalid request parameters: image tag should satisfy the regex '{TAG_TEXT}'")
NOT_FOUND = Failure("ImageNotFound", "Requested image not found")
MISMATCH = Failure(
    "ImageTagDoesNotMatchDigest", "Invalid request parameters: given tag does not map to the given digest"
)
INACCESSIBLE = Failure("ImageInaccessible", "The requested image is in an inaccessible state. Please restore if needed")


#: Why an upstream gave nothing (`core/misses.py`) → the code of the failure (documented in the model).
UNFETCHED = {
    "denied": "UpstreamAccessDenied",
    "unreached": "UpstreamAccessDenied",
    "busy": "UpstreamTooManyRequests",
    "unavailable": "UpstreamUnavailable",
    "invalid": "UpstreamUnavailable",
}


def referenced_by(index_digests: Sequence[str]) -> Failure:
    return Failure(
        "ImageReferencedByManifestList",
        f"Requested image referenced by manifest list: [{', '.join(index_digests)}]",
    )


def malformed(image_id: Mapping[str, str]) -> Failure | None:
    """The failure of an image id that is wrong in itself, in ECR's order of checks; None for a good one."""
    digest, tag = image_id.get("imageDigest"), image_id.get("imageTag")
    if digest is None and tag is None:
        return MISSING
    if digest is not None and not is_ecr_digest(digest):
        return BAD_DIGEST
    if tag is not None and not _TAG.fullmatch(tag):
        return BAD_TAG
    return None


def unmatched(image_id: Mapping[str, str], found_digest: str | None) -> Failure | None:
    """`found_digest`: of the image that the tag names, where a tag is given, else of the one with that digest."""
    if found_digest is None:
        return NOT_FOUND
    if "imageTag" in image_id and image_id.get("imageDigest", found_digest) != found_digest:
        return MISMATCH
    return None


#: (status, what is asked for or comes to pass) → the status afterwards. What is not here is refused.
_STORAGE = {
    ("ACTIVE", "ARCHIVE"): "ARCHIVED",  # recorded
    ("ARCHIVED", "STANDARD"): "ACTIVATING",  # recorded
    ("ACTIVATING", "RESTORED"): "ACTIVE",  # recorded
}


def storage_move(status: str, event: str) -> str | None:
    """`event`: a target storage class, ARCHIVE or STANDARD, or RESTORED when the time of a restore has passed.

    Asking twice is refused (recorded of ARCHIVE), and so is archiving what is being restored. Pushing an image again
    makes it ACTIVE, whatever its status was, and deleting asks for none.
    """
    return _STORAGE.get((status, event))


def tag_fault(text: str) -> str | None:
    """Which constraint of `imageTag` a text breaks, on either plane; None for a tag.

    The registry protocol has a narrower grammar (128 characters, the first one no dot and no dash), and clients keep to
    it. ECR answers with PutImage's sentence there, so the rule is taken to be PutImage's (inferred): each tag that one
    plane stores can be named on the other.
    """
    if len(text) > MAX_TAG:
        return f"must have length less than or equal to {MAX_TAG}"
    return None if _TAG.fullmatch(text) else f"must satisfy regular expression '{TAG_TEXT}'"
