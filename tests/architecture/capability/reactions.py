"""A scan begins with a push, but for those of replication, whose images were scanned where they come from."""

from sqlalchemy import insert

from ecrsim.core.durations import SECOND
from ecrsim.core.facts import on
from ecrsim.core.jobs import enqueue
from ecrsim.core.runtime import Call
from ecrsim.ecr.images.events import ImagePushed
from tests.architecture.capability.tables import scans

SCAN = "example-scan"


@on(ImagePushed)
def begin_scan(call: Call, fact: ImagePushed) -> None:
    if fact.origin == "push":
        call.connection.execute(insert(scans).values(image_id=fact.image_id, status="IN_PROGRESS"))
        enqueue(call, SCAN, call.now + 5 * SECOND, fact.repository.registry, str(fact.image_id))
