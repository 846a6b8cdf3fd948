"""Authorization tokens: what is accepted, and why the rest is not."""

import base64
import json

import pytest

from ecrsim.core.clock import SECOND
from ecrsim.ecr.access.tokens import Refusal, Token, issue, verify

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
        pytest.param(None, Refusal.MISSING, id="no header"),
        pytest.param("", Refusal.MISSING, id="an empty header"),
        pytest.param("Basic", Refusal.MISSING, id="a scheme alone"),
        pytest.param("Basic ", Refusal.MISSING, id="no credentials"),
        pytest.param(f"Bearer {ISSUED}", Refusal.MISSING, id="another scheme"),
        pytest.param(ISSUED, Refusal.MISSING, id="no scheme"),
        pytest.param("Basic ????", Refusal.MISSING, id="no base64"),
        pytest.param(f"Basic {encoded(bytes([255, 254]))}", Refusal.MISSING, id="no text"),
        pytest.param(f"Basic {encoded('AWS')}", Refusal.MISSING, id="no colon"),
        pytest.param(basic(""), Refusal.MISSING, id="no password"),
        pytest.param(basic(user="aws"), Refusal.MISSING, id="the user in lower case"),
        pytest.param(basic(user="admin"), Refusal.MISSING, id="another user"),
        pytest.param(basic(user=""), Refusal.MISSING, id="no user"),
        pytest.param(f"Basic {PASSWORD}", Refusal.MISSING, id="the password without the user"),
        pytest.param(basic("password"), Refusal.INVALID, id="a password that somebody made up"),
        pytest.param(basic(encoded("{}")), Refusal.INVALID, id="an empty envelope"),
        pytest.param(basic(encoded("5")), Refusal.INVALID, id="a number in base64"),
        pytest.param(basic(PASSWORD + "\n"), Refusal.MALFORMED, id="a newline at the end"),
        pytest.param(basic(PASSWORD + " "), Refusal.MALFORMED, id="a space at the end"),
        pytest.param(basic(PASSWORD[:-1]), Refusal.MALFORMED, id="cut by one letter"),
        pytest.param(basic(PASSWORD[: len(PASSWORD) // 2 // 4 * 4]), Refusal.MALFORMED, id="cut in the middle"),
        pytest.param(basic(PASSWORD * 2), Refusal.MALFORMED, id="pasted twice"),
        pytest.param(basic(ISSUED), Refusal.INVALID, id="encoded twice"),
        pytest.param(basic(altered(payload=payload(account="999999999999"))), Refusal.INVALID, id="another account"),
        pytest.param(basic(altered(payload=payload(principal="y"))), Refusal.INVALID, id="another principal"),
        pytest.param(basic(altered(expiration=EXPIRATION + 1)), Refusal.INVALID, id="a longer life"),
        pytest.param(basic(altered(expiration=0)), Refusal.INVALID, id="a shorter life"),
        pytest.param(basic(altered(datakey=encoded(b"0" * 32))), Refusal.INVALID, id="another seal"),
        pytest.param(basic(altered(datakey="")), Refusal.INVALID, id="an empty seal"),
        pytest.param(basic(altered(datakey=5)), Refusal.INVALID, id="a seal that is a number"),
        pytest.param(basic(altered(expiration="soon")), Refusal.MALFORMED, id="an expiration that is a text"),
        pytest.param(basic(altered(expiration=EXPIRATION + 0.5)), Refusal.MALFORMED, id="one that is a fraction"),
        pytest.param(basic(altered(expiration=True)), Refusal.MALFORMED, id="one that is a truth value"),
        pytest.param(basic(altered(expiration=None)), Refusal.MALFORMED, id="no expiration"),
        pytest.param(basic(altered(datakey=None)), Refusal.MALFORMED, id="no seal"),
        pytest.param(basic(altered(payload="ä")), Refusal.INVALID, id="a payload that is not ASCII"),
        pytest.param(basic(encoded("[1,2]")), Refusal.INVALID, id="a list for an envelope"),
    ],
)
def test_what_is_refused(authorization, expected):
    assert verify(SECRET, authorization, NOW) is expected


def test_members_that_the_seal_does_not_cover_do_not_matter():
    assert verify(SECRET, basic(altered(version="1", type="X")), NOW) == TOKEN


def test_a_token_of_another_installation_is_refused():
    assert verify(SECRET, f"Basic {issue(OTHER_SECRET, TOKEN)}", NOW) is Refusal.INVALID


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(EXPIRATION * SECOND - 1, TOKEN, id="the last millisecond"),
        pytest.param(EXPIRATION * SECOND, Refusal.EXPIRED, id="the second it expires in"),
        pytest.param(EXPIRATION * SECOND * 2, Refusal.EXPIRED, id="long after"),
        pytest.param(0, TOKEN, id="before it was issued, when a clock was turned back"),
    ],
)
def test_it_lives_until_it_expires(now, expected):
    assert verify(SECRET, f"Basic {ISSUED}", now) == expected


def test_an_altered_token_that_expired_too_is_invalid_first():
    assert verify(SECRET, basic(altered(payload=payload(principal="y"))), EXPIRATION * SECOND * 2) is Refusal.INVALID
