"""The typed aliases say what the model says."""

import typing

import pytest

from ecrsim.contract import types
from ecrsim.contract.models import service

SHAPES = service("ecr").shapes
STRUCTURES = {
    "ImageId": "ImageIdentifier",
    "SubjectId": "SubjectIdentifier",
    **{name: name for name, value in vars(types).items() if typing.is_typeddict(value) and name in SHAPES},
}
ENUMS = [name for name, value in vars(types).items() if typing.get_origin(value) is typing.Literal]


def test_every_type_has_a_shape():
    dictionaries = {name for name, value in vars(types).items() if typing.is_typeddict(value)}

    assert dictionaries == set(STRUCTURES)
    assert set(ENUMS) <= SHAPES.keys()


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_a_structure_has_the_members_of_its_shape(name):
    shape = SHAPES[STRUCTURES[name]]
    alias = getattr(types, name)

    # Resolved with their extras, because with postponed annotations a TypedDict takes NotRequired for a plain type.
    hints = typing.get_type_hints(alias, include_extras=True)
    optional = {key for key, hint in hints.items() if typing.get_origin(hint) is typing.NotRequired}
    assert set(hints) == set(shape.members)
    assert set(hints) - optional == set(shape.required)


@pytest.mark.parametrize("name", ENUMS)
def test_an_enum_has_the_values_of_its_shape(name):
    assert typing.get_args(getattr(types, name)) == SHAPES[name].enum
