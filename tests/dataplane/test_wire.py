"""The wire table is run, row by row, in process. `tests/e2e/test_wire.py` runs it over a socket."""

from __future__ import annotations

import pytest

from tests.dataplane import (
    rows_archive,
    rows_blobs,
    rows_ecr,
    rows_listings,
    rows_manifests,
    rows_mounts,
    rows_routes,
    rows_templates,
    rows_uploads,
)
from tests.dataplane.wire import Row, World, assert_row, settings_of, shared_sim

TABLE = {
    "uploads": rows_uploads,
    "mounts": rows_mounts,
    "blobs": rows_blobs,
    "manifests": rows_manifests,
    "lists": rows_listings,
    "routes": rows_routes,
    "ecr": rows_ecr,
    "archive": rows_archive,
    "templates": rows_templates,
}
ROWS = [pytest.param(entry, id=f"{part}: {entry.id}") for part, module in TABLE.items() for entry in module.ROWS]


@pytest.mark.parametrize("entry", ROWS)
def test_row(entry: Row):
    assert_row(entry, World(shared_sim(settings_of(entry))))


def test_every_row_has_an_id_of_its_own():
    assert len({entry.id for entry in ROWS}) == len(ROWS)
