"""Repositories that ecrsim makes by itself: all that their template says, or not at all."""

import json
import logging

import pytest

from ecrsim.core.errors import RepositoryNotFoundException
from ecrsim.core.runtime import root_caller
from ecrsim.ecr.templates.service import create_repository_for
from tests.answers import ACCOUNT, REGION, inferred, refusal, repository_not_found
from tests.ecr.lifecycle.policies import policy, rule
from tests.ecr.templates.test_operations import EVERYTHING, FILTERS, KEEP_TEN, KEY, PULLERS, create
from tests.keys import make_key
from tests.pushing import listed, numbered, push, push_layer, put

ARN = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository"


def make(sim, name, reason, account=ACCOUNT, region=REGION):
    """As cache and replication do it: in a call of their own."""
    caller = root_caller(account, region)
    with sim.runtime.call(caller) as call:
        return create_repository_for(call, caller.registry, name, reason)


def repository(ecr, name):
    (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    return found


def first_push(ecr, name, image=None, *tags):
    """Of a client that does not look first what is there: its first request is one that writes."""
    ecr.initiate_layer_upload(repositoryName=name)
    return push(ecr, name, image, *tags)


def names(ecr):
    return [found["repositoryName"] for found in ecr.describe_repositories()["repositories"]]


@pytest.mark.documented
class TestWithATemplate:
    @pytest.mark.parametrize("reason", ["PULL_THROUGH_CACHE", "REPLICATION", "CREATE_ON_PUSH"])
    def test_everything_of_it_is_applied(self, sim, ecr, reason):
        make_key(sim, key_id=KEY)
        create(ecr, applied_for=[reason], **EVERYTHING)
        make(sim, "prod/app", reason)

        found = repository(ecr, "prod/app")
        assert found["encryptionConfiguration"] == EVERYTHING["encryptionConfiguration"]
        assert found["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        assert found["imageTagMutabilityExclusionFilters"] == FILTERS
        assert found["imageScanningConfiguration"] == {"scanOnPush": False}
        assert ecr.list_tags_for_resource(resourceArn=f"{ARN}/prod/app")["tags"] == EVERYTHING["resourceTags"]
        (statement,) = json.loads(ecr.get_repository_policy(repositoryName="prod/app")["policyText"])["Statement"]
        (sent,) = json.loads(PULLERS)["Statement"]
        # As SetRepositoryPolicy rewrites it: an action alone is no list (recorded).
        assert statement == sent | {"Action": sent["Action"][0]}
        kept = ecr.get_lifecycle_policy(repositoryName="prod/app")["lifecyclePolicyText"]
        assert json.loads(kept) == json.loads(KEEP_TEN)

    def test_its_lifecycle_policy_runs_a_day_later(self, sim, ecr):
        create(ecr, lifecyclePolicy=policy(rule(keep=1)))
        for number in range(3):
            first_push(ecr, "prod/app", numbered(number))
        sim.advance(hours=23)
        assert len(listed(ecr, "prod/app")) == 3
        sim.advance(hours=2)
        assert len(listed(ecr, "prod/app")) == 1

    def test_its_repository_policy_is_in_force(self, ecr, client):
        create(ecr, repositoryPolicy=PULLERS)
        first_push(ecr, "prod/app", numbered(1), "v1")
        other = client(account="111111111111")
        image = {"registryId": ACCOUNT, "repositoryName": "prod/app", "imageIds": [{"imageTag": "v1"}]}
        assert other.batch_get_image(**image)["failures"] == []

    def test_an_empty_key_is_that_of_ecr(self, sim, ecr):
        create(
            ecr,
            encryptionConfiguration={"encryptionType": "KMS", "kmsKey": ""},
            customRoleArn=EVERYTHING["customRoleArn"],
        )
        ecr.create_repository(repositoryName="by-hand", encryptionConfiguration={"encryptionType": "KMS"})
        make(sim, "prod/app", "CREATE_ON_PUSH")
        by_hand = repository(ecr, "by-hand")["encryptionConfiguration"]
        assert repository(ecr, "prod/app")["encryptionConfiguration"] == by_hand

    def test_the_one_of_the_longest_prefix_is_taken(self, sim, ecr):
        for prefix in ("ROOT", "prod", "prod/team"):
            create(ecr, prefix, resourceTags=[{"Key": "by", "Value": prefix}], customRoleArn="r" * 20)
        for name, prefix in {"app": "ROOT", "prod/app": "prod", "prod/team/app": "prod/team"}.items():
            make(sim, name, "CREATE_ON_PUSH")
            tags = ecr.list_tags_for_resource(resourceArn=f"{ARN}/{name}")["tags"]
            assert tags == [{"Key": "by", "Value": prefix}]

    def test_what_is_there_stays_as_it_is(self, sim, ecr):
        ecr.create_repository(repositoryName="prod/app")
        before = repository(ecr, "prod/app")
        create(ecr, **EVERYTHING)
        make(sim, "prod/app", "CREATE_ON_PUSH")
        assert repository(ecr, "prod/app") == before

    def test_a_repository_that_somebody_creates_is_none_of_its_business(self, ecr):
        create(ecr, applied_for=["PULL_THROUGH_CACHE", "REPLICATION", "CREATE_ON_PUSH"], **EVERYTHING)
        ecr.create_repository(repositoryName="prod/app")
        assert repository(ecr, "prod/app")["imageTagMutability"] == "MUTABLE"

    def test_a_template_of_another_registry_does_not_count(self, sim, ecr, client):
        create(client(region="eu-west-1"), imageTagMutability="IMMUTABLE")
        make(sim, "prod/app", "REPLICATION")
        assert repository(ecr, "prod/app")["imageTagMutability"] == "MUTABLE"

    @pytest.mark.parametrize("left", ["resourceTags", "encryptionConfiguration"])
    def test_tags_and_kms_without_a_role_make_nothing(self, sim, ecr, caplog, left):
        create(ecr, **{left: EVERYTHING[left]})
        with caplog.at_level(logging.WARNING, "ecrsim.templates"), pytest.raises(RepositoryNotFoundException):
            make(sim, "prod/app", "CREATE_ON_PUSH")
        assert names(ecr) == []
        assert "the template prod sets resource tags or KMS and has no customRoleArn" in caplog.text


@pytest.mark.documented
class TestWithoutATemplate:
    @pytest.mark.parametrize("reason", ["PULL_THROUGH_CACHE", "REPLICATION"])
    def test_cache_and_replication_make_one_with_defaults(self, sim, ecr, reason):
        ecr.create_repository(repositoryName="by-hand")
        make(sim, "prod/app", reason)
        own = {"repositoryArn", "repositoryName", "repositoryUri", "createdAt"}
        found, by_hand = repository(ecr, "prod/app"), repository(ecr, "by-hand")
        assert {name: found[name] for name in found.keys() - own} == {
            name: by_hand[name] for name in by_hand.keys() - own
        }

    def test_a_push_makes_none(self, sim, ecr):
        with pytest.raises(RepositoryNotFoundException):
            make(sim, "prod/app", "CREATE_ON_PUSH")
        assert names(ecr) == []


@pytest.mark.inferred
class TestPushesThroughTheApi:
    """docker's pushes are rows in tests/dataplane/rows_templates.py."""

    def test_an_upload_makes_the_repository(self, ecr):
        create(ecr)
        assert ecr.initiate_layer_upload(repositoryName="prod/app")["uploadId"]
        assert names(ecr) == ["prod/app"]

    def test_an_image_makes_it_too(self, ecr):
        create(ecr)
        index = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
        ecr.put_image(repositoryName="prod/app", imageManifest=index, imageTag="v1")
        assert [tag for _, tag in listed(ecr, "prod/app")] == ["v1"]

    def test_an_image_that_is_refused_makes_none(self, ecr):
        create(ecr)
        place = {"repositoryName": "prod/app", "imageManifest": numbered(1).manifest.decode()}
        assert refusal(ecr.put_image, **place).code == "LayersNotFoundException"
        assert names(ecr) == []

    @pytest.mark.parametrize(
        ("operation", "members"),
        [
            ("batch_check_layer_availability", {"layerDigests": ["sha256:" + "0" * 64]}),
            ("batch_get_image", {"imageIds": [{"imageTag": "v1"}]}),
            ("list_images", {}),
        ],
    )
    def test_a_look_makes_none(self, ecr, operation, members):
        create(ecr)
        found = refusal(getattr(ecr, operation), repositoryName="prod/app", **members)
        assert found == repository_not_found("prod/app")

    def test_names_outside_of_the_prefix_are_refused(self, ecr):
        create(ecr)
        for name in ("prod", "production/app"):
            assert refusal(ecr.initiate_layer_upload, repositoryName=name) == repository_not_found(name)

    def test_the_template_holds_from_the_first_image_on(self, ecr):
        create(ecr, imageTagMutability="IMMUTABLE")
        first_push(ecr, "prod/app", numbered(1), "v1")
        for data in numbered(2).blobs.values():
            push_layer(ecr, "prod/app", data)
        assert refusal(put, ecr=ecr, repository="prod/app", image=numbered(2), tag="v1").code == (
            "ImageTagAlreadyExistsException"
        )

    def test_the_quota_of_repositories_holds(self, ecr, configure):
        create(ecr)
        configure(quota_repositories=1)
        ecr.create_repository(repositoryName="app")
        assert refusal(ecr.initiate_layer_upload, repositoryName="prod/app") == inferred(
            "LimitExceededException",
            f"The maximum number of repositories in the registry with id '{ACCOUNT}' has been reached",
        )

    def test_a_key_of_another_region_is_refused_as_by_create_repository(self, ecr):
        encryption = {"encryptionType": "KMS", "kmsKey": f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{KEY}"}
        create(ecr, encryptionConfiguration=encryption, customRoleArn=EVERYTHING["customRoleArn"])
        by_hand = refusal(ecr.create_repository, repositoryName="by-hand", encryptionConfiguration=encryption)
        assert refusal(ecr.initiate_layer_upload, repositoryName="prod/app") == by_hand
        assert names(ecr) == []


class TestTheSetting:
    """`--create-on-push` is a template with the prefix ROOT in every registry."""

    def test_it_makes_repositories_of_any_name_with_defaults(self, ecr, configure):
        configure(create_on_push=True)
        for name in ("app", "a/b/c"):
            first_push(ecr, name, numbered(1))
        assert names(ecr) == ["a/b/c", "app"]

    def test_a_template_goes_before_it(self, ecr, configure):
        configure(create_on_push=True)
        create(ecr, "ROOT", imageTagMutability="IMMUTABLE")
        first_push(ecr, "app", numbered(1))
        assert repository(ecr, "app")["imageTagMutability"] == "IMMUTABLE"

    def test_a_template_for_something_else_does_not(self, ecr, configure):
        configure(create_on_push=True)
        create(ecr, "ROOT", applied_for=["REPLICATION"], imageTagMutability="IMMUTABLE")
        first_push(ecr, "app", numbered(1))
        assert repository(ecr, "app")["imageTagMutability"] == "MUTABLE"

    def test_it_is_not_in_the_way_of_a_template_of_ones_own(self, ecr, configure):
        configure(create_on_push=True)
        assert ecr.describe_repository_creation_templates()["repositoryCreationTemplates"] == []
        create(ecr, "ROOT")


@pytest.mark.inferred
def test_the_creation_is_on_the_trail_as_a_call_of_ecr(sim, ecr):
    make_key(sim, key_id=KEY)
    create(ecr, **EVERYTHING)
    ecr.initiate_layer_upload(repositoryName="prod/app")
    records = [event["detail"] for event in sim.events(type="AWS API Call via CloudTrail")]
    (record,) = [each for each in records if each["eventName"] == "CreateRepository"]
    assert record["userIdentity"]["invokedBy"] == record["sourceIPAddress"] == "ecr.amazonaws.com"
    assert record["requestParameters"]["repositoryName"] == "prod/app"
    assert record["requestParameters"]["tags"] == EVERYTHING["resourceTags"]
    assert record["responseElements"]["repository"]["repositoryArn"] == f"{ARN}/prod/app"
    assert [each["ARN"] for each in record["resources"]] == [f"{ARN}/prod/app"]
