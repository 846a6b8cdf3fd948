"""AWS-like services beside ecrsim that it calls as a client: through boto3, which only few settings need.

boto3's own retries are off unless asked for: a delivery tries again itself, and has to know of each failure. Where an
endpoint is named, proxies are ignored, and where it comes without keys, made-up ones sign: moto and LocalStack take
any.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from ecrsim.core.addresses import check

#: Seconds that a connection may take, and each read of an answer.
CONNECT_TIMEOUT, READ_TIMEOUT = 5, 10


class NeighbourError(Exception):
    """The service refused, or could not be reached. `code` is the service's own, empty when it said nothing."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Access(NamedTuple):
    """Where a service is and who asks. Without `endpoint_url` it is AWS's, and boto3 finds what is not given.

    `profile`: of the user's AWS configuration. `has_own_credentials`: boto3 finds the keys for an endpoint as well.
    `attempts`: how often boto3 tries. `link_local`: an endpoint at such an address is called (`core/addresses.py`).
    `session_token`: of keys that STS gave.
    """

    region: str | None
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    profile: str | None = None
    has_own_credentials: bool = False
    attempts: int = 1
    link_local: bool = True
    session_token: str | None = None


def is_installed() -> bool:
    """Whether boto3 is there, without importing it."""
    return find_spec("boto3") is not None


class Neighbour:
    """A client of one service, made on first use. One thread uses it."""

    def __init__(self, service: str, access: Access) -> None:
        self._service = service
        self._access = access
        self._client: Any = None

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer of an operation, by its name in snake case (`put_events`). NeighbourError."""
        if not is_installed():
            raise NeighbourError("boto3 is not installed: it comes with ecrsim[boto]")
        # boto3 costs 100 ms and 19 MB, and most workers call no neighbour.
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._client is None:
                self._client = _make_client(self._service, self._access)
            return cast("dict[str, Any]", getattr(self._client, operation)(**parameters))
        except ClientError as error:
            said = error.response.get("Error", {})
            code = str(said.get("Code", ""))
            raise NeighbourError(
                f"{code or 'refused'}: {said.get('Message') or 'no reason was given'}", code
            ) from error
        except (BotoCoreError, OSError, ValueError) as error:
            raise NeighbourError(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close the connections; the next call opens others."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _make_client(service: str, access: Access) -> Any:
    # boto3 costs 100 ms and 19 MB, and most workers call no neighbour.
    import boto3
    from botocore.config import Config

    key, secret = access.access_key_id, access.secret_access_key
    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": READ_TIMEOUT,
        "retries": {"total_max_attempts": access.attempts, "mode": "standard"},
    }
    if access.endpoint_url is not None:
        settings["proxies"] = {}
        if key is None and not access.has_own_credentials:
            key, secret = "ecrsim", "ecrsim"
    # A session of its own: the default one is not made to be shared by threads.
    session = boto3.Session(
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=access.session_token,
        region_name=access.region,
        profile_name=access.profile,
    )
    client = session.client(service, endpoint_url=access.endpoint_url, config=Config(**settings))
    if not access.link_local:
        # Just before each request: a name may lead elsewhere by then.
        client.meta.events.register("before-send", lambda request, **_: check(urlsplit(request.url).hostname or ""))
    return client
