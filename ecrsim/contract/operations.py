"""Which function answers which modelled operation, and how it runs.

A function is declared where it is written and found by its model name; nothing else registers anything, and no part of
ecrsim decides anything by how an operation is called. A name that the model lacks, and a second function for one
operation, are errors at import, so that neither can be shipped.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from ecrsim.contract.models import SERVICES, Operation, service, snake
from ecrsim.contract.questions import Asks, ask_once
from ecrsim.contract.shape import shown
from ecrsim.core.errors import UnknownOperationException
from ecrsim.core.runtime import Call
from ecrsim.core.web import Runs

#: A function of an operation: the call, then the input's members in snake case; the result is shaped by the output.
Function = Callable[..., Any]

#: "read": a read transaction, opened on first use; the function writes nothing. "write": one write transaction around
#: function, answer and trail. "own": the function opens what it needs, because it moves bytes or seldom writes.
Transaction = Literal["read", "write", "own"]

#: "repository": the write transaction reads and changes what is of the repository that the request names, and nothing
#: that another one could change beside it; "all": anything.
Scope = Literal["all", "repository"]

#: Where it runs under `ecrsim serve` (`core/web.py: Runs`) unless it says otherwise.
_RUNS: Mapping[Transaction, Runs] = {"read": "loop", "write": "writer", "own": "bytes"}

#: What the service makes of the arguments before anybody is asked whether they are allowed: it may refuse the request,
#: or say otherwise what it is about, as ECR Public does with aliases of registries.
Enters = Callable[[Call, Operation, dict[str, Any]], dict[str, Any]]

#: What is done with the arguments before the write transaction is begun.
Ahead = Callable[[Call, dict[str, Any]], None]

_F = TypeVar("_F", bound=Function)


class Declaration(NamedTuple):
    """An operation that is built: its function, and everything that is special about how it runs."""

    operation: Operation
    function: Function
    transaction: Transaction
    runs: Runs
    #: A request that succeeds leaves a CloudTrail record, in the transaction of its change.
    on_trail: bool
    #: The IAM action without its prefix: the operation's name but for ListImageReferrers.
    action: str
    asks: Asks
    #: (shape name, pattern): what the service itself checks and the model lacks (`contract/parse.py`).
    service_checks: tuple[tuple[str, str], ...]
    enters: Enters | None = None
    #: It asks the blob store, so that it waits where that is behind a network.
    asks_store: bool = False
    ahead: Ahead | None = None
    #: What its write transaction concerns: anything, or the repository that it names.
    scope: Scope = "all"


_declared: dict[Operation, Declaration] = {}


def operation(
    name: str,
    *,
    transaction: Transaction,
    service: str = "ecr",
    runs: Runs | None = None,
    on_trail: bool | None = None,
    action: str | None = None,
    asks: Asks = ask_once,
    service_checks: Mapping[str, str] | None = None,
    enters: Enters | None = None,
    asks_store: bool = False,
    ahead: Ahead | None = None,
    scope: Scope = "all",
) -> Callable[[_F], _F]:
    """Declare a function as an operation: `@operation("PutImage", transaction="write")`.

    `on_trail`: every "write" is on the trail unless it says otherwise; nothing else can be, as the record shares the
    write transaction of the change. `runs`: where it does, for one that computes long, or moves no bytes.
    `action`, `asks`, `service_checks`, `enters`, `asks_store`, `ahead` and `scope` as in `Declaration`.
    LookupError at import when the model has no such operation or it has a function already, ValueError for a trail
    without a write transaction.
    """
    modelled = _modelled(service, name)
    if on_trail and transaction != "write":
        raise ValueError(f"{service} {name} is on the trail without a write transaction")

    def register(function: _F) -> _F:
        declared = Declaration(
            operation=modelled,
            function=function,
            transaction=transaction,
            runs=runs or _RUNS[transaction],
            on_trail=transaction == "write" if on_trail is None else on_trail,
            action=action or name,
            asks=asks,
            service_checks=tuple((service_checks or {}).items()),
            enters=enters,
            asks_store=asks_store,
            ahead=ahead,
            scope=scope,
        )
        _declare(declared)
        return function

    return register


def _declare(declared: Declaration) -> None:
    modelled = declared.operation
    if modelled in _declared:
        there = _declared[modelled].function
        raise LookupError(
            f"{modelled.service} {modelled.name} is declared twice: {_where(there)}, {_where(declared.function)}"
        )
    _declared[modelled] = declared


def share(name: str, service_name: str, *, enters: Enters | None = None) -> None:
    """Let the function of ECR's operation answer another service's of that name as well, declared as it is.

    It is given the members that the other service has, and what it returns is shown as far as the other shows it.
    LookupError when ECR's is not declared, and as `operation`.
    """
    there, modelled = declared_as("ecr", name), _modelled(service_name, name)
    function = _limited(there.function, modelled)
    _declare(there._replace(operation=modelled, function=function, enters=enters))


def _limited(function: Function, modelled: Operation) -> Function:
    @functools.wraps(function)
    def limited(call: Call, **arguments: Any) -> Any:
        return shown(modelled.output, function(call, **arguments))

    signature = inspect.signature(function)
    known = {"call", *map(snake, modelled.input.members)}
    kept = [each for each in signature.parameters.values() if each.name in known]
    limited.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return limited


def _where(function: Function) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _modelled(service_name: str, name: str) -> Operation:
    found = service(service_name).operations.get(name) if service_name in SERVICES else None
    if found is None:
        raise LookupError(f"the model has no operation {name} of {service_name}")
    return found


def declaration_of(modelled: Operation) -> Declaration | None:
    """How an operation runs, None when it is not built."""
    return _declared.get(modelled)


def registered(service_name: str, name: str) -> Declaration | None:
    """The declaration of an operation by name, None when it is not built. LookupError for a name outside the model."""
    return _declared.get(_modelled(service_name, name))


def declared_as(service_name: str, name: str) -> Declaration:
    """The registered operation; LookupError when it is not built."""
    found = registered(service_name, name)
    if found is None:
        raise LookupError(f"{service_name} {name} is not declared")
    return found


def missing(service_name: str) -> list[str]:
    """The operations of the model that have no function, in model order."""
    return [name for name, modelled in service(service_name).operations.items() if modelled not in _declared]


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
