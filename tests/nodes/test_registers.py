"""The judge of histories, held against histories that can and that cannot be."""

import pytest

from tests.nodes.registers import Seen, troubles


def push(image, begin, end=float("inf")):
    return Seen("push", image, begin, end)


def pull(image, begin, end):
    return Seen("pull", image, begin, end)


def delete(begin, end=float("inf")):
    return Seen("delete", None, begin, end)


GOOD = {
    "nothing": [],
    "never pushed": [pull(None, 1, 2)],
    "pushed and pulled": [push("a", 1, 2), pull("a", 3, 4)],
    "pulled before the answer": [push("a", 1, 9), pull("a", 2, 3)],
    "not yet there": [push("a", 1, 9), pull(None, 2, 3), pull("a", 4, 5)],
    "moved": [push("a", 1, 2), push("b", 3, 4), pull("b", 5, 6)],
    "two at once, one of them wins": [push("a", 1, 5), push("b", 2, 4), pull("a", 6, 7)],
    "the other one": [push("a", 1, 5), push("b", 2, 4), pull("b", 6, 7)],
    "one within another's time": [push("a", 1, 9), push("b", 3, 4), pull("b", 5, 6), pull("a", 7, 8)],
    "without an answer, and without an effect": [push("a", 1, 2), push("b", 3), pull("a", 4, 5), pull("a", 6, 7)],
    "without an answer, and with an effect": [push("a", 1, 2), push("b", 3), pull("a", 4, 5), pull("b", 6, 7)],
    "deleted": [push("a", 1, 2), delete(3, 4), pull(None, 5, 6)],
    "deleted and pushed": [push("a", 1, 2), delete(3, 4), push("b", 5, 6), pull("b", 7, 8)],
    "a deletion without an answer": [push("a", 1, 2), delete(3), pull("a", 4, 5), pull(None, 6, 7)],
    "deleted while it was pulled": [push("a", 1, 2), delete(3, 8), pull("a", 4, 5), pull(None, 6, 7)],
}
BAD = {
    "out of nowhere": [pull("a", 1, 2)],
    "before it was pushed": [pull("a", 1, 2), push("a", 3, 4)],
    "a push that is lost": [push("a", 1, 2), pull(None, 3, 4)],
    "an old image": [push("a", 1, 2), push("b", 3, 4), pull("a", 5, 6)],
    "back and forth": [push("a", 1, 9), push("b", 1, 9), pull("a", 2, 3), pull("b", 4, 5), pull("a", 6, 7)],
    "two at once": [push("a", 1, 2), push("b", 1, 2), pull("a", 3, 4), pull("b", 5, 6), pull("a", 7, 8)],
    "a deletion that is lost": [push("a", 1, 2), delete(3, 4), pull("a", 5, 6)],
    "a push after a deletion is lost": [push("a", 1, 2), delete(3, 4), push("b", 5, 6), pull(None, 7, 8)],
    "gone for a moment": [push("a", 1, 2), pull(None, 3, 4), pull("a", 5, 6)],
    "gone for a moment, with a deletion later": [push("a", 1, 2), pull(None, 3, 4), pull("a", 5, 6), delete(7, 8)],
    "an acknowledged push in the middle of another image": [push("a", 1, 2), push("b", 3, 4), pull("a", 5, 6)],
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_what_can_be(history):
    assert troubles(history) == []


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_what_cannot_be(history):
    assert troubles(history)
