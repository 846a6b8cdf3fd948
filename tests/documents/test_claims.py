"""What the documents say of the code is so: files, functions, switches, versions."""

import ast
import re

import pytest

import ecrsim
from ecrsim.dataplane.profile import ECR, OCI, Profile
from ecrsim.ecr.scanning import rules
from tests.documents.markdown import ROOT, read

ARCHITECTURE = read(ROOT / "docs" / "architecture.md")
FIDELITY = read(ROOT / "docs" / "fidelity.md")


def named_in(path):
    """Functions, classes, methods as `Class.method`, and constants of a file."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize("reference", sorted(set(re.findall(r"`([\w/]+\.py): ([\w.]+)`", ARCHITECTURE))), ids=": ".join)
def test_what_the_architecture_names_is_there(reference):
    file, name = reference
    assert name in named_in(ROOT / "ecrsim" / file)


def test_every_file_that_the_architecture_names_is_there():
    kinds = {
        "additions.py",
        "events.py",
        "household.py",
        "jobs.py",
        "operations.py",
        "reactions.py",
        "rules.py",
        "service.py",
    }
    files = set(re.findall(r"`((?:\w+/)*\w+\.py)`", ARCHITECTURE)) - kinds
    assert [file for file in sorted(files) if not any((ROOT / top / file).is_file() for top in ("ecrsim", ""))] == []


def test_every_module_of_the_tree_is_named_in_the_architecture():
    tree = ARCHITECTURE.partition("## The tree")[2].partition("```\n")[2].partition("```")[0]
    words = set(re.findall(r"[\w]+", tree))
    top = {path.stem for path in (ROOT / "ecrsim").glob("*.py") if not path.stem.startswith("__")}
    packages = {path.parent.name for path in (ROOT / "ecrsim").glob("*/__init__.py")}
    planes = {
        path.stem for name in ("controlplane", "dataplane") for path in (ROOT / "ecrsim" / name).glob("[a-z]*.py")
    }
    assert sorted((top | packages | planes) - words) == []


def test_the_switch_strict_ecr_is_described_row_by_row():
    """One row for each field of the profile; the two profiles differ in all of them, or it would be no field."""
    section = FIDELITY.partition("`--strict-ecr` | ecrsim by default |")[2].partition("\n\n")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][1:]
    assert len(rows) == len(Profile._fields)
    assert [name for name, strict, lax in zip(Profile._fields, ECR, OCI, strict=True) if strict == lax] == []


def test_the_operating_systems_of_fidelity_are_those_that_are_scanned():
    section = FIDELITY.partition("### Operating systems that are scanned")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|]+ \| `([\w-]+)` \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[1:]
    listed = {name: () if releases == "all" else tuple(releases.split(", ")) for name, releases, _ in rows}
    assert listed == rules.SYSTEMS
    for name, releases, scan_types in rows:
        version = releases.split(", ")[0]
        scanned = [each for each in ("BASIC", "ENHANCED") if rules.is_supported(each, name, version)]
        assert ", ".join(scanned) == scan_types


def test_every_mark_of_provenance_in_the_source_is_one_of_three():
    strange = []
    for path in (ROOT / "ecrsim").rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            mark = re.search(r"  # ([A-Z])$", line)
            if mark and mark[1] not in "RDI":
                strange.append(f"{path.name}: {line.strip()}")
    assert strange == []


def test_the_changelog_begins_with_what_is_not_released_or_with_this_version():
    [first] = re.findall(r"^## \[([^\]]+)\]", read(ROOT / "CHANGELOG.md"), re.MULTILINE)[:1]
    assert first in ("Unreleased", ecrsim.__version__)
    assert ecrsim.__version__ in read(ROOT / "CHANGELOG.md")


def test_the_version_stands_in_one_place():
    [version] = re.findall(r"^version = (.+)$", (ROOT / "setup.cfg").read_text("utf-8"), re.MULTILINE)
    assert version == "attr: ecrsim.__version__"
