"""Events of docker and the AWS command line arrive, though ecrsim is stopped and killed in between.

Nothing is lost and no repository's order is broken at any target: a file, a bus of EventBridge (moto) whose rule fills
a queue, a FIFO queue of SQS, and a webhook that refuses connections, then fails, then stops in the middle.
"""

import contextlib
import json
import os
import signal
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from tests.e2e import images
from tests.e2e.clients import Client, clean_environ, require
from tests.e2e.receivers import Envelope, Follower, Moto, Webhook, durations_of, settle
from tests.e2e.server import REGION, ServerProcess

APP, WEB = "e2e/app", "e2e/web"
#: The image that is pushed, again and again, as docker knows it.
LOCAL = "e2e/delivered:local"
SECRET = "shared with the webhook"
IMAGE_ACTION, API_CALL = "ECR Image Action", "AWS API Call via CloudTrail"
#: The webhook answers so many events of the backlog, and holds the next one until ecrsim is killed.
TAKEN_BEFORE_KILL = 7

TARGETS = """
[[targets]]
name = "log"
type = "file"
path = "{log}"

[[targets]]
name = "hook"
type = "webhook"
url = "{hook}"
secret = "{secret}"

[[targets]]
name = "bus"
type = "eventbridge"
event_bus = "registry"
endpoint_url = "{moto}"

[[targets]]
name = "queue"
type = "sqs"
queue_url = "{queue}"

[[rules]]
name = "image-actions"
targets = ["hook"]
pattern = {{ detail-type = ["ECR Image Action"] }}

[[rules]]
name = "deletions"
targets = ["hook"]
pattern = {{ detail = {{ eventName = [{{ prefix = "Delete" }}, "BatchDeleteImage"] }} }}

[[rules]]
name = "pushes-of-app"
targets = ["queue"]
pattern = {{ source = ["aws.ecr"], detail = {{ action-type = ["PUSH"], repository-name = [{{ suffix = "/app" }}] }} }}
"""
#: What the bus hands on to its queue: everything about one repository, by either name of it.
BUS_PATTERN = {"source": ["aws.ecr"], "detail-type": [IMAGE_ACTION], "detail": {"repository-name": [WEB]}}


class Story(NamedTuple):
    """What happened, and what arrived where. `events` is the outbox in its order."""

    pushed: list[tuple[str, str]]
    events: list[Envelope]
    followed: list[Envelope]
    follower_status: int
    log: list[Envelope]
    hook: Webhook
    queue: list[dict[str, Any]]
    bus: list[Envelope]
    targets: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def environ(tmp_path_factory) -> dict[str, str]:
    return clean_environ(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    moto = Moto()
    yield moto
    moto.stop()


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    hook = Webhook(status=500)
    yield hook
    hook.close()


@pytest.fixture(scope="module")
def docker(docker_host, environ) -> Iterator[Client]:
    client = Client((require("docker"),), {**environ, "DOCKER_HOST": docker_host})
    yield client
    # By its id, and so under all its names.
    client.attempt("image", "rm", "--force", *client("image", "ls", "--quiet", LOCAL).split())


class Machine:
    """One data directory, and the server that runs over it: always on the same port."""

    def __init__(self, folder: Path, targets: Path, environ: dict[str, str], docker: Client) -> None:
        self._folder = folder
        self._tags = count(1)
        self.docker = docker
        self.pushed: list[tuple[str, str]] = []
        self.server = ServerProcess(folder, "--workers", "2", "--targets", str(targets), ECRSIM_TARGET_DIR=str(folder))
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": REGION}
        self.aws = Client((require("aws"), "--endpoint-url", self.server.url), {**environ, **keys, "AWS_PAGER": ""})
        self._targets = targets
        layer = folder / "layer.tar"
        layer.write_bytes(images.archive({"message": str(folder).encode()}))
        docker("import", str(layer), LOCAL)
        password = self.server.password()
        docker("login", "--username", "AWS", "--password-stdin", self.server.registry, stdin=password)

    def restart(self) -> None:
        """The setting comes by its variable this time; what the file says has not changed."""
        self.server = ServerProcess(
            self._folder,
            "--workers",
            "2",
            port=self.server.port,
            ECRSIM_TARGETS=str(self._targets),
            ECRSIM_TARGET_DIR=str(self._folder),
        )

    def kill(self) -> None:
        """`kill -9` of every process of it."""
        os.killpg(self.server.process.pid, signal.SIGKILL)
        self.server.kill()

    def push(self, *repositories: str) -> None:
        """A new tag in each of these."""
        for repository in repositories:
            tag = str(next(self._tags))
            uri = f"{self.server.registry}/{repository}:{tag}"
            self.docker("tag", LOCAL, uri)
            self.docker("push", uri)
            self.pushed.append((repository, tag))

    def delete(self, repository: str, *tags: str) -> None:
        identifiers = [f"imageTag={tag}" for tag in tags]
        self.aws("ecr", "batch-delete-image", "--repository-name", repository, "--image-ids", *identifiers)


def states(server: ServerProcess) -> dict[str, dict[str, Any]]:
    answer = requests.get(f"{server.url}/_ecrsim/targets", timeout=30).json()
    return {target["name"]: target for target in answer["targets"]}


def outbox(server: ServerProcess) -> list[Envelope]:
    answer = requests.get(f"{server.url}/_ecrsim/events", params={"after": 0, "limit": 1000}, timeout=30).json()
    sequences = [entry["sequence"] for entry in answer["events"]]
    assert sequences == sorted(set(sequences))
    return [entry["event"] for entry in answer["events"]]


@pytest.fixture(scope="module")
def story(docker, hook, moto, environ, tmp_path_factory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("served")
    queue, bus_queue = moto.queue("pushes.fifo"), moto.queue("bus")
    moto.bus("registry", BUS_PATTERN, bus_queue)
    places = {"log": folder / "events.jsonl", "hook": hook.url, "moto": moto.url, "queue": queue, "secret": SECRET}
    file = folder / "targets.toml"
    file.write_text(TARGETS.format(**places))
    machine = Machine(folder, file, environ, docker)
    follower = Follower(machine.server.port, environ, "--after", "0", "--json")
    try:
        live(machine, hook)
        settle(machine.server.url)
        events = outbox(machine.server)
        followed = [json.loads(line) for line in follower.lines(len(events))]
        yield Story(
            machine.pushed,
            events,
            followed,
            follower.stop(),
            [json.loads(line) for line in places["log"].read_text().splitlines()],
            hook,
            moto.read(queue),
            [json.loads(message["Body"]) for message in moto.read(bus_queue)],
            states(machine.server),
        )
        assert machine.server.stop() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            machine.kill()
        follower.process.kill()


def live(machine: Machine, hook: Webhook) -> None:
    """What happens to the machine and its webhook."""
    for repository in (APP, WEB):
        machine.aws("ecr", "create-repository", "--repository-name", repository)
    machine.push(APP, WEB, APP, WEB)  # connections are refused
    hook.open()
    hook.wait_for(lambda: len(hook.asked) >= 2)  # 500, twice
    machine.push(WEB, APP)
    assert machine.server.stop() == 0
    machine.restart()
    machine.push(APP, WEB, APP)
    machine.delete(WEB, "2", "4")
    machine.aws("ecr", "put-image-tag-mutability", "--repository-name", APP, "--image-tag-mutability", "IMMUTABLE")
    assert not hook.taken

    hook.status, hook.hold = 204, TAKEN_BEFORE_KILL
    hook.wait_for(lambda: hook.held is not None)
    machine.push(WEB)
    machine.kill()
    hook.let_go()
    machine.restart()
    machine.push(WEB, APP, WEB)
    machine.delete(WEB, "5")
    machine.aws("ecr", "delete-repository", "--repository-name", WEB, "--force")


def details(envelopes: Sequence[Envelope]) -> list[str]:
    """What the events say, in texts to compare: a bus gives each its own id, and time in seconds."""
    return [json.dumps(envelope["detail"], sort_keys=True) for envelope in envelopes]


def without_repeats(envelopes: Sequence[Envelope]) -> list[Envelope]:
    """Each event where it came first: what arrives at least once may come again after a crash."""
    return list({envelope["id"]: envelope for envelope in envelopes}.values())


def repository_of(envelope: Envelope) -> str:
    detail = envelope["detail"]
    return str(detail.get("repository-name") or detail["requestParameters"]["repositoryName"])


def assert_delivered(arrived: Sequence[Envelope], expected: Sequence[Envelope]) -> None:
    """Every one, each as it is in the outbox, and those of each repository in the order of the outbox."""
    by_id = {envelope["id"]: envelope for envelope in arrived}
    assert by_id == {envelope["id"]: envelope for envelope in expected}
    for repository in (APP, WEB):
        came = [envelope["id"] for envelope in without_repeats(arrived) if repository_of(envelope) == repository]
        assert came == [envelope["id"] for envelope in expected if repository_of(envelope) == repository]


def is_image_action(envelope: Envelope) -> bool:
    return bool(envelope["detail-type"] == IMAGE_ACTION)


def is_push(envelope: Envelope) -> bool:
    return is_image_action(envelope) and envelope["detail"]["action-type"] == "PUSH"


def test_every_push_is_an_event(story):
    pushes = [envelope["detail"] for envelope in story.events if is_push(envelope)]
    assert [(detail["repository-name"], detail["image-tag"]) for detail in pushes] == story.pushed
    calls = [envelope["detail"]["eventName"] for envelope in story.events if envelope["detail-type"] == API_CALL]
    assert calls.count("PutImage") == len(story.pushed)
    ordered = ("CreateRepository", "CreateRepository", "BatchDeleteImage", "PutImageTagMutability", "BatchDeleteImage")
    assert [name for name in calls if name in {*ordered, "DeleteRepository"}] == [*ordered, "DeleteRepository"]


def test_the_file_gets_everything(story):
    assert_delivered(story.log, story.events)


def test_the_webhook_gets_what_its_rules_choose(story):
    deletions = ("BatchDeleteImage", "DeleteRepository")
    expected = [event for event in story.events if is_image_action(event) or event["detail"]["eventName"] in deletions]
    assert len(expected) < len(story.events)
    assert_delivered([request.envelope for request in story.hook.taken], expected)


def test_the_webhook_gets_again_what_it_did_not_confirm(story):
    assert len(story.hook.asked) - len(story.hook.taken) >= 3  # answered with 500, twice, or not before the kill
    held = story.hook.held
    assert [request.envelope for request in story.hook.asked].count(held.envelope) >= 2
    taken = [request.envelope for request in story.hook.taken]
    assert taken.count(held.envelope) >= 1
    assert len(without_repeats(taken[: taken.index(held.envelope)])) >= TAKEN_BEFORE_KILL


def test_what_reaches_the_webhook_is_signed(story):
    for request in story.hook.asked:
        assert request.is_signed_with(SECRET)
        assert not request.is_signed_with("another secret")
        assert request.headers["x-ecrsim-delivery"] == request.envelope["id"]
        assert request.headers["x-ecrsim-event"] == request.envelope["detail-type"]


def test_the_queue_gets_each_push_of_app_once(story):
    expected = [event for event in story.events if is_push(event) and repository_of(event) == APP]
    assert [json.loads(message["Body"]) for message in story.queue] == expected
    groups = {message["Attributes"]["MessageGroupId"] for message in story.queue}
    assert len(groups) == 1


def test_the_bus_hands_on_what_its_own_rule_chooses(story):
    expected = details([event for event in story.events if is_image_action(event) and repository_of(event) == WEB])
    assert {envelope["source"] for envelope in story.bus} == {"aws.ecr"}
    assert list(dict.fromkeys(details(story.bus))) == expected
    assert len(set(expected)) == len(expected)


def test_no_target_has_anything_left(story):
    assert story.targets.keys() == {"log", "hook", "bus", "queue"}
    for target in story.targets.values():
        assert (target["pending"], target["attempts"], target["error"], target["leftOut"]) == (0, 0, None, 0)
    assert SECRET not in json.dumps(story.targets)


def test_a_follower_sees_each_event_once(story):
    assert story.followed == story.events
    assert story.follower_status == 0


class DeadEnds(NamedTuple):
    """Ports of 127.0.0.1 behind which nobody is: connections are refused, or taken by the kernel and never answered."""

    refusing: socket.socket
    silent: socket.socket

    def targets(self) -> list[dict[str, str]]:
        """One of each kind for each end, and a file that cannot be."""
        refusing, silent = (f"http://127.0.0.1:{end.getsockname()[1]}" for end in self)
        return [
            {"name": "refusing-hook", "type": "webhook", "url": f"{refusing}/hook"},
            {"name": "silent-hook", "type": "webhook", "url": f"{silent}/hook"},
            {"name": "refusing-bus", "type": "eventbridge", "endpoint_url": refusing},
            {"name": "silent-bus", "type": "eventbridge", "endpoint_url": silent},
            {"name": "refusing-queue", "type": "sqs", "queue_url": f"{refusing}/000000000000/queue"},
            {"name": "silent-queue", "type": "sqs", "queue_url": f"{silent}/000000000000/queue"},
            {"name": "refusing-file", "type": "file", "path": "missing/events.jsonl"},
        ]

    def wait_for_connections(self, number: int) -> None:
        """Until so many have come to the silent end; TimeoutError when they do not."""
        self.silent.settimeout(30)
        for _ in range(number):
            self.silent.accept()[0].close()


@pytest.fixture
def dead_ends() -> Iterator[DeadEnds]:
    ends = DeadEnds(socket.socket(), socket.socket())
    for end in ends:
        end.bind(("127.0.0.1", 0))
    ends.silent.listen(64)
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def small_server(tmp_path) -> Iterator[ServerProcess]:
    server = ServerProcess(tmp_path / "served")
    yield server
    server.kill()


def put_targets(server: ServerProcess, *targets: dict[str, str]) -> None:
    answer = requests.put(f"{server.url}/_ecrsim/targets", json={"targets": targets}, timeout=30)
    assert answer.json() == {"targets": len(targets), "rules": 0}, answer.text


def wait_for_errors(server: ServerProcess, prefix: str) -> dict[str, str]:
    """What the targets of these names failed with, once all of them have failed."""
    deadline, pause = time.monotonic() + 30, threading.Event()
    while True:
        errors = {name: state["error"] for name, state in states(server).items() if name.startswith(prefix)}
        if all(errors.values()):
            return errors
        assert time.monotonic() < deadline, errors
        pause.wait(0.05)


def test_dead_targets_slow_no_call(small_server, dead_ends):
    """The medians of calls that write: where every event goes to a file, and where seven dead targets wait besides."""
    ecr, numbers = small_server.client(), count()
    alive = {"name": "log", "type": "file", "path": "events.jsonl"}
    dead = dead_ends.targets()

    def create() -> None:
        ecr.create_repository(repositoryName=f"r{next(numbers)}")

    durations_of(create, 10)
    without, beside = [], []
    for _ in range(8):
        put_targets(small_server, alive)
        without += durations_of(create, 15)
        put_targets(small_server, alive, *dead)
        beside += durations_of(create, 15)
    assert len(wait_for_errors(small_server, "refusing-")) == 4
    dead_ends.wait_for_connections(3)
    found = states(small_server)
    assert {name: state["pending"] for name, state in found.items() if name != "log"} == dict.fromkeys(
        (target["name"] for target in dead), 15
    )
    # A call that waited for one of them would take a hundred times as long.
    assert statistics.median(beside) < 3 * statistics.median(without), (beside, without)


def test_the_living_target_gets_on_beside_dead_ones(small_server, dead_ends):
    alive = {"name": "log", "type": "file", "path": "events.jsonl"}
    put_targets(small_server, *dead_ends.targets(), alive)
    for number in range(5):
        small_server.client().create_repository(repositoryName=f"r{number}")
    wait_for_errors(small_server, "refusing-")
    lines = (small_server.folder / "data" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == outbox(small_server)
    assert len(lines) == 5
