"""What a bill is made of: what registries hold, held and did. Values only; times are epoch milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ecrsim.core.durations import DAY
from ecrsim.ecr.lifecycle.engine import LifecycleImage


class Window(NamedTuple):
    """The time that a bill is about: so many calendar days of UTC, the last of which goes on until `until`."""

    since: int
    until: int

    @classmethod
    def of_days(cls, now: int, days: int) -> Window:
        """The day of `now`, up to now, and the `days - 1` before it."""
        return cls((now // DAY - days + 1) * DAY, now)

    @property
    def days(self) -> range:
        """Their numbers since the epoch."""
        return range(self.since // DAY, self.until // DAY + 1)

    def months(self, days_per_month: float) -> float:
        return (self.until - self.since) / DAY / days_per_month


class Holder(NamedTuple):
    """The repository that something is billed to. `kind`: private or public."""

    kind: str
    registry_id: str
    region: str
    repository_name: str


class StorageSpan(NamedTuple):
    """Bytes that were stored from `since` until `until`, and are not in that storage class any more.

    `ended_by`: delete, archive, restore; empty where they went on being stored as others' bytes.
    """

    storage_class: str
    since: int
    until: int
    size: int
    ended_by: str


class Holding(NamedTuple):
    """A repository with its images, and what it held before.

    `layers`: of each image the numbers of its layers, by the image's id; `sizes` and `digests`: of a layer, by its
    number. Where only images are known, each is its own one layer.
    """

    holder: Holder
    created_at: int | None
    encryption_type: str
    kms_key: str | None
    #: The key is AWS's own, which has no price of its own.
    is_key_managed: bool
    resource_tags: Mapping[str, str]
    policy_text: str | None
    images: Sequence[LifecycleImage]
    layers: Mapping[int, Sequence[int]]
    sizes: Sequence[int]
    digests: Sequence[str]


class Past(NamedTuple):
    """A span of a repository that need not be there any more."""

    holder: Holder
    span: StorageSpan


class Tallied(NamedTuple):
    """What was done in a repository on a day: `times`, and bytes where there were any.

    `measure` and `destination` are the words of `ecrsim/records/tally.py`.
    """

    holder: Holder
    day: int
    measure: str
    destination: str
    times: int
    size: int


class Facts(NamedTuple):
    """All of it. `is_complete`: layers, the past, and what was done are known; of describe-images they are not."""

    window: Window
    holdings: Sequence[Holding]
    past: Sequence[Past]
    tallied: Sequence[Tallied]
    is_complete: bool


class Usage(NamedTuple):
    """A quantity of an item on a day, in the item's unit. `prefix`: of the tags that it is stored for."""

    item: str
    holder: Holder
    prefix: str
    day: int
    quantity: float
