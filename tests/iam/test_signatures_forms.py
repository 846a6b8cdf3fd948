"""The forms of a signature: what is read, and what is said of the rest. The sentences are recorded ones."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest

from ecrsim.iam.signatures import NO_SIGNATURE, SignatureFault, SignatureRefusal, Signed, parse

DATE = "20260102T030405Z"
CREDENTIAL = "AKIDEXAMPLE/20260102/us-east-1/ecr/aws4_request"
SIGNED = Signed(
    access_key="AKIDEXAMPLE",
    date="20260102",
    region="us-east-1",
    service="ecr",
    terminator="aws4_request",
    signed_headers=("host", "x-amz-date"),
    signature="abc",
    amz_date=DATE,
    moment=1_767_323_045,
    session_token=None,
    presigned=False,
    expires=None,
)


def header(authorization: str | None, **others: str) -> dict[str, str]:
    names = {name.replace("_", "-"): value for name, value in {"x_amz_date": DATE, **others}.items() if value}
    return names if authorization is None else {"authorization": authorization, **names}


def query(**changes: str | None) -> str:
    """A presigned query; None takes a parameter away."""
    parameters = {
        "Action": "GetCallerIdentity",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": CREDENTIAL,
        "X-Amz-Date": DATE,
        "X-Amz-Expires": "60",
        "X-Amz-SignedHeaders": "host;x-amz-date",
        "X-Amz-Signature": "abc",
        **{f"X-Amz-{name.replace('_', '-')}": value for name, value in changes.items()},
    }
    return urlencode({name: value for name, value in parameters.items() if value is not None})


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(
            f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature=abc",
            id="as the SDKs write it",
        ),
        pytest.param(
            f"AWS4-HMAC-SHA256 Credential={CREDENTIAL},SignedHeaders=host;x-amz-date,Signature=abc", id="commas alone"
        ),
        pytest.param(
            f"AWS4-HMAC-SHA256 Credential={CREDENTIAL} SignedHeaders=host;x-amz-date Signature=abc", id="spaces alone"
        ),
        pytest.param(
            f"  AWS4-HMAC-SHA256   Credential={CREDENTIAL} ,  SignedHeaders=host;x-amz-date ,, Signature=abc  ",
            id="more of both",
        ),
        pytest.param(
            f"AWS4-HMAC-SHA256 Signature=abc, SignedHeaders=Host;X-Amz-Date, Credential={CREDENTIAL}/",
            id="another order, upper case, a slash at the end",
        ),
    ],
)
def test_the_header_form_is_read(authorization: str):
    assert parse(header(authorization), "") == SIGNED


def test_the_date_may_be_in_the_date_header():
    authorization = f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature=abc"
    assert parse(header(authorization, x_amz_date="", date=DATE), "") == SIGNED


def test_the_token_is_read():
    authorization = f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host;x-amz-date, Signature=abc"
    headers = header(authorization, x_amz_security_token="a/b+c==")
    assert parse(headers, "") == SIGNED._replace(session_token="a/b+c==")


def test_the_presigned_form_is_read():
    presigned = SIGNED._replace(presigned=True, expires=60)
    assert parse({}, query()) == presigned
    assert parse({}, query(Security_Token="a/b+c==")) == presigned._replace(session_token="a/b+c==")


@pytest.mark.parametrize("expires", [None, "", "soon", "-1", "1e3", "9" * 10])
def test_nobody_asks_when_a_url_expires(expires: str | None):
    assert parse({}, query(Expires=expires)) == SIGNED._replace(presigned=True, expires=None)


REQUIRED = "Authorization header requires '{}' parameter."
DATED = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."


@pytest.mark.parametrize(
    ("authorization", "date", "message"),
    [
        pytest.param(
            "a",
            "",
            " ".join([*map(REQUIRED.format, ["Credential", "Signature", "SignedHeaders"]), DATED, "Authorization=a"]),
            id="a word",
        ),
        pytest.param(
            "AWS AKID:c2lnbmF0dXJl=",
            DATE,
            " ".join([*map(REQUIRED.format, ["Credential", "Signature", "SignedHeaders"]), "Authorization=AWS"])
            + " AKID:c2lnbmF0dXJl=",
            id="version 2",
        ),
        pytest.param(
            "AWS4-HMAC-SHA256 Credential=ABCDEF",
            DATE,
            " ".join([*map(REQUIRED.format, ["Signature", "SignedHeaders"]), "Authorization=AWS4-HMAC-SHA256"])
            + " Credential=ABCDEF",
            id="a credential alone",
        ),
        pytest.param(
            f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host, Signature=abc",
            "",
            f"{DATED} Authorization=AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host, Signature=abc",
            id="no date",
        ),
        pytest.param(
            "Bearer eyJhbGciOiJIUzI1NiJ9",
            DATE,
            "'eyJhbGciOiJIUzI1NiJ9' not a valid key=value pair (missing equal-sign) in Authorization header: "
            "'Bearer eyJhbGciOiJIUzI1NiJ9'.",
            id="a bearer token",
        ),
        pytest.param(
            "AWS4-HMAC-SHA256 Credential= AKID/1/2/3/4, SignedHeaders=host, Signature=abc",
            DATE,
            "'AKID/1/2/3/4' not a valid key=value pair (missing equal-sign) in Authorization header: "
            "'AWS4-HMAC-SHA256 Credential= AKID/1/2/3/4, SignedHeaders=host, Signature=abc'.",
            id="a space too many",
        ),
        pytest.param(
            "AWS4-HMAC-SHA256 Credential=foo/bar/20210531/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=a",
            DATE,
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            "got 'foo/bar/20210531/us-east-1/sts/aws4_request'",
            id="a slash in the key",
        ),
        pytest.param(
            "AWS4-HMAC-SHA256 Credential=a/b/c/d, SignedHeaders=host, Signature=a",
            DATE,
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            "got 'a/b/c/d'",
            id="four elements",
        ),
        pytest.param(
            f"AWS4-HMAC-SHA25 Credential={CREDENTIAL}, SignedHeaders=host, Signature=a",
            DATE,
            "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA25' (only AWS4-HMAC-SHA256 for now). ",
            id="another algorithm",
        ),
        *[
            pytest.param(
                f"AWS4-HMAC-SHA256 Credential={CREDENTIAL}, SignedHeaders=host, Signature=a",
                date,
                f"Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601",
                id=f"the date {date}",
            )
            for date in [
                "201",
                "Sun, 23 Nov 2014 04:07:43 GMT",
                "2026-01-02T03:04:05Z",
                "20260102T030405+0000",
                "20261302T030405Z",
                "20260102T250405Z",
                "20260102T03040\N{ARABIC-INDIC DIGIT FIVE}Z",
            ]
        ],
    ],
)
def test_a_header_that_cannot_be_read(authorization: str, date: str, message: str):
    assert parse(header(authorization, x_amz_date=date), "") == SignatureRefusal(SignatureFault.INCOMPLETE, message)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"Credential": None}, ["Credential"]),
        ({"Signature": ""}, ["Signature"]),
        ({"Date": None, "SignedHeaders": None}, ["SignedHeaders", "Date"]),
        (
            dict.fromkeys(["Algorithm", "Credential", "Signature", "SignedHeaders", "Date"], ""),
            ["Algorithm", "Credential", "Signature", "SignedHeaders", "Date"],
        ),
    ],
)
def test_a_query_that_lacks_something(changes: dict[str, str | None], names: list[str]):
    sentences = [f"AWS query-string parameters must include 'X-Amz-{name}'." for name in names]
    message = " ".join([*sentences, "Re-examine the query-string parameters."])
    assert parse({}, query(**changes)) == SignatureRefusal(SignatureFault.INCOMPLETE, message)


@pytest.mark.parametrize(
    ("changes", "beginning"),
    [
        ({"Date": "today"}, "Date must be in ISO-8601 'basic format'. Got 'today'."),
        ({"Algorithm": "AWS4-ECDSA-P256-SHA256"}, "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'"),
        ({"Credential": "a/b"}, "Credential must have exactly 5 slash-delimited elements"),
    ],
)
def test_a_query_that_cannot_be_read(changes: dict[str, str | None], beginning: str):
    refusal = parse({}, query(**changes))
    assert isinstance(refusal, SignatureRefusal)
    assert refusal.reason is SignatureFault.INCOMPLETE
    assert refusal.message.startswith(beginning)


@pytest.mark.parametrize("text", ["", "a=b", "note=X-Amz-Algorithm", "x-amz-algorithm=AWS4-HMAC-SHA256"])
@pytest.mark.parametrize("headers", [{}, header(None), {"authorization": ""}])
def test_no_signature_at_all(headers: dict[str, str], text: str):
    assert (
        parse(headers, text) == NO_SIGNATURE == SignatureRefusal(SignatureFault.MISSING, "Missing Authentication Token")
    )


def test_both_forms_at_once():
    message = "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    assert parse(header("AWS4-HMAC-SHA256"), "X-Amz-Algorithm") == SignatureRefusal(SignatureFault.INVALID, message)
