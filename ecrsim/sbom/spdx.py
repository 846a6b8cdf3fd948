"""A bill as SPDX 2.3 in JSON."""

from __future__ import annotations

import io
import uuid
from datetime import datetime
from hashlib import sha256

from license_expression import ExpressionError, LicenseExpression
from spdx_tools.common.spdx_licensing import spdx_licensing
from spdx_tools.spdx.model import (
    Actor,
    ActorType,
    CreationInfo,
    Document,
    ExternalPackageRef,
    ExternalPackageRefCategory,
    PackagePurpose,
    Relationship,
    RelationshipType,
    SpdxNoAssertion,
)
from spdx_tools.spdx.model import (
    Package as SpdxPackage,
)
from spdx_tools.spdx.writer.json.json_writer import write_document_to_stream

from ecrsim import __version__
from ecrsim.ecr.scanning.bill import OperatingSystem, Package
from ecrsim.sbom.image import ImageBill
from ecrsim.sbom.purls import purl_of

_DOCUMENT, _IMAGE = "SPDXRef-DOCUMENT", "SPDXRef-Image"


def spdx(image: ImageBill, created: datetime) -> str:
    """The document; `created` has no zone and is UTC."""
    packages = [_package(each, image.bill.system) for each in image.bill.packages]
    document = Document(
        CreationInfo(
            spdx_version="SPDX-2.3",
            spdx_id=_DOCUMENT,
            name=image.name,
            # The same for the same image: a namespace is a name that is told once for a document.
            document_namespace=f"https://ecrsim.invalid/{uuid.uuid5(uuid.NAMESPACE_URL, image.name)}",
            creators=[Actor(ActorType.TOOL, f"ecrsim-{__version__}")],
            created=created.replace(microsecond=0),
        ),
        packages=[_image(image), *packages],
        relationships=[
            Relationship(_DOCUMENT, RelationshipType.DESCRIBES, _IMAGE),
            *(Relationship(_IMAGE, RelationshipType.CONTAINS, each.spdx_id) for each in packages),
        ],
    )
    text = io.StringIO()
    write_document_to_stream(document, text)
    return text.getvalue()


def _image(image: ImageBill) -> SpdxPackage:
    return SpdxPackage(
        spdx_id=_IMAGE,
        name=image.repository_uri,
        version=image.digest,
        download_location=SpdxNoAssertion(),
        files_analyzed=False,
        primary_package_purpose=PackagePurpose.CONTAINER,
    )


def _package(package: Package, system: OperatingSystem | None) -> SpdxPackage:
    purl = str(purl_of(package, system))
    mark = sha256(f"{purl} {package.path}".encode()).hexdigest()[:20]
    return SpdxPackage(
        spdx_id=f"SPDXRef-Package-{mark}",
        name=package.name,
        version=package.version,
        download_location=SpdxNoAssertion(),
        files_analyzed=False,
        source_info=f"read from /{package.path} in layer {package.layer}",
        license_declared=_license(package),
        external_references=[ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", purl)],
    )


def _license(package: Package) -> LicenseExpression | SpdxNoAssertion:
    """What is no expression of licenses that SPDX knows is not asserted."""
    text = " AND ".join(f"({each})" if len(package.licenses) > 1 else each for each in package.licenses)
    try:
        found = spdx_licensing.parse(text, validate=True) if text else None
    except ExpressionError:
        found = None
    return SpdxNoAssertion() if found is None else found
