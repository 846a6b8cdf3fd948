"""Where the images of a forecast come from: a running ecrsim, what the AWS CLI printed, or ECR itself.

Of ECR only DescribeImages and GetLifecyclePolicy are asked. BatchGetImage would say what an index lists, but counts as
a pull, and a forecast is not to change when an image was pulled last.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ecrsim.config import Config
from ecrsim.core.neighbours import Access, Neighbour, NeighbourError
from ecrsim.described import UnreadableError, described, read_images
from ecrsim.ecr.lifecycle.engine import LifecycleImage
from ecrsim.remote import RemoteError, ask

#: Errors of a source; the text says what is wrong.
SOURCE_ERRORS = (RemoteError, UnreadableError, NeighbourError, OSError)


class ImageSource(NamedTuple):
    """`policy_text`: the policy that the repository has, if the source knows it. `now`: the source's own time, if any.

    `index_count`: of the images that are indexes, where `are_references_known` is false.
    """

    kind: str
    name: str
    images: list[LifecycleImage]
    are_references_known: bool
    index_count: int = 0
    policy_text: str | None = None
    now: int | None = None


def running(config: Config, repository: str, account: str, region: str) -> ImageSource:
    """A repository of the ecrsim at `config.host` and `config.port`. RemoteError."""
    images: list[LifecycleImage] = []
    after: int | None = 0
    answer: dict[str, Any] = {}
    while after is not None:
        query = {"repository": repository, "registryId": account, "region": region, "after": after}
        answer = ask(config, "GET", f"/_ecrsim/lifecycle/images?{urllib.parse.urlencode(query)}")
        images += [_image(found) for found in answer["images"]]
        after = answer["next"]
    return ImageSource("ecrsim", repository, images, True, 0, answer["lifecyclePolicyText"], answer["now"])


def _image(found: Mapping[str, Any]) -> LifecycleImage:
    return LifecycleImage(
        id=found["id"],
        image_digest=found["imageDigest"],
        image_tags=tuple(found["imageTags"]),
        image_pushed_at=found["imagePushedAt"],
        storage_class=found["storageClass"],
        image_size_in_bytes=found["imageSizeInBytes"],
        last_recorded_pull_time=found["lastRecordedPullTime"],
        last_archived_at=found["lastArchivedAt"],
        last_activated_at=found["lastActivatedAt"],
        subject=found["subjectManifestDigest"],
        references=tuple(found["references"]),
    )


def printed(name: str, read: Callable[[], bytes]) -> ImageSource:
    """The output of describe-images. UnreadableError, OSError."""
    found = read_images(read())
    return ImageSource("describe-images", name, found.images, False, found.index_count)


def live(
    repository: str,
    registry_id: str | None,
    *,
    region: str | None,
    profile: str | None,
    endpoint_url: str | None,
    wants_policy: bool,
) -> ImageSource:
    """A repository of ECR, with the caller's own credentials. NeighbourError."""
    ecr = Neighbour(
        "ecr", Access(region=region, endpoint_url=endpoint_url, profile=profile, has_own_credentials=True, attempts=5)
    )
    named = {"repositoryName": repository} | ({"registryId": registry_id} if registry_id else {})
    try:
        policy_text = _policy_of(ecr, named) if wants_policy else None
        found = described(_pages(ecr, named))
    finally:
        ecr.close()
    return ImageSource("ecr", repository, found.images, False, found.index_count, policy_text)


def _policy_of(ecr: Neighbour, named: dict[str, str]) -> str | None:
    try:
        return str(ecr.call("get_lifecycle_policy", **named)["lifecyclePolicyText"])
    except NeighbourError as error:
        if error.code == "LifecyclePolicyNotFoundException":
            return None
        raise


def _pages(ecr: Neighbour, named: dict[str, str]) -> Iterator[Mapping[str, Any]]:
    """All images, the archived ones too, which are not described unless asked for."""
    parameters: dict[str, Any] = {**named, "filter": {"imageStatus": "ANY"}, "maxResults": 1000}
    while True:
        answer = ecr.call("describe_images", **parameters)
        yield from answer["imageDetails"]
        if not answer.get("nextToken"):
            return
        parameters["nextToken"] = answer["nextToken"]
