"""`scripts/sizing`: what a load takes, printed; or the unit costs, measured anew."""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sizes.model import NAMES, STEPS, Load, Machines, Sizing, Units, size

FILE = Path(__file__).with_name("units.toml")
#: What is printed of a sizing, with the unit that suits a reader.
_LINES: tuple[tuple[str, str], ...] = (
    ("statements a second", "statements"),
    ("of these by workers that look for jobs and events", "idle_statements"),
    ("statements a pull", "statements_per_pull"),
    ("bytes a second through the nodes", "node_bytes"),
    ("bytes a pull through the nodes", "node_bytes_per_pull"),
    ("cores of nodes", "node_cores"),
    ("nodes", "nodes"),
    ("cores of the primary", "primary_cores"),
    ("cores of each replica", "replica_cores"),
    ("bytes a second to and from the database", "database_wire_bytes"),
    ("connections to each database", "connections"),
    ("their memory in the server, bytes", "connection_memory"),
    ("bytes of each database", "database_bytes"),
    ("bytes of the object store", "store_bytes"),
    ("requests a second to the object store", "store_requests"),
)


def read_units(file: Path = FILE) -> Units:
    """The measured unit costs."""
    document = tomllib.loads(file.read_text("utf-8"))
    return Units(**{name: float(document["units"][name]) for name in NAMES})


def shown(number: float) -> str:
    """Three figures, and a word for what is large."""
    for limit, word in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= limit:
            scale = {"k": 1e3}.get(word, limit)
            return f"{number / scale:.3g} {word}" if number / scale < 999.5 else f"{number / scale:.0f} {word}"
    return f"{number:.3g}" if abs(number) < 999.5 else f"{number:.0f}"


def table(columns: Sequence[tuple[str, Sizing]]) -> str:
    """In Markdown: a line for each figure, a column for each arrangement, what breaks first at the end."""
    lines = [
        "| in the busiest second | " + " | ".join(name for name, _ in columns) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    for words, name in _LINES:
        lines.append(f"| {words} | " + " | ".join(shown(getattr(each, name)) for _, each in columns) + " |")
    first = [each.breaks_first for _, each in columns]
    lines.append("| breaks first | " + " | ".join(name for name, _ in first) + " |")
    lines.append("| at pulls a day | " + " | ".join(shown(at) for _, at in first) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/sizing", description=__doc__, allow_abbrev=False)
    parser.add_argument("--units", type=Path, default=FILE, metavar="FILE", help="unit costs (default: those measured)")
    parser.add_argument("--steps", action="store_true", help="the arrangements of docs/scaling.md, side by side")
    measured = "measure the unit costs over this empty PostgreSQL on this machine, and print them as TOML"
    parser.add_argument("--measure", metavar="URL", help=measured)
    for title, kind in (("the load", Load), ("the machines", Machines)):
        group = parser.add_argument_group(title)
        for field in fields(kind):
            flag, default = f"--{field.name.replace('_', '-')}", field.default
            if isinstance(default, bool):
                group.add_argument(flag, action="store_true", default=None)
            else:
                group.add_argument(flag, type=type(default), metavar="N", help=f"(default: {default:g})")
    options = parser.parse_args(arguments)
    if options.measure:
        return _measure(options.measure)
    units = read_units(options.units)
    load = replace(Load(), **_given(options, Load))
    steps = STEPS if options.steps else (("as given", Machines()),)
    given = _given(options, Machines)
    columns = [(name, size(load, replace(each, **given), units)) for name, each in steps]
    sys.stdout.write(table(columns) + "\n")
    return 0


def _given(options: argparse.Namespace, kind: type[Load | Machines]) -> dict[str, Any]:
    found = {field.name: getattr(options, field.name) for field in fields(kind)}
    return {name: value for name, value in found.items() if value is not None}


def _measure(url: str) -> int:
    # Only here: sizing needs no driver of a database.
    from sizes.measuring import machine, measure

    with tempfile.TemporaryDirectory() as directory:
        found = measure(url, Path(directory))
    sys.stdout.write(
        "# What one request costs, in the words of model.py: seconds of a core, statements, bytes. All of it was\n"
        "# measured by `scripts/sizing --measure postgresql://USER@127.0.0.1/EMPTY`, at\n"
        f"# {machine(url)}.\n"
    )
    sys.stdout.write("[units]\n" + "".join(f"{name} = {found[name]:.4g}\n" for name in NAMES))
    return 0
