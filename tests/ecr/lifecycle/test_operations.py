"""The lifecycle policy that is not there."""

import pytest

from tests.answers import ACCOUNT, recorded, refusal, repository_not_found
from tests.pushing import create


def test_no_repository_has_one(ecr):
    create(ecr, "team/app")
    assert refusal(ecr.get_lifecycle_policy, repositoryName="team/app") == recorded(
        "LifecyclePolicyNotFoundException",
        f"Lifecycle policy does not exist for the repository with name 'team/app' in the registry with id '{ACCOUNT}'",
    )


@pytest.mark.parametrize("name", ["a/b", "team__app"])
def test_the_policy_of_no_repository(ecr, name):
    assert refusal(ecr.get_lifecycle_policy, repositoryName=name) == repository_not_found(name)
