"""The operations of ECR, one package per capability, in the order of their dependence."""

from __future__ import annotations

import importlib
import importlib.util

#: A capability may use the ones before it; it is named here and nowhere else. A name with dots is a package elsewhere.
CAPABILITIES = [
    "registries",
    "repositories",
    "atrest",
    "layers",
    "images",
    "access",
    "encryption",
    "lifecycle",
    "metering",
    "templates",
    "pullthrough",
    "replication",
    "scanning",
    "signing",
    "ecrsim.ecr_public",
]
#: The modules in which a capability declares itself; it has those that it needs.
DECLARING = ("operations", "reactions", "jobs", "additions", "household")


def load_capabilities() -> None:
    """Import what declares each capability, which registers it, and with it its tables.

    Reactions and additions run in the order in which they are imported here.
    """
    for name in CAPABILITIES:
        package = name if "." in name else f"ecrsim.ecr.{name}"
        for part in DECLARING:
            if importlib.util.find_spec(f"{package}.{part}") is not None:
                importlib.import_module(f"{package}.{part}")
