"""Which account settings there are (documented; texts inferred)."""

from __future__ import annotations

from ecrsim.core.errors import ValidationException

#: name → the values that the current service accepts.
SETTINGS: dict[str, tuple[str, ...]] = {
    "BASIC_SCAN_TYPE_VERSION": ("AWS_NATIVE",),
    "REGISTRY_POLICY_SCOPE": ("V2", "V1"),
    "BLOB_MOUNTING": ("ENABLED", "DISABLED"),
}


def default_setting(name: str, blob_mounting: bool) -> str:
    if name == "BLOB_MOUNTING":
        return "ENABLED" if blob_mounting else "DISABLED"
    return SETTINGS[name][0]


def check_name(name: str) -> None:
    if name not in SETTINGS:
        raise ValidationException(f"Invalid account setting name: {name}")


def check_value(name: str, value: str) -> None:
    check_name(name)
    if value not in SETTINGS[name]:
        raise ValidationException(f"Invalid value '{value}' for account setting '{name}'")
