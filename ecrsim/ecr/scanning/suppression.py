"""Findings that are of no concern, because somebody said so: ignored CVEs and OpenVEX documents."""

from __future__ import annotations

from collections.abc import Sequence

from ecrsim.core.runtime import Call
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning.findings import Finding
from ecrsim.ecr.scanning.keeping import Suppressed


def suppressed_in(call: Call, repository: Repository, image: Image, found: Sequence[Finding]) -> Suppressed:
    """Why findings of the image are not shown, by name and package."""
    return {}
