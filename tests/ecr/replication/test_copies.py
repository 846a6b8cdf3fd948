"""What is copied, when, and what is not: each row of the documentation is one here."""

import json

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, REGION, constraint, inferred, recorded, refusal, repository_not_found
from tests.ecr.lifecycle.policies import policy
from tests.ecr.lifecycle.policies import rule as lifecycle_rule
from tests.ecr.replication.conftest import EU, OTHER_ACCOUNT, configure_rules, permission, statuses
from tests.ecr.replication.test_rules import ASIA, OTHER, rule
from tests.ecr.replication.test_rules import EU as EU_REGISTRY
from tests.pushing import artifact_of, create, described, index_of, listed, numbered, push, put

IMAGE, SECOND = build_image(b"a layer"), build_image(b"another layer")
PULLERS = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage"}]}'
)
OTHER_EU = (OTHER_ACCOUNT, "eu-west-1")


def names(client):
    return [found["repositoryName"] for found in client.describe_repositories()["repositories"]]


def repository(client, name="app"):
    (found,) = client.describe_repositories(repositoryNames=[name])["repositories"]
    return found


def pull(client, name, **image_id):
    """The manifest, and the digests of all layers that can be had."""
    (image,) = client.batch_get_image(repositoryName=name, imageIds=[image_id])["images"]
    layers = [each["digest"] for each in json.loads(image["imageManifest"]).get("layers", [])]
    for digest in layers:
        client.get_download_url_for_layer(repositoryName=name, layerDigest=digest)
    return image["imageManifest"].encode()


@pytest.mark.documented
class TestWhatIsCopied:
    def test_a_push_with_layers_and_tags(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1", "v2")
        assert names(world.eu) == []
        world.arrive()

        assert listed(world.eu, "app") == [(IMAGE.digest, "v1"), (IMAGE.digest, "v2")]
        assert pull(world.eu, "app", imageTag="v2") == IMAGE.manifest

    def test_one_without_a_tag(self, world):
        create(world.home)
        push(world.home, "app", IMAGE)
        world.arrive()
        assert listed(world.eu, "app") == [(IMAGE.digest, None)]

    def test_the_name_stays(self, world):
        create(world.home, "team/app")
        push(world.home, "team/app", IMAGE, "v1")
        world.arrive()
        assert names(world.eu) == ["team/app"]

    def test_a_tag_that_is_set_later(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        put(world.home, "app", IMAGE, "v2")
        assert statuses(world.home, "app", imageTag="v1") == {EU: "IN_PROGRESS"}
        world.arrive()
        assert listed(world.eu, "app") == [(IMAGE.digest, "v1"), (IMAGE.digest, "v2")]

    def test_a_tag_that_moves(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        push(world.home, "app", SECOND, "v1")
        world.arrive()
        assert listed(world.eu, "app") == [(IMAGE.digest, None), (SECOND.digest, "v1")]

    def test_a_tag_that_moves_before_it_arrives(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        push(world.home, "app", SECOND, "v1")
        world.arrive()
        assert listed(world.eu, "app") == [(IMAGE.digest, None), (SECOND.digest, "v1")]

    def test_an_index_with_its_images(self, world):
        create(world.home)
        index = index_of(IMAGE, SECOND)
        push(world.home, "app", IMAGE)
        push(world.home, "app", SECOND)
        push(world.home, "app", index, "v1")
        world.arrive()
        assert sorted(listed(world.eu, "app")) == sorted(
            [(IMAGE.digest, None), (SECOND.digest, None), (index.digest, "v1")]
        )

    def test_an_index_brings_images_from_before(self, world):
        configure_rules(world.home)
        create(world.home)
        push(world.home, "app", IMAGE)
        inner = index_of(IMAGE)
        push(world.home, "app", inner)
        configure_rules(world.home, rule(EU_REGISTRY))
        outer = index_of(inner, IMAGE)
        push(world.home, "app", outer, "v1")
        world.arrive()
        assert pull(world.eu, "app", imageTag="v1") == outer.manifest
        assert pull(world.eu, "app", imageDigest=IMAGE.digest) == IMAGE.manifest
        assert statuses(world.home, "app", imageTag="v1") == {EU: "COMPLETE"}

    @pytest.mark.inferred
    def test_a_referrer(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        signature = artifact_of(IMAGE)
        push(world.home, "app", signature)
        world.arrive()
        (found,) = world.eu.list_image_referrers(repositoryName="app", subjectId={"imageDigest": IMAGE.digest})[
            "referrers"
        ]
        assert found["digest"] == signature.digest

    def test_to_two_regions_and_another_account(self, world):
        configure_rules(world.home, rule(EU_REGISTRY, ASIA), rule(OTHER, prefixes=["app"]))
        asia, other = world.client(region="ap-south-1"), world.client(region="eu-west-1", account=OTHER_ACCOUNT)
        other.put_registry_policy(policyText=permission("ReplicateImage", "CreateRepository"))
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        for there in (world.eu, asia, other):
            assert pull(there, "app", imageTag="v1") == IMAGE.manifest
        assert set(statuses(world.home, "app", imageTag="v1").values()) == {"COMPLETE"}

    def test_a_restored_image(self, world):
        """A restore counts as a push, with all tags of the image (the tags are inferred)."""
        configure_rules(world.home)
        create(world.home)
        push(world.home, "app", IMAGE, "v1", "v2")
        image = {"repositoryName": "app", "imageId": {"imageDigest": IMAGE.digest}}
        world.home.update_image_storage_class(**image, targetStorageClass="ARCHIVE")
        configure_rules(world.home, rule(EU_REGISTRY))
        world.home.update_image_storage_class(**image, targetStorageClass="STANDARD")
        world.sim.advance(minutes=1)
        assert listed(world.eu, "app") == [(IMAGE.digest, "v1"), (IMAGE.digest, "v2")]

    def test_bytes_are_shared(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        before = sorted(world.sim.runtime.blobs.blobs())
        world.arrive()
        assert pull(world.eu, "app", imageTag="v1") == IMAGE.manifest
        assert sorted(world.sim.runtime.blobs.blobs()) == before


@pytest.mark.documented
class TestWhatIsNot:
    def test_what_was_pushed_before(self, world):
        configure_rules(world.home)
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        configure_rules(world.home, rule(EU_REGISTRY))
        world.sim.advance(days=1)
        assert names(world.eu) == []
        assert statuses(world.home, "app", imageTag="v1") == {}

    def test_what_no_filter_matches(self, world):
        configure_rules(world.home, rule(EU_REGISTRY, prefixes=["prod"]))
        for name in ("app", "prod/app"):
            create(world.home, name)
            push(world.home, name, IMAGE, "v1")
        world.arrive()
        assert names(world.eu) == ["prod/app"]

    def test_a_copy_goes_no_further(self, world):
        configure_rules(world.eu, rule(ASIA))
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.sim.advance(days=1)
        assert names(world.client(region="ap-south-1")) == []
        assert statuses(world.eu, "app", imageTag="v1") == {}

    def test_nor_does_one_that_is_restored_by_its_arrival(self, world):
        configure_rules(world.eu, rule(ASIA))
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        image = {"repositoryName": "app", "imageId": {"imageDigest": IMAGE.digest}}
        world.eu.update_image_storage_class(**image, targetStorageClass="ARCHIVE")
        put(world.home, "app", IMAGE, "v2")
        world.sim.advance(days=1)
        assert described(world.eu, "app", imageDigest=IMAGE.digest)["imageStatus"] == "ACTIVE"
        assert names(world.client(region="ap-south-1")) == []

    def test_settings_of_the_repository(self, world):
        arn = create_with_everything(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        found = repository(world.eu)
        assert found["imageTagMutability"] == "MUTABLE"
        assert found["encryptionConfiguration"] == {"encryptionType": "AES256"}
        assert found["imageScanningConfiguration"] == {"scanOnPush": False}
        assert world.eu.list_tags_for_resource(resourceArn=arn.replace(REGION, "eu-west-1"))["tags"] == []
        for read in (world.eu.get_repository_policy, world.eu.get_lifecycle_policy):
            with pytest.raises(world.eu.exceptions.ClientError, match="PolicyNotFound"):
                read(repositoryName="app")

    def test_archiving(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        image = {"repositoryName": "app", "imageId": {"imageDigest": IMAGE.digest}}
        world.home.update_image_storage_class(**image, targetStorageClass="ARCHIVE")
        world.sim.advance(days=1)
        assert described(world.eu, "app", imageDigest=IMAGE.digest)["imageStatus"] == "ACTIVE"


def create_with_everything(home):
    create(
        home,
        imageTagMutability="IMMUTABLE",
        encryptionConfiguration={"encryptionType": "KMS"},
        imageScanningConfiguration={"scanOnPush": True},
        tags=[{"Key": "team", "Value": "a"}],
    )
    home.set_repository_policy(repositoryName="app", policyText=PULLERS)
    home.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=policy(lifecycle_rule(keep=1)))
    return f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/app"


@pytest.mark.documented
class TestTheDestination:
    def test_a_template_says_how_its_repository_is_made(self, world):
        world.eu.create_repository_creation_template(
            prefix="ROOT", appliedFor=["REPLICATION"], imageTagMutability="IMMUTABLE", repositoryPolicy=PULLERS
        )
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        assert repository(world.eu)["imageTagMutability"] == "IMMUTABLE"
        assert world.eu.get_repository_policy(repositoryName="app")

    def test_a_template_without_its_role_makes_none(self, world):
        world.eu.create_repository_creation_template(
            prefix="ROOT", appliedFor=["REPLICATION"], resourceTags=[{"Key": "a", "Value": "b"}]
        )
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        assert names(world.eu) == []
        assert statuses(world.home, "app", imageTag="v1") == {EU: "RepositoryNotFound"}

    @pytest.mark.recorded
    def test_an_immutable_tag_is_not_moved(self, world):
        """The image arrives all the same, perhaps without a tag."""
        create(world.eu, imageTagMutability="IMMUTABLE")
        push(world.eu, "app", SECOND, "v1")
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        assert listed(world.eu, "app") == [(SECOND.digest, "v1"), (IMAGE.digest, None)]
        assert statuses(world.home, "app", imageTag="v1") == {EU: "COMPLETE"}

    def test_of_several_tags_the_others_are_set(self, world):
        filters = [{"filterType": "WILDCARD", "filter": "latest"}]
        create(
            world.eu,
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=filters,
        )
        push(world.eu, "app", SECOND, "v1", "latest")
        create(world.home)
        push(world.home, "app", IMAGE, "v1", "v2", "latest")
        world.arrive()
        assert sorted(listed(world.eu, "app")) == sorted(
            [(SECOND.digest, "v1"), (IMAGE.digest, "v2"), (IMAGE.digest, "latest")]
        )

    def test_an_archived_copy_is_restored(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        image = {"repositoryName": "app", "imageId": {"imageDigest": IMAGE.digest}}
        world.eu.update_image_storage_class(**image, targetStorageClass="ARCHIVE")
        put(world.home, "app", IMAGE, "v2")
        world.arrive()
        assert described(world.eu, "app", imageDigest=IMAGE.digest)["imageStatus"] == "ACTIVE"
        assert pull(world.eu, "app", imageTag="v2") == IMAGE.manifest

    @pytest.mark.inferred
    def test_a_full_repository_takes_no_more(self, world, configure):
        create(world.home)
        push(world.home, "app", numbered(1), "v1")
        world.arrive()
        push(world.home, "app", numbered(2), "v2")
        configure(quota_images=1)
        world.arrive()
        assert statuses(world.home, "app", imageTag="v2") == {EU: "LimitExceeded"}
        assert listed(world.eu, "app") == [(numbered(1).digest, "v1")]


#: Policies of the other account's registry → the copy's end when it has the repository, and when it has none.
POLICIES = {
    "none": (None, "AccessDenied", "AccessDenied"),
    "both actions": (permission("ReplicateImage", "CreateRepository"), "COMPLETE", "COMPLETE"),
    "ReplicateImage alone": (permission("ReplicateImage"), "COMPLETE", "AccessDenied"),
    "CreateRepository alone": (permission("CreateRepository"), "AccessDenied", "AccessDenied"),
    "for another account": (
        permission("ReplicateImage", "CreateRepository", source="222222222222"),
        *["AccessDenied"] * 2,
    ),
    "for other repositories": (
        permission(
            "ReplicateImage", "CreateRepository", Resource=f"arn:aws:ecr:eu-west-1:{OTHER_ACCOUNT}:repository/prod/*"
        ),
        *["AccessDenied"] * 2,
    ),
    "for the role": (
        permission(
            "ReplicateImage",
            "CreateRepository",
            Principal={
                "AWS": f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/replication.ecr.amazonaws.com/"
                "AWSServiceRoleForECRReplication"
            },
        ),
        "COMPLETE",
        "COMPLETE",
    ),
}


@pytest.mark.documented
@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize(("text", "existing", "missing"), POLICIES.values(), ids=POLICIES)
def test_another_account_has_to_allow_it(world, text, existing, missing, is_there):
    configure_rules(world.home, rule(OTHER))
    other = world.client(region="eu-west-1", account=OTHER_ACCOUNT)
    if text is not None:
        other.put_registry_policy(policyText=text)
    if is_there:
        create(other)
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()

    outcome = existing if is_there else missing
    assert statuses(world.home, "app", imageTag="v1") == {OTHER_EU: outcome}
    if outcome == "COMPLETE":
        assert pull(other, "app", imageTag="v1") == IMAGE.manifest
    else:
        assert names(other) == (["app"] if is_there else [])
        (denied,) = [each for each in world.sim.events() if each["detail"].get("errorCode") == "AccessDenied"]
        asked = "ReplicateImage" if is_there or text == POLICIES["CreateRepository alone"][0] else "CreateRepository"
        assert (denied["account"], denied["region"]) == OTHER_EU
        assert denied["detail"]["eventName"] == asked
        assert denied["detail"]["errorMessage"] == (
            f"User: arn:aws:sts::{ACCOUNT}:assumed-role/AWSServiceRoleForECRReplication/ecr is not authorized to "
            f"perform: ecr:{asked} on resource: arn:aws:ecr:eu-west-1:{OTHER_ACCOUNT}:repository/app "
            f"because no resource-based policy allows the ecr:{asked} action"
        )


@pytest.mark.documented
class TestPolicies:
    def test_another_region_needs_none_and_may_deny(self, world):
        deny = permission("ReplicateImage", Effect="Deny")
        world.eu.put_registry_policy(policyText=deny)
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.arrive()
        assert statuses(world.home, "app", imageTag="v1") == {EU: "AccessDenied"}
        assert names(world.eu) == []

    def test_tags_of_a_template_have_to_be_allowed_too(self, world):
        configure_rules(world.home, rule(OTHER))
        other = world.client(region="eu-west-1", account=OTHER_ACCOUNT)
        other.create_repository_creation_template(
            prefix="ROOT",
            appliedFor=["REPLICATION"],
            resourceTags=[{"Key": "a", "Value": "b"}],
            customRoleArn=f"arn:aws:iam::{OTHER_ACCOUNT}:role/templates",
        )
        create(world.home)
        for actions, outcome in (
            (["ReplicateImage", "CreateRepository"], "AccessDenied"),
            (["ReplicateImage", "CreateRepository", "TagResource"], "COMPLETE"),
        ):
            other.put_registry_policy(policyText=permission(*actions))
            push(world.home, "app", numbered(len(actions)), f"v{len(actions)}")
            world.arrive()
            assert statuses(world.home, "app", imageTag=f"v{len(actions)}") == {OTHER_EU: outcome}


class TestStatus:
    @pytest.mark.documented
    def test_it_is_in_progress_and_then_complete(self, world, configure):
        configure(replication_delay=60)
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        for seconds, status in ((59, "IN_PROGRESS"), (1, "COMPLETE")):
            world.sim.advance(seconds=seconds)
            answer = world.home.describe_image_replication_status(repositoryName="app", imageId={"imageTag": "v1"})
            answer.pop("ResponseMetadata")
            assert answer == {
                "repositoryName": "app",
                "imageId": {"imageTag": "v1"},
                "replicationStatuses": [{"region": "eu-west-1", "registryId": ACCOUNT, "status": status}],
            }

    @pytest.mark.documented
    def test_delays_as_in_aws(self, world, configure):
        configure(aws_delays=True)
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.sim.advance(seconds=29)
        assert statuses(world.home, "app", imageTag="v1") == {EU: "IN_PROGRESS"}
        world.sim.advance(minutes=30)
        assert statuses(world.home, "app", imageTag="v1") == {EU: "COMPLETE"}

    @pytest.mark.documented
    def test_what_is_under_way_ends_when_the_rule_is_gone(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        configure_rules(world.home)
        world.arrive()
        assert statuses(world.home, "app", imageTag="v1") == {EU: "COMPLETE"}

    @pytest.mark.inferred
    def test_an_image_that_is_gone_before_it_arrives_never_does(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        world.home.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
        world.arrive()
        assert names(world.eu) == []

    def test_refusals(self, world):
        ask = world.home.describe_image_replication_status
        assert refusal(ask, repositoryName="app", imageId={"imageTag": "v1"}) == repository_not_found("app")
        create(world.home)
        assert refusal(ask, repositoryName="app", imageId={"imageTag": "v1"}) == recorded(
            "ImageNotFoundException",
            "The image with imageId {imageDigest:'null', imageTag:'v1'} does not exist within the repository with name "
            f"'app' in the registry with id '{ACCOUNT}'",
        )
        assert refusal(ask, repositoryName="app", imageId={}) == inferred(
            "InvalidParameterException", constraint("imageId", "both tag and digest cannot be null")
        )


@pytest.mark.documented
def test_events_of_the_destination(world):
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    after = world.sim.events()
    world.arrive()
    found = [each for each in world.sim.events()[len(after) :] if each["detail-type"] != "AWS API Call via CloudTrail"]
    (event,) = found
    assert {name: event[name] for name in ("detail-type", "source", "account", "region", "resources")} == {
        "detail-type": "ECR Replication Action",
        "source": "aws.ecr",
        "account": ACCOUNT,
        "region": "eu-west-1",
        "resources": [f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/app"],
    }
    assert event["detail"] == {
        "result": "SUCCESS",
        "repository-name": "app",
        "image-digest": IMAGE.digest,
        "source-account": ACCOUNT,
        "action-type": "REPLICATE",
        "source-region": REGION,
        "image-tag": "v1",
    }


@pytest.mark.inferred
def test_a_failure_is_an_event_too(world):
    configure_rules(world.home, rule(OTHER))
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()
    (event,) = world.sim.events(type="ECR Replication Action")
    assert (event["account"], event["detail"]["result"]) == (OTHER_ACCOUNT, "FAILED")


class TestRetries:
    @pytest.mark.inferred
    def test_what_breaks_is_tried_again_and_given_up_in_the_end(self, world, monkeypatch):
        def broken(*_arguments, **_options):
            raise RuntimeError("broken")

        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        with monkeypatch.context() as patched:
            patched.setattr("ecrsim.ecr.replication.copying.put_image", broken)
            world.arrive()
            assert statuses(world.home, "app", imageTag="v1") == {EU: "IN_PROGRESS"}
        world.sim.advance(minutes=1)
        assert statuses(world.home, "app", imageTag="v1") == {EU: "COMPLETE"}
        monkeypatch.setattr("ecrsim.ecr.replication.copying.put_image", broken)
        push(world.home, "app", SECOND, "v2")
        world.sim.advance(days=1)
        assert statuses(world.home, "app", imageTag="v2") == {EU: "InternalError"}
        assert listed(world.eu, "app") == [(IMAGE.digest, "v1")]
        assert world.sim.events(type="ECR Replication Action")[-1]["detail"]["result"] == "FAILED"
