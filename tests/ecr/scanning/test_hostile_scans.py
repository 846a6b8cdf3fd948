"""Layers that would do harm: their scan fails with the reason, and nothing else suffers."""

import gzip

import pytest

from ecrsim.ecr.scanning.packages.limits import Limits
from ecrsim.testing import build_image
from tests.ecr.scanning.packages.layering import hard_link, tar_of
from tests.ecr.scanning.packages.test_hostile_layers import BROKEN, TAR, header, numbered
from tests.ecr.scanning.scanned import CONTINUOUS, OPENSSL, RULE, findings, know, layer, names, old_openssl, status
from tests.pushing import create, push

HOSTILE = {
    **{name: row for name, row in BROKEN.items() if name != "nothing"},  # no layer is empty
    "a hard link to nowhere": (lambda: tar_of({"a": hard_link("there")}), "a hard link to a file that no layer has"),
}


@pytest.fixture(
    params=[
        pytest.param(("BASIC", RULE), id="basic"),
        pytest.param(("ENHANCED", CONTINUOUS), id="enhanced", marks=pytest.mark.slow),
    ]
)
def app(request, sim, ecr):
    scan_type, rule = request.param
    know(sim, OPENSSL)
    ecr.put_registry_scanning_configuration(scanType=scan_type, rules=[rule])
    create(ecr)
    return ecr


@pytest.mark.inferred
@pytest.mark.parametrize(("packed", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_layer_fails_its_own_scan_alone(sim, app, packed, reason):
    hostile = push(app, "app", build_image(packed()))
    beside = push(app, "app", old_openssl())
    sim.advance(seconds=1)
    answer = findings(app, digest=hostile)
    assert answer["imageScanStatus"]["status"] == "FAILED"
    assert reason in answer["imageScanStatus"]["description"]
    assert "imageScanFindings" not in answer
    assert set(names(findings(app, digest=beside))) == {"CVE-2026-0001"}


@pytest.mark.slow
@pytest.mark.inferred
def test_a_layer_of_more_files_than_the_bound_fails_its_own_scan_alone(sim, app):
    one = header("srv/" + "0" * 20)
    packed = b"".join(numbered(one, number) for number in range(Limits().entries + 1)) + TAR
    hostile = push(app, "app", build_image(gzip.compress(packed, 1)))
    beside = push(app, "app", old_openssl())
    sim.advance(seconds=1)
    told = findings(app, digest=hostile)["imageScanStatus"]
    assert told["status"] == "FAILED"
    assert "the layer has more than 250,000 entries" in told["description"]
    assert set(names(findings(app, digest=beside))) == {"CVE-2026-0001"}


@pytest.mark.slow
def test_an_image_of_a_hundred_thousand_files_is_scanned(sim, app):
    """As many as large images have; what is beyond the bound is refused, as the tests of layers say."""
    many = layer({f"srv/{number}": b"" for number in range(100_000)})
    digest = push(app, "app", build_image(many, *list(old_openssl().blobs.values())[1:]))
    sim.advance(seconds=1)
    assert status(app, digest=digest) in ("COMPLETE", "ACTIVE")
    assert set(names(findings(app, digest=digest))) == {"CVE-2026-0001"}
