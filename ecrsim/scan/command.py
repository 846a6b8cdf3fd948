"""`ecrsim scan IMAGE`: what is vulnerable in an image of a running ecrsim, and an exit code for a gate.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong, 3 there is something as severe as `--fail-on`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from ecrsim.config import Config
from ecrsim.imagename import add_image_arguments, image_named

#: Seconds that an image which nobody has scanned yet may take to be read.
_PATIENCE = 900
_SEVERITIES = ("critical", "high", "medium", "low", "informational", "undefined")
_FORMATS = ("table", "json", "sarif", "html")


def add_scan_command(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare it; `add` is how the command line declares each of its commands."""
    where = ("host", "port", "data_dir", "admin_token", "account", "region")
    command = add(commands, "scan", scan, "say what is vulnerable in an image", where)
    add_image_arguments(command)
    command.add_argument("--format", choices=_FORMATS, default="table", help="of what is printed (default: table)")
    command.add_argument(
        "--fail-on", choices=_SEVERITIES, metavar="SEVERITY", help="end with 3 when something is as severe: high"
    )


def scan(config: Config, options: argparse.Namespace) -> int:
    """Prints the result, and says by its exit code whether it is good enough."""
    # 8 ms of each start: HTTP, for this command alone.
    from ecrsim.remote import RemoteError, ask

    name, image_id = image_named(options.image)
    body: dict[str, Any] = {
        "repositoryName": name,
        "imageId": image_id,
        "registryId": config.account,
        "region": config.region,
    }
    if options.platform is not None:
        body["platform"] = options.platform
    try:
        found = ask(config, "POST", "/_ecrsim/scan", body, timeout=_PATIENCE)
    except RemoteError as error:
        sys.stderr.write(f"ecrsim: {error}\n")
        return 1
    sys.stdout.write(f"{_shown(found, options.format)}\n")
    return 3 if options.fail_on and _is_bad(found, options.fail_on) else 0


def _is_bad(found: dict[str, Any], limit: str) -> bool:
    severe = _SEVERITIES[: _SEVERITIES.index(limit) + 1]
    return any(each["severity"].lower() in severe for each in found["vulnerabilities"] if each["suppressed"] is None)


def _shown(found: dict[str, Any], kind: str) -> str:
    # Imported here: 15 ms that the other commands do without.
    from ecrsim.scan import report

    return report.FORMATS[kind](found)
