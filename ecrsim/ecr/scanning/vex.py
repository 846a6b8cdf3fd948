"""OpenVEX (0.2.0): what a maker says of vulnerabilities in a product; documents in, statements and verdicts out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.vulnerability import Vulnerability

#: Media type and artifact type of a document that is attached to an image.
MEDIA_TYPES = ("application/vnd.openvex+json", "application/vex+json", "text/json+openvex")
STATUSES = ("not_affected", "affected", "fixed", "under_investigation")
#: A vulnerability with one of these is no finding.
SUPPRESSING = ("not_affected", "fixed")
_MOST = 100_000
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class VexError(ValueError):
    """It is no OpenVEX document; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Product:
    """What a statement is about: an image, or a package; and, of an image, the packages in it that are meant."""

    names: tuple[str, ...]
    #: SHA-256 in hexadecimal digits.
    hashes: tuple[str, ...] = ()
    subcomponents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VexStatement:
    """One statement. `timestamp`: seconds since 1970; of two about the same the later one holds."""

    vulnerabilities: tuple[str, ...]
    products: tuple[Product, ...]
    status: str
    justification: str = ""
    impact_statement: str = ""
    timestamp: float = 0.0
    document: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> VexStatement:
        products = (Product(**{name: tuple(texts) for name, texts in each.items()}) for each in value["products"])
        return cls(
            **{**value, "vulnerabilities": tuple(value["vulnerabilities"]), "products": tuple(products)},
        )


class AskedImage(NamedTuple):
    """The image that is asked about."""

    repository: str
    digest: str
    tags: tuple[str, ...] = ()


# --- documents --------------------------------------------------------------------------------------------------------


def statements(document: Any) -> list[VexStatement]:
    """The statements of a document. VexError."""
    if not isinstance(document, dict) or not str(document.get("@context", "")).startswith("https://openvex.dev/ns"):
        raise VexError("it is no OpenVEX document: @context is not https://openvex.dev/ns…")
    found = document.get("statements")
    if not isinstance(found, list) or len(found) > _MOST:
        raise VexError(f"statements is no list of at most {_MOST} entries")
    moment = _time(document.get("last_updated") or document.get("timestamp"), "timestamp")
    name = str(document.get("@id", ""))
    return [_statement(each, f"statements[{place}]", moment, name) for place, each in enumerate(found)]


def _statement(found: Any, where: str, moment: float, document: str) -> VexStatement:
    if not isinstance(found, dict):
        raise VexError(f"{where} is not an object")
    status = found.get("status")
    if status not in STATUSES:
        raise VexError(f"{where}.status is not {', '.join(STATUSES)}")
    justification, impact = found.get("justification") or "", found.get("impact_statement") or ""
    if not isinstance(justification, str) or not isinstance(impact, str):
        raise VexError(f"{where}: justification and impact_statement are texts")
    if status == "not_affected" and not justification and not impact:
        raise VexError(f"{where} says not_affected without a justification or an impact_statement")
    products = found.get("products")
    if not isinstance(products, list) or not products:
        raise VexError(f"{where}.products is missing or empty")
    own = found.get("last_updated") or found.get("timestamp")
    return VexStatement(
        vulnerabilities=_vulnerability(found.get("vulnerability"), f"{where}.vulnerability"),
        products=tuple(_product(each, f"{where}.products[{place}]") for place, each in enumerate(products)),
        status=status,
        justification=justification,
        impact_statement=impact,
        timestamp=moment if own is None else _time(own, f"{where}.timestamp"),
        document=document,
    )


def _vulnerability(found: Any, where: str) -> tuple[str, ...]:
    """A text, as the first drafts have it, or an object with name, @id and aliases."""
    names = [found]
    if isinstance(found, dict):
        aliases = found.get("aliases") or []
        names = [found.get("name") or found.get("@id"), *(aliases if isinstance(aliases, list) else [aliases])]
    if not all(isinstance(name, str) and name for name in names):
        raise VexError(f"{where} has no name that is a text")
    return tuple(name.rpartition("/")[2] if "://" in name else name for name in names)


def _product(found: Any, where: str) -> Product:
    if isinstance(found, str):
        return Product((found,))
    if not isinstance(found, dict):
        raise VexError(f"{where} is neither a text nor an object")
    return Product(
        names=_identities(found, where),
        hashes=tuple(
            str(value).lower() for name, value in _object(found, "hashes", where).items() if name == "sha-256"
        ),
        subcomponents=tuple(
            name
            for place, each in enumerate(found.get("subcomponents") or [])
            for name in _identities(each, f"{where}.subcomponents[{place}]")
        ),
    )


def _identities(found: Any, where: str) -> tuple[str, ...]:
    if isinstance(found, str):
        return (found,)
    if not isinstance(found, dict):
        raise VexError(f"{where} is neither a text nor an object")
    names = [found.get("@id"), _object(found, "identifiers", where).get("purl")]
    texts = [name for name in names if isinstance(name, str)]
    if any(not isinstance(name, str | None) for name in names) or not (texts or found.get("hashes")):
        raise VexError(f"{where} has neither @id nor identifiers.purl nor hashes")
    return tuple(dict.fromkeys(texts))


def _object(owner: dict[str, Any], member: str, where: str) -> dict[str, Any]:
    value = owner.get(member) or {}
    if not isinstance(value, dict):
        raise VexError(f"{where}.{member} is not an object")
    return value


def _time(found: Any, where: str) -> float:
    if found is None:
        return 0.0
    try:
        moment = datetime.fromisoformat(found)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (TypeError, ValueError, OverflowError):
        raise VexError(f"{where} is no time as RFC 3339 has it") from None


# --- verdicts ---------------------------------------------------------------------------------------------------------


def verdict(known: Iterable[VexStatement], vulnerability: Vulnerability, image: AskedImage) -> VexStatement | None:
    """The statement that holds: the latest that applies, the last of those at one time. None where none does."""
    found = None
    for each in known:
        if applies(each, vulnerability, image) and (found is None or each.timestamp >= found.timestamp):
            found = each
    return found


def applies(statement: VexStatement, vulnerability: Vulnerability, image: AskedImage) -> bool:
    """Whether a statement is about this vulnerability of this package in this image, whatever it says of it."""
    if not {vulnerability.id, *vulnerability.related} & set(statement.vulnerabilities):
        return False
    package = vulnerability.package
    for product in statement.products:
        if image.digest.removeprefix("sha256:") in product.hashes or any(_is_image(n, image) for n in product.names):
            if not product.subcomponents or any(_is_package(name, package) for name in product.subcomponents):
                return True
        elif any(_is_package(name, package) for name in product.names):
            return True
    return False


def _is_image(name: str, image: AskedImage) -> bool:
    """`pkg:oci/app@sha256:…?repository_url=…&tag=…`, or a reference as docker writes it."""
    if not name.startswith("pkg:"):
        found = _DIGEST.search(name)
        if found is not None:
            return found[0] == image.digest
        references = (image.repository, *(f"{image.repository}:{tag}" for tag in image.tags))
        return any(name == each or name.endswith(f"/{each}") for each in references)
    purl = _purl(name)
    if purl is None or purl.type not in ("oci", "docker"):
        return False
    if purl.version and purl.version.startswith("sha256:"):
        return bool(purl.version == image.digest)
    tag = purl.qualifiers.get("tag") or purl.version
    path = "/".join(part for part in (purl.namespace, purl.name) if part)
    place = purl.qualifiers.get("repository_url", "")
    if place and not place.endswith(f"/{path}"):
        place = f"{place}/{path}"
    ours = f"/{image.repository}"
    is_there = f"/{place}".endswith(ours) if place else ours.endswith(f"/{path}")
    return is_there and (not tag or tag in image.tags)


def _is_package(name: str, package: Package) -> bool:
    """`pkg:deb/debian/openssl@3.0.11-1`; what the name leaves out may be anything."""
    purl = _purl(name)
    if purl is None or purl.type != package.type:
        return False
    is_source = purl.name == package.source_name and purl.version in (None, package.source_version, package.version)
    is_itself = purl.name.lower() == package.name.lower() and purl.version in (None, package.version)
    namespace = purl.namespace or ""
    return (is_source or is_itself) and namespace.lower() in ("", package.namespace.lower())


def _purl(name: str) -> Any:
    """A PackageURL; None where the text is none."""
    # Imported here: 20 ms that an ecrsim without such documents does without.
    from packageurl import PackageURL

    try:
        return PackageURL.from_string(name)
    except ValueError:
        return None
