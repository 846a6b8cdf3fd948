"""Kinds of jobs for tests: what ran, at which instant, and what a job does when its turn comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ecrsim.core import jobs
from ecrsim.core.clock import iso
from ecrsim.core.jobs import Job
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime, root_caller

HERE = Registry("000000000000", "us-east-1")

Act = Callable[[Call, Job], None]


class Book:
    """`entries`: (key, instant) of each attempt. `acts`: what the job of a key does."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []
        self.acts: dict[str, Act] = {}

    def run(self, call: Call, job: Job) -> None:
        self.entries.append((job.key, iso(call.now)[:19]))
        if job.key in self.acts:
            self.acts[job.key](call, job)

    def run_long(self, call: Call, job: Job) -> None:
        self.run(call, job)
        with call.writing():
            jobs.finish(call, job)

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.entries]


def put(runtime: Runtime, key: str, run_at: int, kind: str = "note", **payload: Any) -> None:
    with runtime.call(root_caller(*HERE[:2])) as call, call.writing():
        jobs.enqueue(call, kind, run_at, HERE, key, payload)


def rows(runtime: Runtime, state: str | None = None) -> list[Job]:
    with runtime.database.read() as connection:
        return jobs.page(connection, 0, 1000, state)
