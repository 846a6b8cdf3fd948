"""Findings of both kinds, made of vulnerabilities, and as answers show them. Pure.

A finding is kept as JSON that is the same for all images that have it. What differs from image to image is given when
it is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from ecrsim.core.registry import Registry, partition
from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.platforms import package_manager, remediation, split_version
from ecrsim.ecr.scanning.vulnerability import SEVERITIES, Score, Vulnerability

#: Characters of an attribute's value (the model).
_LONGEST = 256
#: Names of packages that a title has room for (recorded: `pkgA, pkgB and N more`).
_IN_TITLE = 2
_NONE = "None Provided"  # R
_NOT_AVAILABLE = "NotAvailable"  # D


class Finding(NamedTuple):
    """What is kept: its place in the order of pages, its severity, and what it is made of.

    `package` is empty for an enhanced finding, which is about all packages that the vulnerability is in.
    """

    name: str
    package: str
    severity: str
    #: JSON: the vulnerabilities that it is made of, or an object with the finding as a test set it.
    detail: bytes

    @property
    def rank(self) -> int:
        return SEVERITIES.index(self.severity)


class ScannedImage(NamedTuple):
    """What an enhanced finding says of its image; times are epoch milliseconds."""

    registry: Registry
    repository_name: str
    image_digest: str
    image_tags: Sequence[str]
    pushed_at: int
    architecture: str | None
    author: str | None
    platform: str | None


class Times(NamedTuple):
    """When an enhanced finding was seen; epoch milliseconds."""

    first_observed_at: int
    last_observed_at: int
    updated_at: int


# --- of vulnerabilities -----------------------------------------------------------------------------------------------


def basic(vulnerabilities: Iterable[Vulnerability]) -> list[Finding]:
    """One for each vulnerability of a package of the operating system (documented: basic scanning sees no others)."""
    found: dict[tuple[str, str], Finding] = {}
    for each in vulnerabilities:
        if each.package.of_system:
            package = f"{each.package.name} {each.package.version}"
            severity = "UNDEFINED" if each.severity == "UNTRIAGED" else each.severity
            found.setdefault((each.id, package), Finding(each.id, package, severity, orjson.dumps([each])))
    return list(found.values())


def enhanced(vulnerabilities: Iterable[Vulnerability]) -> list[Finding]:
    """One for each vulnerability, with all packages that it is in (recorded); the most severe of them says how bad."""
    groups: dict[str, list[Vulnerability]] = {}
    for each in vulnerabilities:
        groups.setdefault(each.id, []).append(each)
    found = []
    for name, group in groups.items():
        severity = min((each.severity for each in group), key=SEVERITIES.index)
        # Recorded: UNTRIAGED is how enhanced findings call it.
        severity = "UNTRIAGED" if severity == "UNDEFINED" else severity
        found.append(Finding(name, "", severity, orjson.dumps(group)))
    return found


def set_by_test(scan_type: str, shown: Mapping[str, Any]) -> Finding:
    """A finding that is to be shown as it is."""
    if scan_type == "BASIC":
        package = next((each["value"] for each in shown.get("attributes", ()) if each["key"] == "package_name"), "")
        name = shown.get("name", "")
    else:
        package = ""
        name = shown.get("packageVulnerabilityDetails", {}).get("vulnerabilityId") or shown.get("title", "")
    severity = shown.get("severity", "UNDEFINED")
    known = severity if severity in SEVERITIES else "UNDEFINED"
    return Finding(name, package, known, orjson.dumps({"finding": shown}))


def identity(detail: bytes) -> str:
    """The hash of what a finding is made of: equal ones are kept once."""
    return hashlib.sha256(detail).hexdigest()


# --- a basic finding --------------------------------------------------------------------------------------------------


def show_basic(severity: str, detail: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A basic finding as DescribeImageScanFindings shows it; the order of the attributes is recorded."""
    found = Vulnerability.from_json(detail[0])
    third = _best(found.scores, "3")
    second = _best(found.scores, "2")
    attributes = [
        ("CVSS3_SCORE", _number(third)),
        ("package_version", found.package.version),
        ("package_name", found.package.name),
        ("CVSS3_VECTOR", third.vector if third else None),
        ("CVSS2_VECTOR", second.vector if second else None),
        ("CVSS2_SCORE", _number(second)),
    ]
    return {
        "name": found.id,
        "description": found.description or None,
        "uri": found.source_url or None,
        "severity": severity,
        "attributes": [{"key": key, "value": value[:_LONGEST]} for key, value in attributes if value],
    }


def _best(scores: Sequence[Score], *versions: str) -> Score | None:
    """The highest score of these versions of CVSS, those that stand first if there are any."""
    for version in versions:
        found = [each for each in scores if each.version.startswith(version)]
        if found:
            return max(found, key=lambda each: each.score)
    return None


def _number(score: Score | None) -> str | None:
    return None if score is None else f"{score.score:.1f}"


# --- an enhanced finding ----------------------------------------------------------------------------------------------


def show_enhanced(
    severity: str, detail: Sequence[Mapping[str, Any]], image: ScannedImage, times: Times, status: str = "ACTIVE"
) -> dict[str, Any]:
    """As DescribeImageScanFindings shows it; members and words are recorded (Inspector), with those added since."""
    group = [Vulnerability.from_json(each) for each in detail]
    first = group[0]
    packages = [each.package for each in group]
    score = _best(first.scores, "3", "4", "2")
    fixed = [each.fixed_version is not None for each in group]
    text = remediation([each.package for each in group if each.fixed_version]) or _NONE
    return {
        "awsAccountId": image.registry.account,
        "description": first.description or _NONE,
        "findingArn": _arn(image, first.id),
        "firstObservedAt": times.first_observed_at,
        "lastObservedAt": times.last_observed_at,
        "updatedAt": times.updated_at,
        "packageVulnerabilityDetails": _vulnerability(group),
        "remediation": {"recommendation": {"text": text}},
        "resources": [_resource(image)],
        "score": score.score if score else 0.0,
        "scoreDetails": None if score is None else {"cvss": _score_details(score)},
        "severity": severity,
        "status": status,
        "title": f"{first.id} - {_named(packages)}",
        "type": "PACKAGE_VULNERABILITY",
        "fixAvailable": "YES" if all(fixed) else "PARTIAL" if any(fixed) else "NO",
        "exploitAvailable": "YES" if any(each.exploit_available for each in group) else "NO",
    }


def _arn(image: ScannedImage, name: str) -> str:
    """The same whenever the vulnerability is found in the image."""
    registry = image.registry
    text = f"{registry.account} {registry.region} {image.repository_name} {image.image_digest} {name}"
    number = hashlib.sha256(text.encode()).hexdigest()[:32]
    return f"arn:{partition(registry.region)}:inspector2:{registry.region}:{registry.account}:finding/{number}"


def _named(packages: Sequence[Package]) -> str:
    names = list(dict.fromkeys(each.name for each in packages))
    more = len(names) - _IN_TITLE
    shown = ", ".join(names[:_IN_TITLE])
    return f"{shown} and {more} more" if more > 0 else shown


def _score_details(score: Score) -> dict[str, Any]:
    return {
        "adjustments": [],
        "score": score.score,
        "scoreSource": score.source,
        "scoringVector": score.vector,
        "version": score.version,
    }


def _vulnerability(group: Sequence[Vulnerability]) -> dict[str, Any]:
    first = group[0]
    return {
        "cvss": [
            {"baseScore": each.score, "scoringVector": each.vector, "source": each.source, "version": each.version}
            for each in first.scores
        ],
        "referenceUrls": list(first.reference_urls),
        "relatedVulnerabilities": list(first.related),
        "source": first.source,
        "sourceUrl": first.source_url or None,
        "vendorCreatedAt": _milliseconds(first.published),
        "vendorSeverity": first.vendor_severity or None,
        "vendorUpdatedAt": _milliseconds(first.modified),
        "vulnerabilityId": first.id,
        "vulnerablePackages": [_package(each) for each in group],
    }


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


def _package(vulnerability: Vulnerability) -> dict[str, Any]:
    package = vulnerability.package
    epoch, version, release = split_version(package)
    return {
        "arch": package.arch.upper() or None,
        "epoch": epoch,
        "filePath": package.path or None,
        "name": package.name if package.of_system or not package.namespace else _full_name(package),
        "packageManager": package_manager(package),
        "release": release or None,
        "sourceLayerHash": package.layer or None,
        "version": version,
        "fixedInVersion": vulnerability.fixed_version or _NOT_AVAILABLE,
    }


def _full_name(package: Package) -> str:
    separator = ":" if package.type == "maven" else "/"
    return f"{package.namespace}{separator}{package.name}"


def _resource(image: ScannedImage) -> dict[str, Any]:
    details = {
        "architecture": image.architecture,
        "author": image.author or None,
        "imageHash": image.image_digest,
        "imageTags": list(image.image_tags),
        "platform": image.platform,
        # Recorded: whole seconds.
        "pushedAt": image.pushed_at // 1000 * 1000,
        "registry": image.registry.account,
        "repositoryName": image.repository_name,
    }
    return {
        "details": {"awsEcrContainerImage": details},
        "id": f"{image.registry.arn(image.repository_name)}/{image.image_digest}",
        "tags": {},
        "type": "AWS_ECR_CONTAINER_IMAGE",
    }
