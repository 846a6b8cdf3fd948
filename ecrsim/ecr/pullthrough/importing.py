"""Bringing an image from an upstream into its repository, by the verbs by which a push does.

Each step that writes is a call of its own, and none is open while the network is. What is cut off leaves layers that no
image names, which are collected, and no half of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import orjson

from ecrsim.core.digest import algorithm_of
from ecrsim.core.errors import InvalidParameterException
from ecrsim.core.facts import record
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.core.upstream.failures import UpstreamInvalid, UpstreamNotFound
from ecrsim.core.upstream.registry import UpstreamManifest, UpstreamRegistry, other_bytes
from ecrsim.ecr.images import lookup, pushing
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.layers import service as layers
from ecrsim.ecr.pullthrough import service
from ecrsim.ecr.pullthrough.events import CacheSynced
from ecrsim.ecr.pullthrough.inside import InsideEcr
from ecrsim.ecr.pullthrough.rules import Rule
from ecrsim.ecr.repositories.service import find_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.templates.rules import PULL_THROUGH_CACHE
from ecrsim.ecr.templates.service import create_repository_for
from ecrsim.records.trail import record_call

#: Indexes in indexes that are followed, and images that one index may list.
_DEEPEST, _WIDEST = 4, 1000
#: Referrers of one image that are fetched.
_MOST_REFERRERS = 100


class Importer:
    """Brings images of one repository of the cache, for one caller, on whose behalf ECR acts."""

    def __init__(
        self,
        runtime: Runtime,
        caller: Caller,
        registry: Registry,
        rule: Rule,
        name: str,
        upstream: UpstreamRegistry | InsideEcr,
    ) -> None:
        self._runtime, self._caller = runtime, caller
        self._registry, self._rule, self._name = registry, rule, name
        self._upstream = upstream
        self._upstream_name = rule.upstream_name(name)

    def image(self, reference: str, current: str | None) -> None:
        """The image of a tag or digest. `current`: the digest that the tag has here, which may be that of the upstream.

        UpstreamError, ServiceError.
        """
        tag = None if ":" in reference else reference
        if current is not None and self._upstream.current_digest(self._upstream_name, reference) == current:
            self._note(reference)
            return
        found = self._upstream.manifest(self._upstream_name, reference)
        if found.digest == current:
            self._note(reference)
            return
        self._store(found, [tag] if tag else [], 0)
        with self._call() as call, call.writing():
            repository = self._repository(call)
            if tag:
                service.note_check(call, repository.id, tag, has_answered=True)
            record(call, CacheSynced(repository, self._rule, tag, found.digest))

    def referrers(self, digest: str) -> None:
        """What refers to a digest. UpstreamError, ServiceError."""
        for descriptor in self._upstream.referrers(self._upstream_name, digest)[:_MOST_REFERRERS]:
            if not self._has_image(descriptor["digest"]):
                try:
                    found = self._upstream.manifest(self._upstream_name, descriptor["digest"])
                except UpstreamNotFound:
                    continue  # deleted since it was listed
                self._store(found, [], 0)
        self._note(f"referrers:{digest}")

    # --- images -------------------------------------------------------------------------------------------------------

    def _store(self, found: UpstreamManifest, tags: Sequence[str], depth: int) -> None:
        """The manifest, after all that it names: an image is there when it is whole."""
        try:
            parsed = manifests.read(found.content, found.media_type)
        except InvalidParameterException as error:
            raise UpstreamInvalid(f"the upstream has no image that ECR takes: {error.message}") from None
        if parsed.is_index:
            if depth >= _DEEPEST or len(parsed.references) > _WIDEST:
                raise UpstreamInvalid("the upstream's index lists too many images, or indexes in indexes without end")
            for digest in parsed.references:
                if not self._has_image(digest):
                    self._store(self._upstream.manifest(self._upstream_name, digest), [], depth + 1)
        else:
            sizes = {blob.digest: blob.size for blob in parsed.blobs}
            for digest in dict.fromkeys(parsed.required_layers):
                self._layer(digest, sizes[digest])
        with self._call() as call, call.writing():
            repository = self._repository(call)
            pushed = pushing.put_image(
                call,
                repository,
                found.content,
                parsed.media_type,
                tags,
                found.digest,
                push_rules=pushing.PushRules(repeatable=True, layers_required=False),
                origin="pull-through",
            )
            self._on_trail(call, found, pushed.media_type, tags)

    def _layer(self, digest: str, size: int) -> None:
        with self._call() as call:
            with call.writing():
                repository = self._repository(call)
                if layers.promise_layer(call, repository, digest) is not None:
                    return
                if isinstance(self._upstream, InsideEcr):
                    self._upstream.share(call, repository, self._upstream_name, digest)
                    return
                upload_id = layers.initiate_upload(call, repository)
            layers.open_upload(call, upload_id)
            try:
                self._receive(self._upstream, upload_id, digest, size)
                # The store has hashed them aside while they came: nothing is hashed twice.
                computed, _ = self._runtime.blobs.digest_upload(upload_id, algorithm_of(digest))
                if computed != digest:
                    raise other_bytes(self._rule.upstream_registry_url, digest)
                layers.complete_upload(call, repository, upload_id, digest, size)
            except BaseException:
                layers.discard_upload(call, upload_id)
                raise

    def _receive(self, upstream: UpstreamRegistry, upload_id: str, digest: str, size: int) -> None:
        limit = self._runtime.config.quota_layer_size
        with self._runtime.blobs.receive(upload_id, 0, limit) as sink:
            for piece in upstream.blob(self._upstream_name, digest, size, limit, hashed=False):
                sink.write(piece)
            sink.close()

    # --- the database -------------------------------------------------------------------------------------------------

    def _call(self) -> AbstractContextManager[Call]:
        return self._runtime.call(self._caller)

    def _repository(self, call: Call) -> Repository:
        return create_repository_for(call, self._registry, self._name, PULL_THROUGH_CACHE)

    def _has_image(self, digest: str) -> bool:
        with self._call() as call:
            repository = find_repository(call, self._registry, self._name)
            return repository is not None and lookup.image_by_digest(call, repository, digest) is not None

    def _note(self, asked: str) -> None:
        """The upstream was asked and had nothing new."""
        with self._call() as call, call.writing():
            service.note_check(call, self._repository(call).id, asked, has_answered=True)

    def _on_trail(self, call: Call, found: UpstreamManifest, media_type: str, tags: Sequence[str]) -> None:
        """ECR puts the image itself, on behalf of who pulled (recorded)."""
        place = {"registryId": self._registry.account, "repositoryName": self._name}
        tagged = {"imageTag": tags[0]} if tags else {}
        content = {"imageManifest": found.content.decode(), "imageManifestMediaType": media_type}
        request = orjson.dumps(place | content | tagged)
        answer = orjson.dumps({"image": place | {"imageId": {"imageDigest": found.digest, **tagged}} | content})
        record_call(call, "PutImage", self._registry, self._name, request, answer, None, plane="registry")
