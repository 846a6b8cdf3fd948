"""AWS Signer's part of the endpoint: the five operations on signing profiles, and the list of revoked certificates."""

from datetime import UTC, datetime

import pytest
from cryptography import x509

from ecrsim.testing import call_application
from tests.answers import ACCOUNT, inferred, recorded, refusal, refused
from tests.ecr.signing.conftest import arn_of, configure, rule, statuses
from tests.principals import admin, client_of, document, know, statement, user
from tests.pushing import create, push

PLATFORM = "Notation-OCI-SHA384-ECDSA"
DEV = f"arn:aws:iam::{ACCOUNT}:user/dev"


@pytest.fixture
def signer(client):
    return client("signer")


def make(signer, name="prod", **more):
    return signer.put_signing_profile(profileName=name, platformId=PLATFORM, **more)


class TestPut:
    @pytest.mark.documented
    def test_it_answers_the_version(self, signer):
        answer = make(signer)
        assert answer["arn"] == arn_of("prod")
        assert len(answer["profileVersion"]) == 10
        assert answer["profileVersion"].isalnum()
        assert answer["profileVersionArn"] == f"{arn_of('prod')}/{answer['profileVersion']}"

    @pytest.mark.inferred
    def test_again_is_a_new_version(self, signer):
        assert make(signer)["profileVersion"] != make(signer)["profileVersion"]

    @pytest.mark.documented
    def test_the_name_of_one_that_was_cancelled_is_gone(self, signer):
        make(signer)
        signer.cancel_signing_profile(profileName="prod")
        found = refusal(signer.put_signing_profile, profileName="prod", platformId=PLATFORM)
        assert found == inferred("ValidationException", "The signing profile prod is canceled.")

    @pytest.mark.parametrize(
        ("members", "sentence"),
        [
            ({"platformId": "Nope"}, "The platform Nope does not exist."),
            ({"signatureValidityPeriod": {"value": 136, "type": "MONTHS"}}, "135 months at most"),
            ({"signatureValidityPeriod": {"value": 0, "type": "DAYS"}}, "135 months at most"),
            ({"signingMaterial": {"certificateArn": "arn:aws:acm:x"}}, "signingMaterial is of platforms"),
            ({"profileName": "a-b"}, "Value 'a-b' at 'profileName' failed to satisfy constraint"),
            ({"profileName": "x" * 65}, "at 'profileName' failed to satisfy constraint"),
        ],
    )
    def test_what_is_wrong(self, signer, members, sentence):
        given = {"profileName": "prod", "platformId": PLATFORM, **members}
        answer = refused(signer.put_signing_profile, **given)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert answer["Error"]["Code"] == "ValidationException"
        assert sentence in answer["Error"]["Message"]
        assert signer.list_signing_profiles()["profiles"] == []

    @pytest.mark.recorded
    def test_a_profile_of_another_platform_can_be_made(self, signer):
        signer.put_signing_profile(profileName="functions", platformId="AWSLambda-SHA384-ECDSA")
        assert signer.get_signing_profile(profileName="functions")["platformId"] == "AWSLambda-SHA384-ECDSA"


class TestGet:
    @pytest.mark.documented
    def test_all_of_it(self, signer):
        made = make(signer, signatureValidityPeriod={"value": 6, "type": "MONTHS"}, tags={"team": "web"})
        found = signer.get_signing_profile(profileName="prod")
        assert found.pop("ResponseMetadata")["HTTPStatusCode"] == 200
        assert found == {
            "profileName": "prod",
            "profileVersion": made["profileVersion"],
            "profileVersionArn": made["profileVersionArn"],
            "platformId": PLATFORM,
            "platformDisplayName": "Notation for Container Registries",
            "signatureValidityPeriod": {"value": 6, "type": "MONTHS"},
            "status": "Active",
            "arn": made["arn"],
            "tags": {"team": "web"},
        }

    def test_one_that_is_not_there(self, signer):
        answer = refused(signer.get_signing_profile, profileName="prod")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 404
        assert answer["Error"]["Code"] == "ResourceNotFoundException"

    def test_each_account_and_region_has_its_own(self, client, signer):
        make(signer)
        for other in (client("signer", region="eu-west-1"), client("signer", account="111111111111")):
            assert refusal(other.get_signing_profile, profileName="prod").code == "ResourceNotFoundException"


class TestList:
    @pytest.mark.documented
    def test_the_active_ones_unless_others_are_asked_for(self, signer):
        for name in ("one", "two", "three"):
            version = make(signer, name)["profileVersion"]
        signer.cancel_signing_profile(profileName="one")
        signer.revoke_signing_profile(
            profileName="three", profileVersion=version, reason="x", effectiveTime=datetime.now(UTC)
        )

        def names(**more):
            return [each["profileName"] for each in signer.list_signing_profiles(**more)["profiles"]]

        assert names() == ["two"]
        assert names(includeCanceled=True) == ["one", "three", "two"]
        assert names(statuses=["Canceled"]) == ["one"]
        assert names(statuses=["Canceled", "Revoked"]) == ["one", "three"]
        assert names(platformId="AWSLambda-SHA384-ECDSA") == []

    def test_pages(self, signer):
        wanted = [f"profile_{number:02}" for number in range(30)]
        for name in wanted:
            make(signer, name)
        pages = list(signer.get_paginator("list_signing_profiles").paginate(PaginationConfig={"PageSize": 7}))
        assert [len(page["profiles"]) for page in pages] == [7, 7, 7, 7, 2]
        assert [each["profileName"] for page in pages for each in page["profiles"]] == wanted
        assert len(signer.list_signing_profiles()["profiles"]) == 25

    @pytest.mark.parametrize(
        "more", [{"maxResults": 26}, {"nextToken": "nope"}, {"statuses": ["Gone"]}], ids=["too many", "token", "status"]
    )
    def test_what_is_wrong(self, signer, more):
        assert refusal(signer.list_signing_profiles, **more).code == "ValidationException"


class TestEnd:
    @pytest.mark.documented
    def test_a_profile_that_was_cancelled_signs_no_more(self, sim, ecr, signer):
        make(signer)
        signer.cancel_signing_profile(profileName="prod")
        found = signer.get_signing_profile(profileName="prod")
        assert (found["status"], found["statusReason"]) == ("Canceled", "The signing profile was canceled.")
        create(ecr)
        configure(ecr, rule())
        push(ecr, "app", None, "v1")
        sim.advance(seconds=1)
        assert statuses(ecr) == {"prod": "SIGNING_PROFILE_NOT_ACTIVE"}

    @pytest.mark.documented
    def test_one_that_was_revoked_says_since_when_and_by_whom(self, sim, signer):
        sim.freeze("2026-01-02T00:00:00Z")
        version = make(signer)["profileVersion"]
        since = datetime(2026, 1, 1, tzinfo=UTC)
        signer.revoke_signing_profile(
            profileName="prod", profileVersion=version, reason="it leaked", effectiveTime=since
        )
        found = signer.get_signing_profile(profileName="prod")
        assert (found["status"], found["statusReason"]) == ("Revoked", "it leaked")
        assert found["revocationRecord"] == {
            "revocationEffectiveFrom": since,
            "revokedAt": datetime(2026, 1, 2, tzinfo=UTC),
            "revokedBy": f"arn:aws:iam::{ACCOUNT}:root",
        }
        assert refusal(signer.cancel_signing_profile, profileName="prod").code == "ValidationException"

    def test_a_version_that_there_is_not(self, signer):
        make(signer)
        given = {"profileName": "prod", "reason": "x", "effectiveTime": datetime.now(UTC)}
        found = refusal(signer.revoke_signing_profile, profileVersion="0123456789", **given)
        assert found.code == "ResourceNotFoundException"

    @pytest.mark.inferred
    @pytest.mark.parametrize(("again", "expected"), [(2027, 2026), (2025, 2025)])
    def test_a_revocation_cannot_be_undone(self, signer, again, expected):
        version = make(signer)["profileVersion"]
        for year, reason in ((2026, "it leaked"), (again, "again")):
            signer.revoke_signing_profile(
                profileName="prod",
                profileVersion=version,
                reason=reason,
                effectiveTime=datetime(year, 1, 1, tzinfo=UTC),
            )
        found = signer.get_signing_profile(profileName="prod")
        assert found["revocationRecord"]["revocationEffectiveFrom"] == datetime(expected, 1, 1, tzinfo=UTC)
        assert found["statusReason"] == ("it leaked" if expected == 2026 else "again")

    @pytest.mark.parametrize("since", ["true", "false", "null", "[]", '"1"'])
    def test_an_effective_time_is_a_number(self, sim, signer, since):
        version = make(signer)["profileVersion"]
        url = f"{sim.endpoint_url}/signing-profiles/prod/revoke"
        body = f'{{"profileVersion": "{version}", "reason": "x", "effectiveTime": {since}}}'.encode()
        headers = {"Authorization": AUTHORIZATION.replace("=test/", f"={ACCOUNT}/"), "X-Amz-Date": "20260101T000000Z"}
        assert call_application(sim.app, "PUT", url, headers, body).status == 400
        assert signer.get_signing_profile(profileName="prod")["status"] == "Active"

    @pytest.mark.parametrize("operation", ["cancel_signing_profile", "get_signing_profile"])
    def test_what_is_not_there_has_no_end(self, signer, operation):
        assert refusal(getattr(signer, operation), profileName="prod").code == "ResourceNotFoundException"


class TestAccess:
    def test_each_operation_asks_for_its_own_right(self, sim, signer):
        version = make(signer)["profileVersion"]
        know(sim, {"users": [user("dev")]})
        dev = client_of(sim, "dev", "signer")
        calls = {
            "PutSigningProfile": (dev.put_signing_profile, {"profileName": "new", "platformId": PLATFORM}, "*"),
            "GetSigningProfile": (dev.get_signing_profile, {"profileName": "prod"}, arn_of("prod")),
            "ListSigningProfiles": (dev.list_signing_profiles, {}, "*"),
            "CancelSigningProfile": (dev.cancel_signing_profile, {"profileName": "prod"}, arn_of("prod")),
            "RevokeSigningProfile": (
                dev.revoke_signing_profile,
                {
                    "profileName": "prod",
                    "profileVersion": version,
                    "reason": "x",
                    "effectiveTime": datetime.now(UTC),
                },
                arn_of("prod"),
            ),
        }
        for action, (call, given, resource) in calls.items():
            answer = refused(call, **given)
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == 403
            assert (answer["Error"]["Code"], answer["Error"]["Message"]) == inferred(
                "AccessDeniedException",
                f"User: {DEV} is not authorized to perform: signer:{action} on resource: {resource} "
                f"because no identity-based policy allows the signer:{action} action",
            )
        assert signer.get_signing_profile(profileName="prod")["status"] == "Active"

    def test_the_right_alone_is_enough(self, sim, signer):
        make(signer)
        know(sim, {"users": [user("dev", document(statement("signer:GetSigningProfile", resource=arn_of("prod"))))]})
        dev = client_of(sim, "dev", "signer")
        assert dev.get_signing_profile(profileName="prod")["profileName"] == "prod"
        assert refusal(dev.get_signing_profile, profileName="other").code == "AccessDeniedException"

    def test_the_signature_is_one_for_signer(self, sim):
        url = f"{sim.endpoint_url}/signing-profiles"
        answer = call_application(sim.app, "GET", url, {}, b"")
        assert answer.status == 403
        assert answer.headers["x-amzn-ErrorType"] == recorded("MissingAuthenticationTokenException", "").code


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/signing-profiles", 404),
        ("PUT", "/signing-profiles", 404),
        ("GET", "/signing-profiles/prod/permissions", 404),
        ("PUT", "/signing-profiles/prod/revoke/again", 404),
        ("POST", "/signer/revocations.crl", 405),
    ],
)
def test_what_is_not_here(sim, method, path, status):
    assert call_application(sim.app, method, sim.endpoint_url + path, {}, b"").status == status


AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/signer/aws4_request, SignedHeaders=host, Signature=" + 64 * "0"
)
DEEP = b'{"tags": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(
            ("PUT", "/signing-profiles/prod", body)
            for body in (
                b"",
                b"{",
                b"[]",
                b"null",
                b"\xff",
                b'"text"',
                b'{"platformId": 1}',
                b'{"platform": "x"}',
                b'{"platformId": "Notation-OCI-SHA384-ECDSA", "tags": ["x"]}',
                b'{"platformId": "Notation-OCI-SHA384-ECDSA", "tags": {"x": 1}}',
                b'{"platformId": "Notation-OCI-SHA384-ECDSA", "signatureValidityPeriod": {"value": 1e99}}',
                b'{"platformId": "Notation-OCI-SHA384-ECDSA", "signatureValidityPeriod": {"type": []}}',
                b'{"platformId": "Notation-OCI-SHA384-ECDSA", "signatureValidityPeriod": {"value": 1, "type": []}}',
                b'{"platformId": "Notation-OCI-SHA384-ECDSA", "signatureValidityPeriod": {"value": 1, "type": {}}}',
                b" " * (1 << 17),
                DEEP[: 1 << 15],
            )
        ),
        *(
            ("PUT", "/signing-profiles/prod/revoke", body)
            for body in (
                b"{}",
                b'{"profileVersion": "0123456789", "reason": "", "effectiveTime": 1}',
                b'{"profileVersion": "0123456789", "reason": "x", "effectiveTime": "now"}',
                b'{"profileVersion": "0123456789", "reason": "x", "effectiveTime": -1}',
                b'{"profileVersion": "0123456789", "reason": "x", "effectiveTime": 1e300}',
                b'{"profileVersion": [], "reason": "x", "effectiveTime": 1}',
            )
        ),
        ("PUT", "/signing-profiles/%00", b"{}"),
        ("PUT", "/signing-profiles/a%2Fb", b"{}"),
        ("GET", "/signing-profiles?maxResults=x", b""),
        ("GET", "/signing-profiles?maxResults=-1", b""),
        ("GET", "/signing-profiles?nextToken=%00", b""),
        ("GET", "/signing-profiles?profileOwner=%C3%A9", b""),
        ("GET", "/signing-profiles?statuses=%FF", b""),
    ],
)
def test_whatever_is_sent_is_refused_and_changes_nothing(sim, method, path, body):
    headers = {"Authorization": AUTHORIZATION, "X-Amz-Date": "20260101T000000Z"}
    answer = call_application(sim.app, method, sim.endpoint_url + path, headers, body)
    assert 400 <= answer.status < 500, answer
    assert answer.headers["x-amzn-ErrorType"]
    with sim.runtime.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM signing_profiles").scalar() == 0


class TestRevocationList:
    @pytest.mark.parametrize("path", ["signing-profiles", "principals"])
    @pytest.mark.parametrize("is_newest", [True, False], ids=["the newest version", "an older one"])
    def test_what_was_revoked_stays_so_when_a_document_leaves_it_out(self, sim, ecr, signer, path, is_newest):
        version = make(signer)["profileVersion"]
        create(ecr)
        configure(ecr, rule())
        push(ecr, "app", None, "v1")
        sim.advance(seconds=1)
        if not is_newest:
            make(signer)
        signer.revoke_signing_profile(
            profileName="prod", profileVersion=version, reason="x", effectiveTime=datetime(2020, 1, 1, tzinfo=UTC)
        )
        before = list(self.fetch(sim))
        assert len(before) == 1
        for names in ("other",), ("other", "prod"):
            given = {"signing_profiles": [{"name": name} for name in names]}
            assert admin(sim, "PUT", path, given).status == 200
            assert [each.serial_number for each in self.fetch(sim)] == [each.serial_number for each in before]
            assert signer.get_signing_profile(profileName="prod")["status"] == "Revoked"
        (found,) = admin(sim, "GET", "signatures?image=app:v1").json()["signatures"]
        assert found["holds"] is False

    def fetch(self, sim):
        answer = call_application(sim.app, "GET", f"{sim.endpoint_url}/signer/revocations.crl", {}, b"")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/pkix-crl"
        return x509.load_der_x509_crl(answer.body)

    def test_it_is_there_without_credentials_and_empty_at_first(self, sim):
        assert list(self.fetch(sim)) == []

    def test_it_has_the_certificates_of_versions_that_were_revoked(self, sim, ecr, signer):
        sim.freeze("2026-01-02T00:00:00Z")
        version = make(signer)["profileVersion"]
        create(ecr)
        configure(ecr, rule())
        push(ecr, "app", None, "v1")
        sim.advance(seconds=1)
        since = datetime(2026, 1, 1, tzinfo=UTC)
        signer.revoke_signing_profile(profileName="prod", profileVersion=version, reason="x", effectiveTime=since)
        (entry,) = self.fetch(sim)
        with sim.runtime.database.read() as connection:
            serials = list(connection.exec_driver_sql("SELECT serial_number FROM signing_certificates").scalars())
        assert serials == [f"{entry.serial_number:x}"]
        invalid = entry.extensions.get_extension_for_class(x509.InvalidityDate).value
        assert invalid.invalidity_date_utc == since
