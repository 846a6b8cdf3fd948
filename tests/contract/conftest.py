"""Results are checked in full in these tests."""

import pytest

from ecrsim.contract import shape


@pytest.fixture(autouse=True)
def _strict(monkeypatch):
    monkeypatch.setattr(shape, "STRICT", True)
