"""The IAM questions of a request: an action on a repository, or on `*` where the request names none.

An operation that asks more, or otherwise, declares a function of its own (`asks`). Source: the service authorization
reference; for ListImageReferrers the model's text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ecrsim.core.registry import Registry, parse_arn
from ecrsim.core.runtime import Caller

Arguments = Mapping[str, Any]


class Question(NamedTuple):
    """The arguments of one `authorize`: `repository_name` None asks on `*`, `context` has keys in lower case."""

    action: str
    registry: Registry
    repository_name: str | None
    context: Mapping[str, Sequence[str]]


#: The plain question and the arguments → the questions to ask. The first that is not allowed is the denial.
Asks = Callable[[Question, Arguments], list[Question]]


def ask_once(plain: Question, _: Arguments) -> list[Question]:
    """The question of most operations: their own action on the repository that `repositoryName` gives."""
    return [plain]


def ask_of_each_repository(plain: Question, arguments: Arguments) -> list[Question]:
    """Each repository that is named; all of them where none is (recorded: the denial names `repository/*`)."""
    return [plain._replace(repository_name=name) for name in arguments.get("repository_names") or ["*"]]


def plain_question(caller: Caller, service: str, action: str, arguments: Arguments) -> Question:
    """The action on the repository that the arguments name, by name or by ARN; `service` is "ecr" or "ecr-public"."""
    arn = arguments.get("resource_arn")
    if arn and (parsed := parse_arn(arn)):
        return Question(action, *parsed, {})
    registry = Registry.of_service(service, arguments.get("registry_id") or caller.account, caller.region)
    return Question(action, registry, arguments.get("repository_name"), {})


def tag_context(tags: Sequence[Mapping[str, str]] | None, keys: Sequence[str] | None = None) -> dict[str, list[str]]:
    """`aws:RequestTag/…` and `aws:TagKeys` of a request that sets or removes resource tags."""
    values = {f"aws:requesttag/{tag['Key'].lower()}": [tag["Value"]] for tag in tags or ()}
    names = [tag["Key"] for tag in tags or ()] + list(keys or ())
    return values | ({"aws:tagkeys": names} if names else {})
