"""A key that is to be deleted goes when its time has come."""

from __future__ import annotations

from ecrsim.core.jobs import Job, job
from ecrsim.core.runtime import Call
from ecrsim.ecr.encryption import keys
from ecrsim.ecr.encryption.life import DELETE_KEY


@job(DELETE_KEY)
def delete_key(call: Call, job: Job) -> None:
    """With all that it encrypted with: what it wrapped is closed for good."""
    keys.remove(call.connection, job.key)
