#!/usr/bin/env python3
"""Write the two service models of a botocore release, without their documentation, into ecrsim/contract/data.

    scripts/update_contract.py                      from the installed botocore
    scripts/update_contract.py --botocore 1.44.5    from that release, fetched by pip into a temporary directory
    scripts/update_contract.py --check              write nothing; exit 1 and list what the release would change

The output depends on the release alone: the order is the model's (the order of members and of enum values shows in
error messages), and every operation and every shape has a line of its own, so that a diff reads as a list of changes.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

Model = dict[str, Any]

DATA = Path(__file__).resolve().parents[1] / "ecrsim" / "contract" / "data"
#: Service, API version, and how many operations there must be at least: fewer means that the wrong thing was read.
SERVICES = (("ecr", "2015-09-21", 62), ("ecr-public", "2020-10-30", 23))

_METADATA = ("apiVersion", "endpointPrefix", "jsonVersion", "serviceFullName", "signingName", "targetPrefix")
_CONSTRAINTS = ("min", "max", "pattern", "enum", "required", "exception", "fault")


def read_document(folder: Path, name: str) -> Model:
    """A document of a botocore data folder, packed or not."""
    packed = folder / f"{name}.json.gz"
    raw = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / f"{name}.json").read_bytes()
    document: Model = json.loads(raw)
    return document


def read_model(package: Path, service: str, api_version: str, release: str) -> Model:
    """The compact model of one service out of a botocore package directory."""
    folder = package / "data" / service / api_version
    source = read_document(folder, "service-2")
    pagination = read_document(folder, "paginators-1")["pagination"]
    metadata = {"service": service, "botocore": release}
    metadata.update({name: source["metadata"][name] for name in _METADATA})
    return {
        "metadata": metadata,
        "operations": {
            name: _compact_operation(operation, pagination.get(name))
            for name, operation in sorted(source["operations"].items())
        },
        "shapes": {name: _compact_shape(shape) for name, shape in sorted(source["shapes"].items())},
    }


def _compact_operation(operation: Model, pagination: Model | None) -> Model:
    compact: Model = {
        "input": operation["input"]["shape"],
        "output": operation["output"]["shape"],
        "errors": [error["shape"] for error in operation["errors"]],
    }
    if pagination is not None:
        compact["pagination"] = dict(sorted(pagination.items()))
    return compact


def _compact_shape(shape: Model) -> Model:
    compact: Model = {"type": shape["type"]}
    compact.update({name: shape[name] for name in _CONSTRAINTS if name in shape})
    for part in ("member", "key", "value"):
        if part in shape:
            compact[part] = shape[part]["shape"]
    if "members" in shape:
        compact["members"] = {name: member["shape"] for name, member in shape["members"].items()}
    return compact


def render(model: Model) -> str:
    """The text of a data file: JSON with one operation or shape per line."""
    lines = [f'{{"metadata":{_json(model["metadata"])},']
    for part, last in (("operations", "},"), ("shapes", "}}")):
        lines.append(f'"{part}":{{')
        lines.append(",\n".join(f"{_json(name)}:{_json(value)}" for name, value in model[part].items()))
        lines.append(last)
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def differences(ours: Model, theirs: Model) -> list[str]:
    """What `theirs` has, lacks or says otherwise, one readable line each: the list of things to do."""
    return [*_operation_differences(ours["operations"], theirs["operations"]), *_shape_differences(ours, theirs)]


def _operation_differences(ours: Model, theirs: Model) -> Iterator[str]:
    yield from _names("operation", ours, theirs)
    for name in sorted(ours.keys() & theirs.keys()):
        yield from _names(f"error of {name}:", ours[name]["errors"], theirs[name]["errors"])
        for part in ("input", "output", "pagination"):
            yield from _changed(f"{part} of {name}", ours[name].get(part), theirs[name].get(part))


def _shape_differences(ours: Model, theirs: Model) -> Iterator[str]:
    yield from _names("shape", ours["shapes"], theirs["shapes"])
    for name in sorted(ours["shapes"].keys() & theirs["shapes"].keys()):
        old, new = ours["shapes"][name], theirs["shapes"][name]
        yield from _names(f"member of {name}:", old.get("members", {}), new.get("members", {}))
        for part in sorted((old.keys() | new.keys()) - {"members"}):
            yield from _changed(f"{part} of {name}", old.get(part), new.get(part))
        for member in sorted(old.get("members", {}).keys() & new.get("members", {}).keys()):
            yield from _changed(f"shape of {name}.{member}", old["members"][member], new["members"][member])


def _names(what: str, ours: Collection[str], theirs: Collection[str]) -> Iterator[str]:
    yield from (f"new {what} {name}" for name in theirs if name not in ours)
    yield from (f"gone {what} {name}" for name in ours if name not in theirs)


def _changed(what: str, ours: Any, theirs: Any) -> Iterator[str]:
    if ours != theirs:
        yield f"changed {what}: {_json(ours)} -> {_json(theirs)}"


def installed_package() -> Path:
    """The directory of the installed botocore."""
    spec = importlib.util.find_spec("botocore")
    if spec is None or spec.origin is None:
        raise SystemExit("botocore is not installed here; name a release with --botocore VERSION")
    return Path(spec.origin).parent


def release_of(package: Path) -> str:
    """The release of a botocore package directory, read and not imported: it may be another than the installed one."""
    for line in (package / "__init__.py").read_text(encoding="utf-8").splitlines():
        if line.startswith("__version__"):
            return line.split("=")[1].strip().strip("'\"")
    raise SystemExit(f"{package} does not say which release it is")


def fetch_package(release: str, folder: str) -> Path:
    """Install one release of botocore, alone, into `folder`."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run([*command, f"botocore=={release}"], check=True)
    return Path(folder) / "botocore"


def update(package: Path, *, check: bool) -> int:
    """Write both data files, or only say what would change."""
    release, changes = release_of(package), 0
    for service, api_version, at_least in SERVICES:
        model = read_model(package, service, api_version, release)
        count = len(model["operations"])
        if count < at_least:
            raise SystemExit(f"botocore {release} has {count} operations of {service}; {at_least} are known")
        path = DATA / f"{service}.json"
        found = differences(json.loads(path.read_text(encoding="utf-8")), model) if path.exists() else []
        print(f"{service}: {count} operations, {len(model['shapes'])} shapes, botocore {release}, {len(found)} changes")
        print("".join(f"  {line}\n" for line in found), end="")
        changes += len(found)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(render(model), encoding="utf-8", newline="\n")
    return 1 if check and changes else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Update the service models from a botocore release.")
    parser.add_argument("--botocore", default="installed", metavar="VERSION", help="a release; default: the installed")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when something would change")
    options = parser.parse_args()
    if options.botocore == "installed":
        return update(installed_package(), check=options.check)
    with tempfile.TemporaryDirectory() as folder:
        return update(fetch_package(options.botocore, folder), check=options.check)


if __name__ == "__main__":
    sys.exit(main())
