"""A disk that takes no more bytes: clear errors, no damage, reads go on, and all is well when it takes bytes again."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.client import Answer, Client, manifest_of
from tests.faults.serving import NotServing, Serving
from tests.faults.test_crash import check_files
from tests.pushing import digest_of

# Servers are started on file systems that are full.
pytestmark = pytest.mark.slow

CONFIG, LAYER = b'{"architecture":"amd64","os":"linux"}', b"the first layer" * 100
MANIFEST = manifest_of(CONFIG, LAYER)
MIB = 1 << 20


class SmallDisk:
    """A server with one image, whose disk can be filled and emptied again."""

    def __init__(self, serving: Serving, fill: Callable[[], object], empty: Callable[[], object]) -> None:
        self.serving = serving
        self.fill, self.empty = fill, empty
        self.client = Client(serving.url)
        assert self.client.api("CreateRepository", repositoryName="app").status == 200
        for data in (CONFIG, LAYER):
            assert self.client.push_layer("app", data).status == 201
        assert self.client.push_manifest("app", "v1", MANIFEST).status == 201


@contextlib.contextmanager
def file_system(folder: Path) -> Iterator[None]:
    """A file system of 16 MiB of its own at this folder, which is made."""
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(filler: Path) -> None:
    """Not a byte is left afterwards; removing the file gives all of them back."""
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


@contextlib.contextmanager
def full(folder: Path) -> Iterator[SmallDisk]:
    """A server on a file system of its own."""
    filler = folder / "filler"
    # The log lies elsewhere: a full disk must not silence the server.
    log = folder.with_suffix(".log")
    with file_system(folder), Serving(folder / "data", workers=1, log=log) as serving:
        yield SmallDisk(serving, lambda: fill_up(filler), filler.unlink)
        assert serving.stop() == 0


@contextlib.contextmanager
def limited(folder: Path) -> Iterator[SmallDisk]:
    """A server that may write no file: what quotas and file size limits do."""
    with Serving(folder, workers=1) as serving:
        (worker,) = serving.workers()
        unlimited = resource.prlimit(worker, resource.RLIMIT_FSIZE)

        def fill() -> None:
            resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, unlimited[1]))

        def empty() -> None:
            resource.prlimit(worker, resource.RLIMIT_FSIZE, unlimited)

        yield SmallDisk(serving, fill, empty)
        assert serving.stop() == 0


@pytest.fixture(params=[full, limited], ids=["a full file system", "a limit on files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    with request.param(tmp_path / "disk") as made:
        yield made
        made.client.close()
        log = made.serving.log.read_text()
    assert "Traceback" not in log, log[-4000:]


def refused(answer: Answer) -> None:
    """503, with a code of the plane, and a sentence that says why."""
    assert answer.status == 503, answer
    assert answer.code in ("UNAVAILABLE", "ServiceUnavailableException")
    assert b"Nothing was stored" in answer.body


def test_what_needs_bytes_is_refused_and_what_does_not_goes_on(disk: SmallDisk):
    client = disk.client
    location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
    assert client.registry("PATCH", location, b"begun, ").status == 202
    upload_id = client.api("InitiateLayerUpload", repositoryName="app").json()["uploadId"]
    disk.fill()
    large = os.urandom(MIB)
    for _ in range(3):
        refused(client.registry("PATCH", location, large))
        refused(client.upload_part({"repositoryName": "app", "uploadId": upload_id}, 0, large))
        refused(client.push_layer("app", large))
        refused(client.push_manifest("app", "v2", MANIFEST + b" " * 100_000))
        refused(client.api("CreateRepository", repositoryName="other"))
    # Reading needs no bytes: neither does the time of a pull, which is written down later.
    assert client.registry("GET", "app/manifests/v1").body == MANIFEST
    assert client.registry("GET", f"app/blobs/{digest_of(LAYER)}").body == LAYER
    assert client.registry("HEAD", f"app/blobs/{digest_of(LAYER)}").status == 200
    described = client.api("DescribeImages", repositoryName="app")
    assert described.status == 200, described
    assert [detail["imageTags"] for detail in described.json()["imageDetails"]] == [["v1"]]
    assert client.api("DescribeRepositories").json()["repositories"][0]["repositoryName"] == "app"
    assert client.registry("GET", "app/tags/list").json()["tags"] == ["v1"]
    assert client.registry("GET", location).headers["Range"] == "0-6"

    disk.empty()
    assert client.registry("PATCH", location, large, {"Content-Range": f"7-{MIB + 6}"}).status == 202
    whole = b"begun, " + large
    assert client.registry("PUT", f"{location}?digest={digest_of(whole)}").status == 201
    assert client.registry("GET", f"app/blobs/{digest_of(whole)}").body == whole
    assert client.push_layer("app", large).status == 201
    assert client.push_manifest("app", "v2", manifest_of(CONFIG, LAYER, large)).status == 201
    assert client.api("CreateRepository", repositoryName="other").status == 200
    (first, second) = client.api("DescribeImages", repositoryName="app").json()["imageDetails"]
    assert (first["imageTags"], second["imageTags"]) == (["v1"], ["v2"])
    assert "lastRecordedPullTime" in first  # of the pull while nothing could be written
    check_files(disk.serving.data_dir)


def test_a_push_that_fills_the_disk_gives_the_space_back(tmp_path: Path):
    """Who cannot have the rest of his layer leaves room for those who need less."""
    with full(tmp_path / "disk") as disk:
        client, place = disk.client, disk.serving.data_dir
        free = os.statvfs(place).f_bavail
        refused(client.push_layer("app", bytes(20 * MIB)))
        location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
        refused(client.registry("PATCH", location, bytes(20 * MIB)))
        assert os.statvfs(place).f_bavail >= free - 100
        assert client.push_layer("app", bytes(8 * MIB)).status == 201
        client.close()
        check_files(place)


def test_a_server_does_not_start_on_a_full_disk(tmp_path: Path):
    """It says so and ends with status 1, and starts when there is room."""
    folder, log = tmp_path / "disk", tmp_path / "log"
    with file_system(folder):
        with Serving(folder / "data", workers=1, log=log) as serving:
            SmallDisk(serving, print, print).client.close()
            assert serving.stop() == 0
        fill_up(folder / "filler")
        log.unlink()
        with pytest.raises(NotServing, match="exit status 1"):
            Serving(folder / "data", workers=1, log=log)
        (line,) = log.read_text().splitlines()
        assert line.startswith("ecrsim: ")
        assert str(folder / "data") in line
        assert "No space left" in line
        (folder / "filler").unlink()
        with Serving(folder / "data", workers=1, log=log) as serving:
            client = Client(serving.url)
            assert client.registry("GET", "app/manifests/v1").body == MANIFEST
            client.close()
            assert serving.stop() == 0


# Read-only directories


def obey_permissions() -> None:
    """Root reads and writes whatever the permissions say; this takes that from it, and does nothing to others."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE


def set_writable(folder: Path, writable: bool) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod((0o755 if writable else 0o555) if path.is_dir() else (0o644 if writable else 0o444))


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    set_writable(folder, True)


def test_a_directory_that_becomes_read_only(data_dir: Path):
    with Serving(data_dir, workers=1, prepare=obey_permissions) as serving:
        disk = SmallDisk(serving, lambda: set_writable(data_dir, False), lambda: set_writable(data_dir, True))
        client = disk.client
        location = client.registry("POST", "app/blobs/uploads/").headers["Location"]
        disk.fill()
        refused(client.registry("POST", "app/blobs/uploads/"))
        refused(client.registry("PATCH", location, b"bytes"))
        refused(client.push_layer("app", b"new bytes"))
        refused(client.api("InitiateLayerUpload", repositoryName="app"))
        assert client.registry("GET", "app/manifests/v1").body == MANIFEST
        assert client.registry("GET", f"app/blobs/{digest_of(LAYER)}").body == LAYER
        disk.empty()
        assert client.registry("PUT", f"{location}?digest={digest_of(b'bytes')}", b"bytes").status == 201
        assert client.push_layer("app", b"new bytes").status == 201
        client.close()
        log = serving.log.read_text()
        assert serving.stop() == 0
    assert "Traceback" not in log, log[-4000:]
    check_files(data_dir)


def test_a_server_does_not_start_on_a_read_only_directory(data_dir: Path):
    with Serving(data_dir, workers=1, prepare=obey_permissions) as serving:
        SmallDisk(serving, print, print).client.close()
        serving.stop()
    set_writable(data_dir, False)
    with pytest.raises(NotServing, match="exit status 1") as failure:
        Serving(data_dir, workers=1, prepare=obey_permissions)
    line = str(failure.value).splitlines()[-1]
    assert "ecrsim: " in line
    assert str(data_dir) in line
    assert "readonly" in line or "Permission denied" in line
    set_writable(data_dir, True)
    check_files(data_dir)
    with Serving(data_dir, workers=1, prepare=obey_permissions) as serving:
        client = Client(serving.url)
        assert client.registry("GET", "app/manifests/v1").body == MANIFEST
        client.close()
