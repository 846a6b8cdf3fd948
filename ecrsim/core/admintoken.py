"""The token of the admin surface: what the setting says, else one that ecrsim made and its owner alone can read."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ecrsim.config import Config
from ecrsim.core import ids
from ecrsim.core.peer import is_loopback

#: In the data directory, mode 600.
FILE = "admin-token"
#: Where a command that is told no host finds the server of its own machine.
_OWN_MACHINE = frozenset({"localhost", "0.0.0.0", "::"})  # noqa: S104 - to ask, not to listen


def known_token(config: Config) -> str | None:
    """The token for the server at `config.host`; None when nothing is known, or the file is not for us to read.

    The token of the data directory goes to this machine alone: whoever answers elsewhere would learn it.
    """
    if config.admin_token:
        return config.admin_token
    if config.host not in _OWN_MACHINE and not is_loopback(config.host):
        return None
    for directory in (served_in(config.port), Path(config.data_dir)):
        with contextlib.suppress(OSError):
            if directory is not None and (found := _read(directory / FILE)):
                return found
    return None


@contextlib.contextmanager
def noted(port: int, directory: Path) -> Iterator[None]:
    """For the block, commands of this user find the data directory of the server on that port: it may be temporary.

    Where no note can be left, they go by their settings alone.
    """
    place = _notes()
    text = f"{directory.absolute()}\n"
    with contextlib.suppress(OSError):
        place.mkdir(0o700, exist_ok=True)
        if _is_own(place):
            aside = place / f".{port}-{os.getpid()}"
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as out:
                out.write(text)
            aside.replace(place / str(port))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if _is_own(place) and (place / str(port)).read_text() == text:
                (place / str(port)).unlink()
                place.rmdir()  # by the last one: a directory with other notes stays


def served_in(port: int) -> Path | None:
    """The data directory of the server on that port of this machine, if it is this user's and left a note."""
    place = _notes()
    with contextlib.suppress(OSError, ValueError):
        if _is_own(place):
            return Path((place / str(port)).read_text().rstrip("\n"))
    return None


def _notes() -> Path:
    """Where the user's running servers leave notes for the user's commands."""
    return Path(tempfile.gettempdir()) / f"ecrsim-{os.geteuid()}"


def _is_own(place: Path) -> bool:
    """Whether nobody else can put anything there: in /tmp everybody may make a directory of any name."""
    status = place.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077


def made_token(directory: Path) -> str:
    """The token in that data directory, made now if there is none. Workers that start at once agree. OSError."""
    file = directory / FILE
    with contextlib.suppress(FileNotFoundError):
        if found := _read(file):
            # One that was copied or restored may have become readable to others.
            file.chmod(0o600)
            return found
    whole = directory / f".{FILE}-{ids.new_uuid()}"
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(ids.new_secret().hex() + "\n")
        # The first one there stays; a file that is empty has no token to lose.
        if file.exists() and not _read(file):
            whole.replace(file)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(whole, file)
    finally:
        whole.unlink(missing_ok=True)
    return _read(file) or ""


def _read(file: Path) -> str | None:
    text = file.read_text(encoding="ascii", errors="replace").strip()
    return text or None
