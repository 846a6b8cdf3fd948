"""The owner of a store: a small file in its root, made once, beside the bytes.

    <root>/store.json      {"id": …, "database": …, "root": …, "since": …}

The database keeps the same id. Whoever is about to delete what it does not know of compares the two first: a store of
another id may hold what another database names. `database` and `root` are the paths at that time, by which a copy of
the database is told from one that was moved.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from ecrsim.blobs.base import BlobStoreError

NAME = "store.json"


class StoreMismatch(BlobStoreError):
    """Database and blob store do not belong together, or nobody can tell. The text says what to do."""


class StoreIdentity(NamedTuple):
    """The content of `store.json`.

    `since`: when the store came to this database with bytes in it that it does not name, in epoch seconds; else 0.
    """

    id: str
    database: str
    root: str
    since: float
    #: How often the store was opened: a database that knows of fewer times is an older copy of its own.
    opened: int = 0

    def to_json(self) -> bytes:
        return json.dumps(self._asdict(), indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, where: object) -> "StoreIdentity":
        """StoreMismatch when what it says cannot be read."""
        try:
            found = json.loads(content)
            place = str(found["database"]), str(found["root"]), float(found["since"])
            return cls(str(found["id"]), *place, int(found.get("opened", 0)))
        except (ValueError, KeyError, TypeError):
            raise StoreMismatch(
                f"{where} does not say whose store this is; if it belongs to this database, say so: ecrsim store adopt"
            ) from None


class StoreHome(Protocol):
    """Where a store keeps whose it is."""

    #: The directory, with every link resolved, or the URL.
    place: str

    def read(self) -> StoreIdentity | None:
        """None when the store has no owner yet. StoreMismatch when what it says cannot be read."""

    def write(self, identity: StoreIdentity, *, replace: bool = False) -> bool:
        """Say whose the store is, at once and as a whole. False, without `replace`, when it has an owner already."""

    def begin(self) -> None:
        """Have the store open until `end`, so that nobody gives it away meanwhile. StoreMismatch where one does."""

    def end(self) -> None: ...

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """The block has the store to itself. StoreMismatch while somebody has it open."""


class DirectoryHome(StoreHome):
    """The root of a store of files."""

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        self.place = str(self._root)
        self._in_use = InUse(self._root)

    def read(self) -> StoreIdentity | None:
        return read_identity(self._root)

    def write(self, identity: StoreIdentity, *, replace: bool = False) -> bool:
        return write_identity(self._root, identity, replace=replace)

    def begin(self) -> None:
        self._in_use.begin()

    def end(self) -> None:
        self._in_use.end()

    def alone(self) -> contextlib.AbstractContextManager[None]:
        return alone(self._root)


def read_identity(root: Path) -> StoreIdentity | None:
    """None when the store has no owner yet. StoreMismatch when what it says cannot be read."""
    file = root / NAME
    try:
        return StoreIdentity.from_json(file.read_bytes(), file)
    except FileNotFoundError:
        return None


def write_identity(root: Path, identity: StoreIdentity, *, replace: bool = False) -> bool:
    """Say whose the store is, at once and as a whole. False, without `replace`, when it has an owner already."""
    file, aside = root / NAME, root / f"{NAME}.{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as written:
            written.write(identity.to_json())
            written.flush()
            os.fsync(written.fileno())
        if replace:
            aside.replace(file)
        else:
            return _place(aside, file)
    finally:
        aside.unlink(missing_ok=True)
    return True


def _place(aside: Path, file: Path) -> bool:
    """Give the file its name unless the name is taken: by a link, which two cannot both make."""
    try:
        file.hardlink_to(aside)
    except FileExistsError:
        return False
    except OSError:
        # A file system without links. The window is small, and who loses it is refused at the next look.
        if file.exists():
            return False
        aside.replace(file)
    return True


class InUse:
    """A lock on the root of a store that all who have it open share, so that nobody gives it away meanwhile."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._descriptor: int | None = None

    def begin(self) -> None:
        """Share the lock until `end`. Where the file system knows no locks on directories, nothing is held."""
        self.end()
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreMismatch(f"the blob store {self._root} is just being adopted; try again") from None
        except OSError:
            os.close(descriptor)
            return
        self._descriptor = descriptor

    def end(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """The block has the store to itself. StoreMismatch while somebody has it open."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreMismatch(f"the blob store {root} is in use: stop the ecrsim that serves it first") from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)
