"""A copy is scanned by the rules of the registry that it comes to, as what is pushed there."""

import pytest

from tests.ecr.replication.conftest import OTHER_ACCOUNT, configure_rules, permission
from tests.ecr.replication.test_rules import OTHER, rule
from tests.ecr.scanning.scanned import CONTINUOUS, OPENSSL, RULE, findings, know, names, old_openssl
from tests.pushing import create, push

IMAGE = old_openssl()
RULES = [("BASIC", RULE, "COMPLETE", 2), ("ENHANCED", RULE, "COMPLETE", 1), ("ENHANCED", CONTINUOUS, "ACTIVE", 1)]
NAMED = ["basic", "enhanced, on push", "continuous"]


@pytest.fixture(autouse=True)
def _known(sim):
    know(sim, OPENSSL)
    yield
    sim.advisories.remove("test")


def is_scanned(ecr, status, count):
    answer = findings(ecr, tag="v1")
    return (answer["imageScanStatus"]["status"], names(answer)) == (status, ["CVE-2026-0001"] * count)


@pytest.mark.documented
@pytest.mark.parametrize(("scan_type", "scan_rule", "status", "count"), RULES, ids=NAMED)
def test_in_another_region(world, scan_type, scan_rule, status, count):
    world.eu.put_registry_scanning_configuration(scanType=scan_type, rules=[scan_rule])
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()
    world.sim.advance(seconds=1)
    assert is_scanned(world.eu, status, count)
    with pytest.raises(world.home.exceptions.ScanNotFoundException):
        findings(world.home, tag="v1")


@pytest.mark.documented
def test_in_another_account(world):
    far = world.client(account=OTHER_ACCOUNT, region="eu-west-1")
    far.put_registry_policy(policyText=permission("CreateRepository", "ReplicateImage"))
    far.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
    configure_rules(world.home, rule(OTHER))
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()
    world.sim.advance(seconds=1)
    assert is_scanned(far, "COMPLETE", 2)


@pytest.mark.documented
@pytest.mark.parametrize(("scan_type", "scan_rule", "status", "count"), RULES, ids=NAMED)
def test_at_another_site(here, there, second, scan_type, scan_rule, status, count):
    know(second, OPENSSL)
    there.put_registry_scanning_configuration(scanType=scan_type, rules=[scan_rule])
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    second.advance(seconds=1)
    assert is_scanned(there, status, count)
