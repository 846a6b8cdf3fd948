"""The operations of ECR, one package per capability, in the order of their dependence."""

from __future__ import annotations

import importlib
import importlib.util

#: A capability may use the ones before it. Each has an `operations.py`.
CAPABILITIES = ("registries", "repositories", "layers", "images", "access", "lifecycle", "templates", "scanning")


def load_capabilities() -> None:
    """Import every capability's operations and jobs, which registers them, and with them its tables."""
    for name in CAPABILITIES:
        importlib.import_module(f"ecrsim.ecr.{name}.operations")
        if importlib.util.find_spec(f"ecrsim.ecr.{name}.jobs") is not None:
            importlib.import_module(f"ecrsim.ecr.{name}.jobs")
