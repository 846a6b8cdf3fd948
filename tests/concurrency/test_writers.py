"""Several clients write at once, through two worker processes: each gets an answer that fits some order of them."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.concurrency.conftest import at_once
from tests.faults.client import Answer, Client, manifest_of
from tests.faults.serving import Serving
from tests.pushing import digest_of

MANY = 8
CONFIG = b'{"architecture":"amd64","os":"linux"}'


def push_image(client: Client, repository: str, layer: bytes, tag: str) -> Answer:
    for data in (CONFIG, layer):
        assert client.push_layer(repository, data).status == 201
    return client.push_manifest(repository, tag, manifest_of(CONFIG, layer))


def test_one_blob_by_many(server: Serving, client: Client, repository: str):
    data = b"the same bytes for all" * 50_000
    digest = digest_of(data)
    gate = threading.Barrier(MANY)

    def push(other: Client, number: int) -> int:
        if number % 2:
            gate.wait(30)
            return other.push_layer(repository, data).status
        location = other.registry("POST", f"{repository}/blobs/uploads/").headers["Location"]
        gate.wait(30)
        for first in range(0, len(data), 300_000):
            piece = data[first : first + 300_000]
            span = {"Content-Range": f"{first}-{first + len(piece) - 1}"}
            assert other.registry("PATCH", location, piece, span).status == 202
        return other.registry("PUT", f"{location}?digest={digest}").status

    assert at_once(server, MANY, push) == [201] * MANY
    assert client.registry("GET", f"{repository}/blobs/{digest}").body == data
    files = list((server.data_dir / "blobs").rglob(digest.partition(":")[2]))
    assert [path.stat().st_size for path in files] == [len(data)]


def test_one_blob_into_many_repositories(server: Serving):
    data = b"shared by repositories" * 1000

    def push(client: Client, number: int) -> int:
        name = f"shared-{number}"
        assert client.api("CreateRepository", repositoryName=name).status == 200
        assert client.push_layer(name, data).status == 201
        return client.registry("HEAD", f"{name}/blobs/{digest_of(data)}").status

    assert at_once(server, MANY, push) == [200] * MANY


def test_one_tag_by_many(server: Serving, client: Client, repository: str):
    gate = threading.Barrier(MANY)
    layers = [f"layer {number}".encode() for number in range(MANY)]

    def push(other: Client, number: int) -> list[int]:
        statuses = [push_image(other, repository, layers[number], f"own-{number}").status]
        gate.wait(30)
        statuses += [
            other.push_manifest(repository, "shared", manifest_of(CONFIG, layers[number])).status for _ in range(5)
        ]
        return statuses

    assert at_once(server, MANY, push) == [[201] * 6] * MANY
    details = client.api("DescribeImages", repositoryName=repository).json()["imageDetails"]
    holders = [detail["imageDigest"] for detail in details if "shared" in detail["imageTags"]]
    assert len(details) == MANY
    assert len(holders) == 1
    pulled = client.registry("GET", f"{repository}/manifests/shared")
    assert digest_of(pulled.body) == pulled.headers["Docker-Content-Digest"] == holders[0]


def test_an_immutable_tag_by_many(server: Serving, client: Client, repository: str):
    """By one; what the others are told is a row of `tests/planes/rows_tags.py`."""
    mode = {"repositoryName": repository, "imageTagMutability": "IMMUTABLE"}
    assert client.api("PutImageTagMutability", **mode).status == 200
    gate = threading.Barrier(MANY)

    def push(other: Client, number: int) -> tuple[int, str]:
        for data in (CONFIG, b"%d" % number):
            assert other.push_layer(repository, data).status == 201
        gate.wait(30)
        answer = other.push_manifest(repository, "v1", manifest_of(CONFIG, b"%d" % number))
        return answer.status, answer.code

    assert Counter(at_once(server, MANY, push)) == {(201, ""): 1, (400, "TAG_INVALID"): MANY - 1}
    # Those that were refused left nothing.
    assert len(client.api("DescribeImages", repositoryName=repository).json()["imageDetails"]) == 1


def test_one_repository_is_created_by_one(server: Serving):
    gate = threading.Barrier(MANY)

    def create(client: Client, _: int) -> str:
        gate.wait(30)
        return client.api("CreateRepository", repositoryName="contested").code

    assert Counter(at_once(server, MANY, create)) == {"": 1, "RepositoryAlreadyExistsException": MANY - 1}


def test_one_image_is_deleted_by_one(server: Serving, client: Client, repository: str):
    assert push_image(client, repository, b"to be deleted", "v1").status == 201
    reference = digest_of(manifest_of(CONFIG, b"to be deleted"))
    gate = threading.Barrier(MANY)

    def delete(other: Client, _: int) -> int:
        gate.wait(30)
        return other.registry("DELETE", f"{repository}/manifests/{reference}").status

    assert Counter(at_once(server, MANY, delete)) == {202: 1, 404: MANY - 1}


def test_one_session_takes_one_request_at_a_time(server: Serving, client: Client, repository: str):
    """The others are refused while the first is in the middle of its body, and the session is as the first left it."""
    location = client.registry("POST", f"{repository}/blobs/uploads/").headers["Location"]
    begun, finished = b"x" * (1 << 20), b"finished"
    first_has_begun, others_are_done = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield begun
        assert any(client.registry("GET", location).headers["Range"] != "0-0" for _ in range(10_000))
        first_has_begun.set()
        assert others_are_done.wait(30)
        yield finished

    def append(other: Client, number: int) -> set[int]:
        if number == 0:
            return {other.registry("PATCH", location, slowly()).status}
        assert first_has_begun.wait(30)
        headers: tuple[dict[str, str], ...] = ({}, {"Content-Range": "0-6"}, {"Content-Range": "1048576-1048582"})
        statuses = {other.registry("PATCH", location, b"between", each).status for each in headers}
        statuses.add(other.registry("PUT", f"{location}?digest={digest_of(b'between')}", b"between").status)
        if gate.wait(30) == 0:
            others_are_done.set()
        return statuses

    gate = threading.Barrier(3)
    assert at_once(server, 4, append) == [{202}, {416}, {416}, {416}]
    digest = digest_of(begun + finished)
    assert client.registry("PUT", f"{location}?digest={digest}").status == 201
    assert client.registry("GET", f"{repository}/blobs/{digest}").body == begun + finished


@pytest.mark.parametrize("chunk", range(3))
def test_one_chunk_by_many_is_taken_from_one(server: Serving, client: Client, repository: str, chunk: int):
    location = client.registry("POST", f"{repository}/blobs/uploads/").headers["Location"]
    if chunk:
        assert client.registry("PATCH", location, b"x" * chunk).status == 202
    gate = threading.Barrier(MANY)

    def append(other: Client, number: int) -> int:
        data = bytes([65 + number]) * 100_000
        gate.wait(30)
        return other.registry("PATCH", location, data, {"Content-Range": f"{chunk}-{chunk + 99_999}"}).status

    assert Counter(at_once(server, MANY, append)) == {202: 1, 416: MANY - 1}
    assert client.registry("GET", location).headers["Range"] == f"0-{chunk + 99_999}"


def test_one_session_is_finished_by_one(server: Serving, client: Client, repository: str):
    data = b"finished by one of many" * 10_000
    location = client.registry("POST", f"{repository}/blobs/uploads/").headers["Location"]
    assert client.registry("PATCH", location, data).status == 202
    gate = threading.Barrier(MANY)

    def finish(other: Client, _: int) -> int:
        gate.wait(30)
        return other.registry("PUT", f"{location}?digest={digest_of(data)}").status

    statuses = Counter(at_once(server, MANY, finish))
    assert statuses[201] == 1
    # Who comes while the first is at work is told so; who comes later finds no session.
    assert set(statuses) <= {201, 404, 416, 503}
    assert client.registry("GET", f"{repository}/blobs/{digest_of(data)}").body == data


def test_what_is_acknowledged_is_seen_through_every_connection(server: Serving, repository: str):
    """Connections are spread over the workers; none of them answers from an older state."""
    readers = [Client(server.url) for _ in range(6)]
    writer = Client(server.url)
    for number in range(20):
        layer = b"version %d" % number
        assert push_image(writer, repository, layer, "latest").status == 201
        wanted = digest_of(manifest_of(CONFIG, layer))
        for reader in readers:
            assert reader.registry("HEAD", f"{repository}/manifests/latest").headers["Docker-Content-Digest"] == wanted
            detail = reader.api("DescribeImages", repositoryName=repository, imageIds=[{"imageTag": "latest"}]).json()
            assert detail["imageDetails"][0]["imageDigest"] == wanted
    for each in (writer, *readers):
        each.close()


def test_a_reader_never_sees_half_a_change(server: Serving, repository: str):
    """While a tag moves and images come and go, a pull is whole or "not found"."""
    stop = threading.Event()

    def write(client: Client, number: int) -> None:
        for turn in range(25):
            layer = b"%d of writer %d" % (turn, number)
            assert push_image(client, repository, layer, "moving").status == 201
            reference = digest_of(manifest_of(CONFIG, layer))
            assert client.registry("DELETE", f"{repository}/manifests/{reference}").status == 202

    def read(client: Client) -> int:
        pulled = 0
        while not stop.is_set():
            answer = client.registry("GET", f"{repository}/manifests/moving")
            assert answer.status in (200, 404), answer
            if answer.status == 200:
                assert digest_of(answer.body) == answer.headers["Docker-Content-Digest"]
                pulled += 1
            listed = client.api("DescribeImages", repositoryName=repository)
            assert listed.status == 200, listed
            tags = [tag for detail in listed.json()["imageDetails"] for tag in detail.get("imageTags", [])]
            assert tags in ([], ["moving"])
        return pulled

    writers = 2

    def work(client: Client, number: int) -> int:
        if number >= writers:
            return read(client)
        try:
            write(client, number)
        finally:
            with contextlib.suppress(threading.BrokenBarrierError):
                finished.wait(60)
            stop.set()
        return 0

    finished = threading.Barrier(writers)
    assert sum(at_once(server, 4, work)) > 0


def test_writers_wait_for_each_other_and_are_never_turned_away(server: Serving):
    """Every kind of change, by many, on both planes: nobody reads that the database is locked."""

    def work(client: Client, number: int) -> Counter[int]:
        name, seen = f"busy-{number}", Counter[int]()
        seen[client.api("CreateRepository", repositoryName=name).status] += 1
        for turn in range(15):
            seen[push_image(client, name, b"%d %d" % (number, turn), "latest").status] += 1
            arn = f"arn:aws:ecr:us-east-1:000000000000:repository/{name}"
            tags = [{"Key": "turn", "Value": str(turn)}]
            seen[client.api("TagResource", resourceArn=arn, tags=tags).status] += 1
            seen[client.registry("GET", f"{name}/manifests/latest").status] += 1
            seen[client.api("BatchGetImage", repositoryName=name, imageIds=[{"imageTag": "latest"}]).status] += 1
            location = client.registry("POST", f"{name}/blobs/uploads/").headers["Location"]
            seen[client.registry("DELETE", location).status] += 1
            seen[client.api("PutAccountSetting", name="BLOB_MOUNTING", value="DISABLED").status] += 1
        seen[client.api("DeleteRepository", repositoryName=name, force=True).status] += 1
        return seen

    total = sum(at_once(server, 12, work), Counter[int]())
    assert total == {200: 12 * (2 + 4 * 15), 201: 12 * 15, 204: 12 * 15}


@pytest.mark.parametrize("way", ["DeleteRepository", "reset"])
def test_a_repository_that_goes_away_under_a_push_is_not_found(
    server: Serving, client: Client, repository: str, way: str
):
    """It comes and goes all the time; a push is whole, or told that something is not there, and nothing worse."""
    pushers, name = 4, "coming-and-going"
    finished = threading.Barrier(pushers)
    stop = threading.Event()

    seen = Counter[tuple[int, str]]()

    def note(answer: Answer) -> Answer:
        seen[answer.status, answer.code] += 1
        return answer

    def push(other: Client, number: int) -> None:
        for turn in range(60):
            layer = b"%d %d" % (number, turn)
            note(other.push_layer(name, layer))
            note(other.registry("POST", f"{name}/blobs/uploads/?mount={digest_of(CONFIG)}&from={repository}"))
            begun = note(other.registry("POST", f"{name}/blobs/uploads/"))
            if begun.status == 202:
                note(other.registry("PATCH", begun.headers["Location"], layer))
                note(other.registry("PUT", f"{begun.headers['Location']}?digest={digest_of(layer)}"))
            upload = note(other.api("InitiateLayerUpload", repositoryName=name))
            if upload.status == 200:
                place = {"repositoryName": name, "uploadId": upload.json()["uploadId"]}
                note(other.upload_part(place, 0, layer))
                note(other.api("CompleteLayerUpload", **place, layerDigests=[digest_of(layer)]))
            note(other.push_manifest(name, "latest", manifest_of(CONFIG, layer)))

    def come_and_go(other: Client) -> None:
        while not stop.is_set():
            assert other.api("CreateRepository", repositoryName=name).status == 200
            if way == "reset":
                assert other.send("POST", "/_ecrsim/reset").status == 200
            else:
                assert other.api("DeleteRepository", repositoryName=name, force=True).status == 200

    def work(other: Client, number: int) -> None:
        if number == pushers:
            come_and_go(other)
            return
        try:
            push(other, number)
        finally:
            with contextlib.suppress(threading.BrokenBarrierError):
                finished.wait(60)
            stop.set()

    assert client.api("PutAccountSetting", name="BLOB_MOUNTING", value="ENABLED").status == 200
    assert client.push_layer(repository, CONFIG).status == 201
    at_once(server, pushers + 1, work)
    codes = {code for status, code in seen if status >= 400}
    assert codes <= {
        "NAME_UNKNOWN",
        "BLOB_UPLOAD_UNKNOWN",
        "RepositoryNotFoundException",
        "UploadNotFoundException",
        "LayerAlreadyExistsException",
    }, seen
    assert {status for status, _ in seen} <= {200, 201, 202, 400, 404}, seen
