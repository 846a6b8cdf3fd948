"""A capability that is added changes the list of capabilities, and nothing else: `tests/architecture/capability`.

It scans in its own way, and so takes the place of the one that does: an ecrsim without that one works as well.
"""

import json
import subprocess
import sys

import pytest

from tests.architecture.source import ROOT, imports, sources

NAME = "tests.architecture.capability"
#: In a process of its own: what a capability declares holds for the whole process.
SCENARIO = """
import json
from ecrsim import ecr
ecr.CAPABILITIES[ecr.CAPABILITIES.index("scanning")] = "tests.architecture.capability"
from ecrsim import Ecrsim
from tests.architecture.capability import household

with Ecrsim(socket=False, events_limit=EVENTS) as sim:
    client = sim.client()
    image = sim.push("app", "v1")
    describe = lambda: client.describe_images(repositoryName="app")["imageDetails"]
    [begun] = describe()
    ran = [each.job.kind for each in sim.advance(seconds=5)]
    [ended] = describe()
    client.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": image.digest}])
    sim.push("app", "v2")
    sim.household.work()
    was_repeated = household.was_repeated.wait(20)
    sim.reset()
    statuses = [each["imageScanStatus"]["status"] for each in (begun, ended)]
    completed = round(ended["imageScanFindingsSummary"]["imageScanCompletedAt"].timestamp())
    took = completed - round(begun["imagePushedAt"].timestamp())
print(json.dumps([statuses, took, ran, was_repeated, household.done]))
"""


@pytest.mark.parametrize("kept", [100_000, 0], ids=["events are kept", "no events are kept"])
def test_a_capability_works_when_the_list_names_it(kept: int):
    found = subprocess.run(
        [sys.executable, "-c", SCENARIO.replace("EVENTS", str(kept))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    statuses, took, ran, was_repeated, done = json.loads(found.stdout)
    assert statuses == ["IN_PROGRESS", "COMPLETE"]
    assert took == 5
    assert ran == ["example-scan"]
    assert was_repeated
    assert done == ["start", "reset", "stop"]


def test_nobody_knows_of_it():
    assert [source.name for source in sources("ecrsim") for each in imports(source) if NAME in each.target] == []
