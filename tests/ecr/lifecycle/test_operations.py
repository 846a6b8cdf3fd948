"""The policy of a repository: put, got, replaced, deleted."""

import json

import pytest

from tests.answers import ACCOUNT, constraint, recorded, refusal, repository_not_found
from tests.ecr.lifecycle.policies import policy, rule
from tests.pushing import create

KEEP_TEN = policy(rule(keep=10))


@pytest.fixture
def place(ecr):
    return {"repositoryName": create(ecr, "team/app")}


def no_policy():
    return recorded(
        "LifecyclePolicyNotFoundException",
        f"Lifecycle policy does not exist for the repository with name 'team/app' in the registry with id '{ACCOUNT}'",
    )


@pytest.mark.recorded
def test_the_text_is_given_back_compact_with_its_rules_by_priority(ecr, place):
    rules = [rule(2, keep=3), rule(1, days=7, tags="untagged", description="ü")]
    text = json.dumps({"rules": rules}, indent=2)
    kept = policy(*reversed(rules)).replace("\\u00fc", "ü")
    wanted = {"registryId": ACCOUNT, **place, "lifecyclePolicyText": kept}

    answer = ecr.put_lifecycle_policy(**place, lifecyclePolicyText=text)
    assert {name: answer[name] for name in answer if name != "ResponseMetadata"} == wanted

    for operation in (ecr.get_lifecycle_policy, ecr.delete_lifecycle_policy):
        answer = operation(**place)
        assert {name: answer[name] for name in wanted} == wanted


@pytest.mark.recorded
def test_a_preview_keeps_the_text_as_it_was_sent(ecr, place):
    text = f"\n {KEEP_TEN.replace(',', ' ,  ')}\t\n"
    answer = ecr.start_lifecycle_policy_preview(**place, lifecyclePolicyText=text)
    assert answer["lifecyclePolicyText"] == text
    assert ecr.get_lifecycle_policy_preview(**place)["lifecyclePolicyText"] == text


@pytest.mark.inferred
def test_before_the_first_run_it_was_evaluated_at_the_epoch(ecr, place):
    ecr.put_lifecycle_policy(**place, lifecyclePolicyText=KEEP_TEN)
    assert ecr.get_lifecycle_policy(**place)["lastEvaluatedAt"].timestamp() == 0


def test_putting_again_replaces_it(ecr, place):
    for text in (KEEP_TEN, policy(rule(keep=3))):
        ecr.put_lifecycle_policy(**place, lifecyclePolicyText=text)
    assert ecr.get_lifecycle_policy(**place)["lifecyclePolicyText"] == policy(rule(keep=3))


def test_what_was_deleted_is_answered_once(ecr, place):
    ecr.put_lifecycle_policy(**place, lifecyclePolicyText=KEEP_TEN)
    deleted = ecr.delete_lifecycle_policy(**place)
    assert (deleted["lifecyclePolicyText"], deleted["lastEvaluatedAt"].timestamp()) == (KEEP_TEN, 0)
    assert refusal(ecr.delete_lifecycle_policy, **place) == no_policy()
    assert refusal(ecr.get_lifecycle_policy, **place) == no_policy()


def test_no_repository_has_one_by_itself(ecr, place):
    assert refusal(ecr.get_lifecycle_policy, **place) == no_policy()
    assert refusal(ecr.start_lifecycle_policy_preview, **place) == no_policy()


def test_it_goes_with_its_repository(ecr, place):
    ecr.put_lifecycle_policy(**place, lifecyclePolicyText=KEEP_TEN)
    ecr.delete_repository(**place)
    create(ecr, place["repositoryName"])
    assert refusal(ecr.get_lifecycle_policy, **place) == no_policy()


@pytest.mark.parametrize("name", ["a/b", "team__app"])
def test_the_policy_of_no_repository(ecr, name):
    text = {"lifecyclePolicyText": KEEP_TEN}
    assert refusal(ecr.get_lifecycle_policy, repositoryName=name) == repository_not_found(name)
    assert refusal(ecr.put_lifecycle_policy, repositoryName=name, **text) == repository_not_found(name)
    assert refusal(ecr.delete_lifecycle_policy, repositoryName=name) == repository_not_found(name)
    assert refusal(ecr.start_lifecycle_policy_preview, repositoryName=name, **text) == repository_not_found(name)
    assert refusal(ecr.get_lifecycle_policy_preview, repositoryName=name) == repository_not_found(name)


@pytest.mark.parametrize("operation", ["put_lifecycle_policy", "start_lifecycle_policy_preview"])
def test_a_policy_that_breaks_the_grammar_is_refused_and_not_kept(ecr, place, operation):
    ecr.put_lifecycle_policy(**place, lifecyclePolicyText=KEEP_TEN)
    twice = policy(rule(1, keep=10, prefixes=["a"]), rule(1, keep=10, prefixes=["b"]))

    assert refusal(getattr(ecr, operation), **place, lifecyclePolicyText=twice) == recorded(
        "InvalidParameterException",
        constraint(
            "LifecyclePolicyText",
            "Lifecycle policy validation failure: Duplicate priority in multiple rules",
        ),
    )
    assert ecr.get_lifecycle_policy(**place)["lifecyclePolicyText"] == KEEP_TEN


def test_the_longest_policy_is_kept(ecr, place):
    text = KEEP_TEN + " " * (30_720 - len(KEEP_TEN))
    ecr.put_lifecycle_policy(**place, lifecyclePolicyText=text)
    assert ecr.get_lifecycle_policy(**place)["lifecyclePolicyText"] == KEEP_TEN
    refused = refusal(ecr.put_lifecycle_policy, **place, lifecyclePolicyText=f"{text} ")
    assert refused.code == "InvalidParameterException"
    assert "lifecyclePolicyText" in refused.message


def test_fifty_rules_are_taken(ecr, place):
    rules = [rule(number, keep=number, prefixes=[f"v{number}-"]) for number in range(1, 51)]
    ecr.put_lifecycle_policy(**place, lifecyclePolicyText=policy(*rules))
    text = ecr.get_lifecycle_policy(**place)["lifecyclePolicyText"]
    assert len(json.loads(text)["rules"]) == 50
