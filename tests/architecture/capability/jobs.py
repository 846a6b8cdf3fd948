"""The end of a scan."""

from sqlalchemy import update

from ecrsim.core.jobs import Job, job
from ecrsim.core.runtime import Call
from tests.architecture.capability.reactions import SCAN
from tests.architecture.capability.tables import scans


@job(SCAN)
def complete_scan(call: Call, job: Job) -> None:
    done = update(scans).where(scans.c.image_id == int(job.key))
    call.connection.execute(done.values(status="COMPLETE", completed_at=call.now))
