"""What the documentation says of caches besides: bounds, rights, and that what is cached is as what was pushed."""

import pytest

from ecrsim.core.registry import Registry as RegistryName
from ecrsim.testing import build_image
from tests.answers import ACCOUNT, REGION, refusal, repository_not_found
from tests.api import post, refusal_of
from tests.core.upstream.servers import Registry
from tests.ecr.lifecycle.policies import policy
from tests.ecr.lifecycle.policies import rule as lifecycle_rule
from tests.ecr.pullthrough.caching import error_of
from tests.ecr.pullthrough.test_operations import FAR, ROLE, SECRET, create, described, plain
from tests.ecr.replication.conftest import configure_rules
from tests.ecr.replication.test_rules import rule as replication_rule
from tests.principals import client_of, document, know, statement, token_of, user
from tests.pushing import artifact_of, listed, numbered

pytestmark = pytest.mark.documented

IMAGE, SECOND = build_image(b"a layer"), build_image(b"another layer")
SBOM = artifact_of(IMAGE)
NAME = "cache/library/app"
LAYER = next(iter(IMAGE.blobs))

# --- rules: the greatest and the least --------------------------------------------------------------------------------

#: Members of a rule that may be.
BOUNDS = {
    "a prefix of two": {"ecrRepositoryPrefix": "qu"},
    "a prefix of thirty": {"ecrRepositoryPrefix": "q" * 30},
    "a prefix with every separator": {"ecrRepositoryPrefix": "a.b_c__d-e---f/g"},
    "a prefix there of two": {"upstreamRepositoryPrefix": "up"},
    "a prefix there of thirty": {"upstreamRepositoryPrefix": "u" * 30},
    "ROOT there, said": {"upstreamRepositoryPrefix": "ROOT"},
    "the same prefix there": {"upstreamRepositoryPrefix": "quay"},
    "a role of 2048": {"customRoleArn": "r" * 2048},
    "a secret of 612": {"credentialArn": SECRET + "a" * (612 - len(SECRET))},
    "a secret with every character": {"credentialArn": f"{SECRET}/A_z+=.@-"},
}


@pytest.mark.parametrize("members", BOUNDS.values(), ids=BOUNDS)
def test_what_a_rule_takes(ecr, members):
    sent = {"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io", **members}
    ecr.create_pull_through_cache_rule(**sent)
    (found,) = described(ecr)
    assert {name: found[name] for name in sent} == sent


#: Operation, members that break the model.
BROKEN = [
    ("CreatePullThroughCacheRule", {}),
    ("CreatePullThroughCacheRule", {"ecrRepositoryPrefix": "quay"}),
    ("CreatePullThroughCacheRule", {"upstreamRegistryUrl": "quay.io"}),
    ("CreatePullThroughCacheRule", {"ecrRepositoryPrefix": "a//b", "upstreamRegistryUrl": "quay.io"}),
    ("CreatePullThroughCacheRule", {"ecrRepositoryPrefix": "a___b", "upstreamRegistryUrl": "quay.io"}),
    (
        "CreatePullThroughCacheRule",
        {
            "ecrRepositoryPrefix": "quay",
            "upstreamRegistryUrl": "quay.io",
            "credentialArn": SECRET + "a" * (613 - len(SECRET)),
        },
    ),
    ("UpdatePullThroughCacheRule", {"customRoleArn": ROLE}),
    ("DeletePullThroughCacheRule", {}),
    ("ValidatePullThroughCacheRule", {}),
    ("DescribePullThroughCacheRules", {"maxResults": 0}),
    ("DescribePullThroughCacheRules", {"maxResults": 1001}),
    ("DescribePullThroughCacheRules", {"ecrRepositoryPrefixes": ["q"]}),
]


@pytest.mark.parametrize(("operation", "members"), BROKEN, ids=[f"{name} {len(each)}" for name, each in BROKEN])
def test_requests_that_break_the_model(sim, ecr, operation, members):
    answer = post(sim, operation, members)
    assert (answer.status, refusal_of(answer).code) == (400, "InvalidParameterException")
    assert described(ecr) == []


def test_a_rule_with_everything_is_answered_by_each_operation(ecr):
    """Each operation has its own members of it."""
    everything = {"credentialArn": SECRET, "customRoleArn": ROLE, "upstreamRepositoryPrefix": "there"}
    created = create(ecr, url="cgr.dev", **everything)
    place = {"ecrRepositoryPrefix": "quay", "registryId": ACCOUNT, "upstreamRegistryUrl": "cgr.dev"}
    made = created.pop("createdAt")
    assert created == {**place, **everything, "upstreamRegistry": "chainguard"}
    validated = plain(ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="quay"))
    assert validated.pop("failure")
    assert validated == {**place, **everything, "isValid": False}
    assert described(ecr) == [{**created, "createdAt": made, "updatedAt": made}]
    deleted = plain(ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="quay"))
    assert deleted == {**place, **everything, "createdAt": made}


def test_another_account_is_asked_by_its_id_alone(ecr):
    """`registryId` of the caller is taken, as by every operation that has it."""
    create(ecr, url=FAR, customRoleArn=ROLE, registryId=ACCOUNT)
    assert len(described(ecr, registryId=ACCOUNT)) == 1
    for ask in (ecr.validate_pull_through_cache_rule, ecr.delete_pull_through_cache_rule):
        assert ask(ecrRepositoryPrefix="quay", registryId=ACCOUNT)["registryId"] == ACCOUNT


# --- what is cached is as what was pushed -----------------------------------------------------------------------------


@pytest.fixture
def found(cache):
    registry = Registry({"library/app": {"v1": IMAGE, "v2": SECOND, "sbom": SBOM}})
    entry = {"mediaType": SBOM.media_type, "digest": SBOM.digest, "size": len(SBOM.manifest)}
    registry.referrers[IMAGE.digest] = [entry]
    started = cache(registry)
    started.rule()
    return started


def test_it_is_scanned_as_it_comes(found):
    filters = [{"filter": "*", "filterType": "WILDCARD"}]
    found.ecr.put_registry_scanning_configuration(
        scanType="BASIC", rules=[{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": filters}]
    )
    found.pull("v1")
    found.sim.advance(minutes=5)
    answer = found.ecr.describe_image_scan_findings(repositoryName=NAME, imageId={"imageTag": "v1"})
    assert answer["imageScanStatus"]["status"] == "FAILED"  # of no system that is known
    (event,) = found.sim.events(type="ECR Image Scan")
    assert event["detail"]["image-digest"] == IMAGE.digest


def test_it_is_replicated_with_its_tag(found):
    configure_rules(found.ecr, replication_rule(RegistryName(ACCOUNT, "eu-west-1")))
    found.pull("v1")
    found.sim.advance(minutes=1)
    far = found.sim.client("ecr", region="eu-west-1")
    assert listed(far, NAME) == [(IMAGE.digest, "v1")]


def test_it_expires_by_a_lifecycle_policy_and_is_fetched_again(found):
    found.pull("v1")
    found.sim.advance(minutes=1)
    found.pull("v2")
    text = policy(lifecycle_rule(keep=1))
    found.ecr.put_lifecycle_policy(repositoryName=NAME, lifecyclePolicyText=text)
    found.sim.advance(days=2)
    assert listed(found.ecr, NAME) == [(SECOND.digest, "v2")]
    assert found.pull("v1").body == IMAGE.manifest


def test_a_push_to_a_tag_of_the_cache_is_looked_up_like_any(found):
    """The tag is here, and the upstream was asked for it a moment ago."""
    found.pull("v1")
    found.ecr.put_image(repositoryName=NAME, imageManifest=IMAGE.manifest.decode(), imageTag="mine")
    assert found.pull("mine").body == IMAGE.manifest
    assert sorted(tag for _, tag in listed(found.ecr, NAME)) == ["mine", "v1"]


def test_what_docker_hub_refuses_without_library(cache):
    """`docker-hub/alpine`: the upstream answers 403, and so does the cache."""
    registry = Registry({"library/app": {"v1": IMAGE}})
    found = cache(lambda handler: registry(handler) if "/library/" in handler.path else handler.give(403))
    found.rule()
    assert error_of(found.pull("v1", "cache/app"))[:2] == (403, "DENIED")
    assert found.pull("v1").status == 200


# --- rights: what is lacking looks like what is not there -------------------------------------------------------------


@pytest.fixture
def dev(found):
    """A client of a user who may do this besides logging in: `dev(*actions)`."""

    def make(*actions):
        rights = [statement("ecr:GetAuthorizationToken"), statement(*actions)]
        know(found.sim, {"users": [user("dev", document(*rights))]})
        return client_of(found.sim, "dev")

    return make


def test_sentences_of_what_is_lacking(found, dev):
    token = token_of(dev("ecr:BatchGetImage", "ecr:BatchImportUpstreamImage"))
    path = f"/v2/{NAME}/manifests/v1"
    sentence = repository_not_found(NAME).message
    assert error_of(found.ask("GET", path, token)) == (404, "NAME_UNKNOWN", sentence)
    found.ecr.create_repository(repositoryName=NAME)
    token = token_of(dev("ecr:BatchGetImage"))
    assert error_of(found.ask("GET", path, token)) == (404, "MANIFEST_UNKNOWN", "Requested image not found")
    assert found.asked() == []


def test_an_operation_without_the_right_to_import(found, dev):
    place = {"repositoryName": NAME, "imageIds": [{"imageTag": "v1"}]}
    assert refusal(dev("ecr:BatchGetImage").batch_get_image, **place) == repository_not_found(NAME)
    found.ecr.create_repository(repositoryName=NAME)
    (failure,) = dev("ecr:BatchGetImage").batch_get_image(**place)["failures"]
    assert failure["failureCode"] == "ImageNotFound"
    assert found.asked() == []
    found_image = dev("ecr:BatchGetImage", "ecr:BatchImportUpstreamImage").batch_get_image(**place)
    assert len(found_image["images"]) == 1


def test_a_layer_without_the_right_to_import(found, dev):
    found.pull("v1")
    assert found.sim.runtime.blobs.delete(LAYER)
    found.asked()
    place = {"repositoryName": NAME, "layerDigest": LAYER}
    ask = dev("ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability").get_download_url_for_layer
    assert refusal(ask, **place).code == "LayersNotFoundException"
    token = token_of(client_of(found.sim, "dev"))
    for method in ("GET", "HEAD"):
        assert found.ask(method, f"/v2/{NAME}/blobs/{LAYER}", token).status == 404
    assert found.asked() == []
    assert dev("ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage").get_download_url_for_layer(**place)


@pytest.mark.recorded
def test_referrers_without_the_right_to_import(found, dev):
    """They need BatchGetImage; without the other right, those that are cached are listed."""
    found.pull("v1")
    found.asked()
    place = {"repositoryName": NAME, "subjectId": {"imageDigest": IMAGE.digest}}
    assert refusal(dev("ecr:ListImages").list_image_referrers, **place).code == "AccessDeniedException"
    assert dev("ecr:BatchGetImage").list_image_referrers(**place)["referrers"] == []
    assert found.asked() == []
    answer = dev("ecr:BatchGetImage", "ecr:BatchImportUpstreamImage").list_image_referrers(**place)
    assert [each["digest"] for each in answer["referrers"]] == [SBOM.digest]


@pytest.mark.recorded
def test_referrers_of_an_ordinary_repository_ask_nobody(found):
    found.ecr.create_repository(repositoryName="other")
    place = {"repositoryName": "other", "subjectId": {"imageDigest": IMAGE.digest}}
    assert found.ecr.list_image_referrers(**place)["referrers"] == []
    assert found.asked() == []


# --- the trail, and events --------------------------------------------------------------------------------------------


def own_calls(found):
    """Records of what ECR did itself, on behalf of who pulled."""
    records = [event["detail"] for event in found.sim.events(type="AWS API Call via CloudTrail")]
    return [each for each in records if each["userIdentity"].get("invokedBy") == "ecr.amazonaws.com"]


@pytest.mark.recorded
@pytest.mark.parametrize("plane", ["registry", "api"])
def test_records_of_a_pull(found, dev, plane):
    """As recorded: by whom, from where, with what; a read answers nothing, a write its whole answer."""
    rights = ("BatchGetImage", "BatchImportUpstreamImage", "CreateRepository")
    client = dev(*(f"ecr:{action}" for action in rights))
    if plane == "registry":
        found.ask("GET", f"/v2/{NAME}/manifests/v1", token_of(client))
        found.settle()
    else:
        client.batch_get_image(repositoryName=NAME, imageIds=[{"imageTag": "v1"}])
    created, got, *layers, put = own_calls(found)
    place = {"registryId": ACCOUNT, "repositoryName": NAME}
    arn = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{NAME}"
    for each in (created, got, *layers, put):
        assert (each["userIdentity"]["type"], each["userIdentity"]["userName"]) == ("IAMUser", "dev")
        assert each["sourceIPAddress"] == each["userAgent"] == each["eventSource"] == "ecr.amazonaws.com"
        assert [resource["ARN"] for resource in each["resources"]] == [arn]
        assert (each["eventType"], each["recipientAccountId"]) == ("AwsApiCall", ACCOUNT)
    assert [each["eventName"] for each in (created, got, put)] == ["CreateRepository", "BatchGetImage", "PutImage"]
    assert (got["requestParameters"], got["responseElements"]) == (place | {"imageIds": [{"imageTag": "v1"}]}, None)
    assert {each["eventName"] for each in layers} == {"GetDownloadUrlForLayer"}
    assert [each["responseElements"] for each in layers] == [None] * len(IMAGE.blobs)
    assert {each["requestParameters"]["layerDigest"] for each in layers} == set(IMAGE.blobs)
    content = {"imageManifest": IMAGE.manifest.decode(), "imageManifestMediaType": IMAGE.media_type}
    assert put["requestParameters"] == {**place, **content, "imageTag": "v1"}
    image_id = {"imageDigest": IMAGE.digest, "imageTag": "v1"}
    assert put["responseElements"] == {"image": {**place, **content, "imageId": image_id}}


@pytest.mark.recorded
def test_records_of_referrers(found):
    found.pull("v1")
    before = len(own_calls(found))
    place = {"repositoryName": NAME, "subjectId": {"imageDigest": IMAGE.digest}}
    found.ecr.list_image_referrers(**place)
    records = own_calls(found)[before:]
    names = [each["eventName"] for each in records]
    wanted = {"BatchGetImage", "GetDownloadUrlForLayer", "PutImage", "ListImageReferrers"}
    assert (set(names), names[-1]) == (wanted, "ListImageReferrers")
    assert records[-1]["requestParameters"] == {"registryId": ACCOUNT, **place}
    assert (records[-1]["readOnly"], records[-1]["responseElements"]) == (True, None)
    # Nothing of it is done again while the list is fresh.
    found.ecr.list_image_referrers(**place)
    assert own_calls(found)[before:] == records


def test_of_what_was_not_fetched_there_is_no_record(found):
    found.ecr.create_repository(repositoryName=NAME)
    found.pull("none")
    assert own_calls(found) == []


@pytest.mark.inferred
def test_the_event_of_a_failure_says_why(found):
    """The keys are documented, the values of the last two are inferred."""
    found.pull("v1")
    found.pull(numbered(9).digest)
    found.pull("none")
    event = found.sim.events(type="ECR Pull Through Cache Action")[-1]
    assert event["resources"] == [f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{NAME}"]
    assert event["detail"] == {
        "rule-version": "1",
        "sync-status": "FAILED",
        "ecr-repository-prefix": "cache",
        "repository-name": NAME,
        "upstream-registry-url": "quay.io",
        "image-tag": "none",
        "failure-code": "ImageNotFound",
        "failure-reason": event["detail"]["failure-reason"],
    }
    by_digest = found.sim.events(type="ECR Pull Through Cache Action")[-2]["detail"]
    assert (by_digest["image-digest"], "image-tag" in by_digest) == (numbered(9).digest, False)
