"""Which versions are affected, by what name, how severe, and what becomes of several records about one CVE.

The evaluation of ranges is documented (OSV schema 1.7, "Evaluation"), the order of severities too (ECR's user guide).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ecrsim.ecr.scanning.advisories import Advisories, open_advisories
from ecrsim.ecr.scanning.bill import OperatingSystem, Package
from ecrsim.ecr.scanning.matching import match
from ecrsim.ecr.scanning.vulnerability import Vulnerability
from tests.ecr.scanning.osv import BOOKWORM, affecting, bill, fixed_in, record


@pytest.fixture(name="advisories")
def empty_advisories(tmp_path: Path) -> Advisories:
    found = open_advisories(tmp_path)
    assert found.remove("shipped")
    return found


def system(text: str) -> OperatingSystem:
    identity, _, version = text.partition(" ")
    return OperatingSystem(identity, version)


def deb(name: str, version: str, **more: str) -> Package:
    return Package("deb", name, version, namespace="debian", **more)


def found(advisories: Advisories, package: Package, on: OperatingSystem | None = BOOKWORM) -> list[Vulnerability]:
    return match(bill(package, system=on), advisories)


# Ecosystem of the record; system of the image; package; a version that is affected, one that is not, and the fix.
ECOSYSTEMS = [
    ("Debian:12", "debian 12", "deb x", "1:2.36-9+deb12u4 1:2.36-9+deb12u7 1:2.36-9+deb12u7"),
    ("Debian:12", "debian 12", "deb x", "9:1.0~rc1-1 9:1.0-1 9:1.0-1"),
    ("Ubuntu:22.04:LTS", "ubuntu 22.04", "deb x", "3.0.2-0ubuntu1.9 3.0.2-0ubuntu1.10 3.0.2-0ubuntu1.10"),
    ("Ubuntu:Pro:18.04:LTS", "ubuntu 18.04", "deb x", "1.1.1-1 1.1.1-1+esm2 1.1.1-1+esm2"),
    ("Alpine:v3.21", "alpine 3.21.3", "apk x", "3.3.2-r9 3.3.2-r10 3.3.2-r10"),
    ("Alpine:v3.21", "alpine 3.21.3", "apk x", "1.2.3_rc1-r0 1.2.3_git20240101-r0 1.2.3-r0"),
    ("Wolfi", "wolfi 20230201", "apk x", "006-r1 007-r0 007-r0"),
    ("Chainguard", "chainguard 20230214", "apk x", "1.0-r1 1.0-r2 1.0-r2"),
    ("Red Hat:enterprise_linux:9::baseos", "rhel 9.4", "rpm x", "1:3.0.7-24.el9 1:3.0.7-27.el9 1:3.0.7-27.el9"),
    ("Rocky Linux:9", "rocky 9.4", "rpm x", "0:1.0-2.el9 1.0-10.el9 1.0-10.el9"),
    ("AlmaLinux:9", "almalinux 9.4", "rpm x", "1.0~rc1-1.el9 1.0-1.el9 1.0-1.el9"),
    ("Amazon Linux:amazon_linux_2023::al2023_appstream", "amzn 2023", "rpm x", "3-1.0.3 3-1.0.11 3-1.0.11"),
    ("Oracle Linux:ol8_baseos_latest::ol8_baseos_latest", "ol 8.9", "rpm x", "1.0-1.el8 1.0-2.el8 1.0-2.el8"),
    ("SUSE:Linux Enterprise Module for Basesystem 15 SP5", "sles 15.5", "rpm x", "1.0-3.6.1 1.0-3.16.1 1.0-3.16.1"),
    ("SUSE Linux Enterprise Server:sles:15:sp4::module-containers", "sles 15.4", "rpm x", "1-1 1-2 1-2"),
    ("openSUSE:Leap 15.6", "opensuse-leap 15.6", "rpm x", "1.0^git2-1 1.0^git10-1 1.0^git10-1"),
    ("PyPI", "", "pypi X_y.Z", "1.0.dev1 1.0 1.0"),
    ("npm", "", "npm x @scope", "4.17.21-beta.2 4.17.21-beta.11 4.17.21-beta.11"),
    ("Go", "", "golang golang.org/x/net", "v0.22.0 v0.23.0 0.23.0"),
    ("Go", "", "golang stdlib", "go1.22rc1 go1.22 1.22.0-rc.2"),
    ("Go", "", "golang x.org/y", "v1.9.0+incompatible v2.0.0+incompatible 2.0.0+incompatible"),
    ("Maven", "", "maven core org.example", "2.15.0-rc2 2.15.0 2.15.0"),
    ("RubyGems", "", "gem nokogiri", "1.13.9-x86_64-linux 1.13.10-x86_64-linux 1.13.10"),
    ("crates.io", "", "cargo tokio", "1.18.3 1.18.4 1.18.4"),
    ("Packagist", "", "composer Http Symfony", "v5.4.45.1 v5.4.45.2 5.4.45.2"),
    ("NuGet", "", "nuget System.Text.Json", "8.0.4.1 8.0.5 8.0.5"),
]  # fmt: skip
#: What advisories call those that an image may call otherwise.
NAMES = {
    "npm": "@scope/x",
    "PyPI": "x-y-z",
    "Packagist": "symfony/http",
    "NuGet": "system.text.json",
    "Maven": "org.example:core",
}


@pytest.mark.parametrize(("ecosystem", "on", "package", "versions"), ECOSYSTEMS)
def test_versions_compare_as_their_ecosystem_has_it(
    advisories: Advisories, ecosystem: str, on: str, package: str, versions: str
):
    old, new, fix = versions.split()
    type, name, *namespace = package.split()
    advisories.add(*[fixed_in("CVE-2024-0001", ecosystem, NAMES.get(ecosystem, name), fix)])

    def at(version: str) -> list[Vulnerability]:
        installed = Package(type, name, version, namespace="".join(namespace))
        return found(advisories, installed, system(on) if on else None)

    assert [(each.id, each.fixed_version) for each in at(old)] == [("CVE-2024-0001", fix)]
    assert at(new) == []


BRANCHES = (("introduced", "1.0"), ("fixed", "1.2"), ("introduced", "2.0"), ("fixed", "2.3"))
# events, versions, what is installed, whether it is affected, its fix
RANGES: list[tuple[str, tuple[tuple[str, str], ...], list[str], str, bool, str | None]] = [
    ("before the first branch", BRANCHES, [], "0.9", False, None),
    ("where a branch begins", BRANCHES, [], "1.0", True, "1.2"),
    ("inside of the first branch", BRANCHES, [], "1.1", True, "1.2"),
    ("at its fix", BRANCHES, [], "1.2", False, None),
    ("between the branches", BRANCHES, [], "1.9", False, None),
    ("inside of the second branch", BRANCHES, [], "2.2.9", True, "2.3"),
    ("events in no order", BRANCHES[::-1], [], "2.1", True, "2.3"),
    ("never fixed", (("introduced", "0"),), [], "99", True, None),
    ("at the last affected one", (("introduced", "0"), ("last_affected", "1.5")), [], "1.5", True, None),
    ("behind the last affected one", (("introduced", "0"), ("last_affected", "1.5")), [], "1.5.1", False, None),
    ("below the limit", (("introduced", "0"), ("limit", "2")), [], "1.9", True, None),
    ("at the limit", (("introduced", "0"), ("limit", "2")), [], "2", False, None),
    ("a limit of everything", (("introduced", "0"), ("limit", "*")), [], "2", True, None),
    ("enumerated", (), ["1.4", "1.5"], "1.5", True, None),
    ("not enumerated", (), ["1.4", "1.5"], "1.6", False, None),
    ("enumerated as it is written elsewhere", (), ["1.5.0"], "1.5", True, None),
    ("enumerated outside of the range", (("introduced", "2"), ("fixed", "3")), ["1.5"], "1.5", True, "3"),
    ("enumerated and no version at all", (("introduced", "2"), ("fixed", "3")), ["2.x-dev"], "2.x-dev", True, None),
    ("no version that compares", (("introduced", "0"),), [], "(devel)", False, None),
    ("an event that compares with nothing", (("introduced", "0"), ("fixed", "?"), ("fixed", "2")), [], "1", True, "2"),
]


@pytest.mark.parametrize(
    ("events", "versions", "installed", "is_affected", "fix"),
    [row[1:] for row in RANGES],
    ids=[row[0] for row in RANGES],
)
def test_a_range(
    advisories: Advisories, events: Any, versions: list[str], installed: str, is_affected: bool, fix: str | None
):
    advisories.add(*[record("CVE-2024-0002", affecting("PyPI", "demo", *events, versions=versions))])
    result = found(advisories, Package("pypi", "demo", installed), None)
    assert [each.fixed_version for each in result] == ([fix] if is_affected else [])


def test_a_binary_package_is_found_by_its_source_and_by_that_ones_version(advisories: Advisories):
    advisories.add(*[fixed_in("CVE-2024-0003", "Debian:12", "openssl", "3.0.11-1")])
    mine = deb("libssl3", "1:99", source_name="openssl", source_version="3.0.10-1")
    assert [each.package for each in found(advisories, mine)] == [mine]
    assert found(advisories, deb("libssl3", "3.0.10-1", source_name="openssl", source_version="3.0.11-1")) == []


def test_a_debian_binary_that_is_called_like_another_source_is_not_that_source(advisories: Advisories):
    advisories.add(*[fixed_in("CVE-2024-0004", "Debian:12", "tool", "2")])
    assert found(advisories, deb("tool", "1", source_name="suite", source_version="1")) == []
    assert found(advisories, deb("tool", "1"))


def test_an_rpm_is_found_by_its_own_name_before_that_of_its_source(advisories: Advisories):
    advisories.add(
        *[
            record(
                "CVE-2024-0005",
                affecting("Amazon Linux:2023", "openssl", ("introduced", "0"), ("fixed", "9-1")),
                affecting("Amazon Linux:2023", "openssl-libs", ("introduced", "0"), ("fixed", "2-1")),
            )
        ]
    )
    amazon = OperatingSystem("amzn", "2023")

    def libs(name: str) -> Package:
        return Package("rpm", name, "3-1", source_name="openssl", source_version="3-1")

    assert found(advisories, libs("openssl-libs"), amazon) == []
    assert [each.fixed_version for each in found(advisories, libs("openssl-perl"), amazon)] == ["9-1"]


def test_of_a_source_of_suse_only_the_binaries_that_are_named(advisories: Advisories):
    named = {"ecosystem_specific": {"binaries": [{"libopenssl3": "2-1"}]}}
    events = (("introduced", "0"), ("fixed", "2-1"))
    server = "SUSE:Linux Enterprise Server 15 SP6"
    advisories.add(*[record("SUSE-SU-2024:1", affecting(server, "openssl-3", *events, **named))])
    suse = OperatingSystem("sles", "15.6")
    assert found(advisories, Package("rpm", "libopenssl3", "1-1", source_name="openssl-3"), suse)
    assert not found(advisories, Package("rpm", "openssl-3-doc", "1-1", source_name="openssl-3"), suse)


@pytest.mark.parametrize("on", ["debian 11", "debian 13", "ubuntu 12", "alpine 3.12.1", "plan9 4"])
def test_another_release_is_another_matter(advisories: Advisories, on: str):
    advisories.add(*[fixed_in("CVE-2024-0006", "Debian:12", "x", "2")])
    assert found(advisories, Package("deb", "x", "1"), system("debian 12.5"))
    assert found(advisories, Package("deb", "x", "1"), system(on)) == []


def test_what_was_withdrawn_affects_nothing(advisories: Advisories):
    advisories.add(*[fixed_in("CVE-2024-0007", "PyPI", "x", "2", withdrawn="2024-05-05T00:00:00Z")])
    assert found(advisories, Package("pypi", "x", "1"), None) == []
    assert advisories.find("CVE-2024-0007")[0].withdrawn is not None


# --- several records about one ----------------------------------------------------------------------------------------

VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:N"


def test_records_of_several_sources_about_one_cve_are_one_vulnerability(advisories: Advisories):
    scored = {"severity": [{"type": "CVSS_V3", "score": VECTOR}]}
    told = {"references": [{"type": "EVIDENCE", "url": "https://example.com/poc"}], "summary": "It leaks"}
    advisories.import_records("pysec", [fixed_in("PYSEC-2024-1", "PyPI", "x", "2", aliases=["CVE-2024-0008"])])
    github = fixed_in("GHSA-aaaa-bbbb-cccc", "PyPI", "x", "2.1", aliases=["CVE-2024-0008"], **scored)
    advisories.import_records("github", [github | told])
    (one,) = found(advisories, Package("pypi", "x", "1"), None)
    assert (one.id, one.severity, one.title) == ("CVE-2024-0008", "CRITICAL", "It leaks")
    assert set(one.related) == {"PYSEC-2024-1", "GHSA-aaaa-bbbb-cccc"}
    assert [(score.version, score.score, score.source) for score in one.scores] == [("3.1", 9.1, "GITHUB")]
    assert one.exploit_available
    assert one.reference_urls == ("https://example.com/poc",)


def test_records_without_a_cve_are_one_by_their_aliases(advisories: Advisories):
    advisories.add(
        *[
            fixed_in("GO-2024-0001", "Go", "x.org/y", "2.0.0", aliases=["GHSA-aaaa-bbbb-dddd"]),
            fixed_in("GHSA-aaaa-bbbb-dddd", "Go", "x.org/y", "2.0.0"),
            fixed_in("GO-2024-0002", "Go", "x.org/y", "2.0.0"),
        ]
    )
    result = found(advisories, Package("golang", "x.org/y", "v1.0.0"), None)
    assert [each.id for each in result] == ["GO-2024-0001", "GO-2024-0002"]
    assert result[0].related == ("GHSA-aaaa-bbbb-dddd",)


def test_an_update_of_a_distribution_is_each_cve_that_it_mends(advisories: Advisories):
    update = fixed_in("ALSA-2024:1", "AlmaLinux:9", "x", "2-1", related=["CVE-2024-0009", "CVE-2024-0010"])
    advisories.add(*[update | {"summary": "Important: x security update"}])
    result = found(advisories, Package("rpm", "x", "1-1"), OperatingSystem("almalinux", "9.3"))
    assert [(each.id, each.severity) for each in result] == [("CVE-2024-0009", "HIGH"), ("CVE-2024-0010", "HIGH")]
    assert {each.vendor_severity for each in result} == {"Important"}


def test_a_distributions_record_has_the_score_of_anothers_about_the_same_cve(advisories: Advisories):
    scored = record("CVE-2024-0011", severity=[{"type": "CVSS_V3", "score": VECTOR}])
    advisories.add(*[fixed_in("DEBIAN-CVE-2024-0011", "Debian:12", "x", "2", upstream=["CVE-2024-0011"]), scored])
    (one,) = found(advisories, deb("x", "1"))
    assert (one.id, one.severity, one.source) == ("CVE-2024-0011", "CRITICAL", "DEBIAN_CVE")
    assert one.source_url == "https://security-tracker.debian.org/tracker/CVE-2024-0011"


def ubuntu(word: str) -> dict[str, Any]:
    return {"severity": [{"type": "Ubuntu", "score": word}]}


def cvss(*vectors: str) -> dict[str, Any]:
    return {"severity": [{"type": f"CVSS_V{v[5] if v.startswith('CVSS') else 2}", "score": v} for v in vectors]}


V2_HIGH = "AV:N/AC:L/Au:N/C:P/I:P/A:P"
V4_HIGH = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"
V3_LOW = "CVSS:3.0/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N"
V3_NONE = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"

SEVERITY = [
    (ubuntu("medium"), {}, "MEDIUM"),
    (ubuntu("negligible"), {}, "INFORMATIONAL"),
    (ubuntu("low") | {"database_specific": {"severity": "CRITICAL"}}, {}, "LOW"),
    ({}, {"ecosystem_specific": {"urgency": "unimportant"}}, "INFORMATIONAL"),
    (cvss(VECTOR), {"ecosystem_specific": {"urgency": "low**"}}, "LOW"),
    (cvss(VECTOR), {"ecosystem_specific": {"urgency": "not yet assigned"}}, "CRITICAL"),
    ({"database_specific": {"severity": "Important"}}, {}, "HIGH"),
    (cvss(V2_HIGH), {}, "HIGH"),
    (cvss(V4_HIGH), {}, "HIGH"),
    (cvss(V2_HIGH, V4_HIGH, V3_LOW), {}, "LOW"),
    (cvss(V3_NONE), {}, "INFORMATIONAL"),
    ({}, cvss(VECTOR), "CRITICAL"),
    (cvss("CVSS:3.1/AV:N"), {}, "UNDEFINED"),
    (ubuntu("untriaged"), {}, "UNDEFINED"),
    ({}, {}, "UNDEFINED"),
]


@pytest.mark.documented
@pytest.mark.parametrize(
    ("whole", "part", "severity"), SEVERITY, ids=[f"{row[2]}-{n}" for n, row in enumerate(SEVERITY)]
)
def test_severity_is_the_distributions_own_else_by_cvss_else_undefined(
    advisories: Advisories, whole: dict[str, Any], part: dict[str, Any], severity: str
):
    advisories.add(*[record("CVE-2024-0012", affecting("Ubuntu:24.04:LTS", "x", ("introduced", "0"), **part), **whole)])
    (one,) = found(advisories, Package("deb", "x", "1"), OperatingSystem("ubuntu", "24.04"))
    assert one.severity == severity


def test_findings_are_in_the_order_of_their_severity(advisories: Advisories):
    rows = [
        ("CVE-2024-0020", "low"),
        ("CVE-2024-0021", "critical"),
        ("CVE-2024-0022", "none at all"),
        ("CVE-2024-0019", "low"),
    ]
    advisories.add(*[fixed_in(identity, "Ubuntu:24.04:LTS", "x", "2", **ubuntu(word)) for identity, word in rows])
    result = found(advisories, Package("deb", "x", "1"), OperatingSystem("ubuntu", "24.04"))
    assert [each.id[-2:] for each in result] == ["21", "19", "20", "22"]
