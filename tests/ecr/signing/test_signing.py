"""What is signed, as whom, what becomes of it, and how it stands meanwhile."""

import json

import pytest

from ecrsim.ecr.signing import making
from ecrsim.testing import build_image, call_application
from tests.answers import ACCOUNT, inferred, recorded, refusal, repository_not_found
from tests.ecr.signing.conftest import NOTARY, arn_of, configure, make_profiles, referrers, rule, statuses
from tests.principals import admin, client_of, client_of_session, denied, document, know, statement, user
from tests.pushing import OCI_INDEX, artifact_of, create, push, put

OTHER = "111111111111"
PUSH = ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage", "BatchCheckLayerAvailability")


class TestStatus:
    @pytest.mark.documented
    def test_in_progress_and_then_complete(self, signed):
        digest = push(signed.ecr, "app", None, "v1")
        answer = signed.ecr.describe_image_signing_status(repositoryName="app", imageId={"imageDigest": digest})
        assert answer["repositoryName"] == "app"
        assert answer["registryId"] == ACCOUNT
        assert answer["imageId"] == {"imageDigest": digest}
        assert answer["signingStatuses"] == [{"signingProfileArn": arn_of("prod"), "status": "IN_PROGRESS"}]
        signed.wait()
        answer = signed.ecr.describe_image_signing_status(repositoryName="app", imageId={"imageTag": "v1"})
        assert answer["signingStatuses"] == [{"signingProfileArn": arn_of("prod"), "status": "COMPLETE"}]

    @pytest.mark.recorded
    def test_as_long_as_in_ecr(self, signed, configure):
        configure(aws_delays=True)
        push(signed.ecr, "app", None, "v1")
        signed.wait(59)
        assert statuses(signed.ecr) == {"prod": "IN_PROGRESS"}
        signed.wait(1)
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}

    @pytest.mark.documented
    def test_one_for_each_profile(self, signed):
        make_profiles(signed.sim, "prod", "audit", "other")
        configure(signed.ecr, rule("prod"), rule("audit", "a*"), rule("prod", "app"), rule("other", "b*"))
        digest = push(signed.ecr, "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "COMPLETE", "audit": "COMPLETE"}
        assert len(referrers(signed.ecr, digest)) == 2

    @pytest.mark.inferred
    def test_none_of_what_was_pushed_before_there_was_a_rule(self, signed):
        signed.ecr.delete_signing_configuration()
        push(signed.ecr, "app", None, "v1")
        configure(signed.ecr, rule())
        signed.wait(10)
        assert statuses(signed.ecr) == {}

    def test_errors_of_what_is_not_there(self, signed):
        ask = signed.ecr.describe_image_signing_status
        assert refusal(ask, repositoryName="nope", imageId={"imageTag": "v1"}) == repository_not_found("nope")
        missing = refusal(ask, repositoryName="app", imageId={"imageTag": "v1"})
        assert missing == recorded(
            "ImageNotFoundException",
            "The image with imageId {imageDigest:'null', imageTag:'v1'} does not exist within the repository with name "
            f"'app' in the registry with id '{ACCOUNT}'",
        )
        assert refusal(ask, repositoryName="app", imageId={}).code == "InvalidParameterException"


class TestWhatIsSigned:
    def test_an_index_and_what_it_lists(self, signed):
        child = build_image()
        push(signed.ecr, "app", child)
        listed = {"mediaType": child.media_type, "digest": child.digest, "size": len(child.manifest)}
        answer = signed.ecr.put_image(
            repositoryName="app",
            imageManifest=json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listed]}),
            imageTag="v1",
        )
        index = answer["image"]["imageId"]["imageDigest"]
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}
        assert signed.open(index).target.media_type == OCI_INDEX
        assert signed.open(child.digest).target.digest == child.digest

    @pytest.mark.documented
    def test_a_signature_is_not_signed_and_no_other_referrer_either(self, signed):
        image = build_image()
        push(signed.ecr, "app", image, "v1")
        attached = push(signed.ecr, "app", artifact_of(image))
        signed.wait(10)
        (signature,) = referrers(signed.ecr, image.digest)
        for digest in (attached, signature["digest"]):
            assert statuses(signed.ecr, imageDigest=digest) == {}
            assert referrers(signed.ecr, digest) == []

    @pytest.mark.inferred
    def test_an_image_that_is_signed_is_not_signed_again(self, signed):
        image = build_image()
        digest = push(signed.ecr, "app", image, "v1")
        signed.wait()
        put(signed.ecr, "app", image, "v2")
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}
        signed.wait(10)
        assert len(referrers(signed.ecr, digest)) == 1

    def test_two_tags_of_one_push_are_one_signature(self, signed):
        digest = push(signed.ecr, "app", None, "v1", "v2", "v3")
        signed.wait(10)
        assert len(referrers(signed.ecr, digest)) == 1

    def test_only_repositories_that_a_filter_names(self, signed):
        configure(signed.ecr, rule("prod", "team/*"))
        for name in ("team/web", "web"):
            create(signed.ecr, name)
            push(signed.ecr, name, None, "v1")
        signed.wait()
        assert statuses(signed.ecr, "team/web") == {"prod": "COMPLETE"}
        assert statuses(signed.ecr, "web") == {}

    def test_what_is_deleted_meanwhile_needs_no_signature(self, signed):
        digest = push(signed.ecr, "app", None, "v1")
        signed.ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": digest}])
        signed.wait(10)
        assert signed.ecr.describe_images(repositoryName="app")["imageDetails"] == []

    def test_a_repository_that_is_deleted_meanwhile(self, signed):
        push(signed.ecr, "app", None, "v1")
        signed.ecr.delete_repository(repositoryName="app", force=True)
        signed.wait(10)
        create(signed.ecr)
        assert signed.ecr.describe_images(repositoryName="app")["imageDetails"] == []

    @pytest.mark.documented
    def test_deleting_the_configuration_leaves_signatures(self, signed):
        digest = push(signed.ecr, "app", None, "v1")
        signed.wait()
        signed.ecr.delete_signing_configuration()
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}
        assert len(referrers(signed.ecr, digest)) == 1

    def test_a_public_repository_is_not_signed(self, signed):
        public = signed.sim.client("ecr-public")
        create(public)
        push(public, "app", None, "v1")
        signed.wait(10)
        assert [each["imageTags"] for each in public.describe_images(repositoryName="app")["imageDetails"]] == [["v1"]]


class TestAsWhom:
    """A signature is made as the principal that pushed (documented)."""

    def know(self, sim, *statements, **profile):
        know(
            sim,
            {
                "users": [user("dev", document(statement(*(f"ecr:{action}" for action in PUSH)), *statements))],
                "signing_profiles": [{"name": "prod", **profile}],
            },
        )
        return client_of(sim, "dev")

    def test_with_the_right_to_sign(self, signed):
        dev = self.know(signed.sim, statement("signer:SignPayload", resource=arn_of("prod")))
        digest = push(dev, "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}
        assert len(referrers(signed.ecr, digest)) == 1

    def test_without_it_the_image_is_there_and_the_signature_is_not(self, signed):
        dev = self.know(signed.sim)
        digest = push(dev, "app", None, "v1")
        signed.wait()
        (status,) = signed.ecr.describe_image_signing_status(repositoryName="app", imageId={"imageTag": "v1"})[
            "signingStatuses"
        ]
        assert (status["status"], status["failureCode"]) == recorded("FAILED", "ACCESS_DENIED")
        sentence = denied(f"arn:aws:iam::{ACCOUNT}:user/dev", "X", arn_of("prod")).replace(
            "ecr:X", "signer:SignPayload"
        )
        assert status["failureReason"] == inferred("", sentence).message
        assert referrers(signed.ecr, digest) == []

    @pytest.mark.parametrize("resource", [arn_of("other"), arn_of("prod") + "x"])
    def test_the_right_to_sign_with_another_profile(self, signed, resource):
        push(self.know(signed.sim, statement("signer:SignPayload", resource=resource)), "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "ACCESS_DENIED"}

    @pytest.mark.parametrize(("limit", "expected"), [("*", "COMPLETE"), ("ecr:*", "ACCESS_DENIED")])
    def test_the_session_of_a_role_has_its_own_limits(self, signed, limit, expected):
        trust = document({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"})
        role = {"name": "pusher", "trust": trust, "policies": ["AdministratorAccess"]}
        administrator = user("dev", "AdministratorAccess")
        know(signed.sim, {"users": [administrator], "roles": [role], "signing_profiles": [{"name": "prod"}]})
        session = client_of(signed.sim, "dev", "sts").assume_role(
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/pusher",
            RoleSessionName="build",
            Policy=json.dumps(document(statement(limit))),
        )
        push(client_of_session(signed.sim, session), "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": expected}

    def test_a_condition_on_the_version(self, signed):
        condition = {"StringEquals": {"signer:ProfileVersion": "nope"}}
        push(self.know(signed.sim, statement("signer:SignPayload", Condition=condition)), "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "ACCESS_DENIED"}

    def test_the_right_to_push_is_needed_for_the_signature_as_well(self, signed):
        dev = self.know(signed.sim, statement("signer:SignPayload"))
        push(dev, "app", None, "v1")
        know(signed.sim, {"users": [user("dev", document(statement("signer:SignPayload")))]})
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "ACCESS_DENIED"}

    @pytest.mark.recorded
    def test_a_right_that_is_given_afterwards_lets_the_signature_come_late(self, signed):
        dev = self.know(signed.sim)
        digest = push(dev, "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "ACCESS_DENIED"}
        self.know(signed.sim, statement("signer:SignPayload"))
        signed.wait(60)
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}
        assert len(referrers(signed.ecr, digest)) == 1

    @pytest.mark.inferred
    def test_a_right_that_is_never_given(self, signed):
        push(self.know(signed.sim), "app", None, "v1")
        signed.wait(3600)
        self.know(signed.sim, statement("signer:SignPayload"))
        signed.wait(24 * 3600)
        assert statuses(signed.ecr) == {"prod": "ACCESS_DENIED"}

    @pytest.mark.inferred
    def test_pushing_again_tries_again(self, signed):
        image = build_image()
        push(self.know(signed.sim), "app", image, "v1")
        signed.wait(3600)
        put(signed.ecr, "app", image, "v2")
        assert statuses(signed.ecr) == {"prod": "IN_PROGRESS"}
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}

    def test_what_was_decided_is_in_the_audit(self, signed):
        push(self.know(signed.sim), "app", None, "v1")
        signed.wait()
        records = admin(signed.sim, "GET", "audit?limit=1000").json()["records"]
        (found,) = [each for each in records if each["action"] == "signer:SignPayload"]
        assert found["principal"] == f"arn:aws:iam::{ACCOUNT}:user/dev"
        assert found["resource"] == arn_of("prod")
        assert found["decision"] == "denied"

    class TestAnotherAccountsProfile:
        @pytest.fixture(autouse=True)
        def _rule(self, signed):
            configure(signed.ecr, rule("prod", account=OTHER))

        def test_that_is_not_shared(self, signed):
            make_profiles(signed.sim, {"name": "prod", "account": OTHER})
            push(signed.ecr, "app", None, "v1")
            signed.wait()
            assert statuses(signed.ecr) == {"prod": "ACCESS_DENIED"}

        @pytest.mark.documented
        @pytest.mark.parametrize("shared", [ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"])
        def test_that_is_shared(self, signed, shared):
            make_profiles(signed.sim, {"name": "prod", "account": OTHER, "shared_with": [shared]})
            digest = push(signed.ecr, "app", None, "v1")
            signed.wait()
            assert statuses(signed.ecr) == {"prod": "COMPLETE"}
            assert f":{OTHER}:" in str(signed.open(digest).profile_version_arn)


@pytest.mark.inferred
class TestFailure:
    @pytest.mark.parametrize(
        ("profiles", "code"),
        [
            ([], "SIGNING_PROFILE_NOT_FOUND"),
            ([{"name": "prod", "platform_id": "AWSLambda-SHA384-ECDSA"}], "UNSUPPORTED_PLATFORM"),
        ],
    )
    def test_of_a_profile(self, signed, profiles, code):
        make_profiles(signed.sim, *profiles)
        push(signed.ecr, "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": code}

    @pytest.mark.parametrize(
        ("end", "code"),
        [
            (lambda sim, _: make_profiles(sim), "SIGNING_PROFILE_NOT_FOUND"),
            (lambda _, signer: signer.cancel_signing_profile(profileName="prod"), "SIGNING_PROFILE_NOT_ACTIVE"),
        ],
        ids=["deleted", "cancelled"],
    )
    def test_of_a_profile_that_ends_while_its_signature_is_made(self, signed, client, monkeypatch, end, code):
        make = making.make

        def end_and_make(*arguments):
            end(signed.sim, client("signer"))
            return make(*arguments)

        monkeypatch.setattr(making, "make", end_and_make)
        digest = push(signed.ecr, "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": code}
        assert referrers(signed.ecr, digest) == []

    def test_of_a_quota(self, signed, configure):
        configure(quota_images=1)
        push(signed.ecr, "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "LIMIT_EXCEEDED"}

    def test_the_push_itself_succeeds_and_says_nothing(self, signed):
        make_profiles(signed.sim)
        push(signed.ecr, "app", None, "v1")
        signed.wait()
        (image,) = signed.ecr.describe_images(repositoryName="app")["imageDetails"]
        assert image["imageTags"] == ["v1"]


class TestInterrupted:
    """What a process that dies in between leaves behind is a job that is still due."""

    def break_off(self, monkeypatch, times):
        put, left = making.put, [times]

        def put_or_die(*arguments):
            if left[0]:
                left[0] -= 1
                raise RuntimeError("killed")
            put(*arguments)

        monkeypatch.setattr(making, "put", put_or_die)

    def test_it_is_signed_once_all_the_same(self, signed, monkeypatch):
        self.break_off(monkeypatch, 2)
        digest = push(signed.ecr, "app", None, "v1")
        signed.wait()
        assert statuses(signed.ecr) == {"prod": "IN_PROGRESS"}
        assert referrers(signed.ecr, digest) == []
        signed.wait(3600)
        assert statuses(signed.ecr) == {"prod": "COMPLETE"}
        assert len(referrers(signed.ecr, digest)) == 1

    def test_what_never_succeeds_is_given_up(self, signed, monkeypatch):
        self.break_off(monkeypatch, 100)
        push(signed.ecr, "app", None, "v1")
        signed.sim.advance(days=1)
        assert statuses(signed.ecr) == {"prod": "INTERNAL_ERROR"}


def test_the_type_of_a_signature_is_seen_by_the_registry_plane(signed):
    digest = push(signed.ecr, "app", None, "v1")
    signed.wait()
    token = signed.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    url = f"{signed.sim.endpoint_url}/v2/app/referrers/{digest}?artifactType={NOTARY}"
    answer = call_application(signed.sim.app, "GET", url, {"Authorization": f"Basic {token}"}, b"")
    (found,) = answer.json()["manifests"]
    (shown,) = referrers(signed.ecr, digest)
    assert found["digest"] == shown["digest"]
    assert found["artifactType"] == NOTARY
    assert found["annotations"] == shown["annotations"]
