"""Every setting that the service has, with the values that it takes."""

import pytest

from ecrsim.core.errors import ValidationException
from ecrsim.ecr.registries import rules


def test_every_default_is_a_value_that_is_accepted():
    for name in rules.SETTINGS:
        for blob_mounting in (False, True):
            assert rules.check_value(name, rules.default_setting(name, blob_mounting)) is None


@pytest.mark.parametrize("check", [rules.check_name, lambda name: rules.check_value(name, "V2")])
def test_an_unknown_name(check):
    with pytest.raises(ValidationException):
        check("REGISTRY_POLICY")
