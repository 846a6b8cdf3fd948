"""An event of the outbox as EventBridge delivers it.

The members stand in the order in which AWS prints them. That order differs by action: a push begins with its result, a
change of the storage class with its action.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ecrsim.core.event import Event
from ecrsim.delivery import cloudtrail, scanevents
from ecrsim.delivery.moments import instant

IMAGE_ACTION = "ECR Image Action"
REFERRER_ACTION = "ECR Referrer Action"
API_CALL = "AWS API Call via CloudTrail"
LAYER_DAMAGED = "ecrsim Layer Damaged"
CACHE_ACTION = "ECR Pull Through Cache Action"
BACKFILL_ACTION = "ECR Replication Backfill Action"
REPLICATION_ACTION = "ECR Replication Action"
SERVICE_EVENT = "AWS Service Event via CloudTrail"

Detail = dict[str, Any]


def envelope(event: Event) -> dict[str, Any]:
    """The whole event: version, id, detail-type, source, account, time, region, resources, detail.

    `id` is the identity of the row, so an event that is sent twice can be known again. Image actions and records of
    CloudTrail name no resources (documented samples). KeyError for a type that has no shape.
    """
    detail_type, source, detail = _SHAPES[event.type](event)
    return {
        "version": "0",
        "id": event.event_id,
        "detail-type": detail_type,
        "source": source,
        "account": event.registry_id,
        "time": instant(event.at),
        "region": event.region,
        "resources": scanevents.resources(event) if event.type in _NAMES and event.repository_name else [],
        "detail": detail,
    }


def _tag_action(action_type: str) -> Callable[[Event], tuple[str, str, Detail]]:
    """A push or a deletion: one event for each tag, without `image-tag` where the image had none (inferred)."""

    def shape(event: Event) -> tuple[str, str, Detail]:
        facts = event.facts
        detail = {
            "result": "SUCCESS",
            "repository-name": event.repository_name,
            "image-digest": facts["image_digest"],
            "action-type": action_type,
        }
        if facts.get("image_tag") is not None:
            detail["image-tag"] = facts["image_tag"]
        return _action(facts), _source(event), detail | _media_types(facts)

    return shape


def _storage_class(target: str) -> Callable[[Event], tuple[str, str, Detail]]:
    """A change of the storage class concerns the image as a whole, and so never names a tag (documented)."""

    def shape(event: Event) -> tuple[str, str, Detail]:
        facts = event.facts
        detail = {
            "action-type": "UPDATE_STORAGE_CLASS",
            "target-storage-class": target,
            "image-digest": facts["image_digest"],
            "repository-name": event.repository_name,
            "result": "SUCCESS",
            **_media_types(facts),
        }
        if facts.get("last_activated_at") is not None:
            detail["last-activated-at"] = _with_fraction(facts["last_activated_at"])
        return _action(facts), _source(event), detail

    return shape


def _cache_action(event: Event) -> tuple[str, str, Detail]:
    """An image that came through a cache, or did not. Of a failure the values of code and reason are inferred."""
    facts = event.facts
    detail = {
        "rule-version": "1",
        "sync-status": "FAILED" if facts["failure_code"] else "SUCCESS",
        "ecr-repository-prefix": facts["ecr_repository_prefix"],
        "repository-name": event.repository_name,
        "upstream-registry-url": facts["upstream_registry_url"],
        "image-tag": facts["image_tag"],
        "image-digest": facts["image_digest"],
        "failure-code": facts["failure_code"],
        "failure-reason": facts["failure_reason"],
    }
    return CACHE_ACTION, _source(event), {name: value for name, value in detail.items() if value is not None}


def _replication(event: Event) -> tuple[str, str, Detail]:
    """A copy that arrived, or did not; `failure-code` of the latter is inferred."""
    facts = event.facts
    detail = {
        "result": "FAILED" if facts["failure_code"] else "SUCCESS",
        "repository-name": event.repository_name,
        "image-digest": facts["image_digest"],
        "source-account": facts["source_account"],
        "action-type": "REPLICATE",
        "source-region": facts["source_region"],
        "image-tag": facts["image_tag"],
        "failure-code": facts["failure_code"],
    }
    return REPLICATION_ACTION, _source(event), {name: value for name, value in detail.items() if value is not None}


def _backfill(event: Event) -> tuple[str, str, Detail]:
    """The end of a backfill. Documented is that there is such an event; all of its form is inferred."""
    facts = event.facts
    detail = {
        "replication-backfill-id": facts["replication_backfill_id"],
        "status": facts["status"],
        "destination-account": facts["destination_account"],
        "destination-region": facts["destination_region"],
        "failure-code": facts["failure_code"],
    }
    return BACKFILL_ACTION, _source(event), {name: value for name, value in detail.items() if value is not None}


def _api_call(event: Event) -> tuple[str, str, Detail]:
    # KMS's records are among them.
    service = event.facts["event_source"].removesuffix(".amazonaws.com")
    return API_CALL, f"aws.{service}", cloudtrail.record(event)


def _layer_damaged(event: Event) -> tuple[str, str, Detail]:
    """Ecrsim's own: ECR has no such event, since it loses no layer."""
    detail = {
        "repository-name": event.repository_name,
        "layer-digest": event.facts["layer_digest"],
        "problem": event.facts["problem"],
    }
    return LAYER_DAMAGED, "ecrsim", detail


def _service_event(event: Event) -> tuple[str, str, Detail]:
    return SERVICE_EVENT, _source(event), cloudtrail.record(event)


_SHAPES: Mapping[str, Callable[[Event], tuple[str, str, Detail]]] = {
    "ImagePushed": _tag_action("PUSH"),
    "ImageDeleted": _tag_action("DELETE"),
    "ImageArchived": _storage_class("ARCHIVE"),
    "ImageRestored": _storage_class("STANDARD"),
    "CacheSynced": _cache_action,
    "ImageReplicated": _replication,
    "BackfillEnded": _backfill,
    "ApiCalled": _api_call,
    "LifecyclePolicyExecuted": _service_event,
    "LifecyclePolicyPreviewed": _service_event,
    "LayerDamaged": _layer_damaged,
    "ImageScanned": scanevents.image_scan,
    "ScanFrequencyChanged": scanevents.resource_change,
    "EnhancedScanCompleted": scanevents.inspector_scan,
    "FindingChanged": scanevents.inspector_finding,
}
#: Types whose events name the repository, or an image of it, as their resource (documented).
_NAMES = frozenset({"CacheSynced", "ImageReplicated", "ImageScanned", "EnhancedScanCompleted", "FindingChanged"})


def _source(event: Event) -> str:
    """The service's name with `aws.` before it (documented for ECR, inferred for ECR Public)."""
    return f"aws.{event.registry.service}"


def _action(facts: Mapping[str, Any]) -> str:
    """Signatures, attestations and SBOMs have a detail-type of their own."""
    return REFERRER_ACTION if facts.get("is_referrer") else IMAGE_ACTION


def _media_types(facts: Mapping[str, Any]) -> Detail:
    members = {
        "manifest-media-type": facts.get("manifest_media_type"),
        "artifact-media-type": facts.get("artifact_media_type"),
    }
    return {name: value for name, value in members.items() if value is not None}


def _with_fraction(at: int) -> str:
    """`2025-01-02T03:04:05.67Z`, as in the sample: milliseconds without the zeros behind, and one digit at least."""
    fraction = f"{at % 1_000:03}".rstrip("0") or "0"
    return f"{instant(at).removesuffix('Z')}.{fraction}Z"
