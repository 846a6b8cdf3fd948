"""Whether what clients saw of a tag can be told in one order.

A tag is a register: a push writes an image that nobody else writes, a deletion writes nothing, a pull reads. Each takes
effect at one instant between its begin and its end; one without an answer may have had its effect at any time after its
begin, or none. The rule for writes that all differ is that of Gibbons and Korach (Testing Shared Memories, 1997): the
zones of images must not overlap. A deletion and a pull that finds nothing must have an instant outside of all zones.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple


class Seen(NamedTuple):
    """What one client did to a tag. `image` is None for a deletion and for a pull that found nothing.

    `end` is infinite where nobody answered.
    """

    kind: Literal["push", "delete", "pull"]
    image: str | None
    begin: float
    end: float = math.inf

    @property
    def is_known(self) -> bool:
        return self.end < math.inf


class _Zone(NamedTuple):
    """When the tag was an image for certain (`first` < `last`), or an interval in which it was it once."""

    image: str
    first: float
    last: float

    @property
    def is_certain(self) -> bool:
        return self.first < self.last


def troubles(history: Iterable[Seen]) -> list[str]:
    """Sentences about what cannot have been; none where one order explains all."""
    history = list(history)
    zones, found = _zones(history)
    found += _overlaps(zones)
    certain = [zone for zone in zones if zone.is_certain]
    for seen in history:
        if seen.image is None and seen.is_known:
            found += [
                f"{seen} while the tag was {zone}"
                for zone in certain
                if zone.first < seen.begin and seen.end < zone.last
            ]
    found += [f"{seen} though nothing took the tag away" for seen in _unexplained(history)]
    return found


def _zones(history: list[Seen]) -> tuple[list[_Zone], list[str]]:
    pulls: dict[str, list[Seen]] = defaultdict(list)
    pushes = {seen.image: seen for seen in history if seen.kind == "push" and seen.image is not None}
    found = []
    for seen in history:
        if seen.kind == "pull" and seen.image is not None:
            pulls[seen.image].append(seen)
            push = pushes.get(seen.image)
            if push is None or seen.end < push.begin:
                found.append(f"{seen}, which nobody had pushed")
    zones = []
    for image, push in pushes.items():
        all_of_it = [push, *pulls[image]]
        first = min(seen.end for seen in all_of_it)
        if first < math.inf:
            zones.append(_Zone(image, first, max(seen.begin for seen in all_of_it)))
    return zones, found


def _overlaps(zones: list[_Zone]) -> Iterator[str]:
    certain = sorted((zone for zone in zones if zone.is_certain), key=lambda zone: zone.first)
    for before, after in itertools.pairwise(certain):
        if after.first < before.last:
            yield f"{before} and {after} at once"
    for zone in zones:
        # Of one that is not certain, `last` comes before `first`: at some instant between them it was that image.
        inside = (
            [] if zone.is_certain else [each for each in certain if each.first < zone.last and zone.first < each.last]
        )
        for other in inside:
            yield f"{zone} in the middle of {other}"


def _unexplained(history: list[Seen]) -> Iterator[Seen]:
    """Pulls that found nothing, though a push was acknowledged and no deletion can have come after it."""
    pushes = [seen for seen in history if seen.kind == "push" and seen.is_known]
    deletions = [seen for seen in history if seen.kind == "delete"]
    for seen in history:
        if seen.kind != "pull" or seen.image is not None:
            continue
        before = [push for push in pushes if push.end < seen.begin]
        if before and not any(
            deletion.begin < seen.end and not any(deletion.end < push.begin for push in before)
            for deletion in deletions
        ):
            yield seen
