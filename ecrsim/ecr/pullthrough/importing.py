"""Bringing an image from an upstream into its repository, by the verbs by which a push does.

First the manifests come, of an index with all that it lists. Pullers are given them from then on, and the layers as
they come; the images are there when all of their layers are. Each step that writes is a call of its own, and none is
open while the network is. What is cut off leaves layers that no image names, which are collected, and no half image.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import orjson

from ecrsim.core import ids
from ecrsim.core.errors import InvalidParameterException, RepositoryNotFoundException, ServiceError
from ecrsim.core.facts import record
from ecrsim.core.misses import Flight, Miss, Wanted, write_persistently
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.core.upstream.failures import UpstreamError, UpstreamInvalid, UpstreamNotFound
from ecrsim.core.upstream.registry import UpstreamManifest, UpstreamRegistry
from ecrsim.ecr.atrest.manifests import sealed_manifest
from ecrsim.ecr.images import lookup, pushing
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.images.pulls import record_pull
from ecrsim.ecr.layers import service as layers
from ecrsim.ecr.pullthrough import import_rows, service, upstream_failures
from ecrsim.ecr.pullthrough.events import CacheSynced
from ecrsim.ecr.pullthrough.fetches import Fetches
from ecrsim.ecr.pullthrough.layer_import import ImportSource, LayerImport
from ecrsim.ecr.pullthrough.own_upstream import InsideEcr
from ecrsim.ecr.pullthrough.rules import Rule
from ecrsim.ecr.repositories.service import find_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.templates.rules import PULL_THROUGH_CACHE
from ecrsim.ecr.templates.service import create_repository_for
from ecrsim.records.trail import record_call

#: Indexes in indexes that are followed; images of one import, and bytes of their manifests, which are held in memory.
_DEEPEST, _MOST_IMAGES, _LARGEST = 4, 1000, 64 * 1024 * 1024
#: Referrers of one image that are fetched.
_MOST_REFERRERS = 100
#: Layers of one import that come at once, besides those that somebody waits for.
_ABREAST = 4


class _Found(NamedTuple):
    """A manifest of the upstream, and what was read in it."""

    manifest: UpstreamManifest
    parsed: manifests.Manifest


class Import:
    """The images that one tag or digest stands for, on their way. `whole` is over when they are there."""

    def __init__(
        self, fetches: Fetches, source: ImportSource, wanted: Wanted, found: Sequence[_Found], repository: Repository
    ) -> None:
        self._fetches, self._source, self._wanted, self._repository = fetches, source, wanted, repository
        self._found = found
        self._tag = None if ":" in wanted.reference else wanted.reference
        self.import_id = ids.new_uuid()
        self.whole = Flight()
        self._was_pulled = False
        self._lock = threading.Lock()
        self._waiting: list[LayerImport] = []
        self._missing = 0

    @property
    def root(self) -> UpstreamManifest:
        return self._found[-1].manifest

    @property
    def media_type(self) -> str:
        return self._found[-1].parsed.media_type

    def pulled(self) -> None:
        """It was given to somebody before it was there."""
        self._was_pulled = True

    def note(self, call: Call, owner: int) -> None:
        """In the write transaction in which it begins: from here on, others see it."""
        for each in self._found:
            tag = self._tag if each is self._found[-1] else None
            sealed = sealed_manifest(call, self._repository, each.manifest.digest, each.manifest.content)
            content = each.manifest.digest, self._repository.id, tag, each.parsed.media_type, sealed
            import_rows.add_image(call, import_rows.ImageRow(self.import_id, *content, owner))
            place = {"repositoryName": self._source.repository_name}
            image_id = {"imageTag": tag} if tag else {"imageDigest": each.manifest.digest}
            _on_trail(self._source, call, "BatchGetImage", place | {"imageIds": [image_id]})

    def begin(self, missing: Sequence[LayerImport]) -> None:
        """Bring what is missing, a few at a time."""
        self._missing = len(missing)
        self._waiting = list(missing[_ABREAST:])
        if not missing:
            self._finish()
        for layer in missing:
            layer.join(self)
            layer.whole.when_over(lambda layer=layer: self._layer_over(layer))  # type: ignore[misc]
        for layer in missing[:_ABREAST]:
            layer.start()

    def _layer_over(self, layer: LayerImport) -> None:
        try:
            layer.whole.result()
        except Exception as error:  # noqa: BLE001 - what it was decides what becomes of the import
            self._fail(error)
            return
        with self._lock:
            self._missing -= 1
            is_last = not self._missing
            following = self._waiting.pop(0) if self._waiting else None
        if following is not None:
            following.start()
        if is_last:
            self._finish()

    def _fail(self, error: Exception) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if self.whole.is_over:
            return
        runtime, caller = self._source.runtime, self._source.caller
        try:
            with runtime.call(caller) as call, call.writing():
                import_rows.drop_import(call, self.import_id)
            is_told = self._wanted.what == "image" and not isinstance(error, RepositoryNotFoundException)
            if is_told and not self._fetches.is_closing.is_set() and isinstance(error, UpstreamError | ServiceError):
                failure = upstream_failures.unfetched(self._wanted, error)
                upstream_failures.remember(runtime, caller, self._source.rule, self._wanted, failure)
        finally:
            self.whole.settle(error=error)
            for layer in waiting:
                layer.leave(self, error)

    def _finish(self) -> None:
        """All layers are there, and with the last of them, as a rule, the images."""
        source = self._source
        try:
            write_persistently(source.runtime, source.caller, self._put_the_rest)
        except Exception as error:  # noqa: BLE001 - it is told to all who wait
            self._fail(error)
        else:
            self.whole.settle()

    def _put_the_rest(self, call: Call) -> None:
        for each in self._found:
            if import_rows.is_there(call, self.import_id, each.manifest.digest):
                self._put(call, each)
        if lookup.image_by_digest(call, self._repository, self.root.digest) is None:
            raise RepositoryNotFoundException("The repository was deleted in the meantime")

    def put_what_is_whole(self, call: Call) -> None:
        for each in self._found:
            if import_rows.is_there(call, self.import_id, each.manifest.digest) and self._is_whole(call, each.parsed):
                try:
                    with call.connection.begin_nested():
                        self._put(call, each)
                except (ServiceError, Miss):
                    return  # it is told, or done, at the end, and no fault of the layer

    def _is_whole(self, call: Call, parsed: manifests.Manifest) -> bool:
        of = call, self._repository
        return all(lookup.image_by_digest(*of, digest) for digest in parsed.references) and all(
            layers.layer_size(*of, digest) is not None for digest in parsed.required_layers
        )

    def _put(self, call: Call, found: _Found) -> None:
        content, is_root = found.manifest, found is self._found[-1]
        tags = [self._tag] if is_root and self._tag else []
        import_rows.drop_image(call, self.import_id, content.digest)
        pushing.put_image(
            call,
            self._repository,
            content.content,
            found.parsed.media_type,
            tags,
            content.digest,
            push_rules=pushing.PushRules(repeatable=True, layers_required=False),
            origin="pull-through",
        )
        _put_on_trail(self._source, call, found, tags)
        if is_root:
            self._conclude(call)

    def _conclude(self, call: Call) -> None:
        digest = self.root.digest
        if self._tag:
            service.note_check(call, self._repository.id, self._tag, has_answered=True)
        if self._wanted.what == "image":
            record(call, CacheSynced(self._repository, self._source.rule, self._tag, digest))
        image = lookup.image_by_digest(call, self._repository, digest) if self._was_pulled else None
        if image is not None:
            record_pull(call, self._source.registry, image)


class Importer:
    """Begins imports into one repository of the cache, for one caller, on whose behalf ECR acts."""

    def __init__(
        self,
        fetches: Fetches,
        runtime: Runtime,
        caller: Caller,
        wanted: Wanted,
        rule: Rule,
        upstream: UpstreamRegistry | InsideEcr,
    ) -> None:
        self._fetches, self._runtime, self._wanted, self._upstream = fetches, runtime, wanted, upstream
        # What is inside is shared by `_share`, and no source of a layer.
        place = wanted.registry, rule, wanted.repository_name
        self._source = ImportSource(runtime, caller, *place, upstream)  # type: ignore[arg-type]
        self._upstream_name = rule.upstream_name(wanted.repository_name)

    def image(self, reference: str, current: str | None) -> Import | None:
        """Begin with the image of a tag or digest; None when the upstream has nothing new.

        `current`: the digest that the tag has here, which may be that of the upstream. UpstreamError, ServiceError.
        """
        if current is not None and self._upstream.current_digest(self._upstream_name, reference) == current:
            self._note(reference)
            return None
        root = self._upstream.manifest(self._upstream_name, reference)
        if root.digest == current:
            self._note(reference)
            return None
        return self._begin(self._wanted, root)

    def referrers(self, digest: str) -> None:
        """What refers to a digest, as a whole. UpstreamError, ServiceError."""
        descriptors = self._upstream.referrers(self._upstream_name, digest)[:_MOST_REFERRERS]
        for descriptor in descriptors:
            if not self._has_image(descriptor["digest"]):
                try:
                    found = self._upstream.manifest(self._upstream_name, descriptor["digest"])
                except UpstreamNotFound:
                    continue  # deleted since it was listed
                under_way = self._begin(self._wanted._replace(reference=descriptor["digest"]), found)
                under_way.whole.wait()
                under_way.whole.result()
        self._note(f"referrers:{digest}", is_list=True)

    # --- manifests ----------------------------------------------------------------------------------------------------

    def _begin(self, wanted: Wanted, root: UpstreamManifest) -> Import:
        found = self._read(root, 0, {})
        owner = self._fetches.custody.number()
        self._runtime.blobs.learn([digest for each in found for digest in each.parsed.required_layers])

        def note(call: Call) -> tuple[Import, Repository, dict[str, int]]:
            repository = self._repository(call, wanted)
            under_way = Import(self._fetches, self._source, wanted, found, repository)
            under_way.note(call, owner)
            return under_way, repository, self._missing(call, repository, found)

        if self._runtime.keyed_blobs is not None:
            # Layers are encrypted for it with no transaction open: it has to be there by then.
            write_persistently(self._runtime, self._source.caller, lambda call: self._repository(call, wanted))
        under_way, repository, missing = write_persistently(self._runtime, self._source.caller, note)
        self._fetches.imports.join(under_way.import_id, lambda: under_way)
        under_way.begin([self._layer(repository, digest, size) for digest, size in missing.items()])
        return under_way

    def _repository(self, call: Call, wanted: Wanted) -> Repository:
        if service.find_rule(call, wanted.registry, self._source.rule.ecr_repository_prefix) != self._source.rule:
            raise RepositoryNotFoundException("The rule was changed or deleted in the meantime")
        return create_repository_for(call, wanted.registry, wanted.repository_name, PULL_THROUGH_CACHE)

    def _read(self, manifest: UpstreamManifest, depth: int, known: dict[str, int]) -> list[_Found]:
        """The manifest, after all that it lists and that is not here. `known`: digest → bytes of what was read."""
        try:
            parsed = manifests.read(manifest.content, manifest.media_type)
        except InvalidParameterException as error:
            raise UpstreamInvalid(f"the upstream has no image that ECR takes: {error.message}") from None
        if len(parsed.blobs) - 1 > self._runtime.config.quota_layers_per_image:
            raise UpstreamInvalid("the upstream's image has more layers than ECR takes")
        known[manifest.digest] = len(manifest.content)
        following = [digest for digest in parsed.references if digest not in known and not self._has_image(digest)]
        if (
            (following and depth >= _DEEPEST)
            or len(known) + len(following) > _MOST_IMAGES
            or sum(known.values()) > _LARGEST
        ):
            raise UpstreamInvalid("the upstream's index lists too much, or indexes in indexes without end")
        found: list[_Found] = []
        for digest in following:
            if digest not in known:
                found += self._read(self._upstream.manifest(self._upstream_name, digest), depth + 1, known)
        return [*found, _Found(manifest, parsed)]

    def _missing(self, call: Call, repository: Repository, found: Sequence[_Found]) -> dict[str, int]:
        """Digest → size of the layers that have to come; those of this ecrsim itself are shared at once."""
        missing: dict[str, int] = {}
        for each in found:
            sizes = {blob.digest: blob.size for blob in each.parsed.blobs}
            for digest in each.parsed.required_layers:
                if digest in missing or layers.promise_layer(call, repository, digest) is not None:
                    continue
                if isinstance(self._upstream, InsideEcr):
                    self._upstream.share(call, repository, self._upstream_name, digest)
                else:
                    missing[digest] = sizes[digest]
        return missing

    def _layer(self, repository: Repository, digest: str, size: int) -> LayerImport:
        key, of = (repository.id, digest), (self._fetches, self._source, repository)
        layer: LayerImport = self._fetches.layers.join(key, lambda: LayerImport(*of, digest, size))
        return layer

    # --- the database -------------------------------------------------------------------------------------------------

    def _call(self) -> AbstractContextManager[Call]:
        return self._runtime.call(self._source.caller)

    def _has_image(self, digest: str) -> bool:
        with self._call() as call:
            repository = find_repository(call, self._wanted.registry, self._wanted.repository_name)
            return repository is not None and lookup.image_by_digest(call, repository, digest) is not None

    def _note(self, asked: str, *, is_list: bool = False) -> None:
        """The upstream was asked and had nothing new, or nothing more."""
        place = self._wanted.registry, self._wanted.repository_name

        def note(call: Call) -> None:
            repository = create_repository_for(call, *place, PULL_THROUGH_CACHE)
            service.note_check(call, repository.id, asked, has_answered=True)
            if is_list:
                subject: dict[str, object] = {"subjectId": {"imageDigest": self._wanted.reference}}
                _on_trail(self._source, call, "ListImageReferrers", {"repositoryName": place[1]} | subject)

        write_persistently(self._runtime, self._source.caller, note)


def _on_trail(source: ImportSource, call: Call, operation: str, request: dict[str, object]) -> None:
    """ECR reads the upstream itself, on behalf of who pulled (recorded)."""
    sent = orjson.dumps({"registryId": source.registry.account} | request)
    where = source.registry, source.repository_name
    record_call(call, operation, *where, sent, b"null", None, plane="registry", is_read=True)


def _put_on_trail(source: ImportSource, call: Call, found: _Found, tags: Sequence[str]) -> None:
    """ECR puts the image itself, on behalf of who pulled (recorded)."""
    place = {"registryId": source.registry.account, "repositoryName": source.repository_name}
    tagged = {"imageTag": tags[0]} if tags else {}
    content = {
        "imageManifest": found.manifest.content.decode(),
        "imageManifestMediaType": found.parsed.media_type,
    }
    request = orjson.dumps(place | content | tagged)
    answer = orjson.dumps({"image": place | {"imageId": {"imageDigest": found.manifest.digest, **tagged}} | content})
    record_call(call, "PutImage", source.registry, source.repository_name, request, answer, None, plane="registry")
