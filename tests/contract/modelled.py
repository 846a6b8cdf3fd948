"""Bodies made from the model: for each operation one that is right, and all that differ from it in one place.

What a wrong body should be answered with is worked out here a second time, from the rules that docs/fidelity.md lists.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ecrsim.contract.models import SERVICES, Operation, Shape, service

OPERATIONS = [operation for name in SERVICES for operation in service(name).operations.values()]

_SECRET = "arn:aws-cn:secretsmanager:a:secret:ecr-pullthroughcache/x"


def operation_id(operation: Operation) -> str:
    return f"{operation.service}.{operation.name}"


#: By pattern of the model: a value of about the given length that matches.
_MATCHING = {
    r"[0-9]{12}": lambda _: "123456789012",
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}": lambda _: (
        "0aA1bB2c-0000-1111-2222-333344445555"
    ),
    r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+": lambda n: "sha256:" + "a" * max(1, n - 7),
    r"^arn:aws(-\w+)*:secretsmanager:[a-zA-Z0-9-:]+:secret:ecr\-pullthroughcache\/[a-zA-Z0-9\/_+=.@-]+$": (
        lambda n: _SECRET.ljust(n, "x")
    ),
    r"^$|arn:aws[a-z0-9-]*:kms:[a-z0-9-]+:[0-9]{12}:key\/[a-z0-9-]+": (
        lambda n: "arn:aws:kms:eu-west-1:123456789012:key/a".ljust(n, "b") if n else ""
    ),
    r"^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@-]+(/[\w+=,.@-]+)*$": (
        lambda n: "arn:aws:iam::123456789012:role/path/x".ljust(n, "y")
    ),
    r"^arn:aws(-[a-z]+)*:signer:[a-z0-9-]+:[0-9]{12}:\/signing-profiles\/[a-zA-Z0-9_]{2,}$": (
        lambda n: "arn:aws:signer:eu-west-1:123456789012:/signing-profiles/ab".ljust(n, "c")
    ),
    # The rest are words of which all letters may be the same.
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*": lambda n: "a" * n,
    r"(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*": lambda n: "a" * n,
    r"^([a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\/?|ROOT)$": lambda n: "a" * n,
    r"[0-9a-z-]{2,25}": lambda n: "a" * n,
    r"^[0-9a-zA-Z._*-]{1,128}$": lambda n: "a" * n,
    r"^(?:[a-z0-9]+(?:[._-][a-z0-9]*)*/)*[a-z0-9]*(?:[._-][a-z0-9]*)*$": lambda n: "a" * n,
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": lambda n: "a" * n,
    r"^(?:[a-z0-9*]+(?:[._-][a-z0-9*]+)*/)*[a-z0-9*]+(?:[._-][a-z0-9*]+)*$": lambda n: "a" * n,
}

#: Of these shapes the service itself speaks, and names the leaf.
_SERVICE_SPEAKS = {
    "RepositoryName": "repositoryName",
    "RegistryId": "registryId",
    "RegistryIdOrAlias": "registryId",
    "ImageTag": "imageTag",
    "ImageDigest": "imageDigest",
    "LayerDigest": "layerDigest",
    "UploadId": "uploadId",
}


def text_of(shape: Shape, length: int) -> str:
    return "a" * length if shape.pattern is None else _MATCHING[shape.pattern](length)


def example(shape: Shape) -> Any:
    """A value that the shape allows, with every member that it has."""
    if shape.type == "structure":
        return {name: example(member) for name, member in shape.members.items()}
    if shape.member is not None:
        return [example(shape.member)] * max(1, shape.min or 0)
    if shape.enum:
        return shape.enum[0]
    if shape.name == "ImageDigest":  # a free string in the model, not in every operation
        return "sha256:" + "a" * 64
    return {"string": text_of(shape, max(2, shape.min or 0)), "boolean": True, "blob": "AAAA"}.get(
        shape.type, shape.min or 0
    )


class Place(NamedTuple):
    """Where a value stands in a body, and what it must be."""

    keys: tuple[Any, ...]
    shape: Shape
    #: The list that it is an entry of.
    inside: Shape | None

    def put(self, body: dict[str, Any], value: Any) -> dict[str, Any]:
        body = copy.deepcopy(body)
        holder = body
        for key in self.keys[:-1]:
            holder = holder[key]
        holder[self.keys[-1]] = value
        return body

    def path(self) -> str:
        steps = [f"{key + 1}.member" if isinstance(key, int) else key[0].lower() + key[1:] for key in self.keys]
        return ".".join(steps)


def places(shape: Shape, keys: tuple[Any, ...] = (), inside: Shape | None = None) -> Iterator[Place]:
    if keys:
        yield Place(keys, shape, inside)
    for name, member in shape.members.items():
        yield from places(member, (*keys, name))
    if shape.member is not None:
        yield from places(shape.member, (*keys, 0), shape)


class Broken(NamedTuple):
    """A body and what it is refused with: the member and the constraint, or neither for a wrong JSON type."""

    body: dict[str, Any]
    member: str
    constraint: str | None


def allowed(operation: Operation) -> Iterator[tuple[Place, Any]]:
    """Values on the edge of what is allowed."""
    for place in places(operation.input):
        shape = place.shape
        if shape.enum:
            yield from ((place, value) for value in shape.enum)
        elif shape.type == "string":
            yield from ((place, text_of(shape, size)) for size in (shape.min, shape.max) if size is not None)
        elif shape.type in ("integer", "long"):
            yield place, shape.min or 0
            yield place, 2**63 - 1 if shape.max is None else shape.max
        elif shape.type == "boolean":
            yield from ((place, value) for value in (True, False))
        elif shape.member is not None:
            sizes = [size for size in (shape.min, shape.max) if size is not None]
            yield from ((place, [example(shape.member)] * size) for size in sizes)


def broken(operation: Operation) -> Iterator[Broken]:
    """Every body that breaks one constraint of the model, and every body with one wrong JSON type."""
    body = example(operation.input)
    for place in places(operation.input):
        for value, constraint in _violations(place.shape, _voice(place)):
            member, sentence = _said(place, constraint)
            yield Broken(place.put(body, value), member, sentence)
        yield from (Broken(place.put(body, value), place.path(), None) for value in _wrong_types(place.shape.type))
        if place.inside is not None:
            yield Broken(place.put(body, None), place.path(), "Member must not be null")
    yield from _lacking(operation, body)


def _lacking(operation: Operation, body: dict[str, Any]) -> Iterator[Broken]:
    for place in [Place(("",), operation.input, None), *places(operation.input)]:
        keys = () if place.keys == ("",) else place.keys
        for name in place.shape.required:
            lacking = Place((*keys, name), place.shape.members[name], None)
            leaf = _SERVICE_SPEAKS.get(lacking.shape.name)
            text = "must not be null" if leaf else "Member must not be null"
            without = lacking.put(body, None)
            yield Broken(without, leaf or lacking.path(), text)
            holder = without
            for key in keys:
                holder = holder[key]
            del holder[name]
            yield Broken(without, leaf or lacking.path(), text)


def _voice(place: Place) -> str:
    shape = place.shape
    service_speaks = shape.name in _SERVICE_SPEAKS and (place.inside is None or shape.name == "RepositoryName")
    return "must" if service_speaks else "Member must"


def _violations(shape: Shape, voice: str) -> Iterator[tuple[Any, str]]:
    """Wrong values, and the constraint as the given voice puts it."""
    make: Callable[[int], Any]
    if shape.type in ("integer", "long"):
        measure, make = "value", int
    elif shape.type == "blob":
        measure, make = "length", lambda size: base64.b64encode(bytes(size)).decode()
    elif shape.member is not None:
        entry = example(shape.member)
        measure, make = "length", lambda size: [entry] * size
    else:
        # No ARN is as short as some bounds; the length is looked at first.
        measure, make = "length", lambda size: text if len(text := text_of(shape, size)) == size else "a" * size
    if shape.min:
        yield make(shape.min - 1), f"{voice} have {measure} greater than or equal to {shape.min}"
    if shape.max is not None:
        yield make(shape.max + 1), f"{voice} have {measure} less than or equal to {shape.max}"
    if shape.min == 0 and measure == "value":
        yield -1, f"{voice} have value greater than or equal to 0"
    if shape.enum:
        order = shape.enum
        if shape.name == "ImageTagMutability":
            order = ("IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION")
        for value in ("", "NOT_A_VALUE", shape.enum[0].swapcase(), shape.enum[0] + " "):
            yield value, f"{voice} satisfy enum value set: [{', '.join(order)}]"
    if shape.pattern is not None:
        printed = shape.pattern.replace(r"\/", "/") if shape.name == "RepositoryName" else shape.pattern
        text = f"expression '{printed}'" if voice == "must" else f"expression pattern: {printed}"
        good = text_of(shape, max(3, shape.min or 0))
        for value in (good[:-1] + "\n", good[:-1] + "!", "é" + good[1:]):
            yield value, f"{voice} satisfy regular {text}"


def _said(place: Place, constraint: str) -> tuple[str, str]:
    """Member and constraint of the sentence."""
    shape = place.shape
    if constraint.startswith("must"):
        return _SERVICE_SPEAKS[shape.name], constraint
    if place.inside is None or shape.type in ("structure", "list"):
        return place.path(), constraint
    quoted = []
    if shape.max is not None:
        quoted.append(f"Member must have length less than or equal to {shape.max}")
    if shape.min is not None:
        quoted.append(f"Member must have length greater than or equal to {shape.min}")
    if shape.enum:
        quoted.append(f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    if shape.pattern is not None:
        quoted.append(f"Member must satisfy regular expression pattern: {shape.pattern}")
    return Place(place.keys[:-1], shape, None).path(), f"Member must satisfy constraint: [{', '.join(quoted)}]"


def _wrong_types(kind: str) -> list[Any]:
    wrong = {
        "string": [0, 1.5, True, [], {}],
        "integer": ["1", 1.0, True, 2**63, -(2**63) - 1, 10**30, [], {}],
        "long": ["1", 1.0, False, 2**63, -(2**63) - 1, 10**30, [], {}],
        "boolean": ["true", 0, 1, 0.0, [], {}],
        "blob": [0, True, [], {}, "A", "AAA", "AAAA=", "AAAA====", "====", "AA=A", "A A A A", "AAAA\n", "ÄÄÄÄ", "_-_-"],
        "list": ["a", 0, 1.5, True, {}, {"0": "a"}],
        "structure": ["a", 0, 1.5, False, [], [{}]],
    }
    return wrong[kind]
