"""The sums of `scripts/sizing`, with unit costs that can be reckoned with by hand, and those that were measured."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from sizes.command import read_units, shown  # noqa: E402
from sizes.model import DAY, NAMES, STEPS, Load, Machines, Units, size  # noqa: E402

#: A second of one core a request, a statement each, a byte of everything.
ONE = replace(Units(**dict.fromkeys(NAMES, 1.0)), idle_statements=0, idle_database=0)
IDLE = replace(Units(**dict.fromkeys(NAMES, 0.0)), idle_statements=70, idle_database=0.01)
#: One pull a second, of two manifests, the config and two new layers of ten bytes; nothing is pushed.
LOAD = Load(
    pulls_per_day=DAY,
    pushes_per_day=0,
    images=100,
    peak=1,
    layers=8,
    layer_bytes=10,
    manifest_bytes=5,
    manifests=2,
    layers_kept=0.75,
)
PUSHES = replace(LOAD, pulls_per_day=0, pushes_per_day=DAY)
REDIRECT = Machines(redirect=True)


def test_workers_that_nobody_asks_cost_the_primary_something():
    found = size(LOAD, Machines(node_cores=8, replicas=2), IDLE)
    assert found.statements == found.idle_statements == 8 * 70
    assert (found.primary_cores, found.replica_cores) == (pytest.approx(0.08), 0)


@pytest.mark.parametrize(
    ("load", "machines", "figure", "wanted"),
    [
        (LOAD, Machines(), "statements", 2 + 3),
        (replace(LOAD, peak=3), Machines(), "statements", 3 * (2 + 3)),
        (replace(LOAD, layers_kept=1), Machines(), "statements", 2),
        (LOAD, Machines(manifest_cache=1), "statements", 1 + 3),
        (PUSHES, Machines(), "statements", 8 + 2 + 2),
        (LOAD, Machines(), "node_cores", 2 + 3 + 20),
        (LOAD, REDIRECT, "node_cores", 2 + 3),
        (PUSHES, Machines(), "node_cores", 8 + 2 + 20 + 2),
        (LOAD, Machines(), "node_bytes", 2 * (5 + 1) + 3 + 20),
        (LOAD, REDIRECT, "node_bytes", 2 * (5 + 1) + 3),
        (LOAD, Machines(node_cores=5, busy=0.5), "nodes", 10),
        (LOAD, Machines(node_cores=100, node_bits=16, busy=1), "nodes", 18),
        (LOAD, Machines(), "primary_cores", 5),
        (LOAD, Machines(replicas=5), "primary_cores", 0),
        (LOAD, Machines(replicas=5), "replica_cores", 1),
        (PUSHES, Machines(replicas=5), "replica_cores", 12),
        (LOAD, Machines(partitions=5), "primary_cores", 1),
        (LOAD, Machines(node_cores=5, busy=0.5), "connections", 10 * 5),
        (LOAD, Machines(pool=7), "connections", 7),
        (LOAD, Machines(partitions=4), "database_bytes", 25),
        (LOAD, Machines(), "store_bytes", 2000),
        (LOAD, REDIRECT, "store_requests", 3),
    ],
)
def test_each_figure_is_the_sum_that_it_says(load, machines, figure, wanted):
    assert getattr(size(load, machines, ONE), figure) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("load", "machines", "units", "wanted"),
    [
        # Five cores of 20, half busy: twice as many pulls.
        (LOAD, Machines(database_cores=20, busy=0.5), ONE, ("cores of the database", 2 * DAY)),
        (LOAD, Machines(database_cores=20, busy=0.5, replicas=5), ONE, ("cores of a replica", 10 * DAY)),
        # 25 cores of nodes, each with a connection, of 10.
        (
            LOAD,
            Machines(node_cores=1, busy=1, database_connections=5),
            replace(ONE, database_manifest_get=0, database_blob_get=0),
            ("connections of the database", DAY * 5 / 25),
        ),
        (
            replace(LOAD, pushes_per_day=DAY),
            Machines(database_cores=1e9, pool=1),
            replace(ONE, pushes_per_second=4),
            ("pushes into one database", 4 * DAY),
        ),
        (
            replace(LOAD, pushes_per_day=DAY),
            Machines(database_cores=1e9, pool=1, partitions=3),
            replace(ONE, pushes_per_second=4),
            ("pushes into one database", 12 * DAY),
        ),
    ],
    ids=("cores", "replicas", "connections", "pushes", "partitions"),
)
def test_what_breaks_first_is_named_with_its_number(load, machines, units, wanted):
    name, at = size(load, machines, units).breaks_first
    assert (name, at) == (wanted[0], pytest.approx(wanted[1]))


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.1234, "0.123"), (999, "999"), (9999, "9999"), (10_000, "10 k"), (1.234e6, "1.23 M"), (1e10, "10 G")],
)
def test_numbers_have_three_figures(number, text):
    assert shown(number) == text


def test_the_units_were_measured_and_say_by_what():
    text = (ROOT / "scripts" / "sizes" / "units.toml").read_text("utf-8")
    assert "scripts/sizing --measure" in text
    units = read_units()
    assert all(getattr(units, name) > 0 for name in NAMES)
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC, \d+ cores of", text)
    assert units.statements_manifest_get < units.statements_manifest_put


def test_each_step_of_the_document_carries_more_than_the_one_before():
    at = [size(Load(), machines, read_units()).breaks_first[1] for _, machines in STEPS]
    assert at == sorted(at)
    assert at[-1] > 10 * at[0]


def test_the_document_shows_what_the_command_prints():
    text = (ROOT / "docs" / "scaling.md").read_text("utf-8")
    blocks = re.findall(r"```console\n\$ (scripts/sizing [^\n]*)\n```\n\n(\|.*?)\n\n", text, re.DOTALL)
    assert len(blocks) == 2
    for command, table in blocks:
        run = subprocess.run([sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True, check=True)
        assert run.stdout.rstrip("\n") == table


def test_the_command_prints_a_table():
    command = [
        sys.executable,
        str(ROOT / "scripts" / "sizing"),
        "--pulls-per-day",
        "1e9",
        "--redirect",
        "--replicas",
        "2",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert lines[0] == "| in the busiest second | as given |"
    assert [line for line in lines if line.startswith("| breaks first |")] != []
    assert subprocess.run([*command, "--steps"], capture_output=True, check=True).stdout.count(b"\n") == len(lines)
