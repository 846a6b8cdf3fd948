"""Restoring an archived image: a job that takes its time, or a push that takes none."""

from datetime import timedelta

import pytest

from ecrsim import Ecrsim
from ecrsim.core import jobs, outbox
from tests.answers import refusal
from tests.ecr.images.archiving import NOW, ONE, TWO
from tests.pushing import create, described, index_of, listed, push, put

KIND = "complete-restore"


@pytest.fixture
def update(ecr):
    def ask(target, tag="v1", repository="app"):
        place = {"repositoryName": repository, "imageId": {"imageTag": tag}}
        return ecr.update_image_storage_class(**place, targetStorageClass=target)["imageStatus"]

    return ask


@pytest.fixture
def activating(repository, update):
    """`v1` is being restored, for 5 seconds from NOW."""
    assert (update("ARCHIVE"), update("STANDARD")) == ("ARCHIVED", "ACTIVATING")
    return repository


@pytest.fixture
def state(ecr):
    """(imageStatus, lastActivatedAt or None)."""

    def ask(tag="v1"):
        detail = described(ecr, "app", imageTag=tag)
        return detail["imageStatus"], detail.get("lastActivatedAt")

    return ask


@pytest.fixture
def waiting(sim):
    """When the pending restores end, in milliseconds after NOW."""

    def find():
        with sim.runtime.database.read() as connection:
            found = jobs.page(connection, 0, 1000, "PENDING")
        return [each.run_at - round(NOW.timestamp() * 1000) for each in found if each.kind == KIND]

    return find


@pytest.fixture
def restored(sim):
    """(at, image digest, last_activated_at) of the facts that an image was restored; times in seconds after NOW."""

    def find():
        start = round(NOW.timestamp() * 1000)
        with sim.runtime.database.read() as connection:
            found = [each for each in outbox.page(connection, 0, 1000) if each.type == "ImageRestored"]
        return [
            ((each.at - start) / 1000, each.facts["image_digest"], (each.facts["last_activated_at"] - start) / 1000)
            for each in found
        ]

    return find


def pull(ecr, tag="v1"):
    answer = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": tag}])
    return [image["imageId"]["imageDigest"] for image in answer["images"]]


class TestByTime:
    def test_it_is_active_when_the_delay_has_passed(self, sim, ecr, activating, state, restored):
        sim.advance(seconds=4, milliseconds=999)
        assert state() == ("ACTIVATING", None)
        assert (pull(ecr), restored()) == ([], [])

        (ran,) = sim.advance(milliseconds=1)
        assert (ran.job.kind, ran.error) == (KIND, None)
        assert state() == ("ACTIVE", NOW + timedelta(seconds=5))
        assert pull(ecr) == [ONE.digest]
        assert restored() == [(5, ONE.digest, 5)]
        assert listed(ecr, "app")[0] == (ONE.digest, "v1")

    def test_its_instant_is_its_own_however_far_the_clock_is_turned(self, sim, activating, state, restored):
        sim.advance(days=90)
        assert state() == ("ACTIVE", NOW + timedelta(seconds=5))
        assert restored() == [(5, ONE.digest, 5)]

    @pytest.mark.recorded
    def test_with_the_delays_of_aws(self, sim, repository, update, state, configure):
        configure(aws_delays=True)
        update("ARCHIVE")
        update("STANDARD")
        sim.advance(minutes=9, seconds=9)
        assert state()[0] == "ACTIVATING"
        sim.advance(seconds=1)
        assert state() == ("ACTIVE", NOW + timedelta(minutes=9, seconds=10))

    def test_without_a_delay_it_is_done_before_the_answer_leaves(self, repository, update, state, configure):
        configure(restore_delay=0)
        update("ARCHIVE")
        assert update("STANDARD") == "ACTIVATING"
        assert state() == ("ACTIVE", NOW)

    @pytest.mark.documented
    def test_it_keeps_the_times_of_its_push_and_of_its_archiving(self, sim, ecr, repository, update):
        sim.advance(days=1)
        update("ARCHIVE")
        sim.advance(days=1)
        update("STANDARD")
        sim.advance(days=1)
        detail = described(ecr, "app", imageTag="v1")
        assert detail["imagePushedAt"] == NOW
        assert detail["lastArchivedAt"] == NOW + timedelta(days=1)
        assert detail["lastActivatedAt"] == NOW + timedelta(days=2, seconds=5)
        assert detail["imageTags"] == ["v1", "latest"]

    def test_again_and_again(self, sim, repository, update, state, restored):
        for _ in range(3):
            update("ARCHIVE")
            update("STANDARD")
            sim.advance(seconds=5)
        assert state() == ("ACTIVE", NOW + timedelta(seconds=15))
        assert [at for at, *_ in restored()] == [5, 10, 15]

    def test_each_image_has_a_restore_of_its_own(self, sim, activating, update, state, waiting):
        sim.advance(seconds=2)
        update("ARCHIVE", "v2")
        update("STANDARD", "v2")
        assert waiting() == [5000, 7000]
        sim.advance(seconds=3)
        assert (state("v1")[0], state("v2")[0]) == ("ACTIVE", "ACTIVATING")
        sim.advance(seconds=2)
        assert state("v2")[0] == "ACTIVE"

    @pytest.mark.inferred
    def test_an_index_is_restored_without_its_images(self, sim, ecr, repository, update):
        put(ecr, "app", index_of(ONE), "multi")
        for tag in ("multi", "v1"):
            update("ARCHIVE", tag)
        update("STANDARD", "multi")
        sim.advance(minutes=1)
        assert pull(ecr, "multi") == [index_of(ONE).digest]
        assert pull(ecr, "v1") == []


@pytest.mark.documented
class TestByPush:
    @pytest.mark.parametrize("begun", [False, True], ids=["archived", "being restored"])
    @pytest.mark.parametrize("tag", ["v1", "new", None])
    def test_it_is_active_at_once_and_nothing_waits(
        self, sim, ecr, repository, update, state, waiting, restored, begun, tag
    ):
        update("ARCHIVE")
        if begun:
            update("STANDARD")
        sim.advance(seconds=2)
        put(ecr, "app", ONE, tag)
        assert state() == ("ACTIVE", NOW + timedelta(seconds=2))
        assert restored() == [(2, ONE.digest, 2)]
        assert waiting() == []
        assert pull(ecr) == [ONE.digest]

        sim.advance(days=1)
        assert state() == ("ACTIVE", NOW + timedelta(seconds=2))
        assert len(restored()) == 1

    def test_one_that_was_archived_again_waits_for_its_second_restore(
        self, sim, ecr, activating, update, state, waiting
    ):
        """The job of the first restore is gone: it would end the second too early."""
        sim.advance(seconds=1)
        put(ecr, "app", ONE, "v1")
        update("ARCHIVE")
        sim.advance(seconds=3)
        update("STANDARD")
        assert waiting() == [9000]
        sim.advance(seconds=2)
        assert state()[0] == "ACTIVATING"
        sim.advance(seconds=3)
        assert state() == ("ACTIVE", NOW + timedelta(seconds=9))

    def test_pushing_another_image_under_its_tag_restores_nothing(self, ecr, repository, update):
        update("ARCHIVE")
        put(ecr, "app", TWO, "v1")
        assert described(ecr, "app", imageDigest=ONE.digest)["imageStatus"] == "ARCHIVED"


class TestDeletedMeanwhile:
    """The job finds nothing to do, and is done."""

    def ran(self, sim):
        return [(each.job.kind, each.error) for each in sim.advance(minutes=1)]

    def test_the_image(self, sim, ecr, activating, restored):
        ecr.batch_delete_image(**activating, imageIds=[{"imageDigest": ONE.digest}])
        assert self.ran(sim) == [(KIND, None)]
        assert restored() == []

    def test_the_image_which_was_pushed_and_archived_anew(self, sim, ecr, activating, update, state):
        ecr.batch_delete_image(**activating, imageIds=[{"imageDigest": ONE.digest}])
        push(ecr, "app", ONE, "v1")
        update("ARCHIVE")
        assert self.ran(sim) == [(KIND, None)]
        assert state() == ("ARCHIVED", None)

    def test_the_repository(self, sim, ecr, activating, restored):
        ecr.delete_repository(**activating, force=True)
        assert self.ran(sim) == [(KIND, None)]
        assert restored() == []

    def test_the_repository_which_was_made_anew(self, sim, ecr, activating, update, state):
        ecr.delete_repository(**activating, force=True)
        create(ecr)
        push(ecr, "app", ONE, "v1")
        update("ARCHIVE")
        assert self.ran(sim) == [(KIND, None)]
        assert state() == ("ARCHIVED", None)

    def test_everything(self, sim, activating, waiting):
        sim.reset()
        assert waiting() == []

    def test_only_a_tag_is_no_matter(self, sim, ecr, activating, state):
        ecr.batch_delete_image(**activating, imageIds=[{"imageTag": "latest"}])
        self.ran(sim)
        assert state()[0] == "ACTIVE"


def test_a_restore_outlives_a_restart(tmp_path):
    settings = {"data_dir": str(tmp_path), "clock": "frozen@2026-01-02T03:04:05Z"}
    place = {"repositoryName": "app", "imageId": {"imageTag": "v1"}}
    with Ecrsim(socket=False, **settings) as sim:
        ecr = sim.client("ecr")
        create(ecr)
        push(ecr, "app", ONE, "v1")
        for target in ("ARCHIVE", "STANDARD"):
            ecr.update_image_storage_class(**place, targetStorageClass=target)
    with Ecrsim(socket=False, **settings) as sim:
        ecr = sim.client("ecr")
        assert described(ecr, "app", imageTag="v1")["imageStatus"] == "ACTIVATING"
        assert [each.job.kind for each in sim.advance(seconds=5)] == [KIND]
        assert described(ecr, "app", imageTag="v1")["imageStatus"] == "ACTIVE"


@pytest.mark.documented
def test_pulling_restores_nothing(sim, ecr, repository, update, state):
    update("ARCHIVE")
    assert pull(ecr) == []
    sim.advance(days=1)
    assert state()[0] == "ARCHIVED"
    assert "lastRecordedPullTime" not in described(ecr, "app", imageTag="v1")


def test_a_restored_image_is_archived_again_as_any(sim, ecr, activating, update):
    sim.advance(seconds=5)
    assert update("ARCHIVE") == "ARCHIVED"
    code = refusal(
        ecr.update_image_storage_class, **activating, imageId={"imageTag": "v1"}, targetStorageClass="ARCHIVE"
    ).code
    assert code == "ImageStorageClassUpdateNotSupportedException"
