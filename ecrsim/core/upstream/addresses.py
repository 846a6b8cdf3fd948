"""Where an upstream is really asked. Pure: names and URLs in, URLs out; nothing is resolved or contacted here.

An upstream is known by its name, as in `registry-1.docker.io`. An entry says at which URL that name is asked instead.
Whatever has no entry and is not on loopback is contacted only where the network is allowed, and then by https alone:
that holds for the upstream itself, its token service, and every redirect.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from ecrsim.core.addresses import is_forbidden
from ecrsim.core.upstream.failures import UpstreamInvalid, UpstreamNotAllowed

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """The origin that credentials belong to. The host in lower case, without brackets."""

    scheme: str
    host: str
    port: int


def origin_of(url: str) -> Origin | None:
    """The origin of an http(s) URL; None when it is none, or carries a user."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or "\\" in url:
        return None
    if any(ord(character) <= 32 for character in url):
        return None
    return Origin(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port)


def is_loopback(host: str) -> bool:
    """`localhost` and the addresses of this machine's loopback, as they are written: no name is looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bypasses_proxy(host: str, port: int | None, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host: itself, a domain that it is in, a network of addresses, or `*`."""
    for entry in (part.strip().lower() for part in no_proxy.split(",")):
        name = entry.removeprefix("*").removeprefix(".")
        if entry == "*" or (name and (name in (host, f"{host}:{port}") or host.endswith(f".{name}"))):
            return True
        with contextlib.suppress(ValueError):
            if "/" in entry and ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
    return False


def parse_entry(text: str) -> tuple[str, str] | None:
    """`registry-1.docker.io=http://127.0.0.1:5001` as (name, URL without a slash at its end); None when it is none."""
    name, equals, url = (part.strip() for part in text.partition("="))
    place = origin_of(f"https://{name}") if name else None
    parts = urlsplit(url) if origin_of(url) else None
    if not equals or place is None or "/" in name or parts is None or parts.query or parts.fragment:
        return None
    return name.lower(), url.rstrip("/")


class Addresses:
    """The table of entries, and whether hosts without one may be contacted."""

    def __init__(self, entries: Mapping[str, str], *, network: bool = False) -> None:
        self._entries = {name.lower(): url.rstrip("/") for name, url in entries.items()}
        self._origins = {origin_of(url) for url in self._entries.values()}
        self._network = network

    def has_entry(self, name: str) -> bool:
        return name.lower() in self._entries

    def base(self, name: str) -> str:
        """The URL under which `/v2/` of the upstream is: its entry, or its own name. UpstreamNotAllowed."""
        found = self._entries.get(name.lower())
        if found is not None:
            return found
        own = f"https://{name}"
        self._check(own, name)
        return own

    def allow(self, url: str) -> str:
        """Where a URL that an upstream sends us to is really asked. UpstreamNotAllowed, UpstreamInvalid."""
        origin = origin_of(url)
        if origin is None:
            raise UpstreamInvalid(f"the upstream names a URL that is none: {url[:200]!r}")
        rest = url.partition("//")[2].partition("/")
        names = [rest[0].lower()] + ([origin.host] if origin.port == _PORTS[origin.scheme] else [])
        entry = next((self._entries[name] for name in names if name in self._entries), None)
        if entry is not None:
            return f"{entry}/{rest[2]}"
        self._check(url, rest[0])
        return url

    def _check(self, url: str, name: str) -> None:
        origin = origin_of(url)
        if origin is None:
            raise UpstreamNotAllowed(f"{name[:200]!r} is no name of a registry")
        if origin in self._origins or is_loopback(origin.host):
            return
        if not self._network:
            raise UpstreamNotAllowed(
                f"the upstream {name} was not contacted: ecrsim uses no network unless it is told to. Say where it is "
                f"with --upstream {name}=URL, or allow the network with --upstream-network"
            )
        if is_forbidden(origin.host):
            raise UpstreamNotAllowed(f"the upstream {name} was not contacted: it is a link-local or metadata address")
        if origin.scheme != "https":
            raise UpstreamNotAllowed(f"the upstream {name} was not contacted: outside of this machine only https is")
