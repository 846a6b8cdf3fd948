"""`ecrsim db current` and `ecrsim db upgrade`."""

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from ecrsim import Ecrsim
from ecrsim.core.migrations import SCHEMA_VERSION

pytestmark = pytest.mark.sqlite

OLD = Path(__file__).parents[2] / "fixtures" / "releases" / "before-0.1.0.tar.gz"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A data directory whose database has version 2."""
    with tarfile.open(OLD) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.setenv("ECRSIM_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def new(tmp_path, monkeypatch):
    with Ecrsim(data_dir=str(tmp_path)):
        pass
    monkeypatch.setenv("ECRSIM_DATA_DIR", str(tmp_path))
    return tmp_path


def set_version(directory, value):
    with closing(sqlite3.connect(directory / "ecrsim.db")) as database, database:
        database.execute("UPDATE properties SET value = ? WHERE name = 'schema_version'", (value,))


def test_current_says_that_an_upgrade_is_due_and_changes_nothing(run, old):
    before = (old / "ecrsim.db").read_bytes()
    for _ in range(2):
        told = run("db", "current")
        assert told.status == 3
        assert told.out == (
            f"{old}/ecrsim.db has schema version 2, this release reads version {SCHEMA_VERSION}; `ecrsim db upgrade` "
            "migrates it, and so does the next start\n"
        )
    assert (old / "ecrsim.db").read_bytes() == before


def test_upgrade_migrates_once(run, old):
    path = old / "ecrsim.db"
    assert run("db", "upgrade").out == f"{path} has schema version {SCHEMA_VERSION} now; it had version 2\n"
    assert run("db", "upgrade").out == f"{path} has schema version {SCHEMA_VERSION} already\n"
    told = run("db", "current")
    assert (told.status, told.out) == (
        0,
        f"{path} has schema version {SCHEMA_VERSION}, this release reads version {SCHEMA_VERSION}\n",
    )


@pytest.mark.parametrize("command", ["current", "upgrade"])
def test_a_newer_version_is_refused(run, new, command):
    set_version(new, "999")
    refused = run("db", command)
    assert (refused.status, refused.out) == (1, "")
    assert "the database has schema version 999, this release of ecrsim reads version" in refused.err
    assert "use the release that wrote it" in refused.err


@pytest.mark.parametrize("command", ["current", "upgrade"])
def test_no_database_is_made(run, tmp_path, command):
    refused = run("db", command, "--data-dir", str(tmp_path))
    assert refused.status == 1
    assert f"there is no database {tmp_path}/ecrsim.db" in refused.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["current", "upgrade"])
def test_an_empty_file_has_no_version(run, tmp_path, command):
    (tmp_path / "ecrsim.db").touch()
    refused = run("db", command, "--data-dir", str(tmp_path))
    assert refused.status == 1
    assert "is empty: the next start makes it what it is to be" in refused.err


@pytest.mark.parametrize("command", ["current", "upgrade"])
def test_a_database_of_another_program_is_refused(run, tmp_path, command):
    with closing(sqlite3.connect(tmp_path / "ecrsim.db")) as database, database:
        database.execute("CREATE TABLE cookies (name)")
    refused = run("db", command, "--data-dir", str(tmp_path))
    assert refused.status == 1
    assert "the database is not one of ecrsim's" in refused.err
