"""Jobs of scanning: one scan, and a look at all images of a registry that are monitored.

Layers are read with no transaction open, and under `ecrsim serve` in a process of its own.
"""

from __future__ import annotations

from ecrsim.core.durations import SECOND
from ecrsim.core.jobs import Job, enqueue, finish, job
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.lookup import image_by_id
from ecrsim.ecr.repositories.service import find_repository_by_id
from ecrsim.ecr.scanning import finding_rows, monitoring, rules, scans
from ecrsim.ecr.scanning.beginning import SCAN, SWEEP, sweep
from ecrsim.ecr.scanning.configuration import configuration_of
from ecrsim.ecr.scanning.examination_input import plan
from ecrsim.ecr.scanning.examiner_process import examiner_of
from ecrsim.ecr.scanning.scan_outcomes import settle

#: What is said of a scan that was tried in vain.
_GIVEN_UP = "The image cannot be examined: InternalError"


def _give_up(call: Call, job: Job) -> None:
    scans.fail(call, job.payload["image_id"], job.payload["scan_type"], "FAILED", _GIVEN_UP)


@job(SCAN, is_long=True, given_up=_give_up)
def scan_image(call: Call, job: Job) -> None:
    """Scan one image. One that was deleted or archived meanwhile, or whose repository was deleted, needs no scan."""
    image_id, scan_type = job.payload["image_id"], job.payload["scan_type"]
    with call.reading():
        repository = find_repository_by_id(call, job.payload["repository_id"])
        planned = plan(call, repository, image_id, (scan_type,)) if repository is not None else None
    examined = examiner_of(call.runtime).examine(planned.asked) if planned is not None else None
    with call.writing():
        repository = find_repository_by_id(call, job.payload["repository_id"])
        image = image_by_id(call, image_id)
        if not finish(call, job) or repository is None or image is None or examined is None:
            return
        settle(call, repository, image, scan_type, examined)


@job(SWEEP, is_long=True)
def rescan_images(call: Call, job: Job) -> None:
    """So many images in one transaction; then the next ones, or another look after `rescan_interval`."""
    registry, after = job.registry, job.payload.get("after", 0)
    with call.reading():
        configuration = configuration_of(call, registry)
        batch = monitoring.batch(call, registry, configuration, after)
    done = [
        (each, examiner_of(call.runtime).examine(each.plan.asked) if each.plan is not None else None)
        for each in batch.looks
    ]
    with call.writing():
        if not finish(call, job):
            return
        for look, examined in done:
            monitoring.carry_out(call, look, examined)
        if batch.last is not None:
            enqueue(call, SWEEP, call.now, registry, job.key, {"after": batch.last})
            return
        finding_rows.forget_closed(call, call.now - rules.CLOSED_FOR)
        if any(rule["scanFrequency"] == "CONTINUOUS_SCAN" for rule in configuration.rules):
            sweep(call, registry, configuration, call.now + call.runtime.config.rescan_interval * SECOND)
