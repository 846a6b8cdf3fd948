"""A disk that is full, read-only, forbidden or failing: a clear error, and everything as it was."""

import contextlib
import errno
import itertools
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ecrsim.blobs import StoreUnwritable, UploadBusy, disk
from ecrsim.blobs.disk import Disk
from ecrsim.blobs.filesystem import FilesystemStore
from tests.blobs.sources import Body, sha256

HELLO = b"hello, layer"
LARGE = bytes(range(256)) * 8192  # 2 MiB

REFUSALS = [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG, errno.EXDEV]
named = pytest.mark.parametrize("number", REFUSALS, ids=errno.errorcode.get)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> FilesystemStore:
    """One that holds a blob and a session."""
    store = FilesystemStore(root)
    store.put(sha256(b"kept"), b"kept")
    store.create_upload("upload")
    store.append("upload", Body(HELLO))
    return store


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def refusing(number: int) -> Callable[..., Any]:
    def refuse(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return refuse


def takes_a_part_then_refuses(number: int) -> Callable[[int, bytes], int]:
    """`os.write` on a disk that fills up: a part goes in before the error comes."""
    write, calls = os.write, iter(range(1000))

    def filling(fd: int, data: bytes) -> int:
        if next(calls):
            raise OSError(number, os.strerror(number))
        return write(fd, data[: len(data) // 2])

    return filling


WRITES: dict[str, Callable[[FilesystemStore], object]] = {
    "append": lambda store: store.append("upload", Body(b" and more", LARGE)),
    "put": lambda store: store.put(sha256(LARGE), LARGE),
    "check": lambda store: store.check(),
}
RENAMES: dict[str, Callable[[FilesystemStore], object]] = {
    "commit": lambda store: store.commit("upload", sha256(HELLO)),
    "put": lambda store: store.put(sha256(LARGE), LARGE),
    "check": lambda store: store.check(),
}
CREATIONS: dict[str, Callable[[FilesystemStore], object]] = {
    "create": lambda store: store.create_upload("another"),
    "append": lambda store: store.append("upload", Body(b" and more")),
    "commit": lambda store: store.commit("upload", sha256(HELLO)),
    "discard": lambda store: store.discard("upload"),
    "put": lambda store: store.put(sha256(LARGE), LARGE),
    "check": lambda store: store.check(),
}
RENEWALS: dict[str, Callable[[FilesystemStore], object]] = {
    "put": lambda store: store.put(sha256(b"kept"), b"kept"),
    "commit": lambda store: store.commit("upload", sha256(HELLO)),
}
REMOVALS: dict[str, Callable[[FilesystemStore], object]] = {
    "delete": lambda store: store.delete(sha256(b"kept")),
    "discard": lambda store: store.discard("upload"),
}

CASES = [
    pytest.param(name, use, id=f"{use_name}-{name}")
    for name, uses in {
        "write": WRITES,
        "rename": RENAMES,
        "open": CREATIONS,
        "utime": RENEWALS,
        "unlink": REMOVALS,
    }.items()
    for use_name, use in uses.items()
]


@named
@pytest.mark.parametrize(("call", "use"), CASES)
def test_a_refusal_is_told_clearly_and_leaves_all_as_it_was(
    store: FilesystemStore,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    use: Callable[[FilesystemStore], object],
    number: int,
) -> None:
    before = contents(root)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, takes_a_part_then_refuses(number) if call == "write" else refusing(number))
        with pytest.raises(StoreUnwritable) as error:
            use(store)
    assert error.value.reason == f"cannot write to the blob store {root}: {os.strerror(number)}"
    assert contents(root) == before
    store.append("upload", Body(b" and more"))
    store.commit("upload", sha256(HELLO + b" and more"))
    store.check()


def test_an_error_of_another_kind_is_not_dressed_up(store: FilesystemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refusing(errno.EBADF))
        with pytest.raises(OSError, match="Bad file descriptor"):
            store.append("upload", Body(b"more"))


def test_a_client_that_breaks_off_is_not_taken_for_a_failing_disk(store: FilesystemStore) -> None:
    broken = OSError(errno.EIO, "the connection, not the disk")
    with pytest.raises(OSError, match="the connection") as error:
        store.append("upload", Body(b" and", broken))
    assert error.value is broken
    assert store.upload_size("upload") == len(HELLO) + 4


def test_a_store_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "mkdir", refusing(errno.EROFS))
    with pytest.raises(StoreUnwritable, match=r"blob store .*/store: Read-only file system"):
        FilesystemStore(tmp_path / "store")


def test_directories_that_were_removed_are_made_again_by_the_check(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "store")
    (tmp_path / "store" / "uploads").rmdir()
    store.check()
    store.create_upload("upload")
    assert store.upload_size("upload") == 0


# The real thing


def test_a_limit_on_the_size_of_files(store: FilesystemStore, root: Path) -> None:
    before = contents(root)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(StoreUnwritable, match="File too large"):
            store.append("upload", Body(LARGE[: 1 << 19], LARGE[: 1 << 19], LARGE))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(root) == before
    assert store.append("upload", Body(LARGE)) == len(HELLO) + len(LARGE)
    assert store.digest_upload("upload")[0] == sha256(HELLO + LARGE)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where this user may mount one."""
    where = tmp_path / "small"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(where)]
    try:
        made = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted: {made.stderr.strip()}")
    yield where
    subprocess.run(["umount", str(where)], check=True)


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_full_disk(small_disk: Path, durability: str) -> None:
    root = small_disk / "store"
    store = FilesystemStore(root, durability)
    store.create_upload("upload")
    store.append("upload", Body(HELLO))
    with pytest.raises(StoreUnwritable, match="No space left on device"):
        store.append("upload", Body(LARGE))
    with pytest.raises(StoreUnwritable, match="No space left on device"):
        store.put(sha256(LARGE), LARGE)
    assert contents(root) == {"uploads/upload": HELLO}
    store.create_upload("filler")
    status = os.statvfs(root)
    free = status.f_bavail * status.f_frsize
    assert free
    store.append("filler", Body(LARGE[:free]))
    with pytest.raises(StoreUnwritable, match="No space left on device"):
        store.check()
    assert store.discard("filler") is True
    store.check()
    store.append("upload", Body(b" and more"))
    store.sync("upload")
    store.commit("upload", sha256(HELLO + b" and more"))
    assert store.stat(sha256(HELLO + b" and more")) == len(HELLO) + 9


def test_a_read_only_disk(small_disk: Path) -> None:
    store = FilesystemStore(small_disk)
    store.put(sha256(b"kept"), b"kept")
    store.create_upload("upload")
    store.append("upload", Body(HELLO))
    before = contents(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for use in (*CREATIONS.values(), *REMOVALS.values(), RENEWALS["put"]):
        with pytest.raises(StoreUnwritable, match="Read-only file system"):
            use(store)
    assert contents(small_disk) == before
    again = FilesystemStore(small_disk)
    with again.open(sha256(b"kept")) as blob:
        assert blob.read() == b"kept"
    assert again.upload_size("upload") == len(HELLO)


# Durability


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names, relative to the store, of what is flushed to the disk."""
    names: list[str] = []
    fsync, opened = os.fsync, {}
    open_file = os.open

    def remember(path: Any, *options: Any) -> int:
        fd = open_file(path, *options)
        opened[fd] = str(path).partition("/store")[2].lstrip("/") or "."
        return fd

    def record(fd: int) -> None:
        names.append(opened[fd])
        fsync(fd)

    monkeypatch.setattr(os, "open", remember)
    monkeypatch.setattr(os, "fsync", record)
    return names


def push(store: FilesystemStore) -> None:
    store.create_upload("upload")
    store.append("upload", Body(HELLO))
    digest, _ = store.digest_upload("upload")
    store.sync("upload")
    store.commit("upload", digest)


def test_process_durability_waits_for_no_disk(root: Path, flushed: list[str]) -> None:
    store = FilesystemStore(root)
    push(store)
    store.put(sha256(LARGE), LARGE)
    assert flushed == []


def test_power_durability_flushes_the_bytes_before_their_name(
    root: Path, flushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_numbers", itertools.count())
    store = FilesystemStore(root, "power")
    assert flushed == ["."]
    flushed.clear()
    push(store)
    directory = f"blobs/sha256/{sha256(HELLO)[7:9]}"
    new_directories = ["blobs/sha256", "blobs"]
    assert flushed == ["uploads/upload", *new_directories, directory]
    flushed.clear()
    push(store)
    assert flushed == ["uploads/upload", directory], "another process may have renamed it and not flushed the name"
    flushed.clear()
    store.put(sha256(HELLO), HELLO)
    # What is there may be damaged, so it is replaced like any other.
    assert flushed == [f"uploads/put-{os.getpid()}-0", directory]
    flushed.clear()
    store.put(sha256(LARGE), LARGE)
    assert flushed == [f"uploads/put-{os.getpid()}-1", *new_directories, f"blobs/sha256/{sha256(LARGE)[7:9]}"]


def test_a_session_whose_bytes_could_not_be_flushed_is_gone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FilesystemStore(root, "power")
    store.create_upload("upload")
    store.append("upload", Body(HELLO))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refusing(errno.EIO))
        with pytest.raises(StoreUnwritable, match="Input/output error"):
            store.sync("upload")
    assert store.upload_size("upload") is None


# Files on their way


def test_a_sweep_of_sessions_does_not_take_what_is_being_put(
    store: FilesystemStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, swept = os.write, []

    def sweep_meanwhile(fd: int, data: bytes) -> int:
        for upload_id, _, _ in store.uploads():
            with contextlib.suppress(UploadBusy):
                store.discard(upload_id)
                swept.append(upload_id)
        return write(fd, data)

    monkeypatch.setattr(os, "write", sweep_meanwhile)
    store.put(sha256(LARGE), LARGE)
    assert swept == ["upload"]
    assert store.stat(sha256(LARGE)) == len(LARGE)


def test_a_name_that_an_earlier_process_left_is_passed_over(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_numbers", itertools.count())
    store = FilesystemStore(root)
    left = [root / "uploads" / f"put-{os.getpid()}-{number}" for number in range(3)]
    for path in left:
        path.write_bytes(b"left")
    store.put(sha256(HELLO), HELLO)
    assert store.stat(sha256(HELLO)) == len(HELLO)
    assert [path.read_bytes() for path in left] == [b"left"] * 3


def test_another_process_may_put_the_same_blob_as_soon_as_there_is_a_place(store, root, monkeypatch):
    """Two workers commit one digest, the first of its folder: whoever makes the place second finds the file there."""
    digest = sha256(HELLO)
    make_place = store._disk._make_place

    def make_place_for_another(target: Path) -> None:
        make_place(target)
        target.write_bytes(HELLO)

    monkeypatch.setattr(store._disk, "_make_place", make_place_for_another)
    store.commit("upload", digest, keep=True)
    with store.open(digest) as blob:
        assert blob.read() == HELLO
    store.discard("upload")
    assert [name for name in contents(root) if name.startswith("uploads")] == []


def test_stores_of_one_process_over_one_directory_take_nothing_from_each_other(tmp_path: Path) -> None:
    """What one of them puts aside has a name that the other never uses: it would remove it as its own."""
    stores = [Disk(tmp_path, "process") for _ in range(2)]
    (tmp_path / "file").write_bytes(b"bytes")
    names = [store._second_name(tmp_path / "file") for store in stores]
    for path in names:
        path.unlink()
    names += [store._second_name(tmp_path / "file") for store in stores]
    assert len(set(names)) == 4
