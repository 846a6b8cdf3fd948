"""The challenge of a 401: the header WWW-Authenticate (RFC 9110, section 11; token specification). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9._~+/-]*)(?:\s+|$)")
_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)')
#: Longer headers are of no registry.
_LONGEST = 8192


class Challenge(NamedTuple):
    """One way to log in: the scheme in lower case, its parameters by lower-case name."""

    scheme: str
    parameters: Mapping[str, str]


def parse(headers: Iterable[str]) -> list[Challenge]:
    """All challenges of the headers, in their order. What cannot be read is left out."""
    found: list[Challenge] = []
    for header in headers:
        text = header[:_LONGEST]
        while (scheme := _SCHEME.match(text)) is not None:
            text = text[scheme.end() :]
            parameters: dict[str, str] = {}
            while (parameter := _PARAMETER.match(text)) is not None:
                text = text[parameter.end() :]
                quoted = parameter[2]
                value = parameter[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                parameters.setdefault(parameter[1].lower(), value)
            found.append(Challenge(scheme[1].lower(), parameters))
    return found
