"""Events of the outbox as records of CloudTrail."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from ecrsim.controlplane.sts import _unique_id
from ecrsim.core.event import Event
from ecrsim.delivery.cloudtrail import _COUNT_TYPES, EVENT_VERSION, english_date, record, user_identity
from ecrsim.delivery.eventbridge import envelope
from ecrsim.ecr.lifecycle.schema import COUNT_TYPES
from tests.delivery.samples import SAMPLES, sample

ACCOUNT = "123456789012"
RECORDS = [each for each in SAMPLES if each.record is not None]
#: Members that came after the documented samples were written; they are in the recorded ones.
NEWER = {"readOnly", "managementEvent", "eventCategory", "tagPatternList", "lifecycleEventFailureDetails"}
#: EventBridge takes no more (documented).
LARGEST_ENTRY = 256 * 1024


def call(trail: dict[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    whole = {
        "event_source": "ecr.amazonaws.com",
        "event_name": "PutImage",
        "request": {"repositoryName": "team/app"},
        "response": {"image": {}},
        "error_code": None,
        "error_message": None,
        "read_only": False,
        "resources": [],
    }
    return record(Event(1, 0, "an-id", "ApiCalled", ACCOUNT, "us-east-1", "team/app", {**whole, **facts}, trail))


def run(type: str = "LifecyclePolicyExecuted", *, rule: dict[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    rules = [{**sample("record-policy-execution").event.facts["policy"]["rules"][0], **(rule or {})}]
    policy = {"rules": rules, "last_evaluated_at": 5, "policy_version": 3, "policy_id": "an-id"}
    whole = {"policy": policy, "image_actions": [], "failures": [], **facts}
    found = record(Event(1, 0, "an-id", type, ACCOUNT, "cn-north-1", "team/app", whole, None))
    return found["serviceEventDetails"]


def image(tags: int, length: int = 3) -> dict[str, Any]:
    return {"digest": "sha256:" + "0" * 64, "tags": [f"{n:0{length}}" for n in range(tags)], "pushed_at": 1}


# --- samples ----------------------------------------------------------------------------------------------------------


def assert_held(expected: Any, found: Any, place: str = "record") -> None:
    """Every documented member with its value; what is more, is known to be newer. Unique ids have the same form."""
    if place.endswith("principalId"):
        assert re.sub(r"A[A-Z0-9]{20}", "ID", found) == re.sub(r"A[A-Z0-9]{11,20}", "ID", expected), place
    elif isinstance(expected, dict):
        assert set(expected) <= set(found) <= set(expected) | NEWER, place
        for name, value in expected.items():
            assert_held(value, found[name], f"{place}.{name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), place
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            assert_held(one, other, f"{place}[{index}]")
    elif not place.endswith("eventVersion"):
        assert found == expected, place


@pytest.mark.parametrize("each", RECORDS, ids=str)
def test_a_sample_is_held(each):
    assert_held(each.record, record(each.event))


@pytest.mark.parametrize("each", [each for each in RECORDS if each.provenance == "recorded"], ids=str)
def test_a_recorded_sample_is_reproduced_to_the_letter(each):
    found = json.dumps(record(each.event) | {"eventVersion": each.record["eventVersion"]})
    assert re.sub(r"AROA[A-Z0-9]{17}", "ID", found) == re.sub(r"AROA[A-Z0-9]{17}", "ID", json.dumps(each.record))


def test_the_version_is_that_of_the_newest_record():
    newest = max(each.record["eventVersion"] for each in RECORDS if each.provenance == "recorded")
    assert newest == EVENT_VERSION == call()["eventVersion"]


# --- calls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (1_531_347_464_000, "Jul 11, 2018 10:17:44 PM"),  # documented
        (1_638_554_550_999, "Dec 3, 2021 6:02:30 PM"),
        (1_577_836_800_000, "Jan 1, 2020 12:00:00 AM"),
        (1_577_880_000_000, "Jan 1, 2020 12:00:00 PM"),
        (1_577_880_245_000, "Jan 1, 2020 12:04:05 PM"),
    ],
)
def test_dates_are_in_english(at, expected):
    assert english_date(at) == expected


def test_every_timestamp_of_an_answer_is_a_date():
    at = 1_531_347_464.25
    response = {"createdAt": at, "deep": [{"lastRecordedPullTime": 1_531_347_464, "count": 3, "isAt": True}]}
    date = "Jul 11, 2018 10:17:44 PM"
    assert call(response=response)["responseElements"] == {
        "createdAt": date,
        "deep": [{"lastRecordedPullTime": date, "count": 3, "isAt": True}],
    }


def test_a_read_has_no_response_elements():
    found = call(event_name="BatchGetImage", read_only=True, response={"images": [], "failures": []})
    assert (found["readOnly"], found["responseElements"]) == (True, None)


def test_an_action_that_answers_nothing_has_no_response_elements():
    assert call(event_name="TagResource", response={})["responseElements"] is None


def test_a_call_without_parameters_has_none():
    assert call(event_name="GetAuthorizationToken", request={}, read_only=True)["requestParameters"] is None


def test_the_bytes_of_a_layer_are_no_parameter():
    found = call(event_name="UploadLayerPart", request={"uploadId": "u", "layerPartBlob": "AAAA" * 50_000})
    assert found["requestParameters"] == {"uploadId": "u"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [("AccessDeniedException", "AccessDenied"), ("RepositoryNotFoundException", "RepositoryNotFoundException")],
)
def test_a_refused_call_says_why_and_has_no_response_elements(code, expected):
    found = call(error_code=code, error_message="No.", response={"message": "No."})
    assert (found["errorCode"], found["errorMessage"], found["responseElements"]) == (expected, "No.", None)
    names = list(found)
    assert names[names.index("userAgent") + 1 : names.index("requestParameters")] == ["errorCode", "errorMessage"]


def test_a_call_that_succeeds_has_no_error():
    assert {"errorCode", "errorMessage"}.isdisjoint(call())


def test_clients_of_the_registry_are_seen_as_the_service():
    trail = {"principal": f"arn:aws:iam::{ACCOUNT}:user/ann", "source_ip": "10.0.0.1", "user_agent": "docker"}
    api = call(trail={**trail, "plane": "api"})
    assert (api["sourceIPAddress"], api["userAgent"]) == ("10.0.0.1", "docker")
    assert "invokedBy" not in api["userIdentity"]
    registry = call(trail={**trail, "plane": "registry"})
    service = "ecr.amazonaws.com"
    assert (registry["sourceIPAddress"], registry["userAgent"]) == (service, service)
    assert registry["userIdentity"]["invokedBy"] == service


def test_each_resource_has_the_account_of_its_owner():
    arn = "arn:aws:ecr:us-east-1:999999999999:repository/other"
    assert call(resources=[arn])["resources"] == [{"accountId": "999999999999", "ARN": arn}]


# --- sizes ------------------------------------------------------------------------------------------------------------


def parameters(size: int) -> dict[str, str]:
    return {"imageManifest": "x" * (size - len('{"imageManifest":""}'))}


def test_a_member_of_100_kb_is_kept():
    request = parameters(100 * 1024)
    assert call(request=request)["requestParameters"] == request


@pytest.mark.parametrize("text", ["x", "é", "🐳"])
def test_a_larger_member_is_left_out(text):
    request = parameters(100 * 1024 - len(text.encode()) + 1)
    request["imageManifest"] += text
    found = call(request=request, response={"image": request})
    assert found["requestParameters"] == {
        "reason": "requestParameters too large",
        "omitted": True,
        "originalSize": 100 * 1024 + 1,
    }
    assert found["responseElements"]["reason"] == "responseElements too large"


def test_the_largest_call_fits_an_entry_of_eventbridge():
    trail = {"principal": f"arn:aws:iam::{ACCOUNT}:user/ann", "plane": "api", "user_agent": "é" * 100_000}
    manifest = {"m": "é" * 51_000}
    facts = {"event_source": "ecr.amazonaws.com", "event_name": "PutImage", "request": manifest, "response": manifest}
    facts |= {"read_only": False, "error_code": None, "resources": []}
    whole = envelope(Event(1, 0, "an-id", "ApiCalled", ACCOUNT, "us-east-1", "team/app", facts, trail))
    assert whole["detail"]["requestParameters"] == whole["detail"]["responseElements"] == manifest
    assert len(whole["detail"]["userAgent"].encode()) == 1024
    assert len(json.dumps(whole, ensure_ascii=False).encode()) < LARGEST_ENTRY


def test_a_text_is_cut_between_characters():
    cut = call(error_code="X", error_message="a" + "é" * 600)["errorMessage"]
    assert cut == "a" + "é" * 511


# --- identities -------------------------------------------------------------------------------------------------------


def test_root():
    arn = f"arn:aws:iam::{ACCOUNT}:root"
    assert user_identity({"principal": arn, "access_key": "AKIA"}, ACCOUNT) == {
        "type": "Root",
        "principalId": ACCOUNT,
        "arn": arn,
        "accountId": ACCOUNT,
        "accessKeyId": "AKIA",
    }


def test_a_user_has_the_last_part_of_its_path_as_name_and_the_identity_that_sts_gives():
    arn = f"arn:aws:iam::{ACCOUNT}:user/ci/ann"
    found = user_identity({"principal": arn}, ACCOUNT)
    assert (found["type"], found["userName"]) == ("IAMUser", "ann")
    assert found["principalId"] == _unique_id("AIDA", ACCOUNT, arn)
    assert "accessKeyId" not in found


def test_a_session_of_a_role_names_the_role_that_issued_it():
    arn = f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/pusher/run-7"
    found = user_identity({"principal": arn}, ACCOUNT)
    role_id = _unique_id("AROA", ACCOUNT, "pusher")
    assert (found["type"], found["principalId"]) == ("AssumedRole", f"{role_id}:run-7")
    assert found["sessionContext"] == {
        "sessionIssuer": {
            "type": "Role",
            "principalId": role_id,
            "arn": f"arn:aws-cn:iam::{ACCOUNT}:role/pusher",
            "accountId": ACCOUNT,
            "userName": "pusher",
        },
        "attributes": {"mfaAuthenticated": "false"},
    }


def test_a_federated_user():
    found = user_identity({"principal": f"arn:aws:sts::{ACCOUNT}:federated-user/ann"}, ACCOUNT)
    assert (found["type"], found["principalId"]) == ("FederatedUser", f"{ACCOUNT}:ann")
    assert found["sessionContext"] == {"attributes": {"mfaAuthenticated": "false"}}


@pytest.mark.parametrize(
    ("principal", "type"),
    [(f"arn:aws:iam::{ACCOUNT}:role/ci/pusher", "Role"), (f"arn:aws:iam::{ACCOUNT}:group/team", "Unknown")],
)
def test_other_principals(principal, type):
    assert user_identity({"principal": principal}, ACCOUNT)["type"] == type


@pytest.mark.parametrize("trail", [{}, {"principal": ""}, {"principal": None}])
def test_who_has_no_arn_is_anonymous(trail):
    assert user_identity(trail, ACCOUNT) == {
        "type": "AWSAccount",
        "principalId": "",
        "accountId": "ANONYMOUS_PRINCIPAL",
    }


def test_a_caller_of_another_account_is_not_the_recipient():
    found = call(trail={"principal": "arn:aws:iam::999999999999:user/ben", "plane": "api"})
    assert (found["userIdentity"]["accountId"], found["recipientAccountId"]) == ("999999999999", ACCOUNT)


# --- lifecycle policies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count_type", "expected"),
    [
        ("imageCountMoreThan", "Image count more than"),  # documented
        ("sinceImagePushed", "Time since image pushed"),  # recorded
        ("sinceImagePulled", "Time since image pulled"),  # inferred
        ("sinceImageTransitioned", "Time since image transitioned"),  # inferred
    ],
)
def test_what_is_counted_is_said_in_words(count_type, expected):
    rule = run(rule={"count_type": count_type})["lifecycleEventPolicy"]["lifecycleEventRules"][0]
    assert rule["lifecycleEventSelection"]["countType"] == expected


def test_every_count_type_of_a_policy_has_words():
    assert set(_COUNT_TYPES) == set(COUNT_TYPES)


def test_a_transition_says_from_where_and_to_where():
    changed = {"action": "transition", "target_storage_class": "archive", "storage_class": "archive"}
    rule = run(rule=changed)["lifecycleEventPolicy"]["lifecycleEventRules"][0]
    assert (rule["action"], rule["targetStorageClass"]) == ("transition", "archive")
    assert rule["lifecycleEventSelection"]["storageClass"] == "Archive"


def test_at_most_100_tags_of_an_image_are_listed():
    actions = [{"image": image(101), "rule_priority": 1}]
    found = run(image_actions=actions)["lifecycleEventImageActions"][0]["lifecycleEventImage"]
    assert found["tagList"] == [f"{n:03}" for n in range(100)]


def test_an_untagged_image_and_one_that_follows_its_subject():
    found = run(image_actions=[{"image": image(0), "rule_priority": None}])["lifecycleEventImageActions"]
    assert found == [
        {
            "lifecycleEventImage": {
                "digest": "sha256:" + "0" * 64,
                "tagStatus": "Untagged",
                "tagList": [],
                "pushedAt": 1,
            }
        }
    ]


def test_details_of_more_than_100_kb_are_left_out():
    found = run(image_actions=[{"image": image(100, 250), "rule_priority": 1}] * 9)
    assert (found["reason"], found["omitted"]) == ("serviceEventDetails too large", True)
    assert found["originalSize"] > 9 * 100 * 250


@pytest.mark.parametrize(
    ("type", "name"),
    [("LifecyclePolicyExecuted", "PolicyExecutionEvent"), ("LifecyclePolicyPreviewed", "DryRunEvent")],
)
def test_a_preview_differs_from_an_execution_in_its_name_only(type, name):
    facts = sample("record-policy-execution").event.facts
    event = Event(1, 0, "an-id", type, ACCOUNT, "cn-north-1", "team/app", facts, None)
    found = record(event)
    assert found.pop("eventName") == name
    other = record(event._replace(type="LifecyclePolicyExecuted"))
    assert found == {key: value for key, value in other.items() if key != "eventName"}
    assert found["resources"][0]["ARN"] == f"arn:aws-cn:ecr:cn-north-1:{ACCOUNT}:repository/team/app"


@pytest.mark.parametrize("type", ["ImagePushed", "RepositoryCreated"])
def test_other_events_are_no_records(type):
    with pytest.raises(KeyError):
        record(Event(1, 0, "an-id", type, ACCOUNT, "us-east-1", None, {}, None))
