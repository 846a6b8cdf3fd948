"""Who sent a request, by which scheme, and under which name: decided here once, from what nobody can make up. Pure.

The connection says who its peer is and whether it was encrypted. Headers say more only where proxies are trusted, and
then no more than those proxies wrote themselves: each puts the address of its own peer at the end of X-Forwarded-For,
so with one trusted proxy the last entry counts, with two the last but one. What stands before it, the client wrote.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


class Forwarded(NamedTuple):
    """X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host as they came; several of a name joined by commas."""

    addresses: str | None = None
    scheme: str | None = None
    host: str | None = None


class Arrival(NamedTuple):
    """`address` is an IP address, `scheme` http or https, `host` a name or address, with a port perhaps."""

    address: str
    scheme: str
    host: str

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"


def arrival(peer: str, scheme: str, host: str | None, forwarded: Forwarded, trusted_proxies: int = 0) -> Arrival:
    """`peer`, `scheme`: the connection's own. `host`: the Host header; one that names no host is `localhost`.

    `trusted_proxies`: how many of them stand between the clients and ecrsim. A request that came by fewer has fewer
    entries than that, and is its peer's own.
    """
    named = _valid_host(host) or "localhost"
    if not trusted_proxies:
        return Arrival(peer, scheme, named)
    entries = _entries(forwarded.addresses)
    address = _address(entries[-trusted_proxies]) if len(entries) >= trusted_proxies else None
    told = _of_proxies(forwarded.scheme, trusted_proxies)
    return Arrival(
        address or peer,
        told if told in ("http", "https") else scheme,
        _valid_host(_of_proxies(forwarded.host, trusted_proxies)) or named,
    )


def canonical(address: str) -> str:
    """One text for one address: IPv4 inside of IPv6 as IPv4, IPv6 in its short form. A text that is none as it is."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def is_loopback(address: str) -> bool:
    """True for a peer on this machine. An address that is none is not."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def _entries(text: str | None) -> list[str]:
    return [entry.strip() for entry in text.split(",")] if text else []


def _of_proxies(text: str | None, trusted_proxies: int) -> str | None:
    """The words of the outermost trusted proxy. Most proxies set these two headers anew instead of adding to them."""
    entries = _entries(text)
    return entries[-min(trusted_proxies, len(entries))] if entries else None


def _address(text: str) -> str | None:
    """An address, which some proxies write with a port: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    bare = text[1:].partition("]")[0] if text.startswith("[") else text
    for candidate in (bare, bare.rpartition(":")[0]):
        try:
            return canonical(str(ipaddress.ip_address(candidate)))
        except ValueError:
            continue
    return None


def _valid_host(text: str | None) -> str | None:
    return text if text and _HOST.fullmatch(text) else None
