"""DescribeRegistry and the account settings."""

import pytest

from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal
from tests.api import post, refusal_of

#: name → (default, other values that are accepted). Documented in the service model.
SETTINGS = {
    "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE", []),
    "REGISTRY_POLICY_SCOPE": ("V2", ["V1"]),
    "BLOB_MOUNTING": ("DISABLED", ["ENABLED"]),
}


class TestDescribeRegistry:
    @pytest.mark.recorded
    def test_without_replication_there_are_no_rules(self, ecr):
        answer = ecr.describe_registry()
        answer.pop("ResponseMetadata")

        assert answer == {"registryId": ACCOUNT, "replicationConfiguration": {"rules": []}}

    def test_the_registry_is_the_caller_s(self, client):
        assert client(account="111111111111").describe_registry()["registryId"] == "111111111111"


class TestAccountSettings:
    @pytest.mark.documented
    @pytest.mark.parametrize("name", SETTINGS)
    def test_the_default_is_given_when_none_was_put(self, ecr, name):
        answer = ecr.get_account_setting(name=name)
        answer.pop("ResponseMetadata")

        assert answer == {"name": name, "value": SETTINGS[name][0]}

    @pytest.mark.documented
    @pytest.mark.parametrize(
        ("name", "value"), [(name, value) for name, (first, others) in SETTINGS.items() for value in (first, *others)]
    )
    def test_what_is_put_is_echoed_and_kept(self, ecr, name, value):
        answer = ecr.put_account_setting(name=name, value=value)
        answer.pop("ResponseMetadata")

        assert answer == {"name": name, "value": value}
        assert ecr.get_account_setting(name=name)["value"] == value

    def test_a_setting_can_be_put_again(self, ecr):
        for value in ("ENABLED", "ENABLED", "DISABLED"):
            ecr.put_account_setting(name="BLOB_MOUNTING", value=value)
        assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"

    def test_the_default_of_blob_mounting_can_be_chosen(self, ecr, configure):
        configure(blob_mounting=True)
        assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "ENABLED"

        ecr.put_account_setting(name="BLOB_MOUNTING", value="DISABLED")
        assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"

    @pytest.mark.documented
    def test_they_are_per_account_and_region(self, client):
        client().put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
        others = [client(region="eu-west-1"), client(account="111111111111")]

        assert [each.get_account_setting(name="BLOB_MOUNTING")["value"] for each in others] == ["DISABLED"] * 2

    @pytest.mark.parametrize("name", ["REGISTRY_SCOPE", "blob_mounting", "x"])
    def test_no_such_setting(self, ecr, name):
        expected = inferred("ValidationException", f"Invalid account setting name: {name}")
        assert refusal(ecr.get_account_setting, name=name) == expected
        assert refusal(ecr.put_account_setting, name=name, value="ENABLED") == expected

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("BLOB_MOUNTING", "enabled"),
            ("BLOB_MOUNTING", ""),
            ("BASIC_SCAN_TYPE_VERSION", "CLAIR"),
            ("REGISTRY_POLICY_SCOPE", "V3"),
            ("REGISTRY_POLICY_SCOPE", "V2\n"),
        ],
    )
    def test_no_such_value(self, ecr, name, value):
        assert refusal(ecr.put_account_setting, name=name, value=value) == inferred(
            "ValidationException", f"Invalid value '{value}' for account setting '{name}'"
        )
        assert ecr.get_account_setting(name=name)["value"] == SETTINGS[name][0]

    @pytest.mark.parametrize("operation", ["GetAccountSetting", "PutAccountSetting"])
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("", "Member must have length greater than or equal to 1"),
            ("x" * 65, "Member must have length less than or equal to 64"),
        ],
    )
    def test_the_length_of_a_name_is_bounded(self, sim, operation, name, text):
        answer = post(sim, operation, {"name": name, "value": "x"})
        assert refusal_of(answer) == recorded("InvalidParameterException", constraint("name", text))

    def test_a_value_is_required(self, sim):
        answer = post(sim, "PutAccountSetting", {"name": "BLOB_MOUNTING"})
        assert refusal_of(answer) == inferred(
            "InvalidParameterException", constraint("value", "Member must not be null")
        )
