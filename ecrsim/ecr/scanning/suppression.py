"""Vulnerabilities that are of no concern, because somebody said so: what is ignored, and OpenVEX documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from ecrsim.blobs.places import open_place
from ecrsim.ecr.scanning import vex
from ecrsim.ecr.scanning.advisories.snapshot import Snapshot
from ecrsim.ecr.scanning.examination_messages import ImageToExamine
from ecrsim.ecr.scanning.vulnerability import Vulnerability

#: Bytes of a document that is attached to an image.
_LONGEST = 16 * 1024 * 1024
#: What an attestation calls a document that it holds.
_PREDICATE = "https://openvex.dev/ns"


def revision_at(known: Snapshot, now: float) -> str:
    """The revision of advisories and of what is ignored: another one after each change, and when an ignoring ends."""
    held = sum(each.until is None or now < each.until for each in known.ignored())
    return f"{known.revision}/{held}"


class Suppression:
    """What is said about the vulnerabilities of one image."""

    def __init__(self, asked: ImageToExamine, known: Snapshot) -> None:
        self._asked = asked
        self._ignored = known.ignored()
        self._statements = [*known.statements(), *_attached(asked.documents)]
        self._image = vex.AskedImage(asked.repository, asked.digest, tuple(asked.tags))

    def reason(self, vulnerability: Vulnerability) -> str | None:
        """Why the vulnerability is of no concern; None where nobody said so."""
        names = (vulnerability.id, *vulnerability.related)
        for each in self._ignored:
            if each.holds(names, self._asked.repository, self._asked.now):
                return f"ignored: {each.reason}" if each.reason else "ignored"
        found = vex.verdict(self._statements, vulnerability, self._image) if self._statements else None
        if found is None or found.status not in vex.SUPPRESSING:
            return None
        why = found.justification or found.impact_statement
        return f"{found.status}: {why}" if why else found.status


def _attached(documents: Sequence[str]) -> list[vex.VexStatement]:
    """One that cannot be read says nothing."""
    found: list[vex.VexStatement] = []
    for path in documents:
        try:
            with open_place(path) as stream:
                found += vex.statements(_document(orjson.loads(stream.read(_LONGEST))))
        except (OSError, ValueError):
            continue
    return found


def _document(content: Any) -> Any:
    """The document itself, or the one in an attestation of in-toto."""
    if isinstance(content, dict) and str(content.get("predicateType", "")).startswith(_PREDICATE):
        return content.get("predicate")
    return content
