"""Parts of a layer upload."""

import pytest

from ecrsim.ecr.layers import rules


@pytest.mark.parametrize(
    ("first", "last", "length", "received", "expected"),
    [
        pytest.param(0, 9, 10, 0, True, id="the first part"),
        pytest.param(10, 10, 1, 10, True, id="one byte more"),
        pytest.param(0, 9, 10, 10, False, id="the first part again"),
        pytest.param(11, 20, 10, 10, False, id="a gap"),
        pytest.param(9, 18, 10, 10, False, id="an overlap"),
        pytest.param(0, 8, 10, 0, False, id="longer than it says"),
        pytest.param(0, 10, 10, 0, False, id="shorter than it says"),
        pytest.param(0, 0, 0, 0, False, id="nothing at all"),
        pytest.param(10, 9, 0, 10, True, id="nothing, and it says so"),
        pytest.param(10, 5, 10, 10, False, id="the last byte before the first"),
    ],
)
def test_part_follows(first, last, length, received, expected):
    assert rules.part_follows(first, last, length, received) is expected


@pytest.mark.parametrize(("length", "expected"), [(0, True), (5_242_879, True), (5_242_880, False), (10**9, False)])
def test_is_small(length, expected):
    # Documented: 5 MiB for every part but the last.
    assert rules.is_small(length, 5 * 1024 * 1024) is expected
