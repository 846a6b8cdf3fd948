"""The pushes to come, modelled on those of the last 30 days. Pure.

The model is small, and the same repository always gives the same pushes:

- As many a day as in the last 30 days, or since the first push if that was later; evenly over the day.
- They have the shapes of those pushes, again and again in the order in which they came: `prod-12` becomes `prod-13`,
  and a commit's hash another hash. A tag without a number or a hash, such as `latest`, moves to the new image.
- An image without tags was pushed with a tag that has moved on since: its like is pushed with a tag that moves, and so
  takes it from another image. Where no such tag is known it is pushed without one.
- Each is of the median size. What an index lists is pushed with it, and is one image with it.
- Referrers are not foreseen, nor are pulls.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from statistics import median_low
from typing import NamedTuple

from ecrsim.core.durations import DAY
from ecrsim.cost.prefixes import is_hash
from ecrsim.ecr.lifecycle.engine import LifecycleImage

#: How far back the pushes are looked at.
LOOK_BACK_DAYS = 30
#: A tag without a number or a hash is taken to move. `latest` comes first if it is there.
_LATEST = "latest"
_PART = re.compile(r"[0-9a-zA-Z]+")
_NUMBER = re.compile(r"[0-9]+(?=[^0-9]*\Z)")
#: Stand for a number and a hash; neither can be in a tag.
_NUMBERED, _HASHED = "#", "@"


class Push(NamedTuple):
    at: int
    image_tags: tuple[str, ...]
    image_size_in_bytes: int


class History(NamedTuple):
    """The pushes of the past. `pushed_from` to `pushed_to`: the span that `pushes` were counted in, epoch milliseconds.

    `shapes`: the families of the tags of each push, oldest first.
    """

    pushes: int
    pushed_from: int
    pushed_to: int
    per_day: float
    median_size: int
    shapes: tuple[tuple[str, ...], ...]

    @property
    def families(self) -> list[str]:
        """Each once, in the order seen."""
        return list(dict.fromkeys(family for shape in self.shapes for family in shape))

    @property
    def untagged(self) -> int:
        return sum(not shape for shape in self.shapes)


def history_of(images: Sequence[LifecycleImage], now: int) -> History:
    """The pushes of the last 30 days. If there are none, the rate is 0, and the last 30 pushes give the shapes."""
    listed = {digest for image in images for digest in image.references}
    pushed = [image for image in images if image.subject is None and image.image_digest not in listed]
    pushed = sorted((each for each in pushed if each.image_pushed_at <= now), key=lambda each: each.image_pushed_at)
    start = now - LOOK_BACK_DAYS * DAY
    if pushed:
        start = min(max(start, pushed[0].image_pushed_at), now - DAY)
    recent = [image for image in pushed if image.image_pushed_at >= start]
    models = recent or pushed[-30:]
    sizes = {image.image_digest: image.image_size_in_bytes for image in images}
    total = [image.image_size_in_bytes + sum(sizes.get(each, 0) for each in image.references) for image in models]
    return History(
        pushes=len(recent),
        pushed_from=start,
        pushed_to=now,
        per_day=len(recent) * DAY / (now - start),
        median_size=median_low(total) if total else 0,
        shapes=tuple(tuple(map(family_of, image.image_tags)) for image in models),
    )


def family_of(tag: str) -> str:
    """The tag with `@` for each hash and `#` for its last number; the tag itself when it has neither."""
    family = _PART.sub(lambda part: _HASHED if is_hash(part[0]) else part[0], tag)
    return _NUMBER.sub(_NUMBERED, family)


def pushes_to_come(
    images: Sequence[LifecycleImage], history: History, now: int, days: int, per_day: float
) -> list[Push]:
    """The pushes of so many days after `now`, oldest first. Of a repository without a past, none."""
    if not history.shapes or per_day <= 0:
        return []
    tags = _Tags(images, history)
    found = []
    for number in range(1, int(days * per_day + 1e-9) + 1):
        shape = history.shapes[(number - 1) % len(history.shapes)]
        at = now + round(number * DAY / per_day)
        found.append(Push(at, tuple(tags.of(shape, number)), history.median_size))
    return found


class _Tags:
    """Goes on counting where the repository's tags end."""

    def __init__(self, images: Sequence[LifecycleImage], history: History) -> None:
        self._last: dict[str, int] = {}
        self._width: dict[str, int] = {}
        for image in images:
            for tag in image.image_tags:
                family = family_of(tag)
                if _NUMBERED in family:
                    self._note(family, tag)
        moving = [family for family in history.families if not {_NUMBERED, _HASHED} & set(family)]
        self._moving = _LATEST if _LATEST in moving or not moving else moving[-1]
        self._has_moving = bool(moving)

    def _note(self, family: str, tag: str) -> None:
        # Looked for behind what stands after the number, as a hash before it may end in a digit.
        text = _PART.sub(lambda part: _HASHED if is_hash(part[0]) else part[0], tag)
        digits = _NUMBER.search(text)
        if digits is not None and int(digits[0]) >= self._last.get(family, -1):
            self._last[family], self._width[family] = int(digits[0]), len(digits[0])

    def of(self, shape: tuple[str, ...], number: int) -> Iterator[str]:
        if not shape and self._has_moving:
            yield self._moving
        for family in dict.fromkeys(shape):
            tag = family
            if _NUMBERED in tag:
                self._last[family] += 1
                tag = tag.replace(_NUMBERED, str(self._last[family]).zfill(self._width[family]))
            if _HASHED in tag:
                tag = tag.replace(_HASHED, hashlib.sha256(f"{family} {number}".encode()).hexdigest()[:12])
            yield tag
