"""lastRecordedPullTime: what counts as a pull, how often, and whose pulls do not count."""

from datetime import UTC, datetime, timedelta

import pytest

from ecrsim.core.runtime import Caller
from ecrsim.ecr.images.operations import batch_get_image
from ecrsim.ecr.images.pulls import is_same_principal
from ecrsim.testing import call_application
from tests.answers import ACCOUNT, REGION
from tests.pushing import create, described, numbered, push

ROLE = f"arn:aws:iam::{ACCOUNT}:role/build/Puller"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/Puller/somebody"
USER = f"arn:aws:iam::{ACCOUNT}:user/ci/anna"


@pytest.fixture
def image(ecr):
    create(ecr)
    push(ecr, "app", numbered(1), "v1")
    push(ecr, "app", numbered(2), "v2")
    return {"imageTag": "v1"}


@pytest.fixture
def pull(ecr, image):
    return lambda: ecr.batch_get_image(repositoryName="app", imageIds=[image])


@pytest.fixture
def pull_as(sim, image):
    """Pull as a principal that no access key stands for."""

    def pull(principal):
        with sim.runtime.call(Caller(ACCOUNT, REGION, principal)) as call:
            assert len(batch_get_image(call, "app", [image])["images"]) == 1

    return pull


@pytest.fixture
def last(ecr, image):
    return lambda tag="v1": described(ecr, "app", imageTag=tag).get("lastRecordedPullTime")


@pytest.mark.documented
def test_nothing_before_the_first_pull(last):
    assert last() is None


@pytest.mark.documented
def test_a_pull_through_the_api_shows_at_once_and_on_that_image_alone(pull, last):
    pull()
    assert abs(datetime.now(UTC) - last()) < timedelta(seconds=30)
    assert last("v2") is None


def test_a_pull_through_the_registry_counts(sim, ecr, image, last):
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    headers = {"Authorization": f"Basic {token}"}
    url = f"{sim.endpoint_url}/v2/app/manifests/v1"
    assert call_application(sim.app, "HEAD", url, headers).status == 200
    assert last() is None

    assert call_application(sim.app, "GET", url, headers).status == 200
    assert last() is not None


def test_looking_is_no_pull(ecr, image, last):
    ecr.describe_images(repositoryName="app")
    ecr.list_images(repositoryName="app")
    ecr.batch_get_image(repositoryName="app", imageIds=[image], acceptedMediaTypes=["application/x"])
    assert last() is None


@pytest.mark.inferred
def test_within_a_day_it_is_left_as_it_is(sim, pull, last):
    pull()
    first = last()
    sim.advance(hours=23, minutes=59)
    pull()
    assert last() == first

    sim.advance(minutes=1)
    pull()
    assert last() - first >= timedelta(days=1)


def test_a_setting_makes_it_move_each_time(sim, pull, last, configure):
    configure(record_every_pull=True)
    pull()
    first = last()
    sim.advance(seconds=5)
    pull()
    assert timedelta(seconds=5) <= last() - first < timedelta(minutes=1)


def test_a_pull_is_shown_in_a_list_as_well(ecr, pull):
    pull()
    found = ecr.describe_images(repositoryName="app")["imageDetails"]
    assert ["lastRecordedPullTime" in detail for detail in found] == [True, False]


def test_an_image_that_went_before_its_pull_was_written(ecr, image, pull):
    pull()
    ecr.batch_delete_image(repositoryName="app", imageIds=[image])
    assert len(ecr.describe_images(repositoryName="app")["imageDetails"]) == 1


@pytest.mark.documented
class TestExclusions:
    @pytest.mark.parametrize(("excluded", "principal"), [(ROLE, SESSION), (ROLE, ROLE), (USER, USER)])
    def test_pulls_of_an_excluded_principal_do_not_count(self, ecr, pull_as, last, excluded, principal):
        ecr.register_pull_time_update_exclusion(principalArn=excluded)
        pull_as(principal)
        assert last() is None

        ecr.deregister_pull_time_update_exclusion(principalArn=excluded)
        pull_as(principal)
        assert last() is not None

    def test_pulls_of_others_do(self, ecr, pull_as, last):
        ecr.register_pull_time_update_exclusion(principalArn=USER)
        pull_as(SESSION)
        assert last() is not None

    def test_an_exclusion_holds_in_its_own_account_and_region(self, client, pull_as, last):
        client(region="eu-west-1").register_pull_time_update_exclusion(principalArn=ROLE)
        client(account="111111111111").register_pull_time_update_exclusion(principalArn=ROLE)
        pull_as(SESSION)
        assert last() is not None


@pytest.mark.inferred
@pytest.mark.parametrize(
    ("arn", "principal", "expected"),
    [
        pytest.param(USER, USER, True, id="a user"),
        pytest.param(USER, USER + "2", False, id="another user"),
        pytest.param(ROLE, ROLE, True, id="a role"),
        pytest.param(ROLE, SESSION, True, id="a session of a role with a path"),
        pytest.param(ROLE.replace("build/", ""), SESSION, True, id="a session of a role without a path"),
        pytest.param(ROLE.replace("build/", "build/x/"), SESSION, True, id="a session of a role with a long path"),
        pytest.param(ROLE + "s", SESSION, False, id="a session of a role with a longer name"),
        pytest.param(ROLE.replace("build/", "build/My"), SESSION, False, id="a name that only ends alike"),
        pytest.param(ROLE.replace(ACCOUNT, "1" * 12), SESSION, False, id="a role of another account"),
        pytest.param(ROLE.replace("arn:aws:", "arn:aws-cn:"), SESSION, False, id="a role of another partition"),
        pytest.param(ROLE.replace(":role/", ":user/"), SESSION, False, id="a user of the role's name"),
        pytest.param(ROLE, SESSION.replace("/somebody", ""), False, id="no session"),
        pytest.param(ROLE, f"arn:aws:iam::{ACCOUNT}:root", False, id="root"),
    ],
)
def test_is_same_principal(arn, principal, expected):
    assert is_same_principal(arn, principal) is expected
