"""Browsers on every plane: pages of other origins are refused before anything is done, programs are not."""

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import call_application

TARGET = "AmazonEC2ContainerRegistry_V20150921"
API = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": f"{TARGET}.CreateRepository",
    "Authorization": "AWS4-HMAC-SHA256 Credential=000000000000/20260101/us-east-1/ecr/aws4_request, "
    "SignedHeaders=host, Signature=0",
    "X-Amz-Date": "20260101T000000Z",
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
#: What a browser sends for a page: of another origin, and of a name that was pointed at 127.0.0.1.
EVIL = [
    ("localhost", {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}),
    ("localhost", {"Origin": "null"}),
    ("localhost", {"Sec-Fetch-Site": "cross-site"}),
    ("evil.example", {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}),
    ("evil.example", {"Sec-Fetch-Site": "same-origin"}),
]
PATHS = [
    ("POST", "/", API, b'{"repositoryName":"planted"}'),
    ("POST", "/", FORM, b"Action=GetCallerIdentity&Version=2011-06-15"),
    ("GET", "/?Action=GetCallerIdentity", {}, b""),
    ("GET", "/v2/", {}, b""),
    ("GET", "/v2", {}, b""),
    ("DELETE", "/v2/app/manifests/v1", {}, b""),
    ("GET", "/_download/sha256:" + "0" * 64, {}, b""),
    ("GET", "/_ecrsim/health", {}, b""),
    ("POST", "/_ecrsim/reset", {}, b""),
    ("GET", "/", {}, b""),
]


@pytest.fixture(scope="module")
def running():
    with Ecrsim(socket=False) as running:
        yield running


@pytest.fixture
def sim(running):
    running.reset()
    return running


@pytest.mark.parametrize(("host", "headers"), EVIL, ids=str)
@pytest.mark.parametrize(("method", "path", "usual", "body"), PATHS, ids=lambda value: str(value)[:30])
def test_a_page_of_another_origin_reaches_nothing(sim, host, headers, method, path, usual, body):
    refused = call_application(sim.app, method, f"http://{host}{path}", {**usual, **headers}, body)
    assert refused.status == (400 if usual is API else 403)  # ECR's AccessDeniedException is 400
    assert not any(name.lower().startswith("access-control-") for name in refused.headers)
    assert sim.client().describe_repositories()["repositories"] == []


def test_the_refusal_is_in_the_form_of_its_plane(sim):
    evil = {"Origin": "https://evil.example"}
    api = call_application(sim.app, "POST", "http://localhost/", {**API, **evil}, b"{}")
    assert api.json()["__type"] == "AccessDeniedException"
    registry = call_application(sim.app, "GET", "http://localhost/v2/", evil)
    assert registry.json()["errors"][0]["code"] == "DENIED"
    assert call_application(sim.app, "HEAD", "http://localhost/v2/", evil).body == b""
    form = call_application(sim.app, "POST", "http://localhost/", {**FORM, **evil}, b"Action=GetCallerIdentity")
    assert b"<Code>AccessDenied</Code>" in form.body


@pytest.mark.parametrize("host", ["evil.example", "ecr.us-east-1.amazonaws.com", "compose_name:5100"])
def test_a_program_comes_by_any_name(sim, host):
    assert call_application(sim.app, "POST", f"http://{host}/", API, b'{"repositoryName":"app"}').status == 200
    assert call_application(sim.app, "GET", f"http://{host}/v2/").status == 401


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost"}, {"Sec-Fetch-Site": "none"}])
def test_its_own_page_is_let_in(sim, headers):
    assert (
        call_application(sim.app, "POST", "http://localhost/", {**API, **headers}, b'{"repositoryName":"app"}').status
        == 200
    )
