"""What a cache does when something is asked for: nothing, or fetch it first, once for all who ask."""

from __future__ import annotations

import logging

from ecrsim.contract.questions import tag_context
from ecrsim.core.errors import (
    AccessDeniedException,
    RepositoryNotFoundException,
    ServiceError,
    ServiceUnavailableException,
    UnableToGetUpstreamImageException,
    UnableToListUpstreamImageReferrersException,
)
from ecrsim.core.facts import record
from ecrsim.core.misses import Fetch, Unfetched, Wanted
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.core.upstream.failures import (
    UpstreamBusy,
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotAllowed,
    UpstreamNotFound,
)
from ecrsim.ecr.access.authorization import authorize
from ecrsim.ecr.images import lookup
from ecrsim.ecr.images.rules import NOT_FOUND, UNFETCHED
from ecrsim.ecr.pullthrough import rules, service
from ecrsim.ecr.pullthrough.connection import connect
from ecrsim.ecr.pullthrough.events import CacheSynced
from ecrsim.ecr.pullthrough.flights import alone_with, flights_of
from ecrsim.ecr.pullthrough.importing import Importer
from ecrsim.ecr.repositories.rules import is_immutable
from ecrsim.ecr.repositories.service import find_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.templates.rules import PULL_THROUGH_CACHE
from ecrsim.ecr.templates.service import template_for

log = logging.getLogger("ecrsim.pullthrough")


def look(call: Call, wanted: Wanted) -> Fetch | None:
    """Fetch what a rule governs, is not here or no longer fresh, and the caller may have imported."""
    if wanted.registry.kind != "private":
        return None
    rule = rules.governing(service.rules_of(call, wanted.registry), wanted.repository_name)
    if rule is None or not _is_due(call, wanted):
        return None
    repository = find_repository(call, wanted.registry, wanted.repository_name)
    if not _may_import(call, wanted, repository):
        # Whoever lacks the permission sees what is here, or the same 404 as if there were no rule (documented).
        return None
    runtime, caller = call.runtime, call.caller
    return lambda: flights_of(runtime).join(wanted, lambda: _fetch(runtime, caller, rule, wanted))


def _is_due(call: Call, wanted: Wanted) -> bool:
    """Whether it is not here, or was last looked up too long ago."""
    repository = find_repository(call, wanted.registry, wanted.repository_name)
    if repository is None:
        return True
    if wanted.what == "referrers":
        checked, fresh = f"referrers:{wanted.reference}", rules.REFERRERS_ARE_FRESH
    elif ":" in wanted.reference:
        return lookup.image_by_digest(call, repository, wanted.reference) is None
    else:
        image = lookup.image_by_tag(call, repository, wanted.reference)
        if image is None:
            return True
        # An immutable tag is not refreshed (documented), and an archived image is nobody's to restore.
        filters = repository.image_tag_mutability_exclusion_filters
        if image.image_status != "ACTIVE" or is_immutable(repository.image_tag_mutability, filters, wanted.reference):
            return False
        checked, fresh = wanted.reference, rules.TAG_IS_FRESH
    last = service.last_check(call, repository.id, checked)
    if last is None:
        return True
    return rules.is_due(call.runtime.clock.now(), last[0], fresh, has_answered=last[1])


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


def _fetch(runtime: Runtime, caller: Caller, rule: rules.Rule, wanted: Wanted) -> Unfetched | None:
    """Bring it. None when it is here now, if only as it was before."""
    with alone_with(runtime, wanted.registry, wanted.repository_name):
        with runtime.call(caller) as call:
            if not _is_due(call, wanted):
                return None  # another process was quicker
            current = _current(call, wanted)
        try:
            upstream = connect(runtime, wanted.registry, rule)
            importer = Importer(runtime, caller, wanted.registry, rule, wanted.repository_name, upstream)
            if wanted.what == "image":
                importer.image(wanted.reference, current)
            else:
                importer.referrers(wanted.reference)
        except UpstreamError as error:
            failure = _failure(wanted, error)
        except RepositoryNotFoundException:
            return None  # its template could not be applied: what is asked for is looked up, and not there
        except ServiceUnavailableException:
            raise
        except ServiceError as error:
            failure = Unfetched("unavailable", error)
        else:
            return None
        log.warning("%s of %s was not fetched: %s", wanted.reference, wanted.repository_name, failure.error.message)
        _remember(runtime, caller, rule, wanted, failure)
        return failure


def _current(call: Call, wanted: Wanted) -> str | None:
    """The digest that a tag has here."""
    repository = find_repository(call, wanted.registry, wanted.repository_name)
    if repository is None or wanted.what != "image" or ":" in wanted.reference:
        return None
    image = lookup.image_by_tag(call, repository, wanted.reference)
    return image.image_digest if image else None


def _failure(wanted: Wanted, error: UpstreamError) -> Unfetched:
    kinds = {
        UpstreamNotFound: "missing",
        UpstreamDenied: "denied",
        UpstreamBusy: "busy",
        UpstreamInvalid: "invalid",
        UpstreamNotAllowed: "unreached",
    }
    kind = kinds.get(type(error), "unavailable")
    made = UnableToGetUpstreamImageException
    answer: ServiceError = made(str(error))
    if wanted.what == "referrers":
        answer = UnableToListUpstreamImageReferrersException(str(error))
    after = error.retry_after if isinstance(error, UpstreamBusy) else None
    return Unfetched(kind, answer, after)  # type: ignore[arg-type]


def _remember(runtime: Runtime, caller: Caller, rule: rules.Rule, wanted: Wanted, failure: Unfetched) -> None:
    """The upstream is left alone for a while where there is something to serve meanwhile."""
    with runtime.call(caller) as call, call.writing():
        repository = find_repository(call, wanted.registry, wanted.repository_name)
        if repository is None:
            return
        is_tag = wanted.what == "image" and ":" not in wanted.reference
        asked = wanted.reference if is_tag else f"referrers:{wanted.reference}"
        if is_tag or wanted.what == "referrers":
            # That it has nothing is an answer.
            service.note_check(call, repository.id, asked, has_answered=failure.kind == "missing")
        if wanted.what == "image":
            tag, digest = (wanted.reference, None) if is_tag else (None, wanted.reference)
            told = UNFETCHED.get(failure.kind, NOT_FOUND.code), failure.error.message
            record(call, CacheSynced(repository, rule, tag, digest, told))
