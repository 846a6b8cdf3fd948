"""The files under one root: finished aside, put in place by rename, and every refusal of the disk told in one way.

Durability `process` survives the death of the process at any instant; `power` survives a power cut as well, at the
price of flushing each blob, and the directory that names it, to the disk.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ecrsim.blobs import private
from ecrsim.blobs.base import StoreUnwritable

_UNWRITABLE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
    errno.EXDEV,  # aside and in place are on different file systems
}

# Errors of file systems without hard links, or with no more of them for this file.
_NO_LINKS = {errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}


#: Errors that mean that something else is where a file or its directory belongs.
_IN_THE_WAY = (IsADirectoryError, NotADirectoryError)


def status_of(path: str | Path) -> os.stat_result | None:
    """The status of a file, or None when there is none, which something that is no file is as well."""
    try:
        # Asked for each layer that is announced or put under an image; a Path costs more than the question.
        status = os.stat(path)  # noqa: PTH116 - see above
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def is_readable(path: str, status: os.stat_result) -> bool:
    """Whether this process may open a file for reading. The kernel is asked where its owner's rights do not say it."""
    if status.st_uid == os.geteuid() and status.st_mode & stat.S_IRUSR:
        return True
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


def names_in(directory: Path) -> Iterator[str]:
    """The names in a directory; none when it is not there."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
        for entry in entries:
            yield entry.name


@contextlib.contextmanager
def locked(fd: int, path: Path) -> Iterator[None]:
    """Hold an open file against every other opening of it, in whichever process; check that it is still `path`.

    BlockingIOError when another holds it, FileNotFoundError when it was moved or removed before the lock was had.
    """
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        current = path.stat()
        if not os.path.samestat(current, os.fstat(fd)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        yield
    finally:
        # By name: closing the file would not be enough while a child process still holds a copy of the descriptor.
        fcntl.flock(fd, fcntl.LOCK_UN)


#: Of names that no other store of this process may have, over one directory or not.
_numbers = itertools.count()


class Disk:
    """A root directory, and whether what is put there shall outlast a power cut."""

    def __init__(self, root: Path, durability: str) -> None:
        if durability not in {"process", "power"}:
            raise ValueError(f"neither process nor power: {durability!r}")
        self.root = root
        self._flushes = durability == "power"

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn the errors of a disk that cannot take bytes into StoreUnwritable."""
        try:
            yield
        except OSError as error:
            if error.errno in _UNWRITABLE:
                raise StoreUnwritable(f"cannot write to the blob store {self.root}: {error.strerror}") from error
            raise

    def make(self, *directories: Path) -> None:
        """Make the directories, and the root that they are in, where they are missing."""
        with self.writing():
            for directory in directories:
                private.make_directory(directory)
            self._flush_names(self.root)

    @contextlib.contextmanager
    def create(self, path: Path) -> Iterator[int]:
        """A new file, open for writing inside the block. FileExistsError when there is one."""
        with self.writing():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, private.FILE)
        try:
            yield fd
        finally:
            self.close(fd)

    @contextlib.contextmanager
    def aside(self, directory: Path, data: bytes) -> Iterator[Path]:
        """A finished file with these bytes in `directory`, to be moved away inside the block; else it is removed."""
        with self.unfinished(directory) as (path, fd):
            self.write(fd, data)
            self.flush(fd)
            yield path

    @contextlib.contextmanager
    def unfinished(self, directory: Path) -> Iterator[tuple[Path, int]]:
        """A new file in `directory`, open for writing, to be finished and moved away inside the block; else removed."""
        path, fd, held = self._own_file(directory)
        with held:
            try:
                yield path, fd
            finally:
                self.forget(path)

    def _own_file(self, directory: Path) -> tuple[Path, int, contextlib.ExitStack]:
        """A new file that is locked as sessions are, so that no sweep of sessions takes it; and what holds it so."""
        while True:
            path = directory / f"put-{os.getpid()}-{next(_numbers)}"
            # There may be one, left by an earlier process of this number or in use by one in another container; and a
            # sweep may find ours before it is locked.
            with (
                contextlib.suppress(FileExistsError, BlockingIOError, FileNotFoundError),
                contextlib.ExitStack() as held,
            ):
                fd = held.enter_context(self.create(path))
                held.enter_context(locked(fd, path))
                return path, fd, held.pop_all()

    def close(self, fd: int) -> None:
        """Close a file that was written; network file systems report here what they could not store."""
        with self.writing():
            os.close(fd)

    def write(self, fd: int, data: bytes) -> None:
        """Write all of `data`, with no buffer between, so that the size of the file is what was written."""
        with self.writing():
            written = os.write(fd, data)
            while written < len(data):  # a disk that fills up takes a part first
                written += os.write(fd, memoryview(data)[written:])

    def write_parts(self, fd: int, parts: Sequence[bytes]) -> None:
        """Write what follows each other, at once where the disk takes it so."""
        with self.writing():
            written = os.writev(fd, parts)
        if written < sum(map(len, parts)):
            self.write(fd, b"".join(parts)[written:])

    def flush(self, fd: int) -> None:
        """Bring the file's bytes to the disk, where the durability asks for it."""
        if self._flushes:
            with self.writing():
                os.fsync(fd)

    def install(self, path: Path, target: Path) -> None:
        """Move a finished file to its place, whose directory is made if need be, and give it the current time."""
        with self.writing():
            os.utime(path)
            try:
                path.rename(target)
            except _IN_THE_WAY:
                self._make_room(target)
                path.rename(target)
            except FileNotFoundError:
                self._make_place(target)
                path.rename(target)
            self._flush_names(target.parent)

    def link(self, path: Path, target: Path) -> bool:
        """Put a file in its place and keep its old name as well. False where the file system gives no second name.

        What was at `target` is replaced at once: nobody finds it missing in between.
        """
        with self.writing():
            os.utime(path)
            try:
                try:
                    self._link(path, target)
                except _IN_THE_WAY:
                    self._make_room(target)
                    self._link(path, target)
            except OSError as error:
                if error.errno in _NO_LINKS:
                    return False
                raise
            self._flush_names(target.parent)
        return True

    def _make_place(self, target: Path) -> None:
        private.make_directory(target.parent)
        self._flush_names(*target.parents[1:3])

    def _make_room(self, target: Path) -> None:
        """Move to `damaged/` what is neither blob nor directory where one belongs, and make the place."""
        aside = self.root / "damaged"
        private.make_directory(aside)
        for path, belongs in ((target.parents[1], "dir"), (target.parent, "dir"), (target, "file")):
            with contextlib.suppress(FileNotFoundError):
                if path.is_dir() is (belongs == "file") and path.lstat():
                    path.rename(aside / f"{path.name}-{os.getpid()}-{next(_numbers)}")
        self._make_place(target)

    def _link(self, path: Path, target: Path) -> None:
        try:
            target.hardlink_to(path)
        except FileNotFoundError:
            # Another process may put the same file there as soon as there is a place, so it may have to be replaced.
            self._make_place(target)
        except FileExistsError:
            pass
        else:
            return
        aside = self._second_name(path)
        try:
            aside.rename(target)
        finally:
            # Two names of one file are left as they are by a rename.
            self.forget(aside)

    def _second_name(self, path: Path) -> Path:
        """Another name for a file, beside it. It is as locked as the file is, so that no sweep takes it."""
        while True:
            aside = path.with_name(f"put-{os.getpid()}-{next(_numbers)}")
            with contextlib.suppress(FileExistsError):
                aside.hardlink_to(path)
                return aside

    def renew(self, target: Path) -> bool:
        """Give the file at `target` the current time. Whether there is one."""
        try:
            with self.writing():
                os.utime(target)
                # Whoever put it there may not have come to flushing the name yet, and may never.
                self._flush_names(target.parent)
        except FileNotFoundError:
            return False
        return True

    def remove(self, path: Path) -> bool:
        """Remove a file. Whether there was one."""
        with self.writing():
            try:
                path.unlink()
            except FileNotFoundError:
                return False
        return True

    def forget(self, path: Path) -> None:
        """Remove what is of no use any more, on the way out with an error that matters more than failing to."""
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def _flush_names(self, *directories: Path) -> None:
        if self._flushes:
            for directory in directories:
                private.flush_names(directory)
