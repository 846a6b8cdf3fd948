"""`ecrsim lifecycle simulate`: read, forecast, print.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong, 3 `--fail-on-warnings` and there is a danger.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecrsim.config import Config
from ecrsim.core.clock import Clock, parse_iso
from ecrsim.core.printable import printable

FORMATS = ("table", "json", "html")
MAX_DAYS = 3660
MAX_PUSHES = 1_000_000
DANGEROUS = 3
STANDARD_INPUT = "-"


class ForecastError(Exception):
    """It cannot be done; the text is for the user."""


def add_lifecycle_commands(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare `lifecycle simulate`; `add` is how the command line declares each of its commands."""
    group = commands.add_parser(
        "lifecycle", help="lifecycle policies", description="lifecycle policies.", allow_abbrev=False
    )
    lifecycles = group.add_subparsers(title="commands", required=True)
    summary = "say what a lifecycle policy would do, day by day, without doing it"
    parser = add(lifecycles, "simulate", simulate, summary, ("host", "port", "account", "region"))
    parser.set_defaults(parser=parser)
    option = parser.add_argument
    option(
        "--policy", metavar="FILE", help="the policy; - is standard input (default: the one that the repository has)"
    )
    option("--repository", metavar="NAME", help="of the running ecrsim; with --live, of ECR")
    option("--images", metavar="FILE", help="the output of `aws ecr describe-images`; - is standard input")
    option("--live", action="store_true", help="ask ECR itself, with your own credentials; nothing is changed")
    option("--registry-id", metavar="ACCOUNT", help="whose repository it is (default: your own)")
    option("--profile", metavar="NAME", help="with --live: of the AWS configuration")
    option("--endpoint-url", metavar="URL", help="with --live: where ECR is")
    option("--days", type=_whole(1, MAX_DAYS), default=90, metavar="N", help="how far to look (default: 90)")
    option("--pushes-per-day", type=_rate, metavar="N", help="expect so many (default: as in the last 30 days)")
    option("--runs-per-day", type=_whole(1, 24), default=1, metavar="N", help="runs of the policy (default: 1)")
    option("--now", type=_time, metavar="TIME", help="the time of the first run, in ISO 8601 (default: now)")
    option("--format", choices=FORMATS, default="table", help="table, json, or html: a page with a timeline")
    option("--output", metavar="FILE", help="write there and not to standard output")
    option("--explain", metavar="DIGEST|TAG", help="tell the story of one image")
    option("--prices", type=Path, metavar="FILE", help="other prices, in TOML")
    option("--fail-on-warnings", action="store_true", help="exit with 3 if images that are needed would be lost")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least} to {most}")
        return value

    return whole_number


def _rate(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise argparse.ArgumentTypeError(f"{text} is not a number of pushes")
    return float(text)


def _time(text: str) -> int:
    try:
        return parse_iso(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 2026-01-31T12:00:00Z") from None


def simulate(config: Config, options: argparse.Namespace) -> int:
    """Print the forecast. The exit code."""
    _check(options)
    # 60 ms of engine, HTTP and prices that the other commands do without.
    from ecrsim.core.errors import ServiceError
    from ecrsim.cost.price_file import PricesError
    from ecrsim.simulator.sources import SOURCE_ERRORS

    try:
        found = _forecast(config, options)
        _write(options.output, _render(options, found))
    except (ForecastError, LookupError, PricesError, *SOURCE_ERRORS) as error:
        return _fail(error.args[0] if isinstance(error, LookupError) else str(error))
    except ServiceError as error:
        return _fail(f"the policy cannot be used: {error.message}")
    is_dangerous = any(hint["level"] == "danger" for hint in found["warnings"])
    return DANGEROUS if options.fail_on_warnings and is_dangerous else 0


def _check(options: argparse.Namespace) -> None:
    refuse = options.parser.error

    if options.images is not None and (options.repository is not None or options.live):
        refuse("--images is a source of its own, without --repository and --live")
    if options.images is None and options.repository is None:
        refuse("one source is needed: --repository NAME, --images FILE, or --live --repository NAME")
    if options.images is not None and options.policy is None:
        refuse("--images needs --policy: describe-images does not say which policy there is")
    if options.images == options.policy == STANDARD_INPUT:
        refuse("--images and --policy cannot both be standard input")
    if not options.live and (options.profile is not None or options.endpoint_url is not None):
        refuse("--profile and --endpoint-url go with --live")


def _forecast(config: Config, options: argparse.Namespace) -> dict[str, Any]:
    # 60 ms of engine, HTTP and prices that the other commands do without.
    from ecrsim.cost.price_file import load_prices
    from ecrsim.described import policy_text
    from ecrsim.ecr.lifecycle import policy as policies
    from ecrsim.simulator import document as documents
    from ecrsim.simulator.forecast import foresee
    from ecrsim.simulator.hints import hints
    from ecrsim.simulator.pushes import history_of, pushes_to_come

    prices = load_prices(options.prices)
    given = None if options.policy is None else policy_text(_content(options.policy))
    source = _source(config, options)
    text = given if given is not None else source.policy_text
    if text is None:
        raise ForecastError(f"{source.name} has no lifecycle policy: give one with --policy")
    policy = policies.read(text)
    now = options.now if options.now is not None else source.now if source.now is not None else Clock().now()
    images = source.images
    history = history_of(images, now)
    per_day = history.per_day if options.pushes_per_day is None else options.pushes_per_day
    if per_day * options.days > MAX_PUSHES:
        raise ForecastError(f"{per_day:.0f} pushes a day for {options.days} days are more than {MAX_PUSHES}")
    pushes = pushes_to_come(images, history, now, options.days, per_day)
    forecast = foresee(images, policy, now, options.days, pushes, options.runs_per_day)
    warnings = hints(
        images,
        forecast,
        history,
        prices,
        per_day=per_day,
        index_count=source.index_count,
        are_references_known=source.are_references_known,
    )
    asked = documents.UserQuestion(
        source.kind, source.name, source.are_references_known, per_day, options.pushes_per_day is not None
    )
    found = documents.document(asked, images, forecast, history, prices, warnings)
    if options.explain is not None:
        found["explanation"] = documents.explanation(images, policy, forecast, options.explain)
    return found


def _source(config: Config, options: argparse.Namespace) -> Any:
    # 60 ms of engine, HTTP and prices that the other commands do without.
    from ecrsim.simulator import sources

    if options.images is not None:
        name = "standard input" if options.images == STANDARD_INPUT else options.images
        return sources.printed(name, lambda: _content(options.images))
    if options.live:
        return sources.live(
            options.repository,
            options.registry_id,
            # Not the setting, whose default would hide the region of the profile.
            region=options.region,
            profile=options.profile,
            endpoint_url=options.endpoint_url,
            wants_policy=options.policy is None,
        )
    return sources.running(config, options.repository, options.registry_id or config.account, config.region)


def _content(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()


def _render(options: argparse.Namespace, found: dict[str, Any]) -> str:
    # 10 ms of templates that the other commands do without.
    from ecrsim.simulator.page import page
    from ecrsim.simulator.table import story, table

    if options.format == "json":
        return json.dumps(found, indent=2) + "\n"
    if options.format == "html":
        return page(found)
    return table(found) if found["explanation"] is None else story(found)


def _write(output: str | None, text: str) -> None:
    if output is None:
        sys.stdout.write(printable(text, lines=True))
    else:
        Path(output).write_text(text, "utf-8")


def _fail(text: str) -> int:
    sys.stderr.write(f"ecrsim: {printable(text, lines=True)}\n")
    return 1
