"""Images with real package databases, and advisories about them, for tests of scans."""

from __future__ import annotations

import gzip
from typing import Any

from ecrsim import Ecrsim
from ecrsim.ecr.scanning.advisories import open_advisories
from ecrsim.testing import BuiltImage, build_image
from tests.ecr.scanning.osv import affecting, record
from tests.ecr.scanning.packages.layering import tar_of

BOOKWORM = b'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
RULE = {"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}]}
CONTINUOUS = RULE | {"scanFrequency": "CONTINUOUS_SCAN"}
CVSS3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
COMPLETED = "The scan was completed successfully."
UNSUPPORTED = "UnsupportedImageError: The operating system and/or package manager are not supported."


def paragraph(name: str, version: str, source: str = "") -> str:
    lines = [f"Package: {name}", "Status: install ok installed", "Architecture: amd64", f"Version: {version}"]
    return "\n".join([*lines, *([f"Source: {source}"] if source else [])]) + "\n\n"


def layer(files: dict[str, bytes]) -> bytes:
    """A layer as it is pushed: always the same bytes for the same files."""
    return gzip.compress(tar_of(files), mtime=0)


def debian(*packages: str, system: bytes = BOOKWORM, more: dict[str, bytes] | None = None) -> bytes:
    """A layer of Debian with these packages (`paragraph`) and other files."""
    status = "".join(packages).encode()
    return layer({"etc/os-release": system, "var/lib/dpkg/status": status, **(more or {})})


def old_openssl(**options: Any) -> BuiltImage:
    """An image whose libssl3 has what CVE-2026-0001 says."""
    packages = paragraph("libssl3", "3.0.11-1", "openssl"), paragraph("openssl", "3.0.11-1"), paragraph("zlib1g", "1:1")
    return build_image(debian(*packages), **options)


def advisory(identity: str, package: str = "openssl", fixed: str | None = "3.0.12-1", **more: Any) -> dict[str, Any]:
    """Everything of Debian's package before `fixed` is vulnerable; with None all of it, and there is no fix."""
    events = [("introduced", "0"), *([("fixed", fixed)] if fixed else [])]
    return record(identity, affecting("Debian:12", package, *events), **more)


OPENSSL = advisory(
    "CVE-2026-0001",
    summary="A summary",
    details="Reading too far.",
    severity=[{"type": "CVSS_V3", "score": CVSS3}],
    references=[{"type": "ADVISORY", "url": "https://security-tracker.debian.org/tracker/CVE-2026-0001"}],
    published="2026-01-01T00:00:00Z",
)


def know(sim: Ecrsim, *advisories: dict[str, Any]) -> None:
    """Make these all the advisories that there are, as a running server notices it."""
    refused = open_advisories(sim.runtime).import_records("test", advisories).refused
    assert refused == []


def start(ecr: Any, digest: str, repository: str = "app") -> dict[str, Any]:
    return ecr.start_image_scan(repositoryName=repository, imageId={"imageDigest": digest})["imageScanStatus"]


def findings(ecr: Any, repository: str = "app", *, digest: str = "", tag: str = "", **page: Any) -> dict[str, Any]:
    image_id = {"imageDigest": digest} if digest else {"imageTag": tag}
    answer = ecr.describe_image_scan_findings(repositoryName=repository, imageId=image_id, **page)
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def status(ecr: Any, repository: str = "app", **image: str) -> str:
    return findings(ecr, repository, **image)["imageScanStatus"]["status"]


def names(answer: dict[str, Any]) -> list[str]:
    """What was found, in the order of the page."""
    found = answer["imageScanFindings"]
    listed = [each["name"] for each in found.get("findings", ())]
    enhanced = [each["packageVulnerabilityDetails"] for each in found.get("enhancedFindings", ())]
    return [*listed, *(each["vulnerabilityId"] for each in enhanced)]
