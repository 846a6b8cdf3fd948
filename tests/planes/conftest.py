"""An ecrsim for each plane, with the clock stopped at the same instant."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.core.clock import iso
from tests.engine import number_anew
from tests.planes.pushing import ACCOUNT, INSTANT, ApiPlane, RegistryPlane, client

pytest.register_assert_rewrite("tests.planes.table")


class Planes:
    """Gives an ecrsim that holds nothing but the repository `app`; starts one for each set of settings only once."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self._sims: dict[tuple[Any, ...], Ecrsim] = {}

    def sim(self, number: int = 0, **settings: Any) -> Ecrsim:
        key = (number, *sorted(settings.items()))
        if key not in self._sims:
            sim = Ecrsim(socket=False, clock=f"frozen@{iso(INSTANT)}", **settings)
            self._sims[key] = self.stack.enter_context(sim)
        sim = self._sims[key]
        sim.reset()
        with sim.runtime.database.write() as connection:
            number_anew(connection)
        for digest, _, _ in list(sim.runtime.blobs.blobs()):
            sim.runtime.blobs.delete(digest)
        client(sim).create_repository(repositoryName="app")
        return sim

    def apart(self, account: str = ACCOUNT, **settings: Any) -> tuple[ApiPlane, RegistryPlane]:
        """(api, registry), each over an ecrsim of its own. `account`: of the caller."""
        return ApiPlane(self.sim(0, **settings), account), RegistryPlane(self.sim(1, **settings), account)

    def together(self, **settings: Any) -> tuple[ApiPlane, RegistryPlane]:
        """(api, registry) over one ecrsim."""
        sim = self.sim(**settings)
        return ApiPlane(sim), RegistryPlane(sim)


@pytest.fixture(scope="session")
def planes() -> Iterator[Planes]:
    made = Planes()
    with made.stack:
        yield made
