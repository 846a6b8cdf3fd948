"""docs/events.md, played: its samples are what ecrsim writes, its targets can be, its receiver knows a signature."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from ecrsim import Ecrsim
from ecrsim.delivery import targets
from ecrsim.delivery.pattern import compile as compile_pattern
from ecrsim.delivery.reach import Reach
from ecrsim.delivery.webhook import signature
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
    ecr.update_image_storage_class(
        repositoryName="app", imageId={"imageDigest": image.digest}, targetStorageClass="ARCHIVE"
    )
    for number in (2, 3):
        push(ecr, "app", build_image(b"layer", config=b"{}", annotations={"number": str(number)}), f"v{number}")
    ecr.start_lifecycle_policy_preview(repositoryName="app")
    sim.advance(days=1)
    rules = [{"destinations": [{"region": "eu-west-1", "registryId": sim.runtime.config.account}]}]
    ecr.put_replication_configuration(replicationConfiguration={"rules": rules})
    push(ecr, "app", build_image(b"layer", config=b"{}", annotations={"number": "4"}), "v4")
    sim.advance(seconds=1)
    found = sim.events()
    return [
        next(event for event in found if is_wanted(event))
        for is_wanted in (
            lambda event: event["detail"].get("image-tag") == "v1",
            lambda event: event["detail"].get("action-type") == "DELETE",
            lambda event: event["detail"].get("action-type") == "UPDATE_STORAGE_CLASS",
            lambda event: event["detail-type"] == "ECR Referrer Action",
            lambda event: event["detail"].get("eventName") == "CreateRepository",
            lambda event: event["detail"].get("eventName") == "PolicyExecutionEvent",
            lambda event: event["detail-type"] == "ECR Replication Action",
        )
    ]


def plain(events):
    """Without what is another at each time, or with each boto3."""
    return json.loads(re.sub(r"Boto3/[^\"]*", "boto3", UUID.sub("uuid", json.dumps(events))))


@pytest.fixture
def sim():
    with Ecrsim(socket=False) as sim:
        yield sim


def test_the_samples_are_what_ecrsim_writes(sim):
    assert plain(play(sim)) == plain([json.loads(text) for text in BLOCKS["json"]])


def test_a_dry_run_has_the_shape_of_a_run(sim):
    *_, ran, _ = play(sim)
    [preview] = [event for event in sim.events() if event["detail"].get("eventName") == "DryRunEvent"]
    assert "DryRunEvent" in PAGE
    for part in (ran, ran["detail"], ran["detail"]["serviceEventDetails"]):
        assert part.keys() == preview.keys()
        preview = preview.get("detail") or preview.get("serviceEventDetails")


def test_every_detail_type_has_a_sample(sim):
    play(sim)
    assert {event["detail-type"] for event in sim.events()} == {
        json.loads(text)["detail-type"] for text in BLOCKS["json"]
    }


REACH = Reach(Path("/data"), Path("/data"))


@pytest.mark.parametrize("text", BLOCKS["toml"])
def test_its_targets_can_be(text):
    found = targets.read(tomllib.loads(text), REACH)
    assert len(found.targets) == 1
    assert len(text.strip().splitlines()) <= 5


def test_its_rule_lets_deletions_through(sim):
    [rule] = [rule for text in BLOCKS["toml"] for rule in targets.read(tomllib.loads(text), REACH).rules]
    chosen = [event for event in play(sim) if compile_pattern(rule.pattern).matches(event)]
    assert [event["detail"]["action-type"] for event in chosen] == ["DELETE"]


def test_its_patterns_can_be():
    patterns = re.findall(r"--pattern '([^']+)'", "".join(BLOCKS["sh"]))
    assert patterns
    for pattern in patterns:
        compile_pattern(json.loads(pattern))


def test_its_receiver_knows_a_signature():
    [text] = [text for text in BLOCKS["python"] if "hmac" in text]
    written = {}
    exec(text, written)  # noqa: S102 - the code of the page
    body = b'{"id": 1}'
    sent = signature(b"a shared secret", "1769860800", body)
    headers = {"X-Ecrsim-Timestamp": "1769860800", "X-Ecrsim-Signature": sent}
    assert written["is_genuine"](headers, body)
    assert not written["is_genuine"](headers, body + b" ")
    assert not written["is_genuine"]({**headers, "X-Ecrsim-Timestamp": "1769860801"}, body)
    assert not written["is_genuine"](headers, body, b"another secret")
