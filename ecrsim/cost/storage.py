"""What was stored, by day: the layers of a repository, each once, for as long as an image needed it. Pure.

A layer is in the standard class as long as an image that can be pulled names it, and in the archive while only archived
ones do. Its bytes are divided evenly among the images that name it, so that what prefixes of tags cost adds up to what
the repository does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from ecrsim.core.durations import DAY
from ecrsim.cost.facts import Holding, Past, Usage, Window
from ecrsim.cost.prefixes import EARLIER, prefix_of
from ecrsim.ecr.lifecycle.engine import LifecycleImage, arrival

STANDARD, ARCHIVE = "STANDARD", "ARCHIVE"
#: Later than any time.
_NEVER = 1 << 62


class DailyBytes:
    """Bytes times milliseconds on each day of a window."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._first = window.days.start
        # What goes on whole days is noted where it begins and ends; the rest where it is.
        self._steps = [0.0] * (len(window.days) + 1)
        self._rest = [0.0] * (len(window.days) + 1)

    def add(self, since: int, until: int, size: float) -> None:
        since, until = max(since, self._window.since), min(until, self._window.until)
        if until <= since:
            return
        first, last = since // DAY - self._first, until // DAY - self._first
        if first == last:
            self._rest[first] += size * (until - since)
            return
        self._rest[first] += size * ((self._first + first + 1) * DAY - since)
        self._rest[last] += size * (until - (self._first + last) * DAY)
        self._steps[first + 1] += size
        self._steps[last] -= size

    def days(self) -> Iterator[tuple[int, float]]:
        """Number of the day, bytes times milliseconds; of the days that have any."""
        whole = 0.0
        for place in range(len(self._window.days)):
            whole += self._steps[place]
            found = whole * DAY + self._rest[place]
            if found > 0:
                yield self._first + place, found


def standard_since(image: LifecycleImage) -> int:
    """Since when an image that is not archived has been so."""
    return arrival(image)


def archive_since(image: LifecycleImage) -> int:
    return image.image_pushed_at if image.last_archived_at is None else image.last_archived_at


def is_standard(image: LifecycleImage) -> bool:
    """One that is being restored is in the archive until it can be pulled."""
    return image.storage_class == STANDARD


def classes_of(holding: Holding, images: Sequence[LifecycleImage] | None = None) -> bytearray:
    """Of each layer, by its number, 2 in the standard class, 1 in the archive, 0 where none of these images names it.

    Of these images, or of all.
    """
    found = bytearray(len(holding.sizes))
    for image in holding.images if images is None else images:
        mark = 2 if is_standard(image) else 1
        for layer in holding.layers.get(image.id, ()):
            found[layer] = max(found[layer], mark)
    return found


def bytes_now(holding: Holding, images: Sequence[LifecycleImage] | None = None) -> tuple[int, int]:
    """The bytes in the standard class and in the archive: of these images, or of all."""
    sums = [0, 0, 0]
    for mark, size in zip(classes_of(holding, images), holding.sizes, strict=True):
        sums[mark] += size
    return sums[2], sums[1]


class _Users:
    """The images of one class that name each layer, by its number: how many, and since when the first of them does."""

    def __init__(
        self, holding: Holding, images: Sequence[LifecycleImage], since: Callable[[LifecycleImage], int]
    ) -> None:
        self.images = images
        self.counts = [0] * len(holding.sizes)
        self.since = [_NEVER] * len(holding.sizes)
        for image in images:
            begun = since(image)
            for layer in holding.layers.get(image.id, ()):
                self.counts[layer] += 1
                self.since[layer] = min(self.since[layer], begun)


def held_usage(holding: Holding, window: Window, byte_months: float) -> Iterator[Usage]:
    """Of what is there, in gigabyte-months of `byte_months` bytes times milliseconds each."""
    standard = _Users(holding, [image for image in holding.images if is_standard(image)], standard_since)
    archived = _Users(holding, [image for image in holding.images if not is_standard(image)], archive_since)
    for name, users in ((STANDARD, standard), (ARCHIVE, archived)):
        spans: dict[tuple[str, int, int], float] = defaultdict(float)
        for image in users.images:
            prefix = prefix_of(image.image_tags)
            for layer in holding.layers.get(image.id, ()):
                until = window.until if name == STANDARD else min(standard.since[layer], window.until)
                spans[prefix, users.since[layer], until] += holding.sizes[layer] / users.counts[layer]
        meters: dict[str, DailyBytes] = {}
        for (prefix, since, until), size in spans.items():
            if prefix not in meters:
                meters[prefix] = DailyBytes(window)
            meters[prefix].add(since, until, size)
        for prefix, meter in meters.items():
            for day, amount in meter.days():
                yield Usage(_item(holding.holder.kind, name), holding.holder, prefix, day, amount / byte_months)


def past_usage(
    past: Iterable[Past], window: Window, byte_months: float, minimum: int, ends: Sequence[str]
) -> Iterator[Usage]:
    """Of what is not there any more.

    `minimum`: milliseconds that archived bytes are paid for even if they go earlier by one of `ends`.
    """
    meters: dict[tuple[object, str], tuple[Past, DailyBytes]] = {}
    for each in past:
        span = each.span
        item = _item(each.holder.kind, span.storage_class)
        _, meter = meters.setdefault((each.holder, item), (each, DailyBytes(window)))
        meter.add(span.since, span.until, span.size)
        left = span.since + minimum - span.until
        is_early = span.storage_class == ARCHIVE and span.ended_by in ends and left > 0
        if is_early and window.since <= span.until <= window.until:
            yield Usage("archive_minimum", each.holder, EARLIER, span.until // DAY, span.size * left / byte_months)
    for (_, item), (first, meter) in meters.items():
        for day, amount in meter.days():
            yield Usage(item, first.holder, EARLIER, day, amount / byte_months)


def _item(kind: str, storage_class: str) -> str:
    if kind == "public":
        return "public_storage"
    return "archive" if storage_class == ARCHIVE else "standard"
