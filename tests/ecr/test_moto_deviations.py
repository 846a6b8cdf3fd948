"""Where moto, the emulator that most tests were written against, differs from ECR: one test for each that we do not.

One of the known ones concerns an operation that is not built yet: replication's limit of one rule.
"""

import hashlib

import pytest

from ecrsim.testing import build_image
from tests.answers import refusal
from tests.api import post
from tests.ecr.lifecycle.policies import policy, rule
from tests.pushing import NOWHERE, create, described, entries, listed, numbered, push, put


@pytest.fixture
def app(ecr):
    create(ecr)
    return {"repositoryName": "app"}


def test_the_digest_of_an_image_is_that_of_its_manifest_and_not_of_its_layers(ecr, app):
    one, other = build_image(annotations={"a": "1"}), build_image(annotations={"a": "2"})
    assert one.blobs == other.blobs
    assert push(ecr, "app", one) == f"sha256:{hashlib.sha256(one.manifest).hexdigest()}"
    assert push(ecr, "app", other) == f"sha256:{hashlib.sha256(other.manifest).hexdigest()}"


def test_the_size_of_an_image_has_the_layers_in_it(ecr, app):
    push(ecr, "app", build_image(b"x" * 1000, config=b"{}"), "v1")
    assert described(ecr, "app", imageTag="v1")["imageSizeInBytes"] == 1002


def test_an_immutable_tag_answers_the_error_of_tags(ecr):
    create(ecr, imageTagMutability="IMMUTABLE")
    push(ecr, "app", numbered(1), "v1")
    put(ecr, "app", numbered(2))
    assert refusal(put, ecr=ecr, repository="app", image=numbered(2), tag="v1").code == "ImageTagAlreadyExistsException"


def test_a_mutability_filter_is_no_regular_expression(ecr):
    filters = [{"filterType": "WILDCARD", "filter": "v1.*"}]
    create(ecr, imageTagMutability="MUTABLE_WITH_EXCLUSION", imageTagMutabilityExclusionFilters=filters)
    push(ecr, "app", numbered(1), "v1x0")
    put(ecr, "app", numbered(1), "v1.0")
    put(ecr, "app", numbered(2), "v1x0")
    assert (
        refusal(put, ecr=ecr, repository="app", image=numbered(2), tag="v1.0").code == "ImageTagAlreadyExistsException"
    )


def test_deleting_by_tag_and_digest_leaves_the_other_tags(ecr, app):
    digest = push(ecr, "app", None, "v1", "v2")
    answer = ecr.batch_delete_image(**app, imageIds=[{"imageTag": "v1", "imageDigest": digest}])
    assert entries(answer) == [(digest, "v1")]
    assert listed(ecr, "app") == [(digest, "v2")]


def test_a_failure_of_a_pull_echoes_the_members_that_were_sent(ecr, app):
    answer = ecr.batch_get_image(**app, imageIds=[{"imageDigest": NOWHERE}, {"imageTag": "v1"}])
    assert [failure["imageId"] for failure in answer["failures"]] == [{"imageDigest": NOWHERE}, {"imageTag": "v1"}]


def test_a_pull_by_digest_gives_an_entry_for_each_tag(ecr, app):
    digest = push(ecr, "app", None, "v1", "v2")
    answer = ecr.batch_get_image(**app, imageIds=[{"imageDigest": digest}])
    assert [image["imageId"]["imageTag"] for image in answer["images"]] == ["v1", "v2"]


def test_describing_repositories_has_pages_and_no_failures(sim, ecr):
    for name in ("aa", "bb"):
        create(ecr, name)
    answer = post(sim, "DescribeRepositories", {"maxResults": 1}).json()
    assert set(answer) == {"repositories", "nextToken"}
    assert len(answer["repositories"]) == 1
    assert set(post(sim, "DescribeRepositories", {"repositoryNames": ["aa"]}).json()) == {"repositories"}


def test_a_manifest_without_a_media_type_is_invalid_json_to_ecr(ecr, app):
    found = refusal(ecr.put_image, **app, imageManifest='{"schemaVersion": 2}')
    assert found == (
        "InvalidParameterException",
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'",
    )


def test_layers_must_be_there_and_have_the_digest_that_they_are_given(ecr, app):
    assert refusal(put, ecr=ecr, repository="app", image=build_image()).code == "LayersNotFoundException"
    upload = {**app, "uploadId": ecr.initiate_layer_upload(**app)["uploadId"]}
    ecr.upload_layer_part(**upload, partFirstByte=0, partLastByte=0, layerPartBlob=b"x")
    assert refusal(ecr.complete_layer_upload, **upload, layerDigests=[NOWHERE]).code == "InvalidLayerException"


def test_an_image_that_loses_its_only_tag_stays(ecr, app):
    first = push(ecr, "app", numbered(1), "v1")
    second = push(ecr, "app", numbered(2))
    put(ecr, "app", numbered(2), "v1")
    assert listed(ecr, "app") == [(first, None), (second, "v1")]


def test_a_layer_that_is_unknown_is_unavailable(ecr, app):
    answer = ecr.batch_check_layer_availability(**app, layerDigests=[NOWHERE])
    assert answer["failures"] == []
    assert [layer["layerAvailability"] for layer in answer["layers"]] == ["UNAVAILABLE"]


def test_a_token_expires_in_the_future(sim, ecr):
    token = ecr.get_authorization_token()["authorizationData"][0]
    assert token["expiresAt"].timestamp() * 1000 > sim.runtime.clock.now()


@pytest.mark.parametrize("operation", ["PutImage", "ListImages", "BatchDeleteImage"])
def test_an_unknown_repository_is_an_error_of_the_service_and_no_500(sim, operation):
    members = {"repositoryName": "none", "imageManifest": "{", "imageIds": [{}]}
    answer = post(sim, operation, members)
    assert (answer.status, answer.json()["__type"]) == (400, "RepositoryNotFoundException")


def test_a_policy_was_evaluated_when_it_ran_and_not_now(ecr, sim, app):
    ecr.put_lifecycle_policy(**app, lifecyclePolicyText=policy(rule(keep=1)))
    assert ecr.get_lifecycle_policy(**app)["lastEvaluatedAt"].timestamp() == 0
    (ran,) = sim.advance(days=1)
    sim.advance(hours=5)
    assert ecr.get_lifecycle_policy(**app)["lastEvaluatedAt"].timestamp() * 1000 == ran.at
