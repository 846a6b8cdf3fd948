"""What an image of a running ecrsim holds, printed as CycloneDX or SPDX."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from ecrsim.config import Config
from ecrsim.remote import ask
from ecrsim.values import CommandFailed

#: Seconds that an image which nobody has scanned yet may take to be read.
_PATIENCE = 900
_MISSING = "the libraries that write it are not installed: pip install 'ecrsim[sbom]'"


def sbom(config: Config, options: argparse.Namespace) -> int:
    """Print the document; what could not be read goes to standard error. CommandFailed."""
    query = {"image": options.image, "account": config.account, "region": config.region}
    if options.platform is not None:
        query["platform"] = options.platform
    answer = ask(config, "GET", f"/_ecrsim/bill?{urlencode(query)}", timeout=_PATIENCE)
    try:
        text = _document(answer, options.format)
    except ModuleNotFoundError:
        raise CommandFailed(_MISSING) from None
    print(text)
    for path, reason in answer["bill"]["unread"]:
        print(f"ecrsim: {path} could not be read: {reason}", file=sys.stderr)
    return 0


def _document(answer: dict[str, Any], kind: str) -> str:
    # Imported here: 500 ms and 40 MB that other commands do without.
    from ecrsim.sbom.image import ImageBill

    image = ImageBill.from_json(answer)
    if kind == "spdx":
        # Imported here: 400 ms and 30 MB, and an extra that is not installed everywhere.
        from ecrsim.sbom.spdx import spdx

        return spdx(image, datetime.fromisoformat(answer["now"]).astimezone(UTC).replace(tzinfo=None))
    # Imported here: 200 ms and 15 MB, and an extra that is not installed everywhere.
    from ecrsim.sbom.cyclonedx import cyclonedx

    return cyclonedx(image)
