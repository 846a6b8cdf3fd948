"""The details of images, as DescribeImages shows them; ECR and ECR Public describe them by the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ecrsim.contract.additions import added
from ecrsim.contract.shape import Entries
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import listing, lookup
from ecrsim.ecr.images.listing import ImageDetail
from ecrsim.ecr.repositories.tables import Repository


def named(
    call: Call, repository: Repository, image_ids: Sequence[Mapping[str, str]], status: str | None, tagged: bool | None
) -> list[ImageDetail]:
    """The named images of that status (ANY and None: all), tagged or not (None: both), each once.

    An unknown one fails the whole call: ImageNotFoundException.
    """
    images = [lookup.get_image(call, repository, image_id, "imageIds") for image_id in image_ids]
    wanted = {
        image.id
        for image in images
        if status in (None, "ANY", image.image_status) and tagged in (None, image.is_tagged)
    }
    numbers = dict.fromkeys(image.id for image in images)
    return [listing.detail(call, repository, number) for number in numbers if number in wanted]


def describe(call: Call, repository: Repository, rows: list[ImageDetail]) -> Entries | list[Any]:
    """Entries of DescribeImages; what later capabilities add is asked for once."""
    if not rows:
        return []
    numbers = [row.id for row in rows]
    tags = listing.tags_by_image(call, numbers)
    more = {
        number: orjson.dumps(members) for number, members in added(call, "DescribeImages", repository, numbers).items()
    }
    account, name = repository.registry_id, repository.repository_name

    def entry(row: Any) -> dict[str, Any]:
        image: ImageDetail = row[0]
        return {
            "registryId": account,
            "repositoryName": name,
            "imageDigest": image.image_digest,
            "imageTags": list(row[1]) or None,
            "imageSizeInBytes": image.image_size_in_bytes,
            "imagePushedAt": image.image_pushed_at,
            "imageManifestMediaType": image.image_manifest_media_type,
            "artifactMediaType": image.artifact_media_type,
            "lastRecordedPullTime": image.last_recorded_pull_time,
            "subjectManifestDigest": image.subject_manifest_digest,
            "imageStatus": image.image_status,
            "lastArchivedAt": image.last_archived_at,
            "lastActivatedAt": image.last_activated_at,
            **(orjson.loads(row[2]) if row[2] else {}),
        }

    entries = [(row, tuple(tags.get(row.id, ())), more.get(row.id)) for row in rows]
    return Entries(entries, entry, ("DescribeImages", repository.kind, account, name))
