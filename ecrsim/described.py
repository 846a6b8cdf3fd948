"""Read what `aws ecr describe-images`, its neighbours and `aws ecr get-lifecycle-policy` printed. Pure.

The documents are taken as they come: one page, pages one after the other (a loop without paging of the AWS CLI), a list
of pages or of images, in UTF-8 or in the UTF-16 of a shell that redirects so. Times are ISO 8601 with an offset, or
epoch seconds, as the versions of the AWS CLI print them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any, NamedTuple

import orjson

from ecrsim.ecr.lifecycle.engine import LifecycleImage

#: imageStatus of ECR in the words of its storage classes; an image that is being restored is in neither.
STORAGE_CLASSES = {"ACTIVE": "STANDARD", "ARCHIVED": "ARCHIVE", "ACTIVATING": None}
_INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)


class UnreadableError(Exception):
    """It is not what it should be; the text says where."""


class Described(NamedTuple):
    """The images of one repository in the order of their pushes, and how many of them are indexes."""

    images: list[LifecycleImage]
    index_count: int


def read_images(content: bytes) -> Described:
    """The images in the output of describe-images. An image that comes twice counts once, as it came last.

    UnreadableError says which image and which member is wrong.
    """
    details: dict[str, Mapping[str, Any]] = {}
    repositories = set()
    for number, detail in enumerate(_details(documents(content)), 1):
        digest = detail.get("imageDigest")
        if not isinstance(digest, str):
            raise UnreadableError(f"image {number} has no imageDigest")
        details[digest] = detail
        repositories.add((detail.get("registryId"), detail.get("repositoryName")))
    if len(repositories) > 1:
        raise UnreadableError(f"the images are of {len(repositories)} repositories; a lifecycle policy is for one")
    return described(details.values())


class DescribedRepository(NamedTuple):
    """A repository as files of several commands describe it; `detail` is of describe-repositories, where there is one.

    `registry_id` is empty where no command has said it.
    """

    registry_id: str
    repository_name: str
    images: list[LifecycleImage]
    detail: Mapping[str, Any]
    resource_tags: Mapping[str, str]
    policy_text: str | None


def read_repositories(contents: Iterable[bytes]) -> list[DescribedRepository]:
    """The repositories in the output of describe-images, of one or several, and in what says more of them.

    That is describe-repositories, get-lifecycle-policy, and get-resources of the Resource Groups Tagging API, in any
    order. Pages and images
    that come twice count once. UnreadableError.
    """
    images: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    details: dict[tuple[str, str], Mapping[str, Any]] = {}
    tags: dict[str, Mapping[str, str]] = {}
    policies: dict[tuple[str, str], str] = {}
    for document in chain.from_iterable(map(documents, contents)):
        if isinstance(document, dict) and isinstance(document.get("repositories"), list):
            for each in document["repositories"]:
                details[_place(each)] = each
        elif isinstance(document, dict) and isinstance(document.get("ResourceTagMappingList"), list):
            tags |= dict(map(_tagged, document["ResourceTagMappingList"]))
        elif isinstance(document, dict) and isinstance(document.get("lifecyclePolicyText"), str):
            policies[_place(document)] = document["lifecyclePolicyText"]
        else:
            for detail in _details(iter([document])):
                digest = detail.get("imageDigest")
                if not isinstance(digest, str):
                    raise UnreadableError("an image has no imageDigest")
                images.setdefault(_place(detail), {})[digest] = detail
    return [
        DescribedRepository(
            *place,
            described(images.get(place, {}).values()).images,
            details.get(place, {}),
            tags.get(str(details.get(place, {}).get("repositoryArn")), _by_name(tags, *place)),
            policies.get(place),
        )
        for place in sorted(images.keys() | details.keys())
    ]


def _place(found: Any) -> tuple[str, str]:
    name = found.get("repositoryName") if isinstance(found, dict) else None
    if not isinstance(name, str):
        raise UnreadableError("there is an entry without repositoryName")
    return str(found.get("registryId") or ""), name


def _tagged(found: Any) -> tuple[str, Mapping[str, str]]:
    try:
        return str(found["ResourceARN"]), {str(each["Key"]): str(each["Value"]) for each in found["Tags"]}
    except (KeyError, TypeError):
        raise UnreadableError("an entry of ResourceTagMappingList has no ResourceARN or no Tags") from None


def _by_name(tags: Mapping[str, Mapping[str, str]], registry_id: str, repository_name: str) -> Mapping[str, str]:
    """Where describe-repositories was not asked for the ARN: of the one repository that can be meant."""
    end = f":{registry_id}:repository/{repository_name}"
    found = [each for arn, each in tags.items() if arn.endswith(end)]
    return found[0] if len(found) == 1 else {}


def described(details: Any) -> Described:
    """The same, of ImageDetail objects: of JSON, or of boto3, whose times are datetimes."""
    ordered = sorted(details, key=_pushed_at)
    images = [_image(number, detail) for number, detail in enumerate(ordered, 1)]
    return Described(images, sum(detail.get("imageManifestMediaType") in _INDEX_TYPES for detail in ordered))


def documents(content: bytes) -> Iterator[Any]:
    """The JSON documents in a file, one after the other."""
    if not content.strip():
        return
    try:
        yield orjson.loads(content)
    except orjson.JSONDecodeError:
        yield from _one_by_one(content)


def _one_by_one(content: bytes) -> Iterator[Any]:
    try:
        # AWS CLI output that PowerShell redirected is UTF-16 with a byte order mark.
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise UnreadableError(f"this is not text: {error}") from None
    decoder = json.JSONDecoder()
    position = _next(text, 0)
    while position < len(text):
        try:
            document, end = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError) as error:
            where = f"line {text.count(chr(10), 0, getattr(error, 'pos', position)) + 1}"
            raise UnreadableError(f"this is not JSON: {where}: {getattr(error, 'msg', error)}") from None
        yield document
        position = _next(text, end)


def _next(text: str, position: int) -> int:
    """Where the next document starts; a comma between two is let pass."""
    while position < len(text) and text[position] in " \t\r\n,\x1e":
        position += 1
    return position


def _details(found: Iterator[Any]) -> Iterator[Mapping[str, Any]]:
    for document in found:
        if isinstance(document, list):
            yield from _details(iter(document))
        elif isinstance(document, dict) and isinstance(document.get("imageDetails"), list):
            yield from _details(iter(document["imageDetails"]))
        elif isinstance(document, dict) and "imageDigest" in document:
            yield document
        else:
            raise UnreadableError("this is not the output of describe-images: there is no imageDetails in it")


def _pushed_at(detail: Mapping[str, Any]) -> int:
    moment = milliseconds(detail, "imagePushedAt")
    if moment is None:
        raise UnreadableError(f"image {detail['imageDigest']} has no imagePushedAt")
    return moment


def _image(number: int, detail: Mapping[str, Any]) -> LifecycleImage:
    digest = detail["imageDigest"]
    status = detail.get("imageStatus", "ACTIVE")
    tags = detail.get("imageTags") or []
    size = detail.get("imageSizeInBytes") or 0
    if status not in STORAGE_CLASSES:
        raise UnreadableError(f"imageStatus of {digest} is {status!r}, and not {', '.join(STORAGE_CLASSES)}")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise UnreadableError(f"imageTags of {digest} is not a list of tags")
    if not isinstance(size, int) or size < 0:
        raise UnreadableError(f"imageSizeInBytes of {digest} is {size!r}, and not a number of bytes")
    return LifecycleImage(
        id=number,
        image_digest=digest,
        image_tags=tuple(tags),
        image_pushed_at=_pushed_at(detail),
        storage_class=STORAGE_CLASSES[status],
        image_size_in_bytes=size,
        last_recorded_pull_time=milliseconds(detail, "lastRecordedPullTime"),
        last_archived_at=milliseconds(detail, "lastArchivedAt"),
        last_activated_at=milliseconds(detail, "lastActivatedAt"),
        subject=detail.get("subjectManifestDigest"),
    )


def milliseconds(detail: Mapping[str, Any], member: str) -> int | None:
    """Epoch milliseconds of a time, however it is written; None when it is not there."""
    value = detail.get(member)
    if value is None:
        return None
    if isinstance(value, datetime):
        return _of(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11:
        return round(value * 1000)
    if isinstance(value, str):
        try:
            return _of(datetime.fromisoformat(value))
        except ValueError:
            pass
    raise UnreadableError(f"{member} of {detail.get('imageDigest')} is {value!r}, and not a time")


def _of(value: datetime) -> int:
    # In whole numbers: a float of seconds is off by a millisecond now and then.
    since = value.replace(tzinfo=value.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def policy_text(content: bytes) -> str:
    """The text of a policy: a policy, or the output of get-lifecycle-policy that has it as a member.

    What is in it is for the policy's own reader to judge, as in PutLifecyclePolicy.
    """
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as error:
        raise UnreadableError(f"this is not text: {error}") from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    inner = document.get("lifecyclePolicyText") if isinstance(document, dict) else None
    return inner if isinstance(inner, str) else text
