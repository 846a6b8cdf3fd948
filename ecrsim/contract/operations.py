"""Which function answers which modelled operation.

A function is declared where it is written and found by its model name; nothing else registers anything. A name that the
model lacks, and a second function for one operation, are errors at import, so that neither can be shipped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ecrsim.contract.models import SERVICES, Operation, service
from ecrsim.core.errors import UnknownOperationException

#: A function of an operation: the call, then the input's members in snake case; the result is shaped by the output.
Function = Callable[..., Any]

_F = TypeVar("_F", bound=Function)

_functions: dict[Operation, Function] = {}


def operation(name: str, *, service: str = "ecr") -> Callable[[_F], _F]:
    """Declare a function as an operation: `@operation("PutImage")`, `@operation("PutImage", service="ecr-public")`.

    LookupError at import when the model has no such operation or it has a function already.
    """
    modelled = _modelled(service, name)

    def register(function: _F) -> _F:
        if modelled in _functions:
            raise LookupError(f"{service} {name} is declared twice: {_where(_functions[modelled])}, {_where(function)}")
        _functions[modelled] = function
        return function

    return register


def _where(function: Function) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _modelled(service_name: str, name: str) -> Operation:
    found = service(service_name).operations.get(name) if service_name in SERVICES else None
    if found is None:
        raise LookupError(f"the model has no operation {name} of {service_name}")
    return found


def function_of(modelled: Operation) -> Function | None:
    """The function of an operation, None when it is not built."""
    return _functions.get(modelled)


def registered(service_name: str, name: str) -> Function | None:
    """The function of an operation by name, None when it is not built. LookupError for a name outside the model."""
    return _functions.get(_modelled(service_name, name))


def missing(service_name: str) -> list[str]:
    """The operations of the model that have no function, in model order."""
    return [name for name, modelled in service(service_name).operations.items() if modelled not in _functions]


@functools.cache
def _targets() -> dict[str, Operation]:
    models = [service(name) for name in SERVICES]
    return {f"{model.target_prefix}.{name}": found for model in models for name, found in model.operations.items()}


def resolve_target(target: str | None) -> Operation:
    """The operation of an X-Amz-Target header: `AmazonEC2ContainerRegistry_V20150921.PutImage`.

    UnknownOperationException when there is no header or it names no operation (documented: AWS's common errors).
    """
    found = _targets().get(target or "")
    if found is None:
        raise UnknownOperationException(
            f"No operation has the target '{target[:200]}'." if target else "The request has no X-Amz-Target header."
        )
    return found
