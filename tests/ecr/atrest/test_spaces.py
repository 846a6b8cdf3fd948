"""Key spaces: those that share stored bytes have one, whoever pushes first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ecrsim import Ecrsim
from ecrsim.ecr.atrest import service
from ecrsim.ecr.atrest.tables import repository_keys
from tests.keys import encrypted
from tests.postgresql import Cluster
from tests.pushing import create


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def sim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ecrsim]:
    settings = {}
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgresql")
        settings["database_url"] = f"{cluster.url}?schema=spaces_{time.time_ns()}"
    with Ecrsim(data_dir=str(tmp_path / "data"), encrypt=True, socket=False, **settings) as sim:
        yield sim


@pytest.mark.parametrize("options", [{}, encrypted()], ids=["AES256", "KMS"])
def test_first_pushes_to_several_repositories_make_one(
    sim: Ecrsim, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
):
    ecr, names = sim.client("ecr"), ["one", "two", "three"]
    for name in names:
        create(ecr, name, **options)
    look = service._shared_space

    def look_slowly(*given: Any) -> Any:
        found = look(*given)
        time.sleep(0.3)  # for the others to look as well
        return found

    monkeypatch.setattr(service, "_shared_space", look_slowly)
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: ecr.initiate_layer_upload(repositoryName=name), names))
    with sim.runtime.database.read() as connection:
        rows = connection.execute(select(repository_keys.c.repository_id, repository_keys.c.space)).all()
    assert len(rows) == len(names)
    assert len({row.space for row in rows}) == 1
