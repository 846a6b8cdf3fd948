"""Pages in a browser that call the API: preflights and answers, for the origins that a setting names and no others."""

import pytest

from ecrsim import Ecrsim
from ecrsim.config import Config, ConfigError
from ecrsim.testing import call_application

PAGE = "http://localhost:3000"
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-amz-date,x-amz-target",
}
HEADERS = (
    "authorization",
    "content-type",
    "date",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-target",
    "x-amz-user-agent",
)
CREDENTIALS = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/ecr/aws4_request, "
    "SignedHeaders=host, Signature=0",
    "X-Amz-Date": "20260101T000000Z",
    "Content-Type": "application/x-amz-json-1.1",
}


def ask(sim, method, path="/", origin=PAGE, body=b"", **headers):
    given = {"Origin": origin, "Sec-Fetch-Site": "cross-site"} | headers
    return call_application(sim.app, method, f"http://localhost:5100{path}", given, body)


def describe(sim, origin=PAGE):
    target = {"X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"}
    return ask(sim, "POST", origin=origin, body=b"{}", **CREDENTIALS, **target)


@pytest.fixture(scope="module")
def named():
    with Ecrsim(socket=False, cors_origins=f"https://app.example, {PAGE}") as sim:
        yield sim


@pytest.mark.parametrize("origin", [PAGE, "https://app.example"])
def test_a_preflight_is_answered_in_a_stable_order(named, origin):
    answer = ask(named, "OPTIONS", origin=origin, **PREFLIGHT)
    assert (answer.status, answer.body) == (200, b"")
    assert list(answer.headers.items()) == [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", "x-amzn-requestid,x-amzn-errortype,x-amzn-errormessage,date"),
        ("Vary", "Origin"),
        ("Access-Control-Allow-Methods", "GET,POST,OPTIONS"),
        (
            "Access-Control-Allow-Headers",
            ",".join(HEADERS),
        ),
        ("Access-Control-Max-Age", "172800"),
        ("Content-Length", "0"),
    ]


def test_the_answer_itself_may_be_read(named):
    answer = describe(named)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, PAGE)
    assert answer.json() == {"repositories": []}
    who = ask(
        named,
        "POST",
        body=b"Action=GetCallerIdentity&Version=2011-06-15",
        **CREDENTIALS | {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (who.status, who.headers["Access-Control-Allow-Origin"]) == (200, PAGE)


@pytest.mark.parametrize("origin", ["http://localhost:3001", "https://localhost:3000", "null", "http://evil.example"])
def test_another_origin_is_refused(named, origin):
    assert "Access-Control-Allow-Origin" not in ask(named, "OPTIONS", origin=origin, **PREFLIGHT).headers
    refused = describe(named, origin)
    assert (refused.status, "Access-Control-Allow-Origin" in refused.headers) == (400, False)


@pytest.mark.parametrize("path", ["/v2/", "/v2/_catalog", "/_ecrsim/clock"])
def test_the_registry_and_the_admin_surface_stay_closed(named, path):
    assert ask(named, "GET", path).status == 403


def test_all_origins_can_be_named():
    with Ecrsim(socket=False, cors_origins="*") as sim:
        assert ask(sim, "OPTIONS", origin="http://x.example", **PREFLIGHT).headers["Access-Control-Allow-Origin"] == "*"
        assert describe(sim, "http://x.example").status == 200
        assert ask(sim, "GET", "/_ecrsim/clock").status == 403


def test_none_is_named_unless_somebody_does():
    with Ecrsim(socket=False) as sim:
        assert "Access-Control-Allow-Origin" not in ask(sim, "OPTIONS", **PREFLIGHT).headers
        assert describe(sim).status == 400


@pytest.mark.parametrize("text", ["localhost:3000", "http://a/b", "ftp://a", "http://a;http://b", "http://*"])
def test_what_is_no_origin_is_refused_at_the_start(text):
    with pytest.raises(ConfigError, match="cors-origins must be origins such as"):
        Config(cors_origins=text)
