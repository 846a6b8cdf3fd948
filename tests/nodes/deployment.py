"""Several `ecrsim serve` over one database and one store, each with a data directory of its own."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

from tests.faults.serving import Serving
from tests.postgresql import Cluster
from tests.s3_servers import Versitygw


class Nodes:
    """Nodes that run, are killed, held and started again. `shared`: settings of database and store."""

    #: What they stand on, where it is a server.
    cluster: Cluster
    s3: Versitygw

    def __init__(self, directory: Path, count: int, shared: dict[str, Any]) -> None:
        self._directory = directory
        self._shared = {"gc_interval": 1, "quota_layer_part_min": 1, **shared}
        self._held: set[int] = set()
        self._nodes: list[Serving | None] = [None] * count
        for number in range(count):
            self.start(number)

    def _data_dir(self, number: int) -> Path:
        return self._directory / f"node-{number}"

    def start(self, number: int) -> None:
        """Start a node that does not run. All have the secret key of the first."""
        here, first = self._data_dir(number) / "secret.key", self._data_dir(0) / "secret.key"
        if not here.exists() and first.exists():
            here.parent.mkdir(mode=0o700)
            shutil.copy(first, here)
        settings: dict[str, Any] = {"node": f"node-{number}"} | self._shared
        self._nodes[number] = Serving(self._data_dir(number), workers=1, **settings)

    def kill(self, *numbers: int) -> None:
        """`kill -9` of nodes."""
        for number in numbers:
            node = self._nodes[number]
            assert node is not None
            self._nodes[number] = None
            node.kill()

    def hold(self, number: int) -> None:
        """SIGSTOP: it does nothing, and keeps what it has."""
        self._signal(number, signal.SIGSTOP)
        self._held.add(number)

    def go_on(self, number: int) -> None:
        self._signal(number, signal.SIGCONT)
        self._held.discard(number)

    def _signal(self, number: int, what: int) -> None:
        node = self._nodes[number]
        assert node is not None
        os.killpg(node.process.pid, what)

    def url(self, number: int) -> str | None:
        """Where the node answers; None while it does not run."""
        node = self._nodes[number % len(self._nodes)]
        return None if node is None else node.url

    def __len__(self) -> int:
        return len(self._nodes)

    def logs(self) -> str:
        return "".join(Path(f"{self._data_dir(number)}.log").read_text() for number in range(len(self)))

    def close(self) -> None:
        for number, node in enumerate(self._nodes):
            if node is not None:
                if number in self._held:
                    self.go_on(number)
                node.kill()
                self._nodes[number] = None
