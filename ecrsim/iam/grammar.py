"""Policy documents: read once into values, refused when they are malformed. Pure.

The grammar is IAM's (documented). What a document must have depends on what it is attached to: a policy of an
identity names resources, a policy of a repository names principals, a policy of a registry both. Nothing is refused
later, when a request is decided: what cannot be evaluated is not stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple, NoReturn

from ecrsim.iam.conditions import Condition

#: The longest policy (documented): of a repository or registry as it was sent, of an identity without its white space.
MAX_TEXT = 10_240
#: Characters that are read, white space and all, before a policy of an identity is found to be too long.
MAX_RAW_TEXT = 10 * MAX_TEXT


class PolicyKind(Enum):
    """The kind of a policy by what it is attached to, as denials and explanations name it."""

    IDENTITY = "identity-based policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    REPOSITORY = "repository policy"
    REGISTRY = "registry policy"
    TRUST = "role trust policy"

    @property
    def is_ecrs(self) -> bool:
        """Stored by ECR with the resource. The others are IAM's."""
        return self in (PolicyKind.REPOSITORY, PolicyKind.REGISTRY)

    @property
    def names_principals(self) -> bool:
        return self.is_ecrs or self is PolicyKind.TRUST


class MalformedPolicy(ValueError):
    """The document is not a policy of its kind; the text says why."""


class Principals(NamedTuple):
    """Whom a statement is about. `anyone`: `*`; `aws`: ARNs and account numbers; `services` and `federated`: names."""

    anyone: bool
    aws: tuple[str, ...]
    services: tuple[str, ...]
    federated: tuple[str, ...]


class Statement(NamedTuple):
    """One statement. Of each pair (`actions`, `not_actions`, …) one at most is not None.

    `number` counts from 1. `has_variables`: `${…}` in resources stands for something. `source`: as it was given.
    """

    number: int
    sid: str | None
    allows: bool
    actions: tuple[str, ...] | None
    not_actions: tuple[str, ...] | None
    resources: tuple[str, ...] | None
    not_resources: tuple[str, ...] | None
    principals: Principals | None
    not_principals: Principals | None
    conditions: tuple[Condition, ...]
    has_variables: bool
    source: Mapping[str, Any]

    @property
    def needs_context(self) -> bool:
        """False when what it says of a principal, an action and a resource is the same for each request."""
        patterns = (*(self.resources or ()), *(self.not_resources or ()))
        return bool(self.conditions) or (self.has_variables and any("${" in pattern for pattern in patterns))

    @property
    def label(self) -> str:
        return f"statement {self.number} ({self.sid})" if self.sid else f"statement {self.number}"


class PolicyDocument(NamedTuple):
    """A policy that was read. `name` says which it is: `PushOnly`, `repository policy`."""

    kind: PolicyKind
    name: str
    statements: tuple[Statement, ...]


_ACTION = re.compile(r"\*|\*:\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+", re.ASCII)
#: A region: it stands in the place of the service where somebody forgot the service.
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-[0-9]+")
_SID = re.compile(r"[A-Za-z0-9]*", re.ASCII)
_PRINCIPAL = re.compile(
    r"\d{12}|arn:aws[a-z-]*:(?:"
    r"iam::\d{12}:(?:root|(?:user|role)/[\w+=,.@/-]+)|"
    r"sts::\d{12}:(?:assumed-role/[\w+=,.@-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+))",
    re.ASCII,
)
_ELEMENTS = {
    "Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition",
}  # fmt: skip
_VERSIONS = ("2008-10-17", "2012-10-17")


def read(policy: str | Mapping[str, Any], kind: PolicyKind, name: str, *, service: str = "ecr") -> PolicyDocument:
    """Read a document, given as JSON text or as what JSON says. MalformedPolicy when it is none of that kind.

    `service` is the prefix of the actions that a policy of a repository or registry may name: `ecr` or `ecr-public`.
    """
    policy = _parsed(policy, kind)
    unknown = policy.keys() - {"Version", "Id", "Statement"}
    if unknown:
        raise MalformedPolicy(f"a policy has no element {min(unknown)}")
    version = policy.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise MalformedPolicy(f"Version is {' or '.join(_VERSIONS)}")
    entries = policy.get("Statement")
    if isinstance(entries, Mapping):
        entries = [entries]
    if not isinstance(entries, list) or not entries:
        raise MalformedPolicy("the policy has no Statement")
    statements = tuple(
        _Reader(kind, service, f"statement {number}", has_variables=version == "2012-10-17").statement(entry, number)
        for number, entry in enumerate(entries, 1)
    )
    sids = [statement.sid for statement in statements if statement.sid]
    if len(set(sids)) < len(sids) and not kind.is_ecrs:  # ECR takes them (documented)
        raise MalformedPolicy("two statements have the same Sid")
    return PolicyDocument(kind, name, statements)


def parse(text: str) -> Any:
    """The value of a JSON text. MalformedPolicy when it is no JSON, or names a key of an object twice."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except MalformedPolicy:
        raise
    except ValueError as error:
        raise MalformedPolicy(f"the policy is not JSON: {error}") from None
    except RecursionError:
        raise MalformedPolicy("the policy is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise MalformedPolicy("the policy names an element twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise MalformedPolicy(f"the policy is not JSON: {name}")


def _parsed(policy: str | Mapping[str, Any], kind: PolicyKind) -> Mapping[str, Any]:
    """The object that it is, of a size that can be evaluated: every bound on an evaluation follows from this one."""
    if isinstance(policy, str):
        if len(policy) > (MAX_TEXT if kind.is_ecrs else MAX_RAW_TEXT):
            raise MalformedPolicy(f"the policy is longer than {MAX_TEXT} characters")
        policy = parse(policy)
    if not isinstance(policy, Mapping):
        raise MalformedPolicy("the policy is not a JSON object")
    try:
        text = json.dumps(policy, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()  # half of a surrogate pair is a text in JSON, and nowhere else
    except (TypeError, ValueError, RecursionError):
        raise MalformedPolicy("the policy is not what JSON can say") from None
    if len(text) > MAX_TEXT:
        raise MalformedPolicy(f"the policy is longer than {MAX_TEXT} characters")
    found: Mapping[str, Any] = parse(text)
    return found


class _Reader:
    """Reads one statement: what it may have depends on the kind; `where` begins each refusal."""

    def __init__(self, kind: PolicyKind, service: str, where: str, *, has_variables: bool) -> None:
        self.kind = kind
        self.service = service
        self.where = where
        self.has_variables = has_variables

    def malformed(self, text: str) -> MalformedPolicy:
        return MalformedPolicy(f"{self.where}: {text}")

    def statement(self, entry: Any, number: int) -> Statement:
        if not isinstance(entry, Mapping):
            raise self.malformed("it is not an object")
        unknown = entry.keys() - _ELEMENTS
        if unknown:
            raise self.malformed(f"there is no element {min(unknown)}")
        if entry.get("Effect") not in ("Allow", "Deny"):
            raise self.malformed("Effect is Allow or Deny")
        allows = entry["Effect"] == "Allow"
        actions, not_actions = self.actions(entry)
        resources, not_resources = self.resources(entry)
        principals, not_principals = self.whom(entry, allows=allows)
        return Statement(
            number,
            self.sid(entry.get("Sid")),
            allows,
            actions,
            not_actions,
            resources,
            not_resources,
            principals,
            not_principals,
            tuple(self.conditions(entry.get("Condition", {}))),
            self.has_variables,
            entry,
        )

    def sid(self, sid: Any) -> str | None:
        # ECR takes spaces and other characters that IAM forbids (documented).
        if sid is not None and (not isinstance(sid, str) or not (self.kind.is_ecrs or _SID.fullmatch(sid))):
            raise self.malformed("Sid is made of letters and digits")
        return sid

    def actions(self, entry: Mapping[str, Any]) -> tuple[Any, Any]:
        actions, not_actions = self.either(entry, "Action", needed=True)
        for action in actions or not_actions:
            if _ACTION.fullmatch(action) is None:
                raise self.malformed(f"{action} is not an action")
            if not self.kind.is_ecrs:
                continue
            prefix, _, name = action.lower().partition(":")
            if prefix not in (self.service, "*"):
                raise self.malformed(f"{action} is not an action of {self.service}")
            # Account-level: refused in policies of repositories (recorded), and so in those of registries (inferred).
            if name == "getauthorizationtoken":
                raise self.malformed(f"{action} can be granted by identity-based policies only")
        return actions, not_actions

    def resources(self, entry: Mapping[str, Any]) -> tuple[Any, Any]:
        if self.kind is PolicyKind.TRUST:
            if "Resource" in entry or "NotResource" in entry:
                raise self.malformed("a role trust policy names no resource")
            return None, None
        # A policy of a repository is about its own repository, whether it says so or not (documented).
        resources, not_resources = self.either(entry, "Resource", needed=self.kind is not PolicyKind.REPOSITORY)
        for resource in resources or not_resources or ():
            self.resource(resource)
        return resources, not_resources

    def resource(self, resource: str) -> None:
        if resource == "*":
            return
        parts = resource.split(":", 5)
        # An ARN may end early, in a star that reaches over the colons that follow (documented).
        whole = len(parts) == 6 or (len(parts) > 3 and resource.endswith("*"))
        if self.kind.is_ecrs and len(parts) == 5 and parts[0] == "arn" and _REGION.fullmatch(parts[2]):
            return  # ECR takes one without its service, which fits no resource (recorded)
        if parts[0] != "arn" or not whole:
            raise self.malformed(f"{resource} is not an ARN")
        if not re.fullmatch("[a-z0-9-]+", parts[2]):
            raise self.malformed(f"{resource} does not name its service, which no wildcard can stand for")
        if self.kind.is_ecrs and parts[2] != self.service:
            raise self.malformed(f"{resource} is not a resource of {self.service}")
        if self.has_variables and any("${" in part for part in parts[:5]):
            raise self.malformed(f"{resource} has a variable before its fifth colon")

    def whom(self, entry: Mapping[str, Any], *, allows: bool) -> tuple[Principals | None, Principals | None]:
        named = [name for name in ("Principal", "NotPrincipal") if name in entry]
        if not self.kind.names_principals:
            if named:
                raise self.malformed(f"a policy of this kind names no {named[0]}")
            return None, None
        if len(named) != 1:
            raise self.malformed("it needs a Principal or a NotPrincipal")
        principals = self.principals(entry[named[0]])
        if named[0] == "Principal":
            return principals, None
        if allows or self.kind is PolicyKind.TRUST:
            raise self.malformed("NotPrincipal stands in Deny statements of resources' policies only")
        return None, principals

    def principals(self, value: Any) -> Principals:
        if value == "*":
            return Principals(True, (), (), ())
        if not isinstance(value, Mapping) or not value:
            raise self.malformed("the principal is * or an object")
        unknown = value.keys() - {"AWS", "Service", "Federated"}
        if unknown:
            raise self.malformed(f"there are no principals of the kind {min(unknown)}")
        lists = {kind: self.values(names, "Principal") for kind, names in value.items()}
        aws, services, federated = (lists.get(kind, ()) for kind in ("AWS", "Service", "Federated"))
        for name in aws:
            if name != "*" and _PRINCIPAL.fullmatch(name) is None:
                raise self.malformed(f"{name} is not a principal")
        for name in (*services, *federated):
            if "*" in name or "?" in name:
                raise self.malformed(f"{name} is not a principal: no wildcard can stand in its name")
        return Principals("*" in aws, tuple(name for name in aws if name != "*"), services, federated)

    def either(self, entry: Mapping[str, Any], name: str, *, needed: bool) -> tuple[Any, Any]:
        """(values of `name`, values of `Not<name>`): one of them at most."""
        there = [key for key in (name, f"Not{name}") if key in entry]
        if len(there) > 1 or (needed and not there):
            raise self.malformed(f"it needs either {name} or Not{name}")
        if not there:
            return None, None
        values = self.values(entry[there[0]], there[0])
        return (values, None) if there[0] == name else (None, values)

    def values(self, value: Any, name: str) -> tuple[str, ...]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not values or not all(isinstance(item, str) and item for item in values):
            raise self.malformed(f"{name} is a text or a list of texts")
        return tuple(values)

    def conditions(self, value: Any) -> Iterable[Condition]:
        if not isinstance(value, Mapping):
            raise self.malformed("Condition is an object")
        for operator, keys in value.items():
            if not isinstance(keys, Mapping):
                raise self.malformed(f"{operator} is an object of keys")
            if len({key.lower() for key in keys}) < len(keys):
                raise self.malformed(f"{operator} has a key twice, in different case")
            for key, values in keys.items():
                items = values if isinstance(values, list) else [values]
                if not all(isinstance(item, str | int | float) for item in items):
                    raise self.malformed(f"the values of {key} are texts, numbers or booleans")
                texts = [str(item).lower() if isinstance(item, bool) else str(item) for item in items]
                try:
                    yield Condition.of(operator, key, texts, has_variables=self.has_variables)
                except ValueError as error:
                    raise self.malformed(str(error)) from None
