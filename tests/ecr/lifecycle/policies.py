"""Lifecycle policies for tests, in few words."""

import json
from typing import Any


def rule(priority: int = 1, *, keep: int | None = None, days: int | None = None, **members: Any) -> dict[str, Any]:
    """A rule that keeps the newest `keep` images, or acts after `days`; on any image unless `members` say otherwise.

    `prefixes` and `patterns` make it a rule for tagged images; `archive=True` one that archives instead of expiring.
    """
    selection: dict[str, Any] = {"tagStatus": members.pop("tags", "any")}
    for name, member in (("prefixes", "tagPrefixList"), ("patterns", "tagPatternList")):
        if name in members:
            selection |= {"tagStatus": "tagged", member: members.pop(name)}
    if keep is not None:
        selection |= {"countType": "imageCountMoreThan", "countNumber": keep}
    else:
        count_type = members.pop("since", "sinceImagePushed")
        selection |= {"countType": count_type, "countUnit": "days", "countNumber": days}
    if selection["countType"] == "sinceImageTransitioned":
        selection["storageClass"] = "archive"
    action = {"type": "transition", "targetStorageClass": "archive"} if members.pop("archive", False) else None
    return {"rulePriority": priority, "selection": selection, "action": action or {"type": "expire"}, **members}


def policy(*rules: dict[str, Any]) -> str:
    """Compact, as ECR gives it back."""
    return json.dumps({"rules": rules}, separators=(",", ":"))
