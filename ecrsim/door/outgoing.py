"""What of a stream its client has not taken yet: granian holds whatever it is given, however much, and tells nobody.

The kernel counts what the client's has acknowledged, which is as much as it has room for. Where it does not (macOS), a
stream has no bound but the write timeout.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import socket
import struct
import termios
from typing import Self

from ecrsim.door.stalled import kept, open_sockets

#: tcpi_bytes_acked in Linux's struct tcp_info.
_ACKNOWLEDGED = struct.Struct("=120xQ")


class Outgoing:
    """A stream on a connection, which is this side's own; without one there is always room."""

    def __init__(self, connection: socket.socket | None, room: int) -> None:
        self._connection, self._room = connection, room
        self._before = self._acknowledged()
        self._said = 0

    @classmethod
    def to(cls, client: str, port: int, room: int) -> Self:
        """On the connection that `client`, an address and a port as granian writes them, has to this port.

        `room`: bytes that may be on their way when the stream goes on.
        """
        for found in open_sockets() if hasattr(socket, "TCP_INFO") else ():
            if found.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            with contextlib.suppress(OSError):  # no connection
                host, from_port = found.getpeername()[:2]
                name = f"[{host}]:{from_port}" if ":" in host else f"{host}:{from_port}"
                if name == client and found.getsockname()[1] == port:
                    return cls(kept(found), room)
        return cls(None, room)

    def said(self, size: int) -> None:
        """The server was given so many bytes."""
        self._said += size

    @property
    def has_room(self) -> bool:
        """Whether the client has taken nearly all."""
        if self._connection is None:
            return True
        taken = self._acknowledged() - self._before
        if taken <= 0:  # by nobody yet, or the system does not count
            return not self._said or not self._queued()
        # The head and the framing, which nobody counts here, must not add up to room.
        self._said = max(self._said, taken)
        return self._said - taken < self._room

    def _acknowledged(self) -> int:
        with contextlib.suppress(OSError, struct.error):
            if self._connection is not None:
                info = self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED.size)
                return int(_ACKNOWLEDGED.unpack(info)[0])
        return 0

    def _queued(self) -> int:
        """Bytes that the kernel keeps for the client."""
        size = array.array("i", [0])
        with contextlib.suppress(OSError):
            if self._connection is not None:
                fcntl.ioctl(self._connection, termios.TIOCOUTQ, size)
        return size[0]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
