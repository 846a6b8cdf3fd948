"""Every constraint of every input member of every operation, kept and broken, out of the model."""

import json

import pytest

from ecrsim.contract.models import snake
from ecrsim.contract.parse import parse
from ecrsim.core.errors import InvalidParameterException, SerializationException, ServiceError
from tests.contract.modelled import OPERATIONS, allowed, broken, example, operation_id

every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=operation_id)


def encode(body):
    return json.dumps(body, ensure_ascii=False).encode()


@every_operation
def test_a_full_body_becomes_all_arguments(operation):
    arguments = parse(operation, encode(example(operation.input)))

    assert list(arguments) == [snake(name) for name in operation.input.members]


@every_operation
def test_a_body_of_required_members_becomes_those_arguments(operation):
    body = {name: example(operation.input.members[name]) for name in operation.input.required}

    assert parse(operation, encode(body)).keys() == {snake(name) for name in operation.input.required}


@every_operation
def test_null_is_absent_for_optional_members(operation):
    body = dict.fromkeys(operation.input.members)
    body.update({name: example(operation.input.members[name]) for name in operation.input.required})

    assert parse(operation, encode(body)).keys() == {snake(name) for name in operation.input.required}


@every_operation
def test_values_on_the_edge_are_allowed(operation):
    body = example(operation.input)
    refused = []
    for place, value in allowed(operation):
        try:
            parse(operation, encode(place.put(body, value)))
        except ServiceError as error:
            refused.append((place.path(), str(value)[:60], error.message))

    assert refused == []


@every_operation
def test_every_broken_constraint_is_answered_with_its_sentence(operation):
    wrong = []
    for case in broken(operation):
        if case.constraint is None:
            continue
        expected = f"Invalid parameter at '{case.member}' failed to satisfy constraint: '{case.constraint}'"
        try:
            answer = f"accepted: {parse(operation, encode(case.body))!r:.100}"
        except InvalidParameterException as error:
            answer = error.message
        if answer != expected:
            wrong.append((answer, expected))

    assert wrong == []


@every_operation
def test_every_wrong_json_type_is_a_serialization_error_that_names_the_member(operation):
    wrong = []
    for case in broken(operation):
        if case.constraint is not None:
            continue
        try:
            wrong.append((case.member, f"accepted: {parse(operation, encode(case.body))!r:.100}"))
        except SerializationException as error:
            if not error.message.endswith(f" at '{case.member}'"):
                wrong.append((case.member, error.message))

    assert wrong == []


def test_the_model_yields_a_plausible_number_of_cases():
    cases = [case for operation in OPERATIONS for case in broken(operation)]

    assert len([case for case in cases if case.constraint is not None]) > 1000
    assert len([case for case in cases if case.constraint is None]) > 2000
