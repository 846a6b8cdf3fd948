"""Clients that push, move, delete and pull tags through any node, and write down what they saw."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.faults.client import REGION, Answer, Client, Gone, manifest_of
from tests.nodes.registers import Seen
from tests.pushing import digest_of

REPOSITORIES = ("app", "base")
TAGS = ("v1", "v2", "latest")
CONFIG = b"{}"
#: Seconds for which a client waits for an answer. A node that is held gives none.
_PATIENCE = 10
#: Seconds before a client goes on after a request that came to nothing.
_PAUSE = 0.05
#: Answers after which the client does not know what came of its request.
_UNKNOWN = range(500, 600)


class Book:
    """What all clients saw. Its lists are added to by many threads."""

    def __init__(self) -> None:
        #: By repository and tag.
        self.tags: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        #: Manifests that were acknowledged or may be there, by repository and digest.
        self.layers: dict[tuple[str, str], bytes] = {}
        #: Answers that no request may get.
        self.wrong: list[str] = []
        self.acknowledged = 0


class Tagger(threading.Thread):
    """One client. `url` gives the address of a node by any number, or None while that one does not run."""

    def __init__(self, number: int, seed: int, url: Callable[[int], str | None], book: Book, token: str) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self._number = number
        self._random = random.Random(seed)  # noqa: S311 - the same work for the same seed
        self._url, self._book, self._token = url, book, token
        self._made = 0
        self._turn = 0
        #: Of the repository of its own: the value that was acknowledged, and those that may have come since.
        self.values: list[str | None] = [None]
        self.over = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        actions = (self._push, self._push, self._pull, self._pull, self._move_by_api, self._delete, self._set)
        try:
            while not self.over.is_set():
                self._random.choice(actions)()
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for this thread
            self.failure = error

    # One request

    def _ask(self, act: Callable[[Client], Answer]) -> tuple[Answer | None, float, float]:
        """The answer, with the time around it; None where nobody knows what came of it."""
        self._turn += 1
        url = self._url(self._number + self._turn)
        if url is None:
            time.sleep(_PAUSE)
            return None, math.inf, math.inf
        client = Client(url, timeout=_PATIENCE)
        client.use_token(self._token)
        begin = time.monotonic()
        try:
            answer = act(client)
        except Gone:
            time.sleep(_PAUSE)
            return None, begin, math.inf
        finally:
            client.close()
        if answer.status in _UNKNOWN:
            if answer.status != 503 or "Retry-After" not in answer.headers:
                self._book.wrong.append(f"{answer.status} {dict(answer.headers)} {answer.body[:300]!r}")
            time.sleep(_PAUSE)
            return None, begin, math.inf
        return answer, begin, time.monotonic()

    def _note(self, kind: Any, repository: str, tag: str, image: str | None, begin: float, end: float) -> None:
        if begin < math.inf:
            self._book.tags[repository, tag].append(Seen(kind, image, begin, end))
            self._book.acknowledged += end < math.inf

    def _place(self) -> tuple[str, str]:
        return self._random.choice(REPOSITORIES), self._random.choice(TAGS)

    # What it does

    def _new_image(self, repository: str) -> tuple[bytes, str] | None:
        """The manifest and digest of an image that nobody else has, its layer acknowledged."""
        self._made += 1
        layer = f"layer {self._made} of client {self._number}, {self._random.random()}".encode()
        for data in (layer, CONFIG):
            answer, _, _ = self._ask(lambda client, data=data: client.push_layer(repository, data))  # type: ignore[misc]
            if answer is None:
                return None
            assert answer.status == 201, answer
        manifest = manifest_of(CONFIG, layer)
        digest = digest_of(manifest)
        self._book.layers[repository, digest] = layer
        return manifest, digest

    def _push(self) -> None:
        repository, tag = self._place()
        image = self._new_image(repository)
        if image is None:
            return
        manifest, digest = image
        answer, begin, end = self._ask(lambda client: client.push_manifest(repository, tag, manifest))
        assert answer is None or answer.status == 201, answer
        self._note("push", repository, tag, digest, begin, end)

    def _move_by_api(self) -> None:
        repository, tag = self._place()
        image = self._new_image(repository)
        if image is None:
            return
        manifest, digest = image
        members = {"repositoryName": repository, "imageManifest": manifest.decode(), "imageTag": tag}
        answer, begin, end = self._ask(lambda client: client.api("PutImage", **members))
        assert answer is None or answer.status == 200, answer
        self._note("push", repository, tag, digest, begin, end)

    def _pull(self) -> None:
        repository, tag = self._place()
        answer, begin, end = self._ask(lambda client: client.registry("GET", f"{repository}/manifests/{tag}"))
        if answer is None:
            return
        assert answer.status in (200, 404), answer
        self._note("pull", repository, tag, digest_of(answer.body) if answer.status == 200 else None, begin, end)

    def _delete(self) -> None:
        if self._random.random() < 0.5:
            return
        repository, tag = self._place()
        members: dict[str, Any] = {"repositoryName": repository, "imageIds": [{"imageTag": tag}]}
        answer, begin, end = self._ask(lambda client: client.api("BatchDeleteImage", **members))
        assert answer is None or answer.status == 200, answer
        if answer is not None and answer.json()["failures"]:
            assert answer.json()["failures"][0]["failureCode"] == "ImageNotFound", answer
            self._note("pull", repository, tag, None, begin, end)
        else:
            self._note("delete", repository, tag, None, begin, end)

    def _set(self) -> None:
        """A setting of a repository of its own: afterwards it has the value that was acknowledged, or a later one."""
        value = f"{self._made}-{self._turn}"
        arn = f"arn:aws:ecr:{REGION}:000000000000:repository/own/{self._number}"
        tags = [{"Key": "turn", "Value": value}]
        answer, begin, _ = self._ask(lambda client: client.api("TagResource", resourceArn=arn, tags=tags))
        assert answer is None or answer.status == 200, answer
        if answer is not None:
            self.values = [value]
        elif begin < math.inf:
            self.values.append(value)
