"""Pushing to another registry: blobs in chunks that can be gone on with, and manifests."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, urljoin

from ecrsim.core.upstream.failures import UpstreamInvalid, UpstreamNotFound, UpstreamUnavailable
from ecrsim.core.upstream.registry import UpstreamRegistry
from ecrsim.core.upstream.wire import Reply

#: Bytes of one PATCH: ECR takes parts of 5 to 10 MiB (documented), and ends them where a layer ends.
CHUNK = 8 * 1024 * 1024
#: How often the upload of one blob may break off and be gone on with.
_MAX_BREAKS = 10
_ACTIONS = "pull,push"
_BYTES = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes[= ])?0-(\d{1,18})")

#: (offset, length) → bytes of a blob.
Read = Callable[[int, int], bytes]


class Pusher:
    """One registry that is pushed to. Every verb raises UpstreamError and nothing else that the other is to blame for.

    UpstreamNotFound: the repository is missing, where the registry makes none by itself.
    """

    def __init__(self, registry: UpstreamRegistry) -> None:
        self._registry = registry

    def has_blob(self, repository: str, digest: str) -> bool:
        """HEAD (end-2)."""
        try:
            with self._registry.ask("HEAD", f"/v2/{repository}/blobs/{digest}", repository, actions=_ACTIONS):
                return True
        except UpstreamNotFound:
            return False

    def blob(self, repository: str, digest: str, size: int, read: Read) -> bool:
        """Upload it, unless it is there (end-4a, 5, 6). Whether anything was sent.

        Where the connection breaks, the other side is asked how far it came, and the upload goes on from there.
        """
        if self.has_blob(repository, digest):
            return False
        location, offset, breaks = self._begin(repository), 0, 0
        while offset < size:
            piece = read(offset, min(CHUNK, size - offset))
            headers = {**_BYTES, "Content-Range": f"{offset}-{offset + len(piece) - 1}"}
            try:
                with self._registry.ask("PATCH", location, repository, headers, piece, _ACTIONS) as reply:
                    location = _location(reply)
                offset += len(piece)
            except UpstreamUnavailable:
                breaks += 1
                if breaks > _MAX_BREAKS:
                    raise
                self._registry.pause(min(breaks, 4))
                location, offset = self._resume(repository, location)
        separator = "&" if "?" in location else "?"
        url = f"{location}{separator}digest={quote(digest, safe='')}"
        with self._registry.ask("PUT", url, repository, _BYTES, b"", _ACTIONS):
            return True

    def _begin(self, repository: str) -> str:
        path = f"/v2/{repository}/blobs/uploads/"
        with self._registry.ask("POST", path, repository, {"Content-Length": "0"}, b"", _ACTIONS) as reply:
            return _location(reply)

    def _resume(self, repository: str, location: str) -> tuple[str, int]:
        """Where the upload goes on, and from which byte (end-13); a new one where the old one is gone."""
        try:
            with self._registry.ask("GET", location, repository, actions=_ACTIONS) as reply:
                match = _RANGE.fullmatch((reply.header("range") or "").strip())
                # `0-0` is said of none and of one byte.
                if match is not None and int(match[1]) > 0:
                    again = reply.header("location")
                    return (urljoin(reply.url, again) if again else location), int(match[1]) + 1
        except (UpstreamNotFound, UpstreamInvalid):
            pass
        return self._begin(repository), 0

    def manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> None:
        """PUT by tag or digest (end-7). UpstreamInvalid when it is refused."""
        headers = {"Content-Type": media_type}
        with self._registry.ask(
            "PUT", f"/v2/{repository}/manifests/{reference}", repository, headers, content, _ACTIONS
        ):
            pass

    def delete(self, repository: str, reference: str) -> bool:
        """A tag, or a manifest by its digest (end-9). False when it is not there."""
        try:
            path = f"/v2/{repository}/manifests/{reference}"
            with self._registry.ask("DELETE", path, repository, actions="pull,push,delete"):
                return True
        except UpstreamNotFound:
            return False


def _location(reply: Reply) -> str:
    location = reply.header("location")
    if not location:
        raise UpstreamInvalid(f"{reply.url} answers an upload without saying where it goes on")
    return urljoin(reply.url, location)
