"""What only the store on a file system does: its tree, restarts, other processes, and the order of flushing."""

import contextlib
import fcntl
import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.blobs import DigestMismatch, ShortBody, UploadBusy, UploadNotFound
from ecrsim.blobs import running as running_hashes
from ecrsim.blobs.filesystem import FilesystemStore
from tests.blobs.sources import Body, sha256

HELLO = b"hello, layer"
LARGE = bytes(range(256)) * 8192
PROJECT = Path(__file__).parents[2]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def place(root: Path, digest: str) -> Path:
    algorithm, hexadecimal = digest.split(":")
    return root / "blobs" / algorithm / hexadecimal[:2] / hexadecimal


# The tree


@pytest.mark.parametrize("durability", ["process", "power"])
def test_the_tree(root: Path, durability: str) -> None:
    store = FilesystemStore(root / "made" / "as needed", durability)
    root = root / "made" / "as needed"
    sha512 = f"sha512:{hashlib.sha512(HELLO).hexdigest()}"
    store.put(sha256(HELLO), HELLO)
    store.put(sha512, HELLO)
    store.create_upload("committed")
    store.append("committed", Body(LARGE))
    store.sync("committed")
    store.commit("committed", sha256(LARGE))
    store.create_upload("open")
    store.append("open", Body(HELLO))
    assert tree(root) == {
        *(str(place(root, digest).relative_to(root)) for digest in (sha256(HELLO), sha512, sha256(LARGE))),
        "uploads/open",
    }
    assert place(root, sha256(LARGE)).read_bytes() == LARGE
    assert store.path(sha256(HELLO)) == str(place(root, sha256(HELLO)))


def test_an_unknown_durability_is_refused(root: Path) -> None:
    with pytest.raises(ValueError, match="neither process nor power"):
        FilesystemStore(root, "Power")


def test_an_open_blob_is_a_file_that_a_server_can_hand_to_the_kernel(root: Path) -> None:
    store = FilesystemStore(root)
    store.put(sha256(HELLO), HELLO)
    with store.open(sha256(HELLO)) as blob:
        assert stat.S_ISREG(os.fstat(blob.fileno()).st_mode)
        assert os.lseek(blob.fileno(), 0, os.SEEK_CUR) == 0, "nothing read ahead"


def test_files_that_are_not_the_stores_own_are_not_listed(root: Path) -> None:
    store = FilesystemStore(root)
    store.put(sha256(HELLO), HELLO)
    store.create_upload("upload")
    (place(root, sha256(HELLO)).parent / ".nfs0001").touch()
    (root / "blobs" / "lost+found").mkdir()
    (root / "uploads" / ".DS_Store").touch()
    assert [digest for digest, _, _ in store.blobs()] == [sha256(HELLO)]
    assert [upload_id for upload_id, _, _ in store.uploads()] == ["upload"]


@pytest.mark.parametrize("damage", [b"", HELLO[:-1], HELLO + b"x"], ids=["empty", "short", "long"])
@pytest.mark.parametrize("way", ["put", "commit"])
def test_a_blob_of_the_wrong_size_is_replaced_by_the_right_one(root: Path, damage: bytes, way: str) -> None:
    store = FilesystemStore(root)
    store.put(sha256(HELLO), HELLO)
    place(root, sha256(HELLO)).write_bytes(damage)
    if way == "put":
        store.put(sha256(HELLO), HELLO)
    else:
        store.create_upload("upload")
        store.append("upload", Body(HELLO))
        store.commit("upload", sha256(HELLO))
    assert place(root, sha256(HELLO)).read_bytes() == HELLO


# Running hashes, restarts, other workers


@contextlib.contextmanager
def no_reading_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refuse(*_: object) -> bytes:
        raise AssertionError("read back")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", refuse)
        yield


def test_bytes_that_this_process_received_are_not_read_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FilesystemStore(root)
    store.create_upload("upload")
    with no_reading_back(monkeypatch):
        store.append("upload", Body(LARGE, HELLO))
        with pytest.raises(ShortBody):
            store.append("upload", Body(HELLO), length=100)
        store.append("upload", Body(HELLO))
        digest, _ = store.digest_upload("upload")
        store.commit("upload", digest)
    assert digest == sha256(LARGE + HELLO * 3)


def test_a_new_process_continues_where_the_old_one_stopped(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = FilesystemStore(root)
    before.create_upload("upload")
    before.append("upload", Body(LARGE))
    after = FilesystemStore(root)
    assert after.upload_size("upload") == len(LARGE)
    assert after.append("upload", Body(HELLO), offset=len(LARGE)) == len(LARGE) + len(HELLO)
    assert after.digest_upload("upload") == (sha256(LARGE + HELLO), len(LARGE) + len(HELLO))
    with no_reading_back(monkeypatch):
        after.append("upload", Body(HELLO))
        after.commit("upload", sha256(LARGE + HELLO * 2))
    assert place(root, sha256(LARGE + HELLO * 2)).read_bytes() == LARGE + HELLO * 2


def test_commit_without_asking_for_the_digest_still_holds_it_against_the_bytes(root: Path) -> None:
    FilesystemStore(root).create_upload("upload")
    FilesystemStore(root).append("upload", Body(HELLO))
    with pytest.raises(DigestMismatch):
        FilesystemStore(root).commit("upload", sha256(b"something else"))
    FilesystemStore(root).commit("upload", sha256(HELLO))
    assert place(root, sha256(HELLO)).read_bytes() == HELLO


def test_a_session_that_fell_out_of_memory_is_read_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_hashes, "_KEPT", 1)
    store = FilesystemStore(root)
    for upload_id in ("first", "second"):
        store.create_upload(upload_id)
        store.append(upload_id, Body(upload_id.encode()))
    assert store.digest_upload("first") == (sha256(b"first"), 5)
    assert store.digest_upload("second") == (sha256(b"second"), 6)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 2), st.binary(max_size=64), st.sampled_from(["whole", "cut off", "too large", "digest"])
        ),
        max_size=12,
    )
)
def test_workers_that_take_turns_agree_on_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bytes, str]]
) -> None:
    root = tmp_path_factory.mktemp("turns")
    workers = [FilesystemStore(root) for _ in range(3)]
    workers[0].create_upload("upload")
    held = b""
    for number, piece, kind in steps:
        worker = workers[number]
        if kind == "whole":
            assert worker.append("upload", Body(piece), offset=len(held)) == len(held) + len(piece)
            held += piece
        elif kind == "cut off":
            with pytest.raises(ShortBody):
                worker.append("upload", Body(piece), length=len(piece) + 1)
            held += piece
        elif kind == "too large" and piece:
            with pytest.raises(Exception, match="more than"):
                worker.append("upload", Body(piece, b"!"), limit=len(held) + len(piece))
        assert kind != "digest" or worker.digest_upload("upload") == (sha256(held), len(held))
    for worker in workers:
        assert worker.digest_upload("upload") == (sha256(held), len(held))


# Other processes, alive and killed


class Worker:
    """Another process that uses the store: it runs `script`, where `body` hands on whatever this test sends.

    It prints a line at each read, so that the test knows how far it is, and what the script prints itself.
    """

    PRELUDE = """
import os, sys
from ecrsim.blobs.filesystem import FilesystemStore

class body:
    def read(size):
        print("read", flush=True)
        return os.read(0, size)

store = FilesystemStore(sys.argv[1])
"""

    def __init__(self, root: Path, script: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.PRELUDE + script, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().decode().strip()

    def send(self, data: bytes) -> None:
        assert self.process.stdin
        self.process.stdin.write(data)

    def end_of_body(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def end(self) -> int:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()
        return self.process.wait()


@pytest.fixture
def start(root: Path) -> Iterator[Callable[[str], Worker]]:
    workers: list[Worker] = []

    def begin(script: str) -> Worker:
        workers.append(Worker(root, script))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.process.kill()
        worker.end()


def test_two_processes_do_not_fill_one_session_at_once(root: Path, start: Callable[[str], Worker]) -> None:
    store = FilesystemStore(root)
    store.create_upload("upload")
    worker = start("print(store.append('upload', body), flush=True)")
    assert worker.line() == "read"
    worker.send(b"from the other process")
    assert worker.line() == "read"
    for use in (
        lambda: store.append("upload", Body(b"from this one")),
        lambda: store.digest_upload("upload"),
        lambda: store.commit("upload", sha256(b"from the other process")),
        lambda: store.discard("upload"),
    ):
        with pytest.raises(UploadBusy):
            use()
    assert store.upload_size("upload") == 22
    worker.end_of_body()
    assert worker.line() == "22"
    assert store.append("upload", Body(b", from this one"), offset=22) == 37
    assert store.digest_upload("upload") == (sha256(b"from the other process, from this one"), 37)


def test_a_process_that_is_killed_in_mid_append_leaves_a_session_to_resume(
    root: Path, start: Callable[[str], Worker]
) -> None:
    store = FilesystemStore(root)
    store.create_upload("upload")
    store.append("upload", Body(b"before, "))
    worker = start("store.append('upload', body)")
    assert worker.line() == "read"
    worker.send(b"arrived, ")
    assert worker.line() == "read"
    worker.process.kill()
    assert worker.end() != 0
    assert store.upload_size("upload") == 17
    store.append("upload", Body(b"resumed"), offset=17)
    store.commit("upload", sha256(b"before, arrived, resumed"))
    assert place(root, sha256(b"before, arrived, resumed")).read_bytes() == b"before, arrived, resumed"


# What `os.rename` is in a process that dies of it.
DYING = {
    "before": "lambda *names: os.kill(os.getpid(), 9)",
    "after": "lambda *names, rename=os.rename: (rename(*names), os.kill(os.getpid(), 9))",
}


@pytest.mark.parametrize("moment", DYING)
def test_a_process_that_is_killed_in_mid_commit_leaves_the_session_or_the_blob(
    root: Path, start: Callable[[str], Worker], moment: str
) -> None:
    store = FilesystemStore(root)
    store.put(sha256(b"0"), b"0")  # shares the directory, so that there is one rename only
    assert place(root, sha256(b"0")).parent == place(root, sha256(b"26")).parent
    store.create_upload("upload")
    store.append("upload", Body(b"26"))
    blob = str(place(root, sha256(b"26")).relative_to(root))
    before = tree(root)
    worker = start(f"os.rename = {DYING[moment]}; store.commit('upload', '{sha256(b'26')}')")
    assert worker.process.wait() == -9
    assert tree(root) == (before if moment == "before" else before - {"uploads/upload"} | {blob})
    store.commit("upload", sha256(b"26"))
    assert tree(root) == before - {"uploads/upload"} | {blob}
    assert (root / blob).read_bytes() == b"26"


def test_what_a_process_that_is_killed_in_mid_put_leaves_goes_with_the_sessions(
    root: Path, start: Callable[[str], Worker]
) -> None:
    store = FilesystemStore(root)
    worker = start(f"os.rename = {DYING['before']}; store.put('{sha256(HELLO)}', {HELLO!r})")
    assert worker.process.wait() == -9
    assert store.stat(sha256(HELLO)) is None
    [(left, size, _)] = store.uploads()
    assert (left, size) == (f"put-{worker.process.pid}-0", len(HELLO))
    assert store.discard(left) is True
    assert tree(root) == set()


def test_a_child_that_holds_a_copy_of_the_descriptor_does_not_keep_the_session_busy(root: Path) -> None:
    store = FilesystemStore(root)
    store.create_upload("upload")
    copies: list[int] = []

    def copy_descriptor() -> None:
        session = (root / "uploads" / "upload").stat()
        for fd in range(3, 1024):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(fd), session):
                    copies.append(os.dup(fd))
                    return

    store.append("upload", Body(copy_descriptor, b"first"))
    try:
        assert store.append("upload", Body(b", second")) == 13
    finally:
        os.close(copies[0])


@pytest.mark.parametrize("begun_again", [False, True])
def test_a_session_that_ends_between_opening_and_locking_is_not_found(
    root: Path, monkeypatch: pytest.MonkeyPatch, begun_again: bool
) -> None:
    ending, store = FilesystemStore(root), FilesystemStore(root)
    store.create_upload("upload")
    store.append("upload", Body(HELLO))
    flock = fcntl.flock

    def commit_first(fd: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        ending.commit("upload", sha256(HELLO))
        if begun_again:
            ending.create_upload("upload")
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", commit_first)
    with pytest.raises(UploadNotFound):
        store.append("upload", Body(b" and what would spoil the blob"))
    assert place(root, sha256(HELLO)).read_bytes() == HELLO


def test_many_threads_that_commit_the_same_bytes_leave_one_blob(root: Path) -> None:
    store = FilesystemStore(root)

    def push(number: int) -> None:
        upload_id = f"upload{number}"
        store.create_upload(upload_id)
        store.append(upload_id, Body(LARGE, HELLO))
        digest, _ = store.digest_upload(upload_id)
        store.commit(upload_id, digest)
        assert store.stat(digest) == len(LARGE) + len(HELLO)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(push, range(24)))
    assert tree(root) == {str(place(root, sha256(LARGE + HELLO)).relative_to(root))}
    assert place(root, sha256(LARGE + HELLO)).read_bytes() == LARGE + HELLO


# Memory


class Synthetic:
    """A body of `size` bytes that come into being as they are read."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int, /) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return bytes(size)


def test_a_large_body_takes_constant_memory(root: Path) -> None:
    store = FilesystemStore(root)
    store.create_upload("upload")
    tracemalloc.start()
    try:
        store.append("upload", Synthetic(256 << 20), length=256 << 20)
        FilesystemStore(root).digest_upload("upload")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert store.upload_size("upload") == 256 << 20
    assert peak < 8 << 20


@pytest.fixture
def not_root() -> Iterator[Path]:
    """A directory, and rights that hold: root's do not ask for any."""
    with tempfile.TemporaryDirectory() as directory:
        user = os.geteuid()
        if user == 0:
            os.chown(directory, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(directory) / "store"
        finally:
            os.seteuid(user)


@pytest.mark.parametrize("closed", ["file", "directory"])
def test_a_blob_that_may_not_be_read_is_not_promised(not_root: Path, closed: str) -> None:
    store = FilesystemStore(not_root)
    store.put(sha256(HELLO), HELLO)
    path = place(not_root, sha256(HELLO)) if closed == "file" else place(not_root, sha256(HELLO)).parent
    path.chmod(0)
    assert store.stat(sha256(HELLO)) is None
    assert store.modified_at(sha256(HELLO)) is None
    with pytest.raises(PermissionError):
        store.open(sha256(HELLO))
    path.chmod(0o700)
    assert store.stat(sha256(HELLO)) == len(HELLO)
    path.chmod(0 if closed == "file" else 0o700)
    store.put(sha256(HELLO), HELLO)
    with store.open(sha256(HELLO)) as blob:
        assert blob.read() == HELLO
