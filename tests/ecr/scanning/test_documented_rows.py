"""What the documentation says besides of scanning: supported systems, what the model lets be, members and waiters."""

import io

import pytest
from botocore.exceptions import WaiterError

from ecrsim.ecr.scanning import rules
from ecrsim.ecr.scanning.packages import bill_of, read_layer
from ecrsim.ecr.scanning.severity import severity_of_scores
from ecrsim.ecr.scanning.vulnerability import Score
from ecrsim.testing import build_image
from tests.api import post, refusal_of
from tests.ecr.scanning.packages.programs import elf
from tests.ecr.scanning.scanned import (
    CONTINUOUS,
    CVSS3,
    OPENSSL,
    RULE,
    advisory,
    debian,
    findings,
    know,
    layer,
    old_openssl,
    paragraph,
    start,
    status,
)
from tests.pushing import create, push

# --- operating systems ------------------------------------------------------------------------------------------------

B, E, NONE = "BASIC", "ENHANCED", ""
#: `ID` and `VERSION_ID` of os-release, and the scan types that the system has: Inspector's table, row by row.
SYSTEMS = [
    *(("almalinux", each, B + E) for each in ("8.10", "9.4", "10.0")),
    *(("alpine", each, B + E) for each in ("3.21.3", "3.22.0", "3.23.1", "3.24.0")),
    ("amzn", "2023", B + E),
    ("azurelinux", "3.0", B + E),
    ("chainguard", "20230214", B + E),
    *(("debian", each, B + E) for each in ("12", "13")),
    ("echo", "2", B + E),
    *(("fedora", each, B + E) for each in ("43", "44")),
    ("hummingbird", "20251124", B),
    ("minimos", "20241031", B + E),
    *(("ol", each, B + E) for each in ("8.10", "9.4", "10.0")),
    *(("photon", each, B + E) for each in ("4.0", "5.0")),
    *(("rhel", each, B + E) for each in ("8.10", "9.4", "10.0")),
    *(("rocky", each, B + E) for each in ("8.10", "9.4", "10.0")),
    *(("sles", each, B + E) for each in ("15.7", "16.0")),
    *(("ubuntu", each, B + E) for each in ("18.04", "20.04", "22.04", "24.04", "26.04")),
    ("wolfi", "20230201", B + E),
    # The table of early 2026.
    *(("alpine", each, B + E) for each in ("3.19.1", "3.20.6")),
    ("amzn", "2", B + E),
    ("debian", "11", B + E),
    ("fedora", "41", B + E),
    ("opensuse-leap", "15.6", B + E),
    ("sles", "15.6", B + E),
    *(("ubuntu", each, B + E) for each in ("16.04", "24.10")),
    # What neither has.
    *(("alpine", each, NONE) for each in ("3.18.9", "3.2.3", "edge")),
    ("amzn", "2018.03", NONE),
    ("arch", "", NONE),
    *(("centos", each, NONE) for each in ("7", "8")),
    *(("debian", each, NONE) for each in ("10", "14", "")),
    *(("fedora", each, NONE) for each in ("40", "42")),
    ("rhel", "7.9", NONE),
    *(("ubuntu", each, NONE) for each in ("14.04", "22.10", "25.10")),
]


@pytest.mark.documented
@pytest.mark.parametrize(("system", "version", "scanned"), SYSTEMS, ids=lambda text: text or "none")
def test_which_systems_are_scanned_by_their_os_release(system: str, version: str, scanned: str):
    content = layer({"etc/os-release": f'NAME="a name"\nID={system}\nVERSION_ID="{version}"\n'.encode()})
    found = bill_of([read_layer(io.BytesIO(content), "", "sha256:a")]).system
    assert found is not None
    for scan_type, refused in ((B, "FAILED"), (E, "UNSUPPORTED_IMAGE")):
        verdict = rules.verdict(scan_type, (found.id, found.version_id), has_language_packages=False)
        assert verdict == ("COMPLETE" if scan_type in scanned else refused)


@pytest.mark.documented
def test_busybox_is_scanned_by_its_program(sim, ecr):
    create(ecr)
    digest = push(ecr, "app", build_image(layer({"bin/busybox": elf(b"BusyBox v1.37.0 (2024-12-29)")})))
    start(ecr, digest)
    sim.advance(seconds=1)
    assert status(ecr, digest=digest) == "COMPLETE"


@pytest.mark.documented
def test_the_name_of_a_system_does_not_count_and_its_id_does(sim, ecr):
    create(ecr)
    named = debian(paragraph("zlib1g", "1:1"), system=b'NAME="Debian GNU/Linux"\nID=ours\nVERSION_ID=12\n')
    digest = push(ecr, "app", build_image(named))
    start(ecr, digest)
    sim.advance(seconds=1)
    assert status(ecr, digest=digest) == "FAILED"


# --- the configuration ------------------------------------------------------------------------------------------------


def rule(frequency, *filters):
    return RULE | {
        "scanFrequency": frequency,
        "repositoryFilters": [{"filter": each, "filterType": "WILDCARD"} for each in filters],
    }


#: Filters that may be (documented by the pattern).
FILTERS = ["a", "0", "*", "**", "a*b", "*/*", "team/*", "a.b", "a-b", "a_b/c", "a" * 255, "*-prod"]
#: And those that may not.
NO_FILTERS = ["", "A", "-a", "a-", "a/", "/a", "a--b", "a//b", "a._b", "a b", "a:b", "?", "ä", "a" * 256]


@pytest.mark.documented
@pytest.mark.parametrize("text", FILTERS, ids=lambda text: text[:12])
def test_filters_that_may_be(ecr, text):
    wanted = [rule("SCAN_ON_PUSH", text)]
    answer = ecr.put_registry_scanning_configuration(scanType="BASIC", rules=wanted)
    assert answer["registryScanningConfiguration"]["rules"] == wanted


#: Requests of PutRegistryScanningConfiguration that break the model, and what the answer says of each.
MALFORMED = {
    "three rules": ({"rules": [RULE, CONTINUOUS, rule("MANUAL", "a")]}, "must have length less than or equal to 2"),
    "no frequency": ({"rules": [{"repositoryFilters": []}]}, "scanFrequency"),
    "no filters": ({"rules": [{"scanFrequency": "MANUAL"}]}, "repositoryFilters"),
    "a filter without a type": (
        {"rules": [{"scanFrequency": "MANUAL", "repositoryFilters": [{"filter": "a"}]}]},
        "filterType",
    ),
    "a type without a filter": (
        {"rules": [{"scanFrequency": "MANUAL", "repositoryFilters": [{"filterType": "WILDCARD"}]}]},
        "filter",
    ),
    "101 filters": ({"rules": [rule("SCAN_ON_PUSH", *["a"] * 101)]}, "must have length less than or equal to 100"),
    **{
        f"the filter {text[:12]!r}": ({"rules": [rule("SCAN_ON_PUSH", text)]}, "rules.1.member.repositoryFilters")
        for text in NO_FILTERS
    },
}


@pytest.mark.documented
@pytest.mark.parametrize(("members", "said"), MALFORMED.values(), ids=MALFORMED)
def test_configurations_that_the_model_refuses(sim, ecr, members, said):
    found = refusal_of(post(sim, "PutRegistryScanningConfiguration", members))
    assert found.code == "InvalidParameterException"
    assert said in found.message
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"] == {"scanType": "BASIC", "rules": []}


@pytest.mark.documented
@pytest.mark.parametrize(
    ("scan_type", "given"),
    [
        ("BASIC", [rule("MANUAL", "a")]),
        ("BASIC", [rule("SCAN_ON_PUSH")]),
        ("BASIC", [rule("SCAN_ON_PUSH", *(f"a{number}" for number in range(100)))]),
        ("ENHANCED", []),
        ("ENHANCED", [rule("CONTINUOUS_SCAN", "a"), rule("SCAN_ON_PUSH", "b")]),
        ("ENHANCED", [rule("SCAN_ON_PUSH", "b"), rule("CONTINUOUS_SCAN", "a")]),
    ],
    ids=["manual", "no filter", "100 filters", "no rule", "both", "both, in this order"],
)
def test_configurations_that_may_be(ecr, scan_type, given):
    wanted = {"scanType": scan_type, "rules": given}
    answer = ecr.put_registry_scanning_configuration(**wanted)
    assert answer["registryScanningConfiguration"] == wanted
    assert ecr.get_registry_scanning_configuration()["scanningConfiguration"] == wanted


@pytest.mark.documented
@pytest.mark.parametrize("names", [[], ["app"] * 26, ["a"], ["A"]], ids=["none", "26", "a short one", "a large one"])
def test_names_of_repositories_that_the_model_refuses(sim, names):
    found = refusal_of(post(sim, "BatchGetRepositoryScanningConfiguration", {"repositoryNames": names}))
    assert found.code == "InvalidParameterException"


class TestTheFlagOfARepository:
    @pytest.mark.documented
    def test_it_is_off_when_nobody_says_so(self, ecr):
        create(ecr)
        (shown,) = ecr.describe_repositories()["repositories"]
        assert shown["imageScanningConfiguration"] == {"scanOnPush": False}

    @pytest.mark.recorded
    @pytest.mark.parametrize("flag", [True, False])
    def test_rules_of_the_registry_leave_it_as_it_is(self, ecr, flag):
        create(ecr, imageScanningConfiguration={"scanOnPush": flag})
        ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        (shown,) = ecr.describe_repositories()["repositories"]
        assert shown["imageScanningConfiguration"] == {"scanOnPush": flag}

    @pytest.mark.documented
    @pytest.mark.parametrize(
        "members",
        [
            {"repositoryName": "app"},
            {"repositoryName": "a", "imageScanningConfiguration": {}},
            {"repositoryName": "App", "imageScanningConfiguration": {}},
            {"repositoryName": "app", "imageScanningConfiguration": {}, "registryId": "1"},
            {"imageScanningConfiguration": {}},
        ],
        ids=["no configuration", "a short name", "a large name", "a registry", "no name"],
    )
    def test_what_the_model_refuses(self, sim, members):
        found = refusal_of(post(sim, "PutImageScanningConfiguration", members))
        assert found.code == "InvalidParameterException"


# --- findings ---------------------------------------------------------------------------------------------------------

CVSS2 = "AV:N/AC:L/Au:N/C:P/I:P/A:P"
THIRD, SECOND = {"type": "CVSS_V3", "score": CVSS3}, {"type": "CVSS_V2", "score": CVSS2}
#: Scores of an advisory, and the attributes of a basic finding in the order in which they were recorded.
ATTRIBUTES = {
    "both": ([THIRD, SECOND], "CVSS3_SCORE package_version package_name CVSS3_VECTOR CVSS2_VECTOR CVSS2_SCORE"),
    "the third alone": ([THIRD], "CVSS3_SCORE package_version package_name CVSS3_VECTOR"),
    "the second alone": ([SECOND], "package_version package_name CVSS2_VECTOR CVSS2_SCORE"),
    "none": ([], "package_version package_name"),
}


@pytest.fixture
def app(sim, ecr):
    know(sim, OPENSSL)
    create(ecr)
    return ecr


def found_in(sim, ecr, image):
    digest = push(ecr, "app", image, "v1")
    sim.advance(seconds=1)
    return findings(ecr, digest=digest)["imageScanFindings"]


class TestFindings:
    @pytest.fixture
    def basic(self, app):
        app.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        return app

    @pytest.mark.recorded
    @pytest.mark.parametrize(("severity", "keys"), ATTRIBUTES.values(), ids=ATTRIBUTES)
    def test_the_attributes_of_a_basic_one(self, sim, basic, severity, keys):
        know(sim, advisory("CVE-2026-0001", severity=severity))
        (finding,) = found_in(sim, basic, build_image(debian(paragraph("openssl", "3.0.11-1"))))["findings"]
        told = {each["key"]: each["value"] for each in finding["attributes"]}
        assert list(told) == keys.split()
        known = {"CVSS3_SCORE": "9.8", "CVSS3_VECTOR": CVSS3, "CVSS2_SCORE": "7.5", "CVSS2_VECTOR": CVSS2}
        known |= {"package_version": "3.0.11-1", "package_name": "openssl"}
        assert told == {key: known[key] for key in told}

    @pytest.mark.documented
    def test_a_basic_one_may_have_no_description(self, sim, basic):
        know(sim, advisory("CVE-2026-0001"))
        (finding,) = found_in(sim, basic, build_image(debian(paragraph("openssl", "3.0.11-1"))))["findings"]
        assert finding.keys() == {"name", "uri", "severity", "attributes"}

    @pytest.mark.documented
    def test_a_long_name_is_cut_as_the_model_has_it(self, sim, basic):
        (finding,) = found_in(sim, basic, build_image(debian(paragraph("a" * 300, "3.0.11-1", "openssl"))))["findings"]
        told = {each["key"]: each["value"] for each in finding["attributes"]}
        assert told["package_name"] == "a" * 256

    @pytest.mark.recorded
    @pytest.mark.parametrize(
        ("packages", "title"),
        [
            (["a"], "a"),
            (["a", "b"], "a, b"),
            (["a", "b", "c"], "a, b and 1 more"),
            (["a", "b", "c", "d", "e"], "a, b and 3 more"),
        ],
        ids=len,
    )
    def test_the_title_of_an_enhanced_one(self, sim, app, packages, title):
        app.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
        image = build_image(debian(*(paragraph(each, "3.0.11-1", "openssl") for each in packages)))
        (finding,) = found_in(sim, app, image)["enhancedFindings"]
        assert finding["title"] == f"CVE-2026-0001 - {title}"


#: Scores, and the bands of NVD in which they are: of version 3, and of version 2.
BANDS = [
    *(("3.1", score, "INFORMATIONAL") for score in (0.0,)),
    *(("3.1", score, "LOW") for score in (0.1, 3.9)),
    *(("3.1", score, "MEDIUM") for score in (4.0, 6.9)),
    *(("3.1", score, "HIGH") for score in (7.0, 8.9)),
    *(("3.1", score, "CRITICAL") for score in (9.0, 10.0)),
    *(("2.0", score, "HIGH") for score in (7.0, 9.0, 10.0)),
    *(("2.0", score, "MEDIUM") for score in (4.0, 6.9)),
    *(("2.0", score, "LOW") for score in (0.1, 3.9)),
    *(("4.0", score, "CRITICAL") for score in (9.0, 10.0)),
]


@pytest.mark.documented
@pytest.mark.parametrize(("version", "score", "severity"), BANDS)
def test_the_bands_of_scores(version, score, severity):
    assert severity_of_scores([Score(version, score, "", "NVD")]) == severity


@pytest.mark.documented
def test_what_asks_for_a_scan_is_on_the_trail_and_what_reads_is_not(sim, app):
    place, digest = {"repositoryName": "app"}, push(app, "app", old_openssl())
    app.put_image_scanning_configuration(**place, imageScanningConfiguration={"scanOnPush": True})
    app.start_image_scan(**place, imageId={"imageDigest": digest})
    findings(app, digest=digest)
    app.get_registry_scanning_configuration()
    app.batch_get_repository_scanning_configuration(repositoryNames=["app"])
    told = [event["detail"] for event in sim.events(type="AWS API Call via CloudTrail")][-2:]
    assert [each["eventName"] for each in told] == ["PutImageScanningConfiguration", "StartImageScan"]
    assert told[1]["requestParameters"] == {**place, "imageId": {"imageDigest": digest}}
    assert told[1]["responseElements"]["imageScanStatus"] == {"status": "IN_PROGRESS"}


class TestTheWaiter:
    """botocore's own rules: COMPLETE is success, FAILED is failure, everything else is waited for."""

    def waits(self, ecr, digest):
        waiter = ecr.get_waiter("image_scan_complete")
        try:
            waiter.wait(
                repositoryName="app", imageId={"imageDigest": digest}, WaiterConfig={"Delay": 0, "MaxAttempts": 2}
            )
        except WaiterError as error:
            return str(error).partition(": ")[2]
        return ""

    @pytest.mark.documented
    def test_a_failed_scan_is_a_failure(self, sim, app):
        digest = push(app, "app", build_image(layer({"app": b"static"})))
        start(app, digest)
        sim.advance(seconds=1)
        assert 'matched expected path: "FAILED"' in self.waits(app, digest)

    @pytest.mark.documented
    def test_a_continuous_scan_is_never_over(self, sim, app):
        app.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
        digest = push(app, "app", old_openssl())
        sim.advance(seconds=1)
        assert status(app, digest=digest) == "ACTIVE"
        assert self.waits(app, digest).startswith("Max attempts exceeded")

    @pytest.mark.documented
    def test_an_enhanced_scan_on_push_is(self, sim, app):
        app.put_registry_scanning_configuration(scanType="ENHANCED", rules=[RULE])
        digest = push(app, "app", old_openssl())
        sim.advance(seconds=1)
        assert self.waits(app, digest) == ""
