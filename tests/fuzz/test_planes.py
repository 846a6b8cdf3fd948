"""Requests that hold what the models say in part, or nothing of it: both planes, STS, downloads and pages.

No answer is an error of the server, none has another form than its kind of answer has; what was acknowledged is there
afterwards; nothing hangs, and no request takes the memory away. A finding names the seed and the round that repeat it.
"""

import random
import re
from collections import Counter

import pytest

from ecrsim.contract.operations import missing
from tests.api import post
from tests.fuzz.budget import ROUNDS, SEED, TOGETHER
from tests.fuzz.requests import OPERATIONS, ROUTES, Requests
from tests.fuzz.values import Known
from tests.fuzz.world import STACK, Finding, World, _sim, forget_peak
from tests.pushing import NOWHERE, listed, numbered


@pytest.fixture(scope="module", autouse=True)
def _stop():
    yield
    STACK.close()
    _sim.cache_clear()


@pytest.mark.parametrize("number", ROUNDS)
def test_nothing_breaks(number):
    forget_peak()
    world = World(SEED, number)
    done, found = 0, ""
    try:
        for done in range(TOGETHER):  # noqa: B007 - the finding tells it
            world.step()
        world.check()
    except Finding as finding:
        found = str(finding)
    again = f"FUZZ_SEED={SEED} FUZZ_ROUND={number} scripts/test tests/fuzz/test_planes.py"
    assert not found, f"{found}\nrequest {done} of the round; again: {again}"


def test_every_operation_and_route_is_tried():
    """In eight rounds, several times each."""
    requests = Requests(random.Random(1), Known(), "x")  # noqa: S311 - the same for the same seed
    seen = Counter()
    for _ in range(8 * TOGETHER):
        sent = requests.next()
        seen[sent.operation.name if sent.operation else sent.kind] += 1
        for method, pattern in ROUTES:
            seen[method, pattern] += sent.method == method and bool(pattern.fullmatch(sent.path.partition("?")[0]))
    for name in (*(operation.name for operation in OPERATIONS), *ROUTES, "sts", "page", "download"):
        assert seen[name] >= 3, (name, seen[name])


def test_the_same_seed_gives_the_same_requests():
    one, two = (
        Requests(random.Random("7/1"), Known(), "x")  # noqa: S311
        for _ in range(2)
    )
    assert [one.next() for _ in range(200)] == [two.next() for _ in range(200)]


def test_what_is_there_survives_reading():
    """The operations that only read leave everything as it was."""
    world = World(SEED, 0)
    before = listed(world.ecr, "app")
    built = [each.name for each in OPERATIONS if each.service == "ecr" and each.name not in missing("ecr")]
    reads = [name for name in built if re.match("Describe|Get|List|BatchGet|BatchCheck", name)]
    for name in reads:
        members = {"repositoryName": "app", "imageIds": [{"imageTag": "v1"}], "layerDigests": [NOWHERE]}
        post(world.sim, name, members)
    assert len(reads) >= 14
    assert listed(world.ecr, "app") == before


@pytest.mark.parametrize("who", ["ecr", "kept"])
def test_the_fuzzer_sees_what_is_lost(who):
    world = World(SEED, 0)
    world.check()
    getattr(world, who).batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": numbered(1).digest}])
    with pytest.raises(Finding, match=r"was acknowledged, and then|has changed"):
        world.check()
