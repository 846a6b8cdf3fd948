"""Where events go: targets and the rules that choose for them, read from a document and kept in the database.

A document replaces the one before. A target whose name stays keeps its place in the outbox, whatever else changes; a
new one begins with the events after it, or with the oldest that is kept (`from = "beginning"`). Secrets come in, and
nothing here gives them out again but `known`, for those who deliver.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from ecrsim.core import ids, neighbours
from ecrsim.core.addresses import is_forbidden
from ecrsim.core.clock import iso
from ecrsim.core.given_files import obey_once, refuse_doubles
from ecrsim.core.outbox import events, newest
from ecrsim.core.properties import get_property, set_property
from ecrsim.core.query import Query
from ecrsim.core.registry import REGION
from ecrsim.core.runtime import Runtime
from ecrsim.core.sealing import Seal, SecretDamaged, seal_of
from ecrsim.delivery import pattern as event_pattern
from ecrsim.delivery.reach import OutOfReach, Reach
from ecrsim.delivery.tables import deliveries, target_rules, targets
from ecrsim.spelling import hint

log = logging.getLogger("ecrsim.delivery")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_SOURCE = re.compile(r"[A-Za-z0-9._/-]{1,256}", re.ASCII)
_SECRETS = ("secret", "secret_access_key")
_URLS = ("url", "endpoint_url", "queue_url")
#: URLs as well: that of a webhook may have a token in it.
_SEALED = (*_SECRETS, *_URLS)
_AWS = {"endpoint_url", "region", "access_key_id", "secret_access_key"}
#: By type: what a target must have, and what it may have.
_MEMBERS: dict[str, tuple[set[str], set[str]]] = {
    "file": ({"path"}, set()),
    "webhook": ({"url"}, {"secret"}),
    "eventbridge": (set(), {"event_bus", "source", *_AWS}),
    "sqs": ({"queue_url"}, _AWS),
}
_OF_EVERY = {"name", "type", "from"}
#: Members that a target of some type may have.
_OF_ANY = {member for members in _MEMBERS.values() for member in (*members[0], *members[1])}
_GENERATION = "targets:generation"
_LOADED = "targets-file:generation"


class TargetsError(ValueError):
    """The document describes no targets; the text says where it is wrong."""


class Target(NamedTuple):
    """`settings` has the members of its type (docs/events.md). `incarnation`, once it is known: see `deliveries`."""

    name: str
    type: str
    settings: dict[str, str]
    from_beginning: bool = False
    incarnation: str = ""


class EventRule(NamedTuple):
    """Events that match `pattern` go to the `targets` of these names."""

    name: str | None
    pattern: dict[str, Any]
    targets: tuple[str, ...]


class TargetsDocument(NamedTuple):
    targets: tuple[Target, ...]
    rules: tuple[EventRule, ...]

    def patterns(self, name: str) -> tuple[dict[str, Any], ...] | None:
        """The patterns of the rules that name the target; None when no rule does, so that it gets every event."""
        found = tuple(rule.pattern for rule in self.rules if name in rule.targets)
        return found or None


# --- reading ----------------------------------------------------------------------------------------------------------


def read(document: Mapping[str, Any], reach: Reach) -> TargetsDocument:
    """`{"targets": [...], "rules": [...]}` as values. TargetsError names the place that is wrong."""
    unknown = set(document) - {"targets", "rules"}
    if unknown:
        raise TargetsError(f"there is no {min(unknown)}; targets and rules are what can be set")
    found = tuple(_target(entry, number, reach) for number, entry in _entries(document, "targets"))
    refuse_doubles("target", (target.name for target in found), TargetsError)
    names = {target.name for target in found}
    rules = tuple(_rule(entry, number, names) for number, entry in _entries(document, "rules"))
    refuse_doubles("rule", (rule.name for rule in rules if rule.name is not None), TargetsError)
    return TargetsDocument(found, rules)


def _entries(document: Mapping[str, Any], name: str) -> Iterable[tuple[int, Mapping[str, Any]]]:
    entries = document.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise TargetsError(f"{name} is a list of objects")
    return enumerate(entries, 1)


def _target(entry: Mapping[str, Any], number: int, reach: Reach) -> Target:
    name, kind = entry.get("name"), entry.get("type")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TargetsError(f"target {number} needs a name of up to 64 letters, digits and ._-, not {name!r}")
    where = f"target {name}"
    if kind is None:
        # It may be there under a name that is not its own.
        _no_others(entry, {*_OF_EVERY, *_OF_ANY}, f"{where} has no member")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        near = hint(kind, _MEMBERS) if isinstance(kind, str) else ""
        raise TargetsError(f"{where}: type is one of {', '.join(_MEMBERS)}, not {kind!r}{near}")
    if kind in ("eventbridge", "sqs") and not neighbours.is_installed():
        raise TargetsError(f"{where}: {kind} needs boto3, which comes with ecrsim[boto]")
    start = entry.get("from", "now")
    if start not in ("now", "beginning"):
        raise TargetsError(f'{where}: from is "now" or "beginning"')
    needed, optional = _MEMBERS[kind]
    _no_others(entry, _OF_EVERY | needed | optional, f"{where}: a target of type {kind} has no member")
    settings = {member: value for member, value in entry.items() if member not in _OF_EVERY}
    for member, value in settings.items():
        if not isinstance(value, str) or not value:
            raise TargetsError(f"{where}: {member} is a text, and not an empty one")
    missing = needed - settings.keys()
    if missing:
        raise TargetsError(f"{where} needs {min(missing)}")
    _check(settings, where, reach)
    return Target(name, kind, settings, start == "beginning")


def _no_others(entry: Mapping[str, Any], known: set[str], complaint: str) -> None:
    for member in entry:
        if member not in known:
            raise TargetsError(f"{complaint} {member}{hint(member, known)}")


def _check(settings: Mapping[str, str], where: str, reach: Reach) -> None:
    for member in _URLS:
        if member in settings:
            _check_url(settings[member], f"{where}: {member}", reach)
    if ("access_key_id" in settings) != ("secret_access_key" in settings):
        raise TargetsError(f"{where}: access_key_id and secret_access_key are given together")
    if not REGION.fullmatch(settings.get("region", "us-east-1")):
        raise TargetsError(f"{where}: region is a region's name, such as us-east-1")
    if not _SOURCE.fullmatch(settings.get("source", "ecr")):
        raise TargetsError(f"{where}: source is up to 256 letters, digits and ._-/")
    if "\0" in settings.get("path", ""):
        raise TargetsError(f"{where}: path is the name of a file")
    if "path" in settings:
        try:
            reach.file(settings["path"])
        except (OutOfReach, OSError, RuntimeError) as error:
            raise TargetsError(f"{where}: {error}") from None


def _check_url(text: str, where: str, reach: Reach) -> None:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not text.isascii() or not text.isprintable() or " " in text or parts.fragment:
        raise TargetsError(f"{where} is a URL such as http://127.0.0.1:8080/events")
    if "@" in parts.netloc:
        raise TargetsError(f"{where} has no user and no password")
    # A name is looked up when it is called: what it leads to may change.
    if not reach.link_local and is_forbidden(parts.hostname or ""):
        raise TargetsError(f"{where} is a link-local or metadata address, which is not called (allow_link_local)")


def _rule(entry: Mapping[str, Any], number: int, known_names: set[str]) -> EventRule:
    name, pattern, wanted = entry.get("name"), entry.get("pattern"), entry.get("targets")
    if name is not None and (not isinstance(name, str) or not _NAME.fullmatch(name)):
        raise TargetsError(f"rule {number}: a name has up to 64 letters, digits and ._-, not {name!r}")
    where = f"rule {name or number}"
    _no_others(entry, {"name", "pattern", "targets"}, f"{where} has no member")
    if not isinstance(pattern, Mapping):
        raise TargetsError(f"{where}: pattern is an object")
    try:
        event_pattern.compile(dict(pattern))
    except event_pattern.PatternError as error:
        raise TargetsError(f"{where}: {error}") from None
    if not isinstance(wanted, list) or not wanted or not all(isinstance(target, str) for target in wanted):
        raise TargetsError(f"{where}: targets is a list of names of targets")
    for target in wanted:
        if target not in known_names:
            raise TargetsError(f"{where}: there is no target {target}{hint(target, known_names)}")
    return EventRule(name, dict(pattern), tuple(wanted))


# --- keeping ----------------------------------------------------------------------------------------------------------


def replace_all(connection: Connection, document: Mapping[str, Any], reach: Reach) -> dict[str, int]:
    """Make the document's targets and rules the ones that hold. TargetsError. Returns how many of each there are."""
    found, seal = read(document, reach), seal_of(connection)
    connection.execute(delete(targets))
    connection.execute(delete(target_rules))
    if found.targets:
        connection.execute(
            insert(targets),
            [
                {
                    "name": target.name,
                    "position": position,
                    "type": target.type,
                    "settings": seal.sealed_members(target.settings, _SEALED, "targets", target.name),
                }
                for position, target in enumerate(found.targets)
            ],
        )
    if found.rules:
        connection.execute(
            insert(target_rules),
            [
                {"position": position, "name": rule.name, "pattern": rule.pattern, "targets": list(rule.targets)}
                for position, rule in enumerate(found.rules)
            ],
        )
    connection.execute(delete(deliveries).where(deliveries.c.target.not_in([target.name for target in found.targets])))
    begun = set(connection.execute(select(deliveries.c.target)).scalars())
    for target in found.targets:
        if target.name not in begun:
            start = 0 if target.from_beginning else newest(connection)
            connection.execute(
                insert(deliveries).values(target=target.name, incarnation=ids.new_uuid(), sequence=start)
            )
    set_property(connection, _GENERATION, ids.new_uuid())
    return {"targets": len(found.targets), "rules": len(found.rules)}


def load_targets(runtime: Runtime) -> None:
    """Make the file's targets the ones that hold, once for each content. TargetsError when it cannot be."""
    if runtime.config.targets:
        obey = partial(replace_all, reach=Reach.of(runtime.config, runtime.data_dir))
        obey_once(runtime.database, runtime.config.targets, _LOADED, obey, TargetsError)


# --- looking ----------------------------------------------------------------------------------------------------------


def generation(connection: Connection) -> str | None:
    """A text that is another one after each change of targets or rules; None before the first."""
    return get_property(connection, _GENERATION)


def known(connection: Connection) -> TargetsDocument:
    """The targets and rules that hold, but for targets whose secrets were altered: they get nothing (`state`)."""
    query = (
        select(targets.c.name, targets.c.type, targets.c.settings, deliveries.c.incarnation)
        .join(deliveries, deliveries.c.target == targets.c.name)
        .order_by(targets.c.position)
    )
    seal = seal_of(connection)
    rules = connection.execute(select(target_rules).order_by(target_rules.c.position))
    return TargetsDocument(
        tuple(
            Target(name, kind, members, False, incarnation)
            for name, kind, settings, incarnation in connection.execute(query)
            if (members := _opened(seal, name, settings)) is not None
        ),
        tuple(EventRule(row.name, row.pattern, tuple(row.targets)) for row in rules),
    )


def _opened(seal: Seal, name: str, settings: Mapping[str, str]) -> dict[str, str] | None:
    """None when a secret in the database was altered."""
    try:
        return seal.opened_members(settings, _SEALED, "targets", name)
    except SecretDamaged as error:
        log.error("%s; give the targets anew", error)  # noqa: TRY400 - what happened is no fault of the code
        return None


def compiled(patterns: tuple[dict[str, Any], ...] | None) -> tuple[event_pattern.Pattern, ...] | None:
    return None if patterns is None else tuple(event_pattern.compile(pattern) for pattern in patterns)


def undelivered(connection: Connection) -> int | None:
    """The sequence number up to which every target is done with; None when there is no target."""
    found: int | None = connection.execute(select(func.min(deliveries.c.sequence))).scalar()
    return found


_ALTERED = "Its secrets in the database were altered; nothing is delivered until the targets are given anew."
_PENDING = Query(select(func.count()).select_from(events).where(events.c.sequence > bindparam("after")), int)


def state(connection: Connection) -> list[dict[str, Any]]:
    """Targets without their secrets, each with how far it is: what `GET /_ecrsim/targets` shows.

    `pending` counts the events that it was not asked about yet, those that its rules do not choose included.
    """
    seal = seal_of(connection)
    query = select(targets, deliveries).join(deliveries, deliveries.c.target == targets.c.name)
    return [
        {
            "name": row.name,
            "type": row.type,
            **{
                member: _shown(member, value)
                for member, value in (_opened(seal, row.name, row.settings) or {}).items()
                if member not in _SECRETS
            },
            "sequence": row.sequence,
            "pending": _PENDING.one(connection, after=row.sequence),
            "attempts": row.attempts,
            "error": row.error if _opened(seal, row.name, row.settings) is not None else _ALTERED,
            "deliveredAt": None if row.delivered_at is None else iso(row.delivered_at),
            "leftOut": row.left_out,
            "leftOutReason": row.left_out_reason,
        }
        for row in connection.execute(query.order_by(targets.c.position))
    ]


def _shown(member: str, value: str) -> str:
    """A query may hold a token."""
    return value.partition("?")[0] if member in _URLS else value


_BEHIND = Query(select(deliveries.c.target).where(deliveries.c.sequence < bindparam("sequence")).limit(1), str)


def behind(connection: Connection, sequence: int) -> list[dict[str, Any]]:
    """Of `state`, the targets that are not done with everything up to this number."""
    if _BEHIND.first(connection, sequence=sequence) is None:
        return []
    return [target for target in state(connection) if target["pending"] and target["sequence"] < sequence]
