"""Authorization tokens: what is accepted, and why the rest is not."""

import base64
import json

import pytest

from ecrsim.core.durations import SECOND
from ecrsim.ecr.access.tokens import Token, TokenRefusal, issue, verify

SECRET, OTHER_SECRET = b"s" * 32, b"t" * 32
EXPIRATION = 1_800_000_000
NOW = (EXPIRATION - 60) * SECOND
TOKEN = Token("123456789012", "eu-west-1", "arn:aws:iam::123456789012:root", EXPIRATION)
ISSUED = issue(SECRET, TOKEN)


def encoded(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


PASSWORD = base64.b64decode(ISSUED).decode().removeprefix("AWS:")
ENVELOPE = json.loads(base64.b64decode(PASSWORD))


def basic(password=PASSWORD, user="AWS"):
    return f"Basic {encoded(f'{user}:{password}')}"


def altered(**members):
    """The password with other members in its envelope."""
    envelope = {name: value for name, value in {**ENVELOPE, **members}.items() if value is not None}
    # In the form that it is issued in, without spaces, so that it begins as a token does.
    return encoded(json.dumps(envelope, separators=(",", ":")))


def payload(**claims):
    return encoded(json.dumps({"account": "123456789012", "region": "eu-west-1", "principal": "x", **claims}))


class TestForm:
    """As data-plane clients take it apart (recorded: the anatomy of ECR's tokens)."""

    def test_it_is_the_user_and_a_password(self):
        user, _, password = base64.b64decode(ISSUED).decode().partition(":")
        assert (user, password) == ("AWS", PASSWORD)

    def test_there_is_one_colon_in_it(self):
        assert base64.b64decode(ISSUED).count(b":") == 1

    def test_the_password_begins_as_ecr_s_do(self):
        assert PASSWORD.startswith("eyJwYXlsb2FkIjoi")

    def test_the_envelope_has_ecr_s_members_in_their_order(self):
        assert list(ENVELOPE) == ["payload", "datakey", "version", "type", "expiration"]
        assert (ENVELOPE["version"], ENVELOPE["type"], ENVELOPE["expiration"]) == ("2", "DATA_KEY", EXPIRATION)

    def test_payload_and_data_key_are_base64(self):
        assert len(base64.b64decode(ENVELOPE["datakey"], validate=True)) == 32
        assert json.loads(base64.b64decode(ENVELOPE["payload"], validate=True))["account"] == "123456789012"

    def test_the_secret_is_not_in_it(self):
        assert SECRET not in base64.b64decode(PASSWORD)


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(basic(), id="as docker sends it"),
        pytest.param(f"Basic {ISSUED}", id="as GetAuthorizationToken gives it"),
        pytest.param(f"basic {ISSUED}", id="the scheme's case does not matter"),
        pytest.param(f"Basic  {ISSUED}", id="two spaces"),
    ],
)
def test_what_is_accepted(authorization):
    assert verify(SECRET, authorization, NOW) == TOKEN


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        pytest.param(None, TokenRefusal.MISSING, id="no header"),
        pytest.param("", TokenRefusal.MISSING, id="an empty header"),
        pytest.param("Basic", TokenRefusal.MISSING, id="a scheme alone"),
        pytest.param("Basic ", TokenRefusal.MISSING, id="no credentials"),
        pytest.param(f"Bearer {ISSUED}", TokenRefusal.MISSING, id="another scheme"),
        pytest.param(ISSUED, TokenRefusal.MISSING, id="no scheme"),
        pytest.param("Basic ????", TokenRefusal.MISSING, id="no base64"),
        pytest.param(f"Basic {encoded(bytes([255, 254]))}", TokenRefusal.MISSING, id="no text"),
        pytest.param(f"Basic {encoded('AWS')}", TokenRefusal.MISSING, id="no colon"),
        pytest.param(basic(""), TokenRefusal.MISSING, id="no password"),
        pytest.param(basic(user="aws"), TokenRefusal.MISSING, id="the user in lower case"),
        pytest.param(basic(user="admin"), TokenRefusal.MISSING, id="another user"),
        pytest.param(basic(user=""), TokenRefusal.MISSING, id="no user"),
        pytest.param(f"Basic {PASSWORD}", TokenRefusal.MISSING, id="the password without the user"),
        pytest.param(basic("password"), TokenRefusal.INVALID, id="a password that somebody made up"),
        pytest.param(basic(encoded("{}")), TokenRefusal.INVALID, id="an empty envelope"),
        pytest.param(basic(encoded("5")), TokenRefusal.INVALID, id="a number in base64"),
        pytest.param(basic(PASSWORD + "\n"), TokenRefusal.MALFORMED, id="a newline at the end"),
        pytest.param(basic(PASSWORD + " "), TokenRefusal.MALFORMED, id="a space at the end"),
        pytest.param(basic(PASSWORD[:-1]), TokenRefusal.MALFORMED, id="cut by one letter"),
        pytest.param(basic(PASSWORD[: len(PASSWORD) // 2 // 4 * 4]), TokenRefusal.MALFORMED, id="cut in the middle"),
        pytest.param(basic(PASSWORD * 2), TokenRefusal.MALFORMED, id="pasted twice"),
        pytest.param(basic(ISSUED), TokenRefusal.INVALID, id="encoded twice"),
        pytest.param(
            basic(altered(payload=payload(account="999999999999"))), TokenRefusal.INVALID, id="another account"
        ),
        pytest.param(basic(altered(payload=payload(principal="y"))), TokenRefusal.INVALID, id="another principal"),
        pytest.param(basic(altered(expiration=EXPIRATION + 1)), TokenRefusal.INVALID, id="a longer life"),
        pytest.param(basic(altered(expiration=0)), TokenRefusal.INVALID, id="a shorter life"),
        pytest.param(basic(altered(datakey=encoded(b"0" * 32))), TokenRefusal.INVALID, id="another seal"),
        pytest.param(basic(altered(datakey="")), TokenRefusal.INVALID, id="an empty seal"),
        pytest.param(basic(altered(datakey=5)), TokenRefusal.INVALID, id="a seal that is a number"),
        pytest.param(basic(altered(expiration="soon")), TokenRefusal.MALFORMED, id="an expiration that is a text"),
        pytest.param(basic(altered(expiration=EXPIRATION + 0.5)), TokenRefusal.MALFORMED, id="one that is a fraction"),
        pytest.param(basic(altered(expiration=True)), TokenRefusal.MALFORMED, id="one that is a truth value"),
        pytest.param(basic(altered(expiration=None)), TokenRefusal.MALFORMED, id="no expiration"),
        pytest.param(basic(altered(datakey=None)), TokenRefusal.MALFORMED, id="no seal"),
        pytest.param(basic(altered(payload="ä")), TokenRefusal.INVALID, id="a payload that is not ASCII"),
        pytest.param(basic(encoded("[1,2]")), TokenRefusal.INVALID, id="a list for an envelope"),
    ],
)
def test_what_is_refused(authorization, expected):
    assert verify(SECRET, authorization, NOW) is expected


def test_members_that_the_seal_does_not_cover_do_not_matter():
    assert verify(SECRET, basic(altered(version="1", type="X")), NOW) == TOKEN


def test_a_token_of_another_installation_is_refused():
    assert verify(SECRET, f"Basic {issue(OTHER_SECRET, TOKEN)}", NOW) is TokenRefusal.INVALID


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(EXPIRATION * SECOND - 1, TOKEN, id="the last millisecond"),
        pytest.param(EXPIRATION * SECOND, TokenRefusal.EXPIRED, id="the second it expires in"),
        pytest.param(EXPIRATION * SECOND * 2, TokenRefusal.EXPIRED, id="long after"),
        pytest.param(0, TOKEN, id="before it was issued, when a clock was turned back"),
    ],
)
def test_it_lives_until_it_expires(now, expected):
    assert verify(SECRET, f"Basic {ISSUED}", now) == expected


def test_an_altered_token_that_expired_too_is_invalid_first():
    assert (
        verify(SECRET, basic(altered(payload=payload(principal="y"))), EXPIRATION * SECOND * 2) is TokenRefusal.INVALID
    )
