"""What a cache brings is scanned by the registry's rules, as what is pushed."""

import pytest

from tests.core.upstream.servers import Registry
from tests.ecr.scanning.scanned import CONTINUOUS, OPENSSL, RULE, findings, know, names, old_openssl

IMAGE = old_openssl()
PLACE = "cache/library/app"


@pytest.mark.documented
@pytest.mark.parametrize(
    ("scan_type", "rule", "status", "found"),
    [
        ("BASIC", RULE, "COMPLETE", ["CVE-2026-0001"] * 2),
        ("ENHANCED", RULE, "COMPLETE", ["CVE-2026-0001"]),
        ("ENHANCED", CONTINUOUS, "ACTIVE", ["CVE-2026-0001"]),
    ],
    ids=["basic", "enhanced, on push", "continuous"],
)
def test_an_image_that_is_cached_is_scanned(cache, scan_type, rule, status, found):
    here = cache(Registry({"library/app": {"v1": IMAGE}}))
    here.rule()
    ecr = here.sim.client()
    know(here.sim, OPENSSL)
    ecr.put_registry_scanning_configuration(scanType=scan_type, rules=[rule])
    assert here.whole("v1") == IMAGE.blobs
    here.sim.advance(seconds=5)
    answer = findings(ecr, PLACE, tag="v1")
    assert (answer["imageScanStatus"]["status"], names(answer)) == (status, found)


def test_a_cached_image_is_not_scanned_without_a_rule(cache):
    here = cache(Registry({"library/app": {"v1": IMAGE}}))
    here.rule()
    here.whole("v1")
    here.sim.advance(seconds=5)
    ecr = here.sim.client()
    with pytest.raises(ecr.exceptions.ScanNotFoundException):
        findings(ecr, PLACE, tag="v1")


@pytest.mark.documented
def test_an_image_that_moved_at_its_upstream_is_scanned_when_it_is_fetched(cache):
    upstream = Registry({"library/app": {"v1": old_openssl(annotations={"number": "1"})}})
    here = cache(upstream)
    here.rule()
    ecr = here.sim.client()
    know(here.sim, OPENSSL)
    ecr.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
    here.whole("v1")
    upstream.images["library/app"]["v1"] = IMAGE
    here.sim.advance(days=2)
    assert here.whole("v1") == IMAGE.blobs
    here.sim.advance(seconds=5)
    assert names(findings(ecr, PLACE, digest=IMAGE.digest)) == ["CVE-2026-0001"] * 2
