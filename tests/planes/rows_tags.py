"""The table of rules, tags: where they may go, what keeps them, how many there may be."""

from __future__ import annotations

from tests.answers import ACCOUNT, constraint
from tests.planes.catalogue import Fixture
from tests.planes.pushing import Plane, client, push
from tests.planes.table import (
    IMAGE,
    ONE,
    OTHER,
    THREE,
    TWO,
    Act,
    Answers,
    after,
    deletes,
    elsewhere,
    holding,
    pulls,
    pushes,
    rule,
    too_many_tags,
)

NO_TAG = Answers(
    "InvalidParameterException",
    "405 UNSUPPORTED",
    constraint("imageTag", "must satisfy regular expression '[a-zA-Z0-9-_.]+'"),
)


def turned(mode: str, *patterns: str) -> Act:
    """Given: PutImageTagMutability, with exclusion filters of these patterns."""

    def make(plane: Plane) -> None:
        filters = [{"filterType": "WILDCARD", "filter": pattern} for pattern in patterns]
        members = {"imageTagMutabilityExclusionFilters": filters} if filters else {}
        client(plane.sim).put_image_tag_mutability(repositoryName="app", imageTagMutability=mode, **members)

    return make


def immutable(tag: str) -> Answers:
    """The sentence is recorded, the status inferred."""
    return Answers(
        "ImageTagAlreadyExistsException",
        "400 TAG_INVALID",
        f"The image tag '{tag}' already exists in the 'app' repository and cannot be overwritten because the tag is "
        "immutable.",
    )


def already_exists(image: Fixture, tag: str) -> Answers:
    """PutImage says so (recorded); docker pushes what is there already, and /v2/ takes it (recorded)."""
    return Answers(
        "ImageAlreadyExistsException",
        None,
        f"Image with digest '{image.digest}' and tag '{tag}' already exists in the repository with name 'app' "
        f"in registry with id '{ACCOUNT}'",
    )


#: mode, patterns, tag, may it move?, source
MODES = (
    ("MUTABLE", (), "v1", True, "documented"),
    ("MUTABLE", (), "prod", True, "documented"),
    ("IMMUTABLE", (), "v1", False, "documented"),
    ("IMMUTABLE_WITH_EXCLUSION", ("latest", "dev-*"), "latest", True, "documented"),
    ("IMMUTABLE_WITH_EXCLUSION", ("latest", "dev-*"), "dev-7", True, "documented"),
    ("IMMUTABLE_WITH_EXCLUSION", ("latest", "dev-*"), "v1", False, "documented"),
    ("IMMUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "prod", True, "documented"),
    ("IMMUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "v1.0", True, "documented"),
    ("IMMUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "dev", False, "documented"),
    ("MUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "prod-1", False, "documented"),
    ("MUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "v1.0", False, "documented"),
    ("MUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "dev", True, "documented"),
    # Of the whole tag, and case counts.
    ("MUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "my-prod", True, "inferred"),
    ("MUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "PROD", True, "inferred"),
    ("MUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "v1.01", True, "inferred"),
    # A dot is a dot: as a regular expression `v1.*` would match the first as well.
    ("MUTABLE_WITH_EXCLUSION", ("prod*", "v*.0"), "v1x0", True, "inferred"),
    ("MUTABLE_WITH_EXCLUSION", ("v1.*",), "v1x0", True, "inferred"),
    ("MUTABLE_WITH_EXCLUSION", ("v1.*",), "v1.0", False, "inferred"),
)

ROWS = (
    *(
        rule(
            f"{' '.join((mode, *patterns))}: {tag} {'moves' if moves else 'stays'}",
            source,
            pushes(TWO, tag),
            None if moves else immutable(tag),
            given=after(holding((ONE, tag), (TWO,)), turned(mode, *patterns)),
            shows=((ONE,), (TWO, tag)) if moves else ((ONE, tag), (TWO,)),
        )
        for mode, patterns, tag, moves, source in MODES
    ),
    rule(
        "an immutable tag may not be pushed to its own image",
        "recorded",
        pushes(IMAGE, "v1"),
        immutable("v1"),
        given=after(holding((IMAGE, "v1"), (OTHER,)), turned("IMMUTABLE")),
        shows=((IMAGE, "v1"), (OTHER,)),
    ),
    rule(
        "a tag that moved before it was made immutable stays where it is",
        "inferred",
        pushes(ONE, "v1"),
        immutable("v1"),
        given=after(holding((ONE, "v1"), (TWO, "v1")), turned("IMMUTABLE")),
        shows=((ONE,), (TWO, "v1")),
    ),
    rule(
        "a tag that is made mutable again moves",
        "inferred",
        pushes(ONE, "v1"),
        given=after(holding((ONE,), (TWO, "v1")), turned("IMMUTABLE"), turned("MUTABLE")),
        shows=((ONE, "v1"), (TWO,)),
    ),
    rule(
        "an image whose tag is immutable takes further tags",
        "documented",
        pushes(ONE, "v2"),
        given=after(turned("IMMUTABLE"), holding((ONE, "v1"))),
        shows=((ONE, "v1", "v2"),),
    ),
    rule(
        "an immutable tag is deleted",
        "recorded",
        deletes("v1"),
        given=after(holding((ONE, "v1", "other")), turned("IMMUTABLE")),
        shows=((ONE, "other"),),
    ),
    rule(
        "an immutable tag is made again after its deletion",
        "recorded",
        pushes(TWO, "v1"),
        given=after(holding((ONE, "v1", "other"), (TWO,)), turned("IMMUTABLE"), deletes("v1")),
        shows=((ONE, "other"), (TWO, "v1")),
    ),
    # Moves
    rule(
        "a known image takes another tag",
        "documented",
        pushes(ONE, "v2"),
        given=holding((ONE, "v1"), (TWO,)),
        shows=((ONE, "v1", "v2"), (TWO,)),
    ),
    rule(
        "a tag moves to an image that is new",
        "documented",
        pushes(THREE, "v1"),
        given=holding((ONE, "v1"), (TWO,)),
        shows=((ONE,), (TWO,), (THREE, "v1")),
    ),
    rule(
        "an image that loses one of its tags keeps the others",
        "documented",
        pushes(TWO, "v1"),
        given=holding((ONE, "v1", "v2"), (TWO,)),
        shows=((ONE, "v2"), (TWO, "v1")),
    ),
    rule(
        "a tag moves to and fro",
        "documented",
        after(pushes(TWO, "v1"), pushes(ONE, "v1"), pushes(TWO, "v1"), pushes(ONE, "v1")),
        given=holding((ONE, "v1"), (TWO,)),
        shows=((ONE, "v1"), (TWO,)),
    ),
    rule(
        "tags that differ in case alone are two",
        "documented",
        pushes(TWO, "V1"),
        given=holding((ONE, "v1"), (TWO,)),
        shows=((ONE, "v1"), (TWO, "V1")),
    ),
    rule(
        "a tag is its repository's own",
        "documented",
        pushes(ONE, "v1"),
        given=after(holding((ONE,)), elsewhere(lambda plane: push(plane, "other", TWO, "v1"))),
        shows=((ONE, "v1"),),
    ),
    # What a tag is
    *(
        rule(
            f"a tag of {what}",
            "documented of PutImage; inferred of /v2/",
            after(pushes(ONE, tag), pulls(tag)),
            given=holding((ONE,)),
            shows=((ONE, tag),),
        )
        for what, tag in (
            ("a dot in front", ".v1"),
            ("a dash in front", "-v1"),
            ("every kind of sign", "A_b-c.9"),
            ("300 characters", "v" * 300),
        )
    ),
    *(
        rule(
            f"no tag: {what}",
            "recorded of PutImage; inferred of /v2/",
            pushes(ONE, tag),
            NO_TAG,
            given=holding((ONE,)),
            shows=((ONE,),),
        )
        for what, tag in (
            ("a plus", "a+b"),
            ("a space", "a b"),
            ("a letter that is not ASCII", "ä"),
            ("a newline", "v\n"),
        )
    ),
    rule(
        "no tag: 301 characters",
        "inferred",
        pushes(ONE, "v" * 301),
        Answers(
            "InvalidParameterException",
            "405 UNSUPPORTED",
            constraint("imageTag", "must have length less than or equal to 300"),
        ),
        given=holding((ONE,)),
        shows=((ONE,),),
    ),
    # What is there already
    rule(
        "the same image with the same tag",
        "recorded",
        pushes(ONE, "v1"),
        already_exists(ONE, "v1"),
        given=holding((ONE, "v1")),
        shows=((ONE, "v1"),),
    ),
    *(
        rule(
            f"the same image without a tag, {'tagged' if tags else 'untagged'} before",
            "inferred",
            pushes(ONE),
            already_exists(ONE, "null"),
            given=holding((ONE, *tags)),
            shows=((ONE, *tags),),
        )
        for tags in (("v1",), ())
    ),
    # Quotas
    rule(
        "one tag more than an image may have",
        "recorded",
        pushes(ONE, "v3"),
        too_many_tags("v3", 2),
        given=holding((ONE, "v1", "v2")),
        shows=((ONE, "v1", "v2"),),
        quota_tags_per_image=2,
    ),
    rule(
        "a tag that would come from another image counts, and stays where it was",
        "inferred",
        pushes(ONE, "v3"),
        too_many_tags("v3", 2),
        given=holding((ONE, "v1", "v2"), (TWO, "v3")),
        shows=((ONE, "v1", "v2"), (TWO, "v3")),
        quota_tags_per_image=2,
    ),
    rule(
        "a tag that left makes room",
        "inferred",
        pushes(ONE, "v3"),
        given=after(holding((ONE, "v1", "v2"), (TWO, "v3")), pushes(TWO, "v1")),
        shows=((ONE, "v2", "v3"), (TWO, "v1")),
        quota_tags_per_image=2,
    ),
)
