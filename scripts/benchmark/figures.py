"""What a run yields: figures of servers, rows that collect them, and the goals that a row is held against."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal


class BenchError(Exception):
    """A measurement that cannot be trusted or taken; its text becomes the reason in the table."""


@dataclass(frozen=True)
class Figure:
    """One server's number in one row, in the row's unit; `reason` says why there is none."""

    value: float | None
    reason: str = ""
    detail: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Goal:
    """`sign number`, asked of ecrsim's own value or of its ratio to the peer's."""

    sign: Literal["≥", "≤", "<"]
    number: float
    of: Literal["ratio", "value"] = "ratio"

    def text(self, unit: str) -> str:
        return f"{self.sign} {self.number:g}{'x' if self.of == 'ratio' else ' ' + unit}"

    def reached(self, value: float, ratio: float | None) -> bool | None:
        """None when the ratio is missing that the goal is about."""
        asked = ratio if self.of == "ratio" else value
        if asked is None:
            return None
        if self.sign == "≥":
            return asked >= self.number
        return asked <= self.number if self.sign == "≤" else asked < self.number


@dataclass(frozen=True)
class Comparison:
    """One line of the table: whose value is put beside whose (`peer` empty: a goal about ecrsim alone)."""

    ours: str
    peer: str = ""
    goal: Goal | None = None


@dataclass(frozen=True)
class Row:
    """One thing measured: its figures by label of the server, and the lines that it gives in the table."""

    name: str
    what: str
    unit: str
    figures: Mapping[str, Figure]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Plan:
    """Counts and times of a run; every load is bounded by one of them."""

    trials: int
    starts: int
    seconds: float
    images: int
    put_images: int
    blob_bytes: int
    sizes: tuple[int, ...]
    requests_at_size: int
    #: Images that the lifecycle engine is given, and that a run expires under load.
    planned: tuple[int, ...]
    expired: int
    #: Advisories that are imported; images, and base layers below them, that are looked at again.
    advisories: int
    rescanned: tuple[int, int]

    @property
    def blob(self) -> str:
        return f"{self.blob_bytes >> 20} MiB"


def best_of(
    trials: int,
    labels: Iterable[str],
    measure: Callable[[str], Figure],
    better: Literal["more", "less"],
    reasons: Mapping[str, str],
) -> dict[str, Figure]:
    """The best figure of each server.

    Servers take turns within each trial, so that noise of the machine hits all alike. A server that fails once is out
    of the row with the reason: a best value picked from a failing server would flatter it.
    """
    taken: dict[str, list[Figure]] = {}
    failed = {label: Figure(None, f"skipped: {reason}") for label, reason in reasons.items() if reason}
    labels = list(labels)
    for _ in range(trials):
        for label in labels:
            if label in failed:
                continue
            try:
                taken.setdefault(label, []).append(measure(label))
            except (BenchError, OSError) as error:
                failed[label] = Figure(None, f"failed: {error}")
    figures = dict(failed)
    for label, trial_figures in taken.items():
        if label not in failed:
            figures[label] = _best(trial_figures, better)
    return figures


def _best(taken: list[Figure], better: Literal["more", "less"]) -> Figure:
    values = [figure.value for figure in taken if figure.value is not None]
    chosen = max(values) if better == "more" else min(values)
    figure = next(figure for figure in taken if figure.value == chosen)
    spread: dict[str, float | str] = {
        "trials": " ".join(f"{value:.4g}" for value in values),
        "median": statistics.median(values),
    }
    return Figure(chosen, detail={**figure.detail, **spread})
