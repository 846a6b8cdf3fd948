"""What somebody may have meant who wrote a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable

#: How alike two words are at least, of 1.
_LIKENESS = 0.6


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like it, whatever its case; None when none is."""
    # Imported here: 10 ms that a start without a mistake does without.
    from difflib import get_close_matches

    by_lowered = {each.lower(): each for each in sorted(known)}
    found = get_close_matches(word.lower(), by_lowered, n=1, cutoff=_LIKENESS)
    return by_lowered[found[0]] if found else None


def hint(word: str, known: Iterable[str]) -> str:
    """The end of a sentence: `; the nearest is X`, or nothing."""
    found = nearest(word, known)
    return f"; the nearest is {found}" if found else ""
