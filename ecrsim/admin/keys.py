"""Admin routes of the key ring: the keys that there are, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flask import Blueprint, Response
from werkzeug.exceptions import BadRequest, NotFound

from ecrsim.admin.arguments import check_query, json_answer, json_body
from ecrsim.core.registry import REGION, Registry
from ecrsim.core.runtime import Call, Runtime, root_caller
from ecrsim.ecr.encryption import keys, life
from ecrsim.ecr.encryption.keys import RingKey
from ecrsim.ecr.encryption.life import KeyRefused

_PLACE = ("account", "region")
Body = Mapping[str, Any]


class _Action(NamedTuple):
    """Something that may be done with a key, and the members that it needs besides the key."""

    act: Callable[[Call, RingKey, Body], object]
    members: tuple[str, ...] = ()


_ACTIONS = {
    "disable": _Action(lambda call, key, _: life.disable(call, key)),
    "enable": _Action(lambda call, key, _: life.enable(call, key)),
    "rotate": _Action(lambda call, key, _: life.rotate(call, key)),
    "schedule-deletion": _Action(lambda call, key, body: life.schedule_deletion(call, key, _days(body)), ("days",)),
    "cancel-deletion": _Action(lambda call, key, _: life.cancel_deletion(call, key)),
    "revoke-grant": _Action(lambda call, key, body: life.revoke_grant(call, key, _text(body, "grant")), ("grant",)),
}


def keys_routes(runtime: Runtime) -> Blueprint:
    routes = Blueprint("keys", __name__, url_prefix="/_ecrsim/keys")

    @routes.get("")
    def get_keys() -> Response:
        """The keys of all accounts, by ARN, with their states, aliases and grants."""
        check_query()
        with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
            return json_answer({"keys": [life.shown(call, key) for key in keys.everywhere(call.connection, call.now)]})

    @routes.post("")
    def create_key() -> Response:
        """Make a key; `key_id` for one that is named somewhere already, `alias`, `description`, `shared_with`."""
        body = json_body(*_PLACE, "key_id", "description", "alias", "shared_with")
        return _changed(runtime, body, lambda call, registry: _created(call, registry, body))

    @routes.post("/<action>")
    def change_key(action: str) -> Response:
        """Disable, enable, rotate, schedule-deletion (`days`), cancel-deletion, revoke-grant (`grant`) of a `key`."""
        found = _ACTIONS.get(action)
        if found is None:
            raise NotFound(f"{action[:100]} cannot be done with a key, but {', '.join(_ACTIONS)}")
        body = json_body(*_PLACE, "key", *found.members)

        def act(call: Call, registry: Registry) -> RingKey:
            key = life.get(call, registry, _text(body, "key"))
            found.act(call, key, body)
            return life.get(call, registry, key.arn)

        return _changed(runtime, body, act)

    @routes.put("/alias")
    def put_alias() -> Response:
        """Let `alias` stand for `key`, whatever it stood for."""
        body = json_body(*_PLACE, "key", "alias")

        def act(call: Call, registry: Registry) -> RingKey:
            key = life.get(call, registry, _text(body, "key"))
            life.name(call, key, _text(body, "alias"))
            return key

        return _changed(runtime, body, act)

    @routes.delete("/alias")
    def delete_alias() -> Response:
        """Forget `alias`; repositories that were made by it keep their key."""
        body = json_body(*_PLACE, "alias")
        return _changed(runtime, body, lambda call, registry: life.unname(call, registry, _text(body, "alias")))

    return routes


def _changed(runtime: Runtime, body: Body, act: Callable[[Call, Registry], RingKey | None]) -> Response:
    """The key as it is after the change. BadRequest."""
    registry = _registry(runtime, body)
    try:
        with runtime.call(root_caller(*registry[:2])) as call, call.writing():
            key = act(call, registry)
            return json_answer({} if key is None else life.shown(call, key))
    except KeyRefused as error:
        raise BadRequest(str(error)) from None


def _created(call: Call, registry: Registry, body: Body) -> RingKey:
    shared = body.get("shared_with") or []
    if not isinstance(shared, list) or not all(isinstance(each, str) for each in shared):
        raise BadRequest("shared_with is a list of accounts and of ARNs of principals")
    return life.create(
        call,
        registry,
        key_id=_text(body, "key_id"),
        description=_text(body, "description"),
        alias_name=_text(body, "alias"),
        shared_with=shared,
    )


def _days(body: Body) -> int:
    days = body.get("days", 30)
    if not isinstance(days, int) or isinstance(days, bool):
        raise BadRequest("days is a whole number")
    return days


def _registry(runtime: Runtime, body: Body) -> Registry:
    account = _text(body, "account") or runtime.config.account
    region = _text(body, "region") or runtime.config.region
    if not (len(account) == 12 and account.isascii() and account.isdigit()):
        raise BadRequest("account is 12 digits")
    if len(region) > 63 or REGION.fullmatch(region) is None:
        raise BadRequest("region is no region of AWS's")
    return Registry(account, region)


def _text(body: Body, name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"{name} is a text")
    return value
