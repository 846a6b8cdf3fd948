"""Pull-time update exclusions: register, list, deregister."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.answers import ACCOUNT, bad_token, constraint, inferred, recorded, refusal
from tests.api import post, refusal_of
from tests.pushing import create

ROLE = f"arn:aws:iam::{ACCOUNT}:role/x"
PATTERN = r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$"


def role(number):
    return f"arn:aws:iam::{ACCOUNT}:role/r{number:03}"


def listed(ecr, **options):
    return ecr.list_pull_time_update_exclusions(**options)["pullTimeUpdateExclusions"]


@pytest.mark.documented
def test_register_answers_when_it_was_created(ecr):
    answer = ecr.register_pull_time_update_exclusion(principalArn=ROLE)
    answer.pop("ResponseMetadata")

    assert abs(datetime.now(UTC) - answer.pop("createdAt")) < timedelta(seconds=30)
    assert answer == {"principalArn": ROLE}
    assert listed(ecr) == [ROLE]


@pytest.mark.documented
def test_deregister_answers_the_arn(ecr):
    ecr.register_pull_time_update_exclusion(principalArn=ROLE)
    answer = ecr.deregister_pull_time_update_exclusion(principalArn=ROLE)
    answer.pop("ResponseMetadata")

    assert answer == {"principalArn": ROLE}
    assert listed(ecr) == []


def test_the_list_is_one_of_texts_and_present_when_empty(sim, ecr):
    assert post(sim, "ListPullTimeUpdateExclusions").json() == {"pullTimeUpdateExclusions": []}
    ecr.register_pull_time_update_exclusion(principalArn=ROLE)
    assert post(sim, "ListPullTimeUpdateExclusions").json() == {"pullTimeUpdateExclusions": [ROLE]}


def test_one_that_is_there(ecr):
    ecr.register_pull_time_update_exclusion(principalArn=ROLE)
    assert refusal(ecr.register_pull_time_update_exclusion, principalArn=ROLE) == inferred(
        "ExclusionAlreadyExistsException",
        f"The pull time update exclusion for principal '{ROLE}' already exists in the registry with id '{ACCOUNT}'",
    )


def test_one_that_is_not(ecr):
    assert refusal(ecr.deregister_pull_time_update_exclusion, principalArn=ROLE) == inferred(
        "ExclusionNotFoundException",
        f"The pull time update exclusion for principal '{ROLE}' does not exist in the registry with id '{ACCOUNT}'",
    )


def test_the_quota(ecr, configure):
    configure(quota_pull_time_exclusions=2)
    for number in range(2):
        ecr.register_pull_time_update_exclusion(principalArn=role(number))
    assert refusal(ecr.register_pull_time_update_exclusion, principalArn=role(2)) == inferred(
        "LimitExceededException",
        f"The maximum number of pull time update exclusions in the registry with id '{ACCOUNT}' has been reached",
    )
    # One that is there is said to be there.
    assert refusal(ecr.register_pull_time_update_exclusion, principalArn=role(1)).code == (
        "ExclusionAlreadyExistsException"
    )
    ecr.deregister_pull_time_update_exclusion(principalArn=role(0))
    ecr.register_pull_time_update_exclusion(principalArn=role(2))


@pytest.mark.documented
def test_a_hundred_fit_on_one_page(ecr):
    for number in range(100):
        ecr.register_pull_time_update_exclusion(principalArn=role(number))
    answer = ecr.list_pull_time_update_exclusions()

    assert answer["pullTimeUpdateExclusions"] == [role(number) for number in range(100)]
    assert "nextToken" not in answer
    assert refusal(ecr.register_pull_time_update_exclusion, principalArn=role(100)).code == "LimitExceededException"


@pytest.mark.parametrize("size", [1, 2, 4, 5, 1000])
def test_pages(ecr, size):
    for number in (3, 1, 4, 0, 2):
        ecr.register_pull_time_update_exclusion(principalArn=role(number))
    found, options = [], {}
    while True:
        answer = ecr.list_pull_time_update_exclusions(maxResults=size, **options)
        found += answer["pullTimeUpdateExclusions"]
        if "nextToken" not in answer:
            break
        assert len(answer["pullTimeUpdateExclusions"]) == size
        options = {"nextToken": answer["nextToken"]}

    # Inferred: by ARN.
    assert found == [role(number) for number in range(5)]


def test_a_token_that_does_not_belong(ecr):
    for name in ("aa", "bb"):
        create(ecr, name)
    for token in ("x", ecr.describe_repositories(maxResults=1)["nextToken"]):
        assert refusal(ecr.list_pull_time_update_exclusions, nextToken=token) == bad_token()


@pytest.mark.parametrize(("value", "bound"), [(0, "greater than or equal to 1"), (1001, "less than or equal to 1000")])
def test_bounds_of_a_page(sim, value, bound):
    answer = post(sim, "ListPullTimeUpdateExclusions", {"maxResults": value})
    assert refusal_of(answer) == recorded(
        "InvalidParameterException", constraint("maxResults", f"Member must have value {bound}")
    )


@pytest.mark.parametrize("operation", ["register_pull_time_update_exclusion", "deregister_pull_time_update_exclusion"])
@pytest.mark.parametrize(
    "arn",
    [
        "",
        "x",
        f"arn:aws:iam::{ACCOUNT}:root",
        f"arn:aws:iam::{ACCOUNT}:group/x",
        f"arn:aws:iam::{ACCOUNT}:role/",
        f"arn:aws:iam::{ACCOUNT}:role/a//b",
        f"arn:aws:iam::{ACCOUNT[1:]}:role/x",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/x/y",
        ROLE + "\n",
        ROLE + "ü",
    ],
)
def test_what_is_no_user_and_no_role(ecr, operation, arn):
    assert refusal(getattr(ecr, operation), principalArn=arn) == inferred(
        "InvalidParameterException",
        constraint("principalArn", f"Member must satisfy regular expression pattern: {PATTERN}"),
    )


@pytest.mark.documented
@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACCOUNT}:user/x",
        "arn:aws-us-gov:iam::111111111111:role/a/b/c",
        ROLE + "+=,.@-_",
        ROLE.ljust(200, "y"),
    ],
)
def test_users_and_roles_of_any_account(ecr, arn):
    ecr.register_pull_time_update_exclusion(principalArn=arn)
    assert listed(ecr) == [arn]


def test_an_arn_has_200_letters_at_most(ecr):
    assert refusal(ecr.register_pull_time_update_exclusion, principalArn=ROLE.ljust(201, "y")) == inferred(
        "InvalidParameterException", constraint("principalArn", "Member must have length less than or equal to 200")
    )
