"""Who asks: access key, account and region of a signed request."""

import pytest

from ecrsim.controlplane.caller import authenticate
from ecrsim.core.durations import HOUR
from ecrsim.core.runtime import root_caller
from ecrsim.core.web import Request
from ecrsim.testing import call_application
from tests.answers import recorded, refusal, refused
from tests.api import authorization, post, refusal_of
from tests.principals import know, signed_client

KEY = "AKIAIOSFODNN7EXAMPLE"
PRINCIPALS = {"users": [{"name": "ci", "access_keys": [{"id": "AKIACI", "secret": "right"}]}]}


def who(sim, **options):
    """(account, region) as the answer of an operation shows them."""
    answer = post(sim, "CreateRepository", {"repositoryName": "app"}, **options).json()
    _, _, _, region, account, _ = answer["repository"]["repositoryArn"].split(":")
    return account, region


class TestAccount:
    @pytest.mark.parametrize(
        ("access_key", "account"),
        [
            ("111111111111", "111111111111"),
            ("000000000000", "000000000000"),
            (KEY, "000000000000"),
            ("test", "000000000000"),
            ("11111111111", "000000000000"),
            ("1111111111111", "000000000000"),
        ],
    )
    def test_a_key_of_twelve_digits_is_that_account(self, sim, access_key, account):
        assert who(sim, authorization=authorization(access_key)) == (account, "us-east-1")

    def test_others_are_the_account_of_the_setting(self, sim, configure):
        configure(account="123456789012")
        assert who(sim, authorization=authorization(KEY)) == ("123456789012", "us-east-1")

    def test_in_strict_mode_others_are_unknown(self, sim, configure):
        configure(auth="strict")
        answer = post(sim, "DescribeRegistry", authorization=authorization(KEY))
        assert answer.status == 400
        assert refusal_of(answer) == recorded(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
        assert post(sim, "DescribeRegistry", authorization=authorization("111111111111")).status == 200

    def test_the_principal_is_the_account_s_root(self, sim):
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "HTTP_AUTHORIZATION": authorization("1" * 12, "cn-north-1"),
            "HTTP_X_AMZ_DATE": "20260102T030405Z",
        }
        with sim.runtime.call(root_caller("000000000000", "us-east-1")) as call:
            caller = authenticate(call, Request.of_wsgi(environ), b"", "ecr")
        assert (caller.account, caller.region, caller.access_key) == ("111111111111", "cn-north-1", "111111111111")
        assert caller.principal == "arn:aws-cn:iam::111111111111:root"


class TestRegion:
    @pytest.mark.parametrize(
        ("scope", "region"),
        [
            ("eu-west-1", "eu-west-1"),
            ("us-gov-west-1", "us-gov-west-1"),
            ("mars-north-1", "mars-north-1"),
            ("", "us-east-1"),
            ("nowhere", "us-east-1"),
            ("EU-WEST-1", "us-east-1"),
            ("eu_west_1", "us-east-1"),
            ("-", "us-east-1"),
        ],
    )
    def test_it_is_that_of_the_scope_or_of_the_setting(self, sim, scope, region):
        assert who(sim, authorization=authorization(region=scope)) == ("000000000000", region)

    def test_the_default_is_a_setting(self, sim, configure):
        configure(region="eu-central-1")
        assert who(sim, authorization=authorization(region="")) == ("000000000000", "eu-central-1")


class TestHeader:
    @pytest.mark.parametrize(
        "header",
        [
            authorization(),
            authorization().replace(", ", ","),
            authorization().replace("Credential", "SignedHeaders=host, Credential"),
            authorization(service="ecr-public"),
        ],
    )
    def test_forms_that_clients_use(self, sim, header):
        assert post(sim, "DescribeRegistry", authorization=header).status == 200

    @pytest.mark.parametrize("header", [None, ""])
    def test_none(self, sim, header):
        answer = post(sim, "DescribeRegistry", authorization=header)
        assert answer.status == 400
        assert refusal_of(answer) == recorded("MissingAuthenticationTokenException", "Missing Authentication Token")

    CREDENTIAL = "Authorization header requires 'Credential' parameter."
    SIGNATURE = "Authorization header requires 'Signature' parameter."
    SIGNED_HEADERS = "Authorization header requires 'SignedHeaders' parameter."
    DATE = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."

    @pytest.mark.parametrize(
        ("header", "date", "sentences"),
        [
            ("AWS a=b", False, [CREDENTIAL, SIGNATURE, SIGNED_HEADERS, DATE]),
            ("Bearer a=b", True, [CREDENTIAL, SIGNATURE, SIGNED_HEADERS]),
            ("Basic QVdTOng=", True, [CREDENTIAL, SIGNATURE, SIGNED_HEADERS]),
            ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00", True, [CREDENTIAL]),
            ("AWS4-HMAC-SHA256 SignedHeaders=host", True, [CREDENTIAL, SIGNATURE]),
            ("AWS4-HMAC-SHA256 Credential=, SignedHeaders=host, Signature=00", True, [CREDENTIAL]),
        ],
    )
    def test_what_it_lacks_is_named(self, sim, header, date, sentences):
        options = {} if date else {"x_amz_date": None}
        answer = post(sim, "DescribeRegistry", authorization=header, **options)
        assert answer.status == 400
        assert refusal_of(answer) == recorded(
            "IncompleteSignatureException", " ".join([*sentences, f"Authorization={header}"])
        )

    @pytest.mark.parametrize("header", ["AWS key:signature", "Bearer abc"])
    def test_what_has_no_parameters_is_quoted(self, sim, header):
        answer = post(sim, "DescribeRegistry", authorization=header)
        assert answer.status == 400
        assert refusal_of(answer) == recorded(
            "IncompleteSignatureException",
            f"'{header.partition(' ')[2]}' not a valid key=value pair (missing equal-sign) in Authorization header: "
            f"'{header}'.",
        )

    @pytest.mark.parametrize(
        "credential",
        [
            KEY,
            f"{KEY}/20260102/us-east-1/aws4_request",
            f"a/{KEY}/20260102/us-east-1/ecr/aws4_request",
        ],
    )
    def test_a_credential_of_another_form_is_quoted(self, sim, credential):
        header = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=00"
        answer = post(sim, "DescribeRegistry", authorization=header)
        assert answer.status == 400
        assert refusal_of(answer) == recorded(
            "IncompleteSignatureException",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential}'",
        )

    def test_another_algorithm(self, sim):
        answer = post(sim, "DescribeRegistry", authorization=authorization().replace("SHA256", "MD5"))
        assert refusal_of(answer).code == "IncompleteSignatureException"


class TestPresigned:
    QUERY = (
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=111111111111%2F20260102%2Feu-west-1%2Fecr%2Faws4_request"
        "&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
    )

    def test_the_query_says_who_asks(self, sim):
        assert who(sim, authorization=None, query=self.QUERY) == ("111111111111", "eu-west-1")

    def test_two_signatures_are_one_too_many(self, sim):
        answer = post(sim, "DescribeRegistry", authorization=authorization("2" * 12), query=self.QUERY)
        assert (answer.status, refusal_of(answer).code) == (400, "InvalidSignatureException")

    @pytest.mark.parametrize("credential", ["", "111111111111", "111111111111%2F20260102%2Feu-west-1%2Faws4_request"])
    def test_a_credential_that_is_none(self, sim, credential):
        answer = post(sim, "DescribeRegistry", authorization=None, query=f"?X-Amz-Credential={credential}")
        assert refusal_of(answer) == recorded("MissingAuthenticationTokenException", "Missing Authentication Token")


def test_boto3_is_understood(client):
    for account, region in (("333333333333", "ap-southeast-2"), (None, None)):
        assert client(account=account, region=region).describe_registry()["registryId"] == (account or "000000000000")


class TestSignature:
    """The signature of a user whose secret is known; each way in which it can be wrong has AWS's name."""

    def test_a_right_one_is_the_user(self, sim):
        know(sim, PRINCIPALS)
        found = signed_client(sim, "sts", "AKIACI", "right").get_caller_identity()
        assert found["Arn"] == "arn:aws:iam::000000000000:user/ci"

    @pytest.mark.parametrize("auth", ["open", "strict"])
    def test_a_wrong_one_is_refused_in_either_mode(self, sim, configure, auth):
        configure(auth=auth)
        know(sim, PRINCIPALS)
        found = refused(signed_client(sim, "ecr", "AKIACI", "wrong").describe_registry)
        assert found["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert found["Error"]["Code"] == "InvalidSignatureException"
        assert found["Error"]["Message"].startswith(
            "The request signature we calculated does not match the signature you provided. "
        )

    def test_one_of_an_hour_ago_is_refused(self, sim, monkeypatch):
        know(sim, PRINCIPALS)
        now = sim.runtime.clock.now()
        monkeypatch.setattr(sim.runtime.clock, "unturned", lambda: now + HOUR)
        found = refusal(signed_client(sim, "ecr", "AKIACI", "right").describe_registry)
        assert found.code == "InvalidSignatureException"
        assert found.message.startswith("Signature expired: ")

    def test_a_clock_that_was_turned_does_not_matter(self, sim):
        know(sim, PRINCIPALS)
        before = signed_client(sim, "sts", "AKIACI", "right").get_caller_identity()["Arn"]
        sim.advance(days=30)
        assert signed_client(sim, "sts", "AKIACI", "right").get_caller_identity()["Arn"] == before

    def test_it_covers_the_body(self, sim):
        know(sim, PRINCIPALS)
        client = signed_client(sim, "ecr", "AKIACI", "right")
        sent = []
        client.meta.events.register_first("before-send.ecr", lambda request, **_: sent.append(request))
        refusal(client.describe_repositories)
        (request,) = sent
        headers = dict(request.headers.items())
        same = call_application(sim.app, "POST", request.url, headers, request.body)
        other = call_application(sim.app, "POST", request.url, headers, b'{"maxResults": 1}')
        assert same.json()["__type"] == "AccessDeniedException"
        assert other.json()["__type"] == "InvalidSignatureException"
