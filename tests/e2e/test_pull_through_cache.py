"""docker and crane pull through caches: of Debian's docker-registry with Basic, of one behind a token service, and of
another ecrsim as ECR. A template is applied to each; then the upstream is killed, and the pull goes on."""

import json

import boto3
import pytest

from tests.e2e import images
from tests.e2e.clients import Client, require
from tests.e2e.receivers import Moto
from tests.e2e.server import ACCOUNT, REGION
from tests.e2e.test_templates import KEEP_TEN
from tests.e2e.upstreams import PASSWORD, USERNAME, behind_tokens, with_basic

HUB, QUAY, OTHER = "registry-1.docker.io", "quay.io", f"111111111111.dkr.ecr.{REGION}.amazonaws.com"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:ecr-pullthroughcache/both-AbCdEf"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/cache"


@pytest.fixture
def basic(tmp_path):
    with with_basic(tmp_path / "basic", images.build_image("basic")) as registry:
        yield registry


@pytest.fixture
def bearer(tmp_path):
    with behind_tokens(tmp_path / "bearer", images.build_image("bearer")) as registry:
        yield registry


@pytest.fixture
def other(launch, tmp_path, crane):
    """Another ecrsim, in which the account 111111111111 lets this one pull."""
    server = launch()
    ecr = server.client(account="111111111111")
    ecr.create_repository(repositoryName="library/app")
    allowed = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    }
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    ecr.set_repository_policy(repositoryName="library/app", policyText=json.dumps(policy))
    crane(
        *("auth", "login", server.registry, "--username", "AWS", "--password-stdin"),
        stdin=server.password("111111111111"),
    )
    image = images.build_image("of ECR")
    name = f"{server.registry}/111111111111/{REGION}/library/app:v1"
    crane("push", str(images.write_layout(tmp_path / "c", image)), name)
    return server


@pytest.fixture
def cache(launch, tmp_path, basic, bearer, other):
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"ecr-pullthroughcache/both": {"username": USERNAME, "accessToken": PASSWORD}}))
    server = launch(
        *("--secrets", str(secrets)),
        *("--upstream", f"{HUB}={basic.url}", "--upstream", f"{QUAY}={bearer.url}"),
        *("--upstream", f"{OTHER}={other.url}"),
    )
    ecr = server.client()
    secret = {"credentialArn": SECRET}
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="hub", upstreamRegistryUrl=HUB, **secret)
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="quay", upstreamRegistryUrl=QUAY, **secret)
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="other", upstreamRegistryUrl=OTHER, customRoleArn=ROLE)
    ecr.create_repository_creation_template(
        prefix="ROOT",
        appliedFor=["PULL_THROUGH_CACHE"],
        lifecyclePolicy=json.dumps(KEEP_TEN),
        resourceTags=[{"Key": "by", "Value": "cache"}],
        customRoleArn=ROLE,
    )
    return server


TEXTS = {"hub": "basic", "quay": "bearer", "other": "of ECR"}


def test_clients_pull_through_three_caches(cache, crane, docker, basic, bearer, other, tmp_path):
    ecr = cache.client()
    for client in (crane, docker):
        words = ("auth", "login") if client is crane else ("login",)
        client(*words, cache.registry, "--username", "AWS", "--password-stdin", stdin=cache.password())
    for prefix, text in TEXTS.items():
        assert ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix=prefix).get("failure") is None
        image, name = images.build_image(text), f"{prefix}/library/app"
        assert crane("digest", f"{cache.registry}/{name}:v1").strip() == image.digest
        crane("validate", "--remote", f"{cache.registry}/{name}:v1")
        docker("pull", f"{cache.registry}/{name}:v1")
        (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
        tags = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
        assert tags == [{"Key": "by", "Value": "cache"}]
        assert json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]) == KEEP_TEN

    basic.stop()
    bearer.stop()
    other.stop()
    for prefix, text in TEXTS.items():
        name = f"{cache.registry}/{prefix}/library/app:v1"
        docker("image", "rm", "--force", name)
        docker("pull", name)
        folder = tmp_path / prefix
        crane("pull", "--format", "oci", name, str(folder))
        digest = images.build_image(text).digest.removeprefix("sha256:")
        assert (folder / "blobs" / "sha256" / digest).is_file()


def test_secrets_of_a_secrets_manager(launch, crane, basic):
    """moto's, which has the account of its own; the secret is read when it is needed, and may change."""
    moto, owner = Moto(), "123456789012"
    try:
        server = launch("--upstream", f"{HUB}={basic.url}", "--secretsmanager-endpoint", moto.url)
        ecr = server.client(account=owner)
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        manager = boto3.client("secretsmanager", endpoint_url=moto.url, region_name=REGION, **keys)
        place = {"ecrRepositoryPrefix": "hub"}
        nobody = f"arn:aws:secretsmanager:{REGION}:{owner}:secret:ecr-pullthroughcache/none-AbCdEf"
        with pytest.raises(ecr.exceptions.SecretNotFoundException):
            ecr.create_pull_through_cache_rule(**place, upstreamRegistryUrl=HUB, credentialArn=nobody)
        wrong = {"username": USERNAME, "accessToken": "wrong"}
        made = manager.create_secret(Name="ecr-pullthroughcache/hub", SecretString=json.dumps(wrong))
        ecr.create_pull_through_cache_rule(**place, upstreamRegistryUrl=HUB, credentialArn=made["ARN"])
        answer = ecr.validate_pull_through_cache_rule(**place)
        assert (answer["isValid"], "401" in answer["failure"]) == (False, True)
        right = {"username": USERNAME, "accessToken": PASSWORD}
        manager.put_secret_value(SecretId=made["ARN"], SecretString=json.dumps(right))
        assert ecr.validate_pull_through_cache_rule(**place)["isValid"] is True
        words = ("auth", "login", server.registry, "--username", "AWS", "--password-stdin")
        crane(*words, stdin=server.password(owner))
        crane("validate", "--remote", f"{server.registry}/{owner}/{REGION}/hub/library/app:v1")
    finally:
        moto.stop()


def test_what_the_upstream_does_not_have(cache, crane, docker):
    crane("auth", "login", cache.registry, "--username", "AWS", "--password-stdin", stdin=cache.password())
    docker("login", "--username", "AWS", "--password-stdin", cache.registry, stdin=cache.password())
    assert "Requested image not found" in crane.refuses("manifest", f"{cache.registry}/hub/library/app:none")
    assert "Requested image not found" in docker.refuses("pull", f"{cache.registry}/quay/library/app:none")
    cache.client().create_pull_through_cache_rule(ecrRepositoryPrefix="k8s", upstreamRegistryUrl="registry.k8s.io")
    assert "--upstream registry.k8s.io=URL" in docker.refuses("pull", f"{cache.registry}/k8s/pause:3")


def test_the_command_line_keeps_rules(cache, home):
    """All five operations, at a server that has somewhere to look for secrets and upstreams."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": REGION}
    aws = Client((require("aws"), "--endpoint-url", cache.url, "ecr"), {**home, **keys, "AWS_PAGER": ""})
    place = ("--ecr-repository-prefix", "cli/quay")
    created = json.loads(aws("create-pull-through-cache-rule", *place, "--upstream-registry-url", QUAY))
    assert (created["ecrRepositoryPrefix"], created["upstreamRegistry"]) == ("cli/quay", "quay")
    # The upstream asks for a password, which this rule does not have yet.
    assert json.loads(aws("validate-pull-through-cache-rule", *place))["isValid"] is False
    updated = json.loads(aws("update-pull-through-cache-rule", *place, "--credential-arn", SECRET))
    assert updated["credentialArn"] == SECRET
    assert json.loads(aws("validate-pull-through-cache-rule", *place))["isValid"] is True
    listed = json.loads(aws("describe-pull-through-cache-rules", "--ecr-repository-prefixes", "cli/quay"))
    (rule,) = listed["pullThroughCacheRules"]
    assert (rule["upstreamRegistryUrl"], rule["credentialArn"]) == (QUAY, SECRET)
    listed = json.loads(aws("describe-pull-through-cache-rules", "--page-size", "1"))
    assert len(listed["pullThroughCacheRules"]) == 4
    deleted = json.loads(aws("delete-pull-through-cache-rule", *place))
    assert deleted["ecrRepositoryPrefix"] == "cli/quay"
    assert "PullThroughCacheRuleNotFoundException" in aws.refuses("validate-pull-through-cache-rule", *place)
