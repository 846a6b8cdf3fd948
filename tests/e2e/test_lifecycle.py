"""Sixty days of a lifecycle policy, lived by docker and the AWS command line.

The days are pushed once, in `story`; each test then looks at images that no other test changes. The clock goes on
while they run: hours lie between each limit of the policy and the moments at which something is looked at.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.e2e import images
from tests.e2e.clients import Client, clean_environ, require
from tests.e2e.receivers import Moto, settle
from tests.e2e.server import REGION, ServerProcess

NAME = "e2e/sixty-days"
#: One image a day, of these in turn: day 0 is nightly-0, day 1 release-1, … day 29 release-29.
KINDS = ("nightly", "release", "build", "base")
TAGS = tuple(f"{KINDS[day % 4]}-{day}" for day in range(30))
#: This one is pulled on day 29, and no other one of its kind ever.
PULLED = "base-3"

ARCHIVE = {"type": "transition", "targetStorageClass": "archive"}
EXPIRE = {"type": "expire"}


def rule(priority: int, prefix: str, count_type: str, number: int, action: dict[str, str]) -> dict[str, Any]:
    selection = {"tagStatus": "tagged", "tagPrefixList": [prefix], "countType": count_type, "countNumber": number}
    if count_type != "imageCountMoreThan":
        selection["countUnit"] = "days"
    return {"rulePriority": priority, "description": prefix, "selection": selection, "action": action}


POLICY = {
    "rules": [
        rule(1, "nightly-", "sinceImagePushed", 20, EXPIRE),
        rule(2, "release-", "sinceImagePushed", 45, ARCHIVE),
        rule(3, "build-", "imageCountMoreThan", 3, EXPIRE),
        rule(4, "base-", "sinceImagePulled", 40, ARCHIVE),
    ]
}
#: Put at noon of day 30, it first runs at noon of day 31: by then nightly-0, -4 and -8 are older than 20 days.
FIRST_RUN = {"nightly-0", "nightly-4", "nightly-8", "build-2", "build-6", "build-10", "build-14"}
EXPIRED = {tag for tag in TAGS if tag.startswith("nightly-")} | FIRST_RUN
#: At noon of day 61: pushed before day 16, and neither pushed nor pulled after day 21.
ARCHIVED = {"release-1", "release-5", "release-9", "release-13", "base-7", "base-11", "base-15", "base-19"}
KEPT = set(TAGS) - EXPIRED - ARCHIVED

INACCESSIBLE = "unknown: The requested image is in an inaccessible state. Please restore if needed"
NOT_FOUND = "manifest unknown: Requested image not found"
TOKEN_EXPIRED = "denied: Your authorization token has expired. Reauthenticate and try again."
COLLECTED = re.compile(r"collected (\d+) layers of repositories, (\d+) blobs \((\d+) bytes\) and 0 unfinished uploads")


class Month(NamedTuple):
    """What was seen while it was pushed; digests and files of blobs by tag."""

    digests: dict[str, str]
    blobs: dict[str, set[Path]]
    #: What a pull of the first image printed eleven hours after it was pushed, and a push thirteen hours later.
    with_login: str
    with_old_login: str
    #: When `PULLED` was pulled.
    pulled_at: datetime


class Story(NamedTuple):
    """What was seen afterwards."""

    month: Month
    preview_started: dict[str, Any]
    preview: dict[str, Any]
    after_first_run: dict[str, dict[str, Any]]
    collected_in_grace: str
    advanced: str
    collected: str
    bus: list[dict[str, Any]]


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    moto = Moto()
    yield moto
    moto.stop()


@pytest.fixture(scope="module")
def queue(moto) -> str:
    """The URL of a queue for all that reaches the bus."""
    queue = moto.queue("sixty-days")
    moto.bus("sixty-days", {"source": ["aws.ecr"]}, queue)
    return queue


@pytest.fixture(scope="module")
def server(moto, queue, tmp_path_factory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("serve")
    targets = folder / "targets.json"
    bus = {"name": "bus", "type": "eventbridge", "event_bus": "sixty-days", "endpoint_url": moto.url}
    targets.write_text(json.dumps({"targets": [bus]}))
    server = ServerProcess(folder, "--aws-delays", "--targets", str(targets))
    yield server
    assert server.stop() == 0
    assert server.log.read_text() == ""


@pytest.fixture(scope="module")
def environ(tmp_path_factory) -> dict[str, str]:
    return clean_environ(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def aws(server, environ) -> Client:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": REGION}
    options = ("--endpoint-url", server.url, "--output", "json")
    return Client((require("aws"), *options), {**environ, **keys, "AWS_PAGER": ""})


@pytest.fixture(scope="module")
def docker(docker_host, environ, server) -> Iterator[Client]:
    client = Client((require("docker"),), {**environ, "DOCKER_HOST": docker_host})
    yield client
    ours = client("image", "ls", "--quiet", f"{server.registry}/{NAME}").split()
    client.attempt("image", "rm", "--force", *ours)


@pytest.fixture(scope="module")
def ecrsim(environ) -> Client:
    return Client((sys.executable, "-m", "ecrsim"), environ)


@pytest.fixture(scope="module")
def advance(ecrsim, server) -> Callable[[str], str]:
    return lambda duration: ecrsim("advance", duration, "--port", str(server.port))


@pytest.fixture(scope="module")
def collect_garbage(ecrsim, server) -> Callable[[], str]:
    return lambda: ecrsim("gc", "--data-dir", str(server.folder / "data"))


@pytest.fixture
def docker_logged_in(docker, server) -> Client:
    log_in(docker, server)
    return docker


def log_in(docker: Client, server: ServerProcess) -> None:
    docker("login", "--username", "AWS", "--password-stdin", server.registry, stdin=server.password())


def uri(server: ServerProcess, tag: str) -> str:
    return f"{server.registry}/{NAME}:{tag}"


def pull(docker: Client, image: str) -> str:
    """Pull what is not here: the digest."""
    docker.attempt("image", "rm", "--force", image)
    return re.search(r"Digest: (sha256:[0-9a-f]{64})", docker("pull", image))[1]


def refused_pull(docker: Client, image: str) -> str:
    docker.attempt("image", "rm", "--force", image)
    return docker.refuses("pull", image)


def push_new(docker: Client, folder: Path, image: str) -> str:
    """Make an image of one layer that nobody else has, and push it: the digest."""
    layer = folder / "layer.tar"
    layer.write_bytes(images.archive({"message": image.encode()}))
    docker("import", str(layer), image)
    return re.search(r"digest: (sha256:[0-9a-f]{64})", docker("push", image))[1]


def described(aws: Client, *options: str) -> dict[str, dict[str, Any]]:
    """Image details by their only tag."""
    found = json.loads(aws("ecr", "describe-images", "--repository-name", NAME, *options))["imageDetails"]
    assert all(len(detail["imageTags"]) == 1 for detail in found)
    return {detail["imageTags"][0]: detail for detail in found}


def all_described(aws: Client) -> dict[str, dict[str, Any]]:
    return described(aws, "--filter", "imageStatus=ANY")


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def moment(epoch_seconds: float) -> datetime:
    """A time as version 1 of the AWS command line prints it."""
    return datetime.fromtimestamp(epoch_seconds, UTC)


def now_shown(advanced: str) -> datetime:
    """The first word of what `ecrsim advance` prints."""
    return datetime.fromisoformat(advanced.split(maxsplit=1)[0])


@pytest.fixture(scope="module")
def month(server, docker, aws, advance, tmp_path_factory) -> Month:
    """Thirty images, one a day, and a half day more."""
    folder = tmp_path_factory.mktemp("images")
    store = server.folder / "data" / "blobs"
    aws("ecr", "create-repository", "--repository-name", NAME)
    digests, blobs = {}, {}

    def push(tag: str) -> None:
        before = files_below(store)
        digests[tag] = push_new(docker, folder, uri(server, tag))
        blobs[tag] = files_below(store) - before

    first, *others, last = TAGS
    log_in(docker, server)
    push(first)
    advance("11h")
    with_login = docker("pull", uri(server, first))
    advance("13h")
    with_old_login = docker.refuses("push", uri(server, first))
    for tag in others:
        log_in(docker, server)
        push(tag)
        midnight = now_shown(advance("1d"))
    log_in(docker, server)
    push(last)
    pull(docker, uri(server, PULLED))
    advance("1d")
    advance("12h")
    return Month(digests, blobs, with_login, with_old_login, midnight)


@pytest.fixture(scope="module")
def story(month, server, aws, advance, collect_garbage, moto, queue, tmp_path_factory) -> Story:
    text = tmp_path_factory.mktemp("policy") / "policy.json"
    text.write_text(json.dumps(POLICY))
    of = ("--repository-name", NAME)
    aws("ecr", "put-lifecycle-policy", *of, "--lifecycle-policy-text", f"file://{text}")
    started = json.loads(aws("ecr", "start-lifecycle-policy-preview", *of))
    advance("10s")
    preview = json.loads(aws("ecr", "get-lifecycle-policy-preview", *of))
    advance("1d")
    after_first_run, collected_in_grace = all_described(aws), collect_garbage()
    advanced, collected = advance("30d"), collect_garbage()
    settle(server.url)
    bus = [json.loads(message["Body"]) for message in moto.read(queue)]
    return Story(month, started, preview, after_first_run, collected_in_grace, advanced, collected, bus)


def test_a_login_ends_after_twelve_hours(story):
    assert f"Digest: {story.month.digests[TAGS[0]]}" in story.month.with_login
    assert TOKEN_EXPIRED in story.month.with_old_login


def test_the_preview_says_what_the_first_run_does(story):
    assert story.preview_started["status"] == "IN_PROGRESS"
    assert json.loads(story.preview_started["lifecyclePolicyText"]) == POLICY
    assert story.preview["status"] == "COMPLETE"
    results = {result["imageTags"][0]: result for result in story.preview["previewResults"]}
    assert {tag: result["appliedRulePriority"] for tag, result in results.items()} == {
        tag: 1 if tag.startswith("nightly-") else 3 for tag in FIRST_RUN
    }
    assert {result["action"]["type"] for result in results.values()} == {"EXPIRE"}
    assert {tag: result["imageDigest"] for tag, result in results.items()} == {
        tag: story.month.digests[tag] for tag in FIRST_RUN
    }
    assert story.preview["summary"]["expiringImageTotalCount"] == len(FIRST_RUN)
    assert set(TAGS) - story.after_first_run.keys() == FIRST_RUN
    assert {detail["imageStatus"] for detail in story.after_first_run.values()} == {"ACTIVE"}


def test_thirty_days_are_thirty_runs(story, aws):
    runs = [line for line in story.advanced.splitlines() if "evaluate-lifecycle-policy" in line]
    assert sum(int(line.partition(" × ")[0]) if " × " in line else 1 for line in runs) == 30  # noqa: RUF001 - times
    assert not any("failed" in line for line in runs)
    policy = json.loads(aws("ecr", "get-lifecycle-policy", "--repository-name", NAME))
    assert json.loads(policy["lifecyclePolicyText"]) == POLICY
    evaluated = moment(policy["lastEvaluatedAt"])
    assert timedelta(0) <= now_shown(story.advanced) - evaluated < timedelta(days=1)


def test_expired_images_are_gone(story, aws, docker_logged_in, server):
    assert all_described(aws).keys() == set(TAGS) - EXPIRED
    # Of images that docker never pulled: of one that it did, it may have kept the manifest.
    for tag in ("nightly-28", "build-14"):
        assert NOT_FOUND in refused_pull(docker_logged_in, uri(server, tag))
        by_digest = f"{server.registry}/{NAME}@{story.month.digests[tag]}"
        assert NOT_FOUND in docker_logged_in.refuses("pull", by_digest)


def test_layers_of_expired_images_are_freed_after_the_grace_period(story):
    assert all(len(files) == 2 for files in story.month.blobs.values())  # a layer and a configuration
    assert COLLECTED.match(story.collected_in_grace).groups() == ("0", "0", "0")
    freed = {file for tag in EXPIRED for file in story.month.blobs[tag]}
    layers, blobs, _ = map(int, COLLECTED.match(story.collected).groups())
    assert (layers, blobs) == (len(freed), len(freed))
    assert {file for files in story.month.blobs.values() for file in files if not file.exists()} == freed


def test_the_bus_hears_of_all_that_the_policy_did(story):
    tags = {digest: tag for tag, digest in story.month.digests.items()}
    done = [
        (detail["action-type"], tags[detail["image-digest"]])
        for detail in (event["detail"] for event in story.bus if event["detail-type"] == "ECR Image Action")
    ]
    assert done[: len(TAGS)] == [("PUSH", tag) for tag in TAGS]
    assert sorted(done[len(TAGS) :]) == sorted(
        [("DELETE", tag) for tag in EXPIRED] + [("UPDATE_STORAGE_CLASS", tag) for tag in ARCHIVED]
    )
    runs = [event["detail"] for event in story.bus if event["detail"].get("eventName") == "PolicyExecutionEvent"]
    actions = [action for run in runs for action in run["serviceEventDetails"]["lifecycleEventImageActions"]]
    by_rule = sorted((action["rulePriority"], *action["lifecycleEventImage"]["tagList"]) for action in actions)
    priorities = {kind: number for number, kind in enumerate(KINDS, 1)}
    assert by_rule == sorted((priorities[tag.partition("-")[0]], tag) for tag in EXPIRED | ARCHIVED)
    times = [event["time"] for event in story.bus]
    assert times == sorted(times)


def test_kept_images_are_pulled(story, aws, docker_logged_in, server):
    active = described(aws)
    assert active.keys() >= KEPT
    for tag in KEPT:
        assert active[tag]["imageStatus"] == "ACTIVE"
        assert pull(docker_logged_in, uri(server, tag)) == story.month.digests[tag]


def test_a_pull_keeps_an_image_from_being_archived(story):
    pulled = story.after_first_run[PULLED]
    assert abs(moment(pulled["lastRecordedPullTime"]) - story.month.pulled_at) < timedelta(hours=1)
    others = {tag: detail for tag, detail in story.after_first_run.items() if tag.startswith("base-")}
    assert [tag for tag, detail in others.items() if "lastRecordedPullTime" in detail] == [PULLED]
    assert PULLED in KEPT
    assert "base-7" in ARCHIVED  # pushed later, and never pulled


def test_an_archived_image_is_pulled_after_it_was_restored(story, aws, docker_logged_in, server, advance):
    tag = "release-1"
    archived = described(aws, "--image-ids", f"imageTag={tag}")[tag]
    assert (archived["imageStatus"], archived["imageDigest"]) == ("ARCHIVED", story.month.digests[tag])
    lived = moment(archived["lastArchivedAt"]) - moment(archived["imagePushedAt"])
    assert timedelta(days=45) < lived < timedelta(days=46)
    assert INACCESSIBLE in refused_pull(docker_logged_in, uri(server, tag))

    order = ("ecr", "update-image-storage-class", "--repository-name", NAME, "--image-id", f"imageTag={tag}")
    ordered = json.loads(aws(*order, "--target-storage-class", "STANDARD"))
    assert ordered["imageStatus"] == "ACTIVATING"
    assert INACCESSIBLE in docker_logged_in.refuses("pull", uri(server, tag))
    assert "complete-restore" in advance("10m")

    assert docker_logged_in.attempt("image", "inspect", uri(server, tag)).status != 0
    assert pull(docker_logged_in, uri(server, tag)) == story.month.digests[tag]
    restored = described(aws, "--image-ids", f"imageTag={tag}")[tag]
    assert restored["imageStatus"] == "ACTIVE"
    assert restored["lastArchivedAt"] < restored["lastActivatedAt"]


def test_a_push_restores_an_archived_image_at_once(story, aws, docker_logged_in, server):
    tag = "release-5"
    assert described(aws, "--image-ids", f"imageTag={tag}")[tag]["imageStatus"] == "ARCHIVED"
    # docker still has it, as it was pushed.
    assert f"digest: {story.month.digests[tag]}" in docker_logged_in("push", uri(server, tag))
    assert described(aws, "--image-ids", f"imageTag={tag}")[tag]["imageStatus"] == "ACTIVE"
    assert pull(docker_logged_in, uri(server, tag)) == story.month.digests[tag]


def test_archived_images_are_hidden_and_refused(story, aws, docker_logged_in, server):
    assert all_described(aws).keys() - KEPT == ARCHIVED
    # Two of them are restored by other tests.
    hidden = ARCHIVED - {"release-1", "release-5"}
    assert not hidden & described(aws).keys()
    assert hidden <= described(aws, "--filter", "imageStatus=ARCHIVED").keys()
    for tag in ("release-13", "base-7"):
        assert INACCESSIBLE in refused_pull(docker_logged_in, uri(server, tag))
