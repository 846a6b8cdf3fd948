"""What an API request asks to be allowed: the one table of operations, actions and resources.

An action is the operation's name, on the repository that the request names, or on `*` where it names none. What differs
stands in `ACTIONS` and `_SPECIAL`. (Service authorization reference; the model's text for ListImageReferrers.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ecrsim.core.arn import Registry, parse_repository_arn
from ecrsim.core.runtime import Caller
from ecrsim.ecr.access.authorization import tag_context

Arguments = Mapping[str, Any]

#: Operations whose action has another name.
ACTIONS = {"ListImageReferrers": "BatchGetImage"}


class Question(NamedTuple):
    """One call of `authorize`, but for the call itself."""

    action: str
    registry: Registry
    repository_name: str | None
    context: Mapping[str, Sequence[str]]


def questions(caller: Caller, operation: str, arguments: Arguments) -> list[Question]:
    """All must be allowed; the first that is not is the denial."""
    registry = Registry(arguments.get("registry_id") or caller.account, caller.region)
    name: str | None = arguments.get("repository_name")
    arn = arguments.get("resource_arn")
    if arn and (parsed := parse_repository_arn(arn)):
        registry, name = Registry(parsed.account, parsed.region), parsed.repository_name
    action = ACTIONS.get(operation, operation)
    special = _SPECIAL.get(operation)
    if special is not None:
        return special(action, registry, name, arguments)
    return [Question(action, registry, name, {})]


def _create(action: str, registry: Registry, name: str | None, arguments: Arguments) -> list[Question]:
    """Tags on create need the right to tag as well."""
    tags = arguments.get("tags")
    asked = [Question(action, registry, name, tag_context(tags))]
    return [*asked, Question("TagResource", registry, name, tag_context(tags))] if tags else asked


def _describe(action: str, registry: Registry, _: str | None, arguments: Arguments) -> list[Question]:
    """Each repository that is named; all of them where none is (recorded: the denial names `repository/*`)."""
    return [Question(action, registry, name, {}) for name in arguments.get("repository_names") or ["*"]]


def _tag(action: str, registry: Registry, name: str | None, arguments: Arguments) -> list[Question]:
    return [Question(action, registry, name, tag_context(arguments.get("tags"), arguments.get("tag_keys")))]


def _setting(action: str, registry: Registry, name: str | None, arguments: Arguments) -> list[Question]:
    return [Question(action, registry, name, {"ecr:accountsetting": [arguments["name"]]})]


_SPECIAL: Mapping[str, Callable[[str, Registry, str | None, Arguments], list[Question]]] = {
    "CreateRepository": _create,
    "DescribeRepositories": _describe,
    "TagResource": _tag,
    "UntagResource": _tag,
    "GetAccountSetting": _setting,
    "PutAccountSetting": _setting,
}
