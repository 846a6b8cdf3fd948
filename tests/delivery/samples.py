"""The samples of fixtures/events: a row of the outbox, and what is made of it.

Each has its provenance. `documented` and `recorded` ones have the members, the order and the forms of the values that
`source` shows; accounts, digests and other identities are made up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from ecrsim.core.event import Event

_FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "events"


class Sample(NamedTuple):
    name: str
    provenance: str
    source: str
    event: Event
    envelope: dict[str, Any] | None
    record: dict[str, Any] | None

    def __str__(self) -> str:
        return self.name


def _read(path: Path) -> Sample:
    members = json.loads(path.read_text())
    event = Event(**members.pop("event"))
    return Sample(
        path.stem,
        members.pop("provenance"),
        members.pop("source"),
        event,
        members.pop("envelope", None),
        members.pop("record", None),
    )


SAMPLES = [_read(path) for path in sorted(_FOLDER.glob("*.json"))]


def sample(name: str) -> Sample:
    return next(each for each in SAMPLES if each.name == name)
