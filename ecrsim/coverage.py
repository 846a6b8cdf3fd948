"""Which operations of the two models are built."""

from __future__ import annotations

import argparse
import sys

from ecrsim.config import Config
from ecrsim.contract.models import SERVICES, service
from ecrsim.contract.operations import missing
from ecrsim.ecr import load_capabilities

TITLES = {"ecr": "Amazon ECR", "ecr-public": "Amazon ECR Public"}


def built(service_name: str) -> dict[str, bool]:
    """Operation → is it built, in model order."""
    load_capabilities()
    absent = set(missing(service_name))
    return {name: name not in absent for name in service(service_name).operations}


def table() -> str:
    """One line for each operation, and the totals."""
    lines = [
        f"{name:10} {operation:42} {'yes' if is_built else 'not yet'}"
        for name in SERVICES
        for operation, is_built in built(name).items()
    ]
    totals = "; ".join(f"{name}: {total(name)}" for name in SERVICES)
    return "\n".join([*lines, totals])


def total(service_name: str) -> str:
    operations = built(service_name)
    return f"{sum(operations.values())} of {len(operations)} operations built"


def markdown() -> str:
    """For docs/coverage.md: a heading and a table for each service."""
    parts = []
    for name in SERVICES:
        rows = [f"| {operation} | {'yes' if done else 'not yet'} |" for operation, done in built(name).items()]
        heading = [f"## {TITLES[name]} (`{name}`): {total(name)}", "", "| operation | built |", "| --- | --- |"]
        parts.append("\n".join([*heading, *rows]))
    return "\n\n".join(parts)


def coverage(_: Config, options: argparse.Namespace) -> int:
    """The command `ecrsim coverage`."""
    sys.stdout.write(f"{markdown() if options.markdown else table()}\n")
    return 0
