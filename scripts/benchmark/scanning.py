"""The rows of scanning: the packages of an image beside syft, an import of advisories, and a look at many images again.

Nobody else looks: moto and ministack answer findings that are always the same. syft, which lists packages alone, stands
beside the part that it has; both read one OCI layout of a Debian that debootstrap makes.
"""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.figures import BenchError, Comparison, Figure, Goal, Row, best_of
from benchmark.processes import MIB, Ended, run_to_its_end
from benchmark.run import Run
from benchmark.targets import ECRSIM

LIST_ROWS = ("package-list", "package-list-memory")
IMPORT_ROWS = ("advisories-import", "advisories-import-memory", "advisories-look-up")
RESCAN_ROWS = ("rescan", "rescan-memory")
ROWS = (*LIST_ROWS, *IMPORT_ROWS, *RESCAN_ROWS)
SYFT = "syft"
#: What a base image of an application has besides Debian's least: about 300 MB with it.
_INCLUDED = "python3,perl,git,curl,openssl,ca-certificates"
#: Folders that `apt-get clean` empties, and those of devices.
_LEFT_OUT = ("./var/cache/apt", "./var/lib/apt/lists", "./dev", "./proc", "./sys")
_PATIENCE = 3_600
_HERE = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for names, make in ((LIST_ROWS, _list_rows), (IMPORT_ROWS, _import_rows), (RESCAN_ROWS, _rescan_rows)):
        if set(names) & set(wanted):
            rows += [row for row in make(run) if row.name in wanted]
            run.clear()
    return rows


def _ours(run: Run, *arguments: str) -> Ended:
    command, variables = run.python_of_ecrsim()
    return run_to_its_end([*command, *arguments], variables, run.scratch, _PATIENCE)


# --- packages of an image ---------------------------------------------------------------------------------------------


def _list_rows(run: Run) -> list[Row]:
    try:
        size = _debian(run, run.scratch / "layout")
        seconds, memory = _listed(run)
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        size = 0
        seconds = memory = dict.fromkeys((ECRSIM, SYFT), Figure(None, f"skipped: {error}"))
    of = f"of a Debian of {size} MB" if size else "of a Debian"
    return [
        Row(LIST_ROWS[0], f"package list {of}", "s", seconds, (Comparison(ECRSIM, SYFT, Goal("≤", 1.5)),)),
        Row(LIST_ROWS[1], f"memory of a package list {of}", "MiB", memory, (Comparison(ECRSIM, SYFT, Goal("≤", 0.5)),)),
    ]


def _listed(run: Run) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Processes that begin and end, each with the list as JSON; memory is the most that one had."""
    layout = str(run.scratch / "layout")
    syft = _program("syft", "scripts/tools syft")
    quiet = {"SYFT_CHECK_FOR_APP_UPDATE": "false"}
    counts: dict[str, int] = {}

    def sample(label: str) -> Figure:
        if label == ECRSIM:
            ended = _ours(run, "-m", "benchmark.examining", "list", layout)
            counts[label] = len(json.loads(ended.output)["packages"])
        else:
            command = [syft, "scan", f"oci-dir:{layout}", "-q", "-o", "json"]
            ended = run_to_its_end(command, quiet, run.scratch, _PATIENCE)
            counts[label] = len(json.loads(ended.output)["artifacts"])
        detail = {"packages": counts[label], "peak MiB": round(ended.peak / MIB, 1)}
        return Figure(ended.seconds, detail=detail)

    run.say("package list of a Debian")
    seconds = best_of(run.plan.trials, (ECRSIM, SYFT), sample, "less", {})
    return seconds, {label: _peak(figure) for label, figure in seconds.items()}


def _peak(figure: Figure) -> Figure:
    return figure if figure.value is None else Figure(float(figure.detail["peak MiB"]))


def _program(name: str, installed_by: str) -> str:
    here = Path(__file__).resolve().parents[2] / ".tools" / "bin" / name
    found = str(here) if here.exists() else shutil.which(name)
    if found is None:
        raise BenchError(f"there is no {name} ({installed_by})")
    return found


def _debian(run: Run, layout: Path) -> int:
    """An OCI layout of one image with one layer. The MB (10^6 bytes) that its files have."""
    program = _program("debootstrap", "apt-get install debootstrap")
    root = run.scratch / "debian"
    run.say("debootstrap")
    command = [program, "--variant=minbase", f"--include={_INCLUDED}", "bookworm", str(root)]
    run_to_its_end(command, {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}, run.scratch, _PATIENCE)
    size = 0

    def kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        nonlocal size
        if entry.name.startswith(_LEFT_OUT) and not entry.isdir():
            return None
        size += entry.size
        return entry

    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with tarfile.open(blobs / "layer", "w:gz", compresslevel=6) as archive:
        archive.add(root, ".", filter=kept)
    with (blobs / "layer").open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    (blobs / "layer").rename(blobs / digest)
    layer = _descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest, (blobs / digest).stat().st_size)
    platform = {"architecture": "amd64", "os": "linux"}
    config = _put(blobs, platform | {"rootfs": {"type": "layers", "diff_ids": [f"sha256:{_diff_id(blobs / digest)}"]}})
    manifest_type, config_type = (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.config.v1+json",
    )
    manifest = {"schemaVersion": 2, "mediaType": manifest_type, "layers": [layer]}
    manifest["config"] = _descriptor(config_type, *config)
    listed = {"schemaVersion": 2, "manifests": [_descriptor(manifest_type, *_put(blobs, manifest))]}
    (layout / "index.json").write_text(json.dumps(listed))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    shutil.rmtree(root, ignore_errors=True)
    return size // 1_000_000


def _diff_id(layer: Path) -> str:
    with gzip.open(layer) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _put(blobs: Path, document: Mapping[str, Any]) -> tuple[str, int]:
    content = json.dumps(document).encode()
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return digest, len(content)


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


# --- advisories -------------------------------------------------------------------------------------------------------


def _import_rows(run: Run) -> list[Row]:
    count = run.plan.advisories
    what = f"import of {count:,} advisories"
    try:
        taken = _imported(run, count)
    except (BenchError, OSError) as error:
        taken = (Figure(None, f"skipped: {error}"),) * 3
    of = Comparison
    return [
        Row(IMPORT_ROWS[0], what, "s", {ECRSIM: taken[0]}, (of(ECRSIM, "", Goal("<", 300, of="value")),)),
        Row(
            IMPORT_ROWS[1],
            f"memory of the {what}",
            "MiB",
            {ECRSIM: taken[1]},
            (of(ECRSIM, "", Goal("<", 286, of="value")),),
        ),
        Row(
            IMPORT_ROWS[2], f"look-up of a package among {count:,} advisories", "ms", {ECRSIM: taken[2]}, (of(ECRSIM),)
        ),
    ]


def _imported(run: Run, count: int) -> tuple[Figure, ...]:
    run.say(f"{count:,} advisories are made")
    file, data = run.scratch / "all.zip", run.scratch / "data"
    # By another process: the memory of this one would count as that of what it starts.
    run_to_its_end([sys.executable, "-m", "benchmark.advisories", str(file), str(count)], _HERE, run.scratch, _PATIENCE)
    run.say("and imported")
    ended = _ours(run, "-m", "ecrsim", "advisories", "import", str(file), "--data-dir", str(data))
    looked = json.loads(_ours(run, "-m", "benchmark.examining", "look-up", str(data), str(count)).output)
    if looked["records"] != count:
        raise BenchError(f"{looked['records']} records were taken")
    detail = {"zip MB": file.stat().st_size // 1_000_000, "file MB": looked["bytes"] // 1_000_000}
    return Figure(ended.seconds, detail=detail), Figure(ended.peak / MIB), Figure(looked["seconds"] * 1000)


# --- many images again ------------------------------------------------------------------------------------------------


def _rescan_rows(run: Run) -> list[Row]:
    images, bases = run.plan.rescanned
    what = f"rescan of {images:,} images over {bases} base layers after an import"
    run.say(what)
    try:
        found = json.loads(_ours(run, "-m", "benchmark.examining", "rescan", str(images), str(bases)).output)
        if found["read again"]:
            raise BenchError(f"{found['read again']} layers were read again")
        detail = {"layers read before": found["read before"], "layers read again": found["read again"]}
        detail |= {"first scan s": round(found["first"], 1), "before MiB": round(found["before"] / MIB, 1)}
        seconds, memory = Figure(found["again"], detail=detail), Figure(found["peak"] / MIB)
    except (BenchError, OSError) as error:
        seconds = memory = Figure(None, f"skipped: {error}")
    return [
        Row(RESCAN_ROWS[0], what, "s", {ECRSIM: seconds}, (Comparison(ECRSIM),)),
        Row(RESCAN_ROWS[1], f"memory of the {what}", "MiB", {ECRSIM: memory}, (Comparison(ECRSIM),)),
    ]
