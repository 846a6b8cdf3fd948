"""`ecrsim sbom IMAGE`: declared here; what it does is loaded when it is called."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def add_sbom_command(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare it; `add` is how the command line declares each of its commands."""
    where = ("host", "port", "data_dir", "admin_token", "account", "region")
    command = add(commands, "sbom", "sbom.printing:sbom", "print what an image holds, as CycloneDX or SPDX", where)
    command.add_argument("image", metavar="IMAGE", help="REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST")
    command.add_argument("--platform", metavar="OS/ARCH", help="which of the images that an index lists: linux/arm64")
    command.add_argument(
        "--format", choices=("cyclonedx", "spdx"), default="cyclonedx", help="of the document (default: cyclonedx)"
    )
