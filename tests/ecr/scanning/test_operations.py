"""The scanning configuration of a repository: stored and shown."""

import pytest

from tests.answers import ACCOUNT, refusal, repository_not_found
from tests.pushing import create


def shown(ecr, name="app"):
    (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    return repository["imageScanningConfiguration"]


@pytest.mark.documented
def test_the_answer_has_three_members(ecr):
    create(ecr)
    answer = ecr.put_image_scanning_configuration(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
    answer.pop("ResponseMetadata")

    assert answer == {
        "registryId": ACCOUNT,
        "repositoryName": "app",
        "imageScanningConfiguration": {"scanOnPush": True},
    }


def test_it_is_stored_and_put_back(ecr):
    create(ecr)
    create(ecr, "other")
    put = ecr.put_image_scanning_configuration
    put(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
    assert (shown(ecr), shown(ecr, "other")) == ({"scanOnPush": True}, {"scanOnPush": False})

    put(repositoryName="app", imageScanningConfiguration={"scanOnPush": False})
    assert shown(ecr) == {"scanOnPush": False}


@pytest.mark.documented
def test_without_the_flag_it_is_off(ecr):
    create(ecr, imageScanningConfiguration={"scanOnPush": True})
    answer = ecr.put_image_scanning_configuration(repositoryName="app", imageScanningConfiguration={})

    assert answer["imageScanningConfiguration"] == {"scanOnPush": False}
    assert shown(ecr) == {"scanOnPush": False}


def test_no_repository(ecr):
    found = refusal(ecr.put_image_scanning_configuration, repositoryName="app", imageScanningConfiguration={})
    assert found == repository_not_found("app")
