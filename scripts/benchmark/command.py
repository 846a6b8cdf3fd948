"""The command line of scripts/bench."""

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from benchmark import (
    api,
    busy,
    dataplane,
    docker,
    encrypted,
    footprint,
    growth,
    install,
    lifecycle,
    pullthrough,
    replication,
    report,
    scanned,
    scanning,
    stalled,
)
from benchmark.figures import BenchError, Plan, Row
from benchmark.run import Run
from benchmark.targets import all_targets

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".tools" / "bench"
DOCUMENT = CHECKOUT / "docs" / "performance.md"
PARTS = (
    *(
        footprint,
        api,
        growth,
        dataplane,
        encrypted,
        docker,
        stalled,
        lifecycle,
        busy,
        replication,
        pullthrough,
        scanning,
    ),
    scanned,
)
ROWS = tuple(name for part in PARTS for name in part.ROWS)
MIB = 1024 * 1024
PLANNED = (1000, 10_000, 100_000)
FULL = Plan(3, 5, 3.0, 1000, 1000, 512 * MIB, (1000, 50_000), 300, PLANNED, 20_000, 500_000, (10_000, 200))
QUICK = Plan(3, 3, 1.0, 1000, 300, 128 * MIB, (1000, 5_000), 100, PLANNED, 15_000, 50_000, (500, 10))


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure ecrsim beside moto server, ministack and docker-registry, in one run on this machine.",
    )
    parser.add_argument("--quick", action="store_true", help="smaller counts: some minutes, for a first look")
    parser.add_argument("--million", action="store_true", help="also fill a repository with 1,000,000 images (long)")
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW", help="this row alone; may be repeated")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and exit")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    parser.add_argument(
        "--docs",
        action=argparse.BooleanOptionalAction,
        help="write the table to docs/performance.md (default: after a full run only)",
    )
    # Servers have a working directory of their own.
    parser.add_argument("--ecrsim-python", type=_absolute, metavar="PATH", help="run the checkout with this Python")
    parser.add_argument(
        "--ecrsim-options", default="", metavar="OPTIONS", help="further options of `ecrsim serve`, one string"
    )
    parser.add_argument(
        "--scratch", type=Path, metavar="DIR", help="where data directories are made and removed (default: %(default)s)"
    )
    parser.add_argument("--own-load", action="store_true", help="do not use wrk, also where it is there")
    return parser.parse_args(arguments)


def _absolute(text: str) -> Path:
    """Links are not followed: that of a virtual environment leads to a Python that has nothing installed."""
    return Path(text).absolute()


def plan_of(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    if not options.million:
        return plan
    return Plan(**{**vars(plan), "sizes": (*plan.sizes, 1_000_000)})


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    if options.list:
        print("\n".join(ROWS))
        return 0
    # A stop from outside must also end the servers: it unwinds like an error.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    targets = all_targets(CACHE, CHECKOUT, options.ecrsim_python, shlex.split(options.ecrsim_options))
    scratch = Path(tempfile.mkdtemp(prefix="ecrsim-bench-", dir=options.scratch))
    try:
        run = Run(plan_of(options), {target.label: target for target in targets}, scratch / "servers")
        run.clear()
        load = _find_wrk(run, options)
        for target in targets:
            run.say(f"{target.label}: {'skipped: ' + target.reason if target.reason else target.version}")
        wanted = options.only or list(ROWS)
        rows: list[Row] = []
        for part in PARTS:
            rows += part.measure(run, wanted)
        facts = report.facts_of(run, _mode(options), load)
        print(report.plain(rows))
        if options.json:
            report.write_json(options.json, rows, facts)
        full = not options.quick and not options.only
        if options.docs or (options.docs is None and full):
            report.write_document(DOCUMENT, rows, facts)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


def _find_wrk(run: Run, options: argparse.Namespace) -> str:
    """Which load the manifest rows get, in words."""
    if options.own_load:
        return "the benchmark's own"
    try:
        run.wrk = install.debian_binary(CACHE, "wrk", ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"])
    except BenchError as error:
        return f"the benchmark's own ({error})"
    return "wrk -t2"


def _mode(options: argparse.Namespace) -> str:
    given = ["quick" if options.quick else "full"]
    given += [f"only {', '.join(options.only)}"] if options.only else []
    given += [f"ecrsim serve {options.ecrsim_options}"] if options.ecrsim_options else []
    return "; ".join(given)
