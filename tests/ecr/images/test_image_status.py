"""Images that are archived or being restored, in the operations that know of them."""

from types import SimpleNamespace

import pytest

from ecrsim.ecr.images import quotas
from ecrsim.testing import build_image
from tests.answers import refusal
from tests.pushing import artifact_of, create, described, entries, index_of, listed, numbered, push, put

ONE, TWO = build_image(b"one", config=b"first"), build_image(b"two", config=b"second")
HIDDEN = ["ARCHIVED", "ACTIVATING"]


@pytest.fixture
def repository(ecr):
    create(ecr)
    push(ecr, "app", ONE, "v1")
    push(ecr, "app", TWO, "v2")
    return {"repositoryName": "app"}


@pytest.fixture
def turn(ecr, configure):
    """Give an image another status, which stays for the whole test: a restore takes a month."""
    configure(restore_delay=30 * 24 * 3600)

    def change(image, status):
        place = {"repositoryName": "app", "imageId": {"imageDigest": image.digest}}
        found = ecr.update_image_storage_class(**place, targetStorageClass="ARCHIVE")
        if status == "ACTIVATING":
            found = ecr.update_image_storage_class(**place, targetStorageClass="STANDARD")
        assert found["imageStatus"] == status

    return change


@pytest.mark.documented
@pytest.mark.parametrize("status", HIDDEN)
class TestHidden:
    def test_lists_show_it_only_when_asked(self, ecr, repository, turn, status):
        turn(ONE, status)
        assert listed(ecr, "app") == [(TWO.digest, "v2")]
        assert listed(ecr, "app", filter={"imageStatus": status}) == [(ONE.digest, "v1")]
        assert listed(ecr, "app", filter={"imageStatus": "ANY"}) == [(ONE.digest, "v1"), (TWO.digest, "v2")]

        shown = ecr.describe_images(**repository)["imageDetails"]
        assert [detail["imageDigest"] for detail in shown] == [TWO.digest]
        shown = ecr.describe_images(**repository, filter={"imageStatus": status})["imageDetails"]
        assert [(detail["imageDigest"], detail["imageStatus"]) for detail in shown] == [(ONE.digest, status)]

    @pytest.mark.recorded
    def test_named_it_is_shown_whatever_its_status(self, ecr, repository, turn, status):
        turn(ONE, status)
        assert described(ecr, "app", imageTag="v1")["imageStatus"] == status
        # Inferred: a filter that is given holds.
        found = ecr.describe_images(**repository, imageIds=[{"imageTag": "v1"}], filter={"imageStatus": "ACTIVE"})
        assert found["imageDetails"] == []

    @pytest.mark.recorded
    def test_it_cannot_be_pulled(self, ecr, repository, turn, status):
        turn(ONE, status)
        answer = ecr.batch_get_image(**repository, imageIds=[{"imageTag": "v1"}, {"imageTag": "v2"}])

        assert [image["imageId"]["imageTag"] for image in answer["images"]] == ["v2"]
        assert answer["failures"] == [
            {
                "imageId": {"imageTag": "v1"},
                "failureCode": "ImageInaccessible",
                "failureReason": "The requested image is in an inaccessible state. Please restore if needed",
            }
        ]
        assert "lastRecordedPullTime" not in described(ecr, "app", imageTag="v1")

    @pytest.mark.inferred
    def test_its_layers_are_archived_unless_another_image_uses_them(self, ecr, repository, turn, status):
        turn(ONE, status)

        def availability():
            found = ecr.batch_check_layer_availability(**repository, layerDigests=list(ONE.blobs))["layers"]
            assert all(layer["layerSize"] and layer["mediaType"] for layer in found)
            return {layer["layerAvailability"] for layer in found}

        (layer, *_) = ONE.blobs
        assert availability() == {"ARCHIVED"}
        assert refusal(ecr.get_download_url_for_layer, **repository, layerDigest=layer).code == (
            "LayerInaccessibleException"
        )
        put(ecr, "app", build_image(b"one", config=b"first", annotations={"a": "b"}))
        assert availability() == {"AVAILABLE"}
        assert ecr.get_download_url_for_layer(**repository, layerDigest=layer)["layerDigest"] == layer

    @pytest.mark.documented
    @pytest.mark.parametrize("tag", ["v1", "new", None])
    def test_pushing_it_again_restores_it_at_once(self, sim, ecr, repository, turn, status, tag):
        turn(ONE, status)
        before = described(ecr, "app", imageTag="v1")["imagePushedAt"]
        sim.advance(days=1)
        assert put(ecr, "app", ONE, tag) == ONE.digest

        detail = described(ecr, "app", imageTag=tag or "v1")
        assert detail["imageStatus"] == "ACTIVE"
        assert (detail["imagePushedAt"], detail["imageTags"]) == (before, ["v1", "new"] if tag == "new" else ["v1"])
        # Inferred: it was activated at that moment.
        assert detail["lastActivatedAt"] > before
        assert listed(ecr, "app")[0] == (ONE.digest, "v1")
        assert refusal(put, ecr=ecr, repository="app", image=ONE).code == "ImageAlreadyExistsException"

    @pytest.mark.documented
    def test_it_may_be_deleted(self, ecr, repository, turn, status):
        turn(ONE, status)
        deleted = ecr.batch_delete_image(**repository, imageIds=[{"imageTag": "v1"}])
        assert (entries(deleted), deleted["failures"]) == ([(ONE.digest, "v1")], [])

    @pytest.mark.inferred
    def test_it_keeps_its_repository(self, ecr, repository, turn, status):
        ecr.batch_delete_image(**repository, imageIds=[{"imageTag": "v2"}])
        turn(ONE, status)
        assert refusal(ecr.delete_repository, **repository).code == "RepositoryNotEmptyException"
        ecr.delete_repository(**repository, force=True)

    @pytest.mark.inferred
    def test_an_index_may_list_it(self, ecr, repository, turn, status):
        turn(ONE, status)
        assert put(ecr, "app", index_of(ONE, TWO)) == index_of(ONE, TWO).digest

    def test_a_referrer_that_is_hidden(self, ecr, repository, turn, status):
        artifact = artifact_of(ONE)
        push(ecr, "app", artifact)
        turn(artifact, status)

        def referrers(**options):
            subject = {**repository, "subjectId": {"imageDigest": ONE.digest}}
            found = ecr.list_image_referrers(**subject, **options)["referrers"]
            return [(each["digest"], each["artifactStatus"]) for each in found]

        assert referrers() == []
        assert referrers(filter={"artifactStatus": status}) == [(artifact.digest, status)]
        assert referrers(filter={"artifactStatus": "ANY"}) == [(artifact.digest, status)]


@pytest.mark.documented
def test_archived_images_do_not_count_towards_the_quota(ecr, repository, turn, configure):
    configure(quota_images=2)
    assert refusal(push, ecr=ecr, repository="app", image=numbered(1)).code == "LimitExceededException"

    turn(ONE, "ARCHIVED")
    push(ecr, "app", numbered(1))


def test_images_are_not_counted_at_each_push(ecr, repository, sim, configure, monkeypatch):
    """Only where there may be too many by their numbers: 100,000 rows take longer than the push."""
    counted, count = [], quotas._COUNT_ALL
    one = SimpleNamespace(one=lambda connection, **ids: counted.append(ids) or count.one(connection, **ids))
    monkeypatch.setattr(quotas, "_COUNT_ALL", one)
    create(ecr, "other")
    with sim.runtime.database.read() as connection:
        newest = quotas._NEWEST.one(connection)
    configure(quota_images=newest + 4)
    for number in range(1, 4):
        push(ecr, "other", numbered(number))
    assert counted == []
    for number in range(4, 11):
        push(ecr, "app", numbered(number))
    # By their numbers there may be too many in `app`: it is counted, and then not for as many more as it has room for.
    assert len(counted) <= 2
    # What other repositories have got is no reason to refuse, and what came meanwhile is counted.
    before = len(ecr.list_images(repositoryName="app")["imageIds"])
    configure(quota_images=before + 1)
    push(ecr, "app", numbered(11))
    assert refusal(push, ecr=ecr, repository="app", image=numbered(12)).code == "LimitExceededException"
    push(ecr, "other", numbered(12))
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": numbered(11).digest}])
    push(ecr, "app", numbered(12))
