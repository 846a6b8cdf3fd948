"""The service models of ECR and ECR Public, read once from the package's own data.

The host's botocore is never asked: it may know fewer operations than the release that `scripts/update_contract.py`
vendored, and a server needs none. Order is the model's everywhere, because the order of members and of enum values
shows in error messages. Shapes are joined to one another by reference; no shape of the two models contains itself.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

#: The services of the package, by signing name.
SERVICES = ("ecr", "ecr-public")

_DATA = Path(__file__).with_name("data")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake(name: str) -> str:
    """The Python name of a member or an operation: `imageTagMutability` is `image_tag_mutability`.

    The one naming rule of the package: arguments, columns and result members all follow it. The models have no runs of
    capitals, so it can be undone but for the first letter.
    """
    return _HUMP.sub("_", name).lower()


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A type of the model. `min` and `max` bound a length in characters, bytes or entries; in a number, the value."""

    name: str
    type: str
    min: int | None = None
    max: int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    #: Of a structure: its members by wire name in model order, and the wire names of those that must be given.
    members: Mapping[str, Shape] = field(default_factory=dict, repr=False)
    required: tuple[str, ...] = ()
    #: Of a list, the shape of its entries. Of a map, those of its keys and values.
    member: Shape | None = None
    key: Shape | None = None
    value: Shape | None = None
    #: An error shape; with `fault` the service is to blame (HTTP 500).
    exception: bool = False
    fault: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """An operation of the model. Two are the same when they are the same object, so they are cheap keys."""

    name: str
    #: The signing name of the service: "ecr" or "ecr-public".
    service: str
    #: The name that its function goes by.
    function: str
    input: Shape
    output: Shape
    #: Names of the error shapes that the operation declares, in model order.
    errors: tuple[str, ...]
    #: Token, limit and result members as botocore's paginators name them; None where there is no paginator.
    pagination: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A whole model."""

    name: str
    #: The part of an X-Amz-Target header before the dot.
    target_prefix: str
    #: The botocore release that the model was taken from.
    botocore: str
    api_version: str
    operations: Mapping[str, Operation]
    shapes: Mapping[str, Shape]


@functools.cache
def service(name: str) -> Service:
    """The model of "ecr" or "ecr-public". Loading takes some milliseconds, once. KeyError for any other name."""
    if name not in SERVICES:
        raise KeyError(name)
    document = orjson.loads((_DATA / f"{name}.json").read_bytes())
    shapes: dict[str, Shape] = {}
    for shape_name in document["shapes"]:
        _build(shape_name, document["shapes"], shapes)
    operations = {key: _operation(key, name, value, shapes) for key, value in document["operations"].items()}
    metadata = document["metadata"]
    return Service(
        name=name,
        target_prefix=metadata["targetPrefix"],
        botocore=metadata["botocore"],
        api_version=metadata["apiVersion"],
        operations=MappingProxyType(operations),
        shapes=MappingProxyType(shapes),
    )


def _build(name: str, source: Mapping[str, Any], shapes: dict[str, Shape]) -> Shape:
    """The shape of that name, after the shapes that it consists of."""
    if name in shapes:
        return shapes[name]
    raw = dict(source[name])
    for part in ("member", "key", "value"):
        if part in raw:
            raw[part] = _build(raw[part], source, shapes)
    if "members" in raw:
        members = {member: _build(target, source, shapes) for member, target in raw["members"].items()}
        raw["members"] = MappingProxyType(members)
    for part in ("enum", "required"):
        if part in raw:
            raw[part] = tuple(raw[part])
    shapes[name] = Shape(name=name, **raw)
    return shapes[name]


def _operation(name: str, service_name: str, raw: Mapping[str, Any], shapes: Mapping[str, Shape]) -> Operation:
    return Operation(
        name=name,
        service=service_name,
        function=snake(name),
        input=shapes[raw["input"]],
        output=shapes[raw["output"]],
        errors=tuple(raw["errors"]),
        pagination=MappingProxyType(raw["pagination"]) if "pagination" in raw else None,
    )
