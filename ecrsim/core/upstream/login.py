"""Logging in to an upstream: Basic, and Bearer tokens of a token service (distribution's token specification)."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from ecrsim.core.upstream.addresses import Addresses, origin_of
from ecrsim.core.upstream.challenges import Challenge
from ecrsim.core.upstream.failures import UpstreamDenied, UpstreamInvalid, UpstreamNotFound
from ecrsim.core.upstream.wire import Wire

#: Bytes of an answer of a token service.
MAX_TOKEN = 1024 * 1024
#: Seconds that a token is good for where its service does not say (specification), and before its end it is renewed.
_LIFETIME, _EARLY = 60, 10
#: Tokens that are kept for one login.
_MOST = 256


class Credentials(NamedTuple):
    """A user and a password. Their text names the user alone."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials({self.username!r})"

    @property
    def basic(self) -> str:
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class Login:
    """The state of a login to one upstream with these credentials, or without any. For many threads."""

    def __init__(self, wire: Wire, base: str, credentials: Credentials | None) -> None:
        self._wire = wire
        self._base = base
        self._credentials = credentials
        self._lock = threading.Lock()
        self._is_basic = False
        self._tokens: dict[str, tuple[str, float]] = {}

    def known(self, scope: str) -> str | None:
        """The header that did last time; None when there is none, or it has expired."""
        with self._lock:
            if self._is_basic and self._credentials is not None:
                return self._credentials.basic
            token, end = self._tokens.get(scope, ("", 0.0))
            if end > time.monotonic():
                return f"Bearer {token}"
            self._tokens.pop(scope, None)
            return None

    def answer(self, challenges: Sequence[Challenge], scope: str, addresses: Addresses) -> str:
        """The header that these challenges ask for. UpstreamDenied when there is nothing to answer with."""
        with self._lock:
            self._tokens.pop(scope, None)
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                return self._bearer(challenge, scope, addresses)
            if challenge.scheme == "basic" and self._credentials is not None:
                with self._lock:
                    self._is_basic = True
                return self._credentials.basic
        raise UpstreamDenied(f"{self._host} asks for credentials, and there are none that do")

    @property
    def _host(self) -> str:
        return self._base.partition("://")[2]

    def _bearer(self, challenge: Challenge, scope: str, addresses: Addresses) -> str:
        url = addresses.allow(challenge.parameters["realm"])
        query = {name: challenge.parameters[name] for name in ("service",) if name in challenge.parameters}
        asked = challenge.parameters.get("scope") or scope
        parts = [*query.items(), *(("scope", each) for each in asked.split() if each)]
        separator = "&" if "?" in url else "?"
        url = f"{url}{separator}{urlencode(parts)}" if parts else url
        authorization = self._credentials.basic if self._credentials is not None else None
        with self._wire.send("GET", url, addresses, authorization=authorization) as reply:
            if reply.status in (401, 403):
                raise UpstreamDenied(f"the token service of {self._host} refuses the credentials ({reply.status})")
            if reply.status == 404:
                raise UpstreamNotFound(f"the token service of {self._host} is not where it says (404)")
            if reply.status != 200:
                raise UpstreamInvalid(f"the token service of {self._host} answers {reply.status}")
            token, lifetime = _read(reply.read(MAX_TOKEN), self._host)
        with self._lock:
            if len(self._tokens) >= _MOST:
                self._tokens.clear()
            self._tokens[scope] = token, time.monotonic() + lifetime - min(_EARLY, lifetime / 2)
        return f"Bearer {token}"


def _read(body: bytes, host: str) -> tuple[str, float]:
    """Token and lifetime of a token service's answer."""
    try:
        document = json.loads(body)
        token = document.get("token") or document.get("access_token")
        lifetime = document.get("expires_in")
    except (ValueError, AttributeError, RecursionError):
        token, lifetime = None, None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token:
        raise UpstreamInvalid(f"the token service of {host} answers with no token")
    is_number = isinstance(lifetime, int | float) and not isinstance(lifetime, bool) and lifetime >= 0
    return token, float(min(lifetime, 24 * 3600)) if is_number else _LIFETIME


class Logins:
    """The logins of one ecrsim, by upstream and credentials."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        self._found: dict[tuple[str, Credentials | None], Login] = {}

    def of(self, base: str, credentials: Credentials | None) -> Login:
        if origin_of(base) is None:
            raise UpstreamInvalid(f"{base[:200]!r} is no URL")
        with self._lock:
            if len(self._found) >= _MOST:
                self._found.clear()
            return self._found.setdefault((base, credentials), Login(self._wire, base, credentials))
