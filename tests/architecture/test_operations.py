"""Every operation of the two models is answered by one function, or named as missing where a user looks."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pytest

from ecrsim.contract.models import SERVICES, service
from ecrsim.contract.operations import registered
from ecrsim.coverage import markdown
from ecrsim.ecr import load_capabilities
from ecrsim.ecr_public.operations import SHARED
from tests.architecture.source import ROOT, Source, imports, sources


@pytest.fixture(scope="module", autouse=True)
def _loaded():
    load_capabilities()


def declared(source: Source) -> Iterator[tuple[str, str, str]]:
    """Service, operation and function of each `@operation("PutImage", service="ecr-public")` in a file."""
    for node in source.nodes:
        for decorator in getattr(node, "decorator_list", []):
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", None) == "operation":
                options = {option.arg: option.value for option in decorator.keywords}
                service_name = ast.literal_eval(options["service"]) if "service" in options else "ecr"
                yield service_name, ast.literal_eval(decorator.args[0]), node.name


def everything_declared() -> list[tuple[Source, str, str, str]]:
    return [(source, *found) for source in sources("ecrsim") for found in declared(source)]


def test_what_is_declared_is_loaded():
    names = {(service_name, name) for _, service_name, name, _ in everything_declared()}
    names |= {("ecr-public", name) for name in SHARED}
    assert names == {(each, name) for each in SERVICES for name in service(each).operations if registered(each, name)}


def test_operations_are_declared_in_files_of_that_name():
    assert {source.name for source, *_ in everything_declared() if source.parts[-1] != "operations"} == set()


def test_a_function_is_called_like_its_operation():
    strangers = [
        source.at(1, f"{function} answers {name}")
        for source, _, name, function in everything_declared()
        if function.replace("_", "") != name.lower()
    ]
    assert strangers == []


def test_ecr_public_answers_by_the_functions_of_ecr():
    """CreateRepository, DescribeImages and all the others over the same services: no statement of SQL is new."""
    for name in SHARED:
        shared, own = (registered(each, name) for each in ("ecr-public", "ecr"))
        assert shared is not None
        assert own is not None
        assert inspect.unwrap(shared.function) is own.function
    ours = {source.parts[-1]: {each.parts[0] for each in imports(source)} for source in sources("ecrsim/ecr_public")}
    assert "sqlalchemy" in ours["catalog"]
    assert {name for name, found in ours.items() if "sqlalchemy" in found} == {"catalog", "limits", "tables", "tags"}


def test_the_documented_coverage_is_the_real_one():
    assert markdown() in (ROOT / "docs" / "coverage.md").read_text("utf-8"), "ecrsim coverage --markdown gives it"
