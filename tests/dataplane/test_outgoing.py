"""What the door knows of a connection that the HTTP server has: nothing that it asks changes it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ecrsim.door.outgoing import Outgoing
from ecrsim.door.stalled import open_sockets


class Connected(NamedTuple):
    """Both ends of a connection; the server's does not wait, as granian's do not."""

    server: socket.socket
    client: socket.socket

    def watched(self) -> Outgoing:
        host, port = self.client.getsockname()
        return Outgoing.to(f"{host}:{port}", self.server.getsockname()[1], 1 << 18)


@pytest.fixture
def connected() -> Iterator[Connected]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        server, _ = listener.accept()
        with server:
            server.setblocking(False)
            yield Connected(server, client)


def test_the_server_still_waits_for_no_client(connected: Connected) -> None:
    """Where its end waited, one that takes nothing would hold everybody whom that thread serves."""
    outgoing = connected.watched()
    assert not os.get_blocking(connected.server.fileno())
    outgoing.close()
    assert not os.get_blocking(connected.server.fileno())


def test_there_is_no_room_while_a_client_takes_nothing(connected: Connected) -> None:
    outgoing = connected.watched()
    assert outgoing.has_room
    sent = 0
    while True:
        try:
            sent += connected.server.send(bytes(1 << 16), socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
    outgoing.said(sent)
    assert not outgoing.has_room
    outgoing.close()


def test_a_number_that_became_another_files_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at it and its copy, the server closes a connection and opens a file."""
    monkeypatch.setattr(Path, "is_socket", lambda _: True)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in open_sockets():
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
