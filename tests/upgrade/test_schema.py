"""A database that was migrated has the tables, columns, types and indexes of one that is made today."""

import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import textwrap
from contextlib import closing

import psycopg
import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from ecrsim import Ecrsim
from ecrsim.core import migrations
from ecrsim.core.db import Database
from ecrsim.core.migrations import OLDEST_VERSION, REVISIONS, SCHEMA_VERSION
from ecrsim.core.sealing import Seal
from ecrsim.ecr import load_capabilities
from tests.upgrade.schemas import described
from tests.upgrade.test_upgrade import RELEASES, ROOT

pytestmark = pytest.mark.sqlite

load_capabilities()


def described_in(directory):
    """What the database of the directory is once it was opened."""
    return described_of(Database(f"sqlite:///{directory / 'ecrsim.db'}", seal=Seal(directory / "secret.key")))


def described_of(database):
    database.open()
    with database.read() as connection:
        assert list(database.faults(connection)) == []
        found = described(connection)
    database.close()
    return found


def described_on(server, schema):
    database = Database(f"{server.url}?schema={schema}")
    database.open()
    database.close()
    # SQLAlchemy asks for indexes by numbers of 32 bits, which ecrsim's own dialect has not.
    engine = create_engine(
        server.url.replace("postgresql:", "postgresql+psycopg:"), connect_args={"options": f"-c search_path={schema}"}
    )
    with engine.connect() as connection:
        found = described(connection)
    engine.dispose()
    return found


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name.removesuffix(".tar.gz"))
def test_a_migrated_database_is_as_one_that_is_made_today(release, tmp_path):
    with tarfile.open(release) as archive:
        archive.extractall(tmp_path, filter="data")
    migrated = described_in(tmp_path / "data")
    (tmp_path / "fresh").mkdir()
    fresh = described_in(tmp_path / "fresh")
    assert {name: migrated.get(name) for name in fresh} == fresh
    assert migrated.keys() == fresh.keys()


#: The tables of PostgreSQL as it was given them by the first release that knew it.
FIRST = ROOT / "fixtures" / "schemas" / "postgresql-6.sql"


@pytest.mark.postgresql
def test_it_is_so_on_postgresql_as_well(postgresql):
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA old; SET search_path = old")
        connection.execute(FIRST.read_bytes())
        connection.execute("INSERT INTO properties VALUES ('schema_version', '6')")
    migrated, fresh = (described_on(postgresql, name) for name in ("old", "fresh"))
    assert {name: migrated.get(name) for name in fresh} == fresh
    assert migrated.keys() == fresh.keys()


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE image_tags ADD COLUMN note TEXT",
        "DROP INDEX image_tags_by_image",
        "DROP INDEX jobs_by_key; CREATE UNIQUE INDEX jobs_by_key ON jobs (kind, key)",
        "DROP TABLE account_settings; CREATE TABLE account_settings AS SELECT '' AS kind",
        "DROP TABLE upstream_entries; CREATE TABLE upstream_entries (name TEXT NOT NULL, url TEXT, PRIMARY KEY (name))",
        "CREATE TABLE more (name TEXT)",
    ],
    ids=("a column", "an index", "the condition of an index", "a key", "what may be missing", "a table"),
)
def test_a_difference_is_seen(change, tmp_path):
    before = described_in(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ecrsim.db")) as database, database:
        database.executescript(change)
    assert described_in(tmp_path) != before


def test_each_version_has_one_revision():
    scripts = ScriptDirectory(str(REVISIONS.parent), version_locations=[str(REVISIONS)])
    found = [script.revision for script in reversed(list(scripts.walk_revisions()))]
    assert found == [str(version) for version in range(OLDEST_VERSION, SCHEMA_VERSION + 1)]
    files = sorted(path.name for path in REVISIONS.glob("v*.py"))
    assert [int(re.match(r"v(\d{4})_", name)[1]) for name in files] == [int(each) for each in found]


@pytest.fixture
def with_example(tmp_path, monkeypatch):
    """`with_example()`: from now on there is one revision more, that of CONTRIBUTING.md."""

    def change():
        text = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Change a table")[2]
        example = textwrap.dedent(re.search(r"```python\n(.*?)```", text, re.DOTALL)[1])
        folder = tmp_path / "revisions"
        shutil.copytree(REVISIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "v0042_colours.py").write_text(example.replace('"41"', f'"{SCHEMA_VERSION}"'))
        monkeypatch.setattr(migrations, "REVISIONS", folder)
        monkeypatch.setattr(migrations, "SCHEMA_VERSION", 42)

    return change


def test_the_example_for_contributors_is_a_revision(tmp_path, with_example):
    """A column and an index, into a database of the version before."""
    before = described_in(tmp_path)["images"]
    with_example()
    after = described_in(tmp_path)["images"]
    assert after["columns"] == {**before["columns"], "colour": ("VARCHAR(20)", False, "'white'")}
    assert after["indexes"] == {**before["indexes"], "images_by_colour": (["repository_id", "colour"], False, None)}


@pytest.mark.postgresql
def test_the_example_is_a_revision_of_postgresql_as_well(postgresql, with_example):
    before = described_on(postgresql, "example")["images"]
    with_example()
    after = described_on(postgresql, "example")["images"]
    colour = ('TEXT COLLATE "C"', False, "'white'")
    assert after["columns"] == {**before["columns"], "colour": colour}
    assert after["indexes"] == {**before["indexes"], "images_by_colour": (["repository_id", "colour"], False, None)}


def test_nothing_is_imported_for_migrations_that_are_not_due(tmp_path):
    program = (
        "import sys\nfrom ecrsim import Ecrsim\nfor _ in range(2):\n"
        f"    with Ecrsim(data_dir={str(tmp_path)!r}) as sim:\n        sim.client().describe_repositories()\n"
        "print(sorted({'alembic', 'mako'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


def test_a_newer_database_is_refused_before_anything_in_it_changes(tmp_path):
    with Ecrsim(data_dir=str(tmp_path)):
        pass
    with closing(sqlite3.connect(tmp_path / "ecrsim.db")) as database, database:
        database.execute("UPDATE properties SET value = ? WHERE name = 'schema_version'", (SCHEMA_VERSION + 1,))
        database.execute("DELETE FROM properties WHERE name = 'secret:key-id'")
    database.close()
    (tmp_path / "secret.key").unlink()
    with pytest.raises(Exception, match=f"has schema version {SCHEMA_VERSION + 1}, this release of ecrsim reads"):
        Ecrsim(data_dir=str(tmp_path)).start()
    assert not (tmp_path / "secret.key").exists()
