"""An ecrsim under test: sends to it, judges its answers, and keeps the book of what it acknowledged."""

from __future__ import annotations

import functools
import json
import random
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from ecrsim import Ecrsim
from ecrsim.config import with_values
from ecrsim.contract.operations import missing
from ecrsim.testing import Response, call_application
from tests.api import post
from tests.fuzz.requests import Requests, Sent
from tests.fuzz.values import LAYERS, Known
from tests.pushing import create, digest_of, listed, numbered, push, push_layer

#: An account that no request of the fuzzer is signed by: whatever is done, it keeps what it has.
KEPT = "222222222222"
#: Seconds after which an answer will not come any more, and bytes that one request may add to the process.
PATIENCE = 30
MOST_MEMORY = 256 << 20
#: The registry's own answers, one set of settings for each kind of server that people run.
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {"strict_ecr": True},
    {"auth": "strict"},
    {"create_on_push": True, "blob_redirect": True, "quota_layer_part_min": 1},
)
#: Which of them a round has; where signatures are checked, most requests come no further.
ORDER = (0, 1, 0, 3, 0, 2, 1, 3)
#: What the front end answers for any operation.
PROTOCOL = {"SerializationException", "AccessDeniedException"}
UNBUILT = {name: frozenset(missing(name)) for name in ("ecr", "ecr-public")}


class Finding(AssertionError):
    """An answer that must not be."""


STACK = ExitStack()


@functools.cache
def _sim(number: int) -> Ecrsim:
    return STACK.enter_context(Ecrsim(socket=False, clock="frozen@2026-03-01T00:00:00Z", **SETTINGS[number]))


class World:
    """A round: an empty ecrsim with two images of two accounts, and what is known of it."""

    def __init__(self, seed: int, number: int) -> None:
        self.chance = random.Random(f"{seed}/{number}")  # noqa: S311 - the same work for the same seed
        self.sim = _sim(ORDER[number % len(ORDER)])
        self.sim.reset()
        self.known = Known()
        self.book: dict[str, dict[str, bytes]] = {}
        with self._open():
            self.ecr = self.sim.client("ecr")
            self.public = self.sim.client("ecr-public")
            self.kept = self.sim.client("ecr", account=KEPT)
            for repository in self.known.repositories:
                create(self.ecr, repository)
            for client in (self.ecr, self.kept):
                if client is self.kept:
                    create(client, "app")
                push(client, "app", numbered(1), "v1", "latest")
            for data in LAYERS:
                if data:  # an empty layer is refused
                    push_layer(self.ecr, "app", data)
            create(self.public, "app")
            (registry,) = self.public.describe_registries()["registries"]
            #: What a public repository is called on the registry, where no host name tells the registries apart.
            self.gallery = f"public/{registry['aliases'][0]['name']}"
            self.kept_before = self._kept_state()
            token = self.ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
            self.known.downloads.append(self._download_url())
        self.token = token
        self.requests = Requests(self.chance, self.known, token, self.gallery)
        self._note("app", numbered(1).digest, numbered(1).manifest)

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Without signatures and policies, for what the fuzzer asks on its own behalf."""
        config = self.sim.runtime.config
        self.sim.runtime.config = with_values(config, auth="open")
        try:
            yield
        finally:
            self.sim.runtime.config = config

    def _download_url(self) -> str:
        digest = next(iter(numbered(1).blobs))
        url = self.ecr.get_download_url_for_layer(repositoryName="app", layerDigest=digest)["downloadUrl"]
        return "/" + str(url).split("/", 3)[3]

    # Sending and judging

    def step(self) -> Sent:
        sent = self.requests.next()
        before = _peak()
        answer = self._send(sent)
        if _peak() - before > MOST_MEMORY:
            raise Finding(f"the request took {(_peak() - before) >> 20} MiB\n{sent}")
        try:
            self._judge(sent, answer)
            with self._open():
                self._follow(sent, answer)
        except Finding as finding:
            raise Finding(f"{finding}\n{sent}\n-> {answer.status} {answer.headers}\n{answer.body[:2_000]!r}") from None
        return sent

    def _send(self, sent: Sent) -> Response:
        with _watched(sent):
            url = f"http://localhost:5100{sent.path}"
            return call_application(self.sim.app, sent.method, url, sent.headers, sent.body)

    def _judge(self, sent: Sent, answer: Response) -> None:
        is_unbuilt = sent.operation is not None and sent.operation.name in UNBUILT[sent.operation.service]
        if answer.status >= 500 and not (answer.status == 501 and is_unbuilt):
            raise Finding("an error of the server")
        length = answer.headers.get("Content-Length")
        if sent.method != "HEAD" and length is not None and int(length) != len(answer.body):
            raise Finding("Content-Length is not the length of the body")
        if sent.method == "HEAD" and answer.body:
            raise Finding("the answer to a HEAD has a body")
        kind = answer.headers.get("Content-Type", "")
        if "json" in kind and answer.body and sent.method != "HEAD":
            self._judge_json(sent, answer)
        if "xml" in kind and answer.body:
            ElementTree.fromstring(answer.body)  # noqa: S314 - it comes from the server under test

    def _judge_json(self, sent: Sent, answer: Response) -> None:
        try:
            document = json.loads(answer.body)
        except ValueError:
            # A layer or a manifest may call itself JSON and be none.
            if answer.status < 400 and sent.kind in ("registry", "nonsense"):
                return
            raise Finding("the answer is no JSON") from None
        if answer.status < 400:
            return
        if sent.kind == "registry":
            for error in document["errors"]:
                if not error["code"] or "message" not in error:
                    raise Finding("the error says nothing")
        if sent.kind == "api" and not document.get("message"):
            raise Finding("the error says nothing")
        if sent.operation is None or not sent.is_plain or answer.status != 400:
            return
        # Where signatures are checked, each operation answers that this one is wrong.
        declared = {*sent.operation.errors, *PROTOCOL}
        if self.sim.runtime.config.auth == "open" and document["__type"] not in declared:
            raise Finding("the operation does not declare this error")

    # The book

    def _follow(self, sent: Sent, answer: Response) -> None:
        """Learn the names in an answer, and see whether what was acknowledged can be read again."""
        if sent.kind == "registry" and answer.status < 300:
            self._follow_registry(sent, answer)
        elif sent.kind == "api" and sent.operation is not None and answer.status == 200:
            found = json.loads(answer.body)
            is_public = sent.operation.service == "ecr-public"
            self._follow_loss(sent.operation.name, found, is_public)
            if sent.is_plain:
                self._follow_api(sent.operation.name, json.loads(sent.body), found, is_public)

    def _follow_registry(self, sent: Sent, answer: Response) -> None:
        path = unquote(sent.path.partition("?")[0])
        name, _, reference = path.removeprefix("/v2/").partition("/manifests/")
        upload = answer.headers.get("Docker-Upload-UUID")
        if upload:
            self.known.add(self.known.uploads, upload)
        if sent.method == "DELETE" and reference:
            self._forget(name, reference)
        if "Host" in sent.headers or name[:12].isdigit():  # of another registry
            return
        if sent.method == "PUT" and reference and answer.status == 201:
            digest = answer.headers["Docker-Content-Digest"]
            self._note(name, digest, sent.body)
            self.check_image(name, digest)
            if ":" not in reference:
                self.known.add(self.known.tags, reference)
                self._same(self._read(name, reference), sent.body, f"tag {reference}")
        elif answer.status == 201 and "/blobs/" in path and "Docker-Content-Digest" in answer.headers:
            digest = answer.headers["Docker-Content-Digest"]
            self.known.add(self.known.digests, digest)
            found = self._ask("HEAD", f"/v2/{name.partition('/blobs/')[0]}/blobs/{digest}")
            if found.status not in (200, 307):
                raise Finding(f"the layer was acknowledged, and then: {found}")

    def _follow_loss(self, operation: str, answer: Any, is_public: bool) -> None:
        """What was deleted or archived on purpose. By the answer alone: the request may have been damaged."""
        if operation == "DeleteRepository":
            self.book.pop(self._path_of(answer["repository"]["repositoryName"], is_public), None)
        elif operation in ("BatchDeleteImage", "UpdateImageStorageClass"):
            for image_id in answer["imageIds"] if "imageIds" in answer else [answer["imageId"]]:
                for repository in list(self.book):
                    if repository.startswith(f"{self.gallery}/") == is_public:
                        self._forget(repository, image_id.get("imageDigest") or image_id["imageTag"])

    def _path_of(self, repository: str, is_public: bool) -> str:
        return f"{self.gallery}/{repository}" if is_public else repository

    def _follow_api(self, operation: str, members: Any, answer: Any, is_public: bool) -> None:
        client = self.public if is_public else self.ecr
        name = str(members.get("repositoryName")) if isinstance(members, dict) else ""
        if operation == "CreateRepository":
            name = answer["repository"]["repositoryName"]
            self.known.add(self.known.repositories, name)
            client.describe_repositories(repositoryNames=[name])
        elif operation == "PutImage":
            digest = answer["image"]["imageId"]["imageDigest"]
            path = self._path_of(name, is_public)
            self._note(path, digest, members["imageManifest"].encode())
            self.check_image(path, digest)
        elif operation == "InitiateLayerUpload":
            self.known.add(self.known.uploads, answer["uploadId"])
        elif operation == "CompleteLayerUpload":
            found = client.batch_check_layer_availability(repositoryName=name, layerDigests=[answer["layerDigest"]])
            if found["layers"][0]["layerAvailability"] != "AVAILABLE":
                raise Finding(f"the layer was acknowledged, and then: {found}")
        elif operation in _READ_BACK:
            self._read_back(client.meta.service_model.service_name, operation, members, answer)
        if isinstance(answer, dict) and isinstance(answer.get("nextToken"), str):
            self.known.add(self.known.next_tokens, answer["nextToken"])

    def _read_back(self, service: str, operation: str, members: Any, answer: Any) -> None:
        reading, given, member = _READ_BACK[operation]
        found = post(self.sim, reading, {name: members[name] for name in given if name in members}, service=service)
        wanted = answer.get(member, members.get(member))
        if found.status != 200 or json.loads(found.body).get(member) != wanted:
            raise Finding(f"{member} was acknowledged, and then: {found}")

    def _note(self, repository: str, digest: str, manifest: bytes) -> None:
        self.book.setdefault(repository, {})[digest] = manifest
        self.known.add(self.known.digests, digest)

    def _forget(self, repository: str, reference: str) -> None:
        """What may be gone now. A tag may have been the last of any image."""
        if ":" in reference:
            self.book.get(repository, {}).pop(reference, None)
        else:
            self.book.pop(repository, None)

    def _ask(self, method: str, path: str) -> Response:
        headers = {"Authorization": f"Basic {self.token}", "Accept": "*/*"}
        return call_application(self.sim.app, method, f"http://localhost:5100{path}", headers)

    def _read(self, repository: str, reference: str) -> Response:
        return self._ask("GET", f"/v2/{repository}/manifests/{reference}")

    def _same(self, found: Response, manifest: bytes, what: str) -> None:
        if found.status != 200 or found.body != manifest:
            raise Finding(f"{what} was acknowledged, and then: {found}")

    def check_image(self, repository: str, digest: str) -> None:
        """It is there on both planes, byte by byte."""
        manifest = self.book[repository][digest]
        self._same(self._read(repository, digest), manifest, f"{repository}@{digest}")
        name = repository.removeprefix(f"{self.gallery}/")
        if name != repository:
            # ECR Public has no operation that gives a manifest.
            self.public.describe_images(repositoryName=name, imageIds=[{"imageDigest": digest}])
            return
        answer = self.ecr.batch_get_image(repositoryName=repository, imageIds=[{"imageDigest": digest}])
        if not answer["images"] or answer["images"][0]["imageManifest"].encode() != manifest:
            raise Finding(f"{repository}@{digest} was acknowledged, and then: {answer}")
        if not digest.startswith("sha512") and digest_of(manifest) != digest:
            raise Finding(f"{repository}@{digest} has another digest")

    def check(self) -> None:
        """Everything that was acknowledged and not taken away is there; so is all of the account that nobody named."""
        with self._open():
            for repository, images in self.book.items():
                for digest in images:
                    self.check_image(repository, digest)
            if self._kept_state() != self.kept_before:
                raise Finding(f"account {KEPT} has changed: {self._kept_state()} instead of {self.kept_before}")

    def _kept_state(self) -> Any:
        image = numbered(1)
        layers = self.kept.batch_check_layer_availability(repositoryName="app", layerDigests=list(image.blobs))
        manifests = self.kept.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
        repositories = self.kept.describe_repositories()["repositories"]
        return listed(self.kept, "app"), manifests, layers["layers"], repositories


#: Operation → the one that reads what it wrote, the members that name it, and the member that has to come back.
_READ_BACK = {
    "PutLifecyclePolicy": ("GetLifecyclePolicy", ("repositoryName", "registryId"), "lifecyclePolicyText"),
    "SetRepositoryPolicy": ("GetRepositoryPolicy", ("repositoryName", "registryId"), "policyText"),
    "PutRegistryPolicy": ("GetRegistryPolicy", (), "policyText"),
    "PutAccountSetting": ("GetAccountSetting", ("name",), "value"),
}


def _peak() -> int:
    """The most memory that this process had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> None:
    """So that what other tests took in this process hides nothing (Linux)."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


@contextmanager
def _watched(sent: Sent) -> Iterator[None]:
    """A request that takes this long will never end."""

    def end(*_: object) -> None:
        raise Finding(f"no answer within {PATIENCE} s\n{sent}")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
