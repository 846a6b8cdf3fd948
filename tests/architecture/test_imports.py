"""Who may import whom: tiers and capabilities point down, and third parties stay where they belong."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator

import pytest

from ecrsim.ecr import CAPABILITIES
from tests.architecture.source import ROOT, Source, imports, sources

#: From the bottom to the top. What shares a tier does not know of the others in it.
TIERS = (
    ("exports", "imagename", "reportpage", "spelling", "values"),
    ("bounds",),
    ("config", "blobs"),
    ("core",),
    ("contract", "iam", "records"),
    ("ecr",),
    ("described",),
    ("cost", "ecr_public", "delivery"),
    ("controlplane", "dataplane", "admin", "console", "gallery"),
    ("pages",),
    ("app",),
    ("advisories", "completion", "coverage", "doctor", "logs", "remote", "storage", "testing", "tls"),
    ("door",),
    ("databases", "mirror", "sbom", "scan", "simulator"),
    ("server",),
    ("processes",),
    ("",),  # the package itself: `from ecrsim import Ecrsim`
    ("cli", "pytest_plugin"),
    ("__main__",),
)
#: All that the package itself holds; what else it offers is loaded on first use.
EVERYWHERE = {"ecrsim.__version__"}
TIER = {name: height for height, names in enumerate(TIERS) for name in names}
PLANE = TIER["controlplane"]

#: Inside a capability, from the bottom to the top. Every noun that is not in the table is a part of the service.
KINDS = {
    "tables": 0,
    "rules": 1,
    "events": 2,
    "service": 3,
    "reactions": 4,
    "additions": 4,
    "jobs": 5,
    "household": 5,
    "operations": 6,
}
#: Only the loader imports them: they register themselves.
DECLARING = {"operations", "reactions", "additions", "household"}

#: Decisions: values and `now` in, a decision out.
PURE = {
    "ecrsim.ecr.access.canonical",
    "ecrsim.iam.conditions",
    "ecrsim.iam.grammar",
    "ecrsim.iam.explanation",
    "ecrsim.iam.managed",
    "ecrsim.iam.decision",
    "ecrsim.iam.signatures",
    "ecrsim.iam.webidentity",
    "ecrsim.iam.wildcards",
    "ecrsim.ecr.encryption.rules",
    "ecrsim.ecr.images.grammar",
    "ecrsim.ecr.images.manifest",
    "ecrsim.ecr.images.rules",
    "ecrsim.ecr.layers.rules",
    "ecrsim.ecr.lifecycle.engine",
    "ecrsim.ecr.lifecycle.rule_outcomes",
    "ecrsim.ecr.lifecycle.policy",
    "ecrsim.ecr.lifecycle.schema",
    "ecrsim.ecr.pullthrough.rules",
    "ecrsim.ecr.registries.rules",
    "ecrsim.ecr.replication.rules",
    "ecrsim.ecr.repositories.rules",
    "ecrsim.ecr.scanning.advisory",
    "ecrsim.ecr.scanning.bill",
    "ecrsim.ecr.scanning.ecosystems",
    "ecrsim.ecr.scanning.findings",
    "ecrsim.ecr.scanning.matching",
    "ecrsim.ecr.scanning.naming",
    "ecrsim.ecr.scanning.packages",
    "ecrsim.ecr.scanning.platforms",
    "ecrsim.ecr.scanning.reports",
    "ecrsim.ecr.scanning.rules",
    "ecrsim.ecr.scanning.severity",
    "ecrsim.ecr.scanning.versions",
    "ecrsim.ecr.scanning.vex",
    "ecrsim.ecr.scanning.vulnerability",
    "ecrsim.ecr.signing.rules",
    "ecrsim.ecr.templates.rules",
    "ecrsim.ecr_public.rules",
    "ecrsim.delivery.cloudtrail",
    "ecrsim.delivery.eventbridge",
    "ecrsim.delivery.moments",
    "ecrsim.delivery.pattern",
    "ecrsim.delivery.scanevents",
    "ecrsim.cost.charges",
    "ecrsim.cost.described",
    "ecrsim.cost.facts",
    "ecrsim.cost.prefixes",
    "ecrsim.cost.prices",
    "ecrsim.cost.savings",
    "ecrsim.cost.storage",
    "ecrsim.cost.usage",
    "ecrsim.simulator.candidates",
    "ecrsim.simulator.forecast",
    "ecrsim.simulator.pushes",
    "ecrsim.described",
}
#: A file of an image that is read may be SQLite's: rpm's database is.
READS_SQLITE = ("sqlite3", "ecrsim.ecr.scanning.packages.rpm_sqlite")
#: The modules of core that hold values only.
VALUES = {
    "ecrsim.core.registry",
    "ecrsim.core.digest",
    "ecrsim.core.durations",
    "ecrsim.core.event",
    "ecrsim.core.errors",
    "ecrsim.core.glob",
    "ecrsim.core.partitions",
}

BOTO = {"ecrsim.blobs.s3", "ecrsim.core.neighbours", "ecrsim.testing"}

#: They offer to others what they load on first use, and so tell the type checker of it.
LAZY = {"ecrsim", "ecrsim.pytest_plugin"}

ENGINES = "ecrsim.core.engines."
#: What scans know is a file beside the database, and an image may hold one.
FILES_OF_SQLITE = ("ecrsim.ecr.scanning.advisories.", "ecrsim.ecr.scanning.packages.")
#: Of files that are locked themselves: those of the blob store, and of the advisories. The door asks sockets.
LOCKS = ("ecrsim.blobs.", "ecrsim.core.locks", "ecrsim.door.")

#: A comment that gives the gain: `# 120 ms and 6 MB at start`.
GAIN = re.compile(r"#.*\d ?(ms|s|KiB|MiB|MB)\b")


def top(parts: list[str]) -> str:
    """The name below `ecrsim` that has a tier; what the package itself offers has none of its own."""
    return parts[1] if len(parts) > 1 and parts[1] in TIER else ""


def tiers(source: Source) -> Iterator[str]:
    mine = top(source.parts)
    for found in imports(source):
        theirs = top(found.parts)
        if found.parts[0] != "ecrsim" or found.target in EVERYWHERE:
            continue
        if mine != theirs and TIER[theirs] >= TIER[mine]:
            yield source.at(found.line, f"imports {found.target}, which is not below it")


def kind(parts: list[str]) -> int:
    """How high in its capability a module is; the package itself is empty, and so the lowest."""
    if ".".join(parts[:4]) in PURE:
        return KINDS["rules"]
    return KINDS.get(parts[3], KINDS["service"]) if len(parts) > 3 else -1


def capabilities(source: Source) -> Iterator[str]:
    """The order of the capabilities, and of the kinds inside and across them."""
    mine = source.parts[2] if source.parts[:2] == ["ecrsim", "ecr"] and len(source.parts) > 2 else None
    for found in imports(source):
        if found.parts[:2] != ["ecrsim", "ecr"] or len(found.parts) < 3:
            continue
        theirs = found.parts[2]
        if DECLARING & set(found.parts[3:4]):
            yield source.at(found.line, f"imports {found.target}, which only the loader knows")
        if mine is None or theirs not in CAPABILITIES:
            continue
        if kind(found.parts) > kind(source.parts):
            yield source.at(found.line, f"imports {found.target}, which is of a higher kind")
        if source.parts[-1] == "reactions" and mine != theirs and found.parts[3] != "events":
            yield source.at(found.line, f"imports {found.target}; a reaction knows only the facts of others")
        sideways = kind(source.parts) == KINDS["operations"]
        if CAPABILITIES.index(theirs) > CAPABILITIES.index(mine) and not sideways:
            yield source.at(found.line, f"imports {found.target}, a later capability")


def third_parties(source: Source) -> Iterator[str]:
    for found in imports(source):
        library = found.parts[0]
        if library == "flask" and TIER[top(source.parts)] < PLANE:
            yield source.at(found.line, "imports Flask below the planes")
        if library in ("boto3", "botocore") and source.name not in BOTO:
            yield source.at(found.line, f"imports {library}, which only {', '.join(sorted(BOTO))} may")
        if library == "moto":
            yield source.at(found.line, "imports moto, a neighbour in tests only")


def purity(source: Source) -> Iterator[str]:
    """A pure module stands on values: no table, no session, no clock, and no module that has them."""
    if source.parts[-1] == "rules" and source.name not in PURE:
        yield source.at(1, "is not in the list of pure modules")
    if ".".join(source.parts[:4]) not in PURE:
        return
    for found in imports(source):
        impure = {"sqlalchemy", "flask", "werkzeug", "sqlite3", "threading", "time"}
        if found.parts[0] in impure and (found.parts[0], source.name) != READS_SQLITE:
            yield source.at(found.line, f"imports {found.target}, and is to be pure")
        # Both spellings: `from ecrsim.core.registry import Registry` and `from ecrsim.core import registry`; and a
        # package is pure as a whole.
        names = {found.target, found.target.rpartition(".")[0], ".".join(found.parts[:4])}
        allowed = names & (PURE | VALUES)
        if found.parts[0] == "ecrsim" and not allowed:
            yield source.at(found.line, f"imports {found.target}, and is to be pure")


def lazy_imports(source: Source) -> Iterator[str]:
    """An import inside a function, or for the type checker alone, hides a knot; one for speed says what it gains."""
    top_level = {node.lineno for node in source.tree.body}
    for node in source.nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            if source.name not in LAZY:
                yield source.at(node.lineno, "has a TYPE_CHECKING block")
            top_level.update(each.lineno for each in node.body)
    for found in imports(source):
        if found.line not in top_level and not _gain_is_given(source.lines, found.line):
            yield source.at(found.line, f"imports {found.target} inside a function without the measured gain")


def _gain_is_given(lines: list[str], number: int) -> bool:
    """On the line itself, or in the comment above the block of imports that it belongs to."""
    while GAIN.search(lines[number - 1]) is None:
        number -= 1
        above = lines[number - 1].strip()
        if number == 0 or (above and not above.startswith(("#", "import ", "from "))):
            return False
    return True


def engines(source: Source) -> Iterator[str]:
    """Which database there is, its engine alone knows."""
    if source.name.startswith(ENGINES):
        return
    for found in imports(source):
        if found.target.startswith(("sqlalchemy.dialects", "psycopg")):
            yield source.at(found.line, f"imports {found.target}, which only engines may")
        if found.parts[0] == "sqlite3" and not source.name.startswith(FILES_OF_SQLITE):
            yield source.at(found.line, "imports sqlite3, which only engines may")
        if found.parts[0] == "fcntl" and not source.name.startswith(LOCKS):
            yield source.at(found.line, "imports fcntl: a lock on a file holds on one machine only")
    for number, line in enumerate(source.lines, 1):
        if "lastrowid" in line or ("PRAGMA" in line and not source.name.startswith(FILES_OF_SQLITE)):
            yield source.at(number, "speaks to one engine only")


RULES = (tiers, capabilities, third_parties, purity, lazy_imports, engines)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds_for_the_whole_package(rule: Callable[[Source], Iterator[str]]):
    assert [complaint for source in sources("ecrsim") for complaint in rule(source)] == []


def test_every_module_has_a_tier_and_every_capability_a_place():
    strangers = {source.parts[1] for source in sources("ecrsim") if len(source.parts) > 1} - TIER.keys()
    assert strangers == set(), "put them into TIERS"
    folders = {path.parent.name for path in (ROOT / "ecrsim" / "ecr").glob("*/__init__.py")}
    assert folders == {name for name in CAPABILITIES if "." not in name}


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (tiers, "ecrsim.core.db", "from ecrsim.ecr.images import lookup"),
        (tiers, "ecrsim.core.db", "from ecrsim import Ecrsim"),
        (tiers, "ecrsim.blobs.memory", "from ecrsim.config import Config"),
        (tiers, "ecrsim.dataplane.routes", "import ecrsim.controlplane.caller"),
        (tiers, "ecrsim.dataplane.routes", "from ..admin import health"),
        (tiers, "ecrsim.server", "from ecrsim import cli"),
        (tiers, "ecrsim.config", "import ecrsim.core.ids"),
        (capabilities, "ecrsim.ecr.layers.service", "from ecrsim.ecr.images.tables import images"),
        (capabilities, "ecrsim.ecr.images.rules", "from ecrsim.ecr.repositories import service"),
        (capabilities, "ecrsim.ecr.images.manifest", "from ecrsim.ecr.images import storage"),
        (capabilities, "ecrsim.ecr.images.storage", "from . import jobs"),
        (capabilities, "ecrsim.ecr.images.operations", "from ecrsim.ecr.layers.operations import upload_layer_part"),
        (capabilities, "ecrsim.ecr.scanning.service", "from ecrsim.ecr.images.reactions import tell_of_every_image"),
        (capabilities, "ecrsim.ecr.access.reactions", "from ecrsim.ecr.repositories import service"),
        (capabilities, "ecrsim.ecr.images.reactions", "from ecrsim.ecr.lifecycle.events import PolicyExecuted"),
        (capabilities, "ecrsim.ecr.images.reactions", "from ecrsim.ecr.images import jobs"),
        (capabilities, "ecrsim.dataplane.manifests", "from ecrsim.ecr.images import operations"),
        (third_parties, "ecrsim.contract.parse", "import botocore.model"),
        (third_parties, "ecrsim.ecr.images.lookup", "from flask import request"),
        (third_parties, "ecrsim.testing", "from moto import mock_aws"),
        (purity, "ecrsim.ecr.images.rules", "from sqlalchemy import select"),
        (purity, "ecrsim.ecr.images.rules", "from ecrsim.core import clock"),
        (purity, "ecrsim.ecr.scanning.packages.layer", "import sqlite3"),
        (purity, "ecrsim.ecr.lifecycle.rules", ""),
        (engines, "ecrsim.core.query", "from sqlalchemy.dialects import postgresql"),
        (engines, "ecrsim.core.jobs", "import psycopg"),
        (engines, "ecrsim.core.jobs", "import fcntl"),
        (engines, "ecrsim.storage", "import sqlite3"),
        (engines, "ecrsim.core.query", "number = cursor.lastrowid"),
        (engines, "ecrsim.ecr.images.fsck", "connection.exec_driver_sql('PRAGMA integrity_check')"),
        (lazy_imports, "ecrsim.cli", "def serve():\n    # later\n    import flask"),
        (lazy_imports, "ecrsim.cli", "# 80 ms\ndef serve():\n    import flask"),
        (lazy_imports, "ecrsim.cli", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass"),
    ],
)
def test_a_breach_is_seen(rule: Callable[[Source], Iterator[str]], name: str, text: str):
    assert list(rule(Source(name, text)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ecrsim.ecr.images.rules", "from ecrsim.core import glob\nfrom ecrsim.core.registry import Registry"),
        ("ecrsim.ecr.images.rules", "from ecrsim.ecr.images.manifest import Manifest"),
        ("ecrsim.ecr.images.lookup", "from ecrsim.ecr.layers.service import layer_of"),
        ("ecrsim.ecr.images.reactions", "from ecrsim.ecr.repositories.events import RepositoryDeleted"),
        ("ecrsim.ecr.repositories.operations", "from ecrsim.ecr.images.lookup import has_images"),
        ("ecrsim.dataplane.manifests", "from ecrsim import __version__\nfrom ecrsim.ecr.images import lookup"),
        ("ecrsim.cli", "def serve():\n    import flask  # 80 ms at start\n    import granian"),
    ],
)
def test_what_is_allowed_passes(name: str, text: str):
    assert [complaint for rule in RULES for complaint in rule(Source(name, text))] == []
