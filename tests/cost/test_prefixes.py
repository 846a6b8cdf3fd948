"""What tags begin with."""

import pytest

from ecrsim.cost.prefixes import prefix_of


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["prod-12"], "prod*"),
        (["prod12", "latest"], "prod*"),
        (["v1.2.3"], "v*"),
        (["_hidden-1"], "_hidden*"),
        (["latest"], "latest*"),
        (["1.2.3"], "(numbers)"),
        (["2026-01-31"], "(numbers)"),
        (["3f2a9c1"], "(hashes)"),
        (["a" * 39 + "1"], "(hashes)"),
        (["decade"], "decade*"),
        (["1234567"], "(numbers)"),
        (["__"], "_*"),
        ([], "(untagged)"),
    ],
)
def test_the_group_of_an_image(tags, expected):
    assert prefix_of(tags) == expected
