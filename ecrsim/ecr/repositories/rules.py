"""Decisions about repositories: tag mutability, resource tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ecrsim.core.errors import InvalidParameterException, InvalidTagParameterException
from ecrsim.core.glob import matches

Filters = Sequence[Mapping[str, str]]

_TAG_CHARACTERS = re.compile(r"[\w +\-=.:/@]*")


def is_immutable(mutability: str, filters: Filters | None, image_tag: str) -> bool:
    """True when this tag, once there, may not be moved (documented by the console and the CDK's enumeration)."""
    excluded = any(matches(entry["filter"], image_tag) for entry in filters or ())
    if mutability == "IMMUTABLE_WITH_EXCLUSION":
        return not excluded
    if mutability == "MUTABLE_WITH_EXCLUSION":
        return excluded
    return mutability == "IMMUTABLE"


def check_mutability(mutability: str, filters: Filters | None) -> None:
    """The mode and its filters come together. First sentence recorded, the second in part, the third inferred."""
    member = "imageTagMutabilityExclusionFilters"
    title = "ImageTagMutabilityExclusionFilters"
    if mutability.endswith("_WITH_EXCLUSION"):
        if filters is None:
            raise InvalidParameterException(
                member=member, constraint=f"{title} can't be null when imageTagMutability is set as {mutability}"
            )
    elif filters is not None:
        raise InvalidParameterException(
            member=member, constraint=f"{title} are not allowed when imageTagMutability is set to {mutability}"
        )
    if any(entry["filter"].count("*") > 2 for entry in filters or ()):
        raise InvalidParameterException(
            member=member, constraint="Image tag mutability exclusion filter can contain a maximum of 2 wildcards"
        )


def check_resource_tags(tags: Iterable[Mapping[str, Any]]) -> None:
    """Lengths, characters, the reserved prefix and doubles (limits documented, texts inferred)."""
    seen = set()
    for tag in tags:
        key, value = tag["Key"], tag["Value"]
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise InvalidTagParameterException(
                "Invalid tag parameter: tag keys can have a maximum length of 128 characters "
                "and tag values can have a maximum length of 256 characters"
            )
        if key.lower().startswith("aws:") or value.lower().startswith("aws:"):
            raise InvalidTagParameterException("Tag keys and values must not begin with 'aws:'")
        if not _TAG_CHARACTERS.fullmatch(key) or not _TAG_CHARACTERS.fullmatch(value):
            raise InvalidTagParameterException(
                "Invalid tag parameter: tag keys and values can contain letters, numbers, spaces and + - = . _ : / @"
            )
        if key in seen:
            raise InvalidTagParameterException(f"Invalid tag parameter: the tag key '{key}' is given more than once")
        seen.add(key)
