"""Which pages in a browser may reach ecrsim: its own, and those of origins that a setting names. Pure.

A browser says that it asks for a page: by Origin with what changes something, by Sec-Fetch-Site to hosts that it
trusts. Programs send neither, and are not concerned. A page that points its own name at 127.0.0.1 (DNS rebinding) is of
ecrsim's own origin to the browser, so the name by which the request came must be one that no stranger can have.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from ecrsim.core.partitions import PARTITIONS

#: Names below these are never sold: hosts files, docker and compose networks, clusters and office networks use them.
_PRIVATE_DOMAINS = ("localhost", "test", "internal", "local")


def refusal(
    origin: str | None,
    fetch_site: str | None,
    host: str,
    names: Collection[str],
    allowed: Collection[str] = (),
    *,
    what: str = "ecrsim",
) -> str | None:
    """Why a request is refused; None when it may go on.

    `origin`, `fetch_site`: the headers Origin and Sec-Fetch-Site. `host`: by which the request came. `names`: as in
    `is_own_name`. `allowed`: origins whose pages are let in, such as `http://localhost:3000`, and `*` for all. `what`:
    what is closed.
    """
    if origin is None and fetch_site is None:
        return None
    if origin is not None and (origin in allowed or "*" in allowed):
        return None
    if origin is not None and origin.partition("://")[2].lower() != host.lower():
        return f"{what} is closed to pages of other origins."
    if fetch_site not in (None, "same-origin", "none"):
        return f"{what} is closed to pages of other origins."
    return None if is_own_name(host, names) else wrong_name(host, what)


def wrong_name(host: str, what: str) -> str:
    return f"{what} is not reached by the name {host}, unless registry_host is set to it."


def is_own_name(host: str, names: Collection[str]) -> bool:
    """Whether no stranger can point this name here: an address, a name without a dot, one of a private domain.

    `host` may have a port. `names`: what ecrsim is told to listen on, or to be called; `aws` is AWS's own names.
    """
    name = _name(host).removesuffix(".")
    if not name or "." not in name or name.rpartition(".")[2] in _PRIVATE_DOMAINS:
        return True
    if "aws" in names and name.endswith(tuple(f".{each.dns_suffix}" for each in PARTITIONS)):
        return True
    if name in map(_name, names):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(authority: str) -> str:
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""
