"""`ecrsim db copy`: everything, compared, into what was empty, and again after a kill."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from ecrsim import Ecrsim
from ecrsim.config import variable
from ecrsim.core.sealing import NAME as KEY
from tests import s3_servers
from tests.faults.client import Client
from tests.principals import admin, know, user
from tests.pushing import digest_of
from tests.upgrade.recording import ACCOUNT, BEGUN, CLOCK, LAYER, REST
from tests.upgrade.test_upgrade import check

pytestmark = pytest.mark.sqlite

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / "fixtures" / "releases" / "0.1.0.tar.gz"


def serving(directory):
    return Ecrsim(data_dir=str(directory), clock=CLOCK)


@pytest.fixture
def source(tmp_path):
    """A data directory with something of everything, secrets too, and numbers that were given and are gone."""
    with tarfile.open(RELEASE) as archive:
        archive.extractall(tmp_path, filter="data")
    with serving(tmp_path / "data") as sim:
        know(sim, {"users": [user("alice")]})
        admin(sim, "PUT", "targets", {"targets": [{"name": "hook", "type": "webhook", "url": "http://127.0.0.1:9/x"}]})
        ecr = sim.client()
        ecr.create_repository(repositoryName="short-lived")
        ecr.delete_repository(repositoryName="short-lived")
    return tmp_path / "data"


@pytest.fixture
def recorded(source):
    return json.loads((source.parent / "answers.json").read_text("utf-8"))


@pytest.fixture
def copy(run, source, tmp_path):
    """`copy(option, …)`: into the data directory `copy`, unless the options say otherwise."""

    def copy(*options):
        place = () if any(each.startswith("--to") for each in options) else ("--to-data-dir", str(tmp_path / "copy"))
        return run("db", "copy", "--data-dir", str(source), *place, *options)

    return copy


def rows(directory, query):
    with closing(sqlite3.connect(directory / "ecrsim.db")) as database:
        return database.execute(query).fetchall()


def execute(directory, statement):
    with closing(sqlite3.connect(directory / "ecrsim.db")) as database, database:
        database.execute(statement)


def dumped(directory):
    """All rows of all tables but the properties, as they are stored."""
    with closing(sqlite3.connect(directory / "ecrsim.db")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(database.execute(f'SELECT * FROM "{name}"'), key=repr) for name in names}  # noqa: S608


def blobs(directory):
    return {path.name: path.read_bytes() for path in (directory / "blobs").rglob("*") if len(path.name) == 64}


def test_the_copy_has_every_row_every_byte_and_every_secret(copy, source, recorded, tmp_path):
    done = copy()
    assert done.status == 0, done.err
    there = tmp_path / "copy"
    before, after = dumped(source), dumped(there)
    properties = [dict(each.pop("properties")) for each in (before, after)]
    assert after == before
    assert blobs(there) == blobs(source)
    differing = {name for name, _ in properties[0].items() ^ properties[1].items()}
    assert differing == {"store:id", "store:opened", "copy:of", "clock:started"}
    count = sum(len(each) for name, each in before.items() if not name.startswith("sqlite_"))
    assert f"compared: {count} rows, {len(blobs(source))} blobs (" in done.out
    assert (there / KEY).read_bytes() == (source / KEY).read_bytes()
    with serving(there) as sim:
        check(sim, recorded)
        with serving(source) as first:
            assert secrets_of(sim) == secrets_of(first) == [("AKIAALICE", "secret of alice")]


def secrets_of(sim):
    runtime = sim.runtime
    with runtime.database.read() as connection:
        sealed = connection.exec_driver_sql("SELECT access_key_id, secret FROM access_keys ORDER BY 1").all()
    return [(name, runtime.seal.opened(secret, "access_keys", name)) for name, secret in sealed]


def test_an_upload_that_was_begun_goes_on_in_the_copy(copy, recorded, tmp_path):
    copy()
    with serving(tmp_path / "copy") as sim:
        client = Client(sim.endpoint_url, ACCOUNT)
        path = "/v2/" + recorded["upload"].partition("/v2/")[2]
        digest = digest_of(BEGUN + REST)
        assert client.registry("PUT", f"{path}?digest={digest}", REST).status == 201
        assert client.registry("GET", f"app/blobs/{digest}").body == BEGUN + REST
        client.close()


def test_numbers_that_were_given_are_not_given_again(copy, source, tmp_path):
    highest = dict(rows(source, "SELECT name, seq FROM sqlite_sequence"))
    assert highest["repositories"] > rows(source, "SELECT max(id) FROM repositories")[0][0]
    copy()
    with serving(tmp_path / "copy") as sim:
        sim.client().create_repository(repositoryName="new")
    assert rows(tmp_path / "copy", "SELECT max(id) FROM repositories") == [(highest["repositories"] + 1,)]


def test_neither_store_is_taken_for_the_others(copy, run, source, tmp_path):
    copy()
    there = tmp_path / "copy"
    for data, store in ((source, there), (there, source)):
        refused = run("gc", "--data-dir", str(data), "--blob-store", str(store))
        assert refused.status == 1
        assert "belongs to" in refused.err


def test_a_copy_of_the_copy_is_the_same(copy, run, source, tmp_path):
    copy()
    back = run("db", "copy", "--data-dir", str(tmp_path / "copy"), "--to-data-dir", str(tmp_path / "back"))
    assert back.status == 0, back.err
    before, after = dumped(source), dumped(tmp_path / "back")
    assert before.pop("properties") != after.pop("properties")
    assert after == before
    assert blobs(tmp_path / "back") == blobs(source)


def test_database_and_store_may_be_elsewhere(copy, source, tmp_path):
    url, store = f"sqlite:///{tmp_path / 'elsewhere.db'}", tmp_path / "store"
    done = copy("--to", url, "--to-store", str(store))
    assert done.status == 0, done.err
    assert blobs(store) == blobs(source)
    with Ecrsim(data_dir=str(source), database_url=url, blob_store=str(store), clock=CLOCK) as sim:
        assert len(sim.client().describe_repositories()["repositories"]) == 3


def test_a_data_directory_that_this_release_never_opened_is_copied(run, tmp_path):
    """It lacks tables that are new since then."""
    with tarfile.open(RELEASE) as archive:
        archive.extractall(tmp_path, filter="data")
    done = run("db", "copy", "--data-dir", str(tmp_path / "data"), "--to-data-dir", str(tmp_path / "copy"))
    assert done.status == 0, done.err
    again = run("db", "copy", "--data-dir", str(tmp_path / "data"), "--to-data-dir", str(tmp_path / "copy"))
    assert "was copied before" in again.out, again.err
    with serving(tmp_path / "copy") as sim:
        check(sim, json.loads((tmp_path / "answers.json").read_text("utf-8")))


def test_the_same_command_again_compares_once_more(copy, tmp_path):
    assert "is copied to" in copy().out
    again = copy()
    assert again.status == 0
    assert "was copied before to" in again.out
    execute(tmp_path / "copy", "DELETE FROM image_tags WHERE id = (SELECT max(id) FROM image_tags)")
    refused = copy()
    assert refused.status == 1
    assert "was copied from this one before, and image_tags is not the same in both any more" in refused.err


def make_database(there):
    with serving(there):
        pass


def make_blob(there):
    (there / "blobs" / "sha256" / "4a").mkdir(parents=True)
    (there / "blobs" / "sha256" / "4a" / ("4a" * 32)).write_bytes(b"x")


def make_key(there):
    there.mkdir()
    (there / KEY).write_text("ab" * 32)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (make_database, r"the database .*/copy/ecrsim\.db is there already: a copy is made where there is none"),
        (make_blob, "holds 1 blobs and uploads that the database .* does not name"),
        (make_key, r"copy/secret\.key is there, and is another one than .*/data/secret\.key: choose another"),
    ],
    ids=("a database", "a blob", "another key"),
)
def test_what_is_not_empty_is_refused_and_stays(copy, tmp_path, make, sentence):
    there = tmp_path / "copy"
    make(there)
    before = blobs(there), (there / KEY).exists() and (there / KEY).read_bytes()
    refused = copy()
    assert (refused.status, refused.out) == (1, "")
    assert re.search(sentence, refused.err), refused.err
    assert blobs(there) == before[0]
    assert not before[1] or (there / KEY).read_bytes() == before[1]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--to-data-dir", "{source}"), "cannot be copied onto itself"),
        (("--to", "sqlite:///{source}/../other.db"), r"the blob store .* cannot be copied onto itself"),
        (("--to", "mysql://db/x"), "database-url must be sqlite:///PATH or postgresql://"),
        (("--to-store", "s3://bucket/x"), "s3-aws-access-key-id must be given for a bucket"),
        (
            ("--from", "mysql://db/x", "--to-data-dir", "/nowhere"),
            "database-url must be sqlite:///PATH or postgresql://",
        ),
        (("--from-data-dir", "/nowhere", "--to-data-dir", "{source}"), "there is no database /nowhere/ecrsim.db"),
    ],
    ids=("itself", "its own store", "another program's", "no keys", "another program's source", "no source"),
)
def test_sides_that_cannot_be_are_refused(copy, source, options, sentence):
    refused = copy(*(each.format(source=source) for each in options))
    assert refused.status == 1
    assert re.search(sentence, refused.err), refused.err


def test_a_destination_has_to_be_said(run, source):
    refused = run("db", "copy", "--data-dir", str(source))
    assert (refused.status, refused.out) == (1, "")
    assert "where to? Say --to and --to-store, or --to-data-dir" in refused.err


def test_a_source_that_is_served_is_refused(copy, source, tmp_path):
    with serving(source):
        refused = copy()
    assert refused.status == 1
    assert "is in use: stop the ecrsim that serves it first" in refused.err
    assert not (tmp_path / "copy" / "ecrsim.db").exists()


def test_tables_that_nobody_knows_are_not_left_behind_in_silence(copy, source):
    execute(source, "CREATE TABLE somebodys (name TEXT)")
    refused = copy()
    assert refused.status == 1
    assert "has tables that nobody here knows: somebodys" in refused.err


def test_a_source_of_an_earlier_version_is_refused_and_stays(copy, source):
    execute(source, "UPDATE properties SET value = '5' WHERE name = 'schema_version'")
    refused = copy()
    assert refused.status == 1
    assert "has schema version 5: run `ecrsim db upgrade` first" in refused.err
    assert rows(source, "SELECT value FROM properties WHERE name = 'schema_version'") == [("5",)]


def test_damage_is_told_and_the_rest_is_copied(copy, source, tmp_path):
    lost, damaged, *others = sorted(blobs(source))
    (source / "blobs" / "sha256" / lost[:2] / lost).unlink()
    (source / "blobs" / "sha256" / damaged[:2] / damaged).write_bytes(b"x")
    done = copy()
    assert done.status == 3
    assert f"NOT COPIED  sha256:{lost} is missing\n" in done.out
    assert f"NOT COPIED  sha256:{damaged} is damaged: its bytes have another digest\n" in done.out
    assert sorted(blobs(tmp_path / "copy")) == others
    assert list((tmp_path / "copy" / "uploads").iterdir()) != []
    assert dumped(tmp_path / "copy")["layers"] == dumped(source)["layers"]


def test_bytes_of_the_destination_that_are_wrong_are_brought_again(copy, source, tmp_path):
    copy()
    name = digest_of(LAYER).partition(":")[2]
    (tmp_path / "copy" / "blobs" / "sha256" / name[:2] / name).write_bytes(b"X" * len(LAYER))
    assert copy().status == 0
    assert blobs(tmp_path / "copy") == blobs(source)


@pytest.fixture
def url(postgresql, tmp_path):
    """A schema of the test's own."""
    return f"{postgresql.url}?schema={re.sub(r'[^a-z0-9]', '_', tmp_path.name.lower())}"


@pytest.fixture(params=["directory", "moto", "versitygw"])
def store(request, tmp_path, monkeypatch):
    """The settings of a blob store beside PostgreSQL."""
    if request.param == "directory":
        yield {"blob_store": str(tmp_path / "store")}
        return
    if request.param == "versitygw" and not s3_servers.has_versitygw():
        assert not os.environ.get("E2E_REQUIRE_CLIENTS"), "versitygw is missing"
        pytest.skip("versitygw is not installed: scripts/tools")
    with getattr(s3_servers, request.param)() as server:
        for name, value in server.settings.items():
            monkeypatch.setenv(variable(name), value)
        yield {"blob_store": f"s3://{server.new_bucket()}/registry", **server.settings}


@pytest.mark.postgresql
def test_to_postgresql_and_another_store_and_back_loses_nothing(copy, run, source, recorded, tmp_path, url, store):
    there, back = tmp_path / "there", tmp_path / "back"
    place = ("--to", url, "--to-store", store["blob_store"], "--to-data-dir", str(there))
    done = copy(*place)
    assert done.status == 0, done.err
    again = copy(*place)
    assert "was copied before to" in again.out, again.err
    source_place = ("--from", url, "--from-store", store["blob_store"], "--from-data-dir", str(there))
    done = run("db", "copy", *source_place, "--to-data-dir", str(back))
    assert done.status == 0, done.err
    before, after = dumped(source), dumped(back)
    properties = [dict(each.pop("properties")) for each in (before, after)]
    assert after == before
    assert blobs(back) == blobs(source)
    differing = {name for name, _ in properties[0].items() ^ properties[1].items()}
    assert differing == {"store:id", "store:opened", "copy:of", "clock:started"}
    with Ecrsim(data_dir=str(there), database_url=url, clock=CLOCK, **store) as sim:
        check(sim, recorded)
        refused = run("db", "copy", *source_place, "--to-data-dir", str(tmp_path / "more"))
        assert "is in use: stop the ecrsim that serves it first" in refused.err
        with sim.runtime.database.read() as connection:
            [sealed] = connection.exec_driver_sql("SELECT secret FROM access_keys").scalars()
        assert sim.runtime.seal.opened(sealed, "access_keys", "AKIAALICE") == "secret of alice"
        highest = dict(rows(source, "SELECT name, seq FROM sqlite_sequence"))["repositories"]
        ecr = sim.client()
        ecr.create_repository(repositoryName="new", tags=[{"Key": "a", "Value": "b"}])
        with sim.runtime.database.read() as connection:
            assert connection.exec_driver_sql("SELECT max(id) FROM repositories").scalar() == highest + 1
            # One without numbers of its own on SQLite.
            tags = rows(source, "SELECT max(id) FROM repository_tags")[0][0]
            assert connection.exec_driver_sql("SELECT max(id) FROM repository_tags").scalar() == tags + 1


@pytest.mark.slow
def test_a_copy_that_is_killed_is_served_by_nobody_and_goes_on(source, recorded, tmp_path):
    """Killed before each statement of the two databases, again and again, until it comes to its end."""
    command = [sys.executable, "-m", "tests.cli.killing_copies", str(source), str(tmp_path / "copy")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 20
    assert blobs(tmp_path / "copy") == blobs(source)
    before, after = dumped(source), dumped(tmp_path / "copy")
    del before["properties"], after["properties"]
    assert after == before
    assert len(list((tmp_path / "copy" / "uploads").iterdir())) == len(list((source / "uploads").iterdir()))
    with serving(tmp_path / "copy") as sim:
        check(sim, recorded)
