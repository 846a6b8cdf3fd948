"""The process that examines images under `ecrsim serve`: the same answers, and others in its place when it dies."""

import os

import pytest

from ecrsim import Ecrsim
from ecrsim.core.runtime import root_caller
from ecrsim.ecr.images.lookup import image_by_tag
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.ecr.scanning.examination_input import plan
from ecrsim.ecr.scanning.examiner_process import Examiner
from ecrsim.testing import build_image
from tests.answers import ACCOUNT, REGION
from tests.ecr.scanning.scanned import OPENSSL, advisory, old_openssl

KINDS = ("BASIC", "ENHANCED")


@pytest.fixture(name="sim")
def one_that_examines_in_a_process():
    with Ecrsim(socket=False, jobs="worker") as sim:
        sim.advisories.import_records("test", [OPENSSL, advisory("CVE-2026-0002")])
        sim.advisories.ignore("CVE-2026-0002", reason="not reachable")
        sim.push("app", "v1", image=old_openssl())
        sim.push("app", "broken", image=build_image(b"no tar"))
        yield sim


@pytest.fixture
def examiner(sim):
    examiner = Examiner(sim.runtime)
    yield examiner
    examiner.stop()


def asked(sim, tag="v1"):
    with sim.runtime.call(root_caller(ACCOUNT, REGION)) as call, call.reading():
        repository = get_repository(call, call.caller.registry, "app")
        planned = plan(call, repository, image_by_tag(call, repository, tag).id, KINDS)
    return planned.asked


def test_the_answer_is_what_is_answered_without_a_process(sim, examiner):
    found = examiner.examine(asked(sim))
    assert found == examiner._examine_here(asked(sim))
    assert [each.name for each in found.findings["ENHANCED"]] == ["CVE-2026-0001", "CVE-2026-0002"]
    assert found.suppressed["ENHANCED"] == [("CVE-2026-0002", "", "ignored: not reachable")]
    assert (found.system, found.architecture, len(found.read)) == (("debian", "12"), "amd64", 1)


def test_a_layer_that_cannot_be_read_is_an_answer_too(sim, examiner):
    found = examiner.examine(asked(sim, "broken"))
    assert found == examiner._examine_here(asked(sim, "broken"))
    assert found.failure.startswith("The layer sha256:")


def test_one_process_examines_image_after_image(sim, examiner):
    examiner.examine(asked(sim))
    first = examiner._process.pid
    examiner.examine(asked(sim, "broken"))
    assert examiner._process.pid == first


def test_another_takes_the_place_of_one_that_died(sim, examiner):
    before = examiner.examine(asked(sim))
    first = examiner._process
    first.kill()
    first.wait()
    assert examiner.examine(asked(sim)) == before
    assert examiner._process.pid != first.pid


def test_it_is_told_when_no_process_stays_alive(sim, examiner, monkeypatch):
    monkeypatch.setattr("ecrsim.ecr.scanning.examiner_process.sys.executable", "/bin/true")
    assert examiner.examine(asked(sim)).failure == (
        "The image cannot be examined: the process that examines images ended"
    )


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="no batch processes on this system")
def test_it_lets_others_go_first(sim, examiner):
    examiner.examine(asked(sim))
    pid = examiner._process.pid
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) + 5


def test_it_ends_with_ecrsim(sim, examiner):
    examiner.examine(asked(sim))
    process = examiner._process
    examiner.stop()
    assert process.poll() is not None
