"""ECR as the upstream of ECR, both in this ecrsim: another region, another account."""

import json

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, REGION
from tests.core.upstream.servers import Registry
from tests.ecr.pullthrough.caching import error_of
from tests.principals import know
from tests.pushing import artifact_of, index_of, push, put

IMAGE, OTHER = build_image(b"a layer"), build_image(b"another")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/cache"
FAR = "111111111111"
ACTIONS = ("BatchGetImage", "GetDownloadUrlForLayer", "BatchImportUpstreamImage", "GetImageCopyStatus")


@pytest.fixture
def found(cache):
    """The account's registry in one region, and in which the images are."""
    return cache(Registry({}))


def upstream(account, region):
    return f"{account}.dkr.ecr.{region}.amazonaws.com"


def stock(found, account=ACCOUNT, region="eu-west-1"):
    ecr = found.sim.client("ecr", account=account, region=region)
    ecr.create_repository(repositoryName="library/app")
    push(ecr, "library/app", IMAGE, "v1")
    return ecr


def allow(ecr, principal, *actions):
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": [f"ecr:{action}" for action in actions]}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    ecr.set_repository_policy(repositoryName="library/app", policyText=json.dumps(policy))


@pytest.mark.documented
class TestTheSameAccount:
    @pytest.fixture
    def ecr(self, found):
        stocked = stock(found)
        found.name = upstream(ACCOUNT, "eu-west-1")
        found.rule()
        return stocked

    @pytest.mark.parametrize("reference", ["v1", IMAGE.digest])
    def test_an_image_of_another_region(self, found, ecr, reference):
        assert found.whole(reference) == IMAGE.blobs
        assert found.names() == ["cache/library/app"]

    def test_what_moves_there_moves_here_after_a_day(self, found, ecr):
        found.pull("v1")
        push(ecr, "library/app", OTHER, "v1")
        assert found.pull("v1").body == IMAGE.manifest
        found.sim.advance(days=1)
        assert found.pull("v1").body == OTHER.manifest

    def test_it_stays_when_it_goes_there(self, found, ecr):
        found.pull("v1")
        ecr.delete_repository(repositoryName="library/app", force=True)
        found.sim.advance(days=2)
        assert found.whole("v1") == IMAGE.blobs

    def test_an_index_and_its_referrers(self, found, ecr):
        push(ecr, "library/app", OTHER)
        index = index_of(IMAGE, OTHER)
        put(ecr, "library/app", index, "all")
        sbom = artifact_of(index)
        push(ecr, "library/app", sbom)
        assert found.pull("all").body == index.manifest
        assert found.whole(OTHER.digest) == OTHER.blobs
        answer = found.ask("GET", f"/v2/cache/library/app/referrers/{index.digest}")
        assert [entry["digest"] for entry in answer.json()["manifests"]] == [sbom.digest]

    def test_what_is_not_there(self, found, ecr):
        assert error_of(found.pull("none"))[:2] == (404, "MANIFEST_UNKNOWN")
        assert error_of(found.pull("v1", "cache/none"))[:2] == (404, "MANIFEST_UNKNOWN")

    def test_the_rule_is_valid(self, found, ecr):
        assert found.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="cache")["isValid"] is True


@pytest.mark.documented
class TestAnotherAccount:
    @pytest.fixture
    def ecr(self, found):
        stocked = stock(found, FAR, REGION)
        found.name = upstream(FAR, REGION)
        found.rule(customRoleArn=ROLE)
        return stocked

    def test_its_policy_has_to_allow_it(self, found, ecr):
        assert error_of(found.pull("v1"))[:2] == (403, "DENIED")
        allow(ecr, f"arn:aws:iam::{ACCOUNT}:root", *ACTIONS)
        assert found.whole("v1") == IMAGE.blobs

    @pytest.mark.parametrize("lacking", ACTIONS)
    def test_each_action_is_needed(self, found, ecr, lacking):
        allow(ecr, f"arn:aws:iam::{ACCOUNT}:root", *(action for action in ACTIONS if action != lacking))
        assert error_of(found.pull("v1"))[:2] == (403, "DENIED")

    def test_a_role_that_is_known_is_asked_for_its_own_policies(self, found, ecr):
        allow(ecr, ROLE, *ACTIONS)
        role = {"name": "cache", "trust": {}, "policies": []}
        trust = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "pullthroughcache.ecr.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
        rights = [{"Effect": "Allow", "Action": [f"ecr:{action}" for action in ACTIONS], "Resource": "*"}]
        know(found.sim, {"roles": [role | {"trust": trust}]})
        assert error_of(found.pull("v1"))[:2] == (403, "DENIED")
        policy = {"Version": "2012-10-17", "Statement": rights}
        know(found.sim, {"roles": [role | {"trust": trust, "policies": [policy]}]})
        assert found.pull("v1").status == 200
