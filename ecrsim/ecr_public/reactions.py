"""What ECR Public does about what happens to images."""

from __future__ import annotations

from ecrsim.core.facts import on
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.events import ImagePushed
from ecrsim.ecr_public.tags import note_tags


@on(ImagePushed)
def note_when_tags_were_attached(call: Call, fact: ImagePushed) -> None:
    """DescribeImageTags says it; ECR, which has no such operation, keeps no time of a tag."""
    if fact.repository.kind == "public" and fact.tags:
        note_tags(call, fact.repository, fact.tags)
