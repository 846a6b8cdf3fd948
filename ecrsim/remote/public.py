"""ECR Public, asked of a running ecrsim: aliases."""

from __future__ import annotations

import argparse
from typing import Any

from ecrsim.config import Config
from ecrsim.core.printable import printable
from ecrsim.remote import ask


def alias(config: Config, options: argparse.Namespace) -> int:
    """Prints all aliases, a line each: name, account, status, and what it is besides."""
    if options.name is None:
        answer = ask(config, "GET", "/_ecrsim/public-aliases")
    else:
        body: dict[str, Any] = {"name": options.name, "status": options.status}
        if options.of is not None:
            body["account"] = options.of
        if options.secondary:
            body["primary"] = False
        if options.verified is not None:
            body["verified"] = options.verified
        answer = ask(config, "PUT", "/_ecrsim/public-aliases", body)
    for each in answer["aliases"]:
        words = [
            each["name"],
            each["account"],
            each["status"],
            *(word for word in ("primary", "default") if each[word]),
        ]
        print(printable(" ".join(words)))
    return 0
