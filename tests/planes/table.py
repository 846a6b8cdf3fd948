"""The form of a row of the table of rules, and how it is run: on both planes, over a database each.

A rule that both planes show is told here once: what is given, what is done, what each plane answers, and what its
database shows then. What only one plane has (members of an answer, headers, several images in one request) is beside
that plane's other tests, in `tests/ecr` or `tests/dataplane`.

Sources: `recorded` was seen in an answer of ECR, `documented` is written down by AWS, `inferred` is our reading, and
`setting` is one of ecrsim's own. Where ECR shows only the code of a class, the status is inferred, as
`docs/fidelity.md` lists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

from ecrsim.testing import BuiltImage
from tests.answers import ACCOUNT, constraint
from tests.planes.catalogue import FIXTURES, Fixture
from tests.planes.conftest import Planes
from tests.planes.pushing import ApiPlane, Plane, Refused, client, push, rows
from tests.pushing import numbered

IMAGE = FIXTURES["oci-image"]
OTHER = FIXTURES["oci-image-arm64"]
INDEX = FIXTURES["docker-list"]
CHILD = FIXTURES["docker-schema2"]
NOWHERE = "sha256:" + "0" * 64
FOREIGNER = "111111111111"

Act = Callable[[Plane], object]


class Answers(NamedTuple):
    """What is answered to an act that is refused: the error class of the API, status and code of /v2/, one sentence.

    `registry` is None where the specification asks /v2/ to take what PutImage refuses.
    """

    api: str
    registry: str | None
    message: str


#: An image and its tags, in the order in which they were attached.
Shown = tuple[Fixture | str, ...]


class Rule(NamedTuple):
    """`shows`: the images of `app` afterwards, oldest first; None where nothing but "unchanged" is to be said."""

    id: str
    source: str
    given: Act
    act: Act
    answers: Answers | None
    shows: tuple[Shown, ...] | None
    settings: Mapping[str, Any]
    account: str


def nothing(plane: Plane) -> None:
    """The empty repository."""


def rule(
    id: str,
    source: str,
    act: Act,
    answers: Answers | None = None,
    *,
    given: Act = nothing,
    shows: tuple[Shown, ...] | None = None,
    account: str = ACCOUNT,
    **settings: Any,
) -> Rule:
    """An act without `answers` is taken by both planes, and has to say what the database shows."""
    assert answers is not None or shows is not None, id
    assert re.match(r"(recorded|documented|inferred|setting)\b", source), id
    return Rule(id, source, given, act, answers, shows, settings, account)


def assert_rule(planes: Planes, entry: Rule) -> None:
    """Both planes answer as the row says; what is refused changes nothing, what both take makes equal databases."""
    api, registry = planes.apart(entry.account, **entry.settings)
    answers = entry.answers
    for plane in (api, registry):
        entry.given(plane if entry.account == ACCOUNT else ApiPlane(plane.sim))
        before = _rows(plane)
        code = None if answers is None else answers.api if plane is api else answers.registry
        if code is None:
            entry.act(plane)
        else:
            refused = ask(plane, entry.act)
            assert answers is not None
            assert (refused.code, refused.message) == (code, answers.message)
            assert _rows(plane) == before
        if entry.shows is not None:
            assert _shown(plane) == [
                (*(each if isinstance(each, str) else each.digest for each in image),) for image in entry.shows
            ]
    if answers is None or answers.registry is not None:
        assert _rows(api) == _rows(registry)
        assert len(rows(api.sim)["layer_uploads"]) == len(rows(registry.sim)["layer_uploads"])


def ask(plane: Plane, act: Act) -> Refused:
    with pytest.raises(Refused) as refusal:
        act(plane)
    return refusal.value


def _rows(plane: Plane) -> dict[str, Any]:
    """An upload that is refused at its end is no part of the truth: it has no bytes that somebody could see."""
    return rows(plane.sim) | {"layer_uploads": []}


def _shown(plane: Plane) -> list[tuple[str, ...]]:
    found = rows(plane.sim)
    (repository,) = [row["id"] for row in found["repositories"] if row["repository_name"] == "app"]
    return [
        (row["image_digest"], *(tag["image_tag"] for tag in found["image_tags"] if tag["image_id"] == row["id"]))
        for row in found["images"]
        if row["repository_id"] == repository
    ]


# What rows are made of


def fixture_of(image: BuiltImage) -> Fixture:
    """A small image as one of the catalogue."""
    return Fixture("built", image.manifest, image.media_type, image.digest, image.blobs, (), False)


#: Small images that share their layers.
ONE, TWO, THREE = (fixture_of(numbered(number)) for number in (1, 2, 3))


def pushes(image: Fixture, tag: str | None = None, digest: str | None = None) -> Act:
    """The manifest alone; under its own digest where neither is given."""
    return lambda plane: plane.push_manifest("app", image.manifest, None, tag, digest)


def told(manifest: bytes, media_type: str | None = IMAGE.media_type) -> Act:
    """These bytes as `v1`, told to be of a type."""
    return lambda plane: plane.push_manifest("app", manifest, media_type, "v1")


def deletes(reference: str) -> Act:
    return lambda plane: plane.delete("app", reference)


def pulls(reference: str, repository: str = "app") -> Act:
    return lambda plane: plane.pull(repository, reference)


def holding(*images: Shown) -> Act:
    """Given: these images with their layers, under these tags."""

    def make(plane: Plane) -> None:
        for image, *rest in images:
            assert isinstance(image, Fixture)
            tags = [str(tag) for tag in rest]
            push(plane, "app", image, tags[0] if tags else None)
            for tag in tags[1:]:
                plane.push_manifest("app", image.manifest, image.told_type, tag, image.expected_digest)

    return make


def layers_of(*images: Fixture, repository: str = "app") -> Act:
    """Given: the layers of these images, and not the images."""

    def make(plane: Plane) -> None:
        for digest, data in {digest: data for image in images for digest, data in image.layers.items()}.items():
            if not plane.has_layer(repository, digest):
                plane.push_layer(repository, data, digest)

    return make


def after(*acts: Act) -> Act:
    """Given: one after the other."""

    def make(plane: Plane) -> None:
        for act in acts:
            act(plane)

    return make


def elsewhere(act: Act) -> Act:
    """Given: a repository `other`, and what this does."""

    def make(plane: Plane) -> None:
        client(plane.sim).create_repository(repositoryName="other")
        act(plane)

    return make


# What is answered in more than one row


def parameter(text: str) -> Answers:
    return Answers("InvalidParameterException", "405 UNSUPPORTED", constraint("ImageManifest", text))


INVALID_JSON = parameter("Invalid JSON syntax")
WRONG_DIGEST = Answers(
    "ImageDigestDoesNotMatchException",
    "400 MANIFEST_INVALID",
    f"The image with digest '{NOWHERE}' in repository 'app' and registry ID '{ACCOUNT}' "
    "does not match the image digest that Amazon ECR has calculated.",
)
IMAGE_NOT_FOUND = Answers("ImageNotFound", "404 MANIFEST_UNKNOWN", "Requested image not found")


def repository_not_found(repository: str = "missing") -> Answers:
    sentence = f"The repository with name '{repository}' does not exist in the registry with id '{ACCOUNT}'"
    return Answers("RepositoryNotFoundException", "404 NAME_UNKNOWN", sentence)


def _required(things: str, digests: tuple[str, ...]) -> str:
    return (
        f"{things} with digests '[{', '.join(digests)}]' required for pushing image into repository "
        f"with name 'app' in the registry with id '{ACCOUNT}' do not exist"
    )


def layers_missing(*digests: str) -> Answers:
    return Answers("LayersNotFoundException", "404 BLOB_UPLOAD_UNKNOWN", _required("Layers", digests))


def images_missing(*digests: str) -> Answers:
    return Answers("ReferencedImagesNotFoundException", "404 MANIFEST_BLOB_UNKNOWN", _required("Images", digests))


def no_room(limit: int) -> Answers:
    return Answers(
        "LimitExceededException",
        "403 DENIED",
        f"The repository with name 'app' in registry with id '{ACCOUNT}' already has the maximum allowed number of "
        f"images which is '{limit}'",
    )


def too_many_tags(tag: str, limit: int) -> Answers:
    return Answers(
        "LimitExceededException",
        "403 DENIED",
        f"Adding tag '{tag}' to an image in the repository with name 'app' in registry with id '{ACCOUNT}' exceeds the "
        f"maximum allowed number of tags per image which is '{limit}'",
    )


def referenced(*indexes: Fixture) -> Answers:
    listed = ", ".join(each.digest for each in indexes)
    return Answers(
        "ImageReferencedByManifestList", "405 UNSUPPORTED", f"Requested image referenced by manifest list: [{listed}]"
    )
