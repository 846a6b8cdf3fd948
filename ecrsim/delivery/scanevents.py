"""Events of image scanning, by ECR and by Inspector, as EventBridge delivers them.

Inspector writes a finding otherwise than ECR's API shows it: dates are in English words, the score is Inspector's own,
and a resource has a partition and a region that are not given.
"""

from __future__ import annotations

from typing import Any

from ecrsim.core.event import Event
from ecrsim.delivery.cloudtrail import english_date

IMAGE_SCAN = "ECR Image Scan"
RESOURCE_CHANGE = "ECR Scan Resource Change"
INSPECTOR_SCAN = "Inspector2 Scan"
INSPECTOR_FINDING = "Inspector2 Finding"
INSPECTOR = "aws.inspector2"

Shape = tuple[str, str, dict[str, Any]]
#: Members of a finding that are times.
_TIMES = frozenset({"firstObservedAt", "lastObservedAt", "updatedAt", "vendorCreatedAt", "vendorUpdatedAt", "pushedAt"})


def resources(event: Event) -> list[str]:
    """What the event is about (documented): the repository, or the image of a finding."""
    arn = event.registry.arn(event.repository_name or "")
    return [f"{arn}/{event.facts['image_digest']}" if event.type == "FindingChanged" else arn]


def image_scan(event: Event) -> Shape:
    """The end of a basic scan."""
    facts = event.facts
    detail = {
        "scan-status": facts["scan_status"],
        "repository-name": event.repository_name,
        "finding-severity-counts": facts["finding_severity_counts"],
        "image-digest": facts["image_digest"],
        "image-tags": facts["image_tags"],
    }
    return IMAGE_SCAN, "aws.ecr", detail


def resource_change(event: Event) -> Shape:
    """Repositories that enhanced scanning looks at more or less often than before."""
    repositories = [
        {
            "repository-name": each["repository_name"],
            "repository-arn": event.registry.arn(each["repository_name"]),
            "scan-frequency": each["frequency"],
            "previous-scan-frequency": each["previous"],
        }
        for each in event.facts["changes"]
    ]
    detail = {
        "action-type": "SCAN_FREQUENCY_CHANGE",
        "repositories": repositories,
        "resource-type": "REPOSITORY",
        "scan-type": "ENHANCED",
    }
    return RESOURCE_CHANGE, "aws.ecr", detail


def inspector_scan(event: Event) -> Shape:
    """The end of the first enhanced scan of an image. `repository-name` is an ARN there (documented)."""
    facts = event.facts
    counts = facts["finding_severity_counts"]
    detail = {
        "scan-status": "INITIAL_SCAN_COMPLETE",
        "repository-name": event.registry.arn(event.repository_name or ""),
        "finding-severity-counts": {**counts, "TOTAL": sum(counts.values())},
        "image-digest": facts["image_digest"],
        "image-tags": facts["image_tags"],
    }
    return INSPECTOR_SCAN, INSPECTOR, detail


def inspector_finding(event: Event) -> Shape:
    """A finding that is new, another one now, or closed."""
    finding = dict(_worded(event.facts["finding"]))
    score, details = finding.pop("score", None), finding.pop("scoreDetails", None)
    if score is not None:
        finding["inspectorScore"] = score
    if details is not None:
        finding["inspectorScoreDetails"] = {"adjustedCvss": details["cvss"]}
    nowhere = {"partition": "N/A", "region": "N/A"}
    finding["resources"] = [{**each, **nowhere} for each in finding.get("resources", ())]
    return INSPECTOR_FINDING, INSPECTOR, finding


def _worded(value: Any, name: str = "") -> Any:
    """Without what is not known, and with dates in words: `Dec 3, 2021, 6:02:30 PM`."""
    if isinstance(value, dict):
        return {member: _worded(each, member) for member, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_worded(each) for each in value]
    if name in _TIMES and isinstance(value, int | float):
        return english_date(int(value), comma=True)
    return value
