"""Previews: what a policy would do, page by page, and what becomes of them over time."""

import pytest

from ecrsim.core import outbox
from ecrsim.ecr.lifecycle import jobs
from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal
from tests.ecr.lifecycle.policies import policy, rule
from tests.pushing import create, listed, numbered, push, put

KEEP_ONE = policy(rule(keep=1))


@pytest.fixture
def place(ecr, sim):
    sim.freeze("2026-01-01T00:00:00Z")
    return {"repositoryName": create(ecr, "app")}


def fill(ecr, count):
    push(ecr, "app", numbered(0), "v0")
    return [numbered(0).digest, *(put(ecr, "app", numbered(number), f"v{number}") for number in range(1, count))]


def results(answer):
    return [(entry["imageTags"][0], entry["action"]["type"]) for entry in answer["previewResults"]]


def test_none_was_started(ecr, place):
    assert refusal(ecr.get_lifecycle_policy_preview, **place) == inferred(
        "LifecyclePolicyPreviewNotFoundException",
        f"Lifecycle policy preview does not exist for the repository with name 'app' in the registry with id "
        f"'{ACCOUNT}'",
    )


@pytest.mark.documented
def test_it_names_what_would_go_and_changes_nothing(ecr, sim, place):
    digests = fill(ecr, 3)
    started = ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    assert (started["status"], started["lifecyclePolicyText"]) == ("IN_PROGRESS", KEEP_ONE)

    preview = ecr.get_lifecycle_policy_preview(**place)
    assert {name: preview[name] for name in preview if name not in ("previewResults", "ResponseMetadata")} == {
        "registryId": ACCOUNT,
        **place,
        "lifecyclePolicyText": KEEP_ONE,
        "status": "COMPLETE",
        "summary": {"expiringImageTotalCount": 2},
    }
    assert [
        {name: entry[name] for name in entry if name != "imagePushedAt"} for entry in preview["previewResults"]
    ] == [
        {
            "imageTags": [f"v{number}"],
            "imageDigest": digests[number],
            "action": {"type": "EXPIRE"},
            "appliedRulePriority": 1,
            "storageClass": "STANDARD",
        }
        for number in range(2)
    ]
    assert preview["previewResults"][0]["imagePushedAt"] == sim.now
    assert len(listed(ecr, "app")) == 3


@pytest.mark.documented
def test_nothing_to_do_is_an_empty_list_and_a_count_of_none(ecr, place):
    fill(ecr, 1)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    preview = ecr.get_lifecycle_policy_preview(**place)
    assert (preview["previewResults"], preview["summary"]) == ([], {"expiringImageTotalCount": 0})


@pytest.mark.documented
def test_transitions_are_counted_by_themselves(ecr, sim, place):
    fill(ecr, 3)
    text = policy(rule(1, keep=1, archive=True))
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=text)
    preview = ecr.get_lifecycle_policy_preview(**place)
    assert preview["previewResults"][0]["action"] == {"type": "TRANSITION", "targetStorageClass": "ARCHIVE"}
    assert preview["summary"] == {
        "expiringImageTotalCount": 0,
        "transitioningImageTotalCounts": [{"targetStorageClass": "ARCHIVE", "imageTotalCount": 2}],
    }


@pytest.mark.documented
def test_without_a_text_it_is_of_the_stored_policy(ecr, place):
    fill(ecr, 2)
    ecr.put_lifecycle_policy(**place, lifecyclePolicyText=KEEP_ONE)
    assert ecr.start_lifecycle_policy_preview(**place)["lifecyclePolicyText"] == KEEP_ONE
    assert results(ecr.get_lifecycle_policy_preview(**place)) == [("v0", "EXPIRE")]


def test_one_is_under_way_until_its_time_has_passed(ecr, sim, place, configure):
    configure(preview_delay=10)
    fill(ecr, 2)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    sim.advance(seconds=9)

    assert refusal(ecr.start_lifecycle_policy_preview, **place, lifecyclePolicyText=KEEP_ONE) == inferred(
        "LifecyclePolicyPreviewInProgressException",
        f"Lifecycle policy preview is in progress for the repository with name 'app' in the registry with id "
        f"'{ACCOUNT}'",
    )
    preview = ecr.get_lifecycle_policy_preview(**place)
    assert (preview["status"], preview["previewResults"], preview["summary"]) == (
        "IN_PROGRESS",
        [],
        {"expiringImageTotalCount": 0},
    )
    sim.advance(seconds=1)
    assert ecr.get_lifecycle_policy_preview(**place)["status"] == "COMPLETE"


@pytest.mark.inferred
def test_results_are_dropped_after_a_day(ecr, sim, place):
    fill(ecr, 2)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    ecr.get_lifecycle_policy_preview(**place)
    sim.advance(days=1)
    preview = ecr.get_lifecycle_policy_preview(**place)
    assert (preview["status"], preview["previewResults"]) == ("EXPIRED", [])


@pytest.mark.documented
def test_a_new_one_takes_the_place_of_the_old(ecr, sim, place):
    fill(ecr, 3)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    sim.advance(hours=23)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=policy(rule(keep=2)))
    assert results(ecr.get_lifecycle_policy_preview(**place)) == [("v0", "EXPIRE")]
    sim.advance(hours=2)
    assert ecr.get_lifecycle_policy_preview(**place)["status"] == "COMPLETE"


def test_pages_hold_as_many_as_were_asked_for_and_the_whole_count(ecr, place):
    fill(ecr, 8)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    pages = list(ecr.get_paginator("get_lifecycle_policy_preview").paginate(**place, PaginationConfig={"PageSize": 3}))
    assert [len(page["previewResults"]) for page in pages] == [3, 3, 1]
    assert [tag for page in pages for tag, _ in results(page)] == [f"v{number}" for number in range(7)]
    assert {page["summary"]["expiringImageTotalCount"] for page in pages} == {7}


def test_a_token_of_the_preview_before_is_refused(ecr, place):
    fill(ecr, 3)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    token = ecr.get_lifecycle_policy_preview(**place, maxResults=1)["nextToken"]
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    refused = refusal(ecr.get_lifecycle_policy_preview, **place, nextToken=token)
    assert refused == recorded("InvalidParameterException", constraint("NextToken", "Invalid next token provided"))


def test_it_can_be_asked_about_some_images(ecr, place):
    digests = fill(ecr, 4)
    push(ecr, "app", numbered(50))
    push(ecr, "app", numbered(51))
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    ids = [{"imageTag": "v1"}, {"imageDigest": digests[2]}, {"imageTag": "unknown"}]
    some = ecr.get_lifecycle_policy_preview(**place, imageIds=ids)
    assert [tag for tag, _ in results(some)] == ["v1", "v2"]
    untagged = ecr.get_lifecycle_policy_preview(**place, filter={"tagStatus": "UNTAGGED"})
    assert [entry["imageDigest"] for entry in untagged["previewResults"]] == [numbered(50).digest]
    assert "imageTags" not in untagged["previewResults"][0]
    tagged = ecr.get_lifecycle_policy_preview(**place, filter={"tagStatus": "TAGGED"})
    assert [tag for tag, _ in results(tagged)] == ["v0", "v1", "v2", "v3"]


@pytest.mark.documented
def test_some_images_are_not_paged(ecr, place):
    fill(ecr, 2)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    refused = refusal(ecr.get_lifecycle_policy_preview, **place, imageIds=[{"imageTag": "v0"}], maxResults=1)
    assert refused.code == "InvalidParameterException"


def test_what_was_previewed_is_on_record(ecr, sim, place):
    fill(ecr, 2)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    with sim.runtime.database.read() as connection:
        found = [event for event in outbox.page(connection, 0, 1000) if event.type == "LifecyclePolicyPreviewed"]
    assert [len(event.facts["image_actions"]) for event in found] == [1]


def test_one_that_cannot_be_computed_has_failed(ecr, sim, place, monkeypatch):
    def plan(images, policy, now):
        raise ArithmeticError("out of numbers")

    fill(ecr, 2)
    monkeypatch.setattr(jobs, "plan", plan)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    preview = ecr.get_lifecycle_policy_preview(**place)
    assert (preview["status"], preview["previewResults"]) == ("FAILED", [])
    monkeypatch.undo()
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    assert ecr.get_lifecycle_policy_preview(**place)["status"] == "COMPLETE"


def test_one_that_can_never_be_written_has_failed_in_the_end(ecr, sim, place, monkeypatch):
    def keep(call, rows):
        raise ArithmeticError("out of numbers")

    fill(ecr, 2)
    monkeypatch.setattr(jobs, "_keep_results", keep)
    ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=KEEP_ONE)
    assert ecr.get_lifecycle_policy_preview(**place)["status"] == "IN_PROGRESS"
    sim.advance(hours=2)
    assert ecr.get_lifecycle_policy_preview(**place)["status"] == "FAILED"
