"""Pushing to another registry: blobs in chunks that can be gone on with, and manifests."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote, urljoin

from ecrsim.core.upstream.failures import UpstreamDenied, UpstreamInvalid, UpstreamNotFound, UpstreamUnavailable
from ecrsim.core.upstream.registry import UpstreamRegistry
from ecrsim.core.upstream.wire import Reply

#: Bytes of one PATCH: ECR takes parts of 5 to 10 MiB (documented), and ends them where a layer ends.
CHUNK = 8 * 1024 * 1024
#: How often the upload of one blob may break off and be gone on with.
_MAX_BREAKS = 10
#: How often the upload of one blob is begun anew, since what there was of it is gone.
_MAX_UPLOADS = 3
_ACTIONS = "pull,push"
_BYTES = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes[= ])?0-(\d{1,18})")

#: The status of a registry for a chunk that does not begin where the upload ends, or while another one is written.
_ELSEWHERE = 416

#: (offset, length) → bytes of a blob.
Read = Callable[[int, int], bytes]


class UploadSession(Protocol):
    """Where the upload of one blob goes on, kept for whoever goes on with it after a failure or a restart."""

    def find(self) -> str | None:
        """The URL that was kept last."""

    def keep(self, location: str) -> None:
        """The next chunk goes to this URL."""

    def forget(self) -> None:
        """The upload has ended, or there is none any more."""


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

    def blob(
        self,
        repository: str,
        digest: str,
        size: int,
        read: Read,
        session: UploadSession,
        *,
        mount_from: str | None = None,
    ) -> bool:
        """Upload it, unless it is there, or can be mounted (end-4a, 5, 6, 11). Whether any of it had to be sent.

        `mount_from`: another repository that has it there. Where the connection breaks, the other side is asked how far
        it came, and the upload goes on from there; so it does where an earlier one left off.
        """
        if self.has_blob(repository, digest):
            session.forget()
            return False
        for attempt in range(_MAX_UPLOADS):
            kept = session.find()
            begun = self._begin(repository, digest, mount_from) if kept is None else None
            if begun is not None:
                session.keep(begun)
            elif kept is None:
                return False
            try:
                place = self._resume(repository, kept) if kept is not None else (begun or "", 0)
                self._finish(repository, digest, self._send(repository, size, read, session, place))
                break
            except (UpstreamInvalid, UpstreamNotFound) as error:
                session.forget()
                # An upload that was begun before may be broken or gone; in a new one it is the blob that is refused.
                is_gone = kept is not None or getattr(error, "status", _ELSEWHERE) == _ELSEWHERE
                if not is_gone or attempt + 1 == _MAX_UPLOADS:
                    raise
        session.forget()
        return True

    def _send(self, repository: str, size: int, read: Read, session: UploadSession, place: tuple[str, int]) -> str:
        """Send the blob from this place (URL, offset) on, in chunks. The URL at which the upload is to be ended."""
        location, offset = place
        breaks = 0
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
            except UpstreamInvalid as error:
                # The other side may still be writing what a connection had in it that broke.
                breaks += 3
                if error.status != _ELSEWHERE or breaks > _MAX_BREAKS:
                    raise
                self._registry.pause(min(breaks, 4))
                location, offset = self._resume(repository, location)
            session.keep(location)
        return location

    def _finish(self, repository: str, digest: str, location: str) -> None:
        separator = "&" if "?" in location else "?"
        url = f"{location}{separator}digest={quote(digest, safe='')}"
        with self._registry.ask("PUT", url, repository, _BYTES, b"", _ACTIONS):
            pass

    def _begin(self, repository: str, digest: str, mount_from: str | None) -> str | None:
        """Where the upload begins; None when the blob was mounted instead."""
        path = f"/v2/{repository}/blobs/uploads/"
        sent = {"Content-Length": "0"}
        if mount_from is not None:
            mount = f"{path}?mount={quote(digest, safe='')}&from={quote(mount_from, safe='')}"
            # Whatever keeps it from being mounted, it can be uploaded.
            with (
                contextlib.suppress(UpstreamDenied, UpstreamInvalid, UpstreamNotFound),
                self._registry.ask("POST", mount, repository, sent, b"", _ACTIONS) as reply,
            ):
                return None if reply.status == 201 else _location(reply)
        with self._registry.ask("POST", path, repository, sent, b"", _ACTIONS) as reply:
            return _location(reply)

    def _resume(self, repository: str, location: str) -> tuple[str, int]:
        """Where the upload goes on, and from which byte (end-13). UpstreamNotFound when it is gone."""
        with self._registry.ask("GET", location, repository, actions=_ACTIONS) as reply:
            match = _RANGE.fullmatch((reply.header("range") or "").strip())
            again = reply.header("location")
            location = urljoin(reply.url, again) if again else location
            # `0-0` is said of none and of one byte.
            return location, int(match[1]) + 1 if match is not None and int(match[1]) > 0 else 0

    def manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> None:
        """PUT by tag or digest (end-7). UpstreamInvalid when it is refused."""
        headers = {"Content-Type": media_type}
        with self._registry.ask(
            "PUT", f"/v2/{repository}/manifests/{reference}", repository, headers, content, _ACTIONS
        ):
            pass

    def delete(self, repository: str, reference: str) -> bool:
        """Delete a tag, or a manifest by its digest (end-9). False when it is not there."""
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
