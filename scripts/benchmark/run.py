"""What one run has at hand: the plan, the servers that can be started, and which cores belong to whom.

JSON API rows give every server one core and the load another: all servers but docker-registry do their work in one
process under one interpreter lock, and so equal cores are equal for all. Registry rows give every server the same two
cores, because docker-registry uses as many as it gets; the load has the other cores where there are four, else it
shares them, with all alike.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.figures import BenchError, Plan
from benchmark.processes import Server
from benchmark.targets import ECRSIM, Target


def _own_cores() -> tuple[int, ...]:
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


@dataclass
class Run:
    """One run. `wrk` is a program and its variables, or None for the load of this package."""

    plan: Plan
    targets: Mapping[str, Target]
    scratch: Path
    wrk: tuple[Path, Mapping[str, str]] | None = None
    cores: tuple[int, ...] = field(default_factory=_own_cores)
    began: float = field(default_factory=time.monotonic)

    @property
    def one_core(self) -> tuple[int, ...]:
        """The core of a server in the JSON API rows."""
        return self.cores[:1] if len(self.cores) > 1 else ()

    @property
    def two_cores(self) -> tuple[int, ...]:
        """The cores of a server in the registry rows."""
        return self.cores[:2]

    @property
    def load_beside_one(self) -> tuple[int, ...]:
        return self.cores[1:]

    @property
    def load_beside_two(self) -> tuple[int, ...]:
        return self.cores[2:] if len(self.cores) >= 4 else self.cores

    def reasons(self, labels: Iterable[str]) -> dict[str, str]:
        """Why a server takes no part, for those that do not."""
        return {label: self.targets[label].reason for label in labels if self.targets[label].reason}

    def start(self, labels: Iterable[str], cores: tuple[int, ...], servers: dict[str, Server]) -> dict[str, str]:
        """Start what can be started into `servers`; returns the reasons of the others."""
        reasons = self.reasons(labels)
        for label in labels:
            if label not in reasons:
                try:
                    servers[label] = self.targets[label].start(self.directory(label), cores)
                except BenchError as error:
                    reasons[label] = str(error)
        return reasons

    def python_of_ecrsim(self) -> tuple[list[str], dict[str, str]]:
        """The Python that has ecrsim, and variables with which it finds this package as well. BenchError."""
        target = self.targets[ECRSIM]
        if target.reason:
            raise BenchError(target.reason)
        given = target.environment(0)
        places = [str(Path(__file__).resolve().parents[1]), given.get("PYTHONPATH", "")]
        return [target.command(0, Path())[0]], {**given, "PYTHONPATH": os.pathsep.join(filter(None, places))}

    def directory(self, label: str) -> Path:
        return self.scratch / label.replace(" ", "").replace(",", "-")

    def clear(self) -> None:
        """Empty the scratch folder: the next rows start on new data directories."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)

    def say(self, text: str) -> None:
        """Progress, with the seconds since the run began."""
        print(f"bench: {time.monotonic() - self.began:4.0f} s  {text}", file=sys.stderr, flush=True)
