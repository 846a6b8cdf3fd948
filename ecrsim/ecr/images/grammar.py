"""The members of a manifest that ECR knows, at each level of each media type: what the setting `strict_ecr` holds to.

ECR refuses a manifest with any other member, by the sentence for invalid JSON, on both planes. Recorded as refused:
`platform` in a config (moby, regclient) and in a subject (nydus), `os.features` in a platform (acceleration-service),
members of one's own; and a media type or artifact type with parameters (`…+json;version=0.2`). Recorded as taken:
`artifactType` in what an index lists, `data` in a config. The rest is the OCI image specification 1.1 (inferred).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"

_ANY = {"schemaVersion", "mediaType", "artifactType", "subject", "annotations"}
_DESCRIPTOR = frozenset({"mediaType", "digest", "size", "urls", "annotations", "data", "artifactType"})
_PLATFORM = frozenset({"architecture", "os", "os.version", "variant"})

_IMAGE = {
    "": frozenset(_ANY | {"config", "layers"}),
    "config": _DESCRIPTOR,
    "layers[]": _DESCRIPTOR,
    "subject": _DESCRIPTOR,
}
_INDEX = {
    "": frozenset(_ANY | {"manifests"}),
    "manifests[]": _DESCRIPTOR | {"platform"},
    "manifests[].platform": _PLATFORM,
    "subject": _DESCRIPTOR,
}
#: Media type → level → members. A level is a path; `[]` is each entry of a list.
MEMBERS: Mapping[str, Mapping[str, frozenset[str]]] = {
    OCI_MANIFEST: _IMAGE,
    DOCKER_MANIFEST: _IMAGE,
    OCI_INDEX: _INDEX,
    # Docker's own platform has features of the processor besides.
    DOCKER_LIST: {**_INDEX, "manifests[].platform": _PLATFORM | {"features"}},
}
#: Members whose value is a media type.
_TYPES = ("mediaType", "artifactType")


def stranger(document: Mapping[str, Any], media_type: str) -> str | None:
    """The path of the first member that ECR does not take, for whoever explains it; None when it takes them all."""
    for level, members in MEMBERS[media_type].items():
        for place in _at(document, level.split(".", 1) if level else []):
            unknown = sorted(place.keys() - members)
            typed = [name for name in _TYPES if isinstance(place.get(name), str) and ";" in place[name]]
            if unknown or typed:
                return ".".join(filter(None, (level, (unknown or typed)[0])))
    return None


def _at(value: Any, path: list[str]) -> Iterator[Mapping[str, Any]]:
    """The objects at a path. What is none, or is not there, is for the reader of the manifest to judge."""
    if not path:
        if isinstance(value, Mapping):
            yield value
        return
    found = value.get(path[0].removesuffix("[]")) if isinstance(value, Mapping) else None
    if path[0].endswith("[]"):
        for entry in found if isinstance(found, list) else ():
            yield from _at(entry, path[1:])
    else:
        yield from _at(found, path[1:])
