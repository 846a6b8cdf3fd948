"""What others do between the plan of a run and its batches: it leaves alone what has changed its place since."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.core import outbox
from ecrsim.ecr.lifecycle import jobs
from tests.ecr.lifecycle.policies import policy, rule
from tests.pushing import artifact_of, create, listed, numbered, push, push_layer, put


@pytest.fixture(scope="module")
def _simulator() -> Iterator[Ecrsim]:
    """Requests of this one run no jobs: they come from inside of one."""
    with Ecrsim(socket=False, jobs="manual") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def _clients() -> dict[tuple[str, str | None, str | None], Any]:
    return {}


@pytest.fixture
def app(ecr, sim):
    sim.freeze("2026-01-01T00:00:00Z")
    return create(ecr, "app")


@pytest.fixture
def after_plan(sim, monkeypatch) -> Callable[[Callable[[], Any]], None]:
    """Do something once, when there is a plan with something in it and nothing of it has been carried out."""

    def arrange(act: Callable[[], Any]) -> None:
        waiting = [act]
        carry_out = jobs._carry_out

        def wrapped(call: Any, job: Any) -> bool:
            with sim.runtime.database.read() as connection:
                is_planned = connection.exec_driver_sql("SELECT 1 FROM lifecycle_actions").first() is not None
            if waiting and is_planned:
                waiting.pop()()
            return carry_out(call, job)

        monkeypatch.setattr(jobs, "_carry_out", wrapped)

    return arrange


@pytest.fixture
def after_batch(monkeypatch) -> Callable[[Callable[[], Any]], None]:
    """Do something once, in the pause after the first batch."""

    def arrange(act: Callable[[], Any]) -> None:
        waiting = [act]
        carry_out = jobs._carry_out

        def wrapped(call: Any, job: Any) -> bool:
            is_done = carry_out(call, job)
            if waiting:
                waiting.pop()()
            return is_done

        monkeypatch.setattr(jobs, "_carry_out", wrapped)

    return arrange


def set_policy(ecr, *rules):
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=policy(*rules))


def tags(ecr, status="ACTIVE"):
    return [tag for _, tag in listed(ecr, "app", filter={"imageStatus": status})]


def events(sim, kind):
    with sim.runtime.database.read() as connection:
        return [event for event in outbox.page(connection, 0, 10_000) if event.type == kind]


def archive(ecr, tag):
    ecr.update_image_storage_class(repositoryName="app", imageId={"imageTag": tag}, targetStorageClass="ARCHIVE")


def fill(ecr, count):
    push(ecr, "app", numbered(0), "v0")
    for number in range(1, count):
        put(ecr, "app", numbered(number), f"v{number}")


def test_an_image_that_got_a_tag_is_untagged_no_more(ecr, sim, app, after_plan):
    push(ecr, app, numbered(0))
    set_policy(ecr, rule(days=1, tags="untagged"))
    after_plan(lambda: put(ecr, app, numbered(0), "kept"))
    sim.advance(days=2)
    assert tags(ecr) == ["kept"]


def test_an_image_that_was_archived_by_hand_is_no_image_of_the_standard_class(ecr, sim, app, after_plan):
    push(ecr, app, numbered(0), "v0")
    set_policy(ecr, rule(days=1))
    after_plan(lambda: archive(ecr, "v0"))
    sim.advance(days=2)
    assert tags(ecr, "ARCHIVED") == ["v0"]


def test_an_image_that_was_pushed_again_is_not_expired_from_the_archive(ecr, sim, app, after_plan):
    push(ecr, app, numbered(0), "v0")
    archive(ecr, "v0")
    set_policy(ecr, rule(days=90, since="sinceImageTransitioned"))
    after_plan(lambda: put(ecr, app, numbered(0), "v0"))
    sim.advance(days=92)
    assert tags(ecr) == ["v0"]


def test_a_run_tells_only_of_what_it_did_itself(ecr, sim, app, after_plan):
    push(ecr, app, numbered(0), "v0")
    set_policy(ecr, rule(days=1, archive=True))
    after_plan(lambda: archive(ecr, "v0"))
    sim.advance(days=2)
    assert len(events(sim, "ImageArchived")) == 1
    assert events(sim, "LifecyclePolicyExecuted") == []


def test_a_referrer_stays_when_its_subject_is_there_again(ecr, sim, app, after_plan):
    image = numbered(0)
    for data in image.blobs.values():
        push_layer(ecr, app, data)
    referrer = push(ecr, app, artifact_of(image))
    set_policy(ecr, rule(days=300))
    after_plan(lambda: put(ecr, app, image, "v0"))
    sim.advance(days=1)
    assert referrer in [digest for digest, _ in listed(ecr, app)]


def test_a_policy_that_was_deleted_and_put_anew_waits_for_its_own_hour(ecr, sim, app, after_batch):
    def replace() -> None:
        ecr.delete_lifecycle_policy(repositoryName=app)
        set_policy(ecr, rule(keep=1))

    fill(ecr, 120)
    set_policy(ecr, rule(keep=60))
    after_batch(replace)
    sim.advance(days=1)
    assert len(tags(ecr)) == 70
    sim.advance(days=1)
    assert tags(ecr) == ["v119"]


def test_a_policy_that_is_put_during_a_run_ends_it(ecr, sim, app, after_batch):
    fill(ecr, 120)
    set_policy(ecr, rule(keep=5))
    after_batch(lambda: set_policy(ecr, rule(keep=40)))
    (ran,) = sim.advance(days=1)
    assert ran.error is None
    assert len(tags(ecr)) == 70
    assert ecr.get_lifecycle_policy(repositoryName=app)["lastEvaluatedAt"].timestamp() == 0
    sim.advance(days=1)
    assert len(tags(ecr)) == 40


def test_a_repository_that_goes_during_a_run_is_not_mistaken_for_its_successor(ecr, sim, app, after_batch):
    def begin_anew() -> None:
        ecr.delete_repository(repositoryName=app, force=True)
        create(ecr, app)
        push(ecr, app, numbered(7), "new")

    fill(ecr, 120)
    set_policy(ecr, rule(keep=5))
    after_batch(begin_anew)
    (ran,) = sim.advance(days=1)
    assert ran.error is None
    assert tags(ecr) == ["new"]
    assert sim.advance(days=3) == []


def test_a_repository_that_goes_tells_of_each_image(ecr, sim, app):
    push(ecr, app, numbered(0), "a", "b")
    push(ecr, app, numbered(1))
    ecr.delete_repository(repositoryName=app, force=True)
    deleted = events(sim, "ImageDeleted")
    assert [event.facts["image_tag"] for event in deleted] == ["a", "b", None]


def test_a_clock_that_was_set_back_does_not_put_off_a_policy(ecr, sim, app):
    fill(ecr, 3)
    sim.advance(days=100)
    set_policy(ecr, rule(keep=1))
    sim.freeze("2026-01-01T00:00:00Z")
    set_policy(ecr, rule(keep=2))
    sim.advance(days=1)
    assert tags(ecr) == ["v1", "v2"]


def test_a_pull_after_the_clock_was_set_back_is_recorded(ecr, sim, app):
    push(ecr, app, numbered(0), "v0")
    sim.advance(days=10)
    image_id = {"imageTag": "v0"}
    ecr.batch_get_image(repositoryName=app, imageIds=[image_id])
    assert "lastRecordedPullTime" in ecr.describe_images(repositoryName=app)["imageDetails"][0]
    sim.freeze("2026-01-02T00:00:00Z")
    ecr.batch_get_image(repositoryName=app, imageIds=[image_id])
    (image,) = ecr.describe_images(repositoryName=app, imageIds=[image_id])["imageDetails"]
    assert image["lastRecordedPullTime"].timestamp() * 1000 == sim.runtime.clock.now()
