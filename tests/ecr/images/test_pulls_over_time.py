"""lastRecordedPullTime while the clock is turned: both planes write one time, once in 24 hours, and know who pulls."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.answers import ACCOUNT
from tests.principals import client_of, client_of_session, document, know, registry, statement, token_of, user
from tests.pushing import create, described, numbered, push

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLANES = ("api", "registry")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/build/puller"
DEV = f"arn:aws:iam::{ACCOUNT}:user/dev"
POLICY = document(statement("ecr:*", "sts:AssumeRole"))
TRUST = document({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})


@pytest.fixture
def image(sim, ecr):
    sim.freeze("2026-01-02T03:04:05Z")
    create(ecr)
    push(ecr, "app", numbered(1), "v1")
    push(ecr, "app", numbered(2), "v2")


@pytest.fixture
def pull(sim, ecr, image):
    """Pull `v1` on a plane, with a client of the API whose token the registry takes."""

    def ask(plane, client=ecr, tag="v1"):
        if plane == "api":
            answer = client.batch_get_image(repositoryName="app", imageIds=[{"imageTag": tag}])
            return 404 if answer["failures"] else 200
        return registry(sim, token_of(client), "GET", f"/v2/app/manifests/{tag}").status

    return ask


@pytest.fixture
def last(ecr):
    """The time after NOW; None before the first pull."""

    def ask(tag="v1"):
        found = described(ecr, "app", imageTag=tag).get("lastRecordedPullTime")
        return None if found is None else found - NOW

    return ask


@pytest.fixture
def principals(sim):
    """A user, and a role with a path that anybody may assume."""
    know(
        sim,
        {
            "users": [user("dev", POLICY)],
            "roles": [{"name": "puller", "path": "/build/", "trust": TRUST, "policies": [POLICY]}],
        },
    )


@pytest.fixture
def puller(sim, principals):
    """A client with a fresh session of the role."""

    def assume(name="somebody"):
        sts = client_of(sim, "dev", "sts")
        return client_of_session(sim, sts.assume_role(RoleArn=ROLE, RoleSessionName=name))

    return assume


@pytest.mark.documented
@pytest.mark.parametrize("second", PLANES)
@pytest.mark.parametrize("first", PLANES)
class TestOnceInADay:
    def test_a_pull_within_24_hours_leaves_it_and_a_later_one_moves_it(self, sim, pull, last, first, second):
        assert pull(first) == 200
        assert last() == timedelta()
        sim.advance(hours=23, minutes=59, seconds=59, milliseconds=999)
        assert pull(second) == 200
        assert last() == timedelta()
        sim.advance(milliseconds=1)
        assert pull(second) == 200
        assert last() == timedelta(days=1)
        assert last("v2") is None

    def test_the_24_hours_begin_with_the_pull_that_was_recorded(self, sim, pull, last, first, second):
        recorded = []
        for hour in range(0, 72, 10):
            assert pull(first if hour % 20 else second) == 200
            recorded.append(last() // timedelta(hours=1))
            sim.advance(hours=10)
        assert recorded == [0, 0, 0, 30, 30, 30, 60, 60]


@pytest.mark.parametrize("plane", PLANES)
def test_with_the_setting_each_pull_moves_it(sim, pull, last, configure, plane):
    configure(record_every_pull=True)
    for second in range(3):
        assert pull(plane) == 200
        assert last() == timedelta(seconds=second)
        sim.advance(seconds=1)


@pytest.mark.parametrize("plane", PLANES)
def test_tags_of_one_image_share_its_time(sim, ecr, pull, last, plane):
    push(ecr, "app", numbered(1), "again")
    pull(plane, tag="again")
    assert last("v1") == last("again") == timedelta()


@pytest.mark.documented
@pytest.mark.parametrize("plane", PLANES)
class TestExclusions:
    def test_sessions_of_an_excluded_role_never_count(self, sim, ecr, pull, last, puller, plane):
        ecr.register_pull_time_update_exclusion(principalArn=ROLE)
        for name in ("somebody", "another"):
            assert pull(plane, puller(name)) == 200
            assert last() is None
            sim.advance(days=2)

        assert pull(plane, client_of(sim, "dev")) == 200
        assert last() == timedelta(days=4)
        sim.advance(days=2)
        assert pull(plane, puller()) == 200
        assert last() == timedelta(days=4)

    def test_a_role_that_is_excluded_no_more_counts_from_its_next_pull(self, sim, ecr, pull, last, puller, plane):
        ecr.register_pull_time_update_exclusion(principalArn=ROLE)
        pull(plane, puller())
        sim.advance(days=1)
        ecr.deregister_pull_time_update_exclusion(principalArn=ROLE)
        assert last() is None
        pull(plane, puller())
        assert last() == timedelta(days=1)

    def test_a_user_who_is_excluded_and_one_who_is_not(self, sim, ecr, pull, last, puller, plane):
        ecr.register_pull_time_update_exclusion(principalArn=DEV)
        pull(plane, client_of(sim, "dev"))
        assert last() is None
        pull(plane, puller())
        assert last() == timedelta()

    def test_a_role_of_the_same_beginning_is_another(self, ecr, pull, last, puller, plane):
        ecr.register_pull_time_update_exclusion(principalArn=ROLE + "s")
        ecr.register_pull_time_update_exclusion(principalArn=ROLE.removesuffix("er"))
        pull(plane, puller())
        assert last() == timedelta()


@pytest.mark.documented
@pytest.mark.parametrize("plane", PLANES)
def test_archiving_and_restoring_leave_it(sim, ecr, pull, last, plane):
    place = {"repositoryName": "app", "imageId": {"imageTag": "v1"}}
    pull(plane)
    sim.advance(days=2)
    ecr.update_image_storage_class(**place, targetStorageClass="ARCHIVE")
    assert pull(plane) == 404
    ecr.update_image_storage_class(**place, targetStorageClass="STANDARD")
    assert pull(plane) == 404
    sim.advance(minutes=1)
    assert last() == timedelta()
    assert pull(plane) == 200
    assert last() == timedelta(days=2, minutes=1)
