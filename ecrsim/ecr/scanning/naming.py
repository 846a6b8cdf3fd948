"""What a vulnerability is called, whose record it is, and where its page is."""

from __future__ import annotations

import re

from ecrsim.ecr.scanning.advisory import Advisory

_CVE = re.compile(r"CVE-\d{4}-\d{4,19}")
#: `DEBIAN-CVE-2024-1234`, `UBUNTU-CVE-2024-1234`: a distribution's record of a CVE.
_OF_CVE = re.compile(r"(?:[A-Za-z]+-)+?(CVE-\d{4}-\d{4,19})")
#: Records that stand for an update, which mends what is named as related.
_UPDATES = ("RHSA-", "RHBA-", "RHEA-", "RLSA-", "RXSA-", "ALSA-", "ALBA-", "ALAS", "ELSA-", "SUSE-", "openSUSE-")
_MORE_UPDATES = ("DSA-", "DLA-", "USN-", "MGASA-", "PHSA-", "CGA-")

#: Inspector's names of sources: NVD, DEBIAN_CVE and REDHAT_CVE are documented, the others formed like them.
_SOURCES = {
    "Debian": "DEBIAN_CVE",
    "Ubuntu": "UBUNTU_CVE",
    "Alpine": "ALPINE_CVE",
    "Red Hat": "REDHAT_CVE",
    "Rocky Linux": "ROCKY_CVE",
    "AlmaLinux": "ALMA_CVE",
    "Amazon Linux": "AMAZON_CVE",
    "Oracle Linux": "ORACLE_CVE",
    "SUSE": "SUSE_CVE",
    "openSUSE": "SUSE_CVE",
    "Fedora": "FEDORA_CVE",
    "Photon OS": "PHOTON_CVE",
    "Azure Linux": "AZURE_CVE",
    "Wolfi": "WOLFI_CVE",
    "Chainguard": "CHAINGUARD_CVE",
}
_PAGES_OF_DISTRIBUTIONS = {
    "Debian": "https://security-tracker.debian.org/tracker/{}",
    "Ubuntu": "https://ubuntu.com/security/{}",
    "Alpine": "https://security.alpinelinux.org/vuln/{}",
    "Red Hat": "https://access.redhat.com/security/cve/{}",
    "Amazon Linux": "https://explore.alas.aws.amazon.com/{}.html",
    "SUSE": "https://www.suse.com/security/cve/{}.html",
    "openSUSE": "https://www.suse.com/security/cve/{}.html",
}
_PAGES = {
    "GHSA-": ("GITHUB", "https://github.com/advisories/{}"),
    "GO-": ("GO", "https://pkg.go.dev/vuln/{}"),
    "PYSEC-": ("PYPA", "https://osv.dev/vulnerability/{}"),
    "RUSTSEC-": ("RUSTSEC", "https://rustsec.org/advisories/{}.html"),
    "CVE-": ("NVD", "https://nvd.nist.gov/vuln/detail/{}"),
}


def names_of(advisory: Advisory) -> tuple[str, ...]:
    """The CVEs that a record is about, else its own id. A distribution's update names several."""
    own = _CVE.fullmatch(advisory.id) or _OF_CVE.fullmatch(advisory.id)
    if own is not None:
        return (own[own.lastindex or 0],)
    named = [*advisory.aliases, *advisory.upstream]
    if advisory.id.startswith((*_UPDATES, *_MORE_UPDATES)):
        named += advisory.related
    return tuple(dict.fromkeys(text for text in named if _CVE.fullmatch(text))) or advisory.upstream or (advisory.id,)


def source_of(advisory: Advisory, ecosystem: str) -> str:
    """DEBIAN_CVE, GITHUB, GO, NVD …: whose record it is."""
    found = _SOURCES.get(ecosystem.partition(":")[0])
    if found is not None:
        return found
    return next((name for prefix, (name, _) in _PAGES.items() if advisory.id.startswith(prefix)), "OSV")


def url_of(name: str, advisory: Advisory, ecosystem: str) -> str:
    """The page of the source that tells of the vulnerability `name`."""
    form = _PAGES_OF_DISTRIBUTIONS.get(ecosystem.partition(":")[0])
    if form is not None and name.startswith("CVE-"):
        return form.format(name)
    for prefix, (_, page) in _PAGES.items():
        if advisory.id.startswith(prefix):
            return page.format(advisory.id)
    told = next((url for kind, url in advisory.references if kind == "ADVISORY"), None)
    return told or f"https://osv.dev/vulnerability/{advisory.id}"
