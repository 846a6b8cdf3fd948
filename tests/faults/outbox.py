"""What the server tells of its runs: each thing once in the outbox, and from there to whoever it was to be told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.delivery.receivers import Receiver
from tests.faults.client import Client
from tests.faults.stock import Run, Told

#: What the webhook is told: the work of the runs, and nothing of pushes.
RULES = [
    {"pattern": {"detail-type": ["AWS Service Event via CloudTrail"]}, "targets": ["hook"]},
    {"pattern": {"detail": {"action-type": ["DELETE", {"prefix": "UPDATE_"}]}}, "targets": ["hook"]},
]


def outbox(client: Client, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Events after the number, each with its own."""
    while True:
        answer = client.send("GET", f"/_ecrsim/events?after={after}&limit=1000")
        assert answer.status == 200, answer.body
        page = answer.json()
        for entry in page["events"]:
            yield entry["sequence"], entry["event"]
        if not page["events"]:
            return
        after = page["next"]


def check_told(events: list[dict[str, Any]], runs: list[Run]) -> None:
    """Each thing that was done was told once, and nothing else was."""
    told: dict[str, Counter[Told]] = {run.repository: Counter() for run in runs}
    executed: dict[str, Counter[tuple[Any, ...]]] = {run.repository: Counter() for run in runs}
    for event in events:
        detail = event["detail"]
        if event["detail-type"] == "AWS Service Event via CloudTrail":
            facts = detail["serviceEventDetails"]
            assert facts["lifecycleEventFailureDetails"] == []
            executed[facts["repositoryName"]].update(map(_acted_on, facts["lifecycleEventImageActions"]))
            continue
        assert event["detail-type"] in ("ECR Image Action", "ECR Referrer Action"), event
        what = detail.get("target-storage-class") or detail["action-type"]
        told[detail["repository-name"]][what, detail["image-digest"], detail.get("image-tag")] += 1
    for run in runs:
        assert told[run.repository] == run.told()
        assert executed[run.repository] == run.executed()


def _acted_on(action: dict[str, Any]) -> tuple[Any, ...]:
    image = action["lifecycleEventImage"]
    return image["digest"], tuple(image["tagList"]), image["pushedAt"], action["rulePriority"]


class Deliveries:
    """A file that all events go to and a webhook that is told of some; both stay when the server is killed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._hook = Receiver().up()
        self._last = self._read = self._taken = 0
        self._expected: list[str] = []
        self._expected_by_hook: list[str] = []
        #: Identities in the order in which they came first.
        self._in_file: dict[str, None] = {}
        self._at_hook: dict[str, None] = {}
        self._torn = 0

    def document(self) -> dict[str, Any]:
        lines = {"name": "lines", "type": "file", "path": str(self._file), "from": "beginning"}
        hook = {"name": "hook", "type": "webhook", "url": self._hook.url, "from": "beginning"}
        return {"targets": [lines, hook], "rules": RULES}

    def close(self) -> None:
        self._hook.down()

    def check(self, client: Client, kills: int) -> None:
        """No event came zero times, and none before one that the outbox has before it; how often does not matter.

        One file has one order, which is that of each repository. A kill may have torn a line or a request, whose event
        came again.
        """
        for sequence, event in outbox(client, self._last):
            self._last = sequence
            self._expected.append(event["id"])
            if event["detail"].get("action-type") != "PUSH" and not event["detail-type"].startswith("AWS API Call"):
                self._expected_by_hook.append(event["id"])
        with self._file.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        self._read += len(content)
        self._torn += _remember(self._in_file, content.splitlines())
        assert list(self._in_file) == self._expected
        taken = self._hook.taken[self._taken :]
        self._taken += len(taken)
        self._torn += _remember(self._at_hook, [each.body for each in taken])
        assert list(self._at_hook) == self._expected_by_hook
        assert self._torn <= 2 * kills


def _remember(seen: dict[str, None], bodies: Iterable[bytes]) -> int:
    """The number of those that are no events."""
    torn = 0
    for body in bodies:
        try:
            seen.setdefault(json.loads(body)["id"])
        except ValueError:
            torn += 1
    return torn
