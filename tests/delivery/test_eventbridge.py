"""Events of the outbox as EventBridge delivers them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ecrsim.core.event import Event
from ecrsim.delivery import eventbridge
from ecrsim.delivery.cloudtrail import record
from ecrsim.delivery.eventbridge import envelope
from tests.delivery.samples import SAMPLES, sample

ENVELOPES = [each for each in SAMPLES if each.envelope is not None]
#: What all events have, in this order (documented).
MEMBERS = ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"]
IMAGE_EVENTS = ["ImagePushed", "ImageDeleted", "ImageArchived", "ImageRestored"]


def event(type: str, at: int = 1_772_366_400_000, **facts: Any) -> Event:
    image = {"image_digest": "sha256:" + "0" * 64, "manifest_media_type": "m", "artifact_media_type": None}
    return Event(7, at, "an-id", type, "123456789012", "eu-west-1", "team/app", {**image, **facts}, None)


@pytest.mark.parametrize("each", ENVELOPES, ids=str)
def test_a_sample_is_reproduced_to_the_letter(each):
    assert json.dumps(envelope(each.event)) == json.dumps(each.envelope)


def test_every_type_of_event_has_a_sample():
    assert {each.event.type for each in SAMPLES} == set(eventbridge._SHAPES)


@pytest.mark.parametrize("each", SAMPLES, ids=str)
def test_the_members_of_all_events_stand_in_the_documented_order(each):
    found = envelope(each.event)
    assert list(found) == MEMBERS
    assert (found["version"], found["id"], found["account"]) == ("0", each.event.event_id, each.event.registry_id)
    named = (each.envelope or {}).get("resources", [])  # those of a cache alone name their repository
    assert (found["region"], found["resources"]) == (each.event.region, named)


@pytest.mark.parametrize(
    ("type", "tag"),
    [("ImagePushed", None), ("ImageDeleted", None), ("ImageArchived", "latest"), ("ImageRestored", "latest")],
)
def test_no_tag_is_named_where_there_is_none_and_where_the_storage_class_changes(type, tag):
    assert "image-tag" not in envelope(event(type, image_tag=tag))["detail"]


@pytest.mark.parametrize("type", IMAGE_EVENTS)
@pytest.mark.parametrize(("is_referrer", "detail_type"), [(True, "ECR Referrer Action"), (False, "ECR Image Action")])
def test_a_referrer_has_a_detail_type_of_its_own(type, is_referrer, detail_type):
    assert envelope(event(type, is_referrer=is_referrer))["detail-type"] == detail_type


@pytest.mark.parametrize("type", IMAGE_EVENTS)
def test_an_image_without_an_artifact_type_has_no_member_for_it(type):
    detail = envelope(event(type, image_tag="v1"))["detail"]
    assert detail["manifest-media-type"] == "m"
    assert "artifact-media-type" not in detail


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(670, "05.67Z"), (0, "05.0Z"), (7, "05.007Z"), (100, "05.1Z"), (999, "05.999Z")],
)
def test_the_time_of_activation_has_a_fraction(milliseconds, expected):
    at = int(datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()) * 1000 + milliseconds
    found = envelope(event("ImageRestored", at=at, last_activated_at=at))
    assert found["detail"]["last-activated-at"] == f"2025-01-02T03:04:{expected}"
    assert found["time"] == "2025-01-02T03:04:05Z"


@pytest.mark.parametrize(
    ("name", "source", "detail_type"),
    [
        ("record-create-repository", "aws.ecr", "AWS API Call via CloudTrail"),
        ("record-public-create-repository", "aws.ecr-public", "AWS API Call via CloudTrail"),
        ("record-policy-execution", "aws.ecr", "AWS Service Event via CloudTrail"),
        ("record-dry-run", "aws.ecr", "AWS Service Event via CloudTrail"),
    ],
)
def test_a_record_of_cloudtrail_is_the_detail(name, source, detail_type):
    each = sample(name)
    found = envelope(each.event)
    assert (found["source"], found["detail-type"]) == (source, detail_type)
    assert found["detail"] == record(each.event)
    assert found["time"] == found["detail"]["eventTime"]


def test_a_type_without_a_shape_is_refused():
    with pytest.raises(KeyError):
        envelope(event("RepositoryCreated"))
