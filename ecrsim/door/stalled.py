"""Clients that take nothing of their answer: the kernel lets go of them, so that nobody has to watch.

TCP_USER_TIMEOUT bounds how long bytes may wait for a client that does not make room for them, or is not there any more.
Accepted connections have it from the socket that listens. Systems without it let such clients be.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

_FILES = Path("/proc/self/fd")


def let_go(listener: socket.socket, seconds: int) -> None:
    """Of who comes by this socket and takes nothing for so long."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)
        # Of one that vanished while nothing was under way, too.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def let_go_at(port: int, seconds: int) -> None:
    """The same for the sockets of this process that listen on a port: a server's own, which it does not show."""
    for found in open_sockets():
        with contextlib.suppress(OSError):
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.getsockname()[1] == port:
                let_go(found, seconds)


def open_sockets() -> Iterator[socket.socket]:
    """Those of this process, each until the next one is asked for. None where the system does not show them."""
    for file in _FILES.iterdir() if _FILES.is_dir() else ():
        if file.is_socket():
            with contextlib.suppress(OSError):
                found = _again(int(file.name))
                with found:
                    yield found


def kept(found: socket.socket) -> socket.socket:
    """Another descriptor of a socket that is somebody else's, who reads and writes without waiting.

    Not `dup`: that sets how Python waits, which is a matter of the connection and not of the descriptor. Its owner
    would wait for the client from then on, and all others with it.
    """
    return _again(found.fileno())


def _again(number: int) -> socket.socket:
    copy = os.dup(number)
    try:
        return socket.socket(fileno=copy)
    except OSError:  # closed meanwhile, and the number another file's
        os.close(copy)
        raise
