"""The forecast of a repository under a policy, day by day. Pure.

Time goes in instants: the pushes to come, and the runs of the policy, the first of which is now; a push of the same
instant as a run comes before it. A day is the 24 hours that begin with its first run, and what it says of the
repository holds at its end. `plan` of the lifecycle engine decides at each run; nothing is decided here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from ecrsim.core.durations import DAY, MINUTE
from ecrsim.ecr.lifecycle.engine import ExplanationStep, LifecycleDecision, LifecycleImage, RuleOutcome, explain, plan
from ecrsim.ecr.lifecycle.policy import LifecycleRule, Policy
from ecrsim.simulator.candidates import Candidates
from ecrsim.simulator.pushes import Push

#: How long ECR may take for a restore that is under way (documented: up to 20 minutes).
RESTORE = 20 * MINUTE


class Departure(NamedTuple):
    """An image that was expired or archived (`action` EXPIRE, TRANSITION), with the engine's sentence about it.

    `is_foreseen`: it is not there yet, but one of the pushes to come.
    """

    day: int
    at: int
    image: LifecycleImage
    action: str
    rule_priority: int | None
    sentence: str
    is_foreseen: bool


class RuleTally(NamedTuple):
    """The images of one rule on one day; `rule_priority` is None for images that followed their subject."""

    rule_priority: int | None
    action: str
    images: int
    size_in_bytes: int


class Stock(NamedTuple):
    """Images and bytes in storage. An image that is being restored counts as active."""

    active_images: int
    active_bytes: int
    archived_images: int
    archived_bytes: int


class Day(NamedTuple):
    number: int
    at: int
    pushed: int
    tallies: tuple[RuleTally, ...]
    stock: Stock
    #: The storage at the end of the day if nothing was ever expired or archived.
    without_policy: Stock


class Match(NamedTuple):
    """The reach of a rule: `hidden_by` are the priorities of earlier rules and the images that they claimed."""

    rule: LifecycleRule
    matching_now: int
    matched: int
    claimed_first: int
    hidden_by: dict[int, int]


class Forecast(NamedTuple):
    """`emptied_on`, `all_archived_on`: the day of the run that left no image at all, or none that can be pulled."""

    start: int
    runs_per_day: int
    days: tuple[Day, ...]
    departures: tuple[Departure, ...]
    matches: tuple[Match, ...]
    emptied_on: int | None
    all_archived_on: int | None


def foresee(
    images: Sequence[LifecycleImage],
    policy: Policy,
    start: int,
    days: int,
    pushes: Sequence[Push] = (),
    runs_per_day: int = 1,
) -> Forecast:
    """The days from `start` (epoch milliseconds) on. `pushes` are those to come, oldest first."""
    repository = _Repository(images, policy, pushes, start)
    matching_now = [repository.candidates.matched[place] for place in range(len(policy.rules))]
    found = []
    for number in range(1, days + 1):
        begin = start + (number - 1) * DAY
        for run in range(runs_per_day):
            repository.run(begin + run * DAY // runs_per_day, number)
        repository.take_pushes(begin + DAY)
        found.append(repository.day(number, begin))
    candidates = repository.candidates
    matches = [
        Match(
            rule,
            matching_now[place],
            candidates.matched[place],
            candidates.first[place],
            {policy.rules[other].rule_priority: count for other, count in sorted(candidates.hidden_by[place].items())},
        )
        for place, rule in enumerate(policy.rules)
    ]
    return Forecast(
        start,
        runs_per_day,
        tuple(found),
        tuple(repository.departures),
        tuple(matches),
        repository.emptied_on,
        repository.all_archived_on,
    )


class _Repository:
    """The images while time goes on."""

    def __init__(self, images: Sequence[LifecycleImage], policy: Policy, pushes: Sequence[Push], start: int) -> None:
        self.candidates = Candidates(images, policy, [push.image_tags for push in pushes])
        self.departures: list[Departure] = []
        self.emptied_on: int | None = None
        self.all_archived_on: int | None = None
        self._rules = {rule.rule_priority: rule for rule in policy.rules}
        self._pushes = deque(pushes)
        self._pushed_today = 0
        self._counted_departures = 0
        self._restoring = [image.id for image in images if image.storage_class is None]
        self._restored_at = start + RESTORE
        self._newest = max((image.id for image in images), default=0)
        self._first_foreseen = self._newest + 1
        self._holder = {tag: image.id for image in images for tag in image.image_tags}
        self._stock = stock_of(images)
        self._without = self._stock

    def run(self, now: int, day: int) -> None:
        self.take_pushes(now)
        self._finish_restores(now)
        shown, policy = self.candidates.for_run(now)
        decisions = plan(shown, policy, now) if shown else []
        if not decisions:
            return
        for decision in decisions:
            sentence = self._reason(decision, now).sentence()
            is_foreseen = decision.image.id >= self._first_foreseen
            self.departures.append(Departure(day, now, *decision, sentence, is_foreseen))
        expired = [decision.image for decision in decisions if decision.action == "EXPIRE"]
        for image in expired:
            self._count(image, -1)
        self.candidates.remove([image.id for image in expired])
        for decision in decisions:
            if decision.action == "TRANSITION":
                self._count(decision.image, -1)
                archived = decision.image._replace(storage_class="ARCHIVE", last_archived_at=now)
                self.candidates.replace(archived)
                self._count(archived, 1)
        if not self.candidates.images and self.emptied_on is None:
            self.emptied_on = day
        elif self._stock.active_images == 0 and self.all_archived_on is None and len(expired) < len(decisions):
            self.all_archived_on = day

    def _reason(self, decision: LifecycleDecision, now: int) -> ExplanationStep:
        """The last step of the engine's `explain`, which would look at all images for each that goes."""
        image, action = decision.image, decision.action.lower()
        if decision.rule_priority is None:
            return ExplanationStep(None, RuleOutcome.FOLLOWS, action=action, image_digest=image.subject)
        rule = self._rules[decision.rule_priority]
        step = explain([image], Policy((rule,)), now, image.image_digest)[0]
        if rule.count_type != "imageCountMoreThan":
            return step
        # Alone it is the newest; its place among all is known here.
        position, total = self.candidates.position(image, rule)
        return step._replace(outcome=RuleOutcome.SELECTED, action=action, position=position, total=total)

    def take_pushes(self, until: int) -> None:
        while self._pushes and self._pushes[0].at <= until:
            push = self._pushes.popleft()
            self._newest += 1
            self._pushed_today += 1
            image = LifecycleImage(
                self._newest, f"push-{self._newest - self._first_foreseen + 1}", push.image_tags, push.at, "STANDARD",
                push.image_size_in_bytes,
            )  # fmt: skip
            for tag in image.image_tags:
                self._take_tag(tag)
                self._holder[tag] = image.id
            self.candidates.add(image)
            self._count(image, 1)
            without = self._without
            self._without = without._replace(
                active_images=without.active_images + 1,
                active_bytes=without.active_bytes + image.image_size_in_bytes,
            )

    def _take_tag(self, tag: str) -> None:
        """A tag is with one image at a time."""
        holder = self.candidates.images.get(self._holder.get(tag, -1))
        if holder is not None and tag in holder.image_tags:
            self.candidates.replace(
                holder._replace(image_tags=tuple(each for each in holder.image_tags if each != tag))
            )

    def _finish_restores(self, now: int) -> None:
        if now < self._restored_at:
            return
        for number in self._restoring:
            image = self.candidates.images[number]
            self.candidates.replace(image._replace(storage_class="STANDARD", last_activated_at=self._restored_at))
        self._restoring = []

    def _count(self, image: LifecycleImage, sign: int) -> None:
        stock, size = self._stock, sign * image.image_size_in_bytes
        if image.storage_class == "ARCHIVE":
            stock = stock._replace(
                archived_images=stock.archived_images + sign, archived_bytes=stock.archived_bytes + size
            )
        else:
            stock = stock._replace(active_images=stock.active_images + sign, active_bytes=stock.active_bytes + size)
        self._stock = stock

    def day(self, number: int, begin: int) -> Day:
        """The sums of the day; counting then starts anew."""
        tallies: dict[tuple[int | None, str], list[int]] = {}
        for departure in self.departures[self._counted_departures :]:
            tally = tallies.setdefault((departure.rule_priority, departure.action), [0, 0])
            tally[0] += 1
            tally[1] += departure.image.image_size_in_bytes
        self._counted_departures = len(self.departures)
        pushed, self._pushed_today = self._pushed_today, 0
        found = tuple(RuleTally(priority, action, *tally) for (priority, action), tally in tallies.items())
        return Day(number, begin, pushed, found, self._stock, self._without)


def stock_of(images: Sequence[LifecycleImage]) -> Stock:
    """The sums of these images."""
    archived = [image.image_size_in_bytes for image in images if image.storage_class == "ARCHIVE"]
    total = sum(image.image_size_in_bytes for image in images)
    return Stock(len(images) - len(archived), total - sum(archived), len(archived), sum(archived))
