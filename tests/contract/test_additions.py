"""Members that a later capability adds to an answer."""

import pytest

from ecrsim.contract import additions

STATUS, SUMMARY = "imageScanStatus", "imageScanFindingsSummary"


@pytest.fixture(autouse=True)
def _nothing_added(monkeypatch):
    monkeypatch.setattr(additions, "_additions", {})


def test_all_additions_are_merged_by_key():
    additions.adds_to("DescribeImages", STATUS)(lambda _, about, keys: {key: {STATUS: (about, key)} for key in keys})
    additions.adds_to("DescribeImages", SUMMARY)(lambda _call, _about, keys: {keys[0]: {SUMMARY: {}}})
    assert additions.added(None, "DescribeImages", "app", [1, 2]) == {
        1: {STATUS: ("app", 1), SUMMARY: {}},
        2: {STATUS: ("app", 2)},
    }
    assert additions.added(None, "DescribeRegistry", "registry", ["registry"]) == {}


def test_an_addition_is_asked_once_for_a_page():
    asked = []
    additions.adds_to("DescribeImages", STATUS)(lambda _call, _about, keys: asked.append(list(keys)) or {})
    additions.added(None, "DescribeImages", "app", range(100))
    assert asked == [list(range(100))]


def test_a_member_that_the_answer_lacks_is_an_error():
    with pytest.raises(LookupError, match="the answer of DescribeImages has no member imageColour"):
        additions.adds_to("DescribeImages", "imageColour")


def test_a_member_that_is_added_already_is_an_error():
    additions.adds_to("DescribeImages", STATUS)(lambda *_: {})
    with pytest.raises(LookupError, match="the member imageScanStatus of DescribeImages is added twice"):
        additions.adds_to("DescribeImages", SUMMARY, STATUS)
