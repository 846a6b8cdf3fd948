"""All operations that are built, and all error classes, held against the model."""

import ast
import importlib
import inspect
import textwrap

import pytest

from ecrsim.contract.models import SERVICES, service, snake
from ecrsim.contract.operations import declaration_of, missing
from ecrsim.core import errors, public_errors
from ecrsim.core.errors import ServiceError
from tests.contract.modelled import OPERATIONS, operation_id

#: Of AWS's front end, or of ecrsim itself: no operation declares them, and any may answer them.
PROTOCOL_ERRORS = frozenset(
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "NotImplementedException",
        "RequestEntityTooLargeException",
        "RequestHeaderFieldsTooLargeException",
        "RequestTimeoutException",
        "SerializationException",
        "ServiceUnavailableException",
        "ThrottlingException",
        "UnknownOperationException",
        "UnrecognizedClientException",
    }
)


def _load_everything():
    for package in ("ecrsim.ecr", "ecrsim.ecr_public"):
        if importlib.util.find_spec(package) is not None:
            loader = getattr(importlib.import_module(package), "load_capabilities", None)
            if loader is not None:
                loader()


_load_everything()
BUILT = [operation for operation in OPERATIONS if declaration_of(operation) is not None]
every_built_operation = pytest.mark.parametrize("operation", BUILT, ids=operation_id)
KNOWN = vars(errors) | vars(public_errors)
ERROR_CLASSES = [
    value
    for value in KNOWN.values()
    if isinstance(value, type) and issubclass(value, ServiceError) and value is not ServiceError
]


def test_an_operation_is_built_or_missing():
    for name in SERVICES:
        built = [operation.name for operation in BUILT if operation.service == name]
        assert sorted(built + missing(name)) == sorted(service(name).operations)


@every_built_operation
def test_the_function_is_named_after_its_operation(operation):
    assert declaration_of(operation).function.__name__ == operation.function


@every_built_operation
def test_the_parameters_are_the_members_of_the_input(operation):
    call, *parameters = inspect.signature(declaration_of(operation).function).parameters.values()

    assert call.name == "call"
    assert {parameter.name for parameter in parameters} == {snake(name) for name in operation.input.members}
    assert {parameter.kind for parameter in parameters} <= {
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    }


@every_built_operation
def test_what_is_required_has_no_default_and_the_rest_has_one(operation):
    _, *parameters = inspect.signature(declaration_of(operation).function).parameters.values()
    without_default = {parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty}

    assert without_default == {snake(name) for name in operation.input.required}


def raised_in(function):
    """Names of the error classes of the service that stand in a raise statement of the function."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Raise) or node.exc is None:
            continue
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        name = raised.attr if isinstance(raised, ast.Attribute) else getattr(raised, "id", "")
        found = KNOWN.get(name)
        if isinstance(found, type) and issubclass(found, ServiceError):
            yield found.__name__


@every_built_operation
def test_the_errors_that_are_raised_are_declared(operation):
    assert set(raised_in(declaration_of(operation).function)) <= {*operation.errors, *PROTOCOL_ERRORS}


def test_the_test_above_sees_what_is_raised():
    def function(call):
        if call:
            raise errors.ImageNotFoundException(image_digest="d", image_tag="t", repository_name="r", registry_id="1")
        raise ServiceError

    assert set(raised_in(function)) == {"ImageNotFoundException", "ServiceError"}


@pytest.mark.parametrize("error", ERROR_CLASSES, ids=lambda error: error.__name__)
def test_an_error_class_is_an_error_shape(error):
    shapes = [model.shapes.get(error.__name__) for model in map(service, SERVICES)]
    shapes = [shape for shape in shapes if shape is not None]
    if error.__name__ in PROTOCOL_ERRORS:
        assert shapes == []
        return

    assert shapes, f"no service has the error {error.__name__}"
    for shape in shapes:
        assert shape.exception
        assert error.status == (500 if shape.fault else 400)
        assert {"message", *error.extra_members} == set(shape.members)


def test_every_declared_error_of_a_built_operation_is_an_error_shape():
    for operation in BUILT:
        shapes = service(operation.service).shapes
        assert all(shapes[name].exception for name in operation.errors)
