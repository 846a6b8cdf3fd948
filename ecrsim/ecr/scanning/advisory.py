"""What advisories say: the values that the store of advisories gives, and matching takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Range:
    """Versions between events, as OSV has them: pairs of introduced, fixed, last_affected or limit, and a version."""

    #: SEMVER or ECOSYSTEM; ranges of commits are not kept.
    type: str
    events: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Affected:
    """What one advisory says of one package. `record` is the number of its Advisory in the same snapshot."""

    record: int
    #: As `ecosystems.ecosystem_key` writes it: `Debian:12`, `PyPI`.
    ecosystem: str
    name: str
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()
    #: The word that the distribution has for its severity: `medium`, `Important`, `unimportant`; "" for none.
    vendor_severity: str = ""
    #: (type, vector): `("CVSS_V3", "CVSS:3.1/AV:N/…")`.
    vectors: tuple[tuple[str, str], ...] = ()
    #: The binary packages that are meant; empty where all of the source are.
    binaries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Advisory:
    """One record of one source, without what it says of packages."""

    number: int
    #: The name under which it was imported.
    source: str
    id: str
    summary: str = ""
    details: str = ""
    aliases: tuple[str, ...] = ()
    #: What it was made from: a distribution's record names the CVEs here.
    upstream: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    vendor_severity: str = ""
    vectors: tuple[tuple[str, str], ...] = ()
    #: (type, URL): `("ADVISORY", "https://…")`.
    references: tuple[tuple[str, str], ...] = ()
    #: Seconds since 1970.
    published: float | None = None
    modified: float | None = None
    withdrawn: float | None = None


class LookUp(Protocol):
    """What matching asks. Each question is answered by an index."""

    def snapshot(self) -> Self | LookUp:
        """The same advisories for as long as it is held, whatever is imported meanwhile."""
        ...

    def about(self, ecosystem: str, name: str) -> list[Affected]:
        """All that is said of the package of that name; both as `ecosystems` writes them."""
        ...

    def record(self, number: int) -> Advisory:
        """The advisory of that number."""
        ...

    def find(self, name: str) -> list[Advisory]:
        """The advisories whose id, alias or upstream this is."""
        ...
