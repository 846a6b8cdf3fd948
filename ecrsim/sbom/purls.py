"""Package URLs of the packages of a bill (package-url/purl-spec), with the qualifiers that scanners look for."""

from __future__ import annotations

import re

from packageurl import PackageURL

from ecrsim.ecr.scanning.bill import OperatingSystem, Package

#: Namespaces that are not called as os-release calls the system, as scanners have them.
_SYSTEMS = {"rhel": "redhat", "hummingbird": "redhat"}


def purl_of(package: Package, system: OperatingSystem | None) -> PackageURL:
    """The package's URL. `upstream` is the source that it was built of, where that is called or numbered otherwise."""
    namespace, slash, name = package.name.rpartition("/") if package.type == "golang" else ("", "", package.name)
    own = package.namespace
    version, qualifiers = package.version, {}
    if package.type == "pypi":
        # Names that differ in case and in these three are one (PEP 503).
        name = re.sub("[-_.]+", "-", name).lower()
    if package.type == "rpm":
        own = "opensuse" if own.startswith("opensuse") else _SYSTEMS.get(own, own)
    if package.of_system:
        epoch, colon, rest = version.partition(":")
        if package.type == "rpm" and colon:
            qualifiers["epoch"], version = epoch, rest
        if package.arch:
            qualifiers["arch"] = package.arch
        if package.source_name and (package.source_name, package.source_version) != (package.name, package.version):
            qualifiers["upstream"] = package.source_name
            if package.source_version not in ("", package.version):
                qualifiers["upstream"] += f"@{package.source_version}"
        if system is not None:
            qualifiers["distro"] = f"{system.id}-{system.version_id}".rstrip("-")
    return PackageURL(
        type=package.type,
        namespace=(namespace if slash else own) or None,
        name=name,
        version=version,
        qualifiers=qualifiers or None,
    )
