"""Files and directories that are their owner's alone: 0600 and 0700.

Layers may hold what nobody else is to see, and the database holds secrets. What ecrsim makes is private from its first
instant; what an earlier release made for all to read is mended (`mend`). Files that are not ecrsim's are left alone.
"""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

DIRECTORY, FILE = 0o700, 0o600
#: Directories of the data directory or the store, with the names of what ecrsim makes in them. Another program's may be
#: called the same.
TREES = {
    "blobs": re.compile(r"sha256|sha512|writable"),
    "encrypted": re.compile(r"[0-9a-f]{32}|writable"),
    "uploads": re.compile(r"[0-9a-f-]{36}|put-[0-9]+-[0-9]+"),
    "damaged": re.compile(r"sha(256|512)-[0-9a-f]+"),
    "tls": re.compile(r"ca(-key)?\.pem"),
}
#: Files of the data directory. The locks are an earlier release's.
OWN = (
    *("secret.key", "signer-root.pem", "admin-token", "gc.lock", "delivery.lock"),
    *(f"advisories.{end}" for end in ("sqlite", "lock", "edited", "imported", "imported-journal", "shared", "fetched")),
)
#: Names in the root of a file system.
_OF_FILE_SYSTEMS = "lost+found"
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


def flush_names(directory: Path) -> None:
    """Bring to the disk which files are in the directory, so that a power cut takes none that was put in place."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # of a file system that does so by itself, or never
            raise
    finally:
        os.close(descriptor)


def holds_others(directory: Path, database: Path) -> bool:
    """Whether there is anything in a data directory that is not ecrsim's: then it is somebody's who uses it as well."""
    own = {*TREES, *OWN, "store.json", _OF_FILE_SYSTEMS}
    with contextlib.suppress(FileNotFoundError):
        for path in directory.iterdir():
            if path.name not in own and not path.name.startswith(database.name):
                return True
    return any(_is_anothers(directory / tree, names) for tree, names in TREES.items())


def mend(directory: Path, store: Path, database: Path, *, is_shared: bool = False) -> int:
    """Take away what others may do with an ecrsim's files. Returns how many files and directories that concerned.

    `directory` is the data directory, `store` the root of the blob store, which may be the same. The root of a store
    elsewhere, and whatever else lies beside the database, are not ecrsim's own; nor is a data directory that is
    `is_shared`, one that was somebody's before.
    """
    count = 0
    for root in {directory, store}:
        for tree, names in TREES.items():
            count += _close_tree(root / tree, names)
    files = [store / "store.json", *database.parent.glob(f"{database.name}*")]
    files += [directory / name for name in OWN]
    count += sum(_close(path) for path in files if _is_open(path) and path.is_file())
    # A directory that everybody shares, as /tmp is, cannot be one's own.
    if not is_shared and _is_open(directory) and not directory.stat().st_mode & stat.S_ISVTX:
        count += _close(directory)
    return count


def _is_anothers(tree: Path, names: re.Pattern[str]) -> bool:
    """Whether the directory holds what ecrsim makes nowhere."""
    try:
        return any(not names.fullmatch(path.name) for path in tree.iterdir())
    except OSError:
        return False


def _close_tree(tree: Path, names: re.Pattern[str]) -> int:
    if not _is_open(tree) or not tree.is_dir():
        return 0
    count = 0
    for path in tree.iterdir():
        if names.fullmatch(path.name):
            if path.is_dir() and not path.is_symlink():
                count += sum(_close(each) for each in _below(path))
            count += _is_open(path) and _close(path)
    # The top comes last: who is interrupted begins anew.
    return count if _is_anothers(tree, names) else count + _close(tree)


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
