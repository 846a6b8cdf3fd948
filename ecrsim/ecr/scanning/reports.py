"""What trivy and grype report in JSON, as vulnerabilities. Pure: documents in, values out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.severity import severity_of_word
from ecrsim.ecr.scanning.vulnerability import Score, Vulnerability

#: The types of package URLs that a bill has otherwise.
_TYPES = {"golang": "golang", "alpine": "apk", "java": "maven"}
#: trivy's names of sources of scores.
_SOURCES = {"": "NVD", "nvd": "NVD", "ghsa": "GITHUB", "govulndb": "GO"}
_LONGEST = 4_096


class NoReport(ValueError):
    """The program wrote something else than its report; the text says what is wrong with it."""


def read_report(scanner: str, document: Any, layers: Mapping[str, str]) -> list[Vulnerability]:
    """The vulnerabilities of a report of `trivy` or `grype`. `layers`: digests by diff ids. NoReport."""
    try:
        found = list(_READERS[scanner](document, layers))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise NoReport(f"the report of {scanner} is not what it is documented to be: {error!r}") from error
    return list({(one.id, one.package): one for one in found}.values())


# --- trivy ------------------------------------------------------------------------------------------------------------


def _trivy(document: Any, layers: Mapping[str, str]) -> Iterator[Vulnerability]:
    if document["SchemaVersion"] != 2:
        raise ValueError(f"SchemaVersion {document['SchemaVersion']}")
    for result in document.get("Results") or ():
        for each in result.get("Vulnerabilities") or ():
            yield _of_trivy(each, result, layers)


def _of_trivy(each: Any, result: Any, layers: Mapping[str, str]) -> Vulnerability:
    layer = each.get("Layer") or {}
    path = each.get("PkgPath") or (result["Target"] if result.get("Class") == "lang-pkgs" else "")
    purl = (each.get("PkgIdentifier") or {}).get("PURL", "")
    version = each["InstalledVersion"]
    package = _package(purl, each["PkgName"], version, path, _layer(layer.get("DiffID"), layers, layer.get("Digest")))
    source = (each.get("DataSource") or {}).get("ID", "")
    urls = each.get("References") or []
    return Vulnerability(
        id=each["VulnerabilityID"],
        package=package,
        fixed_version=(each.get("FixedVersion") or "").partition(",")[0].strip() or None,
        severity=severity_of_word(each.get("Severity") or "") or "UNDEFINED",
        vendor_severity=each.get("Severity") or "",
        title=each.get("Title") or f"{each['VulnerabilityID']} - {package.name}",
        description=(each.get("Description") or "")[:_LONGEST],
        source=_SOURCES.get(source, f"{source.upper()}_CVE"),
        source_url=each.get("PrimaryURL") or "",
        scores=tuple(_scores_of_trivy(each.get("CVSS") or {})),
        reference_urls=tuple(urls),
        related=tuple(each.get("VendorIDs") or ()),
        published=_time(each.get("PublishedDate")),
        modified=_time(each.get("LastModifiedDate")),
    )


def _scores_of_trivy(found: Mapping[str, Any]) -> Iterator[Score]:
    for name, each in found.items():
        source = _SOURCES.get(name, f"{name.upper()}_CVE")
        for prefix, version in (("V2", "2.0"), ("V3", ""), ("V40", "4.0")):
            vector = each.get(f"{prefix}Vector")
            if vector:
                score = float(each.get(f"{prefix}Score") or 0)
                yield Score(version or vector[5:8], score, vector, source)


# --- grype ------------------------------------------------------------------------------------------------------------


def _grype(document: Any, layers: Mapping[str, str]) -> Iterator[Vulnerability]:
    for match in document["matches"]:
        yield _of_grype(match, layers)


def _of_grype(match: Any, layers: Mapping[str, str]) -> Vulnerability:
    own, artifact = match["vulnerability"], match["artifact"]
    others = match.get("relatedVulnerabilities") or []
    location: Any = next(iter(artifact.get("locations") or ()), {})
    path = str(location.get("path") or "").lstrip("/")
    layer = _layer(location.get("layerID"), layers)
    package = _package(artifact.get("purl") or "", artifact["name"], artifact["version"], path, layer)
    upstream: Any = next(iter(artifact.get("upstreams") or ()), {})
    names = [own["id"], *(other["id"] for other in others)]
    identity = next((name for name in names if name.startswith("CVE-")), own["id"])
    fix = own.get("fix") or {}
    texts = [text.get("description") for text in (own, *others) if text.get("description")]
    scores = [_score_of_grype(each, one) for one in (own, *others) for each in one.get("cvss") or ()]
    return Vulnerability(
        id=identity,
        package=_with_source(package, upstream.get("name") or ""),
        fixed_version=next(iter(fix.get("versions") or ()), None),
        severity=severity_of_word(own.get("severity") or "") or "UNDEFINED",
        vendor_severity=own.get("severity") or "",
        title=f"{identity} - {package.name}",
        description=next(iter(texts), "")[:_LONGEST],
        source=_source_of_grype(own.get("namespace") or ""),
        source_url=own.get("dataSource") or "",
        scores=tuple(scores),
        reference_urls=tuple(dict.fromkeys(url for one in (own, *others) for url in one.get("urls") or ())),
        related=tuple(name for name in dict.fromkeys(names) if name != identity),
        exploit_available=bool(own.get("knownExploited")),
    )


def _score_of_grype(each: Any, owner: Any) -> Score:
    source = (
        "NVD"
        if "nvd" in (each.get("source") or owner.get("namespace") or "")
        else _source_of_grype(owner.get("namespace") or "")
    )
    return Score(str(each["version"]), float(each["metrics"]["baseScore"]), each["vector"], source)


def _source_of_grype(namespace: str) -> str:
    """`debian:distro:debian:12` is DEBIAN_CVE, `github:language:go` GITHUB, `nvd:cpe` NVD."""
    name = namespace.partition(":")[0]
    return {"github": "GITHUB", "nvd": "NVD", "": "NVD"}.get(name, f"{name.upper()}_CVE")


# --- both -------------------------------------------------------------------------------------------------------------


def _package(text: str, name: str, version: str, path: str, layer: str) -> Package:
    """The package of a package URL, as far as there is one."""
    # Imported here: 20 ms that an ecrsim with its own scanner does without.
    from packageurl import PackageURL

    purl = PackageURL.from_string(text) if text else PackageURL(type="generic", name=name)
    kind = _TYPES.get(purl.type, purl.type)
    epoch = purl.qualifiers.get("epoch")
    whole = f"{epoch}:{version}" if epoch and ":" not in version else version
    return Package(
        type=kind,
        name=purl.name if kind == "maven" else name.rpartition("/")[2] if purl.namespace and kind == "npm" else name,
        version=whole,
        namespace=purl.namespace or "",
        arch=purl.qualifiers.get("arch", ""),
        path=path.lstrip("/"),
        layer=layer,
    )


def _with_source(package: Package, source: str) -> Package:
    if not source:
        return package
    return Package(
        type=package.type,
        name=package.name,
        version=package.version,
        namespace=package.namespace,
        arch=package.arch,
        source_name=source,
        path=package.path,
        layer=package.layer,
    )


def _layer(diff_id: str | None, layers: Mapping[str, str], digest: str | None = None) -> str:
    return layers.get(diff_id or "") or digest or ""


def _time(text: str | None) -> float | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    seconds = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    return seconds if math.isfinite(seconds) and moment.year > 1 else None


_READERS = {"trivy": _trivy, "grype": _grype}
