"""docs/events.md, played: its samples are what ecrsim writes, its targets can be, its receiver knows a signature."""

import json
import re
import tomllib

import pytest

from ecrsim import Ecrsim
from ecrsim.delivery import targets
from ecrsim.delivery.pattern import compile as compile_pattern
from ecrsim.testing import build_image
from tests.documents.markdown import ROOT, blocks
from tests.pushing import OCI_MANIFEST, create, push

PAGE = (ROOT / "docs/events.md").read_text("utf-8")
BLOCKS = {
    language: [block.text for block in blocks(language) if block.document == "docs/events.md"]
    for language in ("json", "toml", "python", "sh")
}
POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {
                "tagStatus": "tagged",
                "tagPatternList": ["v*"],
                "countType": "imageCountMoreThan",
                "countNumber": 1,
            },
            "action": {"type": "expire"},
        }
    ]
}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def play(sim):
    """One event of each type, in the order of the page."""
    sim.freeze("2026-01-31T12:00:00Z")
    ecr = sim.client()
    create(ecr)
    image = build_image(b"layer", config=b"{}")
    push(ecr, "app", image, "v1")
    signature = build_image(
        b"signature",
        config=b"{}",
        artifactType="application/vnd.cncf.notary.signature",
        subject={"mediaType": OCI_MANIFEST, "digest": image.digest, "size": len(image.manifest)},
    )
    push(ecr, "app", signature)
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=json.dumps(POLICY))
    ecr.start_lifecycle_policy_preview(repositoryName="app")
    ecr.update_image_storage_class(
        repositoryName="app", imageId={"imageDigest": image.digest}, targetStorageClass="ARCHIVE"
    )
    for number in (2, 3):
        push(ecr, "app", build_image(b"layer", config=b"{}", annotations={"number": str(number)}), f"v{number}")
    sim.advance(days=1)
    found = sim.events()
    return [
        next(event for event in found if is_wanted(event))
        for is_wanted in (
            lambda event: event["detail"].get("image-tag") == "v1",
            lambda event: event["detail"].get("action-type") == "DELETE",
            lambda event: event["detail"].get("action-type") == "UPDATE_STORAGE_CLASS",
            lambda event: event["detail-type"] == "ECR Referrer Action",
            lambda event: event["detail"].get("eventName") == "PutImage",
            lambda event: event["detail"].get("eventName") == "PolicyExecutionEvent",
        )
    ]


def plain(events):
    """Without what is another at each time."""
    return json.loads(UUID.sub("uuid", json.dumps(events)))


@pytest.fixture
def sim():
    with Ecrsim(socket=False) as sim:
        yield sim


if __name__ == "__main__":
    with Ecrsim(socket=False) as made:
        for each in play(made):
            print(json.dumps(each, indent=2))
