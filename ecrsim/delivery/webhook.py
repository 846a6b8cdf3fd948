"""Events to a webhook: one POST for each, signed with a shared secret."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from ecrsim import __version__
from ecrsim.core.addresses import connect
from ecrsim.core.durations import SECOND
from ecrsim.delivery.parcels import Parcel, Undelivered

#: Seconds that a webhook has for its whole answer.
TIMEOUT = 10.0


class _HttpConnection(http.client.HTTPConnection):
    """Calls the address that it has checked: a name may lead elsewhere each time it is looked up."""

    def __init__(self, host: str, port: int | None, *, link_local: bool) -> None:
        super().__init__(host, port, timeout=TIMEOUT)
        self._link_local = link_local

    def connect(self) -> None:
        if self._link_local:
            super().connect()
        else:
            self.sock = connect((self.host, self.port), TIMEOUT)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _HttpsConnection(_HttpConnection):
    default_port = http.client.HTTPS_PORT

    def __init__(self, host: str, port: int | None, context: ssl.SSLContext, *, link_local: bool) -> None:
        super().__init__(host, port, link_local=link_local)
        self._context = context

    def connect(self) -> None:
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)


class WebhookSink:
    """POSTs each envelope; 2xx is success. Redirects are not followed, and no proxy is asked.

    `X-Ecrsim-Signature: sha256=<hex>` is the HMAC of `<X-Ecrsim-Timestamp>.<body>` with the shared secret. The
    timestamp, epoch seconds, is that of the attempt: a receiver that refuses old ones refuses what was recorded and is
    played back, and by `X-Ecrsim-Delivery`, the id of the event, it knows one that it has seen.
    """

    def __init__(self, url: str, secret: str | None, now: Callable[[], int], *, link_local: bool = False) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._context = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret = secret.encode() if secret else None
        self._now = now
        self._connection: http.client.HTTPConnection | None = None
        self._is_late = False
        self._link_local = link_local

    def take(self, parcels: Sequence[Parcel]) -> int:
        return 1

    def deliver(self, parcels: Sequence[Parcel]) -> None:
        (parcel,) = parcels
        self._is_late = False
        # The socket's own timeout bounds each read alone: an answer that trickles in would last for ever.
        timer = threading.Timer(TIMEOUT, self._abort_late)
        timer.daemon = True
        timer.start()
        try:
            status, reason = self._post(parcel)
            if self._is_late:
                # The cut reads as the end of the headers.
                raise TimeoutError
        except (OSError, http.client.HTTPException) as error:
            self.rest()
            if self._is_late or isinstance(error, TimeoutError):
                raise Undelivered(f"no answer within {TIMEOUT:g} s") from error
            text = error.strerror if isinstance(error, OSError) else None
            raise Undelivered(text or str(error) or type(error).__name__) from error
        finally:
            timer.cancel()
        if 300 <= status < 400:
            raise Undelivered(f"answered {status} {reason}; redirects are not followed")
        if not 200 <= status < 300:
            raise Undelivered(f"answered {status} {reason}")

    def _post(self, parcel: Parcel) -> tuple[int, str]:
        was_open = self._connection is not None
        try:
            return self._exchange(parcel)
        except (http.client.RemoteDisconnected, ConnectionError):
            self.rest()
            if not was_open or self._is_late:
                raise
            # The receiver closed a connection that had rested for a while: not a failure of this delivery.
            return self._exchange(parcel)

    def _exchange(self, parcel: Parcel) -> tuple[int, str]:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", self._path, parcel.body, self._headers(parcel))
        answer = self._connection.getresponse()
        answer.read(1 << 16)
        if not answer.isclosed():  # more of it than anybody wants
            self.rest()
        return answer.status, answer.reason

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is not None:
            return _HttpsConnection(self._host, self._port, self._context, link_local=self._link_local)
        return _HttpConnection(self._host, self._port, link_local=self._link_local)

    def _headers(self, parcel: Parcel) -> dict[str, str]:
        moment = str(self._now() // SECOND)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"ecrsim/{__version__}",
            "X-Ecrsim-Event": str(parcel.envelope["detail-type"]),
            "X-Ecrsim-Delivery": parcel.event.event_id,
            "X-Ecrsim-Sequence": str(parcel.sequence),
            "X-Ecrsim-Timestamp": moment,
        }
        if self._secret is not None:
            headers["X-Ecrsim-Signature"] = signature(self._secret, moment, parcel.body)
        return headers

    def rest(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        self.rest()

    def _abort_late(self) -> None:
        self._is_late = True
        self.abort()

    def abort(self) -> None:
        connection = self._connection
        held = None if connection is None else connection.sock
        if held is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of X-Ecrsim-Signature."""
    return f"sha256={hmac.new(secret, timestamp.encode() + b'.' + body, hashlib.sha256).hexdigest()}"
