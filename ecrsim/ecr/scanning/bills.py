"""What an image holds, for whoever asks: the same list as a scan compares, and by the same process."""

from __future__ import annotations

from typing import Any

import orjson

from ecrsim.core.errors import ImageNotFoundException, InvalidParameterException, UnsupportedImageTypeException
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.service import open_keys_now
from ecrsim.ecr.images.lookup import get_image, manifest_of, place_of
from ecrsim.ecr.images.manifest import INDEX_TYPES
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning.beginning import unscannable
from ecrsim.ecr.scanning.examination_input import plan, remember
from ecrsim.ecr.scanning.examination_messages import Examined
from ecrsim.ecr.scanning.examiner_process import examiner_of


def image_of_platform(call: Call, repository: Repository, image: Image, platform: str | None) -> Image:
    """The image itself; of an index the one that it lists for `platform` (`linux/arm64`), or the only one.

    InvalidParameterException when there are several and none was named, or none is for that platform.
    """
    if image.image_manifest_media_type not in INDEX_TYPES:
        return image
    listed = {_platform(each): each["digest"] for each in orjson.loads(manifest_of(call, image))["manifests"]}
    # BuildKit lists attestations beside the images that they are about.
    listed.pop("unknown/unknown", None)
    if platform is None and len(listed) == 1:
        platform = next(iter(listed))
    if platform not in listed:
        raise InvalidParameterException(member="platform", constraint=f"one of {', '.join(sorted(listed))}")
    return get_image(call, repository, {"imageDigest": listed[platform]}, "image")


def _platform(listed: dict[str, Any]) -> str:
    told = listed.get("platform") or {}
    return "/".join(str(told[part]) for part in ("os", "architecture", "variant") if told.get(part)) or "unknown"


def examined_for_bill(call: Call, repository: Repository, image: Image) -> Examined:
    """The image with its bill, or with the reason why it has none. Layers that were read are remembered.

    No transaction may be open, for none is while layers are read. UnsupportedImageTypeException of what is no image,
    KmsException.
    """
    open_keys_now(call, repository)
    with call.reading():
        media_type = unscannable(call, image)
        if media_type is not None:
            raise UnsupportedImageTypeException(media_type=media_type)
        planned = plan(call, repository, image.id, ())
    if planned is None:
        raise ImageNotFoundException(**place_of(repository, {"imageDigest": image.image_digest}))
    examined = examiner_of(call.runtime).examine(planned.asked._replace(wants_bill=True))
    if examined.read:
        with call.writing():
            remember(call, examined.read)
    return examined
