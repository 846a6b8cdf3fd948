"""An event of the outbox as a record of CloudTrail: calls of the API, and what a lifecycle policy did.

Records are written by another serializer than answers: dates are in English words, what is too large is left out, and a
service event says a lifecycle rule in words ("Image count more than"). The members stand in the order of the newest
records that were seen.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any

from ecrsim.core.event import Event
from ecrsim.delivery.moments import instant, moment

#: Of the newest record by ECR that was seen (March 2025).
EVENT_VERSION = "1.09"

Record = dict[str, Any]

#: Documented: a larger member is left out, a longer text is cut.
LARGEST_MEMBER = 100 * 1024
LONGEST_TEXT = 1024

#: At most so many tags of an image are listed (documented).
MOST_TAGS = 100

_INTERNAL, _KMS = "AWS Internal", "kms.amazonaws.com"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SERVICE_EVENTS = {"LifecyclePolicyExecuted": "PolicyExecutionEvent", "LifecyclePolicyPreviewed": "DryRunEvent"}


def record(event: Event) -> Record:
    """The record of an `ApiCalled`, `LifecyclePolicyExecuted` or `LifecyclePolicyPreviewed`; KeyError for others."""
    if event.type == "ApiCalled":
        return _api_call(event)
    return _service_event(event, _SERVICE_EVENTS[event.type])


# --- calls ------------------------------------------------------------------------------------------------------------


def _api_call(event: Event) -> Record:
    facts, trail = event.facts, event.trail or {}
    source = facts["event_source"]
    # Clients of the registry protocol are seen as the service that asks itself on their behalf (since July 2024).
    through_registry = trail.get("plane") == "registry"
    identity = user_identity(trail, event.registry_id)
    if through_registry:
        identity["invokedBy"] = source
    elif source == _KMS:
        # ECR asks KMS by the rights of its caller, whose address and agent stay (documented).
        identity["invokedBy"] = _INTERNAL
    failed = facts.get("error_code") is not None
    answered = not failed and not facts["read_only"]
    return {
        "eventVersion": EVENT_VERSION,
        "userIdentity": identity,
        "eventTime": instant(event.at),
        "eventSource": source,
        "eventName": facts["event_name"],
        "awsRegion": event.region,
        "sourceIPAddress": source if through_registry else trail.get("source_ip"),
        "userAgent": source if through_registry else _cut(trail.get("user_agent")),
        **(_error(facts) if failed else {}),
        "requestParameters": _limited("requestParameters", _request(facts)),
        "responseElements": _limited("responseElements", _answer(facts)) if answered else None,
        "requestID": trail.get("request_id"),
        "eventID": event.event_id,
        "readOnly": facts["read_only"],
        "resources": [_resource(arn, source) for arn in facts.get("resources") or ()],
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": event.registry_id,
        "eventCategory": "Management",
    }


def _resource(arn: str, source: str) -> Record:
    """KMS says of which type it is (documented); ECR's records of calls were seen without."""
    kind = {"type": "AWS::KMS::Key"} if source == _KMS else {}
    return {"accountId": arn.split(":")[4], **kind, "ARN": arn}


def _error(facts: Mapping[str, Any]) -> Record:
    """The error's name; a refused permission is `AccessDenied` here, whatever the answer calls it."""
    code = facts["error_code"]
    members: Record = {"errorCode": "AccessDenied" if code == "AccessDeniedException" else code}
    if facts.get("error_message") is not None:
        members["errorMessage"] = _cut(facts["error_message"])
    return members


def _request(facts: Mapping[str, Any]) -> Record | None:
    """The input without the bytes of a layer: they are data, not a parameter (inferred). None if there was none."""
    request = facts.get("request") or {}
    return {name: value for name, value in request.items() if name != "layerPartBlob"} or None


def _answer(facts: Mapping[str, Any]) -> Record | None:
    """The output; None of an action that answers nothing (documented)."""
    return _dated(facts.get("response"), facts["event_source"]) or None


def _dated(value: Any, source: str, name: str = "") -> Any:
    """An answer with its timestamps, seconds since the epoch, as dates."""
    if isinstance(value, dict):
        return {member: _dated(each, source, member) for member, each in value.items()}
    if isinstance(value, list):
        return [_dated(each, source) for each in value]
    if name.endswith(("At", "Time")) and isinstance(value, int | float) and not isinstance(value, bool):
        return english_date(int(value * 1_000), comma=source.startswith("ecr-public."))
    return value


def english_date(at: int, *, comma: bool = False) -> str:
    """`Jul 11, 2018 10:17:44 PM` (UTC). The guide of ECR Public has a comma after the year, that of ECR has none."""
    time = moment(at)
    hour = time.hour % 12 or 12
    half = "PM" if time.hour >= 12 else "AM"
    date = f"{_MONTHS[time.month - 1]} {time.day}, {time.year}{',' if comma else ''}"
    return f"{date} {hour}:{time.minute:02}:{time.second:02} {half}"


def _limited(name: str, value: Any) -> Any:
    """The member, or what CloudTrail writes in its place when its JSON has more than 100 KB."""
    size = len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
    if size <= LARGEST_MEMBER:
        return value
    return {"reason": f"{name} too large", "omitted": True, "originalSize": size}


def _cut(text: str | None) -> str | None:
    if text is None or len(text.encode()) <= LONGEST_TEXT:
        return text
    return text.encode()[:LONGEST_TEXT].decode(errors="ignore")


# --- identities -------------------------------------------------------------------------------------------------------


def user_identity(trail: Mapping[str, Any], account: str) -> Record:
    """The caller in CloudTrail's form (`userIdentity`), from the ARN in `trail`.

    `principalId` is the identity that STS gives for the same caller. A session tells when it began if the trail has
    `session_created_at` (epoch milliseconds). Who has no ARN is anonymous.
    """
    arn = trail.get("principal") or ""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
    account = parts[4] or account
    kind, _, name = parts[5].partition("/")
    who: Record = {"arn": arn, "accountId": account}
    if trail.get("access_key"):
        who["accessKeyId"] = trail["access_key"]
    if kind == "root":
        return {"type": "Root", "principalId": account, **who}
    if kind == "user":
        user = {"type": "IAMUser", "principalId": _unique_id("AIDA", account, arn), **who}
        return {**user, "userName": name.rpartition("/")[2]}
    if kind == "assumed-role":
        role, _, session = name.partition("/")
        role_id = _unique_id("AROA", account, role)
        issuer = {
            "type": "Role",
            "principalId": role_id,
            "arn": f"arn:{parts[1]}:iam::{account}:role/{role}",
            "accountId": account,
            "userName": role,
        }
        identity = {"type": "AssumedRole", "principalId": f"{role_id}:{session}", **who}
        return {**identity, "sessionContext": {"sessionIssuer": issuer, **_attributes(trail)}}
    if kind == "federated-user":
        # Whose permissions were handed on is not in the ARN, and so there is no issuer.
        identity = {"type": "FederatedUser", "principalId": f"{account}:{name}", **who}
        return {**identity, "sessionContext": _attributes(trail)}
    if kind == "role":
        return {"type": "Role", "principalId": _unique_id("AROA", account, name.rpartition("/")[2]), **who}
    return {"type": "Unknown", **who}


def _attributes(trail: Mapping[str, Any]) -> Record:
    began = trail.get("session_created_at")
    return {"attributes": {**({} if began is None else {"creationDate": instant(began)}), "mfaAuthenticated": "false"}}


def _unique_id(prefix: str, *parts: str) -> str:
    return (
        prefix + str(uuid.uuid5(uuid.NAMESPACE_URL, ":".join(("ecrsim", "iam", *parts)))).replace("-", "")[:17].upper()
    )


# --- lifecycle policies -----------------------------------------------------------------------------------------------

#: The first two were seen in records, the others are inferred from them.
_COUNT_TYPES = {
    "imageCountMoreThan": "Image count more than",
    "sinceImagePushed": "Time since image pushed",
    "sinceImagePulled": "Time since image pulled",
    "sinceImageTransitioned": "Time since image transitioned",
}


def _service_event(event: Event, name: str) -> Record:
    """The record of a run or a preview of a lifecycle policy; it has no caller and no request."""
    repository = event.repository_name or ""
    resource = {
        "accountId": event.registry_id,
        "type": "AWS::ECR::Repository",
        "ARN": event.registry.arn(repository),
    }
    facts = event.facts
    details = {
        "repositoryName": repository,
        "lifecycleEventPolicy": _policy(facts["policy"]),
        "lifecycleEventImageActions": [
            {"lifecycleEventImage": _image(each["image"]), **_priority(each)} for each in facts["image_actions"]
        ],
        "lifecycleEventFailureDetails": [
            {
                "lifecycleEventImage": _image(each["image"]),
                **_priority(each),
                "failureCode": each["failure_code"],
                "failureReason": each["failure_reason"],
            }
            for each in facts["failures"]
        ],
    }
    return {
        "eventVersion": EVENT_VERSION,
        "userIdentity": {"accountId": event.registry_id, "invokedBy": _INTERNAL},
        "eventTime": instant(event.at),
        "eventSource": event.registry.event_source,
        "eventName": name,
        "awsRegion": event.region,
        "sourceIPAddress": _INTERNAL,
        "userAgent": _INTERNAL,
        "requestParameters": None,
        "responseElements": None,
        "eventID": event.event_id,
        "readOnly": True,
        "resources": [resource],
        "eventType": "AwsServiceEvent",
        "managementEvent": True,
        "recipientAccountId": event.registry_id,
        "serviceEventDetails": _limited("serviceEventDetails", details),
        "eventCategory": "Management",
    }


def _policy(policy: Mapping[str, Any]) -> Record:
    return {
        "lifecycleEventRules": [_rule(rule) for rule in policy["rules"]],
        # 0 of a policy that never ran (recorded)
        "lastEvaluatedAt": policy.get("last_evaluated_at") or 0,
        "policyVersion": policy["policy_version"],
        "policyId": policy["policy_id"],
    }


def _rule(rule: Mapping[str, Any]) -> Record:
    """Members that are newer than the recorded samples have the policy's own names (inferred)."""
    selection: Record = {
        "tagStatus": rule["tag_status"].capitalize(),
        "tagPrefixList": list(rule["tag_prefix_list"]),
        "tagPatternList": list(rule["tag_pattern_list"]),
    }
    if rule.get("storage_class", "standard") != "standard":
        selection["storageClass"] = rule["storage_class"].capitalize()
    selection["countType"] = _COUNT_TYPES[rule["count_type"]]
    if rule.get("count_unit") is not None:
        selection["countUnit"] = rule["count_unit"].capitalize()
    selection["countNumber"] = rule["count_number"]
    members: Record = {"rulePriority": rule["rule_priority"]}
    if rule.get("description") is not None:
        members["description"] = rule["description"]
    members |= {"lifecycleEventSelection": selection, "action": rule["action"]}
    if rule.get("target_storage_class") is not None:
        members["targetStorageClass"] = rule["target_storage_class"]
    return members


def _image(image: Mapping[str, Any]) -> Record:
    return {
        "digest": image["digest"],
        "tagStatus": "Tagged" if image["tags"] else "Untagged",
        "tagList": list(image["tags"][:MOST_TAGS]),
        "pushedAt": image["pushed_at"],
    }


def _priority(each: Mapping[str, Any]) -> Record:
    """An artifact that follows its subject was chosen by no rule."""
    return {} if each.get("rule_priority") is None else {"rulePriority": each["rule_priority"]}
