"""One request to an upstream: TLS, proxies, redirects, retries and limits, over urllib3.

Whatever the other side does, a request ends: in a reply, or in one of the failures.
"""

from __future__ import annotations

import contextlib
import email.utils
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from ecrsim import __version__
from ecrsim.core.clock import utc_now
from ecrsim.core.upstream.addresses import Addresses, bypasses_proxy, is_loopback, origin_of
from ecrsim.core.upstream.failures import UpstreamBusy, UpstreamInvalid, UpstreamUnavailable

#: Redirects that are followed.
MAX_REDIRECTS = 5
#: Bytes that are read at once.
PIECE = 512 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
#: Methods that may be repeated, and redirected.
_SAFE = ("GET", "HEAD")
_TRY_AGAIN = (500, 502, 503, 504)


class Settings(NamedTuple):
    """How upstreams are asked. Times are seconds.

    `deadline`: for a small document as a whole. `pause`: before the second attempt, doubled for each further one.
    `patience`: the longest Retry-After that is waited for.
    """

    ca_file: str = ""
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    connect_timeout: float = 5
    read_timeout: float = 30
    deadline: float = 60
    attempts: int = 3
    pause: float = 0.2
    patience: float = 5


class _Asking(NamedTuple):
    """A request as it is to be sent, to `url` and to where that leads."""

    method: str
    url: str
    addresses: Addresses
    headers: Mapping[str, str]
    authorization: str | None
    body: bytes | None


class Reply:
    """An answer whose body has not been read. `url` is where it came from in the end. To be closed."""

    def __init__(self, response: Any, url: str, deadline: float) -> None:
        self._response = response
        self._deadline = deadline
        self._done = False
        self.url = url
        self.status: int = response.status

    def header(self, name: str) -> str | None:
        found: str | None = self._response.headers.get(name)
        return found

    def all_headers(self, name: str) -> list[str]:
        return list(self._response.headers.getlist(name))

    @property
    def length(self) -> int | None:
        """Content-Length; None where it is absent or no number."""
        text = self.header("content-length") or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes. UpstreamUnavailable when it breaks off or stands still."""
        with _translated(self.url):
            while piece := self._response.read1(PIECE, decode_content=False):
                yield piece
            self._done = True

    def read(self, limit: int) -> bytes:
        """A body of at most `limit` bytes, as a whole. UpstreamInvalid when there is more, UpstreamUnavailable."""
        found = bytearray()
        end = time.monotonic() + self._deadline
        for piece in self.pieces():
            found += piece
            if len(found) > limit:
                raise UpstreamInvalid(f"{_host(self.url)} answers with more than {limit} bytes where less is due")
            if time.monotonic() > end:
                raise UpstreamUnavailable(f"{_host(self.url)} gave no whole answer within {self._deadline:g} s")
        return bytes(found)

    def close(self) -> None:
        """Give the connection back; what was not read to its end is cut off."""
        if not self._done:
            self._response.close()
        self._response.release_conn()


class Wire:
    """Connections to upstreams, kept between requests. For many threads."""

    def __init__(self, settings: Settings, wait: Callable[[float], bool]) -> None:
        """`wait(seconds)` pauses, and is true when ecrsim is to stop meanwhile: `Event.wait`."""
        self._settings = settings
        self._wait = wait
        self._pools: dict[str, Any] = {}

    @property
    def settings(self) -> Settings:
        return self._settings

    @contextlib.contextmanager
    def send(
        self,
        method: str,
        url: str,
        addresses: Addresses,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = None,
        body: bytes | None = None,
    ) -> Iterator[Reply]:
        """The reply, redirects of a GET or HEAD followed; 429 and 5xx are failures, other statuses the caller's.

        Only a GET or HEAD is tried again: what changes something is the caller's to repeat.

        `url` is asked as it stands; where a redirect leads has to be allowed by `addresses`. `authorization` goes to
        the origin of `url` and to no other.
        """
        reply = self._persistently(_Asking(method, url, addresses, headers or {}, authorization, body))
        try:
            yield reply
        finally:
            reply.close()

    def pause(self, attempt: int, seconds: float | None = None) -> None:
        """Wait before the next attempt. UpstreamUnavailable when ecrsim stops."""
        if self._wait(self._settings.pause * 2**attempt if seconds is None else seconds):
            raise UpstreamUnavailable("ecrsim is stopping")

    def close(self) -> None:
        for pool in list(self._pools.values()):
            pool.clear()

    # --- attempts -----------------------------------------------------------------------------------------------------

    def _persistently(self, asking: _Asking) -> Reply:
        attempts = self._settings.attempts if asking.method in _SAFE else 1
        for attempt in range(attempts):
            is_last = attempt + 1 == attempts
            try:
                reply = self._follow(asking)
            except UpstreamUnavailable:
                if is_last:
                    raise
                self.pause(attempt)
                continue
            if reply.status != 429 and reply.status not in _TRY_AGAIN:
                return reply
            after = _retry_after(reply.header("retry-after"))
            reply.close()
            # No puller waits for longer than that; it may come back by itself.
            if is_last or (after is not None and after > self._settings.patience):
                raise _refusal(reply, after)
            self.pause(attempt, after)
        raise UpstreamUnavailable(f"{_host(asking.url)} was asked no more")

    def _follow(self, asking: _Asking) -> Reply:
        method, url, home = asking.method, asking.url, origin_of(asking.url)
        for _ in range(MAX_REDIRECTS + 1):
            sent = {"User-Agent": f"ecrsim/{__version__}", "Accept-Encoding": "identity", **asking.headers}
            if asking.authorization is not None and origin_of(url) == home:
                sent["Authorization"] = asking.authorization
            reply = self._once(method, url, sent, asking.body)
            location = reply.header("location")
            if reply.status not in _REDIRECTS or location is None or method not in _SAFE:
                return reply
            reply.close()
            there = urljoin(url, location)
            url = there if origin_of(there) == origin_of(url) else asking.addresses.allow(there)
        raise UpstreamInvalid(f"{_host(url)} redirects without end")

    def _once(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Reply:
        with _translated(url):
            response = self._pool(url).request(
                method,
                url,
                body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
        return Reply(response, url, self._settings.deadline)

    # --- connections --------------------------------------------------------------------------------------------------

    def _pool(self, url: str) -> Any:
        proxy = self._proxy_of(url)
        # To read all authorities that are trusted takes 170 ms, which http needs not wait for.
        is_secure = url.startswith("https:") or proxy.startswith("https:")
        key = f"{proxy} {is_secure}"
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools.setdefault(key, self._make_pool(proxy, is_secure=is_secure))
        return pool

    def _proxy_of(self, url: str) -> str:
        """The proxy for a URL, empty for none. Loopback is never asked through one."""
        parts = urlsplit(url)
        settings = self._settings
        proxy = settings.https_proxy if parts.scheme == "https" else settings.http_proxy
        host = parts.hostname or ""
        if not proxy or is_loopback(host) or bypasses_proxy(host, parts.port, settings.no_proxy):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"

    def _make_pool(self, proxy: str, *, is_secure: bool) -> Any:
        # 75 ms and 14 MB that an ecrsim does without which asks no upstream.
        import urllib3

        context = ssl.create_default_context() if is_secure else None
        if context is not None and self._settings.ca_file:
            context.load_verify_locations(self._settings.ca_file)
        timeout = urllib3.Timeout(connect=self._settings.connect_timeout, read=self._settings.read_timeout)
        options: dict[str, Any] = {"num_pools": 32, "maxsize": 16, "ssl_context": context, "timeout": timeout}
        if not proxy:
            return urllib3.PoolManager(**options)
        parts = urlsplit(proxy)
        headers = None
        if parts.username:
            headers = urllib3.make_headers(proxy_basic_auth=f"{parts.username}:{parts.password or ''}")
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


def _refusal(reply: Reply, after: float | None) -> UpstreamBusy | UpstreamUnavailable:
    if reply.status == 429:
        return UpstreamBusy(f"{_host(reply.url)} has had too many requests (429)", after)
    return UpstreamUnavailable(f"{_host(reply.url)} answers {reply.status}")


def _retry_after(header: str | None) -> float | None:
    """Seconds from now: of a number, or of a date (RFC 9110, section 10.2.3)."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max((moment - utc_now()).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _host(url: str) -> str:
    return urlsplit(url).netloc


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """urllib3's errors, and those of sockets and TLS, as UpstreamUnavailable."""
    # 75 ms and 14 MB that an ecrsim does without which asks no upstream.
    import urllib3

    try:
        yield
    except urllib3.exceptions.LocationValueError as error:
        raise UpstreamInvalid(f"{url[:200]!r} is no URL") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UpstreamUnavailable(f"{_host(url)}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """The failure as a text, without the objects that urllib3 puts into its messages."""
    inner: Any = error
    while (nested := getattr(inner, "reason", None)) is not None and isinstance(nested, BaseException):
        inner = nested
    text = str(inner)
    return text.partition("): ")[2] or text or type(inner).__name__
