"""One layer on its way: staged in an upload session that pullers read as it grows, and a layer once it is verified.

No transaction is open while the network is. What is cut off leaves a session, which is discarded, and no layer.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, NamedTuple, Protocol

import orjson

from ecrsim.blobs.base import BlobStore
from ecrsim.core.digest import algorithm_of
from ecrsim.core.errors import RepositoryNotFoundException, ServiceError
from ecrsim.core.misses import Flight
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.core.upstream.failures import UpstreamError, UpstreamUnavailable
from ecrsim.core.upstream.registry import UpstreamRegistry, other_bytes
from ecrsim.core.web import Pieces
from ecrsim.ecr.atrest.service import blobs_of, open_keys_now
from ecrsim.ecr.layers import service as layers
from ecrsim.ecr.pullthrough import import_rows
from ecrsim.ecr.pullthrough.fetches import Fetches
from ecrsim.ecr.pullthrough.rules import Rule
from ecrsim.ecr.pullthrough.streaming import LayerStream
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.records.trail import record_call

log = logging.getLogger("ecrsim.pullthrough")

#: Seconds between two looks whether the layer is still wanted: its repository may be deleted, or everything.
_GLANCE = 1.0


class ImportSource(NamedTuple):
    """Where something comes from, and for whom."""

    runtime: Runtime
    caller: Caller
    registry: Registry
    rule: Rule
    repository_name: str
    upstream: UpstreamRegistry

    @property
    def upstream_name(self) -> str:
        return self.rule.upstream_name(self.repository_name)


class Wanting(Protocol):
    """An import that waits for layers."""

    def put_what_is_whole(self, call: Call) -> None:
        """Store the images whose layers are all there now, in the open write transaction."""


class LayerImport:
    """Brings one layer into one repository, once, for all who want it.

    `begun` is over when its first bytes can be given, `whole` when it is a layer of the repository. Their errors are
    UpstreamError and ServiceError.
    """

    def __init__(self, fetches: Fetches, source: ImportSource, repository: Repository, digest: str, size: int) -> None:
        self._fetches, self._source, self._repository = fetches, source, repository
        self.digest, self.size = digest, size
        self.begun, self.whole = Flight(), Flight()
        self._lock = threading.Lock()
        self._started = False
        self._wanting: list[Wanting] = []
        self._upload_id = ""
        self._blobs: BlobStore = source.runtime.blobs
        self._verified: bool | None = None
        # Whoever waits for its beginning is told of its end as well.
        self.whole.when_over(self._end)

    def start(self) -> None:
        """Begin to bring the layer; a second call changes nothing."""
        with self._lock:
            if self._started:
                return
            self._started = True
        self._fetches.carriers.run(self._work)

    def join(self, wanting: Wanting) -> None:
        """Note an import that waits for the layer."""
        with self._lock:
            self._wanting.append(wanting)

    def leave(self, wanting: Wanting, error: BaseException) -> None:
        """Let an import wait no longer, for it failed: a layer that nobody else wants is not begun."""
        with self._lock:
            self._wanting.remove(wanting)
            if self._started or self._wanting:
                return
            self._started = True
        self.whole.settle(error=error)

    def _end(self) -> None:
        try:
            self.begun.settle(self.whole.result())
        except Exception as error:  # noqa: BLE001 - it is raised where the outcome is asked for
            self.begun.settle(error=error)

    # --- who pulls it -------------------------------------------------------------------------------------------------

    def body(self, first: int, length: int) -> Pieces:
        """A part of the layer as it comes. UploadNotFound when it comes no more: `whole` is over, or soon will be."""
        file = self._blobs.read_upload(self._upload_id, self.digest)
        return LayerStream(file, first, length, lambda: self._verified, self._source.runtime.stopping.wait)

    # --- bringing it --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            with self._call() as call:
                open_keys_now(call, self._repository)
                self._blobs = blobs_of(call, self._repository)
            where = self._where()
            if where == "here":
                self._verified = True
                self.whole.settle()
            elif where == "elsewhere":
                self._fetches.watch.until(self._is_brought)
            else:
                self._bring()
        except Exception as error:  # noqa: BLE001 - it is raised where the outcome is asked for
            self._verified = False
            self._tell(error)
            self.whole.settle(error=error)

    def _tell(self, error: Exception) -> None:
        """Pullers see no more of it than a body that ends too early."""
        is_fault = not isinstance(error, UpstreamError | ServiceError)
        place = self.digest, self._source.repository_name
        log.warning("layer %s of %s came to nothing: %s", *place, error, exc_info=error if is_fault else None)

    def _where(self) -> Literal["here", "elsewhere", "upstream"]:
        """Whether the layer came a moment ago, or another process brings it; else note that this one does."""
        custody = self._fetches.custody
        owner = custody.number()
        self._source.runtime.blobs.learn([self.digest])
        with self._call() as call, self._ready(call), call.writing():
            if layers.promise_layer(call, self._repository, self.digest) is not None:
                return "here"
            found = import_rows.find_layer(call, self._repository.id, self.digest)
            if found is not None and found.owner != owner and custody.is_alive(found.owner):
                self._upload_id = found.upload_id
                return "elsewhere"
            self._upload_id = layers.initiate_upload(call, self._repository)
            place = self._repository.id, self.digest
            import_rows.add_layer(call, import_rows.LayerRow(*place, self.size, self._upload_id, owner))
        with self._call() as call, self._ready(call):
            layers.open_upload(call, self._repository, self._upload_id)
        return "upstream"

    def _bring(self) -> None:
        upload_id, blobs = self._upload_id, self._blobs
        with self._call() as call, self._ready(call):
            try:
                self._receive()
                # The store has hashed them aside while they came: nothing is read twice.
                computed, _ = blobs.digest_upload(upload_id, algorithm_of(self.digest))
                if computed != self.digest:
                    raise other_bytes(self._source.rule.upstream_registry_url, self.digest)
                place = self._repository, upload_id, self.digest, self.size
                layers.complete_upload(call, *place, lambda: self._settle(call))
            except BaseException:
                self._verified = False
                with call.writing():
                    import_rows.drop_layer(call, self._repository.id, self.digest)
                layers.discard_upload(call, upload_id)
                raise
        self._verified = True
        self.whole.settle()

    def _settle(self, call: Call) -> None:
        """Store, in the transaction that makes it a layer, the images that it completes."""
        import_rows.drop_layer(call, self._repository.id, self.digest)
        self._on_trail(call)
        for wanting in list(self._wanting):
            wanting.put_what_is_whole(call)

    def _receive(self) -> None:
        source = self._source
        limit = source.runtime.config.quota_layer_size
        looked, received = time.monotonic(), 0
        with self._blobs.receive(self._upload_id, 0, limit) as sink:
            for piece in source.upstream.blob(source.upstream_name, self.digest, self.size, limit, hashed=False):
                sink.write(piece)
                received += len(piece)
                if received < self.size:
                    # A layer that came in one piece is verified in a moment.
                    self.begun.settle()
                if self._fetches.is_closing.is_set():
                    raise UpstreamUnavailable("ecrsim is stopping")
                if time.monotonic() - looked > _GLANCE:
                    self._check_wanted()
                    looked = time.monotonic()
            sink.close()

    def _check_wanted(self) -> None:
        with self._call() as call:
            found = import_rows.find_layer(call, self._repository.id, self.digest)
        if found is None or found.upload_id != self._upload_id:
            raise RepositoryNotFoundException("The repository was deleted in the meantime")

    def _is_brought(self) -> bool:
        """Whether another process has brought the layer. Where that process is gone, this one begins."""
        if self._fetches.is_closing.is_set():
            self.whole.settle(error=UpstreamUnavailable("ecrsim is stopping"))
            return True
        with self._call() as call:
            if layers.stored_size(call, self._repository, self.digest) is not None:
                self._verified = True
                self.whole.settle()
                return True
            found = import_rows.find_layer(call, self._repository.id, self.digest)
        if found is not None and self._fetches.custody.is_alive(found.owner):
            self._upload_id = found.upload_id
            if self._source.runtime.blobs.upload_size(found.upload_id):
                self.begun.settle()
            return False
        self._fetches.carriers.run(self._work)
        return True

    def _call(self) -> AbstractContextManager[Call]:
        return self._source.runtime.call(self._source.caller)

    def _ready(self, call: Call) -> AbstractContextManager[None]:
        """With the repository's keys, which this thread may wait for. KmsException."""
        open_keys_now(call, self._repository)
        return nullcontext()

    def _on_trail(self, call: Call) -> None:
        """ECR gets the layer itself, on behalf of who pulled (recorded)."""
        source = self._source
        place = {"registryId": source.registry.account, "repositoryName": source.repository_name}
        request = orjson.dumps(place | {"layerDigest": self.digest})
        where = source.registry, source.repository_name
        record_call(call, "GetDownloadUrlForLayer", *where, request, b"null", None, plane="registry", is_read=True)
