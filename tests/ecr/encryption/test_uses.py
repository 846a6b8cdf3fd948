"""A key that cannot be used: what each operation answers, and that all is well again when the key is back.

Documented are the operations that answer KmsException, those whose failures say KmsError, and KMS's own states. KMS's
sentences are as KMS has them; that ECR passes them on is our reading.
"""

from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import build_image, call_application
from tests.answers import refused
from tests.keys import change_key, encrypted, make_key, revoke_all, shown_key
from tests.pushing import create, digest_of, push, push_layer, put

LAYER = b"a layer" * 100


def disable(sim, arn):
    change_key(sim, "disable", arn)


def let_go(sim, arn):
    change_key(sim, "schedule-deletion", arn, days=7)


def delete(sim, arn):
    change_key(sim, "schedule-deletion", arn, days=7)
    sim.advance(days=8)


#: Way → (how, KMS's code, KMS's sentence about the key, or a part of it).
WAYS: dict[str, Any] = {
    "disabled": (disable, "DisabledException", "{arn} is disabled."),
    "pending deletion": (let_go, "KMSInvalidStateException", "{arn} is pending deletion."),
    "deleted": (delete, "NotFoundException", "Key '{arn}' does not exist"),
    "denied": (revoke_all, "AccessDeniedException", "because no grant allows the kms:"),
}


@pytest.fixture
def key(sim, configure):
    # Longer than a key takes to be deleted.
    configure(upload_lifetime=30 * 24 * 3600)
    sim.freeze("2026-01-01T00:00:00Z")
    return make_key(sim)


@pytest.fixture(params=WAYS)
def lost(request, sim, key):
    """Takes the key away; answers KMS's code and the sentence."""
    how, code, sentence = WAYS[request.param]

    def lose() -> tuple[str, str]:
        how(sim, key)
        return code, sentence.format(arn=key)

    return lose


def kms_refusal(operation, **parameters):
    answer = refused(operation, **parameters)
    assert answer["Error"]["Code"] == "KmsException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    return answer["kmsError"], answer["Error"]["Message"]


def assert_lost(found, wanted):
    (code, message), (wanted_code, sentence) = found, wanted
    assert code == wanted_code
    assert sentence in message


@pytest.mark.documented
class TestOfOperations:
    # A repository that is new has grants of its own.
    @pytest.mark.parametrize("lost", ["disabled", "pending deletion", "deleted"], indirect=True)
    def test_create_repository(self, ecr, key, lost):
        wanted = lost()
        assert_lost(kms_refusal(ecr.create_repository, repositoryName="app", **encrypted(key)), wanted)
        assert ecr.describe_repositories()["repositories"] == []

    def test_initiate_layer_upload(self, ecr, key, lost):
        create(ecr, **encrypted(key))
        wanted = lost()
        assert_lost(kms_refusal(ecr.initiate_layer_upload, repositoryName="app"), wanted)

    def test_upload_layer_part(self, ecr, key, lost):
        create(ecr, **encrypted(key))
        place = {"repositoryName": "app", "uploadId": ecr.initiate_layer_upload(repositoryName="app")["uploadId"]}
        part = {"partFirstByte": 0, "partLastByte": len(LAYER) - 1, "layerPartBlob": LAYER}
        wanted = lost()
        assert_lost(kms_refusal(ecr.upload_layer_part, **place, **part), wanted)

    def test_complete_layer_upload(self, ecr, key, lost):
        create(ecr, **encrypted(key))
        place = {"repositoryName": "app", "uploadId": ecr.initiate_layer_upload(repositoryName="app")["uploadId"]}
        ecr.upload_layer_part(**place, partFirstByte=0, partLastByte=len(LAYER) - 1, layerPartBlob=LAYER)
        wanted = lost()
        found = kms_refusal(ecr.complete_layer_upload, **place, layerDigests=[digest_of(LAYER)])
        assert_lost(found, wanted)

    def test_put_image(self, ecr, key, lost):
        create(ecr, **encrypted(key))
        image = build_image()
        for data in image.blobs.values():
            push_layer(ecr, "app", data)
        wanted = lost()
        found = kms_refusal(ecr.put_image, repositoryName="app", imageManifest=image.manifest.decode())
        assert_lost(found, wanted)
        assert ecr.list_images(repositoryName="app")["imageIds"] == []

    @pytest.mark.parametrize("operation", ["batch_get_image", "batch_delete_image"])
    def test_batches_say_it_of_each_image(self, ecr, key, lost, operation):
        create(ecr, **encrypted(key))
        digest = push(ecr, "app", None, "v1")
        wanted = lost()
        ids = [{"imageTag": "v1"}, {"imageDigest": digest}, {"imageTag": "v2"}]
        failures = getattr(ecr, operation)(repositoryName="app", imageIds=ids)["failures"]
        assert [(each["imageId"], each["failureCode"]) for each in failures] == [
            (ids[0], "KmsError"),
            (ids[1], "KmsError"),
            (ids[2], "ImageNotFound"),
        ]
        assert_lost((wanted[0], failures[0]["failureReason"]), wanted)
        assert len(ecr.list_images(repositoryName="app")["imageIds"]) == 1

    @pytest.mark.inferred
    def test_what_says_nothing_of_keys_needs_none(self, ecr, key, lost):
        """DescribeImages and ListImages declare no KmsException."""
        create(ecr, **encrypted(key))
        digest = push(ecr, "app", None, "v1")
        lost()
        (image,) = ecr.describe_images(repositoryName="app")["imageDetails"]
        assert (image["imageDigest"], image["imageTags"]) == (digest, ["v1"])
        assert ecr.list_images(repositoryName="app")["imageIds"] == [{"imageDigest": digest, "imageTag": "v1"}]


@pytest.mark.documented
@pytest.mark.parametrize("kind", ["KMS", "KMS_DSSE"])
@pytest.mark.parametrize("way", ["disabled", "pending deletion"])
def test_it_recovers_when_the_key_returns(sim, client, kind, way):
    sim.freeze("2026-01-01T00:00:00Z")
    ecr, where = client(region="us-gov-west-1"), {"region": "us-gov-west-1"}
    key = make_key(sim, **where)
    create(ecr, **encrypted(key, kind))
    digest = push(ecr, "app", None, "v1")
    if way == "disabled":
        change_key(sim, "disable", key, **where)
    else:
        change_key(sim, "schedule-deletion", key, days=7, **where)
    assert kms_refusal(ecr.initiate_layer_upload, repositoryName="app")
    if way != "disabled":
        change_key(sim, "cancel-deletion", key, **where)
    change_key(sim, "enable", key, **where)
    push(ecr, "app", build_image(seed="more"), "v2")
    (image,) = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
    assert image["imageId"]["imageDigest"] == digest


@pytest.mark.documented
def test_a_key_disabled_in_the_middle_of_a_push_and_enabled_again(sim, ecr, key):
    """The bytes that came before are there, and the push goes on from them."""
    create(ecr, **encrypted(key))
    place = {"repositoryName": "app", "uploadId": ecr.initiate_layer_upload(repositoryName="app")["uploadId"]}
    ecr.upload_layer_part(**place, partFirstByte=0, partLastByte=len(LAYER) - 1, layerPartBlob=LAYER)
    change_key(sim, "disable", key)
    assert kms_refusal(ecr.complete_layer_upload, **place, layerDigests=[digest_of(LAYER)])
    change_key(sim, "enable", key)
    assert ecr.complete_layer_upload(**place, layerDigests=[digest_of(LAYER)])["layerDigest"] == digest_of(LAYER)
    image = build_image()
    for data in image.blobs.values():
        push_layer(ecr, "app", data)
    change_key(sim, "disable", key)
    assert kms_refusal(ecr.put_image, repositoryName="app", imageManifest=image.manifest.decode())
    change_key(sim, "enable", key)
    assert put(ecr, "app", image, "v1") == image.digest


# --- the registry protocol --------------------------------------------------------------------------------------------


def wire(sim, ecr, method, path, body=b"", **headers):
    (given,) = ecr.get_authorization_token()["authorizationData"]
    headers = {"Authorization": f"Basic {given['authorizationToken']}", **headers}
    return call_application(sim.app, method, f"http://localhost:5100{path}", headers, body)


@pytest.mark.inferred
class TestOnTheWire:
    """A docker that is refused shows the sentence: `denied: arn:aws:kms:… is disabled.`"""

    @pytest.fixture
    def image(self, sim, ecr, key):
        create(ecr, **encrypted(key))
        image = build_image()
        push(ecr, "app", image, "v1")
        return image

    @pytest.mark.parametrize("what", ["manifest", "blob", "head", "upload", "put", "delete"])
    def test_each_is_denied_and_recovers(self, sim, ecr, key, image, what):
        layer = digest_of(next(iter(image.blobs.values())))
        method, path, body, good = {
            "manifest": ("GET", "/v2/app/manifests/v1", b"", 200),
            "blob": ("GET", f"/v2/app/blobs/{layer}", b"", 200),
            "head": ("HEAD", "/v2/app/manifests/v1", b"", 200),
            "upload": ("POST", "/v2/app/blobs/uploads/", b"", 202),
            "put": ("PUT", "/v2/app/manifests/v2", image.manifest, 201),
            "delete": ("DELETE", f"/v2/app/manifests/{image.digest}", b"", 202),
        }[what]
        change_key(sim, "disable", key)
        refused_with = wire(sim, ecr, method, path, body)
        assert refused_with.status == 403
        if method != "HEAD":
            (error,) = refused_with.json()["errors"]
            assert error == {"code": "DENIED", "message": f"{key} is disabled."}
        change_key(sim, "enable", key)
        assert wire(sim, ecr, method, path, body).status == good

    def test_a_key_disabled_between_the_parts_of_a_push(self, sim, ecr, key, image):
        place = dict(wire(sim, ecr, "POST", "/v2/app/blobs/uploads/").headers)["Location"]
        change_key(sim, "disable", key)
        assert wire(sim, ecr, "PATCH", place, LAYER).status == 403
        change_key(sim, "enable", key)
        assert wire(sim, ecr, "PATCH", place, LAYER).status == 202
        change_key(sim, "disable", key)
        assert wire(sim, ecr, "PUT", f"{place}?digest={digest_of(LAYER)}").status == 403
        change_key(sim, "enable", key)
        assert wire(sim, ecr, "PUT", f"{place}?digest={digest_of(LAYER)}").status == 201


@pytest.mark.inferred
class TestDownloadUrl:
    """ECR gives the URL whatever the key is (KmsException is no error of that operation): S3 refuses the object."""

    @pytest.mark.parametrize("is_encrypted", [False, True])
    @pytest.mark.parametrize("way", WAYS)
    def test_it_is_refused_as_s3_refuses_it(self, tmp_path, way, is_encrypted):
        how, code, sentence = WAYS[way]
        with Ecrsim(data_dir=str(tmp_path), encrypt=is_encrypted, socket=False) as sim:
            sim.freeze("2026-01-01T00:00:00Z")
            ecr, key = sim.client("ecr"), make_key(sim)
            create(ecr, **encrypted(key))
            push(ecr, "app", build_image(LAYER), "v1")

            def url() -> str:
                found = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest_of(LAYER))
                return found["downloadUrl"]

            before = url()
            assert call_application(sim.app, "GET", before, {}).body == LAYER
            how(sim, key)
            for each in [url()] if way == "deleted" else [before, url()]:
                answer = call_application(sim.app, "GET", each, {})
                if way == "denied":
                    assert (answer.status, b"<Code>AccessDenied</Code>" in answer.body) == (403, True)
                else:
                    assert answer.status == 400
                    assert f"<Code>KMS.{code}</Code><Message>{sentence.format(arn=key)}" in answer.body.decode()
            if way == "disabled":
                change_key(sim, "enable", key)
                assert call_application(sim.app, "GET", before, {}).body == LAYER

    def test_it_leads_to_the_store_only_while_the_key_can_be_used(self, sim, ecr, key, configure, monkeypatch):
        configure(blob_redirect=True)
        monkeypatch.setattr(sim.runtime.blobs, "url", lambda *_: "https://bucket.example/layer", raising=False)
        create(ecr, **encrypted(key))
        push(ecr, "app", build_image(LAYER), "v1")
        asked = {"repositoryName": "app", "layerDigest": digest_of(LAYER)}
        assert ecr.get_download_url_for_layer(**asked)["downloadUrl"] == "https://bucket.example/layer"
        change_key(sim, "disable", key)
        url = ecr.get_download_url_for_layer(**asked)["downloadUrl"]
        assert call_application(sim.app, "GET", url, {}).status == 400


# --- deletion ---------------------------------------------------------------------------------------------------------


@pytest.mark.documented
def test_grants_are_made_and_retired_with_the_repository(sim, ecr, key):
    create(ecr, **encrypted(key))
    assert len(shown_key(sim, key)["grants"]) == 2
    ecr.delete_repository(repositoryName="app")
    assert shown_key(sim, key)["grants"] == []


@pytest.mark.documented
@pytest.mark.parametrize("way", ["disabled", "pending deletion"])
def test_grants_on_a_key_that_is_shut_are_retired_as_well(sim, ecr, key, way):
    create(ecr, **encrypted(key))
    WAYS[way][0](sim, key)
    assert ecr.delete_repository(repositoryName="app")["repository"]["repositoryName"] == "app"


@pytest.mark.documented
def test_the_repository_is_deleted_even_when_its_grants_cannot_be_retired(sim, ecr, key):
    """The sentence is AWS's own, to the letter; that the API says it as well as the console is our reading."""
    create(ecr, **encrypted(key))
    push(ecr, "app", None, "v1")
    delete(sim, key)
    code, message = kms_refusal(ecr.delete_repository, repositoryName="app", force=True)
    assert code == "NotFoundException"
    assert message == (
        f"The repository [app] has been deleted successfully but the grants created by the kmsKey [{key}] failed to be "
        "retired"
    )
    assert ecr.describe_repositories()["repositories"] == []
