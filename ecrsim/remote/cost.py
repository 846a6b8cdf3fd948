"""`ecrsim cost`: what registries cost at AWS's prices, of a running ecrsim or of what the AWS CLI printed.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecrsim.config import Config
from ecrsim.core.clock import Clock, parse_iso
from ecrsim.core.printable import printable
from ecrsim.values import CommandFailed

FORMATS = ("table", "json", "html")
#: Where a client may be; the words of `ecrsim/cost/usage.py`.
DESTINATIONS = ("internet", "same-region", "cross-region")
MAX_DAYS = 366
STANDARD_INPUT = "-"
#: Seconds that the bill of some hundred thousand images may take.
_PATIENCE = 900


def add_cost_command(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare it; `add` is how the command line declares each of its commands."""
    summary = "say what registries cost at AWS's prices, and what would save most"
    where = ("host", "port", "data_dir", "admin_token", "account", "region")
    parser = add(commands, "cost", cost, summary, where)
    parser.set_defaults(parser=parser)
    option = parser.add_argument
    option("--days", type=_days, default=30, metavar="N", help="of so many days, today the last (default: 30)")
    option("--prices", type=Path, metavar="FILE", help="other prices, in TOML or JSON, in the place of those of ecrsim")
    option(
        "--images",
        action="append",
        metavar="FILE",
        help="of real registries: the output of `aws ecr describe-images`, of one repository or several, and of "
        "describe-repositories, get-lifecycle-policy and `aws resourcegroupstaggingapi get-resources`; - is standard "
        "input; may be repeated",
    )
    option("--pulls-from", choices=DESTINATIONS, default="internet", help="where clients are (default: internet)")
    option("--free-tier", action="store_true", help="take off what new customers have free in their first 12 months")
    option("--now", type=_time, metavar="TIME", help="with --images: the time of the bill, in ISO 8601 (default: now)")
    option("--format", choices=FORMATS, default="table", help="table, json, or html: a page with charts")
    option("--output", metavar="FILE", help="write there and not to standard output")


def _days(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MAX_DAYS}")
    return value


def _time(text: str) -> int:
    try:
        return parse_iso(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 2026-01-31T12:00:00Z") from None


def cost(config: Config, options: argparse.Namespace) -> int:
    """Prints the bill. CommandFailed."""
    if options.now is not None and options.images is None:
        options.parser.error("--now goes with --images: an ecrsim has a clock of its own")
    # 40 ms of engine and prices that the other commands do without.
    from ecrsim.core.errors import ServiceError
    from ecrsim.cost.price_file import PricesError
    from ecrsim.described import UnreadableError

    try:
        found = _asked(config, options) if options.images is None else _printed(config, options)
        text = _shown(found, options.format)
        if options.output is None:
            sys.stdout.write(printable(text, lines=True))
        else:
            Path(options.output).write_text(text, "utf-8")
    except (PricesError, UnreadableError, OSError) as error:
        raise CommandFailed(str(error)) from error
    except ServiceError as error:
        raise CommandFailed(f"a lifecycle policy cannot be used: {error.message}") from error
    return 0


def _asked(config: Config, options: argparse.Namespace) -> Any:
    # 8 ms of HTTP that a bill of files does without.
    import urllib.parse

    from ecrsim.remote import answering

    query = {"days": options.days, "pullsFrom": options.pulls_from}
    # Not the settings, whose defaults would leave the other registries out.
    query |= {name: value for name in ("account", "region") if (value := getattr(options, name)) is not None}
    query |= {"freeTier": "true"} if options.free_tier else {}
    path = f"/_ecrsim/cost?{urllib.parse.urlencode(query)}"
    if options.prices is None:
        with answering(config, "GET", path, timeout=_PATIENCE) as answer:
            return json.load(answer)
    # Read here, so that what is wrong is said of the file.
    _prices(options)
    with answering(config, "POST", path, options.prices.read_bytes(), timeout=_PATIENCE) as answer:
        return json.load(answer)


def _printed(config: Config, options: argparse.Namespace) -> Any:
    # 40 ms of engine and prices that the other commands do without.
    from ecrsim.cost.described import facts_of
    from ecrsim.cost.document import cost_document
    from ecrsim.cost.facts import Window
    from ecrsim.described import read_repositories

    now = Clock().now() if options.now is None else options.now
    window = Window.of_days(now, options.days)
    repositories = read_repositories(_content(name) for name in options.images)
    facts = facts_of(repositories, window, config.account, config.region)
    name = ", ".join("standard input" if each == STANDARD_INPUT else each for each in options.images)
    return cost_document(facts, _prices(options), options.pulls_from, kind="describe-images", name=name)


def _content(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()


def _prices(options: argparse.Namespace) -> Any:
    # 5 ms of prices that the other commands do without.
    from ecrsim.cost.price_file import load_prices

    prices = load_prices(options.prices)
    return prices._replace(is_new_customer=True) if options.free_tier else prices


def _shown(found: Any, kind: str) -> str:
    if kind == "json":
        return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
    # 10 ms of templates that the other commands do without.
    from ecrsim.cost.page import page
    from ecrsim.cost.table import table

    return page(found) if kind == "html" else table(found)
