"""Bytes come to their place with no transaction open: a slow store holds no writer up, and nothing is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.images.garbage import collect
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


def test_bytes_that_a_collection_took_come_again(sim):
    upload_id, calls = begin(sim), []
    store = sim.runtime.blobs

    def take():
        # As a collection does that looked before the row was written.
        calls.append(store.delete(DIGEST))

    sim.runtime.blobs = Slow(store, "stat", lambda: take() if not calls else None)
    complete(sim, upload_id)
    assert calls == [True]
    assert store.stat(DIGEST) == len(LAYER)
    assert availability(sim) == "AVAILABLE"


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
