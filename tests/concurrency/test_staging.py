"""Bytes come to their place with no transaction open: a slow store holds no writer up, and nothing is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ecrsim import Ecrsim
from ecrsim.core.properties import set_property
from ecrsim.ecr.images.garbage import Collected, collect
from ecrsim.ecr.layers.removals import leaving, removal
from tests.pushing import digest_of

LAYER = b"a layer"
DIGEST = digest_of(LAYER)


@pytest.fixture
def sim():
    with Ecrsim(socket=False) as running:
        running.client().create_repository(repositoryName="app")
        yield running


class Slow:
    """A blob store of which one method does something first."""

    def __init__(self, store, name, before):
        self._store, self._name, self._before = store, name, before

    def __getattr__(self, name):
        real = getattr(self._store, name)
        if name != self._name:
            return real

        def act(*arguments, **options):
            self._before()
            return real(*arguments, **options)

        return act


def write(sim):
    """A change by somebody else."""
    sim.client().put_account_setting(name="BLOB_MOUNTING", value="ENABLED")


def begin(sim):
    client = sim.client()
    upload_id = client.initiate_layer_upload(repositoryName="app")["uploadId"]
    client.upload_layer_part(
        repositoryName="app",
        uploadId=upload_id,
        partFirstByte=0,
        partLastByte=len(LAYER) - 1,
        layerPartBlob=LAYER,
    )
    return upload_id


def put_unnamed(sim):
    """Bytes in their place that no row names, older than the next moment."""
    store = sim.runtime.blobs
    store.create_upload("unnamed")
    store.append_bytes("unnamed", LAYER)
    store.commit("unnamed", DIGEST)


def complete(sim, upload_id):
    client = sim.client()
    return client.complete_layer_upload(repositoryName="app", uploadId=upload_id, layerDigests=[DIGEST])


def availability(sim):
    found = sim.client().batch_check_layer_availability(repositoryName="app", layerDigests=[DIGEST])["layers"]
    return found[0]["layerAvailability"]


@pytest.mark.parametrize("method", ["create_upload", "commit"])
def test_others_write_while_the_store_is_slow(sim, method):
    entered, go_on = threading.Event(), threading.Event()

    def wait():
        entered.set()
        assert go_on.wait(20)

    upload_id = begin(sim) if method == "commit" else None
    sim.runtime.blobs = Slow(sim.runtime.blobs, method, wait)
    with ThreadPoolExecutor(1) as pool:
        act = (lambda: complete(sim, upload_id)) if upload_id else (lambda: begin(sim))
        under_way = pool.submit(act)
        assert entered.wait(20)
        write(sim)  # would wait for ever, were a transaction open
        go_on.set()
        assert under_way.result(20)


@pytest.mark.parametrize("method", ["delete", "discard"])
def test_others_write_while_a_slow_store_deletes(sim, method):
    entered, go_on = threading.Event(), threading.Event()

    def wait():
        entered.set()
        assert go_on.wait(20)

    begin(sim)
    put_unnamed(sim)
    with sim.runtime.database.write() as connection:
        connection.exec_driver_sql("UPDATE layer_uploads SET expires_at = 0")
    sim.runtime.blobs = Slow(sim.runtime.blobs, method, wait)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(collect, sim.runtime, 0)
        assert entered.wait(20)
        write(sim)  # would wait for ever, were a transaction open
        go_on.set()
        assert under_way.result(20) == Collected(layers=0, blobs=1, bytes=len(LAYER), uploads=1)
    assert collect(sim.runtime, 0) == (0, 0, 0, 0)


class After:
    """A blob store that does something once, as soon as bytes are in their place."""

    def __init__(self, store, act):
        self._store, self._act = store, act

    def __getattr__(self, name):
        return getattr(self._store, name)

    def commit(self, *arguments, **options):
        self._store.commit(*arguments, **options)
        if self._act is not None:
            act, self._act = self._act, None
            act()


def test_bytes_that_a_collection_took_before_their_row_come_again(sim):
    upload_id, taken = begin(sim), []
    store = sim.runtime.blobs
    sim.runtime.blobs = After(store, lambda: taken.append(collect(sim.runtime, 0).blobs))
    complete(sim, upload_id)
    assert taken == [1]
    assert store.stat(DIGEST) == len(LAYER)
    assert availability(sim) == "AVAILABLE"


def test_a_push_waits_for_the_deletion_of_its_bytes(sim):
    """Put in place in the middle of it, they would go."""
    entered, put, go_on = threading.Event(), threading.Event(), threading.Event()

    def wait():
        entered.set()
        assert go_on.wait(20)

    upload_id = begin(sim)
    put_unnamed(sim)
    store = sim.runtime.blobs
    sim.runtime.blobs = Slow(After(store, put.set), "delete", wait)
    with ThreadPoolExecutor(2) as pool:
        collecting = pool.submit(collect, sim.runtime, 0)
        assert entered.wait(20)
        pushing = pool.submit(complete, sim, upload_id)
        assert put.wait(20)
        assert availability(sim) == "UNAVAILABLE"
        go_on.set()
        assert collecting.result(20).blobs == 1
        assert pushing.result(20)
    assert store.stat(DIGEST) == len(LAYER)
    assert availability(sim) == "AVAILABLE"


def test_a_push_goes_on_where_a_collection_was_killed(sim):
    """What it was about to delete is still written down."""
    with sim.runtime.database.write() as connection:
        set_property(connection, "blobs:leaving", f"1 {DIGEST}")
    complete(sim, begin(sim))
    assert availability(sim) == "AVAILABLE"
    with sim.runtime.database.read() as connection:
        assert leaving(connection) == "2"


def test_damaged_bytes_go_beside_a_push_of_the_right_ones(sim):
    """They are moved away just when the right ones were put in their place."""
    put_unnamed(sim)
    store = sim.runtime.blobs
    found = []
    with store.open(DIGEST) as damaged:

        def move_away():
            with removal(sim.runtime, [DIGEST], of_named=True):
                found.append(store.set_aside(DIGEST, damaged))
                store.delete(DIGEST)  # as if the move had looked before and acted after

        sim.runtime.blobs = After(store, move_away)
        complete(sim, begin(sim))
    assert found == [False]
    assert store.stat(DIGEST) == len(LAYER)
    assert availability(sim) == "AVAILABLE"


class Lost:
    """A right that is lost when somebody says so."""

    def __init__(self):
        self.is_there = True

    def is_held(self):
        return self.is_there

    def release(self):
        pass


def test_who_lost_the_right_deletes_no_more_and_clears_nothing(sim, monkeypatch):
    """Another collection has it, and a push that waited for the right may have put the bytes back."""
    held = Lost()
    monkeypatch.setattr(sim.runtime.database, "hold", lambda _: held)
    digests = [f"sha256:{letter * 64}" for letter in "abc"]
    with removal(sim.runtime, digests) as going:
        assert next(going) == digests[0]
        held.is_there = False
        with sim.runtime.database.write() as connection:
            set_property(connection, "blobs:leaving", f"7 {DIGEST}")
        assert list(going) == []
    with sim.runtime.database.read() as connection:
        assert leaving(connection) == f"7 {DIGEST}"


def test_a_session_that_the_store_cannot_take_leaves_no_row(sim, monkeypatch):
    def fail():
        raise OSError("the store is away")

    store = sim.runtime.blobs
    sim.runtime.blobs = Slow(store, "create_upload", fail)
    with pytest.raises(sim.client().exceptions.ClientError):
        begin(sim)
    sim.runtime.blobs = store
    with sim.runtime.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM layer_uploads").scalar() == 0
    assert collect(sim.runtime, 0).uploads == 0
