"""Types of the arguments and results of operations, in wire names, as `parse` makes them and `shape` takes them.

They are for the type checker and the reader; a test holds their keys against the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

#: What an operation returns: members of its output, by wire or snake name, with rows where the shape picks from them.
Result: TypeAlias = Mapping[str, Any]

ImageTagMutability: TypeAlias = Literal["MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"]
EncryptionType: TypeAlias = Literal["AES256", "KMS", "KMS_DSSE"]
TagStatus: TypeAlias = Literal["TAGGED", "UNTAGGED", "ANY"]
ImageStatusFilter: TypeAlias = Literal["ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"]
ArtifactStatusFilter: TypeAlias = Literal["ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"]
TargetStorageClass: TypeAlias = Literal["STANDARD", "ARCHIVE"]


class ImageId(TypedDict):
    """The shape ImageIdentifier. Neither member is required; an id without both is the operation's affair."""

    imageDigest: NotRequired[str]
    imageTag: NotRequired[str]


class SubjectId(TypedDict):
    """The shape SubjectIdentifier."""

    imageDigest: str


class Tag(TypedDict):
    """A resource tag of a private registry, whose model requires both members."""

    Key: str
    Value: str


class ImageScanningConfiguration(TypedDict):
    """Scan on push, the legacy setting of a repository."""

    scanOnPush: NotRequired[bool]


class EncryptionConfiguration(TypedDict):
    """How a repository is encrypted."""

    encryptionType: EncryptionType
    kmsKey: NotRequired[str]


class ImageTagMutabilityExclusionFilter(TypedDict):
    """A glob of tags that the opposite rule holds for."""

    filterType: Literal["WILDCARD"]
    filter: str


class ListImagesFilter(TypedDict):
    """Both members combine with "and"."""

    tagStatus: NotRequired[TagStatus]
    imageStatus: NotRequired[ImageStatusFilter]


class DescribeImagesFilter(TypedDict):
    """Both members combine with "and"."""

    tagStatus: NotRequired[TagStatus]
    imageStatus: NotRequired[ImageStatusFilter]


class ListImageReferrersFilter(TypedDict):
    """Artifact types are alternatives."""

    artifactTypes: NotRequired[list[str]]
    artifactStatus: NotRequired[ArtifactStatusFilter]
