"""Requests as real SDKs signed them, sent through the whole endpoint: believed as they are, refused when altered."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import insert

from ecrsim.app import create_app
from ecrsim.config import load
from ecrsim.core.clock import Clock
from ecrsim.core.runtime import Runtime
from ecrsim.core.sealing import seal_of
from ecrsim.ecr.access.directory import replace_all
from ecrsim.ecr.access.tables import access_keys
from ecrsim.iam.signatures import Parts
from ecrsim.testing import Response, call_application
from tests.iam.signed_requests import ALTERATIONS, KEYS, Recorded, recorded, with_header

ACCOUNT = "000000000000"
USER = f"arn:aws:iam::{ACCOUNT}:user/sdk"
#: Refusals of who asks; what is asked may fail for other reasons, repositories that are not there for one.
UNBELIEVED = re.compile(
    rb"InvalidSignatureException|SignatureDoesNotMatch|UnrecognizedClientException|InvalidClientTokenId|"
    rb"IncompleteSignature|MissingAuthenticationToken|ExpiredToken"
)
REQUESTS = [request for request in recorded() if request.parts.path == "/"]


class RecordedTime(Clock):
    """Real time is the moment at which a request was recorded."""

    moment = 0

    def unturned(self) -> int:
        return self.moment

    def now(self) -> int:
        return self.moment


@pytest.fixture(scope="module")
def runtime():
    found = Runtime(load({"ephemeral": True, "auth": "strict"}, environ={}), RecordedTime())
    found.open()
    permanent = [name for name, key in KEYS.items() if key.session_token is None]
    user = {"name": "sdk", "access_keys": [{"id": name, "secret": KEYS[name].secret} for name in permanent]}
    with found.database.write() as connection:
        replace_all(connection, {"users": [user]}, ACCOUNT, "us-east-1")
        for name in KEYS.keys() - set(permanent):
            key = KEYS[name]
            connection.execute(
                insert(access_keys).values(
                    access_key_id=name,
                    secret=seal_of(connection).sealed(key.secret, "access_keys", name),
                    owner=USER,
                    session_token=key.session_token,
                    expires_at=1 << 50,
                )
            )
    yield found
    found.close()


def answer_to(runtime: Runtime, request: Recorded) -> Response:
    runtime.clock.moment = request.received
    parts = request.parts
    url = f"http://{parts.headers['host']}{request.target}"
    return call_application(create_app(runtime), parts.method, url, dict(parts.headers), parts.body)


def test_there_are_fifty_of_four_sdks():
    by_client = {client: [request for request in REQUESTS if request.client == client] for client in
                 ("boto3", "go", "java", "javascript")}  # fmt: skip
    assert min(map(len, by_client.values())) >= 12
    assert sum(map(len, by_client.values())) >= 50


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_a_recorded_request_is_believed(runtime, request_):
    answer = answer_to(runtime, request_)
    assert answer.status < 500 or answer.status == 501, answer
    assert not UNBELIEVED.search(answer.body), answer


def another_body(parts: Parts) -> Parts:
    """As long as the first: what is beyond Content-Length is not of the request. A presigned GET gets its first."""
    if parts.body:
        return parts._replace(body=parts.body[:-1] + b" ")
    return with_header(parts, "content-length", "1")._replace(body=b" ")


HOW = {**ALTERATIONS, "the body": another_body}


@pytest.mark.parametrize("what", ["the body", "the date", "the region", "the key", "the signature", "the host"])
@pytest.mark.parametrize("request_", REQUESTS[::5], ids=str)
def test_an_altered_one_is_refused(runtime, request_, what):
    altered = request_._replace(parts=HOW[what](request_.parts))
    answer = answer_to(runtime, altered)
    assert answer.status in (400, 403)
    assert UNBELIEVED.search(answer.body), answer
