"""Commands that ask an ecrsim which is running, and how they ask."""

from __future__ import annotations

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from ecrsim.config import Config

#: Seconds that most questions may take.
_PATIENCE = 30


class RemoteError(Exception):
    """It could not be asked, or would not answer."""


class Unreachable(RemoteError):
    """Nobody answers there, or it broke off: it may answer later."""


def ask(config: Config, method: str, path: str, body: Any = None, *, timeout: float | None = _PATIENCE) -> Any:
    """The JSON of an answer. RemoteError. `timeout`: seconds, None for as long as it takes."""
    content = None if body is None else json.dumps(body).encode()
    with answering(config, method, path, content, timeout=timeout) as answer:
        try:
            return json.load(answer)
        except ValueError as error:
            raise RemoteError(f"what answers on {config.host} port {config.port} is no ecrsim") from error


@contextlib.contextmanager
def answering(
    config: Config,
    method: str,
    path: str,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float | None = _PATIENCE,
) -> Iterator[http.client.HTTPResponse]:
    """An answer, to be read in the block. RemoteError."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104
    authority = f"{f'[{host}]' if ':' in host else host}:{config.port}"
    request = urllib.request.Request(
        f"http://{authority}{path}", method=method, data=content, headers=dict(headers or {})
    )
    if config.admin_token:
        request.add_header("Authorization", f"Bearer {config.admin_token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        kind = Unreachable if error.code == 503 else RemoteError
        raise kind(_message(error.read()) or f"HTTP {error.code}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"no ecrsim answers on {host} port {config.port}: {error}") from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:200]
