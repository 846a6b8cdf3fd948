"""What DescribeImages says of scans."""

from collections.abc import Sequence

from sqlalchemy import select

from ecrsim.contract.additions import adds_to
from ecrsim.core.runtime import Call
from ecrsim.ecr.repositories.tables import Repository
from tests.architecture.capability.tables import scans


@adds_to("DescribeImages", "imageScanStatus", "imageScanFindingsSummary")
def scan_members(call: Call, repository: Repository, image_ids: Sequence[int]) -> dict[int, dict[str, object]]:
    found = call.connection.execute(select(scans).where(scans.c.image_id.in_(image_ids)))
    return {
        row.image_id: {
            "imageScanStatus": {"status": row.status},
            "imageScanFindingsSummary": row.completed_at and {"imageScanCompletedAt": row.completed_at},
        }
        for row in found
    }
