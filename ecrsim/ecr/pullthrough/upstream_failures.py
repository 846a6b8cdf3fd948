"""What an upstream's failure means for who pulls, and what is remembered of it."""

from __future__ import annotations

import logging

from ecrsim.core.errors import (
    ServiceError,
    UnableToGetUpstreamImageException,
    UnableToGetUpstreamLayerException,
    UnableToListUpstreamImageReferrersException,
)
from ecrsim.core.facts import record
from ecrsim.core.misses import Unfetched, Wanted
from ecrsim.core.runtime import Caller, Runtime
from ecrsim.core.upstream.failures import (
    UpstreamBusy,
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotAllowed,
    UpstreamNotFound,
)
from ecrsim.ecr.images.rules import NOT_FOUND, UNFETCHED
from ecrsim.ecr.pullthrough import service
from ecrsim.ecr.pullthrough.events import CacheSynced
from ecrsim.ecr.pullthrough.rules import Rule
from ecrsim.ecr.repositories.service import find_repository

log = logging.getLogger("ecrsim.pullthrough")

_KINDS = {
    UpstreamNotFound: "missing",
    UpstreamDenied: "denied",
    UpstreamBusy: "busy",
    UpstreamInvalid: "invalid",
    UpstreamNotAllowed: "unreached",
}
_ANSWERS: dict[str, type[ServiceError]] = {
    "image": UnableToGetUpstreamImageException,
    "layer": UnableToGetUpstreamLayerException,
    "referrers": UnableToListUpstreamImageReferrersException,
}


def unfetched(wanted: Wanted, error: UpstreamError | ServiceError) -> Unfetched:
    """Of a ServiceError: the upstream gave it, and it could not be stored."""
    if isinstance(error, ServiceError):
        return Unfetched("unavailable", error)
    kind = _KINDS.get(type(error), "unavailable")
    after = error.retry_after if isinstance(error, UpstreamBusy) else None
    return Unfetched(kind, _ANSWERS[wanted.what](str(error)), after)  # type: ignore[arg-type]


def remember(runtime: Runtime, caller: Caller, rule: Rule, wanted: Wanted, failure: Unfetched) -> bool:
    """Tell of it, and leave the upstream alone for a while where there is something to serve meanwhile.

    True where that is a list of referrers. An image that is cached is found by whoever looks.
    """
    log.warning("%s of %s was not fetched: %s", wanted.reference, wanted.repository_name, failure.error.message)
    if wanted.what == "layer":
        return False
    with runtime.call(caller) as call, call.writing():
        repository = find_repository(call, wanted.registry, wanted.repository_name)
        if repository is None:
            return False
        # That it has nothing is an answer.
        is_answer = failure.kind == "missing"
        if wanted.what == "referrers":
            asked = f"referrers:{wanted.reference}"
            if not is_answer:
                return service.note_failed_list(call, repository.id, asked)
            service.note_check(call, repository.id, asked, has_answered=True)
            return False
        is_tag = ":" not in wanted.reference
        if is_tag:
            service.note_check(call, repository.id, wanted.reference, has_answered=is_answer)
        tag, digest = (wanted.reference, None) if is_tag else (None, wanted.reference)
        told = UNFETCHED.get(failure.kind, NOT_FOUND.code), failure.error.message
        record(call, CacheSynced(repository, rule, tag, digest, told))
        return False
