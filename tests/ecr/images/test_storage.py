"""UpdateImageStorageClass, and what an archived image is to everything else."""

from datetime import timedelta

import pytest

from ecrsim.core import outbox
from ecrsim.ecr.images.garbage import collect
from ecrsim.testing import build_image, call_application
from tests.answers import (
    ACCOUNT,
    constraint,
    inferred,
    recorded,
    refusal,
    repository_not_found,
)
from tests.ecr.images.archiving import NOW, ONE, TWO
from tests.pushing import NOWHERE, artifact_of, create, described, digest_of, index_of, listed, numbered, push, put


@pytest.fixture
def update(ecr):
    """UpdateImageStorageClass of `app`; the answer without its envelope."""

    def ask(target, **image_id):
        answer = ecr.update_image_storage_class(repositoryName="app", imageId=image_id, targetStorageClass=target)
        answer.pop("ResponseMetadata")
        return answer

    return ask


@pytest.fixture
def refused(ecr):
    def ask(target, repository="app", **image_id):
        return refusal(
            ecr.update_image_storage_class, repositoryName=repository, imageId=image_id, targetStorageClass=target
        )

    return ask


@pytest.fixture
def happened(sim):
    """(type, facts) of the events of these types, in order."""

    def find(*types):
        with sim.runtime.database.read() as connection:
            return [(each.type, each.facts) for each in outbox.page(connection, 0, 1000) if each.type in types]

    return find


def not_supported(status, target, digest="null", tag="null"):
    return inferred(
        "ImageStorageClassUpdateNotSupportedException",
        f"The storage class of the image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} in the repository "
        f"with name 'app' in the registry with id '{ACCOUNT}' cannot be updated from {status} to {target}",
    )


@pytest.mark.recorded
@pytest.mark.parametrize(
    "image_id",
    [
        pytest.param({"imageTag": "v1"}, id="tag"),
        pytest.param({"imageDigest": ONE.digest}, id="digest"),
        pytest.param({"imageDigest": ONE.digest, "imageTag": "latest"}, id="both"),
    ],
)
def test_the_answer_names_the_image_as_the_caller_did(repository, update, image_id):
    place = {"registryId": ACCOUNT, "repositoryName": "app", "imageId": image_id}
    assert update("ARCHIVE", **image_id) == {**place, "imageStatus": "ARCHIVED"}
    assert update("STANDARD", **image_id) == {**place, "imageStatus": "ACTIVATING"}


@pytest.mark.recorded
def test_archiving_is_done_when_it_is_answered(sim, ecr, repository, update):
    before = described(ecr, "app", imageTag="v1")
    assert before["imageStatus"] == "ACTIVE"
    assert "lastArchivedAt" not in before

    sim.advance(days=3)
    update("ARCHIVE", imageTag="v1")
    expected = {**before, "imageStatus": "ARCHIVED", "lastArchivedAt": NOW + timedelta(days=3)}
    assert described(ecr, "app", imageTag="v1") == expected
    assert described(ecr, "app", imageTag="v2")["imageStatus"] == "ACTIVE"


@pytest.mark.inferred
def test_archiving_by_one_tag_archives_the_image_with_all_its_tags(ecr, repository, update):
    update("ARCHIVE", imageTag="latest")
    assert described(ecr, "app", imageTag="v1")["imageStatus"] == "ARCHIVED"
    assert described(ecr, "app", imageTag="v1")["imageTags"] == ["v1", "latest"]
    assert listed(ecr, "app") == [(TWO.digest, "v2")]


def test_an_untagged_image_is_archived_by_its_digest(ecr, repository, update):
    push(ecr, "app", numbered(1))
    update("ARCHIVE", imageDigest=numbered(1).digest)
    assert listed(ecr, "app", filter={"imageStatus": "ARCHIVED"}) == [(numbered(1).digest, None)]


class TestRefusals:
    """Each state, and each thing that may not be asked for in it."""

    def test_standard_of_an_active_image(self, repository, refused):
        assert refused("STANDARD", imageTag="v1") == not_supported("ACTIVE", "STANDARD", tag="v1")

    @pytest.mark.recorded
    def test_archiving_twice(self, repository, update, refused):
        update("ARCHIVE", imageTag="v1")
        assert refused("ARCHIVE", imageDigest=ONE.digest) == not_supported("ARCHIVED", "ARCHIVE", digest=ONE.digest)

    @pytest.mark.parametrize("target", ["ARCHIVE", "STANDARD"])
    def test_whatever_is_asked_while_it_is_being_restored(self, ecr, repository, update, refused, target):
        update("ARCHIVE", imageTag="v1")
        update("STANDARD", imageTag="v1")
        both = {"imageDigest": ONE.digest, "imageTag": "v1"}
        assert refused(target, **both) == not_supported("ACTIVATING", target, ONE.digest, "v1")
        assert described(ecr, "app", imageTag="v1")["imageStatus"] == "ACTIVATING"

    @pytest.mark.parametrize(
        ("image_id", "digest", "tag"),
        [
            pytest.param({"imageTag": "v9"}, "null", "v9", id="tag"),
            pytest.param({"imageDigest": NOWHERE}, NOWHERE, "null", id="digest"),
            pytest.param({"imageDigest": TWO.digest, "imageTag": "v1"}, TWO.digest, "v1", id="of two images"),
        ],
    )
    def test_an_image_that_is_not_there(self, repository, refused, image_id, digest, tag):
        assert refused("ARCHIVE", **image_id) == recorded(
            "ImageNotFoundException",
            f"The image with imageId {{imageDigest:'{digest}', imageTag:'{tag}'}} does not exist within the repository "
            f"with name 'app' in the registry with id '{ACCOUNT}'",
        )

    @pytest.mark.parametrize(
        ("image_id", "sentence"),
        [
            ({}, constraint("imageId", "both tag and digest cannot be null")),
            (
                {"imageDigest": "x"},
                constraint("imageDigest", "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"),
            ),
            ({"imageTag": "a/b"}, constraint("imageTag", "must satisfy regular expression '[a-zA-Z0-9-_.]+'")),
        ],
    )
    def test_an_id_that_is_none(self, repository, refused, image_id, sentence):
        assert refused("ARCHIVE", **image_id) == inferred("InvalidParameterException", sentence)

    def test_a_storage_class_that_is_none(self, repository, refused):
        answer = refused("GLACIER", imageTag="v1")
        assert answer.code == "InvalidParameterException"
        assert "Member must satisfy enum value set: [" in answer.message

    def test_a_repository_that_is_not_there(self, sim, refused):
        assert refused("ARCHIVE", repository="missing", imageTag="v1") == repository_not_found("missing")


class TestIndexes:
    @pytest.fixture
    def index(self, ecr, repository):
        index = index_of(ONE, TWO)
        put(ecr, "app", index, "multi")
        return index

    def test_what_an_index_lists_is_not_archived_before_it(self, ecr, repository, index, update, refused):
        other = index_of(ONE, annotations={"a": "b"})
        put(ecr, "app", other)
        assert refused("ARCHIVE", imageTag="v1") == inferred(
            "ImageStorageClassUpdateNotSupportedException",
            f"Requested image referenced by manifest list: [{index.digest}, {other.digest}]",
        )
        update("ARCHIVE", imageTag="multi")
        assert refused("ARCHIVE", imageTag="v1").message.endswith(f": [{other.digest}]")
        update("ARCHIVE", imageDigest=other.digest)
        update("ARCHIVE", imageTag="v1")
        assert described(ecr, "app", imageTag="v1")["imageStatus"] == "ARCHIVED"

    @pytest.mark.inferred
    def test_the_images_of_an_archived_index_stay_active(self, ecr, index, update):
        update("ARCHIVE", imageTag="multi")
        assert listed(ecr, "app") == [(ONE.digest, "v1"), (ONE.digest, "latest"), (TWO.digest, "v2")]

    @pytest.mark.inferred
    def test_one_that_is_being_restored_holds_them(self, index, update, refused):
        update("ARCHIVE", imageTag="multi")
        update("STANDARD", imageTag="multi")
        assert refused("ARCHIVE", imageTag="v1").code == "ImageStorageClassUpdateNotSupportedException"

    @pytest.mark.inferred
    def test_its_members_are_restored_whether_it_is_or_not(self, index, update):
        update("ARCHIVE", imageTag="multi")
        update("ARCHIVE", imageTag="v1")
        assert update("STANDARD", imageTag="v1")["imageStatus"] == "ACTIVATING"

    @pytest.mark.documented
    def test_its_size_stays_that_of_its_greatest_image(self, ecr, index, update):
        before = described(ecr, "app", imageTag="multi")["imageSizeInBytes"]
        update("ARCHIVE", imageTag="multi")
        update("ARCHIVE", imageTag="v1")
        update("ARCHIVE", imageTag="v2")
        assert described(ecr, "app", imageTag="multi")["imageSizeInBytes"] == before


def test_a_referrer_is_archived_by_itself(ecr, repository, update):
    artifact = artifact_of(ONE)
    push(ecr, "app", artifact)
    update("ARCHIVE", imageDigest=artifact.digest)
    assert described(ecr, "app", imageTag="v1")["imageStatus"] == "ACTIVE"
    found = ecr.list_image_referrers(**repository, subjectId={"imageDigest": ONE.digest})
    assert found["referrers"] == []


def test_the_referrers_of_an_archived_subject_are_listed_still(ecr, repository, update):
    artifact = artifact_of(ONE)
    push(ecr, "app", artifact)
    update("ARCHIVE", imageTag="v1")
    found = ecr.list_image_referrers(**repository, subjectId={"imageDigest": ONE.digest})
    assert [each["digest"] for each in found["referrers"]] == [artifact.digest]


class TestEvents:
    def test_archiving_is_a_fact(self, ecr, repository, update, happened):
        artifact = artifact_of(ONE)
        push(ecr, "app", artifact)
        update("ARCHIVE", imageTag="v1")
        update("ARCHIVE", imageDigest=artifact.digest)
        kind = {"manifest_media_type": ONE.media_type}
        assert happened("ImageArchived", "ImageRestored") == [
            (
                "ImageArchived",
                {
                    **kind,
                    "image_digest": ONE.digest,
                    "artifact_media_type": "application/vnd.oci.image.config.v1+json",
                    "is_referrer": False,
                },
            ),
            (
                "ImageArchived",
                {
                    **kind,
                    "image_digest": artifact.digest,
                    "artifact_media_type": "application/vnd.example.sbom",
                    "is_referrer": True,
                },
            ),
        ]

    def test_what_is_refused_is_none(self, repository, refused, happened):
        refused("STANDARD", imageTag="v1")
        refused("ARCHIVE", imageTag="v9")
        assert happened("ImageArchived", "ImageRestored") == []

    def test_the_call_is_on_the_trail_with_what_it_asked_and_what_it_answered(self, repository, update, happened):
        answer = update("ARCHIVE", imageTag="v1")
        calls = [facts for _, facts in happened("ApiCalled") if facts["event_name"] == "UpdateImageStorageClass"]
        assert [(call["request"], call["response"], call["resources"]) for call in calls] == [
            (
                {"repositoryName": "app", "imageId": {"imageTag": "v1"}, "targetStorageClass": "ARCHIVE"},
                answer,
                [f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"],
            )
        ]


class TestLayers:
    @pytest.fixture
    def layer(self, sim, repository, update):
        update("ARCHIVE", imageTag="v1")
        collect(sim.runtime, 0)  # the bytes that earlier tests left
        return digest_of(b"one")

    def test_garbage_collection_leaves_them(self, sim, ecr, repository, layer, update):
        sim.advance(days=400)
        assert collect(sim.runtime, 0)[:2] == (0, 0)

        update("STANDARD", imageTag="v1")
        assert collect(sim.runtime, 0)[:2] == (0, 0)
        sim.advance(minutes=1)
        url = ecr.get_download_url_for_layer(**repository, layerDigest=layer)["downloadUrl"]
        assert call_application(sim.app, "GET", url).body == b"one"

    def test_they_are_garbage_when_the_image_is_deleted(self, sim, ecr, repository, layer):
        ecr.batch_delete_image(**repository, imageIds=[{"imageDigest": ONE.digest}])
        assert collect(sim.runtime, 3600)[:2] == (0, 0)
        sim.advance(hours=1)
        assert collect(sim.runtime, 3600)[:2] == (2, 2)

    @pytest.mark.inferred
    def test_another_image_may_be_put_on_them(self, ecr, repository, layer):
        other = build_image(b"one", config=b"first", annotations={"of": "another"})
        put(ecr, "app", other, "v3")
        assert described(ecr, "app", imageTag="v1")["imageStatus"] == "ARCHIVED"
        assert ecr.get_download_url_for_layer(**repository, layerDigest=layer)["layerDigest"] == layer

    def test_in_another_repository_they_are_as_they_were(self, ecr, layer):
        create(ecr, "other")
        push(ecr, "other", ONE, "v1")
        assert ecr.get_download_url_for_layer(repositoryName="other", layerDigest=layer)["layerDigest"] == layer


@pytest.mark.inferred
def test_a_repository_of_archived_images_is_not_empty(ecr, repository, update):
    update("ARCHIVE", imageTag="v1")
    update("ARCHIVE", imageTag="v2")
    assert refusal(ecr.delete_repository, **repository) == recorded(
        "RepositoryNotEmptyException",
        f"The repository with name 'app' in registry with id '{ACCOUNT}' cannot be deleted because it still contains "
        "images",
    )
    ecr.delete_repository(**repository, force=True)
    assert refusal(ecr.list_images, **repository) == repository_not_found("app")


@pytest.mark.inferred
def test_a_tag_moves_away_from_an_archived_image(ecr, repository, update):
    update("ARCHIVE", imageTag="v2")
    put(ecr, "app", ONE, "v2")
    assert described(ecr, "app", imageTag="v2")["imageDigest"] == ONE.digest
    assert listed(ecr, "app", filter={"imageStatus": "ARCHIVED"}) == [(TWO.digest, None)]
