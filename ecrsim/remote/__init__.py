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
from ecrsim.core.admintoken import known_token
from ecrsim.values import CommandFailed

#: Seconds that most questions may take.
_PATIENCE = 30


class RemoteError(CommandFailed):
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
            raise _stranger(config) from error


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
    request = urllib.request.Request(
        f"http://{_authority(config)}{path}", method=method, data=content, headers=dict(headers or {})
    )
    token = known_token(config)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        message = _message(error.read())
        if message is None:
            raise _stranger(config) from error
        if error.code == 401 and not config.admin_token:
            message += " Set ECRSIM_ADMIN_TOKEN to it."
        kind = Unreachable if error.code == 503 else RemoteError
        raise kind(message) from error
    except http.client.RemoteDisconnected as error:
        raise Unreachable(f"what answers on {_place(config)} broke off") from error
    except http.client.HTTPException as error:
        raise _stranger(config) from error
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(
            f"no ecrsim answers on {_place(config)} ({getattr(reason, 'strerror', None) or reason}): start one with "
            f"`ecrsim serve --port {config.port}`, or say where it is with --host and --port"
        ) from error


def address(config: Config) -> str:
    """`http://127.0.0.1:5100`: where this machine reaches what listens as the settings say."""
    return f"http://{_authority(config)}"


def _authority(config: Config) -> str:
    host = _host(config)
    return f"{f'[{host}]' if ':' in host else host}:{config.port}"


def _host(config: Config) -> str:
    return config.host_to_ask


def _place(config: Config) -> str:
    return f"{_host(config)} port {config.port}"


def _stranger(config: Config) -> RemoteError:
    return RemoteError(f"what answers on {_place(config)} is no ecrsim: say where it is with --host and --port")


def _message(body: bytes) -> str | None:
    """The message of an error of ecrsim; None when the answer is not ecrsim's."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return None
