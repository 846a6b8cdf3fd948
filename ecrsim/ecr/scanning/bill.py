"""What is in an image: the values that the readers of packages make, and matching, `ecrsim sbom` and findings take.

A `Bill` holds no bytes and knows no database. All of it goes into JSON and comes back (`to_json`, `from_json`), because
what a layer holds is remembered by the digest of the layer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

#: Packages of an operating system. All other types are packages of a language, which only enhanced scanning looks at.
SYSTEM_TYPES = frozenset({"deb", "apk", "rpm"})


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """What `os-release` says: `debian` and `12`, `alpine` and `3.21.3`, `amzn` and `2023`."""

    id: str
    version_id: str = ""
    version_codename: str = ""
    pretty_name: str = ""
    id_like: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package.

    `type` is the type of its package URL: deb, apk, rpm, pypi, npm, golang, maven, gem, cargo, composer, nuget.
    """

    type: str
    name: str
    #: As the package manager writes it, whole: `1:2.36-9+deb12u4`, `3.0.7-25.amzn2023`, `v1.2.3`.
    version: str
    #: The group of Maven, the scope of npm with its @, the vendor of Composer, the distribution's id for deb, apk, rpm.
    namespace: str = ""
    arch: str = ""
    #: The source that a binary package was built of, and that one's version; advisories of distributions name sources.
    source_name: str = ""
    source_version: str = ""
    #: The file of the image that told of it, without a leading slash: `var/lib/dpkg/status`.
    path: str = ""
    #: Digest of the layer, as the manifest names it, that this file is in.
    layer: str = ""
    licenses: tuple[str, ...] = ()

    @property
    def of_system(self) -> bool:
        """Whether the operating system's package manager keeps it."""
        return self.type in SYSTEM_TYPES


@dataclass(frozen=True, slots=True)
class Bill:
    """What one image holds, in the order type, name, version, path."""

    system: OperatingSystem | None
    packages: tuple[Package, ...] = field(default=())
    #: Path and reason of each file that could not be read: too large, broken, nested without end.
    unread: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A value for JSON from which `from_json` makes this bill again."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Bill:
        """The bill that `to_json` wrote."""
        system = value["system"]
        return cls(
            system=None if system is None else OperatingSystem(**{**system, "id_like": tuple(system["id_like"])}),
            packages=tuple(Package(**{**each, "licenses": tuple(each["licenses"])}) for each in value["packages"]),
            unread=tuple((path, reason) for path, reason in value.get("unread", ())),
        )
