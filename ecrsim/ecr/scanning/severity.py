"""How severe: the distribution's own word, else CVSS by the bands of NVD, else UNDEFINED (ECR's user guide)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ecrsim.ecr.scanning.vulnerability import Score

#: What distributions and databases write, in lower case. What is no word of severity is not in the table.
_WORDS = {
    "critical": "CRITICAL",
    "important": "HIGH",
    "high": "HIGH",
    "medium": "MEDIUM",
    "moderate": "MEDIUM",
    "low": "LOW",
    "minor": "LOW",
    "negligible": "INFORMATIONAL",
    "unimportant": "INFORMATIONAL",
    "informational": "INFORMATIONAL",
    "none": "INFORMATIONAL",
}
#: NVD's bands of versions 3 and 4: at least so much.
_BANDS = ((9.0, "CRITICAL"), (7.0, "HIGH"), (4.0, "MEDIUM"), (0.1, "LOW"), (0.0, "INFORMATIONAL"))
#: Version 2 ends at high.
_BANDS_2 = ((7.0, "HIGH"), (4.0, "MEDIUM"), (0.1, "LOW"), (0.0, "INFORMATIONAL"))
_LONGEST = 512


def severity_of_word(word: str) -> str | None:
    """One of SEVERITIES for a distribution's word (`Important`, `not yet assigned`); None where it says nothing."""
    return _WORDS.get(word.strip().strip("*").lower())


@lru_cache(maxsize=8_192)
def score_of(vector: str, source: str) -> Score | None:
    """The base score of a CVSS vector of version 2, 3.0, 3.1 or 4.0; None for what is none."""
    # Imported here: 30 ms that an ecrsim without scans does without.
    from cvss import CVSS2, CVSS3, CVSS4
    from cvss.exceptions import CVSSError

    if len(vector) > _LONGEST:
        return None
    try:
        if vector.startswith("CVSS:4"):
            return Score("4.0", float(CVSS4(vector).base_score), vector, source)
        if vector.startswith("CVSS:3"):
            return Score(vector[5:8], float(CVSS3(vector).scores()[0]), vector, source)
        return Score("2.0", float(CVSS2(vector.strip("()")).scores()[0]), vector, source)
    except (CVSSError, ValueError, ArithmeticError, KeyError):
        return None


def best_score(scores: Iterable[Score]) -> Score | None:
    """The score that decides: of version 3, else 4, else 2, as NVD's bands do; the highest of these."""
    order = {"3": 2, "4": 1, "2": 0}
    return max(scores, key=lambda score: (order[score.version[0]], score.score), default=None)


def severity_of_scores(scores: Iterable[Score]) -> str | None:
    """One of SEVERITIES; None without a score."""
    best = best_score(scores)
    if best is None:
        return None
    bands = _BANDS_2 if best.version.startswith("2") else _BANDS
    return next(name for least, name in bands if best.score >= least)
