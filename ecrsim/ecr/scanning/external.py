"""Another scanner's program on an image that is laid out for it: trivy or grype, with the database of its user."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from ecrsim.ecr.scanning.reports import NoReport, read_report
from ecrsim.ecr.scanning.vulnerability import Vulnerability

#: Neither program is to ask the network for anything: its database is what its user has brought.
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "trivy": (
        *("trivy", "image", "--quiet", "--format", "json", "--scanners", "vuln", "--skip-db-update"),
        *("--skip-java-db-update", "--offline-scan", "--skip-version-check", "--input", "{layout}"),
    ),
    # Not --quiet, by which grype says nothing of what it fails of either.
    "grype": (
        *("env", "GRYPE_DB_AUTO_UPDATE=false", "GRYPE_DB_VALIDATE_AGE=false", "GRYPE_CHECK_FOR_APP_UPDATE=false"),
        *("grype", "--output", "json", "oci-dir:{layout}"),
    ),
}
#: Seconds that one image may take.
_LONGEST = 14 * 60
#: Characters of what a program complains of that are shown.
_SHOWN = 400
#: What colours a word on a terminal.
_COLOUR = re.compile("\x1b\\[[0-9;]*m")


class ScannerFailed(Exception):
    """The program is not there, did not end well, or did not write its report; the text says which."""


def scan(
    scanner: str, manifest: bytes, media_type: str, blobs: Mapping[str, str], *, longest: float = _LONGEST
) -> list[Vulnerability]:
    """What `trivy` or `grype` finds in an image. `blobs`: files of its config and layers by digest. ScannerFailed."""
    if shutil.which(scanner) is None:
        raise ScannerFailed(f"there is no program {scanner} in PATH")
    with _layout(manifest, media_type, blobs) as layout:
        command = [part.format(layout=layout) for part in _COMMANDS[scanner]]
        try:
            done = subprocess.run(  # noqa: S603 - one of the commands above
                command, capture_output=True, timeout=longest, check=False, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise ScannerFailed(f"{scanner} took more than {longest:g} seconds") from None
        except OSError as error:
            raise ScannerFailed(f"{scanner} cannot be run: {error.strerror}") from error
        diff_ids = _diff_ids(manifest, blobs)
    if done.returncode:
        lines = _COLOUR.sub("", done.stderr.decode(errors="replace")).strip().splitlines()
        said = lines[-1][-_SHOWN:] if lines else "it said nothing"
        raise ScannerFailed(f"{scanner} ended with {done.returncode}: {said}")
    try:
        return read_report(scanner, orjson.loads(done.stdout), diff_ids)
    except orjson.JSONDecodeError:
        raise ScannerFailed(f"{scanner} wrote no JSON") from None
    except NoReport as error:
        raise ScannerFailed(str(error)) from error


@contextmanager
def _layout(manifest: bytes, media_type: str, blobs: Mapping[str, str]) -> Iterator[Path]:
    """An OCI image layout of one image, whose blobs are links to the store's files."""
    with tempfile.TemporaryDirectory(prefix="ecrsim-layout-") as name:
        layout = Path(name)
        (layout / "blobs" / "sha256").mkdir(parents=True)
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        _place(layout, digest).write_bytes(manifest)
        for each, path in blobs.items():
            _link(Path(path), _place(layout, each))
        entry = {"mediaType": media_type, "digest": digest, "size": len(manifest)}
        index: dict[str, Any] = {"schemaVersion": 2, "manifests": [entry]}
        (layout / "index.json").write_bytes(orjson.dumps(index))
        (layout / "oci-layout").write_bytes(orjson.dumps({"imageLayoutVersion": "1.0.0"}))
        yield layout


def _place(layout: Path, digest: str) -> Path:
    algorithm, _, encoded = digest.partition(":")
    folder = layout / "blobs" / algorithm
    folder.mkdir(exist_ok=True)
    return folder / encoded


def _link(path: Path, place: Path) -> None:
    """A hard link, which a program may not tell from a file; on another file system a symbolic one."""
    try:
        os.link(path, place)
    except OSError:
        place.symlink_to(path.resolve())


def _diff_ids(manifest: bytes, blobs: Mapping[str, str]) -> dict[str, str]:
    """Layers by the digests of what is in them, which is how scanners name them."""
    document = orjson.loads(manifest)
    layers: Sequence[str] = [each["digest"] for each in document.get("layers", ())]
    try:
        config = orjson.loads(Path(blobs[document["config"]["digest"]]).read_bytes())
        return dict(zip(config["rootfs"]["diff_ids"], layers, strict=False))
    except (OSError, KeyError, TypeError, orjson.JSONDecodeError):
        return {}
