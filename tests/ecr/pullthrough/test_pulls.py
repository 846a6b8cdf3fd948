"""Pulling through a cache: what is fetched, when it is asked for again, and what failures look like."""

import threading

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, refusal
from tests.core.upstream.servers import Registry
from tests.ecr.pullthrough.caching import error_of
from tests.pushing import artifact_of, digest_of, index_of, numbered, push

IMAGE, NEWER = build_image(b"a layer", b"another"), build_image(b"a layer", b"a newer one")
INDEX = index_of(IMAGE, NEWER)


def shelf(**images):
    return Registry({"library/app": images})


@pytest.mark.documented
class TestFirstPull:
    @pytest.mark.parametrize("reference", ["v1", IMAGE.digest])
    def test_the_image_is_fetched_and_served(self, cache, reference):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        answer = found.pull(reference)
        assert (answer.status, answer.body) == (200, IMAGE.manifest)
        assert found.whole(reference) == IMAGE.blobs
        tags = ["v1"] if reference == "v1" else []
        (detail,) = found.ecr.describe_images(repositoryName="cache/library/app")["imageDetails"]
        assert (detail["imageDigest"], detail.get("imageTags", [])) == (IMAGE.digest, tags)

    def test_it_is_fetched_once(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        for _ in range(3):
            found.whole("v1")
            found.pull(IMAGE.digest)
        asked = found.asked()
        assert sorted(asked) == sorted({"GET manifests/v1", *(f"GET blobs/{digest}" for digest in IMAGE.blobs)})

    def test_a_head_fetches_it_too(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        answer = found.pull("v1", method="HEAD")
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (200, IMAGE.digest)

    @pytest.mark.parametrize("image_id", [{"imageTag": "v1"}, {"imageDigest": IMAGE.digest}])
    def test_the_api_fetches_it_as_well(self, cache, image_id):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        (image,) = found.get(**image_id)["images"]
        assert image["imageManifest"].encode() == IMAGE.manifest
        layer = next(iter(IMAGE.blobs))
        answer = found.ecr.get_download_url_for_layer(repositoryName="cache/library/app", layerDigest=layer)
        assert "/_download/" in answer["downloadUrl"]

    def test_an_index_comes_with_all_that_it_lists(self, cache):
        found = cache(Registry({"library/app": {"v1": INDEX, "a": IMAGE, "b": NEWER}}))
        found.rule()
        assert found.pull("v1").body == INDEX.manifest
        found.asked()
        for image in (IMAGE, NEWER):
            assert found.whole(image.digest) == image.blobs
        assert found.asked() == []

    def test_one_image_of_an_index_comes_alone(self, cache):
        found = cache(Registry({"library/app": {"v1": INDEX, "a": IMAGE, "b": NEWER}}))
        found.rule()
        found.pull(IMAGE.digest)
        details = found.ecr.describe_images(repositoryName="cache/library/app")["imageDetails"]
        assert [detail["imageDigest"] for detail in details] == [IMAGE.digest]

    def test_the_repository_is_made_by_its_template(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.ecr.create_repository_creation_template(
            prefix="cache",
            appliedFor=["PULL_THROUGH_CACHE"],
            resourceTags=[{"Key": "by", "Value": "cache"}],
            customRoleArn=f"arn:aws:iam::{ACCOUNT}:role/r",
        )
        found.pull("v1")
        (made,) = found.ecr.describe_repositories()["repositories"]
        tags = found.ecr.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"]
        assert (made["repositoryName"], tags) == ("cache/library/app", [{"Key": "by", "Value": "cache"}])

    def test_a_template_without_its_role_looks_like_no_repository(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.ecr.create_repository_creation_template(
            prefix="cache", appliedFor=["PULL_THROUGH_CACHE"], resourceTags=[{"Key": "by", "Value": "cache"}]
        )
        assert error_of(found.pull("v1"))[:2] == (404, "NAME_UNKNOWN")
        assert found.names() == []

    def test_the_event_names_rule_and_repository(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.pull("v1")
        (event,) = found.sim.events(type="ECR Pull Through Cache Action")
        assert event["resources"] == [f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/cache/library/app"]
        assert event["detail"] == {
            "rule-version": "1",
            "sync-status": "SUCCESS",
            "ecr-repository-prefix": "cache",
            "repository-name": "cache/library/app",
            "upstream-registry-url": "quay.io",
            "image-tag": "v1",
            "image-digest": IMAGE.digest,
        }

    def test_the_trail_has_what_ecr_did_itself(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.pull("v1")
        records = [event["detail"] for event in found.sim.events(type="AWS API Call via CloudTrail")]
        made = [each for each in records if each["userIdentity"].get("invokedBy") == "ecr.amazonaws.com"]
        assert [each["eventName"] for each in made] == [
            "CreateRepository",
            "BatchGetImage",
            *["GetDownloadUrlForLayer"] * len(IMAGE.blobs),
            "PutImage",
        ]
        assert [each["readOnly"] for each in made] == [False, True, *[True] * len(IMAGE.blobs), False]

    def test_names_outside_of_the_rule_are_as_ever(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        for name in ("other/app", "cache", "cached/app"):
            assert error_of(found.pull("v1", name))[:2] == (404, "NAME_UNKNOWN")
        assert found.asked() == []

    @pytest.mark.inferred
    def test_what_is_pushed_to_a_repository_of_a_cache_is_pulled_from_there(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.ecr.create_repository(repositoryName="cache/library/app")
        push(found.ecr, "cache/library/app", NEWER, "mine")
        assert found.whole("mine") == NEWER.blobs
        assert found.asked() == ["HEAD manifests/mine"]
        assert found.pull("v1").body == IMAGE.manifest

    def test_a_cached_repository_is_an_ordinary_one(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.pull("v1")
        found.ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="cache")
        found.upstream.close()
        assert found.whole("v1") == IMAGE.blobs
        found.ecr.batch_delete_image(repositoryName="cache/library/app", imageIds=[{"imageTag": "v1"}])
        assert error_of(found.pull("v1"))[:2] == (404, "MANIFEST_UNKNOWN")


@pytest.mark.documented
class TestFreshness:
    def test_a_tag_is_looked_up_again_after_a_day(self, cache):
        registry = shelf(v1=IMAGE)
        found = cache(registry)
        found.rule()
        found.pull("v1")
        registry.images["library/app"]["v1"] = NEWER
        found.asked()

        found.sim.advance(hours=23, minutes=59)
        assert found.pull("v1").body == IMAGE.manifest
        assert found.asked() == []
        found.sim.advance(minutes=1)
        assert found.pull("v1").body == NEWER.manifest
        assert found.get(imageTag="v1")["images"][0]["imageId"]["imageDigest"] == NEWER.digest
        asked = found.asked()
        assert asked[:2] == ["HEAD manifests/v1", "GET manifests/v1"]
        # The layer that both have is there already.
        assert len(asked) == 2 + len(NEWER.blobs.keys() - IMAGE.blobs.keys())

    def test_one_that_has_not_moved_costs_one_look(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.pull("v1")
        found.sim.advance(days=1)
        found.asked()
        for _ in range(2):
            assert found.pull("v1").body == IMAGE.manifest
        assert found.asked() == ["HEAD manifests/v1"]

    def test_a_digest_is_never_looked_up_again(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.pull("v1")
        found.sim.advance(days=30)
        found.asked()
        assert found.pull(IMAGE.digest).status == 200
        assert found.asked() == []

    @pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
    def test_when_the_upstream_fails_what_is_cached_is_served(self, cache, status):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.pull("v1")
        found.sim.advance(days=1)
        found.upstream.answer = lambda handler: handler.give(status)
        assert found.pull("v1").body == IMAGE.manifest
        assert found.get(imageTag="v1")["failures"] == []

    @pytest.mark.inferred
    def test_an_upstream_that_failed_is_left_alone_for_a_minute(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.pull("v1")
        found.sim.advance(days=1)
        found.upstream.answer, good = lambda handler: handler.give(500), found.upstream.answer
        found.pull("v1")
        found.asked()
        found.pull("v1")
        assert found.asked() == []
        found.upstream.answer = good
        found.sim.advance(minutes=1)
        found.pull("v1")
        assert found.asked() == ["HEAD manifests/v1"]

    def test_an_immutable_tag_is_not_refreshed(self, cache):
        registry = shelf(v1=IMAGE)
        found = cache(registry)
        found.rule()
        found.pull("v1")
        found.ecr.put_image_tag_mutability(repositoryName="cache/library/app", imageTagMutability="IMMUTABLE")
        registry.images["library/app"]["v1"] = NEWER
        found.sim.advance(days=2)
        assert found.pull("v1").body == IMAGE.manifest

    def test_an_image_that_was_deleted_is_fetched_again(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.pull("v1")
        found.ecr.batch_delete_image(repositoryName="cache/library/app", imageIds=[{"imageTag": "v1"}])
        assert found.pull("v1").body == IMAGE.manifest


#: What the upstream does, status and code on /v2/, code of the failure of BatchGetImage.
REFUSALS = {
    "403": (lambda handler: handler.give(403), (403, "DENIED"), "UpstreamAccessDenied"),
    "401": (lambda handler: handler.give(401), (403, "DENIED"), "UpstreamAccessDenied"),
    "429": (lambda handler: handler.give(429), (429, "TOOMANYREQUESTS"), "UpstreamTooManyRequests"),
    "500": (lambda handler: handler.give(500), (503, "UNAVAILABLE"), "UpstreamUnavailable"),
    "HTML": (
        lambda handler: handler.give(200, b"<html>", {"Content-Type": "text/html"}),
        (502, "UNAVAILABLE"),
        "UpstreamUnavailable",
    ),
    "a redirect loop": (
        lambda handler: handler.give(302, headers={"Location": handler.path}),
        (502, "UNAVAILABLE"),
        "UpstreamUnavailable",
    ),
    "a cut": (lambda handler: handler.cut(), (503, "UNAVAILABLE"), "UpstreamUnavailable"),
    "a manifest of schema 1": (
        lambda handler: handler.give(
            200, b'{"schemaVersion": 1}', {"Content-Type": "application/vnd.docker.distribution.manifest.v1+json"}
        ),
        (502, "UNAVAILABLE"),
        "UpstreamUnavailable",
    ),
}


class TestFailures:
    """Nothing is cached yet. Sentences of the upstream's side are ecrsim's own."""

    @pytest.mark.documented
    def test_there_is_no_such_image(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        for _ in range(2):
            assert error_of(found.pull("v2")) == (404, "MANIFEST_UNKNOWN", "Requested image not found")
        assert found.names() == []
        found.pull("v1")
        assert found.get(imageTag="v2")["failures"] == [
            {
                "imageId": {"imageTag": "v2"},
                "failureCode": "ImageNotFound",
                "failureReason": "Requested image not found",
            }
        ]

    @pytest.mark.parametrize(("answer", "registry", "api"), REFUSALS.values(), ids=REFUSALS)
    def test_what_the_puller_is_told(self, cache, answer, registry, api):
        found = cache(answer)
        found.rule()
        assert error_of(found.pull("v1"))[:2] == registry
        assert refusal(found.ecr.batch_get_image, repositoryName="cache/x", imageIds=[{"imageTag": "v1"}]).code == (
            "UnableToGetUpstreamImageException"
        )
        found.ecr.create_repository(repositoryName="cache/library/app")
        (failure,) = found.get(imageTag="v1")["failures"]
        assert failure["failureCode"] == api
        assert found.ecr.describe_images(repositoryName="cache/library/app")["imageDetails"] == []

    def test_retry_after_is_passed_on(self, cache):
        found = cache(lambda handler: handler.give(429, headers={"Retry-After": "3600"}))
        found.rule()
        assert found.pull("v1").headers["Retry-After"] == "3600"

    def test_a_layer_of_wrong_bytes_is_never_stored(self, cache):
        wrong = IMAGE._replace(blobs={digest: data[:-1] + b"!" for digest, data in IMAGE.blobs.items()})
        found = cache(shelf(v1=wrong))
        found.rule()
        assert found.pull("v1").status == 200  # the manifest is right
        layers = list(IMAGE.blobs)
        for digest in layers:
            blob = found.ask("GET", f"/v2/cache/library/app/blobs/{digest}")
            assert error_of(blob)[:2] == (502, "UNAVAILABLE")
            place = {"repositoryName": "cache/library/app", "layerDigest": digest}
            refused = refusal(found.ecr.get_download_url_for_layer, **place)
            assert refused.code == "UnableToGetUpstreamLayerException"
        assert found.ecr.describe_images(repositoryName="cache/library/app")["imageDetails"] == []
        assert found.get(imageTag="v1")["failures"][0]["failureCode"] == "UpstreamUnavailable"
        checked = found.ecr.batch_check_layer_availability(repositoryName="cache/library/app", layerDigests=layers)
        assert {layer["layerAvailability"] for layer in checked["layers"]} == {"UNAVAILABLE"}
        found.settle()
        assert list(found.sim.runtime.blobs.uploads()) == []

    def test_the_event_of_a_failure(self, cache):
        found = cache(shelf(v1=IMAGE))
        found.rule()
        found.pull("v1")
        found.pull("v2")
        detail = found.synced()[-1]
        assert (detail["sync-status"], detail["failure-code"], detail["image-tag"]) == ("FAILED", "ImageNotFound", "v2")

    def test_no_network_is_used_that_was_not_allowed(self, cache):
        found = cache(shelf(v1=IMAGE), name="quay.io")
        found.ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="k8s", upstreamRegistryUrl="registry.k8s.io")
        status, code, message = error_of(found.pull("v1", "k8s/library/app"))
        assert (status, code) == (403, "DENIED")
        assert "--upstream registry.k8s.io=URL" in message
        assert found.asked() == []


class TestManyAtOnce:
    def test_a_hundred_pullers_cause_one_fetch(self, cache):
        registry = shelf(v1=IMAGE)
        entered, go = threading.Event(), threading.Event()

        def answer(handler):
            entered.set()
            go.wait(30)
            return registry(handler)

        found = cache(answer)
        found.rule()
        token = found.token
        answers = []
        pullers = [
            threading.Thread(
                target=lambda: answers.append(found.ask("GET", "/v2/cache/library/app/manifests/v1", token))
            )
            for _ in range(100)
        ]
        for puller in pullers:
            puller.start()
        entered.wait(30)
        go.set()
        for puller in pullers:
            puller.join(60)
        assert [each.status for each in answers] == [200] * 100
        assert {each.body for each in answers} == {IMAGE.manifest}
        found.settle()
        assert len(found.asked()) == 1 + len(IMAGE.blobs)

    def test_different_images_of_one_repository_share_their_layers(self, cache):
        images = {f"v{number}": numbered(number) for number in range(5)}
        found = cache(Registry({"library/app": images}))
        found.rule()
        token = found.token
        pullers = [
            threading.Thread(target=found.ask, args=("GET", f"/v2/cache/library/app/manifests/{tag}", token))
            for tag in images
        ]
        for puller in pullers:
            puller.start()
        for puller in pullers:
            puller.join(60)
        found.settle()
        asked = found.asked()
        assert sum("blobs" in each for each in asked) == len(numbered(0).blobs)
        assert sum("manifests" in each for each in asked) == 5


class TestReferrers:
    SBOM = artifact_of(IMAGE)

    @pytest.fixture
    def found(self, cache):
        registry = Registry({"library/app": {"v1": IMAGE, "sbom": self.SBOM}})
        entry = {"mediaType": self.SBOM.media_type, "digest": self.SBOM.digest, "size": len(self.SBOM.manifest)}
        registry.referrers[IMAGE.digest] = [entry]
        found = cache(registry)
        found.rule()
        found.pull("v1")
        found.asked()
        return found

    def listed(self, found):
        answer = found.ecr.list_image_referrers(
            repositoryName="cache/library/app", subjectId={"imageDigest": IMAGE.digest}
        )
        return [entry["digest"] for entry in answer["referrers"]]

    @pytest.mark.recorded
    def test_a_pull_does_not_fetch_them_and_a_list_does(self, found):
        assert len(found.ecr.describe_images(repositoryName="cache/library/app")["imageDetails"]) == 1
        assert self.listed(found) == [self.SBOM.digest]
        assert found.asked()[0] == f"GET referrers/{IMAGE.digest}"

    @pytest.mark.documented
    def test_they_are_asked_for_again_after_six_hours(self, found):
        self.listed(found)
        found.asked()
        found.sim.advance(hours=5, minutes=59)
        self.listed(found)
        assert found.asked() == []
        found.sim.advance(minutes=1)
        self.listed(found)
        assert found.asked() == [f"GET referrers/{IMAGE.digest}"]

    def test_on_the_registry_plane_too(self, found):
        answer = found.ask("GET", f"/v2/cache/library/app/referrers/{IMAGE.digest}")
        assert [entry["digest"] for entry in answer.json()["manifests"]] == [self.SBOM.digest]

    @pytest.mark.documented
    def test_an_upstream_that_has_never_answered(self, found):
        found.upstream.answer = lambda handler: handler.give(500)
        place = {"repositoryName": "cache/library/app", "subjectId": {"imageDigest": IMAGE.digest}}
        assert refusal(found.ecr.list_image_referrers, **place).code == "UnableToListUpstreamImageReferrersException"

    def test_of_what_nobody_names_there_are_none(self, found):
        digest = digest_of(b"nobody")
        answer = found.ecr.list_image_referrers(repositoryName="cache/library/app", subjectId={"imageDigest": digest})
        assert answer["referrers"] == []
