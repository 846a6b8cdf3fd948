"""Members of an answer that a later capability adds: `@adds_to("DescribeImages", "imageScanStatus")`.

The operation asks for them once a page, so that an addition costs one query however many entries a page has, and knows
nothing of who adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ecrsim.contract.models import Shape, service
from ecrsim.core.runtime import Call

#: (call, what the answer is about, keys of its entries) → members by key; a key may be left out. What the operation
#: gives: DescribeImages the repository and the ids of images, DescribeRegistry the registry, also as the one key.
Addition = Callable[[Call, Any, Sequence[Any]], Mapping[Any, Mapping[str, Any]]]

_A = TypeVar("_A", bound=Addition)

_additions: dict[str, list[tuple[tuple[str, ...], Addition]]] = {}


def adds_to(operation: str, *members: str) -> Callable[[_A], _A]:
    """Declare a function that gives these members of ECR's answer, by their wire names.

    LookupError at import when the model's answer has no such member, or another capability adds it already.
    """
    known = set(_member_names(service("ecr").operations[operation].output))
    taken = {name for names, _ in _additions.get(operation, ()) for name in names}
    for name in members:
        if name not in known:
            raise LookupError(f"the answer of {operation} has no member {name}")
        if name in taken:
            raise LookupError(f"the member {name} of {operation} is added twice")

    def register(addition: _A) -> _A:
        _additions.setdefault(operation, []).append((members, addition))
        return addition

    return register


def _member_names(shape: Shape) -> Iterator[str]:
    yield from shape.members
    for inner in (*shape.members.values(), shape.member, shape.value):
        if inner is not None:
            yield from _member_names(inner)


def added(call: Call, operation: str, about: Any, keys: Sequence[Hashable]) -> dict[Any, dict[str, Any]]:
    """All that is added to the entries of these keys. Empty when no capability adds anything."""
    found: dict[Any, dict[str, Any]] = {}
    for _, addition in _additions.get(operation, ()):
        for key, members in addition(call, about, keys).items():
            found.setdefault(key, {}).update(members)
    return found
