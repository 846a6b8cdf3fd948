"""The nearest known word to one that is not known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

#: How alike two words are at least, of 1.
_LIKENESS = 0.6
#: Variables that Kubernetes and docker's links set for a service called ecrsim; none of them is a setting.
_OF_A_SERVICE = re.compile(r"ECRSIM_(?:SERVICE_(?:HOST|PORT\w*)|PORT_\d+_\w+|NAME|ENV_\w+)")


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


def strange(environ: Mapping[str, str], known: Iterable[str], variable: Callable[[str], str]) -> list[str]:
    """A sentence for each variable of ecrsim's that means none of `known`; `variable` spells a name."""
    names = set(known)
    sentences = []
    for name in sorted(environ):
        prefix, _, word = name.partition("_")
        if prefix != "ECRSIM" or word.lower() in names or _OF_A_SERVICE.fullmatch(name):
            continue
        meant = nearest(word, names)
        sentences.append(
            f"{name} is no setting and has no effect" + (f"; the nearest is {variable(meant)}" if meant else "")
        )
    return sentences
