"""The life of a signature: copied, archived, expired and deleted as the referrer that it is, and told as an event."""

import json

import pytest

from ecrsim.testing import build_image
from tests.ecr.replication.conftest import configure_rules
from tests.ecr.replication.test_rules import EU
from tests.ecr.replication.test_rules import rule as copies
from tests.ecr.signing.conftest import NOTARY, configure, referrers, rule, statuses
from tests.pushing import create, push

COUNT = {"countType": "imageCountMoreThan", "countNumber": 1}
EXPIRE_ALL = json.dumps(
    {
        "rules": [
            {
                "rulePriority": 1,
                "selection": {"tagStatus": "tagged", "tagPatternList": ["*"], **COUNT},
                "action": {"type": "expire"},
            }
        ]
    }
)
SECOND = build_image(b"another layer")


@pytest.fixture
def image(signed):
    image = build_image()
    push(signed.ecr, "app", image, "v1")
    signed.wait()
    return image


class TestReplication:
    @pytest.mark.inferred
    def test_a_signature_is_copied_as_any_image_and_the_copy_is_not_signed_again(self, signed, client):
        configure_rules(signed.ecr, copies(EU))
        abroad = client(region=EU.region)
        configure(abroad, rule(region=EU.region))
        image = build_image()
        push(signed.ecr, "app", image, "v1")
        signed.wait(10)
        here, there = referrers(signed.ecr, image.digest), referrers(abroad, image.digest)
        assert [each["digest"] for each in there] == [each["digest"] for each in here]
        assert len(there) == 1
        assert statuses(abroad) == {}

    @pytest.mark.inferred
    def test_what_comes_from_elsewhere_is_signed_by_no_rule(self, signed, client):
        signed.ecr.delete_signing_configuration()
        configure_rules(signed.ecr, copies(EU))
        abroad = client(region=EU.region)
        configure(abroad, rule(region=EU.region))
        push(signed.ecr, "app", build_image(), "v1")
        signed.wait(10)
        assert statuses(abroad) == {}
        assert referrers(abroad, build_image().digest) == []


class TestLifecycle:
    def test_a_signature_goes_with_its_image_and_with_no_other(self, signed, image):
        signed.sim.advance(seconds=1)
        push(signed.ecr, "app", SECOND, "v2")
        signed.wait()
        signed.ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=EXPIRE_ALL)
        signed.sim.advance(days=3)
        left = signed.ecr.describe_images(repositoryName="app")["imageDetails"]
        (kept,) = referrers(signed.ecr, SECOND.digest)
        assert {each["imageDigest"] for each in left} == {SECOND.digest, kept["digest"]}


class TestArchive:
    def test_a_signature_of_an_archived_image_stays_with_it(self, signed, image):
        change = {"repositoryName": "app", "imageId": {"imageDigest": image.digest}}
        signed.ecr.update_image_storage_class(**change, targetStorageClass="ARCHIVE")
        assert statuses(signed.ecr, imageDigest=image.digest) == {"prod": "COMPLETE"}
        signed.ecr.update_image_storage_class(**change, targetStorageClass="STANDARD")
        signed.wait(600)
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}
        assert len(referrers(signed.ecr, image.digest)) == 1

    def test_a_signature_itself_can_be_archived(self, signed, image):
        (found,) = referrers(signed.ecr, image.digest)
        change = {"repositoryName": "app", "imageId": {"imageDigest": found["digest"]}}
        signed.ecr.update_image_storage_class(**change, targetStorageClass="ARCHIVE")
        assert referrers(signed.ecr, image.digest) == []
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}


class TestDeletion:
    def test_a_status_goes_with_its_image(self, signed, image):
        signed.ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": image.digest}])
        push(signed.ecr, "app", image, "v1")
        assert statuses(signed.ecr) == {"prod": "IN_PROGRESS"}

    def test_a_signature_that_is_deleted_is_not_made_again(self, signed, image):
        (found,) = referrers(signed.ecr, image.digest)
        signed.ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": found["digest"]}])
        signed.wait(60)
        assert referrers(signed.ecr, image.digest) == []
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}


@pytest.mark.inferred
def test_a_signature_is_told_as_the_push_of_a_referrer(signed, image):
    (signature,) = referrers(signed.ecr, image.digest)
    told = [each["detail"] for each in signed.sim.events() if each["detail-type"] == "ECR Referrer Action"]
    (event,) = [each for each in told if each["image-digest"] == signature["digest"]]
    assert (event["action-type"], event["artifact-media-type"]) == ("PUSH", NOTARY)


def test_the_configuration_is_on_the_trail(signed):
    signed.ecr.delete_signing_configuration()
    names = [
        each["detail"]["eventName"]
        for each in signed.sim.events()
        if each["detail-type"] == "AWS API Call via CloudTrail"
    ]
    assert [name for name in names if "Signing" in name] == ["PutSigningConfiguration", "DeleteSigningConfiguration"]


def test_collecting_garbage_leaves_the_layers_of_signatures(signed, image):
    from ecrsim.ecr.images.garbage import collect

    signed.sim.advance(days=10)
    collect(signed.sim.runtime)
    assert [each["holds"] for each in signed.in_words("app:v1")] == [True]


def test_each_repository_has_signatures_of_its_own(signed, image):
    create(signed.ecr, "other")
    push(signed.ecr, "other", image, "v1")
    signed.wait()
    (here,), (there,) = referrers(signed.ecr, image.digest), referrers(signed.ecr, image.digest, "other")
    assert here["digest"] != there["digest"]
