"""moto's IAM and STS, as a neighbour, say the same of the recorded requests and of altered ones.

moto judges by botocore's signer, so that this compares two independent readings of what a signature covers. It has none
for presigned URLs. Where it is weaker is held as well, so that we hear of a change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from moto.core.exceptions import InvalidClientTokenIdError, SignatureDoesNotMatchError
from moto.iam.access_control import IAMRequest
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from werkzeug.datastructures import EnvironHeaders

from ecrsim.iam.signatures import KnownKey, Parts, SignatureRefusal, parse, verify
from tests.iam.signed_requests import (
    ALTERATIONS,
    KEYS,
    Recorded,
    in_signature,
    recorded,
    with_header,
)

ACCOUNT = "123456789012"
ANYBODY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*"}]})
OTHER_KEY = {"AKIAI44QH8DHBEXAMPLE": KnownKey("another secret")}
REQUESTS = [each for each in recorded() if not each.is_presigned]
#: moto takes the hash of the body from the header that declares it, and does not look at the body.
DECLARING = [each for each in REQUESTS if "x-amz-content-sha256" in each.parts.headers]

every_request = pytest.mark.parametrize("request_", REQUESTS, ids=str)


@pytest.fixture(scope="module", autouse=True)
def moto() -> Iterator[None]:
    """It knows the keys of the fixtures: those of a user, and that of a session of a role."""
    iam, sts = iam_backends[ACCOUNT]["aws"], sts_backends[ACCOUNT]["aws"]
    iam.create_user("us-east-1", "somebody")
    role = iam.create_role("deploy", ANYBODY, "/", None, "", [], "3600")
    for access_key, key in {**KEYS, **OTHER_KEY}.items():
        if key.session_token is None:
            made = iam.create_access_key("somebody")
        else:
            made = sts.assume_role("us-east-1", "ci", role.arn, "", 3600, "")
            made.session_token = key.session_token
        made.access_key_id, made.secret_access_key = access_key, key.secret
    yield
    iam_backends.reset()
    sts_backends.reset()


def moto_believes(parts: Parts) -> bool:
    names = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in parts.headers.items()}
    environ = {name.replace("HTTP_CONTENT_", "CONTENT_"): value for name, value in names.items()}
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    try:
        request = IAMRequest(
            account_id=ACCOUNT,
            method=parts.method,
            path=path,
            data={},
            body=parts.body,
            headers=EnvironHeaders(environ),
            action="GetCallerIdentity",
        )
        request.check_signature()
    except (InvalidClientTokenIdError, SignatureDoesNotMatchError):
        return False
    return True


def ecrsim_believes(request: Recorded, parts: Parts, seconds_later: int = 0) -> bool:
    signed = parse(parts.headers, parts.query)
    if isinstance(signed, SignatureRefusal):
        return False
    key = {**KEYS, **OTHER_KEY}[signed.access_key]
    now = request.received + seconds_later * 1000
    return verify(signed, parts, key, now, service=signed.service) is None


@every_request
def test_both_believe_what_was_recorded(request_: Recorded):
    assert ecrsim_believes(request_, request_.parts)
    assert moto_believes(request_.parts)


@every_request
@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_neither_believes_what_was_altered(request_: Recorded, alteration: str):
    altered = ALTERATIONS[alteration](request_.parts)
    assert not ecrsim_believes(request_, altered)
    assert moto_believes(altered) == (alteration == "the body" and request_ in DECLARING)


@pytest.mark.parametrize("request_", [each for each in REQUESTS if each.is_temporary], ids=str)
@pytest.mark.parametrize("token", ["another", None])
def test_neither_believes_another_session_token(request_: Recorded, token: str | None):
    altered = with_header(request_.parts, "x-amz-security-token", token)
    assert not ecrsim_believes(request_, altered)
    assert not moto_believes(altered)


@every_request
def test_moto_does_not_look_at_the_clock(request_: Recorded):
    """To it, what was recorded is as good today."""
    assert not ecrsim_believes(request_, request_.parts, seconds_later=16 * 60)
    assert moto_believes(request_.parts)


@every_request
@pytest.mark.parametrize(("pattern", "replacement"), [(r"/\d{8}/", "/20200101/"), ("aws4_request", "aws4")])
def test_moto_overlooks_the_day_and_the_end_of_the_scope(request_: Recorded, pattern: str, replacement: str):
    altered = in_signature(request_.parts, pattern, replacement)
    assert not ecrsim_believes(request_, altered)
    assert moto_believes(altered)
