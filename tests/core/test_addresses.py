"""Addresses that are not called for others."""

import socket

import pytest

from ecrsim.core.addresses import ForbiddenAddress, check, connect, is_forbidden

FORBIDDEN = [
    "169.254.169.254", "169.254.0.1", "169.254.170.2", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "100.100.100.200",
    "168.63.129.16", "::ffff:169.254.169.254", "::169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::1",
]  # fmt: skip
CALLED = [
    "127.0.0.1",
    "::1",
    "10.0.0.1",
    "172.17.0.1",
    "192.168.1.1",
    "1.1.1.1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "ecrsim",
]


@pytest.mark.parametrize(("address", "forbidden"), [(a, True) for a in FORBIDDEN] + [(a, False) for a in CALLED])
def test_in_whatever_form(address, forbidden):
    assert is_forbidden(address) is forbidden


@pytest.fixture
def names(monkeypatch):
    """Names that lead where the test says."""
    found = {}
    really = socket.getaddrinfo

    def resolve(host, port, *rest, **more):
        return really(found.get(host, host), port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return found


@pytest.mark.parametrize("written", ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376"])
def test_whatever_a_name_leads_to_is_looked_at(names, written):
    names["innocent.example"] = written
    with pytest.raises(ForbiddenAddress, match=r"innocent\.example is the link-local or metadata address"):
        check("innocent.example")
    with pytest.raises(ForbiddenAddress):
        connect(("innocent.example", 80), timeout=1)


def test_others_are_called(names):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        names["neighbour"] = "127.0.0.1"
        check("neighbour")
        with connect(("neighbour", listener.getsockname()[1]), timeout=5) as connection:
            assert connection.getpeername() == listener.getsockname()


def test_a_name_that_does_not_resolve_is_not_forbidden(names):
    assert check("no.such.name.invalid") is None
