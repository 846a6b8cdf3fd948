"""The table of rules, images: what is pulled and deleted, what an index and the archive hold, who may."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ecrsim.testing import call_application
from tests.answers import ACCOUNT
from tests.planes.catalogue import FIXTURES, Fixture
from tests.planes.pushing import ApiPlane, Plane, Refused, RegistryPlane, client, push
from tests.planes.table import (
    CHILD,
    FOREIGNER,
    IMAGE,
    IMAGE_NOT_FOUND,
    INDEX,
    NOWHERE,
    ONE,
    THREE,
    TWO,
    Act,
    Answers,
    after,
    deletes,
    elsewhere,
    fixture_of,
    holding,
    no_room,
    pulls,
    pushes,
    referenced,
    repository_not_found,
    rule,
)
from tests.pushing import DOCKER_LIST, index_of, numbered

INACCESSIBLE = Answers(
    "ImageInaccessible",
    "404 UNKNOWN",
    "The requested image is in an inaccessible state. Please restore if needed",
)
LISTED = tuple(FIXTURES[name] for name in INDEX.after)
#: Two indexes of image one; the second of image two as well.
FIRST, SECOND = fixture_of(index_of(numbered(1))), fixture_of(index_of(numbered(2), numbered(1)))
MANIFEST_LIST = fixture_of(index_of(numbered(1), media_type=DOCKER_LIST))
#: The status of an image, by what was asked of it one after the other.
AWAY = {"ARCHIVED": ("ARCHIVE",), "ACTIVATING": ("ARCHIVE", "STANDARD")}


def with_index(plane: Plane) -> None:
    holding(*((each,) for each in LISTED), (INDEX, "v1"))(plane)


def sent_away(image: Fixture, status: str) -> Act:
    """Given: UpdateImageStorageClass, until the image has this status."""

    def make(plane: Plane) -> None:
        place: dict[str, Any] = {"repositoryName": "app", "imageId": {"imageDigest": image.digest}}
        for target in AWAY[status]:
            client(plane.sim).update_image_storage_class(**place, targetStorageClass=target)

    return make


def pull_layer(plane: Plane, digest: str) -> bytes:
    """By the URL of GetDownloadUrlForLayer, or as a blob."""
    if isinstance(plane, ApiPlane):
        try:
            url = plane.client.get_download_url_for_layer(repositoryName="app", layerDigest=digest)["downloadUrl"]
        except ClientError as error:
            raise Refused(error.response["Error"]["Code"], error.response["Error"]["Message"]) from None
        return call_application(plane.sim.app, "GET", url).body
    assert isinstance(plane, RegistryPlane)
    return plane.get(f"/v2/app/blobs/{digest}").body


def pulls_layer(digest: str) -> Act:
    return lambda plane: pull_layer(plane, digest)


def inaccessible_layer(digest: str) -> Answers:
    return Answers(
        "LayerInaccessibleException",
        "404 UNKNOWN",
        f"The layer with digest '{digest}' is inaccessible in the repository with name 'app' "
        f"in the registry with id '{ACCOUNT}'",
    )


def denied(action: str) -> Answers:
    return Answers(
        "AccessDeniedException",
        "403 DENIED",
        f"User: arn:aws:iam::{FOREIGNER}:root is not authorized to perform: ecr:{action} on resource: "
        f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app because no resource-based policy allows the ecr:{action} "
        "action",
    )


PULLS = (
    rule("a pull from a repository that is missing", "recorded", pulls("v1", "missing"), repository_not_found()),
    *(
        rule(
            f"a pull by a {what} that is missing",
            "recorded",
            pulls(reference),
            IMAGE_NOT_FOUND,
            given=holding((IMAGE, "v1")),
            shows=((IMAGE, "v1"),),
        )
        for what, reference in (("tag", "v2"), ("digest", NOWHERE))
    ),
)

DELETIONS = (
    rule(
        "the deletion of an image that is missing",
        "recorded",
        deletes(NOWHERE),
        IMAGE_NOT_FOUND,
        given=holding((IMAGE, "v1")),
        shows=((IMAGE, "v1"),),
    ),
    rule(
        "the deletion of a tag while the image has another",
        "recorded",
        deletes("a"),
        given=holding((ONE, "a", "b"), (TWO,)),
        shows=((ONE, "b"), (TWO,)),
    ),
    rule(
        "the last tag takes the image",
        "documented of BatchDeleteImage; inferred of DELETE by tag",
        after(deletes("a"), deletes("b")),
        given=holding((ONE, "a", "b"), (TWO,)),
        shows=((TWO,),),
    ),
    rule(
        "the deletion of a digest takes all its tags",
        "recorded",
        deletes(ONE.digest),
        given=holding((ONE, "a", "b"), (TWO,)),
        shows=((TWO,),),
    ),
    rule(
        "the same image of another repository stays",
        "documented",
        after(deletes(ONE.digest), pulls("v1", "other")),
        given=after(holding((ONE, "v1")), elsewhere(lambda plane: push(plane, "other", ONE, "v1"))),
        shows=(),
    ),
    rule(
        "an image is deleted once",
        "recorded",
        deletes(ONE.digest),
        IMAGE_NOT_FOUND,
        given=after(holding((ONE, "a"), (TWO,)), deletes(ONE.digest)),
        shows=((TWO,),),
    ),
    rule(
        "the tag of an image that was deleted is free",
        "recorded",
        pushes(TWO, "a"),
        given=after(holding((ONE, "a"), (TWO,)), deletes("a")),
        shows=((TWO, "a"),),
    ),
    rule(
        "the layers of an image that was deleted are there for a push",
        "documented",
        pushes(ONE),
        given=after(holding((ONE, "a"), (TWO,)), deletes(ONE.digest), deletes(TWO.digest)),
        shows=((ONE,),),
    ),
)

#: On /v2/ the specification lets the last tag go; ECR's rule is held there strictly.
INDEXES = (
    rule(
        "the deletion of an image that a list lists",
        "recorded",
        deletes(CHILD.digest),
        referenced(INDEX),
        given=with_index,
    ),
    *(
        rule(
            f"the deletion of an image that {what} lists",
            "recorded",
            deletes(ONE.digest),
            referenced(index),
            given=holding((ONE, "a", "b"), (TWO,), (index, "multi")),
            shows=((ONE, "a", "b"), (TWO,), (index, "multi")),
        )
        for what, index in (("an index", FIRST), ("a manifest list", MANIFEST_LIST))
    ),
    rule(
        "all indexes of an image are named, the oldest first",
        "recorded of one",
        deletes(ONE.digest),
        referenced(FIRST, SECOND),
        given=holding((ONE,), (TWO,), (FIRST, "multi"), (SECOND,)),
        shows=((ONE,), (TWO,), (FIRST, "multi"), (SECOND,)),
    ),
    rule(
        "a tag of an image that an index lists, while it has another",
        "recorded",
        deletes("a"),
        given=holding((ONE, "a", "b"), (FIRST, "multi")),
        shows=((ONE, "b"), (FIRST, "multi")),
    ),
    rule(
        "the last tag of an image that an index lists",
        "recorded; of DELETE inferred",
        deletes("b"),
        referenced(FIRST),
        given=holding((ONE, "b"), (FIRST, "multi")),
        shows=((ONE, "b"), (FIRST, "multi")),
        strict_ecr=True,
    ),
    rule(
        "an image whose index was deleted is free",
        "documented",
        after(deletes("multi"), deletes(ONE.digest)),
        given=holding((ONE, "a"), (TWO,), (FIRST, "multi")),
        shows=((TWO,),),
    ),
    rule(
        "an index goes before all that it lists",
        "documented",
        after(deletes(INDEX.digest), *(deletes(each.digest) for each in LISTED)),
        given=with_index,
        shows=(),
    ),
    rule(
        "the tag of an image may move to its index, and go with that",
        "inferred",
        after(pushes(FIRST, "b"), deletes("b"), deletes("multi")),
        given=holding((ONE, "b"), (FIRST, "multi")),
        shows=((ONE,),),
    ),
    rule(
        "an index of another repository holds nothing",
        "inferred",
        deletes(ONE.digest),
        given=after(holding((ONE,)), elsewhere(lambda plane: (push(plane, "other", ONE), push(plane, "other", FIRST)))),
        shows=(),
    ),
)

ARCHIVE = (
    *(
        rule(
            f"a pull by {what} of an image that is {status}",
            "recorded",
            pulls(reference),
            INACCESSIBLE,
            given=after(holding((IMAGE, "v1")), sent_away(IMAGE, status)),
            shows=((IMAGE, "v1"),),
        )
        for status in AWAY
        for what, reference in (("tag", "v1"), ("digest", IMAGE.digest))
    ),
    *(
        rule(
            f"a pull of a layer of an image that is {status}",
            "inferred",
            pulls_layer(digest),
            inaccessible_layer(digest),
            given=after(holding((IMAGE, "v1")), sent_away(IMAGE, status)),
            shows=((IMAGE, "v1"),),
        )
        for status in AWAY
        for digest in list(IMAGE.layers)[:1]
    ),
    rule(
        "an archived image that an archived index lists is not deleted before it",
        "inferred",
        deletes(ONE.digest),
        referenced(FIRST),
        given=after(holding((ONE, "v1"), (FIRST, "multi")), sent_away(FIRST, "ARCHIVED"), sent_away(ONE, "ARCHIVED")),
        shows=((ONE, "v1"), (FIRST, "multi")),
    ),
    rule(
        "a tag moves away from an archived image",
        "inferred",
        pushes(TWO, "v1"),
        given=after(holding((ONE, "v1"), (TWO,)), sent_away(ONE, "ARCHIVED")),
        shows=((ONE,), (TWO, "v1")),
    ),
    rule(
        "an archived image makes room for another",
        "documented",
        pushes(THREE),
        given=after(holding((ONE,), (TWO,)), sent_away(ONE, "ARCHIVED")),
        shows=((ONE,), (TWO,), (THREE,)),
        quota_images=2,
    ),
    rule(
        "an image that is being restored makes none",
        "documented",
        pushes(THREE),
        no_room(2),
        given=after(holding((ONE,), (TWO,)), sent_away(ONE, "ACTIVATING")),
        shows=((ONE,), (TWO,)),
        quota_images=2,
    ),
)

DENIALS = tuple(
    rule(
        f"another account asks for {action}",
        "recorded",
        act,
        denied(action),
        given=holding((IMAGE, "v1")),
        shows=((IMAGE, "v1"),),
        account=FOREIGNER,
    )
    for action, act in (
        ("InitiateLayerUpload", lambda plane: plane.begin("app")),
        ("PutImage", pushes(IMAGE, "v1")),
        ("BatchGetImage", pulls("v1")),
        ("BatchDeleteImage", deletes("v1")),
    )
)

ROWS = (*PULLS, *DELETIONS, *INDEXES, *ARCHIVE, *DENIALS)
