"""What scanning needs, measured in a process of its own by the Python that has ecrsim; each prints one JSON object.

python -m benchmark.examining list LAYOUT            the packages of the image of an OCI layout
python -m benchmark.examining look-up DATA COUNT     seconds of a look-up, of the advisories of a data directory
python -m benchmark.examining rescan IMAGES BASES    a look at so many images again, after an import
"""

import gzip
import io
import json
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

LOOK_UPS = 2_000
_RELEASE = b'ID=debian\nVERSION_ID="12"\n'
_PACKAGES = 100
_RULE = {"scanFrequency": "CONTINUOUS_SCAN", "repositoryFilters": [{"filter": "*", "filterType": "WILDCARD"}]}


def list_packages(layout: Path) -> dict[str, Any]:
    """As a scan has it: every layer is read as a stream, and they are laid on top of each other."""
    from ecrsim.ecr.scanning.packages import bill_of, read_layer

    def blob(digest: str) -> Path:
        return layout / "blobs" / digest.replace(":", "/")

    (listed,) = json.loads((layout / "index.json").read_text())["manifests"]
    layers = []
    for each in json.loads(blob(listed["digest"]).read_text())["layers"]:
        with blob(each["digest"]).open("rb") as stream:
            layers.append(read_layer(stream, each["mediaType"], each["digest"]))
    return bill_of(layers).to_json()


def look_up(directory: Path, count: int) -> dict[str, Any]:
    from ecrsim.ecr.scanning.advisories import open_advisories

    known = open_advisories(directory).snapshot()
    names = [f"package-{number * 6_151 % (count // 4)}" for number in range(LOOK_UPS)]
    began = time.perf_counter()
    found = sum(bool(known.about("PyPI", name)) for name in names)
    seconds = (time.perf_counter() - began) / LOOK_UPS
    if found != LOOK_UPS:
        raise LookupError(f"{LOOK_UPS - found} packages were not found")
    records = sum(each.records for each in known.sources())
    return {"seconds": seconds, "records": records, "bytes": (directory / "advisories.sqlite").stat().st_size}


def rescan(images: int, bases: int) -> dict[str, Any]:
    """Continuous scanning of images that each have a base and a layer of their own; then there is a new advisory."""
    from ecrsim import Ecrsim
    from ecrsim.ecr.scanning import image_examination

    reads, examined = 0, cast(Any, image_examination)
    read = examined.read_layer

    def counted(*given: Any) -> Any:
        nonlocal reads
        reads += 1
        return read(*given)

    examined.read_layer = counted
    with Ecrsim(socket=False, quota_images=images) as sim:
        sim.freeze()
        known = [_advisory("CVE-2026-0001", "package1")]
        sim.advisories.import_records("osv", known)
        ecr = sim.client()
        ecr.put_registry_scanning_configuration(scanType="ENHANCED", rules=[_RULE])
        ecr.create_repository(repositoryName="app")
        pushed: set[str] = set()
        for image in _built(images, bases):
            _push(ecr, image, pushed)
        began = time.perf_counter()
        sim.advance(seconds=1)
        first, before, memory = time.perf_counter() - began, reads, _memory(reset=True)
        began = time.perf_counter()
        sim.advisories.import_records("osv", [*known, _advisory("CVE-2026-0002", "package2")])
        again, peak = time.perf_counter() - began, _memory()
        found = _count(ecr)
        if found != images:
            raise LookupError(f"{found} of {images} images have the new finding")
    return {
        "first": first,
        "again": again,
        "read before": before,
        "read again": reads - before,
        "before": memory,
        "peak": peak,
    }


def _push(ecr: Any, image: Any, known: set[str]) -> None:
    place = {"repositoryName": "app"}
    for digest, content in image.blobs.items():
        if digest not in known:
            upload = place | {"uploadId": ecr.initiate_layer_upload(**place)["uploadId"]}
            ecr.upload_layer_part(partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=content, **upload)
            ecr.complete_layer_upload(layerDigests=[digest], **upload)
            known.add(digest)
    ecr.put_image(imageManifest=image.manifest.decode(), imageManifestMediaType=image.media_type, **place)


def _count(ecr: Any) -> int:
    """Images with both findings."""
    pages = ecr.get_paginator("describe_images").paginate(repositoryName="app")
    details = (detail for page in pages for detail in page["imageDetails"])
    return sum(each["imageScanFindingsSummary"]["findingSeverityCounts"] == {"CRITICAL": 2} for each in details)


def _built(images: int, bases: int) -> Iterator[Any]:
    from ecrsim.testing import build_image

    below = [_layer({"etc/os-release": _RELEASE, "var/lib/dpkg/status": _status(number)}) for number in range(bases)]
    for number in range(images):
        yield build_image(below[number % bases], _layer({f"app/package{number}": b"x"}))


def _status(number: int) -> bytes:
    told = "Package: package{0}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-{1}\n\n"
    return "".join(told.format(each, number) for each in range(_PACKAGES)).encode()


def _layer(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), 1, mtime=0)


def _advisory(identity: str, package: str) -> dict[str, Any]:
    events = [{"introduced": "0"}, {"fixed": "2.0-1"}]
    return {
        "id": identity,
        "modified": "2026-01-02T03:04:05Z",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [
            {
                "package": {"ecosystem": "Debian:12", "name": package},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }


def _memory(*, reset: bool = False) -> int:
    """The most bytes that this process had at once since the start, or since it was asked with `reset` (Linux)."""
    status = Path("/proc/self/status").read_text()
    (peak,) = (int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return peak


def main(what: str, *arguments: str) -> dict[str, Any]:
    if what == "list":
        return list_packages(Path(arguments[0]))
    if what == "look-up":
        return look_up(Path(arguments[0]), int(arguments[1]))
    return rescan(int(arguments[0]), int(arguments[1]))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
