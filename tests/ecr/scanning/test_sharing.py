"""Advisories of several nodes over one database: what one of them brings in, all have."""

import contextlib
import threading

import pytest

from ecrsim import Ecrsim
from ecrsim.core.db import Database
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.core.household import reset
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.scanning.advisories import open_advisories, sharing
from ecrsim.ecr.scanning.advisories.replacing import FILE
from ecrsim.ecr.scanning.advisories.sharing import SHARED, advisory_pieces, revision_of, share
from tests.ecr.scanning.osv import fixed_in


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    """Two ecrsims over one database, with data directories of their own."""
    monkeypatch.setattr(Database, "is_shared", True)
    # Of one byte more than a row takes, so that there are several rows.
    monkeypatch.setattr(sharing, "_PIECE", 10_000)
    database, store = tmp_path / "shared.db", tmp_path / "store"
    with contextlib.ExitStack() as running:
        found = []
        for name in ("a", "b"):
            directory = tmp_path / name
            directory.mkdir(mode=0o700)
            if found:
                (directory / "secret.key").write_bytes((tmp_path / "a" / "secret.key").read_bytes())
            settings = {"data_dir": str(directory), "database_url": f"sqlite:///{database}", "blob_store": str(store)}
            found.append(running.enter_context(Ecrsim(socket=False, node=name, **settings)))
        yield found


def known(sim: Ecrsim) -> set[str]:
    """The vulnerabilities of a package that nothing ships knows."""
    return {sim.advisories.record(each.record).id for each in sim.advisories.about("PyPI", "unheard-of")}


def vulnerability(number: int):
    return fixed_in(f"CVE-2030-{number:05}", "PyPI", "unheard-of", "2")


def test_what_one_adds_the_other_has(nodes):
    a, b = nodes
    a.advisories.add(vulnerability(1))
    share(b.runtime)
    assert known(b) == {"CVE-2030-00001"}
    # And the other way, in addition: who changes them looks for newer ones first.
    b.advisories.add(vulnerability(2))
    a.advisories.add(vulnerability(3))
    share(b.runtime)
    assert known(a) == known(b) == {"CVE-2030-00001", "CVE-2030-00002", "CVE-2030-00003"}
    assert len({revision_of(sim.runtime.data_dir / FILE) for sim in nodes}) == 1


def test_an_import_beside_a_running_node_is_published_by_it(nodes):
    a, b = nodes
    open_advisories(a.runtime.data_dir).import_records("mine", [vulnerability(4)])
    share(b.runtime)
    assert known(b) == set()
    share(a.runtime)
    share(b.runtime)
    assert known(b) == {"CVE-2030-00004"}


def test_nothing_is_moved_where_all_have_the_same(nodes, monkeypatch):
    a, b = nodes
    a.advisories.add(vulnerability(1))
    share(b.runtime)

    moved = []
    for name in ("_publish", "_fetch"):
        monkeypatch.setattr(sharing, name, lambda *given: moved.append(given))
    for sim in nodes:
        share(sim.runtime)
    assert moved == []


def test_a_reset_leaves_what_was_imported_on_all(nodes):
    a, b = nodes
    a.advisories.import_records("mine", [vulnerability(5)])
    a.advisories.add(vulnerability(6))
    share(b.runtime)
    reset(b.runtime)
    for sim in (a, b, a):
        share(sim.runtime)
    assert known(a) == known(b) == {"CVE-2030-00005"}


def test_one_that_was_imported_and_nothing_added_outlives_a_reset(nodes):
    a, b = nodes
    a.advisories.import_records("mine", [vulnerability(5)])
    reset(a.runtime)
    share(a.runtime)
    share(b.runtime)
    assert known(b) == {"CVE-2030-00005"}


def test_who_is_killed_while_it_publishes_loses_nothing(nodes, monkeypatch):
    a, b = nodes
    a.advisories.add(vulnerability(1))
    share(b.runtime)
    pieces = sharing._pieces

    def broken(file):
        yield next(iter(pieces(file)))
        raise ServiceUnavailableException("The database cannot be used.")

    monkeypatch.setattr(sharing, "_pieces", broken)
    with pytest.raises(ServiceUnavailableException):
        a.advisories.add(vulnerability(2))
    share(b.runtime)
    assert known(b) == {"CVE-2030-00001"}
    monkeypatch.setattr(sharing, "_pieces", pieces)
    for sim in nodes:
        share(sim.runtime)
    assert known(b) == {"CVE-2030-00001", "CVE-2030-00002"}
    with a.runtime.database.read() as connection:
        rows = connection.execute(advisory_pieces.select().with_only_columns(advisory_pieces.c.revision).distinct())
        assert len(rows.all()) == 1


def test_what_another_process_dropped_meanwhile_is_published_again(nodes):
    """Two publish at once where one has lost the right to: who ends first drops what the other has brought so far."""
    a, b = nodes
    a.advisories.add(vulnerability(1))
    with a.runtime.database.write() as connection:
        connection.execute(advisory_pieces.delete().where(advisory_pieces.c.place == 0))
    share(b.runtime)
    assert known(b) == set()
    for sim in nodes:
        share(sim.runtime)
    assert known(b) == {"CVE-2030-00001"}


def test_a_file_of_which_a_row_is_damaged_is_not_taken(nodes):
    a, b = nodes
    a.advisories.add(vulnerability(1))
    with a.runtime.database.write() as connection:
        connection.execute(advisory_pieces.update().where(advisory_pieces.c.place == 0).values(content=b"no database"))
    with pytest.raises(Exception, match="is damaged, or of another release"):
        share(b.runtime)
    assert known(b) == set()
    assert not (b.runtime.data_dir / SHARED).exists()
    assert not (b.runtime.data_dir / "advisories.fetched").exists()


def test_processes_of_a_node_do_not_disturb_each_other(nodes):
    a, b = nodes
    a.advisories.add(vulnerability(1))
    threads = [threading.Thread(target=share, args=(b.runtime,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert known(b) == {"CVE-2030-00001"}


@pytest.mark.sqlite
def test_an_ecrsim_by_itself_writes_no_rows(sim):
    sim.advisories.add(vulnerability(1))
    share(sim.runtime)
    runtime: Runtime = sim.runtime
    with runtime.database.read() as connection:
        assert connection.execute(advisory_pieces.select()).all() == []
