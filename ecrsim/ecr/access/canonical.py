"""The form in which ECR keeps a policy and gives it back, which is not the one that was sent. Pure.

Recorded of repositories' policies in cloud-custodian's captures of the service; those of registries are taken to be
alike (inferred). What a policy means is not changed by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

#: The order of the members (recorded up to Action; the rest inferred).
_POLICY = ("Version", "Id", "Statement")
_STATEMENT = (
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
)  # fmt: skip
#: Of a policy that does not say it (recorded).
_VERSION = "2008-10-17"
_ACCOUNT = re.compile(r"[0-9]{12}")


def canonical(policy: Mapping[str, Any], partition: str) -> dict[str, Any]:
    """A policy that was read (`documents.read`), as ECR writes it. Conditions stay as they are (inferred)."""
    entries = policy["Statement"]
    statements = [entries] if isinstance(entries, Mapping) else entries
    kept = {"Version": _VERSION, **policy, "Statement": [_statement(entry, partition) for entry in statements]}
    return {name: kept[name] for name in _POLICY if name in kept}


def _statement(entry: Mapping[str, Any], partition: str) -> dict[str, Any]:
    found = {}
    for name in _STATEMENT:
        value = entry.get(name)
        if value is None:
            continue
        if name in ("Principal", "NotPrincipal"):
            value = _principal(value, partition)
        elif name not in ("Sid", "Effect", "Condition"):
            value = _one_or_more(value)
        found[name] = value
    return found


def _principal(value: Any, partition: str) -> Any:
    if isinstance(value, str):
        return value
    return {
        kind: _one_or_more([_root(name, partition) for name in _listed(names)] if kind == "AWS" else names)
        for kind, names in value.items()
    }


def _root(name: str, partition: str) -> str:
    """An account's number stands for its root (recorded)."""
    return f"arn:{partition}:iam::{name}:root" if _ACCOUNT.fullmatch(name) else name


def _listed(value: Any) -> Iterable[str]:
    return [value] if isinstance(value, str) else value


def _one_or_more(value: Any) -> Any:
    """A list of one is written as that one (recorded of Action)."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


#: Jackson escapes what JSON must escape, and nothing more.
_ESCAPES = str.maketrans(
    {chr(code): f"\\u{code:04X}" for code in range(32)}
    | {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
)


def pretty(value: Any, depth: int = 0) -> str:
    """JSON in the form in which ECR gives policies back: that of Jackson's pretty printer (recorded).

    Members stand on lines of their own, with a space on either side of the colon; lists stay on one line, and what is
    in them is indented as if they were not there.
    """
    if isinstance(value, Mapping):
        if not value:
            return "{ }"
        inner = "  " * (depth + 1)
        members = (f"{inner}{pretty(key)} : {pretty(member, depth + 1)}" for key, member in value.items())
        return "{\n" + ",\n".join(members) + "\n" + "  " * depth + "}"
    if isinstance(value, list | tuple):
        return f"[ {', '.join(pretty(item, depth) for item in value)} ]" if value else "[ ]"
    return f'"{value.translate(_ESCAPES)}"' if isinstance(value, str) else json.dumps(value)
