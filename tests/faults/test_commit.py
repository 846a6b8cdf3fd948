"""The instants around the end of an upload, each hit exactly: a process that dies there, and a commit that fails.

At the end the bytes become a blob inside the transaction of the row that names it. Whatever happens before it is
through, the upload can be finished as if nothing had been; whatever happens after it, the layer is there.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecrsim import Ecrsim
from ecrsim.blobs.filesystem import FilesystemStore
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.ecr.images.garbage import collect
from ecrsim.testing import Response, call_application
from tests.aging import age
from tests.faults.serving import clean_environment
from tests.pushing import digest_of

LAYER = b"a layer of some bytes"
DIGEST = digest_of(LAYER)

#: Finishes the upload in a process that dies at the instant that its first lines set up.
FINISH = """
import os, signal, sys
from ecrsim import Ecrsim
from ecrsim.blobs.filesystem import FilesystemStore
from ecrsim.core import db
from ecrsim.testing import call_application

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def dying_after(function):
    def wrapper(*arguments, **options):
        function(*arguments, **options)
        die()
    return wrapper

data_dir, moment, location, token, digest = sys.argv[1:]
sim = Ecrsim(socket=False, data_dir=data_dir).start()
if moment == "before the blob":
    FilesystemStore.commit = die
elif moment == "between blob and row":
    FilesystemStore.commit = dying_after(FilesystemStore.commit)
elif moment == "between row and answer":
    FilesystemStore.discard = die
elif moment == "after everything":
    FilesystemStore.discard = dying_after(FilesystemStore.discard)
url = f"http://localhost{location}?digest={digest}"
call_application(sim.app, "PUT", url, {"Authorization": f"Basic {token}"})
"""


class Upload:
    """An upload of `LAYER` into `app` that has all its bytes and only has to be finished."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        with Ecrsim(socket=False, data_dir=str(data_dir)) as sim:
            client = sim.client("ecr")
            client.create_repository(repositoryName="app")
            (data,) = client.get_authorization_token()["authorizationData"]
            self.token = data["authorizationToken"]
            self.location = self.ask(sim, "POST", "/v2/app/blobs/uploads/").headers["Location"]
            assert self.ask(sim, "PATCH", self.location, LAYER).status == 202

    def ask(self, sim: Ecrsim, method: str, path: str, body: bytes = b"") -> Response:
        headers = {"Authorization": f"Basic {self.token}"}
        return call_application(sim.app, method, f"http://localhost{path}", headers, body)

    def finish(self, sim: Ecrsim, body: bytes = b"") -> Response:
        return self.ask(sim, "PUT", f"{self.location}?digest={DIGEST}", body)

    def die_at(self, moment: str) -> None:
        command = [sys.executable, "-c", FINISH, str(self.data_dir), moment, self.location, self.token, DIGEST]
        done = subprocess.run(command, env=clean_environment(), timeout=60, check=False)
        assert done.returncode == -signal.SIGKILL

    def restarted(self) -> Ecrsim:
        return Ecrsim(socket=False, data_dir=str(self.data_dir))


@pytest.fixture
def upload(tmp_path: Path) -> Upload:
    return Upload(tmp_path / "data")


def is_there(upload: Upload, sim: Ecrsim) -> bool:
    answer = upload.ask(sim, "GET", f"/v2/app/blobs/{DIGEST}")
    return (answer.status, answer.body) == (200, LAYER)


@pytest.mark.parametrize("collected", [False, True], ids=["", "after a collection"])
@pytest.mark.parametrize("moment", ["before the blob", "between blob and row"])
def test_an_upload_that_was_not_finished_goes_on(upload: Upload, moment: str, collected: bool):
    upload.die_at(moment)
    with upload.restarted() as sim:
        if collected:
            collect(sim.runtime, 0)
        assert upload.ask(sim, "HEAD", f"/v2/app/blobs/{DIGEST}").status == 404
        status = upload.ask(sim, "GET", upload.location)
        assert (status.status, status.headers["Range"]) == (204, f"0-{len(LAYER) - 1}")
        assert upload.finish(sim).status == 201
        assert is_there(upload, sim)
        assert list(sim.runtime.blobs.uploads()) == []


@pytest.mark.parametrize("moment", ["between row and answer", "after everything"])
def test_a_layer_whose_answer_was_lost_is_there(upload: Upload, moment: str):
    upload.die_at(moment)
    with upload.restarted() as sim:
        assert is_there(upload, sim)
        assert upload.finish(sim).status == 404
        age(sim.runtime.data_dir)
        collect(sim.runtime)
        assert is_there(upload, sim)
        assert list(sim.runtime.blobs.uploads()) == []


def test_a_client_that_sends_more_to_a_finished_upload_does_not_touch_the_blob(upload: Upload):
    upload.die_at("between blob and row")
    with upload.restarted() as sim:
        answer = upload.finish(sim, b" and more")
        assert (answer.status, answer.headers["Range"]) == (416, f"0-{len(LAYER) - 1}")
        assert upload.finish(sim).status == 201
        assert is_there(upload, sim)


@pytest.fixture
def running(upload: Upload) -> Iterator[Ecrsim]:
    with upload.restarted() as sim:
        yield sim


def test_a_transaction_that_fails_leaves_the_upload(upload: Upload, running: Ecrsim, monkeypatch: pytest.MonkeyPatch):
    """The disk is full when the row is written: the bytes are not lost, the client finishes later."""
    commit = FilesystemStore.commit

    def fail_afterwards(self: FilesystemStore, upload_id: str, digest: str, keep: bool = False) -> None:
        commit(self, upload_id, digest, keep)
        raise ServiceUnavailableException("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(FilesystemStore, "commit", fail_afterwards)
        answer = upload.finish(running)
        assert (answer.status, answer.json()["errors"][0]["code"]) == (503, "UNAVAILABLE")
    assert upload.ask(running, "HEAD", f"/v2/app/blobs/{DIGEST}").status == 404
    assert upload.finish(running).status == 201
    assert is_there(upload, running)


def test_bytes_that_arrive_between_the_digest_and_the_end_are_refused(
    upload: Upload, running: Ecrsim, monkeypatch: pytest.MonkeyPatch
):
    digest_upload = FilesystemStore.digest_upload

    def add_afterwards(self: FilesystemStore, upload_id: str, algorithm: str = "sha256") -> tuple[str, int]:
        found = digest_upload(self, upload_id, algorithm)
        self.append_bytes(upload_id, b"more")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(FilesystemStore, "digest_upload", add_afterwards)
        answer = upload.finish(running)
    assert (answer.status, answer.json()["errors"][0]["code"]) == (400, "BLOB_UPLOAD_INVALID")
    assert upload.ask(running, "HEAD", f"/v2/app/blobs/{DIGEST}").status == 404
