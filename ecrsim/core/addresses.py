"""Addresses that ecrsim does not call for others: what only this machine can ask, and what gives out its credentials.

Targets and upstreams are named by whoever drives ecrsim. Link-local addresses are those of the machine's own link, and
there, or at a few addresses of their own, clouds serve credentials of the machine to whoever asks from it.
"""

from __future__ import annotations

import ipaddress
import socket

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Metadata services that are not link-local: AWS by IPv6, Alibaba, Azure's agent, Oracle's former one.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenAddress(OSError):
    """The name leads to an address that is not called. `strerror` says which."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(
            None, f"{host} is the link-local or metadata address {address}, which is not called (allow_link_local)"
        )


def is_forbidden(text: str) -> bool:
    """Whether it is such an address, in whatever form; False for what is no address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return any(each.is_link_local or each in _METADATA for each in (address, *_inside(address)))


def _inside(address: _Address) -> tuple[_Address, ...]:
    """IPv4 addresses that an IPv6 address stands for: mapped, compatible, translated, or the way of a tunnel."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    is_translated = address in _NAT64 or int(address) >> 32 in (0, 0xFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return tuple(each for each in (low if is_translated else None, address.sixtofour, teredo) if each is not None)


def check(host: str, port: int | None = None) -> None:
    """ForbiddenAddress when the name leads to such an address, by any of its entries."""
    for address in _resolved(host, port):
        if is_forbidden(address):
            raise ForbiddenAddress(host, address)


def _resolved(host: str, port: int | None) -> list[str]:
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def connect(
    address: tuple[str, int], timeout: float | None = None, source_address: tuple[str, int] | None = None
) -> socket.socket:
    """As `socket.create_connection`, to none of these addresses: the one that is called is the one that was checked."""
    host, port = address
    failure: OSError = OSError(None, f"{host} does not resolve")
    for family, kind, protocol, _, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if is_forbidden(str(found[0])):
            failure = ForbiddenAddress(host, str(found[0]))
            continue
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeout)
            if source_address:
                connection.bind(source_address)
            connection.connect(found)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure
