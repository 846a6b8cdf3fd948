"""Verbs on the rules of a cache, and on when upstreams were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select, update

from ecrsim.core.belonging import of_registry, rows_of, values_of
from ecrsim.core.entries import is_among
from ecrsim.core.errors import (
    LimitExceededException,
    PullThroughCacheRuleAlreadyExistsException,
    PullThroughCacheRuleNotFoundException,
)
from ecrsim.core.query import Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.access.authorization import memory
from ecrsim.ecr.access.directory import forget_decisions
from ecrsim.ecr.images.tables import image_tags, images
from ecrsim.ecr.pullthrough.rules import REFERRERS_ARE_FRESH, REST, Rule
from ecrsim.ecr.pullthrough.tables import pull_through_cache_rules, upstream_checks
from ecrsim.ecr.repositories.tables import NAMED, repositories

_COLUMNS = [pull_through_cache_rules.c[name] for name in Rule._fields]
_OF = of_registry(pull_through_cache_rules)
_ALL = Query(select(*_COLUMNS).where(_OF), Rule)


#: (registry, repository name, tag) → when the upstream said last what the tag names.
FreshTags = dict[tuple[Registry, str, str], int]
#: Tags that are remembered.
_MOST_FRESH = 10_000


class UpstreamCheck(NamedTuple):
    """When an upstream was asked (epoch milliseconds), and whether it answered."""

    checked_at: int
    has_answered: bool


class CachedTag(NamedTuple):
    """A tag that is here, how its repository treats it, and when the upstream was asked for it."""

    image_digest: str
    image_status: str
    image_tag_mutability: str
    image_tag_mutability_exclusion_filters: list[dict[str, str]] | None
    checked_at: int | None
    has_answered: bool | None


_CACHED = Query(
    select(
        images.c.image_digest,
        images.c.image_status,
        repositories.c.image_tag_mutability,
        repositories.c.image_tag_mutability_exclusion_filters,
        upstream_checks.c.checked_at,
        upstream_checks.c.has_answered,
    )
    .join(image_tags, image_tags.c.image_id == images.c.id)
    .join(repositories, repositories.c.id == images.c.repository_id)
    .join(
        upstream_checks,
        (upstream_checks.c.repository_id == repositories.c.id) & (upstream_checks.c.asked == image_tags.c.image_tag),
        isouter=True,
    )
    .where(NAMED, image_tags.c.repository_id == repositories.c.id, image_tags.c.image_tag == bindparam("image_tag")),
    CachedTag,
)
_CHECKED = Query(
    select(upstream_checks.c.checked_at, upstream_checks.c.has_answered).where(
        upstream_checks.c.repository_id == bindparam("repository_id"), upstream_checks.c.asked == bindparam("asked")
    ),
    UpstreamCheck,
)


class _Remembered(NamedTuple):
    """What one generation of rules and policies had: the rules by registry, and when tags were found to be fresh."""

    generation: str | None
    rules: dict[Registry, list[Rule]]
    fresh: FreshTags


def _remembered(call: Call) -> _Remembered:
    generation = memory(call).generation
    known = call.runtime.memory.get("pullthrough")
    if not isinstance(known, _Remembered) or known.generation != generation:
        known = call.runtime.memory["pullthrough"] = _Remembered(generation, {}, {})
    return known


def fresh_tags(call: Call) -> FreshTags:
    return _remembered(call).fresh


def remember_fresh(fresh: FreshTags, place: tuple[Registry, str, str], checked_at: int | None) -> None:
    if checked_at is None:
        return
    if len(fresh) >= _MOST_FRESH:
        fresh.clear()
    fresh[place] = checked_at


def rules_of(call: Call, registry: Registry) -> list[Rule]:
    """All rules of a registry, remembered until one changes: each pull asks for them."""
    known = _remembered(call).rules
    found = known.get(registry)
    if found is None:
        found = known[registry] = _ALL.all(call.connection, **registry._asdict())
    return found


def find_rule(call: Call, registry: Registry, prefix: str) -> Rule | None:
    query = select(*_COLUMNS).where(_OF, pull_through_cache_rules.c.ecr_repository_prefix == prefix)
    row = call.connection.execute(query, registry._asdict()).first()
    return Rule._make(row) if row else None


def get_rule(call: Call, registry: Registry, prefix: str) -> Rule:
    found = find_rule(call, registry, prefix)
    if found is None:
        raise PullThroughCacheRuleNotFoundException(prefix=prefix, registry_id=registry.account)
    return found


def add_rule(call: Call, registry: Registry, rule: Rule) -> None:
    """PullThroughCacheRuleAlreadyExistsException, LimitExceededException."""
    if find_rule(call, registry, rule.ecr_repository_prefix) is not None:
        raise PullThroughCacheRuleAlreadyExistsException(
            prefix=rule.ecr_repository_prefix, registry_id=registry.account
        )
    count = select(func.count()).select_from(pull_through_cache_rules).where(_OF)
    if call.connection.execute(count, registry._asdict()).scalar_one() >= call.runtime.config.quota_cache_rules:
        raise LimitExceededException(
            "The maximum number of pull through cache rules "
            f"in the registry with id '{registry.account}' has been reached"  # I
        )
    call.connection.execute(insert(pull_through_cache_rules).values({**values_of(registry), **rule._asdict()}))
    forget_decisions(call)


def replace_rule(call: Call, registry: Registry, rule: Rule) -> None:
    """Put it in the place of the one with its prefix."""
    statement = update(pull_through_cache_rules).where(
        rows_of(pull_through_cache_rules, registry),
        pull_through_cache_rules.c.ecr_repository_prefix == rule.ecr_repository_prefix,
    )
    call.connection.execute(statement.values(rule._asdict()))
    forget_decisions(call)


def delete_rule(call: Call, registry: Registry, prefix: str) -> Rule:
    """Delete a rule, which is returned. Repositories and images that came by it stay (inferred)."""
    found = get_rule(call, registry, prefix)
    place = _OF & (pull_through_cache_rules.c.ecr_repository_prefix == prefix)
    call.connection.execute(delete(pull_through_cache_rules).where(place), registry._asdict())
    forget_decisions(call)
    return found


def page_of_rules(call: Call, registry: Registry, after: str, limit: int, prefixes: Sequence[str] | None) -> list[Rule]:
    """Rules in the order of their prefixes, behind the prefix `after`; of `prefixes` alone, if there are any."""
    query = select(*_COLUMNS).where(_OF, pull_through_cache_rules.c.ecr_repository_prefix > after)
    if prefixes:
        query = query.where(is_among(pull_through_cache_rules.c.ecr_repository_prefix, prefixes))
    ordered = query.order_by(pull_through_cache_rules.c.ecr_repository_prefix).limit(limit)
    return [Rule._make(row) for row in call.connection.execute(ordered, registry._asdict())]


# --- when upstreams were asked ----------------------------------------------------------------------------------------


def last_check(call: Call, repository_id: int, asked: str) -> UpstreamCheck | None:
    """None when it was never asked. `asked`: see the table."""
    return _CHECKED.first(call.connection, repository_id=repository_id, asked=asked)


def cached_tag(call: Call, registry: Registry, repository_name: str, image_tag: str) -> CachedTag | None:
    place = {"repository_name": repository_name, "image_tag": image_tag}
    return _CACHED.first(call.connection, **place, **registry._asdict())


def note_check(call: Call, repository_id: int, asked: str, *, has_answered: bool) -> None:
    """Inside a write transaction. The time is that of now, not of the call: a fetch may have taken long."""
    values = {"checked_at": call.runtime.clock.now(), "has_answered": has_answered}
    upsert(call.connection, upstream_checks, {"repository_id": repository_id, "asked": asked}, values)


def note_failed_list(call: Call, repository_id: int, asked: str) -> bool:
    """The upstream did not list referrers: it is left alone for a while, where there is a list of before. If there is.

    Inside a write transaction.
    """
    last = last_check(call, repository_id, asked)
    if last is None or not last.has_answered:
        return False
    values = {"checked_at": call.runtime.clock.now() - REFERRERS_ARE_FRESH + REST, "has_answered": True}
    upsert(call.connection, upstream_checks, {"repository_id": repository_id, "asked": asked}, values)
    return True
