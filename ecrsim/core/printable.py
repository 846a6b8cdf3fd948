"""Text from outside, made fit for a line that people read: a log, a terminal."""

from __future__ import annotations

import re

#: Controls (a new line would begin a line of its own, an escape drives the terminal), what turns the direction of
#: writing, invisible marks, other ends of lines, and halves of surrogate pairs, which cannot be written at all.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]")
_UNFIT_BUT_LINES = re.compile(_UNFIT.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def printable(text: str, *, lines: bool = False) -> str:
    r"""`text` with each unfit character as Python would write it: `\n`, `\x1b`, `\u202e`. `lines`: it may have several.

    A backslash stays one: the result is for reading, not to be read back.
    """
    return (_UNFIT_BUT_LINES if lines else _UNFIT).sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character) or (
        f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
    )
