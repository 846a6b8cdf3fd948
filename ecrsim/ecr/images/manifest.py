"""Reading a manifest once: what it is, what it needs, what it says of itself. Pure.

The bytes are never rewritten; members that nobody knows stay in them (an option refuses them, as ECR does on /v2/).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from ecrsim.core.digest import is_oci_digest
from ecrsim.core.errors import InvalidParameterException
from ecrsim.ecr.images.grammar import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, stranger

#: Media types that ECR takes today; Docker's schema 1 and the withdrawn OCI artifact manifest are refused.
IMAGE_TYPES = (DOCKER_MANIFEST, OCI_MANIFEST)
INDEX_TYPES = (DOCKER_LIST, OCI_INDEX)

#: The largest number that the column of sizes holds, for one descriptor and for the sum of all.
_MAX_SIZE = (1 << 63) - 1


class Descriptor(NamedTuple):
    digest: str
    size: int
    media_type: str


class Manifest(NamedTuple):
    """The parts of a manifest that the registry uses."""

    media_type: str
    is_index: bool
    #: Config first, then layers, as listed. Empty for an index.
    blobs: tuple[Descriptor, ...]
    #: Digests of `blobs` that must be in the repository: foreign layers need not.
    required_layers: tuple[str, ...]
    #: Digests that an index lists.
    references: tuple[str, ...]
    #: Those of `references` that are said to be no image, with what they are said to be.
    other_references: Mapping[str, str]
    subject: str | None
    #: As a referrer is described: `artifactType`, else the config's type (OCI image specification 1.1).
    artifact_type: str | None
    #: As DescribeImages shows it.
    artifact_media_type: str | None
    annotations: dict[str, str] | None
    #: Compressed bytes of config and layers; of an index the greatest that it lists is taken, by the caller.
    size: int
    has_layers: bool


def invalid(constraint: str = "Invalid JSON syntax") -> InvalidParameterException:
    """ECR has one sentence for broken JSON, a missing media type and a type that it does not take (recorded)."""
    return InvalidParameterException(member="ImageManifest", constraint=constraint)


class NotAnImage(InvalidParameterException):
    """An index lists a layer or a config, as BuildKit's cache does. The registry protocol has a status of its own."""

    @property
    def code(self) -> str:
        return InvalidParameterException.__name__


def not_an_image(digest: str, media_type: str) -> NotAnImage:
    """ECR refuses such an index with 400 (recorded of BuildKit's cache with `image-manifest=false`); words: I."""
    return NotAnImage(member="ImageManifest", constraint=f"{digest} of type {media_type[:200]} is not an image")


def read(manifest: bytes, media_type: str | None, *, strict: bool = False) -> Manifest:
    """Read the bytes of a manifest that was sent as `media_type` (None: not told, the body must say).

    `strict`: members that ECR does not know are refused, at every level (`grammar.py`).
    """
    try:
        document = orjson.loads(manifest)
    except orjson.JSONDecodeError:
        raise invalid() from None
    if not isinstance(document, dict):
        raise invalid()
    effective = _media_type(document.get("mediaType"), media_type)
    is_index = effective in INDEX_TYPES
    if document.get("schemaVersion", 2) != 2 or (strict and stranger(document, effective) is not None):
        raise invalid()
    artifact_type = _optional_text(document.get("artifactType")) or None
    subject = document.get("subject")
    annotations = document.get("annotations")
    if annotations is not None and not _is_text_map(annotations):
        raise invalid()
    read_manifest = Manifest(
        media_type=effective,
        is_index=is_index,
        blobs=(),
        required_layers=(),
        references=(),
        other_references={},
        subject=None if subject is None else _descriptor(subject).digest,
        artifact_type=artifact_type,
        artifact_media_type=artifact_type,
        annotations=annotations or None,
        size=0,
        has_layers=True,
    )
    if is_index:
        listed = [_descriptor(entry) for entry in _list(document.get("manifests"))]
        others = {each.digest: each.media_type for each in listed if each.media_type and not _is_image(each.media_type)}
        return read_manifest._replace(
            references=tuple(dict.fromkeys(each.digest for each in listed)), other_references=others
        )
    config = _descriptor(document.get("config"))
    entries = [] if document.get("layers") is None else _list(document["layers"])
    layers = [_descriptor(entry) for entry in entries]
    foreign = {layer.digest for layer, entry in zip(layers, entries, strict=True) if _is_foreign(layer, entry)}
    blobs = (config, *layers)
    size = sum(blob.size for blob in blobs)
    if size > _MAX_SIZE:
        raise invalid()
    return read_manifest._replace(
        blobs=blobs,
        required_layers=tuple(dict.fromkeys(blob.digest for blob in blobs if blob.digest not in foreign)),
        artifact_type=artifact_type or config.media_type or None,
        artifact_media_type=artifact_type or config.media_type or None,
        size=size,
        has_layers=bool(layers),
    )


def _media_type(in_body: Any, sent: str | None) -> str:
    told = (sent or "").partition(";")[0].strip() or None
    body = _optional_text(in_body) or None
    if told is not None and told not in IMAGE_TYPES + INDEX_TYPES and body is not None:
        # Clients that send application/json or octet-stream leave it to the body.
        told = None if told in ("application/json", "application/octet-stream", "text/plain") else told
    effective = told or body
    if effective not in IMAGE_TYPES + INDEX_TYPES or (body is not None and body != effective):
        raise invalid()
    return effective


def _descriptor(value: Any) -> Descriptor:
    if not isinstance(value, dict):
        raise invalid()
    digest, size, media_type = value.get("digest"), value.get("size", 0), value.get("mediaType", "")
    if not isinstance(digest, str) or not is_oci_digest(digest) or not isinstance(media_type, str):
        raise invalid()
    if type(size) is not int or not 0 <= size <= _MAX_SIZE:
        raise invalid()
    return Descriptor(digest, size, media_type)


def _is_foreign(layer: Descriptor, entry: Any) -> bool:
    return bool(entry.get("urls")) or ".nondistributable." in layer.media_type or ".foreign." in layer.media_type


def _is_image(media_type: str) -> bool:
    return media_type in IMAGE_TYPES + INDEX_TYPES


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise invalid()
    return value


def _optional_text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise invalid()
    return value


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())
