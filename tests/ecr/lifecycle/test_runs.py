"""The daily run, through boto3 with the clock turned."""

import pytest

from ecrsim.core import outbox
from ecrsim.core.clock_setting import turn
from ecrsim.core.durations import DAY, HOUR
from ecrsim.core.jobs import run_due
from ecrsim.ecr.images.garbage import collect
from ecrsim.ecr.lifecycle import jobs
from tests.answers import ACCOUNT
from tests.ecr.lifecycle.policies import policy, rule
from tests.pushing import artifact_of, create, index_of, listed, numbered, push, put


@pytest.fixture
def app(ecr, sim):
    sim.freeze("2026-01-01T00:00:00Z")
    return create(ecr, "app")


def set_policy(ecr, *rules):
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=policy(*rules))


def tags(ecr, **options):
    return [tag for _, tag in listed(ecr, "app", **options)]


def events(sim, kind):
    with sim.runtime.database.read() as connection:
        return [event for event in outbox.page(connection, 0, 1000) if event.type == kind]


@pytest.mark.documented
def test_nothing_happens_when_a_policy_is_put(ecr, sim, app):
    for number in range(3):
        push(ecr, app, numbered(number), f"v{number}")
    set_policy(ecr, rule(keep=1))
    sim.advance(hours=23, minutes=59)
    assert tags(ecr) == ["v0", "v1", "v2"]


def test_a_day_later_the_oldest_are_gone_from_both_planes(ecr, sim, app):
    digests = [push(ecr, app, numbered(number), f"v{number}") for number in range(3)]
    set_policy(ecr, rule(keep=1))
    sim.advance(days=1)

    assert tags(ecr) == ["v2"]
    failures = ecr.batch_get_image(repositoryName=app, imageIds=[{"imageTag": "v0"}, {"imageDigest": digests[1]}])
    assert [failure["failureCode"] for failure in failures["failures"]] == ["ImageNotFound", "ImageNotFound"]


def test_what_is_left_of_a_run_goes_with_its_policy(ecr, sim, app, monkeypatch):
    """A run was interrupted after it had planned. The policy that is put then is another one of the same version."""

    def interrupt(*_):
        raise OSError("interrupted")

    for number in range(3):
        push(ecr, app, numbered(number), f"v{number}")
    set_policy(ecr, rule(keep=1))
    with monkeypatch.context() as patch:
        patch.setattr("ecrsim.ecr.lifecycle.jobs._carry_out", interrupt)
        assert sim.advance(days=1)[0].error == "OSError: interrupted"
    ecr.delete_lifecycle_policy(repositoryName="app")
    set_policy(ecr, rule(keep=2))
    sim.advance(days=1)
    assert tags(ecr) == ["v1", "v2"]


def test_days_advanced_together_are_runs_at_as_many_instants(ecr, sim, app):
    push(ecr, app, numbered(0), "v0")
    set_policy(ecr, rule(days=10))
    ran = sim.advance(days=14)

    begin = ran[0].at
    assert [run.at for run in ran] == [begin + DAY * day for day in range(14)]
    assert {(run.job.kind, run.error) for run in ran} == {("evaluate-lifecycle-policy", None)}
    # Ten days exactly are not more than ten days: it goes with the eleventh run.
    (deleted,) = events(sim, "ImageDeleted")
    assert deleted.at == begin + DAY * 10
    # When it ran, and not when it is asked for.
    sim.advance(hours=5)
    evaluated = ecr.get_lifecycle_policy(repositoryName=app)["lastEvaluatedAt"]
    assert evaluated.timestamp() * 1000 == ran[-1].at


def test_a_policy_that_is_replaced_keeps_its_hour(ecr, sim, app):
    set_policy(ecr, rule(keep=1))
    sim.advance(hours=20)
    set_policy(ecr, rule(keep=2))
    assert len(sim.advance(hours=4)) == 1


def test_a_policy_that_was_deleted_does_nothing_more(ecr, sim, app):
    push(ecr, app, numbered(0), "v0")
    set_policy(ecr, rule(days=1))
    ecr.delete_lifecycle_policy(repositoryName=app)
    assert sim.advance(days=30) == []
    assert tags(ecr) == ["v0"]


def test_the_policy_of_a_repository_that_is_gone_runs_no_more(ecr, sim, app):
    set_policy(ecr, rule(days=1))
    ecr.delete_repository(repositoryName=app)
    create(ecr, app)
    push(ecr, app, numbered(0), "v0")
    sim.advance(days=30)
    assert tags(ecr) == ["v0"]


@pytest.mark.documented
def test_an_index_goes_before_what_it_lists(ecr, sim, app):
    children = [numbered(number) for number in range(2)]
    for child in children:
        push(ecr, app, child)
    index = index_of(*children)
    put(ecr, app, index, "multi")
    sim.advance(hours=1)
    push(ecr, app, numbered(9), "newest")
    set_policy(ecr, rule(keep=1))

    sim.advance(days=1)
    assert [digest for digest, _ in listed(ecr, app)] == [*(child.digest for child in children), numbered(9).digest]
    sim.advance(days=1)
    assert tags(ecr) == ["newest"]


@pytest.mark.documented
def test_referrers_follow_their_subject_a_run_later(ecr, sim, app):
    image = numbered(1)
    push(ecr, app, image, "v1")
    referrer = push(ecr, app, artifact_of(image))
    set_policy(ecr, rule(days=1, prefixes=["v"]))
    sim.advance(days=2)
    assert [digest for digest, _ in listed(ecr, app)] == [referrer]
    sim.advance(days=1)
    assert listed(ecr, app) == []


@pytest.mark.documented
def test_a_transition_archives_and_the_archive_expires(ecr, sim, app):
    push(ecr, app, numbered(0), "v0")
    set_policy(
        ecr,
        rule(1, days=30, since="sinceImagePulled", archive=True),
        rule(2, days=90, since="sinceImageTransitioned"),
    )
    sim.advance(days=31)
    assert tags(ecr) == []
    assert tags(ecr, filter={"imageStatus": "ARCHIVED"}) == ["v0"]
    (archived,) = events(sim, "ImageArchived")
    sim.advance(days=90)
    assert tags(ecr, filter={"imageStatus": "ANY"}) == ["v0"]
    sim.advance(days=1)
    assert tags(ecr, filter={"imageStatus": "ANY"}) == []
    (deleted,) = events(sim, "ImageDeleted")
    assert deleted.at - archived.at == 91 * DAY


@pytest.mark.documented
def test_pulls_put_off_what_counts_from_the_last_pull(ecr, sim, app):
    push(ecr, app, numbered(0), "pulled")
    push(ecr, app, numbered(1), "forgotten")
    set_policy(ecr, rule(days=30, since="sinceImagePulled", archive=True))
    sim.advance(days=20)
    ecr.batch_get_image(repositoryName=app, imageIds=[{"imageTag": "pulled"}])
    sim.advance(days=20)
    assert tags(ecr) == ["pulled"]
    sim.advance(days=11)
    assert tags(ecr) == []


@pytest.mark.documented
def test_what_a_run_did_is_on_record_in_events_of_fewer_than_ten_images(ecr, sim, app):
    digests = [push(ecr, app, numbered(number), f"v{number}") for number in range(21)]
    set_policy(ecr, rule(7, keep=1, description="one is enough"))
    sim.advance(days=1)

    executed = events(sim, "LifecyclePolicyExecuted")
    assert [len(event.facts["image_actions"]) for event in executed] == [9, 9, 2]
    actions = [action for event in executed for action in event.facts["image_actions"]]
    assert [action["image"]["digest"] for action in actions] == digests[:20]
    assert {action["rule_priority"] for action in actions} == {7}
    assert {event.facts["policy"]["last_evaluated_at"] for event in executed} == {0}
    assert executed[0].facts["policy"]["rules"][0]["description"] == "one is enough"
    deleted = events(sim, "ImageDeleted")
    assert [(event.facts["image_digest"], event.facts["image_tag"]) for event in deleted] == [
        (digest, f"v{number}") for number, digest in enumerate(digests[:20])
    ]
    assert {event.registry_id for event in deleted} == {ACCOUNT}


def test_layers_of_what_went_become_garbage(ecr, sim, app, configure):
    collect(sim.runtime, 0)  # the bytes that earlier tests left
    push(ecr, app, numbered(0), "v0")
    set_policy(ecr, rule(days=1))
    sim.advance(days=2)
    assert collect(sim.runtime).layers == 0
    sim.advance(days=1)
    gone = collect(sim.runtime)
    assert (gone.layers, gone.blobs) == (2, 2)
    assert list(sim.runtime.blobs.blobs()) == []


def test_many_images_go_in_many_batches(ecr, sim, app):
    blobs = numbered(0)
    push(ecr, app, blobs, "v0")
    for number in range(1, 180):
        put(ecr, app, numbered(number), f"v{number}")
    set_policy(ecr, rule(keep=3))
    (ran,) = sim.advance(days=1)
    assert ran.error is None
    assert tags(ecr) == ["v177", "v178", "v179"]


def test_a_run_missed_for_days_is_made_up_for_once(ecr, sim, app, configure):
    push(ecr, app, numbered(0), "v0")
    set_policy(ecr, rule(days=1))
    configure(jobs="manual")
    begin = sim.runtime.clock.now()
    turn(sim.runtime.clock, sim.runtime.database, sim.runtime.clock.at(begin + 10 * DAY + HOUR))
    assert len(run_due(sim.runtime)) == 1
    assert tags(ecr) == []
    (ran,) = sim.advance(days=1)
    assert ran.at == begin + 11 * DAY


def test_a_run_that_fails_for_good_is_no_reason_not_to_try_the_next_day(ecr, sim, app, monkeypatch):
    def fail(images, policy, now):
        raise ArithmeticError("out of numbers")

    push(ecr, app, numbered(0), "v0")
    set_policy(ecr, rule(days=1))
    begin = sim.runtime.clock.now()
    monkeypatch.setattr(jobs, "plan", fail)
    ran = sim.advance(days=1, hours=2)
    assert [each.error for each in ran] == ["ArithmeticError: out of numbers"] * 5
    monkeypatch.undo()
    (again,) = sim.advance(days=1)
    assert (again.at, again.error) == (begin + 2 * DAY, None)
    sim.advance(days=1)
    assert tags(ecr) == []


def test_a_run_that_was_put_off_keeps_its_hour(ecr, sim, app, monkeypatch):
    calls = []

    def fail_once(images, policy, now):
        calls.append(now)
        if len(calls) == 1:
            raise ArithmeticError("out of numbers")
        return []

    set_policy(ecr, rule(days=1))
    begin = sim.runtime.clock.now()
    monkeypatch.setattr(jobs, "plan", fail_once)
    sim.advance(days=2)
    assert calls == [begin + DAY, begin + DAY + 10_000, begin + 2 * DAY]


def test_a_referrer_is_archived_after_its_subject_in_the_run_that_expires_that(ecr, sim, app):
    image = numbered(1)
    push(ecr, app, image, "v1")
    place = {"repositoryName": app, "imageId": {"imageTag": "v1"}}
    ecr.update_image_storage_class(**place, targetStorageClass="ARCHIVE")
    set_policy(ecr, rule(days=90, since="sinceImageTransitioned"))
    sim.advance(days=90, hours=1)
    referrer = push(ecr, app, artifact_of(image))
    sim.advance(days=1)
    assert listed(ecr, app, filter={"imageStatus": "ANY"}) == [(referrer, None)]
    assert listed(ecr, app, filter={"imageStatus": "ARCHIVED"}) == [(referrer, None)]
    sim.advance(days=1)
    assert listed(ecr, app, filter={"imageStatus": "ANY"}) == []
