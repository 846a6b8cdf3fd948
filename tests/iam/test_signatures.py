"""What boto3, the aws CLI and the SDKs for Go, Java and JavaScript signed is believed, and nothing that was altered."""

from __future__ import annotations

import hashlib
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.iam import signatures
from ecrsim.iam.signatures import (
    EXPIRED_TOKEN,
    MISMATCH,
    QUERY_ERRORS,
    UNKNOWN_TOKEN,
    KnownKey,
    Parts,
    SignatureFault,
    SignatureRefusal,
    Signed,
    parse,
    verify,
)
from tests.iam.signed_requests import (
    ALTERATIONS,
    DOCUMENTS,
    KEYS,
    Recorded,
    in_signature,
    recorded,
    with_header,
)

RECORDED = recorded()
OTHER_KEY = {"AKIAI44QH8DHBEXAMPLE": KnownKey("another secret", None)}
MINUTE = 60_000

every_request = pytest.mark.parametrize("request_", RECORDED, ids=str)


def checked(parts: Parts, now: int, service: str | None = None, **keys: KnownKey) -> SignatureRefusal | None:
    """Read, look the key up, verify."""
    signed = parse(parts.headers, parts.query)
    if isinstance(signed, SignatureRefusal):
        return signed
    key = {**KEYS, **OTHER_KEY, **keys}[signed.access_key]
    return verify(signed, parts, key, now, service=service or signed.service)


def request_named(client: str, operation: str) -> Recorded:
    return next(each for each in RECORDED if (each.client, each.operation) == (client, operation))


PUT_IMAGE = request_named("go", "AmazonEC2ContainerRegistry_V20150921.PutImage")
TEMPORARY = request_named("java", "AmazonEC2ContainerRegistry_V20150921.BatchGetImage")
PRESIGNED = request_named("javascript", "sts.GetCallerIdentity, presigned")


class TestRecorded:
    def test_there_are_more_than_fifty_of_four_sdks(self):
        assert len([each for each in RECORDED if each.client != "aws-cli"]) >= 50
        assert set(DOCUMENTS) == {"aws-cli", "boto3", "go", "java", "javascript"}

    @every_request
    def test_it_is_believed(self, request_: Recorded):
        assert checked(request_.parts, request_.received) is None

    @every_request
    @pytest.mark.parametrize("alteration", ALTERATIONS)
    def test_altered_it_is_not(self, request_: Recorded, alteration: str):
        altered = ALTERATIONS[alteration](request_.parts)
        # That key is a permanent one, and so a token that comes with it is not what is wrong with it first.
        assert checked(altered, request_.received) == MISMATCH

    @every_request
    def test_with_another_secret_it_is_not(self, request_: Recorded):
        keys = {name: key._replace(secret=key.secret[::-1]) for name, key in KEYS.items()}
        assert checked(request_.parts, request_.received, **keys) == MISMATCH

    @pytest.mark.parametrize("request_", [each for each in RECORDED if each.is_temporary], ids=str)
    def test_another_session_token_is_not_known(self, request_: Recorded):
        if request_.is_presigned:
            altered = request_.parts._replace(query=request_.parts.query.replace("X2VjEXAMPLE", "X2VjOTHER"))
        else:
            altered = with_header(request_.parts, "x-amz-security-token", "another")
        assert checked(altered, request_.received) == UNKNOWN_TOKEN


class TestTime:
    @pytest.mark.parametrize("request_", [PUT_IMAGE, PRESIGNED], ids=str)
    @pytest.mark.parametrize("minutes", [-15, -5, 0, 5, 15])
    def test_a_quarter_of_an_hour_either_way_is_forgiven(self, request_: Recorded, minutes: int):
        moment = parse(request_.parts.headers, request_.parts.query).moment * 1000
        assert checked(request_.parts, moment + minutes * MINUTE) is None

    @pytest.mark.parametrize("request_", [PUT_IMAGE, PRESIGNED], ids=str)
    def test_after_that_it_is_expired_whatever_a_url_asks_for(self, request_: Recorded):
        signed = parse(request_.parts.headers, request_.parts.query)
        assert signed.expires == (60 if request_.is_presigned else None)
        refusal = checked(request_.parts, (signed.moment + 15 * 60 + 1) * 1000)
        now = signatures._basic(signed.moment + 15 * 60 + 1)
        earliest = signatures._basic(signed.moment + 1)
        sentence = f"Signature expired: {signed.amz_date} is now earlier than {earliest} ({now} - 15 min.)"
        assert refusal == SignatureRefusal(SignatureFault.INVALID, sentence)

    @pytest.mark.parametrize("request_", [PUT_IMAGE, PRESIGNED], ids=str)
    def test_from_the_future_it_is_not_yet_current(self, request_: Recorded):
        signed = parse(request_.parts.headers, request_.parts.query)
        refusal = checked(request_.parts, (signed.moment - 15 * 60 - 1) * 1000)
        now = signatures._basic(signed.moment - 15 * 60 - 1)
        latest = signatures._basic(signed.moment - 1)
        sentence = f"Signature not yet current: {signed.amz_date} is still later than {latest} ({now} + 15 min.)"
        assert refusal == SignatureRefusal(SignatureFault.INVALID, sentence)

    def test_dates_are_in_the_basic_format(self):
        assert signatures._basic(1_767_323_045) == "20260102T030405Z"


class TestTokens:
    NOW = TEMPORARY.received
    KEY = KEYS["ASIAIOSFODNN7EXAMPLE"]

    def test_a_token_expires(self):
        key = {"ASIAIOSFODNN7EXAMPLE": self.KEY._replace(expires_at=self.NOW)}
        assert checked(TEMPORARY.parts, self.NOW, **key) == EXPIRED_TOKEN
        assert checked(TEMPORARY.parts, self.NOW - 1, **key) is None

    def test_that_it_expired_is_found_before_the_signature(self):
        key = {"ASIAIOSFODNN7EXAMPLE": self.KEY._replace(secret="wrong", expires_at=self.NOW)}
        assert checked(TEMPORARY.parts, self.NOW, **key) == EXPIRED_TOKEN

    def test_a_temporary_key_without_its_token_is_not_known(self):
        assert checked(with_header(TEMPORARY.parts, "x-amz-security-token", None), self.NOW) == UNKNOWN_TOKEN

    def test_a_permanent_key_has_no_token(self):
        """The secret is right and the token is signed: only that there is one is wrong."""
        key = {"ASIAIOSFODNN7EXAMPLE": KnownKey(self.KEY.secret)}
        assert checked(TEMPORARY.parts, self.NOW, **key) == UNKNOWN_TOKEN

    def test_the_sentences(self):
        assert UNKNOWN_TOKEN.message == "The security token included in the request is invalid."
        assert EXPIRED_TOKEN.message == "The security token included in the request is expired"


class TestScope:
    def refused(self, parts: Parts, **scope: str) -> str:
        signed = parse(parts.headers, parts.query)
        refusal = verify(signed, parts, KEYS[signed.access_key], PUT_IMAGE.received, **{"service": "ecr", **scope})
        assert refusal is not None
        assert refusal.reason is SignatureFault.INVALID
        return refusal.message

    def test_the_service_is_the_one_that_is_asked(self):
        assert self.refused(PUT_IMAGE.parts, service="sts") == "Credential should be scoped to correct service: 'sts'. "

    def test_the_region_is_the_one_that_is_asked_for(self):
        message = self.refused(PUT_IMAGE.parts, region="eu-west-1")
        assert message == "Credential should be scoped to a valid region, not 'us-east-1'. "

    def test_it_ends_in_the_terminator(self):
        message = self.refused(in_signature(PUT_IMAGE.parts, "aws4_request", "aws4"))
        assert message == "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws4'. "

    def test_its_day_is_that_of_the_date(self):
        signed = parse(PUT_IMAGE.parts.headers, "")
        assert self.refused(in_signature(PUT_IMAGE.parts, r"/\d{8}/", "/20200101/")) == (
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'20200101' != '{signed.date}', from '{signed.amz_date}'. "
        )

    def test_everything_is_said_at_once(self):
        parts = in_signature(PUT_IMAGE.parts, r"/\d{8}/us-east-1/ecr/aws4_request", "/1/2/3/4")
        assert self.refused(parts, region="us-east-1").count(". ") == 4

    def test_the_host_is_signed(self):
        message = self.refused(in_signature(PUT_IMAGE.parts, ";host;", ";"))
        assert message == "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."


class TestBody:
    """What is recorded declares its hash in x-amz-content-sha256 (Java, JavaScript) or does not (boto3, Go)."""

    def test_the_header_may_not_name_another_body(self):
        parts = with_header(PUT_IMAGE.parts, "x-amz-content-sha256", hashlib.sha256(b"another").hexdigest())
        assert checked(parts, PUT_IMAGE.received) == MISMATCH

    def test_it_may_name_this_one_though_nobody_signed_the_header(self):
        digest = hashlib.sha256(PUT_IMAGE.parts.body).hexdigest()
        parts = with_header(PUT_IMAGE.parts, "x-amz-content-sha256", digest)
        assert checked(parts, PUT_IMAGE.received) is None

    def test_that_the_body_is_unsigned_is_signed(self):
        parts = with_header(PUT_IMAGE.parts, "x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        assert checked(parts, PUT_IMAGE.received) == MISMATCH

    def test_an_unsigned_body_can_be_any(self):
        request = AWSRequest("POST", "http://localhost/", {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, b"any")
        UnsignedBody(Credentials("AKIA", "secret"), "ecr", "us-east-1").add_auth(request)
        parts = parts_of(request)
        now = parse(parts.headers, "").moment * 1000
        for body in (b"any", b"other"):
            assert checked(parts._replace(body=body), now, AKIA=KnownKey("secret")) is None


class UnsignedBody(SigV4Auth):
    def payload(self, request: AWSRequest) -> str:
        return "UNSIGNED-PAYLOAD"


def parts_of(request: AWSRequest) -> Parts:
    """What a server would see of a request that botocore signed."""
    url = urlsplit(request.url)
    headers = {"host": url.netloc, **{name.lower(): value for name, value in request.headers.items()}}
    body = request.body or b""
    return Parts(request.method, url.path, url.query, headers, body)


words = st.text(min_size=1, max_size=8)
#: Dots and slashes are for the server's own normalisation; the client that we compare with has another one.
segments = st.lists(words.filter(lambda word: set(word) - {"."}).map(lambda word: quote(word, safe="")), max_size=3)
queries = st.lists(st.tuples(words, words), max_size=4).map(lambda pairs: urlencode(pairs, quote_via=quote))
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@pytest.mark.parametrize("auth", [SigV4Auth, SigV4QueryAuth])
@settings(deadline=None)
@given(st.data())
def test_what_botocore_signs_is_believed(auth: type[SigV4Auth], data: st.DataObject):
    url = f"http://localhost:5100/{'/'.join(data.draw(segments))}?{data.draw(queries)}"
    body = data.draw(st.binary(max_size=20)) if auth is SigV4Auth else b""
    request = AWSRequest("POST" if body else "GET", url, {"x-test": data.draw(values)}, body)
    auth(Credentials("AKIA", "secret", data.draw(st.none() | tokens)), "ecr", "us-east-1").add_auth(request)
    parts = parts_of(request)
    signed = parse(parts.headers, parts.query)
    key = KnownKey("secret", signed.session_token)
    now = signed.moment * 1000
    assert verify(signed, parts, key, now, service="ecr", region="us-east-1") is None
    assert verify(signed, parts._replace(path=f"{parts.path}x"), key, now, service="ecr") == MISMATCH


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("", id="no path"),
        pytest.param("/a//b", id="two slashes"),
        pytest.param("//a/", id="two slashes at the start"),
        pytest.param("/a/./b/.c", id="a dot"),
        pytest.param("/a/b/../c", id="two dots"),
        pytest.param("/../a", id="two dots at the start"),
        pytest.param("/a/../", id="nothing is left"),
        pytest.param("/a%2Fb/%C3%BC/~x", id="encoded once, it is encoded again"),
        pytest.param("/?b=1&a=2&a=1&A=3", id="parameters in another order"),
        pytest.param("/?a=&b", id="parameters without a value"),
    ],
)
def test_targets_are_brought_into_one_form(target: str):
    request = AWSRequest("GET", f"http://localhost{target}")
    SigV4Auth(Credentials("AKIA", "secret"), "ecr", "us-east-1").add_auth(request)
    parts = parts_of(request)
    assert checked(parts, parse(parts.headers, parts.query).moment * 1000, AKIA=KnownKey("secret")) is None


@pytest.mark.parametrize("sent", ["a=b+c%2Bd", "a=b%20c%2bd", "%61=b%20c%2Bd"])
def test_queries_may_be_encoded_in_another_way(sent: str):
    request = AWSRequest("GET", "http://localhost/?a=b%20c%2Bd")
    SigV4Auth(Credentials("AKIA", "secret"), "ecr", "us-east-1").add_auth(request)
    parts = parts_of(request)
    now = parse(parts.headers, parts.query).moment * 1000
    assert checked(parts._replace(query=sent), now, AKIA=KnownKey("secret")) is None


def test_every_reason_has_a_code_and_a_status_in_the_query_protocol():
    assert QUERY_ERRORS.keys() == set(SignatureFault)
    assert QUERY_ERRORS[SignatureFault.INVALID] == ("SignatureDoesNotMatch", 403)


texts = st.text(max_size=40)
headers = st.dictionaries(
    st.sampled_from(["authorization", "host", "x-amz-date", "date", "x-amz-security-token", "x-amz-content-sha256"]),
    texts | st.just(PUT_IMAGE.parts.headers["authorization"]) | st.just(PUT_IMAGE.parts.headers["x-amz-date"]),
)


@settings(deadline=None)
@given(texts, texts | st.just(PRESIGNED.parts.query), headers, st.binary(max_size=20))
def test_nothing_that_is_sent_raises(path: str, query: str, headers: dict[str, str], body: bytes):
    parts = Parts("POST", path, query, headers, body)
    signed = parse(parts.headers, query)
    if isinstance(signed, Signed):
        assert isinstance(
            verify(signed, parts, KnownKey("secret"), PUT_IMAGE.received, service="ecr"), SignatureRefusal
        )
