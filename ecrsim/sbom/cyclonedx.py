"""A bill as CycloneDX 1.6 in JSON."""

from __future__ import annotations

from collections.abc import Iterator

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6

from ecrsim import __version__
from ecrsim.ecr.scanning.bill import OperatingSystem, Package
from ecrsim.sbom.image import ImageBill
from ecrsim.sbom.purls import purl_of


def cyclonedx(image: ImageBill) -> str:
    """The document."""
    bom = Bom()
    bom.metadata.component = Component(
        name=image.repository_uri, version=image.digest, type=ComponentType.CONTAINER, bom_ref=image.name
    )
    bom.metadata.tools.components.add(Component(name="ecrsim", version=__version__, type=ComponentType.APPLICATION))
    if image.bill.system is not None:
        bom.components.add(_system(image.bill.system))
    for package in image.bill.packages:
        bom.components.add(_component(package, image.bill.system))
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _system(system: OperatingSystem) -> Component:
    return Component(
        name=system.id,
        version=system.version_id or None,
        description=system.pretty_name or None,
        type=ComponentType.OPERATING_SYSTEM,
        bom_ref=f"os:{system.id}@{system.version_id}",
    )


def _component(package: Package, system: OperatingSystem | None) -> Component:
    purl = purl_of(package, system)
    return Component(
        name=package.name,
        version=package.version,
        group=package.namespace if not package.of_system else None,
        type=ComponentType.LIBRARY,
        purl=purl,
        # One package may lie in several files.
        bom_ref=f"{purl}#{package.path}",
        licenses=_licenses(package),
        properties=[
            Property(name="ecrsim:path", value=package.path),
            Property(name="ecrsim:layer", value=package.layer),
        ],
    )


def _licenses(package: Package) -> Iterator[License]:
    """One may be an expression of SPDX's; of several each is a name, for expressions stand alone."""
    if len(package.licenses) == 1:
        yield LicenseFactory().make_from_string(package.licenses[0])
    else:
        yield from (LicenseFactory().make_with_name(each) for each in package.licenses)
