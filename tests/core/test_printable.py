"""What strangers wrote, in a line that people read."""

import pytest

from ecrsim.core.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/v2/app/manifests/v1", "/v2/app/manifests/v1"),
        ("Grüße, 世界 🐳", "Grüße, 世界 🐳"),
        ("a\nINFO forged\r\n", "a\\nINFO forged\\r\\n"),
        ("\x1b[2J\x07\x9b1m\x7f", "\\x1b[2J\\x07\\x9b1m\\x7f"),
        ("a\tb\0c", "a\\tb\\x00c"),
        ("a\u2028b\u202ec\u2066d\u200be\ufeff", "a\\u2028b\\u202ec\\u2066d\\u200be\\ufeff"),
        ("half \ud800", "half \\ud800"),
    ],
    ids=ascii,
)
def test_nothing_of_it_moves_the_line_or_the_terminal(text, shown):
    assert printable(text) == shown
    assert shown.isprintable()
    shown.encode()


def test_a_text_of_several_lines_keeps_them_and_nothing_else():
    assert printable("one\n\ttwo\r\x1b[0m\n", lines=True) == "one\n\ttwo\\r\\x1b[0m\n"
