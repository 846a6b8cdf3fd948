"""An examination of one image: what is asked, and what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ecrsim.ecr.scanning.findings import Finding

#: Raised by one when readers find more than before: what was remembered of layers is then read again.
READER = 1


class LayerAsked(NamedTuple):
    """A layer of the image: what is known of it already (`content`, compressed JSON), else where its bytes are."""

    digest: str
    media_type: str
    path: str | None = None
    content: bytes | None = None
    failure: str | None = None


class ImageToExamine(NamedTuple):
    """An image to be examined. `directory` is the data directory, which has the advisories.

    `scan_types`: for which findings are wanted.
    """

    directory: str
    layers: Sequence[LayerAsked]
    config: str | None
    scan_types: Sequence[str]
    #: What suppression goes by: names of the image, paths of OpenVEX documents attached to it, seconds since 1970.
    repository: str
    digest: str
    tags: Sequence[str]
    documents: Sequence[str]
    now: float
    #: All that is in it is wanted as well, as `Bill.to_json` writes it.
    wants_bill: bool = False
    #: Who looks for vulnerabilities: own, or another scanner's program, which is given the whole image.
    scanner: str = "own"
    manifest: str = ""
    media_type: str = ""
    #: Files of the config and the layers, by digest.
    blobs: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


class LayerRead(NamedTuple):
    """What is to be remembered of a layer: its content, or why it could not be read."""

    digest: str
    content: bytes | None
    failure: str | None


class Examined(NamedTuple):
    """What is in the image, and what is wrong with it. `failure`: it could not be read, and nothing else is known."""

    read: Sequence[LayerRead]
    failure: str | None = None
    system: tuple[str, str] | None = None
    has_language_packages: bool = False
    platform: str | None = None
    architecture: str | None = None
    author: str | None = None
    #: By scan type; those that are of no concern are among them.
    findings: dict[str, list[Finding]] = {}  # noqa: RUF012 - nobody changes it
    #: By scan type: name and package of a finding that is of no concern, and why.
    suppressed: dict[str, list[tuple[str, str, str]]] = {}  # noqa: RUF012 - nobody changes it
    #: Of the advisories; seconds since 1970.
    updated_at: float = 0
    #: Another one whenever the same image may have other findings.
    revision: str = ""
    bill: dict[str, Any] | None = None

    @property
    def advisories_updated_at(self) -> int:
        """Epoch milliseconds."""
        return int(self.updated_at * 1000)
