"""What a cache does when something is asked for: nothing, or fetch it first, once for all who ask."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ecrsim.blobs.base import UploadNotFound
from ecrsim.contract.questions import tag_context
from ecrsim.core.errors import (
    AccessDeniedException,
    InvalidParameterException,
    RepositoryNotFoundException,
    ServiceError,
    ServiceUnavailableException,
    UnableToGetUpstreamImageException,
)
from ecrsim.core.misses import (
    ComingImage,
    ComingLayer,
    Fetch,
    Fetched,
    Flight,
    Miss,
    Outcome,
    Unfetched,
    Wanted,
    persistently,
)
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.core.upstream.failures import UpstreamError
from ecrsim.core.web import Pieces
from ecrsim.ecr.access.authorization import authorize
from ecrsim.ecr.atrest.manifests import opened_manifest_now
from ecrsim.ecr.atrest.service import open_keys_now
from ecrsim.ecr.images import lookup
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.layers import service as layers
from ecrsim.ecr.pullthrough import import_rows, rules, service, upstream_failures
from ecrsim.ecr.pullthrough.connection import connect
from ecrsim.ecr.pullthrough.fetches import Fetches, fetches_of
from ecrsim.ecr.pullthrough.flights import alone_with
from ecrsim.ecr.pullthrough.importing import Import, Importer
from ecrsim.ecr.pullthrough.layer_import import ImportSource, LayerImport
from ecrsim.ecr.pullthrough.own_upstream import InsideEcr
from ecrsim.ecr.repositories.rules import is_immutable
from ecrsim.ecr.repositories.service import find_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.templates.rules import PULL_THROUGH_CACHE
from ecrsim.ecr.templates.service import template_for


def look(call: Call, wanted: Wanted, is_here: bool | None) -> Fetch | None:
    """Fetch what a rule governs, is not here or no longer fresh, and the caller may have imported."""
    if wanted.registry.kind != "private":
        return None
    rule = rules.governing(service.rules_of(call, wanted.registry), wanted.repository_name)
    if rule is None or not _is_due(call, wanted, is_here):
        return None
    repository = find_repository(call, wanted.registry, wanted.repository_name)
    if repository is None and wanted.what == "layer":
        return None
    if not _may_import(call, wanted, repository):
        # Whoever lacks the permission sees what is here, or the same 404 as if there were no rule (documented).
        return None
    runtime, caller = call.runtime, call.caller
    return lambda: _begin(runtime, caller, rule, wanted)


# --- whether it is due ------------------------------------------------------------------------------------------------


def _is_due(call: Call, wanted: Wanted, is_here: bool | None) -> bool:
    """Whether it is not here, or was last looked up too long ago."""
    if is_here is False:
        return True
    if wanted.what == "layer":
        return _is_layer_expected(call, wanted)
    if wanted.what == "referrers":
        return _are_referrers_due(call, wanted)
    if ":" not in wanted.reference:
        return _is_tag_due(call, wanted, is_here=bool(is_here))
    if is_here:
        return False
    repository = find_repository(call, wanted.registry, wanted.repository_name)
    return repository is None or lookup.image_by_digest(call, repository, wanted.reference) is None


def _is_layer_expected(call: Call, wanted: Wanted) -> bool:
    """Whether something that is here, or on its way, names a layer that nobody has looked for yet."""
    repository = find_repository(call, wanted.registry, wanted.repository_name)
    return repository is not None and _size_of(call, repository, wanted.reference) is not None


def _are_referrers_due(call: Call, wanted: Wanted) -> bool:
    repository = find_repository(call, wanted.registry, wanted.repository_name)
    last = service.last_check(call, repository.id, f"referrers:{wanted.reference}") if repository else None
    if last is None or not last.has_answered:
        return True
    return rules.is_due(call.runtime.clock.now(), last.checked_at, rules.REFERRERS_ARE_FRESH)


def _is_tag_due(call: Call, wanted: Wanted, *, is_here: bool) -> bool:
    """A tag that was found, and is known to be fresh, costs no query: it is pulled as a local image is."""
    fresh, now = service.fresh_tags(call), call.runtime.clock.now()
    place = wanted.registry, wanted.repository_name, wanted.reference
    if is_here and not rules.is_due(now, fresh.get(place), rules.TAG_IS_FRESH):
        return False
    found = service.cached_tag(call, *place)
    if found is None:
        return True
    # An immutable tag is not refreshed (documented), and an archived image is nobody's to restore.
    filters = found.image_tag_mutability_exclusion_filters
    if found.image_status != "ACTIVE" or is_immutable(found.image_tag_mutability, filters, wanted.reference):
        return False
    if found.has_answered:
        service.remember_fresh(fresh, place, found.checked_at)
    return rules.is_due(now, found.checked_at, rules.TAG_IS_FRESH, has_answered=bool(found.has_answered))


def _may_import(call: Call, wanted: Wanted, repository: Repository | None) -> bool:
    """The permissions that ECR checks besides that of the pull (documented)."""
    place = wanted.registry, wanted.repository_name
    try:
        authorize(call, "BatchImportUpstreamImage", *place)
        if repository is None:
            template = template_for(call, *place, PULL_THROUGH_CACHE)
            tags = template.resource_tags if template else None
            authorize(call, "CreateRepository", *place, tag_context(tags))
            if tags:
                authorize(call, "TagResource", *place, tag_context(tags))
    except AccessDeniedException:
        return False
    return True


# --- fetching it ------------------------------------------------------------------------------------------------------

_FETCH: dict[str, Callable[[Fetches, Runtime, Caller, rules.Rule, Wanted, Flight], None]]


def _begin(runtime: Runtime, caller: Caller, rule: rules.Rule, wanted: Wanted) -> Flight:
    fetches = fetches_of(runtime)
    return fetches.flights.join(wanted, partial(_fly, fetches, runtime, caller, rule, wanted))


def _fly(fetches: Fetches, runtime: Runtime, caller: Caller, rule: rules.Rule, wanted: Wanted, flight: Flight) -> None:
    """Bring it, and end the flight when it is here or, for who asks for that, when its beginning is."""
    try:
        _FETCH[wanted.what](fetches, runtime, caller, rule, wanted, flight)
    except RepositoryNotFoundException:
        # Its template could not be applied, or it went meanwhile: what is asked for is looked up, and not there.
        flight.settle()
    except ServiceUnavailableException:
        raise
    except (UpstreamError, ServiceError) as error:
        failure = upstream_failures.unfetched(wanted, error)
        is_cached = upstream_failures.remember(runtime, caller, rule, wanted, failure)
        flight.settle(None if is_cached else failure)


def _settle_with(flight: Flight, wanted: Wanted, part: Flight, outcome: Outcome = None) -> None:
    """End a flight when a part of the work is over, whose failure was told already."""

    def settle() -> None:
        try:
            part.result()
        except (RepositoryNotFoundException, ServiceUnavailableException) as error:
            flight.settle(error=None if isinstance(error, RepositoryNotFoundException) else error)
        except (UpstreamError, ServiceError) as error:
            flight.settle(upstream_failures.unfetched(wanted, error))
        except Exception as error:  # noqa: BLE001 - it is raised where the outcome is asked for
            flight.settle(error=error)
        else:
            flight.settle(outcome)

    part.when_over(settle)


def _fetch_image(
    fetches: Fetches, runtime: Runtime, caller: Caller, rule: rules.Rule, wanted: Wanted, flight: Flight
) -> None:
    begun: Import | None
    with alone_with(runtime, wanted.registry, wanted.repository_name, wanted.reference):
        with runtime.call(caller) as call:
            row = _image_under_way(call, fetches, wanted)
            if row is None and not _is_due(call, wanted, None):
                flight.settle()  # another was quicker
                return
            current = _current(call, wanted)
        if row is None:
            upstream = connect(runtime, wanted.registry, rule)
            begun = Importer(fetches, runtime, caller, wanted, rule, upstream).image(wanted.reference, current)
            if begun is None:
                flight.settle()
                return
            coming = ComingImage(begun.root.digest, begun.media_type, begun.root.content, begun.pulled)
        else:
            begun = fetches.imports.find(row.import_id)
            pulled = begun.pulled if begun else _nobody
            with runtime.call(caller) as call:
                content = opened_manifest_now(call, row.manifest, row.image_digest)
            coming = ComingImage(row.image_digest, row.media_type, content, pulled)
    if wanted.streams and current is None:
        # What is newer than an image that is cached comes as a whole: if it fails, the cached one is served.
        flight.settle(coming)
    elif begun is not None:
        _settle_with(flight, wanted, begun.whole)
    elif row is not None:
        fetches.watch.until(partial(_is_brought, fetches, runtime, caller, wanted, row, flight))


def _nobody() -> None:
    """Whoever brings it is another process, and is not told of its pull."""


def _image_under_way(call: Call, fetches: Fetches, wanted: Wanted) -> import_rows.ImageRow | None:
    repository = find_repository(call, wanted.registry, wanted.repository_name)
    row = import_rows.find_image(call, repository.id, wanted.reference) if repository else None
    return row if row is not None and fetches.custody.is_alive(row.owner) else None


def _is_brought(
    fetches: Fetches, runtime: Runtime, caller: Caller, wanted: Wanted, row: import_rows.ImageRow, flight: Flight
) -> bool:
    """Whether another process has brought an image, or given up."""
    if fetches.is_closing.is_set():
        flight.settle()
        return True
    with runtime.call(caller) as call:
        if import_rows.is_there(call, row.import_id, row.image_digest) and fetches.custody.is_alive(row.owner):
            return False
        repository = find_repository(call, wanted.registry, wanted.repository_name)
        is_here = repository is None or lookup.image_by_digest(call, repository, row.image_digest) is not None
    error = UnableToGetUpstreamImageException("the image was not fetched; see the log of the process that tried")
    flight.settle(None if is_here else Unfetched("unavailable", error))
    return True


def _current(call: Call, wanted: Wanted) -> str | None:
    """The digest that a tag has here."""
    if ":" in wanted.reference:
        return None
    found = service.cached_tag(call, wanted.registry, wanted.repository_name, wanted.reference)
    return found.image_digest if found else None


def _fetch_referrers(
    fetches: Fetches, runtime: Runtime, caller: Caller, rule: rules.Rule, wanted: Wanted, flight: Flight
) -> None:
    place = wanted.registry, wanted.repository_name
    with alone_with(runtime, *place, f"referrers:{wanted.reference}"):
        with runtime.call(caller) as call:
            is_due = _are_referrers_due(call, wanted)
        if is_due:
            upstream = connect(runtime, wanted.registry, rule)
            Importer(fetches, runtime, caller, wanted, rule, upstream).referrers(wanted.reference)
    flight.settle()


def _fetch_layer(
    fetches: Fetches, runtime: Runtime, caller: Caller, rule: rules.Rule, wanted: Wanted, flight: Flight
) -> None:
    """A layer of an image that is on its way, or one that is missing by itself."""
    digest = wanted.reference
    with runtime.call(caller) as call:
        repository = find_repository(call, wanted.registry, wanted.repository_name)
        if repository is None or layers.stored_size(call, repository, digest) is not None:
            flight.settle()
            return
        layer: LayerImport | None = fetches.layers.find((repository.id, digest))
        size = None
        if layer is None:
            open_keys_now(call, repository)
            size = _size_of(call, repository, digest)
    if layer is None:
        upstream = connect(runtime, wanted.registry, rule)
        if isinstance(upstream, InsideEcr):
            persistently(None, partial(_share, runtime, caller, upstream, repository, rule, wanted))
            flight.settle()
            return
        source = ImportSource(runtime, caller, wanted.registry, rule, wanted.repository_name, upstream)
        layer = _missing_layer(fetches, source, repository, digest, size)
    layer.start()
    if wanted.streams:
        coming = ComingLayer(layer.size, partial(_body, layer, wanted))
        _settle_with(flight, wanted, layer.begun, coming)
    else:
        _settle_with(flight, wanted, layer.whole)


def _share(
    runtime: Runtime,
    caller: Caller,
    upstream: InsideEcr,
    into: Repository,
    rule: rules.Rule,
    wanted: Wanted,
    fetched: Fetched,
) -> None:
    with runtime.call(caller) as call, call.writing():
        call.lookups["fetched"] = fetched
        upstream.share(call, into, rule.upstream_name(wanted.repository_name), wanted.reference)


def _body(layer: LayerImport, wanted: Wanted, first: int, length: int) -> Pieces:
    """Of a layer that has begun. Who asks when it has just ended is answered by what became of it. Miss."""
    try:
        return layer.body(first, length)
    except UploadNotFound:
        raise Miss(wanted, partial(_end_of, layer, wanted)) from None


def _end_of(layer: LayerImport, wanted: Wanted) -> Flight:
    flight = Flight()
    _settle_with(flight, wanted, layer.whole)
    return flight


def _missing_layer(
    fetches: Fetches, source: ImportSource, repository: Repository, digest: str, size: int | None
) -> LayerImport:
    if size is None:
        size = source.upstream.blob_size(source.upstream_name, digest)
    known = size
    layer: LayerImport = fetches.layers.join(
        (repository.id, digest), lambda: LayerImport(fetches, source, repository, digest, known)
    )
    return layer


def _size_of(call: Call, repository: Repository, digest: str) -> int | None:
    """As a row has it whose bytes are lost, a row of what comes, or a manifest."""
    size = layers.layer_size(call, repository, digest)
    row = import_rows.find_layer(call, repository.id, digest) if size is None else None
    if size is not None or row is not None:
        return size if row is None else row.layer_size
    for content in import_rows.manifests_naming(call, repository.id, digest):
        try:
            parsed = manifests.read(content, None)
        except InvalidParameterException:
            continue
        for blob in parsed.blobs:
            if blob.digest == digest:
                return blob.size
    return None


_FETCH = {"image": _fetch_image, "referrers": _fetch_referrers, "layer": _fetch_layer}
