"""Records in the OSV schema, and bills, as short as tests of scanning want them."""

from __future__ import annotations

from typing import Any

from ecrsim.ecr.scanning.bill import Bill, OperatingSystem, Package

BOOKWORM = OperatingSystem("debian", "12")


def affecting(
    ecosystem: str, name: str, *events: tuple[str, str], type: str = "ECOSYSTEM", **more: Any
) -> dict[str, Any]:
    """One entry of `affected`: `affecting("Debian:12", "openssl", ("introduced", "0"), ("fixed", "3.0.11-1"))`."""
    ranges = [{"type": type, "events": [{kind: version} for kind, version in events]}] if events else []
    return {"package": {"ecosystem": ecosystem, "name": name}, "ranges": ranges, **more}


def record(identity: str, *affected: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": identity, "modified": "2026-01-02T03:04:05Z", "affected": list(affected), **more}


def fixed_in(identity: str, ecosystem: str, name: str, version: str, **more: Any) -> dict[str, Any]:
    """A record of everything before a version."""
    return record(identity, affecting(ecosystem, name, ("introduced", "0"), ("fixed", version)), **more)


def bill(*packages: Package, system: OperatingSystem | None = BOOKWORM) -> Bill:
    return Bill(system, packages)
