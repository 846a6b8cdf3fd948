"""Who asks: access key, account and region of a signed request."""

import pytest

from ecrsim.config import Config
from ecrsim.controlplane.caller import caller_of
from ecrsim.core.web import Request
from tests.answers import recorded
from tests.api import authorization, post, refusal_of

KEY = "AKIAIOSFODNN7EXAMPLE"


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

    def test_the_principal_is_the_account_s_root(self):
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/",
            "HTTP_AUTHORIZATION": authorization("1" * 12, "cn-north-1"),
        }
        caller = caller_of(Config(), Request(environ))
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
            ("AWS key:signature", True, [CREDENTIAL, SIGNATURE, SIGNED_HEADERS]),
            ("AWS key:signature", False, [CREDENTIAL, SIGNATURE, SIGNED_HEADERS, DATE]),
            ("Bearer abc", True, [CREDENTIAL, SIGNATURE, SIGNED_HEADERS]),
            ("Basic QVdTOng=", True, [CREDENTIAL, SIGNATURE, SIGNED_HEADERS]),
            ("AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00", True, [CREDENTIAL]),
            ("AWS4-HMAC-SHA256 SignedHeaders=host", True, [CREDENTIAL, SIGNATURE]),
        ],
    )
    def test_what_it_lacks_is_named(self, sim, header, date, sentences):
        options = {} if date else {"x_amz_date": None}
        answer = post(sim, "DescribeRegistry", authorization=header, **options)
        assert answer.status == 400
        assert refusal_of(answer) == recorded(
            "IncompleteSignatureException", " ".join([*sentences, f"Authorization={header}"])
        )

    @pytest.mark.parametrize(
        "credential",
        [
            "",
            KEY,
            f"{KEY}/20260102/us-east-1/aws4_request",
            f"a/{KEY}/20260102/us-east-1/ecr/aws4_request",
            "/20260102/us-east-1/ecr/aws4_request",
            f"{KEY}/today/us-east-1/ecr/aws4_request",
            f"{KEY}/20260102/us-east-1/ecr/aws3_request",
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

    def test_the_header_goes_first(self, sim):
        assert who(sim, authorization=authorization("2" * 12), query=self.QUERY) == ("222222222222", "us-east-1")

    @pytest.mark.parametrize("credential", ["", "111111111111", "111111111111%2F20260102%2Feu-west-1%2Faws4_request"])
    def test_a_credential_that_is_none(self, sim, credential):
        answer = post(sim, "DescribeRegistry", authorization=None, query=f"?X-Amz-Credential={credential}")
        assert refusal_of(answer) == recorded("MissingAuthenticationTokenException", "Missing Authentication Token")


def test_boto3_is_understood(client):
    for account, region in (("333333333333", "ap-southeast-2"), (None, None)):
        assert client(account=account, region=region).describe_registry()["registryId"] == (account or "000000000000")
