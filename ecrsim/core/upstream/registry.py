"""An upstream registry: its manifests, blobs and referrers, each verified before it is believed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin

from ecrsim.core.digest import algorithm_of, digest_of, is_oci_digest
from ecrsim.core.upstream.addresses import Addresses, origin_of
from ecrsim.core.upstream.challenges import parse
from ecrsim.core.upstream.failures import (
    UpstreamDenied,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamUnavailable,
)
from ecrsim.core.upstream.login import Credentials, Login, Logins
from ecrsim.core.upstream.wire import Reply, Settings, Wire

#: Bytes of a manifest, and of a page of referrers.
MAX_MANIFEST = 4 * 1024 * 1024
#: Pages of referrers that are read.
_MAX_PAGES = 20
#: How often a blob may break off and be gone on with.
_MAX_BREAKS = 10
_INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    _INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
#: Types that say nothing: the manifest itself says more.
_VAGUE = ("", "application/json", "application/octet-stream", "text/plain")
_NEXT = re.compile(r'<([^<>\s]+)>\s*;(?:[^,]*;)?\s*rel="?next"?')
_NAMESPACE = re.compile(r"[?&]ns=")
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)")


def other_bytes(host: str, digest: str) -> UpstreamInvalid:
    return UpstreamInvalid(f"{host} gives other bytes than those of {digest}")


class UpstreamManifest(NamedTuple):
    """A manifest whose bytes have this digest."""

    content: bytes
    media_type: str
    digest: str


class Upstreams:
    """All upstreams of one ecrsim: their connections and logins."""

    def __init__(self, settings: Settings, wait: Callable[[float], bool]) -> None:
        self._wire = Wire(settings, wait)
        self._logins = Logins(self._wire)

    def registry(
        self, name: str, addresses: Addresses, credentials: Credentials | None = None, namespace: str = ""
    ) -> UpstreamRegistry:
        """The upstream of this name. UpstreamNotAllowed; nothing is contacted yet.

        `namespace` is sent as the parameter `ns`, by which a mirror knows whose name it is asked by.
        """
        base = addresses.base(name)
        return UpstreamRegistry(self._wire, self._logins.of(base, credentials), addresses, base, namespace)

    def close(self) -> None:
        self._wire.close()


class UpstreamRegistry:
    """One upstream. Every verb raises UpstreamError and nothing else that the upstream is to blame for."""

    def __init__(self, wire: Wire, login: Login, addresses: Addresses, base: str, namespace: str = "") -> None:
        self._wire = wire
        self._login = login
        self._addresses = addresses
        self._base = base
        self._namespace = namespace

    @property
    def host(self) -> str:
        """The name of the upstream, for texts."""
        return self._base.partition("://")[2]

    def check(self) -> None:
        """Log in, and see that there is a registry (end-1)."""
        with self.ask("GET", "/v2/", "") as reply:
            reply.read(MAX_MANIFEST)

    def current_digest(self, repository: str, tag: str) -> str | None:
        """The digest that a tag names now (HEAD, end-3); None where the upstream gives none without the manifest."""
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        with self.ask("HEAD", f"/v2/{repository}/manifests/{tag}", repository, headers) as reply:
            digest = reply.header("docker-content-digest") or ""
            reply.read(0)
        return digest if is_oci_digest(digest) else None

    def manifest(self, repository: str, reference: str) -> UpstreamManifest:
        """The manifest of a tag or digest (end-3)."""
        headers = {"Accept": ", ".join(MANIFEST_TYPES)}
        with self.ask("GET", f"/v2/{repository}/manifests/{reference}", repository, headers) as reply:
            content = reply.read(MAX_MANIFEST)
            said = reply.header("docker-content-digest") or ""
            media_type = (reply.header("content-type") or "").partition(";")[0].strip().lower()
        named = reference if ":" in reference else said
        wanted = named if is_oci_digest(named) else digest_of(content)
        if digest_of(content, algorithm_of(wanted)) != wanted:
            raise other_bytes(self.host, wanted)
        return UpstreamManifest(content, self._media_type(content, media_type), wanted)

    def _media_type(self, content: bytes, header: str) -> str:
        """The type by the header or, where that is vague, by the document. UpstreamInvalid when it is no manifest."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or header == "text/html":
            raise UpstreamInvalid(f"{self.host} answers with {header or 'something'} that is no manifest")
        own = document.get("mediaType")
        if header not in _VAGUE:
            return header
        if isinstance(own, str) and own:
            return own
        return _INDEX if "manifests" in document else MANIFEST_TYPES[0]

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository (end-8a)."""
        path: str | None = f"/v2/{repository}/tags/list"
        found: list[str] = []
        for _ in range(_MAX_PAGES):
            if path is None:
                break
            with self.ask("GET", path, repository) as reply:
                content, link, url = reply.read(MAX_MANIFEST), reply.header("link"), reply.url
            try:
                names = json.loads(content).get("tags")
            except (ValueError, AttributeError, RecursionError):
                names = None
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise UpstreamInvalid(f"{self.host} answers with no list of tags")
            found += names
            path = self._next(url, link)
        return found

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        """Descriptors of what refers to this digest (end-12a); of a registry without that API by the tag (fallback)."""
        path: str | None = f"/v2/{repository}/referrers/{digest}"
        found: list[dict[str, Any]] = []
        for _ in range(_MAX_PAGES):
            if path is None:
                break
            try:
                with self.ask("GET", path, repository, {"Accept": _INDEX}) as reply:
                    content, link, url = reply.read(MAX_MANIFEST), reply.header("link"), reply.url
            except UpstreamNotFound:
                return self._referrers_by_tag(repository, digest)
            found += self._descriptors(content)
            path = self._next(url, link)
        return found

    def _referrers_by_tag(self, repository: str, digest: str) -> list[dict[str, Any]]:
        algorithm, _, encoded = digest.partition(":")
        try:
            return self._descriptors(self.manifest(repository, f"{algorithm[:32]}-{encoded[:64]}").content)
        except UpstreamNotFound:
            return []

    def _descriptors(self, content: bytes) -> list[dict[str, Any]]:
        try:
            entries = json.loads(content).get("manifests")
        except (ValueError, AttributeError, RecursionError):
            entries = None
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and is_oci_digest(str(entry.get("digest"))) for entry in entries
        ):
            raise UpstreamInvalid(f"{self.host} answers with no list of referrers")
        return entries

    def _next(self, url: str, link: str | None) -> str | None:
        """The path of the next page, if the header names one of this upstream."""
        match = _NEXT.search(link or "")
        if match is None:
            return None
        url = urljoin(url, match[1])
        return url.removeprefix(self._base) if url.startswith(f"{self._base}/") else None

    def blob_size(self, repository: str, digest: str) -> int:
        """The size of a blob that no manifest tells (HEAD, end-2). UpstreamInvalid when the upstream does not say."""
        with self.ask("HEAD", f"/v2/{repository}/blobs/{digest}", repository) as reply:
            length = reply.length
            reply.read(0)
        if length is None:
            raise UpstreamInvalid(f"{self.host} does not say how large {digest} is")
        return length

    # --- blobs --------------------------------------------------------------------------------------------------------

    def blob(
        self, repository: str, digest: str, size: int | None, limit: int, *, hashed: bool = True
    ) -> Iterator[bytes]:
        """The bytes of a blob, piece by piece (end-2). Only when the last piece was given are they known to be right.

        `size` as its descriptor has it, None where that is not known; more than `limit` bytes are never taken. What
        breaks off is gone on with from where it was, as often as the settings allow. UpstreamInvalid at the end when
        the bytes are others than those of the digest; `hashed=False`: whoever takes them computes it.
        """
        bound = limit if size is None else min(size, limit)
        hasher = hashlib.new(algorithm_of(digest)) if hashed else None
        received, attempt, breaks = 0, 0, 0
        while True:
            before = received
            try:
                for piece in self._rest_of_blob(repository, digest, received):
                    received += len(piece)
                    if received > bound:
                        raise UpstreamInvalid(f"{self.host} gives more than the {bound} bytes of {digest}")
                    if hasher is not None:
                        hasher.update(piece)
                    yield piece
                if size is None or received == size:
                    break
                raise UpstreamUnavailable(f"{self.host} gives {received} of the {size} bytes of {digest}")
            except UpstreamUnavailable:
                # An attempt that brought bytes is followed by another one, though not for ever.
                attempt, breaks = attempt + 1 if received == before else 1, breaks + 1
                if attempt >= self._wire.settings.attempts or breaks > _MAX_BREAKS:
                    raise
                self._wire.pause(attempt)
        if hasher is not None and f"{algorithm_of(digest)}:{hasher.hexdigest()}" != digest:
            raise other_bytes(self.host, digest)

    def _rest_of_blob(self, repository: str, digest: str, received: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={received}-"} if received else {}
        with self.ask("GET", f"/v2/{repository}/blobs/{digest}", repository, headers) as reply:
            if (reply.header("content-type") or "").startswith("text/html"):
                # Checked before its first byte is given on: a puller gets the bytes while they come.
                raise UpstreamInvalid(f"{self.host} answers with a page in place of {digest}")
            skip = 0
            if received:
                match = _RANGE.fullmatch(reply.header("content-range") or "")
                if reply.status != 206 or match is None or int(match[1]) != received:
                    skip = received
                if reply.status == 206 and skip:
                    raise UpstreamInvalid(f"{self.host} gives another range than the one that was asked for")
            for piece in reply.pieces():
                if skip >= len(piece):
                    skip -= len(piece)
                    continue
                yield piece[skip:]
                skip = 0

    # --- requests -----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def ask(
        self,
        method: str,
        path: str,
        repository: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        actions: str = "pull",
    ) -> Iterator[Reply]:
        """A reply of 2xx, after logging in where that is asked for. `path` may be a whole URL of this upstream."""
        scope = f"repository:{repository}:{actions}" if repository else ""
        url = path if "://" in path else f"{self._base}{path}"
        if origin_of(url) != origin_of(self._base):
            raise UpstreamInvalid(f"{self.host} sends us elsewhere: {url[:200]!r}")
        if self._namespace and _NAMESPACE.search(url) is None:
            url = f"{url}{'&' if '?' in url else '?'}ns={self._namespace}"
        with contextlib.ExitStack() as stack:
            authorization = self._login.known(scope)
            reply = stack.enter_context(self._wire.send(method, url, self._addresses, headers, authorization, body))
            # Only the upstream itself may ask for credentials, not where it redirects to.
            if reply.status == 401 and origin_of(reply.url) == origin_of(self._base):
                challenges = parse(reply.all_headers("www-authenticate"))
                stack.pop_all().close()
                authorization = self._login.answer(challenges, scope, self._addresses)
                reply = stack.enter_context(self._wire.send(method, url, self._addresses, headers, authorization, body))
            self._check_status(reply, path)
            yield reply

    def pause(self, attempt: int) -> None:
        """Wait before the next attempt at a request that is no GET."""
        self._wire.pause(attempt)

    def _check_status(self, reply: Reply, path: str) -> None:
        if reply.status in (401, 403):
            raise UpstreamDenied(f"{self.host} refuses {path} ({reply.status})")
        if reply.status in (404, 410):
            raise UpstreamNotFound(f"{self.host} has no {path}")
        if not 200 <= reply.status < 300:
            raise UpstreamInvalid(f"{self.host} answers {reply.status} for {path}", reply.status)
