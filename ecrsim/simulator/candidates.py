"""The images of a repository as a forecast goes on, and those of them that the next run can be about. Pure.

Asking `plan` about 100,000 images on each of 90 days takes minutes, and on most days it has nothing to say of most of
them. `Candidates` finds the few that it can say something of, and what these depend on. It decides nothing: `plan` is
given fewer images, chosen so that its decisions are those that it would make of all of them. Why that holds:

- Only the first rule that claims an image can act on it. If that is a rule by time, the image is left out until the
  time has come. If it is a rule by count, the image is left out while it is among the newest that the rule keeps.
- Whom a rule by count keeps depends on how many newer ones there are. So the rule is put to `plan` with another number:
  of the newest that it keeps, as many as are not left out. Then it keeps the same ones, and acts on the same ones.
- With an image come the indexes that list it and its subject, which may protect it.
- A referrer whose subject is gone or archived is always there.

Which tags a rule fits is for the engine to say: a rule that selects whatever it matches is put to `plan`.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from ecrsim.core.durations import DAY
from ecrsim.ecr.lifecycle.engine import LifecycleImage, arrival, last_use, plan
from ecrsim.ecr.lifecycle.policy import LifecycleRule, Policy

#: Older than any image can be, in days.
_AGES = 1_000_000

#: An image's place in the order of a rule by count: its arrival, its id.
Place = tuple[int, int]
_FIRST: Place = (-1, -1)


def measured_from(image: LifecycleImage, rule: LifecycleRule) -> int | None:
    """The instant that a rule by time counts the image's days from; None while there is none."""
    if rule.count_type == "sinceImageTransitioned":
        return image.last_archived_at
    return last_use(image) if rule.count_type == "sinceImagePulled" else arrival(image)


class Candidates:
    """`images` by id. Change them by `add`, `remove` and `replace` alone.

    For each rule, by its place in the policy: `matched`, the images that it ever claimed or that an earlier one claimed
    before it; `first`, those of them that it was the first to claim; `hidden_by`, for the others, the places of the
    rules that were.
    """

    def __init__(
        self, images: Sequence[LifecycleImage], policy: Policy, tags_to_come: Iterable[tuple[str, ...]] = ()
    ) -> None:
        self.images: dict[int, LifecycleImage] = {}
        self.rules = policy.rules
        self.matched: Counter[int] = Counter()
        self.first: Counter[int] = Counter()
        self.hidden_by: dict[int, Counter[int]] = {place: Counter() for place in range(len(self.rules))}
        self._probes = [_probe(rule) for rule in self.rules]
        self._fitting: dict[tuple[str, ...], tuple[int, ...]] = {}
        self._recorded: dict[int, tuple[int, ...]] = {}
        # Of a rule by count: all that it claims, and those that it can act on, oldest first.
        self._counted: dict[int, list[Place]] = {}
        self._acting: dict[int, list[Place]] = {}
        for place, rule in enumerate(self.rules):
            if rule.count_type == "imageCountMoreThan":
                self._counted[place], self._acting[place] = [], []
        # Of rules by time: when each image is due, and those that are and still here.
        self._due: list[tuple[int, int]] = []
        self._pending: set[int] = set()
        self._by_digest: dict[str, int] = {}
        self._listed_by: dict[str, set[int]] = {}
        self._referrers: dict[str, set[int]] = {}
        self._fit_all([*(image.image_tags for image in images), *tags_to_come])
        for image in images:
            self._enter(image, lambda places, place: places.append(place))
        for places in (*self._counted.values(), *self._acting.values()):
            places.sort()

    def _fit_all(self, tags: Iterable[tuple[str, ...]]) -> None:
        """Note for each of these sets of tags the places of the rules that it fits."""
        fresh = [each for each in dict.fromkeys(tags) if each not in self._fitting]
        bare = [LifecycleImage(number, str(number), each, 0, "STANDARD") for number, each in enumerate(fresh)]
        places: list[list[int]] = [[] for _ in fresh]
        for place, probe in enumerate(self._probes):
            for decision in plan(bare, probe, 0):
                places[decision.image.id].append(place)
        self._fitting.update((each, tuple(found)) for each, found in zip(fresh, places, strict=True))

    def add(self, image: LifecycleImage) -> None:
        if image.image_tags not in self._fitting:
            self._fit_all([image.image_tags])
        self._enter(image, insort)

    def replace(self, image: LifecycleImage) -> None:
        """Another state of an image that is there: archived, restored, with fewer tags."""
        self.remove([image.id])
        self.add(image)

    def _enter(self, image: LifecycleImage, insert: Callable[[list[Place], Place], object]) -> None:
        self.images[image.id] = image
        self._by_digest[image.image_digest] = image.id
        for digest in image.references:
            self._listed_by.setdefault(digest, set()).add(image.id)
        if image.subject is not None:
            self._referrers.setdefault(image.subject, set()).add(image.id)
        claiming = self._claiming(image)
        if not claiming:
            return
        self._record(image, claiming)
        for place in claiming:
            if place in self._counted:
                insert(self._counted[place], (arrival(image), image.id))
        rule = self.rules[claiming[0]]
        if claiming[0] in self._acting:
            insert(self._acting[claiming[0]], (arrival(image), image.id))
        elif (start := measured_from(image, rule)) is not None:
            heapq.heappush(self._due, (start + rule.count_number * DAY, image.id))

    def _record(self, image: LifecycleImage, claiming: list[int]) -> None:
        """Each image counts once for a rule, in whatever states it comes again."""
        recorded = self._recorded.get(image.id, ())
        fresh = [place for place in claiming if place not in recorded]
        for place in fresh:
            self.matched[place] += 1
            if place == claiming[0]:
                self.first[place] += 1
            else:
                self.hidden_by[place][claiming[0]] += 1
        self._recorded[image.id] = (*recorded, *fresh)

    def _claiming(self, image: LifecycleImage) -> list[int]:
        """The places of the rules that claim it, or would if none came before."""
        wanted = {"STANDARD": "standard", "ARCHIVE": "archive"}.get(image.storage_class or "")
        return [place for place in self._fitting[image.image_tags] if self.rules[place].storage_class == wanted]

    def remove(self, ids: Iterable[int]) -> None:
        gone = [self.images.pop(number) for number in ids]
        for image in gone:
            del self._by_digest[image.image_digest]
            for digest in image.references:
                self._listed_by[digest].discard(image.id)
            if image.subject is not None:
                _take(self._referrers, image.subject, image.id)
        self._pending.difference_update(image.id for image in gone)
        for places in (*self._counted.values(), *self._acting.values()):
            self._cut(places, gone)

    def _cut(self, places: list[Place], gone: Sequence[LifecycleImage]) -> None:
        """Take out what is gone: the oldest most of the time, so that a small part of the list is made anew."""
        if gone:
            start = bisect_left(places, min((arrival(image), image.id) for image in gone))
            end = bisect_left(places, max((arrival(image), image.id + 1) for image in gone))
            places[start:end] = [place for place in places[start:end] if place[1] in self.images]

    def position(self, image: LifecycleImage, rule: LifecycleRule) -> tuple[int, int]:
        """Of a rule by count: the image's place from the newest, 1 first, and how many there are."""
        places = self._counted[self.rules.index(rule)]
        return len(places) - bisect_left(places, (arrival(image), image.id)), len(places)

    def for_run(self, now: int) -> tuple[list[LifecycleImage], Policy]:
        """The images to put to `plan` at that instant and the policy to put; no image when no rule can act."""
        while self._due and self._due[0][0] < now:
            due, number = heapq.heappop(self._due)
            if number in self.images and self._is_due(self.images[number], due):
                self._pending.add(number)
        wanted = set(self._pending)
        for place, acting in self._acting.items():
            beyond = bisect_left(acting, self._oldest_kept(place))
            wanted.update(number for _, number in acting[:beyond])
        wanted.update(self._following())
        shown = [self.images[number] for number in sorted(self._with_relations(wanted))]
        return shown, Policy(tuple(self._put(place, shown) for place in range(len(self.rules))))

    def _oldest_kept(self, place: int) -> Place:
        """The place of the oldest image that a rule by count keeps."""
        counted, kept = self._counted[place], self.rules[place].count_number
        return counted[-kept] if len(counted) >= kept else _FIRST

    def _put(self, place: int, shown: Sequence[LifecycleImage]) -> LifecycleRule:
        """The rule as it is put to `plan` with these images."""
        rule = self.rules[place]
        if place not in self._counted:
            return rule
        oldest = self._oldest_kept(place)
        claimed = (image for image in shown if place in self._claiming(image))
        return rule._replace(count_number=sum((arrival(image), image.id) >= oldest for image in claimed))

    def _is_due(self, image: LifecycleImage, due: int) -> bool:
        """Whether the entry is of the image as it is now, and not of one of its earlier states."""
        claiming = self._claiming(image)
        if not claiming or claiming[0] in self._acting:
            return False
        rule = self.rules[claiming[0]]
        start = measured_from(image, rule)
        return start is not None and start + rule.count_number * DAY == due

    def _following(self) -> Iterable[int]:
        """The referrers whose subject is gone, or archived while they are not."""
        for subject, referrers in self._referrers.items():
            found = self._by_digest.get(subject)
            if found is None or self.images[found].storage_class == "ARCHIVE":
                for number in referrers:
                    if found is None or self.images[number].storage_class == "STANDARD":
                        yield number

    def _with_relations(self, wanted: set[int]) -> set[int]:
        waiting = list(wanted)
        while waiting:
            image = self.images[waiting.pop()]
            related = set(self._listed_by.get(image.image_digest, ()))
            if image.subject is not None and image.subject in self._by_digest:
                related.add(self._by_digest[image.subject])
            waiting += related - wanted
            wanted |= related
        return wanted


def _probe(rule: LifecycleRule) -> Policy:
    """A policy that expires whatever the tags of the rule fit, in the standard storage class, however young it is."""
    probe = rule._replace(
        storage_class="standard", count_type="sinceImagePushed", count_number=-_AGES, count_unit="days", action="expire"
    )
    return Policy((probe,))


def _take(groups: dict[str, set[int]], key: str, number: int) -> None:
    groups[key].discard(number)
    if not groups[key]:
        del groups[key]
