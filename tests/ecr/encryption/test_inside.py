"""Repositories that ECR makes and fills itself, with keys at a KMS: what it asks is asked with no transaction open."""

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, refused
from tests.ecr.encryption.conftest import ARN
from tests.ecr.pullthrough.caching import Cache
from tests.keys import encrypted
from tests.pushing import create, push

ROLE = f"arn:aws:iam::{ACCOUNT}:role/templates"
EU_ARN = ARN.replace("us-east-1", "eu-west-1")


def template(ecr, reason, key=ARN):
    ecr.create_repository_creation_template(prefix="ROOT", appliedFor=[reason], customRoleArn=ROLE, **encrypted(key))


def key_of(ecr, name):
    (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    return found["encryptionConfiguration"].get("kmsKey")


@pytest.mark.documented
def test_a_template_makes_one_on_push(ecr, scripted):
    template(ecr, "CREATE_ON_PUSH")
    ecr.initiate_layer_upload(repositoryName="app")
    push(ecr, "app", None, "v1")
    assert key_of(ecr, "app") == ARN
    assert scripted.asked["create_grant"] == 2


@pytest.mark.inferred
def test_a_template_whose_key_is_refused_makes_none(ecr, scripted):
    template(ecr, "CREATE_ON_PUSH")
    scripted.refuses["describe_key"] = "AccessDeniedException"
    answer = refused(ecr.initiate_layer_upload, repositoryName="app")
    assert (answer["Error"]["Code"], answer["kmsError"]) == ("KmsException", "AccessDeniedException")
    assert ecr.describe_repositories()["repositories"] == []


@pytest.mark.documented
def test_a_copy_is_encrypted_with_the_key_of_its_destination(sim, ecr, client, scripted):
    sim.freeze("2026-01-01T00:00:00Z")
    there = client(region="eu-west-1")
    scripted.arn = EU_ARN
    template(there, "REPLICATION", EU_ARN)
    rule = {"destinations": [{"region": "eu-west-1", "registryId": ACCOUNT}]}
    ecr.put_replication_configuration(replicationConfiguration={"rules": [rule]})
    create(ecr)
    image = build_image()
    push(ecr, "app", image, "v1")
    sim.advance(seconds=sim.runtime.config.replication_delay)
    assert key_of(there, "app") == EU_ARN
    (found,) = there.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
    assert found["imageId"]["imageDigest"] == image.digest
    assert {operation for operation, _ in scripted.parameters} >= {"create_grant", "generate_data_key", "decrypt"}


@pytest.mark.documented
def test_a_cache_keeps_what_it_fetches_under_a_key(sim, ecr, client, scripted, configure):
    """From another registry of this ecrsim, as ECR fetches from ECR."""
    there = client(region="eu-west-1")
    create(there, "library/app")
    image = build_image()
    push(there, "library/app", image, "v1")
    template(ecr, "PULL_THROUGH_CACHE")
    upstream = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="cache", upstreamRegistryUrl=upstream)
    cache = Cache(sim, None, upstream)
    answer = cache.ask("GET", "/v2/cache/library/app/manifests/v1")
    assert (answer.status, answer.body) == (200, image.manifest)
    assert key_of(ecr, "cache/library/app") == ARN
    scripted.refuses["decrypt"] = scripted.refuses["generate_data_key"] = "AccessDeniedException"
    sim.runtime.memory.pop("encryption", None)
    assert cache.ask("GET", "/v2/cache/library/app/manifests/v1").status == 403
