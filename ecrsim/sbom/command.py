"""`ecrsim sbom IMAGE`: declared here; what it does is loaded when it is called."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ecrsim.imagename import add_image_arguments


def add_sbom_command(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare it; `add` is how the command line declares each of its commands."""
    where = ("host", "port", "data_dir", "admin_token", "account", "region")
    command = add(commands, "sbom", "sbom.printing:sbom", "print what an image holds, as CycloneDX or SPDX", where)
    add_image_arguments(command)
    command.add_argument(
        "--format", choices=("cyclonedx", "spdx"), default="cyclonedx", help="of the document (default: cyclonedx)"
    )
