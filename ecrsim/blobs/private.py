"""Files and directories that are their owner's alone: 0600 and 0700.

Layers may hold what nobody else is to see, and the database holds secrets. What ecrsim makes is private from its first
instant; what an earlier release made for all to read is mended (`mend`). Files that are not ecrsim's are left alone.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

DIRECTORY, FILE = 0o700, 0o600
#: Below the data directory or the store: what has everything in it as private as itself.
TREES = ("blobs", "uploads", "damaged", "tls")
#: Files of the data directory, by pattern.
OWN = ("*.lock", "*.key", "*.token")
_OTHERS = 0o077


def make_directory(path: Path) -> None:
    """Make the directory, and private ones above it where they are missing; one that is there stays as it is."""
    if not path.is_dir():
        if path.parent != path:
            make_directory(path.parent)
        path.mkdir(DIRECTORY, exist_ok=True)


def open_file(path: Path) -> int:
    """A descriptor for reading and writing; the file is made where it is missing."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE)


def make_file(path: Path) -> None:
    """Make an empty file, unless there is one."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE))


def mend(directory: Path, store: Path, database: Path) -> int:
    """Take away what others may do with an ecrsim's files. Returns how many files and directories that concerned.

    `directory` is the data directory, `store` the root of the blob store, which may be the same. The root of a store
    elsewhere, and whatever else lies beside the database, are not ecrsim's own.
    """
    count = 0
    for root in {directory, store}:
        for tree in TREES:
            if _is_open(root / tree):
                # The top comes last: who is interrupted begins anew.
                count += sum(_close(path) for path in _below(root / tree)) + _close(root / tree)
    files = [store / "store.json", *database.parent.glob(f"{database.name}*")]
    files += [path for pattern in OWN for path in directory.glob(pattern)]
    count += sum(_close(path) for path in files if _is_open(path) and path.is_file())
    # A directory that everybody shares, as /tmp is, cannot be one's own.
    if _is_open(directory) and not directory.stat().st_mode & stat.S_ISVTX:
        count += _close(directory)
    return count


def _below(directory: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                yield from _below(path)
            if not entry.is_symlink() and _is_open(path):
                yield path


def _is_open(path: Path) -> bool:
    """Whether others may do something with a file or directory of this user's."""
    try:
        status = path.lstat()
    except OSError:
        return False
    is_plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return is_plain and bool(status.st_mode & _OTHERS) and status.st_uid == os.geteuid()


def _close(path: Path) -> bool:
    """False where the file system knows no modes, or would not change this one."""
    try:
        path.chmod(stat.S_IMODE(path.lstat().st_mode) & ~_OTHERS)
    except OSError:
        return False
    return not path.lstat().st_mode & _OTHERS
