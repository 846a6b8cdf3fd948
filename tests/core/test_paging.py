"""Page tokens: what belongs to another request, or was not made here, is refused."""

import base64
import json
import zlib

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.core import paging
from ecrsim.core.errors import InvalidParameterException

REQUEST = ("ListImages", "123456789012", "us-east-1", 7, "ACTIVE", None)


def forged(key, request=REQUEST):
    """A token with the right checksum and the key that the forger likes."""
    return base64.urlsafe_b64encode(json.dumps([zlib.crc32(orjson.dumps(request)), key]).encode()).decode()


def assert_refused(token, first, request=REQUEST):
    with pytest.raises(InvalidParameterException) as caught:
        paging.decode(request, token, first)
    assert caught.value.message == (
        "Invalid parameter at 'NextToken' failed to satisfy constraint: 'Invalid next token provided'"
    )


@pytest.mark.parametrize("key", [[0], [5, 6], ["a/b", 2**63 - 1], [-(2**63)], ["ä\n\0", ""]])
def test_a_key_comes_back(key):
    first = [type(part)() for part in key]
    assert paging.decode(REQUEST, paging.encode(REQUEST, key), first) == key


def test_without_a_token_the_first_page_is_meant():
    assert paging.decode(REQUEST, None, [0, "x"]) == [0, "x"]


def test_a_token_can_stand_in_a_url():
    tokens = [paging.encode(REQUEST, [text]) for text in ("", "ÿ?>~", "a" * 50)]
    assert all(
        set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=") for token in tokens
    )


@pytest.mark.parametrize("place", range(len(REQUEST)))
def test_a_token_of_another_request_is_refused(place):
    other = [*REQUEST]
    other[place] = "another"
    assert_refused(paging.encode(tuple(other), [1]), [0])


GOOD = paging.encode(REQUEST, [5])


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("nonsense", id="a word"),
        pytest.param("ä", id="not ASCII"),
        pytest.param(GOOD[:-4], id="cut"),
        pytest.param(GOOD + "\n", id="a newline at the end"),
        pytest.param(GOOD + "AAAA", id="something at the end"),
        pytest.param(GOOD.swapcase(), id="altered"),
        pytest.param("=" * 8, id="padding"),
        pytest.param(base64.b64encode(b"null").decode(), id="null"),
        pytest.param(base64.b64encode(b"5").decode(), id="a number"),
        pytest.param(base64.b64encode(b'"ab"').decode(), id="a text of two letters"),
        pytest.param(base64.b64encode(b"[1]").decode(), id="a list of one"),
        pytest.param(base64.b64encode(b"[1,2,3]").decode(), id="a list of three"),
        pytest.param(base64.b64encode(b'{"a":1,"b":2}').decode(), id="an object of two"),
        pytest.param(base64.b64encode(b"[null,[5]]").decode(), id="no checksum"),
        pytest.param(base64.b64encode(b"[[],[5]]").decode(), id="a checksum of another type"),
        pytest.param(base64.b64encode(b"\xff\xfe").decode(), id="bytes"),
        pytest.param(base64.b64encode(b"[" * 5000).decode(), id="deep"),
    ],
)
def test_a_broken_token_is_refused(token):
    assert_refused(token, [0])


@pytest.mark.parametrize(
    ("key", "first"),
    [
        pytest.param("5", [0], id="no list"),
        pytest.param(None, [0], id="nothing"),
        pytest.param([], [0], id="too short"),
        pytest.param([1, 2], [0], id="too long"),
        pytest.param(["5"], [0], id="a text for a number"),
        pytest.param([5], [""], id="a number for a text"),
        pytest.param([True], [0], id="a truth value for a number"),
        pytest.param([1.0], [0], id="a fraction for a number"),
        pytest.param([None], [""], id="null for a text"),
        pytest.param([[1]], [0], id="a list for a number"),
        pytest.param([{"a": 1}], [""], id="an object for a text"),
        pytest.param([2**63], [0], id="a number that the database cannot take"),
        pytest.param([-(2**63) - 1], [0], id="a negative one"),
        pytest.param({"0": 5}, [0], id="an object for the list"),
    ],
)
def test_a_forged_key_is_refused(key, first):
    assert_refused(forged(key), first)


def test_the_forger_knows_the_form():
    # Otherwise the table above would prove nothing.
    assert paging.decode(REQUEST, forged([5]), [0]) == [5]


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode()))
)
def test_no_text_at_all_does_more_than_being_refused(token):
    assert_refused(token, [0])
