"""The conformance suite of the OCI distribution specification, from its main branch, ends without a failure.

The suite exits 0 when it cannot even read its configuration, so the report that it writes decides. Its version is
pinned, so the number of checks that pass is known: a run that skips something does not pass. The repositories have to
exist: ECR creates none.
"""

import xml.etree.ElementTree as ET

import pytest

from tests.e2e.clients import Client, require

CONFIGURATIONS = {
    "release 1.0": ((), {"OCI_VERSION": "1.0"}, 850),
    "release 1.1": ((), {"OCI_VERSION": "1.1"}, 860),
    "dev": ((), {"OCI_VERSION": "dev"}, 986),
    "dev on two workers": (("--workers", "2"), {"OCI_VERSION": "dev"}, 986),
    "dev with sparse content": (("--sparse",), {"OCI_VERSION": "dev", "OCI_DATA_SPARSE": "true"}, 1032),
}


@pytest.mark.parametrize(("options", "settings", "passed"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_the_conformance_suite_has_no_failure(launch, home, tmp_path, record_property, options, settings, passed):
    server = launch(*options)
    ecr = server.client()
    ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    for name in ("conformance/repo1", "conformance/repo2"):
        ecr.create_repository(repositoryName=name)
    environ = {
        **home,
        "OCI_REGISTRY": server.registry,
        "OCI_TLS": "disabled",
        "OCI_REPO1": "conformance/repo1",
        "OCI_REPO2": "conformance/repo2",
        "OCI_USERNAME": "AWS",
        "OCI_PASSWORD": server.password(),
        "OCI_RESULTS_DIR": str(tmp_path / "results"),
        **settings,
    }
    suite = Client((require("conformance-main"),), environ)
    done = suite.attempt(timeout=300, cwd=tmp_path)

    report = ET.parse(tmp_path / "results" / "junit.xml").getroot()  # noqa: S314 - the suite's own report
    counts = {name: int(report.get(name, "0")) for name in ("tests", "failures", "errors", "skipped", "disabled")}
    counts["passed"] = counts["tests"] - sum(counts[name] for name in ("failures", "errors", "skipped", "disabled"))
    record_property("conformance", counts)
    failed = [
        f"{case.get('name')}: {case.findtext('system-out')}"
        for case in report.iter("testcase")
        if case.get("status") in {"failure", "error"}
    ]
    assert failed == [], f"{counts}\n" + "\n".join(failed)
    assert (counts["failures"], counts["errors"], done.status) == (0, 0, 0), done.text[-4000:]
    assert counts["passed"] == passed, counts
