"""Examining one image: its layers are read, its packages compared with the advisories. Files in, values out.

No database of ecrsim's is open here. Under `ecrsim serve` it runs in a process of its own (`examiner_process.py`),
which reads what strangers have pushed, and keeps nobody from being answered.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from ecrsim.blobs.base import StreamedBlob
from ecrsim.blobs.places import open_place
from ecrsim.ecr.scanning import findings
from ecrsim.ecr.scanning.advisories import Advisories, open_advisories
from ecrsim.ecr.scanning.bill import Bill, OperatingSystem, Package
from ecrsim.ecr.scanning.examination_messages import Examined, ImageToExamine, LayerAsked, LayerRead
from ecrsim.ecr.scanning.external import ScannerFailed, scan
from ecrsim.ecr.scanning.findings import Finding
from ecrsim.ecr.scanning.matching import vulnerabilities_of
from ecrsim.ecr.scanning.packages import BrokenLayer, LayerContents, bill_of, read_layer
from ecrsim.ecr.scanning.packages.limits import LIMITS
from ecrsim.ecr.scanning.platforms import platform
from ecrsim.ecr.scanning.suppression import Suppression, revision_at
from ecrsim.ecr.scanning.vulnerability import Vulnerability

#: Packages of layers, and of judgements, that one process remembers: some tens of MB at the most.
_PACKAGES = 60_000
#: Bytes of an image's config that are read.
_CONFIG = 4 * 1024 * 1024


class LayerMemory:
    """What one process knows of layers and of packages, until it is too much."""

    def __init__(self) -> None:
        self._layers: dict[str, LayerContents] = {}
        self._packages = 0
        self._judged: dict[tuple[Package, OperatingSystem | None], list[Vulnerability]] = {}
        self._revision = ""
        self._advisories: dict[str, Advisories] = {}

    def layer(self, digest: str, content: bytes) -> LayerContents:
        """The layer of a content that was remembered."""
        found = self._layers.get(digest)
        if found is None:
            found = LayerContents.from_json(orjson.loads(zlib.decompress(content)))
            self.keep(found)
        return found

    def keep(self, layer: LayerContents) -> None:
        count = sum(len(each.packages) for each in layer.files.values()) + len(layer.marks) // 200
        if self._packages + count > _PACKAGES:
            self._layers.clear()
            self._packages = 0
        self._packages += count
        self._layers[layer.digest] = layer

    def advisories(self, directory: str) -> Advisories:
        """The advisories of a data directory."""
        if directory not in self._advisories:
            self._advisories[directory] = open_advisories(Path(directory))
        return self._advisories[directory]

    def vulnerabilities(self, bill: Bill, known: Any) -> list[Vulnerability]:
        """Vulnerabilities of all packages; a package that is in many images is judged once for the same advisories."""
        if known.revision != self._revision or len(self._judged) > _PACKAGES:
            self._judged.clear()
            self._revision = known.revision
        found = []
        for package in bill.packages:
            key = package, bill.system
            judged = self._judged.get(key)
            if judged is None:
                judged = self._judged[key] = list(vulnerabilities_of(package, bill.system, known))
            found += judged
        return found


def examine(asked: ImageToExamine, memory: LayerMemory) -> Examined:
    """Read what is not known yet, lay the layers on top of each other, and compare."""
    layers: list[LayerContents] = []
    read: list[LayerRead] = []
    for each in asked.layers:
        if each.failure is not None:
            return Examined(read, each.failure)
        if each.content is not None:
            layers.append(memory.layer(each.digest, each.content))
            continue
        try:
            layer = _read(each)
        except BrokenLayer as error:
            reason = f"The layer {each.digest} cannot be read: {error}"
            read.append(LayerRead(each.digest, None, reason))
            return Examined(read, reason)
        except OSError as error:
            # The store failed, not the layer: that is not remembered.
            return Examined(read, f"The layer {each.digest} cannot be read: {error.strerror}")
        memory.keep(layer)
        read.append(LayerRead(each.digest, zlib.compress(orjson.dumps(layer.to_json()), 1), None))
        layers.append(layer)
    try:
        bill = bill_of(layers)
    except BrokenLayer as error:
        return Examined(read, f"The layers cannot be laid on top of each other: {error}")
    try:
        examined = _judged(asked, memory, bill) if asked.scan_types else Examined(())
    except ScannerFailed as error:
        return Examined(read, str(error))
    return examined._replace(read=read, bill=bill.to_json() if asked.wants_bill else None)


def _judged(asked: ImageToExamine, memory: LayerMemory, bill: Bill) -> Examined:
    """ScannerFailed, where another program is to look."""
    known = memory.advisories(asked.directory).snapshot()
    suppression = Suppression(asked, known)
    shown: list[Vulnerability] = []
    hidden: list[tuple[Vulnerability, str]] = []
    for each in _vulnerabilities(asked, memory, bill, known):
        reason = suppression.reason(each)
        if reason is None:
            shown.append(each)
        else:
            hidden.append((each, reason))
    made = {kind: _findings(_MAKERS[kind], shown, hidden) for kind in asked.scan_types}
    architecture, author = _config(asked.config)
    return Examined(
        read=(),
        system=None if bill.system is None else (bill.system.id, bill.system.version_id),
        has_language_packages=any(not each.of_system for each in bill.packages),
        platform=platform(bill.system),
        architecture=architecture,
        author=author,
        findings={kind: found for kind, (found, _) in made.items()},
        suppressed={kind: reasons for kind, (_, reasons) in made.items()},
        updated_at=known.updated_at,
        revision=revision_at(known, asked.now),
    )


def _vulnerabilities(asked: ImageToExamine, memory: LayerMemory, bill: Bill, known: Any) -> list[Vulnerability]:
    if asked.scanner == "own":
        return memory.vulnerabilities(bill, known)
    return scan(asked.scanner, asked.manifest.encode(), asked.media_type, asked.blobs)


_Made = tuple[list[Finding], list[tuple[str, str, str]]]
_MAKERS = {"BASIC": findings.basic, "ENHANCED": findings.enhanced}


def _findings(
    make: Callable[[Iterable[Vulnerability]], list[Finding]],
    shown: Sequence[Vulnerability],
    hidden: Sequence[tuple[Vulnerability, str]],
) -> _Made:
    """What is shown, and behind it what is not, with the reason of each."""
    found = make(shown)
    taken = {(each.name, each.package) for each in found}
    reasons = {each.id: reason for each, reason in hidden}
    more = [each for each in make([each for each, _ in hidden]) if (each.name, each.package) not in taken]
    return [*found, *more], [(each.name, each.package, reasons[each.name]) for each in more]


def _read(asked: LayerAsked) -> LayerContents:
    if asked.path is None:
        raise BrokenLayer("its bytes are not in the registry")
    with open_place(asked.path) as stream:
        if isinstance(stream, StreamedBlob):
            # Nothing of it is written in the clear.
            return read_layer(stream, asked.media_type, asked.digest, replace(LIMITS, in_memory=True))
        return read_layer(stream, asked.media_type, asked.digest)


def _config(path: str | None) -> tuple[str | None, str | None]:
    """Architecture and author, as far as the config says so."""
    if path is None:
        return None, None
    try:
        with open_place(path) as stream:
            found = orjson.loads(stream.read(_CONFIG))
    except (OSError, orjson.JSONDecodeError):
        return None, None
    if not isinstance(found, dict):
        return None, None
    return _text(found.get("architecture")), _text(found.get("author"))


def _text(value: Any) -> str | None:
    return value[:256] if isinstance(value, str) and value else None
