"""STS on the same endpoint: who am I, roles, sessions, web identities, and errors in the query protocol."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ecrsim.ecr.access import directory, loading
from ecrsim.testing import call_application
from tests.answers import ACCOUNT, documented, recorded, refusal, refused
from tests.principals import (
    client_of,
    client_of_session,
    denied,
    document,
    know,
    registry,
    registry_denial,
    signed_client,
    statement,
    token_of,
    user,
)

CI = f"arn:aws:iam::{ACCOUNT}:user/ci"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pusher"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/pusher/build-7"
ASSUME = document(statement("sts:AssumeRole"))
NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"


def trust(principal=CI, action="sts:AssumeRole", **more):
    return document({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action, **more})


def role(*policies, **more):
    return {"name": "pusher", "trust": trust(), "policies": list(policies) or [document(statement("ecr:*"))], **more}


def known(sim, role=None, *users):
    know(sim, {"users": [user("ci", ASSUME), *users], "roles": [role] if role else []})
    return client_of(sim, "ci", "sts")


def assume(client, **more):
    return client.assume_role(**{"RoleArn": ROLE, "RoleSessionName": "build-7", **more})


def parsed(answer):
    return ElementTree.fromstring(answer.body)  # noqa: S314 -- it is ecrsim's own


def access_denied(principal=CI, end=""):
    return recorded(
        "AccessDenied", f"User: {principal} is not authorized to perform: sts:AssumeRole on resource: {ROLE}{end}"
    )


def post(sim, **parameters):
    """Without a signature."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"Version": "2011-06-15", **parameters}).encode()
    return call_application(sim.app, "POST", f"{sim.endpoint_url}/", headers, body)


class TestGetCallerIdentity:
    def test_root(self, client):
        answer = client("sts", account="111111111111").get_caller_identity()
        assert (answer["Account"], answer["UserId"], answer["Arn"]) == (
            "111111111111",
            "111111111111",
            "arn:aws:iam::111111111111:root",
        )

    def test_a_user_even_without_any_right(self, sim):
        know(sim, {"users": [user("none", document(statement("*", effect="Deny")))]})
        answer = client_of(sim, "none", "sts").get_caller_identity()
        assert answer["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/none"
        assert re.fullmatch("AIDA[0-9A-Z]{17}", answer["UserId"])

    def test_a_session(self, sim):
        answer = assume(known(sim, role()))
        found = client_of_session(sim, answer, "sts").get_caller_identity()
        assert (found["Arn"], found["Account"]) == (SESSION, ACCOUNT)
        assert found["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]

    def test_presigned_as_others_prove_who_they_are(self, sim):
        url = known(sim).generate_presigned_url("get_caller_identity", HttpMethod="GET")
        answer = call_application(sim.app, "GET", url)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/xml"
        found = parsed(answer)
        assert found.tag == f"{NAMESPACE}GetCallerIdentityResponse"
        assert found.findtext(f".//{NAMESPACE}Arn") == CI
        assert found.findtext(f".//{NAMESPACE}RequestId") == answer.headers["x-amzn-RequestId"]

    def test_a_presigned_one_that_was_altered(self, sim):
        url = known(sim).generate_presigned_url("get_caller_identity", HttpMethod="GET")
        answer = call_application(sim.app, "GET", url.replace("X-Amz-Expires=3600", "X-Amz-Expires=3601"))
        assert (answer.status, code_of(answer)) == (403, "SignatureDoesNotMatch")


def code_of(answer):
    return parsed(answer).findtext(f"{NAMESPACE}Error/{NAMESPACE}Code")


class TestAssumeRole:
    def test_the_session_has_the_role_s_rights_on_both_planes(self, sim):
        answer = assume(known(sim, role()))
        assert answer["AssumedRoleUser"]["Arn"] == SESSION
        assert answer["Credentials"]["AccessKeyId"].startswith("ASIA")
        session = client_of_session(sim, answer)
        session.create_repository(repositoryName="app")
        assert registry(sim, token_of(session), "POST", "/v2/app/blobs/uploads/").status == 202

    def test_of_no_role(self, sim):
        assert refusal(assume, client=known(sim)) == access_denied()

    def test_the_status_of_a_denial_is_403(self, sim):
        found = refused(assume, client=known(sim))
        assert found["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert found["Error"]["Type"] == "Sender"

    def test_whom_the_role_does_not_trust(self, sim):
        client = known(sim, role(trust=trust(f"arn:aws:iam::{ACCOUNT}:user/other")), user("other", ASSUME))
        assert refusal(assume, client=client) == access_denied()
        assume(client_of(sim, "other", "sts"))

    def test_a_trust_in_the_account_wants_a_policy_of_the_user_too(self, sim):
        known(sim, role(trust=trust(f"arn:aws:iam::{ACCOUNT}:root")), user("none"))
        none = f"arn:aws:iam::{ACCOUNT}:user/none"
        assert refusal(assume, client=client_of(sim, "none", "sts")) == access_denied(none)
        assume(client_of(sim, "ci", "sts"))

    def test_an_explicit_deny(self, sim):
        deny = statement("sts:AssumeRole", effect="Deny")
        known(sim, role(trust=trust("*")), user("not", document(deny)))
        assert refusal(assume, client=client_of(sim, "not", "sts")) == access_denied(
            f"arn:aws:iam::{ACCOUNT}:user/not", " with an explicit deny in an identity-based policy"
        )

    def test_from_another_account(self, sim):
        far = user("far", ASSUME, account="111111111111")
        known(sim, role(trust=trust("arn:aws:iam::111111111111:root")), far)
        answer = assume(client_of(sim, "far", "sts"))
        assert client_of_session(sim, answer, "sts").get_caller_identity()["Account"] == ACCOUNT

    def test_root_may_not(self, sim, client):
        known(sim, role(trust=trust("*")))
        found = refused(assume, client=client("sts"))
        assert found["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert (found["Error"]["Code"], found["Error"]["Message"]) == recorded(
            "AccessDenied", "Roles may not be assumed by root accounts."
        )

    def test_root_may_where_that_is_open(self, sim, client, configure):
        """ecrsim's own setting: a role that is known has its rights, and one that nobody knows those of root."""
        configure(open_assume_role=True)
        known(sim, role(document(statement("ecr:DescribeRepositories"))))
        sessions = client_of_session(sim, assume(client("sts")))
        sessions.describe_repositories()
        assert refusal(sessions.create_repository, repositoryName="app").code == "AccessDeniedException"

        unknown = f"arn:aws:iam::{ACCOUNT}:role/cdk/image-publishing"
        answer = assume(client("sts"), RoleArn=unknown)
        who = client_of_session(sim, answer, "sts").get_caller_identity()
        assert who["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/image-publishing/build-7"
        client_of_session(sim, answer).create_repository(repositoryName="app")
        limited = assume(client("sts"), RoleArn=unknown, Policy=json.dumps(document(statement("ecr:ListImages"))))
        assert refusal(client_of_session(sim, limited).describe_repositories).code == "AccessDeniedException"

    def test_no_role_of_another_account_and_none_in_the_strict_mode(self, sim, client, configure):
        configure(open_assume_role=True)
        known(sim, role())
        foreign = client("sts", account="111111111111")
        assert refusal(assume, client=foreign).message == "Roles may not be assumed by root accounts."
        configure(auth="strict")
        assert refusal(assume, client=client("sts")).message == "Roles may not be assumed by root accounts."

    def test_the_external_id(self, sim):
        condition = {"StringEquals": {"sts:ExternalId": "secret word"}}
        client = known(sim, role(trust=trust(Condition=condition)))
        assert refusal(assume, client=client) == access_denied()
        assert refusal(assume, client=client, ExternalId="another") == access_denied()
        assume(client, ExternalId="secret word")

    def test_the_duration(self, sim):
        client = known(sim, role(max_session_duration=7200))
        for given, expected in (({}, 3600), ({"DurationSeconds": 900}, 900), ({"DurationSeconds": 7200}, 7200)):
            left = assume(client, **given)["Credentials"]["Expiration"] - datetime.now(UTC)
            assert timedelta(seconds=expected - 60) < left <= timedelta(seconds=expected)
        assert refusal(assume, client=client, DurationSeconds=7201) == recorded(
            "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        )
        assert refusal(assume, client=client, DurationSeconds=43_201) == recorded(
            "ValidationError",
            "1 validation error detected: Value '43201' at 'durationSeconds' failed to satisfy constraint: "
            "Member must have value less than or equal to 43200",
        )

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            ("899", "Member must have value greater than or equal to 900"),
            ("soon", "Value 'soon' at 'durationSeconds' is not a number"),
            ("-1", "Value '-1' at 'durationSeconds' is not a number"),
        ],
    )
    def test_a_duration_that_boto3_would_not_send(self, sim, seconds, text):
        client = known(sim, role())
        client.meta.events.register(
            "before-call.sts.AssumeRole", lambda params, **_: params["body"].update(DurationSeconds=seconds)
        )
        found = refusal(assume, client=client)
        assert found.code == "ValidationError"
        assert text in found.message

    def test_expiry_comes_with_the_clock(self, sim):
        session = client_of_session(sim, assume(known(sim, role()), DurationSeconds=900))
        session.describe_repositories()
        token = token_of(session)
        sim.advance(seconds=901)
        found = refused(session.describe_repositories)
        assert found["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert (found["Error"]["Code"], found["Error"]["Message"]) == recorded(
            "ExpiredTokenException", "The security token included in the request is expired"
        )
        # Documented: the token of the registry has twelve hours of its own.
        assert registry(sim, token, "GET", "/v2/").status == 200

    def test_a_session_token_that_is_wrong_or_left_out(self, sim):
        given = assume(known(sim, role()))["Credentials"]
        for token in (None, "wrong"):
            client = signed_client(sim, "ecr", given["AccessKeyId"], given["SecretAccessKey"], token=token)
            assert refusal(client.describe_repositories) == recorded(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )

    def test_a_session_policy_limits(self, sim):
        policy = json.dumps(document(statement("ecr:Describe*", "ecr:GetAuthorizationToken")))
        session = client_of_session(sim, assume(known(sim, role()), Policy=policy))
        session.describe_repositories()
        assert refusal(session.create_repository, repositoryName="app").message == denied(
            SESSION, "CreateRepository", "app", "no session policy allows"
        )
        answer = registry(sim, token_of(session), "POST", "/v2/app/blobs/uploads/")
        assert registry_denial(answer) == denied(SESSION, "InitiateLayerUpload", "app", "no session policy allows")

    def test_a_session_policy_that_is_malformed(self, sim):
        found = refusal(assume, client=known(sim, role()), Policy="{}")
        assert found.code == "MalformedPolicyDocument"

    def test_session_tags_are_the_principal_s(self, sim):
        mine = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/${{aws:PrincipalTag/team}}/*"
        policy = document(statement("ecr:CreateRepository", resource=mine))
        client = known(sim, role(policy, trust=trust(action=["sts:AssumeRole", "sts:TagSession"])))
        session = client_of_session(sim, assume(client, Tags=[{"Key": "team", "Value": "blue"}]))
        session.create_repository(repositoryName="blue/app")
        assert refusal(session.create_repository, repositoryName="red/app").message == denied(
            SESSION, "CreateRepository", "red/app"
        )

    def test_session_tags_want_a_right_of_their_own(self, sim):
        found = refusal(assume, client=known(sim, role()), Tags=[{"Key": "team", "Value": "blue"}])
        assert found == documented(
            "AccessDenied", f"User: {CI} is not authorized to perform: sts:TagSession on resource: {ROLE}"
        )

    def test_a_role_may_assume_a_role_for_an_hour(self, sim):
        first = {"name": "first", "trust": trust(), "policies": [ASSUME]}
        second = role(trust=trust(f"arn:aws:iam::{ACCOUNT}:role/first"), max_session_duration=7200)
        know(sim, {"users": [user("ci", ASSUME)], "roles": [first, second]})
        answer = assume(client_of(sim, "ci", "sts"), RoleArn=f"arn:aws:iam::{ACCOUNT}:role/first")
        chained = client_of_session(sim, answer, "sts")
        assume(chained)
        assert refusal(assume, client=chained, DurationSeconds=3601).code == "ValidationError"

    @pytest.mark.parametrize(
        ("more", "text"),
        [
            ({"RoleArn": "arn:aws:iam::1:role/pusher/x/y/z"}, "arn:aws:iam::1:role/pusher/x/y/z is invalid"),
            ({"RoleSessionName": "a b"}, "Value 'a b' at 'roleSessionName' failed to satisfy constraint"),
        ],
    )
    def test_what_is_no_role_and_no_name(self, sim, more, text):
        found = refusal(assume, client=known(sim, role()), **more)
        assert found.code == "ValidationError"
        assert text in found.message


class TestGetSessionToken:
    def test_it_has_the_caller_s_rights_until_it_expires(self, sim):
        know(sim, {"users": [user("dev", "AmazonEC2ContainerRegistryReadOnly")]})
        answer = client_of(sim, "dev", "sts").get_session_token(DurationSeconds=900)
        session = client_of_session(sim, answer)
        session.describe_repositories()
        assert refusal(session.create_repository, repositoryName="app").message == denied(
            f"arn:aws:iam::{ACCOUNT}:user/dev", "CreateRepository", "app"
        )
        sim.advance(seconds=901)
        assert refusal(session.describe_repositories).code == "ExpiredTokenException"

    def test_root_has_an_hour(self, sim, client):
        answer = client("sts").get_session_token()
        left = answer["Credentials"]["Expiration"] - datetime.now(UTC)
        assert left <= timedelta(hours=1)
        client_of_session(sim, answer).create_repository(repositoryName="app")

    def test_a_role_may_not(self, sim):
        session = client_of_session(sim, assume(known(sim, role())), "sts")
        assert refusal(session.get_session_token) == recorded(
            "AccessDenied", "Cannot call GetSessionToken with session credentials"
        )


KEY = rsa.generate_private_key(65537, 2048)
ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "repo:octo/app:ref:refs/heads/main"


def encoded(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def number(value):
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def web_token(sim, key=KEY, **claims):
    now = sim.runtime.clock.now() // 1000
    said = {"iss": ISSUER, "aud": "sts.amazonaws.com", "sub": SUBJECT, "iat": now, "exp": now + 300, **claims}
    head = encoded(json.dumps({"alg": "RS256", "kid": "one", "typ": "JWT"}).encode())
    text = f"{head}.{encoded(json.dumps(said).encode())}"
    return f"{text}.{encoded(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


class TestWebIdentity:
    @pytest.fixture
    def pipeline(self, sim):
        """Asks for the role with a token; no key is needed."""
        numbers = KEY.public_key().public_numbers()
        jwk = {"kty": "RSA", "kid": "one", "use": "sig", "n": number(numbers.n), "e": number(numbers.e)}
        host = "token.actions.githubusercontent.com"
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {
                "StringEquals": {f"{host}:aud": "sts.amazonaws.com"},
                "StringLike": {f"{host}:sub": "repo:octo/app:*"},
            },
        }
        provider = {"issuer": ISSUER, "audiences": ["sts.amazonaws.com"], "keys": {"keys": [jwk]}}
        know(sim, {"roles": [role(trust=document(statement))], "identity_providers": [provider]})
        client = signed_client(sim, "sts", "unused", "unused")

        def ask(token=None, **claims):
            return client.assume_role_with_web_identity(
                RoleArn=ROLE, RoleSessionName="build-7", WebIdentityToken=token or web_token(sim, **claims)
            )

        return ask

    def test_a_pipeline_gets_its_session(self, sim, configure, pipeline):
        configure(auth="strict")
        answer = pipeline()
        assert answer["AssumedRoleUser"]["Arn"] == SESSION
        assert answer["SubjectFromWebIdentityToken"] == SUBJECT
        assert answer["Audience"] == "sts.amazonaws.com"
        assert answer["Provider"] == f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
        client_of_session(sim, answer).create_repository(repositoryName="app")

    def test_of_another_repository(self, pipeline):
        found = refused(pipeline, sub="repo:octo/other:ref:refs/heads/main")
        assert found["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert (found["Error"]["Code"], found["Error"]["Message"]) == recorded(
            "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"
        )

    def test_for_another_audience(self, pipeline):
        assert refusal(pipeline, aud="someone-else").code == "InvalidIdentityToken"

    def test_of_another_key(self, sim, pipeline):
        other = rsa.generate_private_key(65537, 2048)
        assert refusal(pipeline, token=web_token(sim, key=other)).code == "InvalidIdentityToken"

    def test_of_another_issuer(self, pipeline):
        assert refusal(pipeline, iss="https://elsewhere.example").code == "InvalidIdentityToken"

    def test_that_is_none(self, pipeline):
        assert refusal(pipeline, token="nonsense") == recorded(
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        )

    def test_that_expired(self, sim, pipeline):
        token = web_token(sim)
        sim.advance(seconds=601)
        assert refusal(pipeline, token=token).code == "ExpiredTokenException"


class TestErrors:
    def test_the_form(self, sim):
        answer = post(sim, Action="MakeCoffee")
        assert answer.status == 400
        assert answer.headers["Content-Type"] == "text/xml"
        found = parsed(answer)
        assert found.tag == f"{NAMESPACE}ErrorResponse"
        assert {part.tag.removeprefix(NAMESPACE): part.text for part in found[0]} == {
            "Type": "Sender",
            "Code": "InvalidAction",
            "Message": "Could not find operation MakeCoffee for version 2011-06-15",
        }
        assert found[1].text == answer.headers["x-amzn-RequestId"]

    def test_without_a_signature(self, sim):
        answer = post(sim, Action="GetCallerIdentity")
        assert (answer.status, code_of(answer)) == (403, "MissingAuthenticationToken")

    def test_a_wrong_signature(self, sim):
        known(sim)
        found = refused(signed_client(sim, "sts", "AKIACI", "wrong").get_caller_identity)
        assert (found["ResponseMetadata"]["HTTPStatusCode"], found["Error"]["Code"]) == (403, "SignatureDoesNotMatch")

    def test_an_unknown_key_in_strict_mode(self, sim, configure):
        configure(auth="strict")
        found = refused(signed_client(sim, "sts", "AKIANONE", "x").get_caller_identity)
        assert found["ResponseMetadata"]["HTTPStatusCode"] == 403
        assert (found["Error"]["Code"], found["Error"]["Message"]) == documented(
            "InvalidClientTokenId", "The security token included in the request is invalid."
        )

    def test_a_session_that_ended(self, sim):
        session = client_of_session(sim, assume(known(sim, role()), DurationSeconds=900), "sts")
        sim.advance(seconds=901)
        found = refused(session.get_caller_identity)
        assert (found["ResponseMetadata"]["HTTPStatusCode"], found["Error"]["Code"]) == (403, "ExpiredToken")

    def test_more_sessions_than_are_kept(self, sim, monkeypatch):
        """None is forgotten for another before its time: it would be an unknown key, which the open mode lets in."""
        ci = known(sim, role())
        first = client_of_session(sim, assume(ci, DurationSeconds=900), "sts")
        monkeypatch.setattr(directory, "MOST_KEYS", 2)  # of the user and of the session
        found = refused(assume, client=ci)
        assert (found["ResponseMetadata"]["HTTPStatusCode"], found["Error"]["Code"]) == (503, "ServiceUnavailable")
        assert first.get_caller_identity()["Arn"].startswith("arn:aws:sts::")
        sim.advance(seconds=901 + sim.runtime.config.token_lifetime)
        loading.forget_ended_sessions(sim.runtime)
        assert assume(ci)["Credentials"]

    def test_markup_in_what_is_quoted(self, sim):
        answer = post(sim, Action="<b>&")
        assert "operation <b>& for" in parsed(answer)[0].findtext(f"{NAMESPACE}Message")

    @pytest.mark.parametrize("body", [b"\xff\xfe", b"Action=\x00", b"=&=&", b"Action=GetCallerIdentity&" * 2000])
    def test_nothing_that_is_sent_is_a_fault(self, sim, body):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = call_application(sim.app, "POST", f"{sim.endpoint_url}/", headers, body)
        assert 400 <= answer.status < 500
        assert code_of(answer)
