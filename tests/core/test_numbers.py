"""Numbers as strangers write them."""

import pytest

from ecrsim.core.numbers import LARGEST, whole, whole_or_more

ROWS = [
    ("0", 0),
    ("007", 7),
    ("10", 10),
    ("0" * 10_000 + "5", 5),
    ("11", None),
    ("9" * 4_301, None),
    ("9" * 1_000_000, None),
    ("", None),
    ("-1", None),
    ("+1", None),
    (" 1", None),
    ("1\n", None),
    ("1_0", None),
    ("1.0", None),
    ("1e1", None),
    ("0x1", None),
    ("\u0661", None),
    ("\xb2", None),
]


@pytest.mark.parametrize(("text", "number"), ROWS, ids=lambda value: repr(value)[:20])
def test_a_number_is_digits_and_within_its_bound(text, number):
    assert whole(text, 10) == number


@pytest.mark.parametrize("text", ["11", "9" * 4_301, "1" + "0" * 100_000], ids=len)
def test_what_is_more_than_the_bound_is_one_more(text):
    assert whole_or_more(text, 10) == 11
    assert whole_or_more("10", 10) == 10
    assert whole_or_more("-1", 10) is None


def test_the_usual_bound_is_that_of_a_column():
    assert whole("9223372036854775807") == LARGEST
    assert whole("9223372036854775808") is None
