"""Whose the bytes are: a database that does not know of them deletes none, however it came to the store."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.blobs.identity import NAME, StoreMismatch
from ecrsim.cli import main
from ecrsim.ecr.images.garbage import collect
from ecrsim.testing import build_image
from tests.aging import age
from tests.faults.client import Client, manifest_of
from tests.faults.serving import NotServing, Serving, clean_environment
from tests.pushing import digest_of, push

#: Copies, moves and backups of the file that SQLite keeps; of a server there is `tests/core/test_postgresql.py`.
pytestmark = pytest.mark.sqlite

IMAGE = build_image(b"a layer of the first", config=b"{}")
DIGESTS = set(IMAGE.blobs)


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def opened(data_dir: Path, **settings: Any) -> Ecrsim:
    return Ecrsim(socket=False, data_dir=str(data_dir), **settings)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with an image and an unfinished upload, all of it days old."""
    directory = tmp_path / "d"
    with opened(directory) as sim:
        sim.client().create_repository(repositoryName="app")
        push(sim.client(), "app", IMAGE, "v1")
        sim.client().initiate_layer_upload(repositoryName="app")
    age(directory, 1000)
    return directory


def files(data: Path) -> set[Path]:
    return {path for part in ("blobs", "uploads") for path in (data / part).rglob("*") if path.is_file()}


def forget_ids(data: Path) -> None:
    """As a release left it that made no ids."""
    (data / NAME).unlink()
    with closing(sqlite3.connect(data / "ecrsim.db")) as database:
        database.execute("DELETE FROM properties WHERE name = 'store:id'")
        database.commit()


# --- who is refused ---------------------------------------------------------------------------------------------------


def another_database(data: Path) -> dict[str, Any]:
    return {"data_dir": data, "database_url": f"sqlite:///{data}/other.db"}


def another_server(data: Path) -> dict[str, Any]:
    return {"data_dir": data.parent / "e", "blob_store": str(data)}


def an_empty_file(data: Path) -> dict[str, Any]:
    for path in data.glob("ecrsim.db*"):
        path.unlink()
    (data / "ecrsim.db").touch()
    return {"data_dir": data}


def a_removed_file(data: Path) -> dict[str, Any]:
    for path in data.glob("ecrsim.db*"):
        path.unlink()
    return {"data_dir": data}


def a_copy(data: Path) -> dict[str, Any]:
    shutil.copy(data / "ecrsim.db", data.parent / "copy.db")
    return {"data_dir": data, "database_url": f"sqlite:///{data.parent}/copy.db"}


STRANGERS = [another_database, another_server, an_empty_file, a_removed_file, a_copy]
stranger = pytest.mark.parametrize("make", STRANGERS, ids=lambda make: make.__name__)
with_and_without_ids = pytest.mark.parametrize("ids", [True, False], ids=["", "of a release without ids"])


@stranger
@with_and_without_ids
def test_a_stranger_is_refused_and_deletes_nothing(data: Path, make: Callable[[Path], dict[str, Any]], ids: bool):
    if not ids:
        forget_ids(data)
    settings = make(data)
    if make is a_copy and not ids:
        with opened(data):
            pass  # the first one has the store by now
    before = files(data)
    with pytest.raises(StoreMismatch, match="ecrsim store adopt"):
        opened(**settings).start()
    assert files(data) == before


@stranger
@with_and_without_ids
def test_a_stranger_collects_nothing(
    data: Path, make: Callable[[Path], dict[str, Any]], ids: bool, capsys: pytest.CaptureFixture[str]
):
    """By the command, without a grace period."""
    if not ids:
        forget_ids(data)
    settings = make(data)
    if make is a_copy and not ids:
        with opened(data):
            pass
    file = Path(settings.get("database_url", "").removeprefix("sqlite:///") or Path(settings["data_dir"]) / "ecrsim.db")
    file.parent.mkdir(exist_ok=True)
    file.touch()
    before = files(data)
    options = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["gc", "--grace", "0", *options]) == 1
    assert "ecrsim store adopt" in capsys.readouterr().err
    assert files(data) == before


@pytest.mark.parametrize("make", [another_database, another_server, an_empty_file], ids=lambda make: make.__name__)
def test_a_server_of_another_database_does_not_start(data: Path, make: Callable[[Path], dict[str, Any]]):
    settings = make(data)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items() if name != "data_dir"]
    before = files(data)
    with pytest.raises(NotServing, match="exit status 1") as refusal:
        Serving(Path(settings["data_dir"]), *options, workers=2, gc_interval=1)
    assert "belongs to" in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    assert files(data) == before


def test_two_servers_cannot_begin_on_one_empty_store(tmp_path: Path):
    store = str(tmp_path / "store")
    with opened(tmp_path / "a", blob_store=store), pytest.raises(StoreMismatch, match=f"{tmp_path}/a/ecrsim.db"):
        opened(tmp_path / "b", blob_store=store).start()


def test_a_store_that_is_not_mounted_is_refused(data: Path):
    (data / "blobs").rename(data.parent / "elsewhere")
    shutil.rmtree(data / "uploads")
    (data / NAME).unlink()
    with pytest.raises(StoreMismatch, match="is its disk mounted"):
        opened(data).start()


def test_a_file_that_cannot_be_read_is_no_permission(data: Path):
    (data / NAME).write_text("{")
    before = files(data)
    with pytest.raises(StoreMismatch, match=r"does not say whose store this is"):
        opened(data).start()
    assert files(data) == before


# --- who goes on without ceremony -------------------------------------------------------------------------------------


def test_a_directory_without_ids_gets_them(data: Path):
    forget_ids(data)
    with opened(data) as sim:
        assert collect(sim.runtime) == (0, 0, 0, 0)
    assert (data / NAME).exists()
    with opened(data) as sim:
        [image] = sim.client().batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
        assert image["imageId"]["imageDigest"] == IMAGE.digest


def test_garbage_in_a_directory_without_ids_is_its_own_and_waits(data: Path):
    """Old as it is: it came to this database only now, as far as anybody can tell."""
    with opened(data) as sim:
        sim.runtime.blobs.put(digest_of(b"garbage"), b"garbage")
    forget_ids(data)
    age(data, 1000)
    with opened(data) as sim:
        assert collect(sim.runtime) == (0, 0, 0, 0)
        assert collect(sim.runtime, 0)[1:] == (1, len(b"garbage"), 0)
        assert {digest for digest, _, _ in sim.runtime.blobs.blobs()} == DIGESTS


def test_a_backup_that_was_put_back_does_not_collect_what_came_after_it(data: Path):
    """It is a copy of the same database, in the same place; the newer one may be wanted back."""
    backup = (data / "ecrsim.db").read_bytes()
    later = build_image(b"pushed after the backup", config=b"{}")
    with opened(data) as sim:
        push(sim.client(), "app", later, "v2")
    age(data, 1000)
    newer, before = (data / "ecrsim.db").read_bytes(), files(data)
    (data / "ecrsim.db").write_bytes(backup)
    for _ in range(2):
        with opened(data) as sim:
            assert collect(sim.runtime) == (0, 0, 0, 0)
    assert before <= files(data)
    (data / "ecrsim.db").write_bytes(newer)
    with opened(data) as sim:
        assert collect(sim.runtime)[1] == 0
        assert all(sim.runtime.blobs.stat(digest) is not None for digest in later.blobs)


def test_copies_of_a_database_that_cannot_see_each_other_delete_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As in two containers over one store: each takes itself for the database, moved."""
    monkeypatch.setattr("ecrsim.core.engines.sqlite.SqliteDatabase.elsewhere", lambda *_: None)
    copy = tmp_path / "copy.db"
    with opened(data) as first:
        first.client().batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
        with closing(sqlite3.connect(data / "ecrsim.db")) as database:
            database.execute("VACUUM INTO ?", [str(copy)])
        before = files(data)
        with opened(data, database_url=f"sqlite:///{copy}", gc_grace=1) as second:
            for sim in (first, second, first):
                with pytest.raises(StoreMismatch, match="another copy of the database"):
                    collect(sim.runtime, 0)
    assert before <= files(data)
    with opened(data) as alone:
        collect(alone.runtime, 0)
    assert not before <= files(data)


def test_layers_that_are_let_go_stay_while_the_store_is_new_to_the_database(data: Path):
    """The database before may name them: they have the grace period that all have that came with the store."""
    backup = (data / "ecrsim.db").read_bytes()
    with opened(data):
        pass
    (data / "ecrsim.db").write_bytes(backup)
    with opened(data, clock="frozen") as sim:
        sim.client().batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
        before = files(data)
        sim.advance(days=3)
        assert collect(sim.runtime).layers
        assert {path for path in before if "blobs" in path.parts} <= files(data)


@pytest.mark.parametrize("way", ["moved", "copied", "by another name"])
def test_both_together_may_go_elsewhere(data: Path, tmp_path: Path, way: str):
    target = tmp_path / "new"
    if way == "moved":
        data.rename(target)
    elif way == "copied":
        shutil.copytree(data, target)
    else:
        target.symlink_to(data)
    with opened(target) as sim:
        assert collect(sim.runtime) == (0, 0, 0, 0)


def test_a_database_may_move_away_from_its_store(data: Path, tmp_path: Path):
    (data / "ecrsim.db").rename(tmp_path / "moved.db")
    with opened(data, database_url=f"sqlite:///{tmp_path}/moved.db") as sim:
        assert collect(sim.runtime) == (0, 0, 0, 0)


# --- on purpose -------------------------------------------------------------------------------------------------------


@pytest.fixture
def adopted(data: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    other = f"sqlite:///{data}/other.db"
    with pytest.raises(StoreMismatch):
        opened(data, database_url=other).start()
    assert main(["store", "adopt", "--data-dir", str(data), "--database-url", other]) == 0
    assert f"{data}/ecrsim.db, which had it, is refused there now" in capsys.readouterr().out
    return data, other


def test_what_was_adopted_keeps_the_others_bytes_for_a_period_of_its_own(adopted: tuple[Path, str]):
    data, other = adopted
    before = files(data)
    with opened(data, database_url=other) as sim:
        assert collect(sim.runtime) == (0, 0, 0, 0)
    assert files(data) == before


def test_what_was_adopted_can_be_adopted_back(adopted: tuple[Path, str]):
    data, other = adopted
    with pytest.raises(StoreMismatch, match=r"belongs to the database .*/other\.db"):
        opened(data).start()
    assert main(["store", "adopt", "--data-dir", str(data)]) == 0
    with opened(data) as sim:
        assert {digest for digest, _, _ in sim.runtime.blobs.blobs()} == DIGESTS
    with pytest.raises(StoreMismatch):
        opened(data, database_url=other).start()


def test_a_store_in_use_is_not_given_away(data: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copy(data / "ecrsim.db", data / "other.db")
    with opened(data):
        command = ["store", "adopt", "--data-dir", str(data), "--database-url", f"sqlite:///{data}/other.db"]
        assert main(command) == 1
    assert "is in use" in capsys.readouterr().err


def test_who_has_lost_the_store_meanwhile_deletes_nothing(data: Path):
    """The file was replaced under a running server, as by a disk that was mounted over it."""
    with opened(data) as sim:
        sim.runtime.blobs.put(digest_of(b"of the other"), b"of the other")
        text = (data / NAME).read_text()
        (data / NAME).write_text(text.replace('"id": "', '"id": "0'))
        before = files(data)
        with pytest.raises(StoreMismatch, match="belongs to another database"):
            collect(sim.runtime, 0)
        (data / NAME).unlink()
        with pytest.raises(StoreMismatch, match="has lost"):
            collect(sim.runtime, 0)
        assert files(data) == before


def test_a_running_server_says_that_it_does_not_collect(tmp_path: Path):
    with Serving(tmp_path / "d", workers=1, gc_interval=1, gc_grace=0) as server:
        client = Client(server.url)
        assert client.api("CreateRepository", repositoryName="app").status == 200
        for blob in (b"{}", b"layer"):
            assert client.push_layer("app", blob).status == 201
        assert client.push_manifest("app", "v1", manifest_of(b"{}", b"layer")).status == 201
        (tmp_path / "d" / NAME).write_text('{"id": "x", "database": "/x.db", "root": "/", "since": 0}')
        command = ["tail", "-n", "+1", "-f", "--pid", str(server.process.pid), str(server.log)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            assert any("no garbage is collected" in line for line in following.stdout)
            following.kill()
        assert client.registry("GET", f"app/blobs/{digest_of(b'layer')}").status == 200
        client.close()
        assert server.stop() == 0


def test_adopting_needs_a_database(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "ecrsim", "store", "adopt", "--data-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, f"ecrsim: there is no database {tmp_path}/ecrsim.db\n")
