"""Whom the parent's relay speaks for: a table that it shares with the workers.

The relay (`relay.py`) ends TLS and listens on ::1; a worker sees its connections come from 127.0.0.1. Before the relay
connects, it notes under the port that it connects from who the client is and whether it came by TLS. While the relay
has that port nobody else can connect from it, so that no client can say what stands here.
"""

from __future__ import annotations

import mmap
import socket
import struct
from pathlib import Path

from ecrsim.core.peer import canonical

_SLOT = struct.Struct("=B47s")
_PORTS = 1 << 16
_VIA = ("", "http", "https")


def relays_from(host: str) -> str:
    """The address that the relay connects from, where it reaches the server at `host`: that one.

    A name is looked up as for the server, IPv4 first. No other address is looked for in the table: 127.0.0.2 and ::1
    have ports of their own, which whoever is on this machine may choose.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return host
    return canonical(str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0]))


class Relayed:
    """The table in a file that both sides map. It is sparse: what it takes is what was used of it."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            file.truncate(_SLOT.size * _PORTS)
            self._slots = mmap.mmap(file.fileno(), _SLOT.size * _PORTS)

    def note(self, port: int, peer: str, *, is_secure: bool) -> None:
        """The relay will connect from `port` for the client at the address `peer`."""
        text = peer.partition("%")[0].encode()[:47]
        self._slots[port * _SLOT.size : (port + 1) * _SLOT.size] = _SLOT.pack(1 + is_secure, text)

    def forget(self, port: int) -> None:
        """The relay has not had the port for so long that nothing of that connection can still be under way."""
        self._slots[port * _SLOT.size] = 0

    def find(self, port: int) -> tuple[str, str] | None:
        """(address, scheme) of the client behind a connection from `port`; None when the relay has it not."""
        if not self._slots[port * _SLOT.size]:
            return None
        via, text = _SLOT.unpack_from(self._slots, port * _SLOT.size)
        return text.rstrip(b"\0").decode(), _VIA[via]
