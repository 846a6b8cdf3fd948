"""One client's work on a repository of its own, and its book of what was acknowledged.

The book is what has to be there after a crash. The one request that was under way when the server died may have had its
effect or not, but not half of it: what is found must be the state before it or the state after it.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tests.faults.client import OCI_MANIFEST, REGION, Answer, Client, Gone, manifest_of
from tests.pushing import digest_of

SHARED = "shared"
PIECE = 16 * 1024


class Upload(NamedTuple):
    """An unfinished upload: its URL, all the bytes that it shall have, and how many are acknowledged."""

    location: str
    data: bytes
    received: int


class Book:
    """What one repository holds. `images`: digest → tags."""

    def __init__(self) -> None:
        self.images: dict[str, frozenset[str]] = {}
        self.layers: dict[str, bytes] = {}
        self.resource_tags: dict[str, str] = {}

    def copy(self) -> Book:
        twin = Book()
        twin.images, twin.layers = dict(self.images), dict(self.layers)
        twin.resource_tags = dict(self.resource_tags)
        return twin

    def with_image(self, digest: str, tag: str | None) -> Book:
        """After a push: the tag has left every other image."""
        twin = self.copy()
        twin.images = {each: tags - {tag} for each, tags in self.images.items()}
        old = twin.images.get(digest, frozenset())
        twin.images[digest] = old | ({tag} if tag else frozenset())
        return twin

    def without_image(self, digest: str) -> Book:
        twin = self.copy()
        del twin.images[digest]
        return twin

    def without_tag(self, tag: str) -> Book:
        """After its deletion: an image goes with its last tag."""
        twin = self.copy()
        twin.images = {each: tags - {tag} for each, tags in self.images.items() if tags != {tag}}
        return twin

    def with_layer(self, data: bytes) -> Book:
        twin = self.copy()
        twin.layers[digest_of(data)] = data
        return twin


class Ledger:
    """Works on one repository until the server is gone, and says afterwards whether everything is there."""

    def __init__(self, number: int, seed: int, step: Callable[[], object]) -> None:
        self.repository = f"crash/{number}"
        self._random = random.Random(seed)  # noqa: S311 - the same work for the same seed
        self._step = step
        self.book = Book()
        #: The book if the request under way had its effect; None while none is under way.
        self.after: Book | None = None
        self.upload: Upload | None = None
        self._upload_under_way = 0
        self.finishing = False
        self.manifests: dict[str, bytes] = {}
        self.gone: set[str] = set()
        #: The image that this client points the shared tag to, once it tried; and whether that was acknowledged.
        self.shared: set[str] = set()
        self.has_shared = False
        self.client: Client | None = None

    # Work

    def connect(self, client: Client) -> None:
        """Go on through this client. The token is kept: it outlives the server."""
        if self.client is not None:
            client.use_token(self.client.token())
            self.client.close()
        self.client = client

    def close(self) -> None:
        self._client.close()

    def prepare(self) -> None:
        self._expect(self._api("CreateRepository", repositoryName=self.repository), 200)
        config, layer = b'{"shared":"%s"}' % self.repository.encode(), b"shared by all"
        for data in (config, layer):
            self._expect(self._client.push_layer(SHARED, data), 201)
        manifest = manifest_of(config, layer)
        self.manifests[SHARED] = manifest
        self._expect(self._client.push_manifest(SHARED, digest_of(manifest), manifest), 201)

    def work(self) -> None:
        """Until the server is gone."""
        actions = (
            self._push_image_by_registry,
            self._push_image_by_api,
            self._push_image_by_registry,
            self._move_tag,
            self._delete_image,
            self._delete_tag,
            self._upload_in_pieces,
            self._upload_in_pieces,
            self._tag_resource,
            self._move_shared_tag,
        )
        try:
            while True:
                self._random.choice(actions)()
        except Gone:
            return

    @property
    def _client(self) -> Client:
        assert self.client is not None
        return self.client

    def _api(self, operation: str, **members: Any) -> Answer:
        return self._client.api(operation, **members)

    def _expect(self, answer: Answer, *statuses: int) -> Answer:
        assert answer.status in statuses, (self.repository, answer.status, answer.body)
        self._step()
        return answer

    def _attempt(self, after: Book, send: Callable[[], Answer], *statuses: int) -> Answer:
        """A request that makes `after` of the book."""
        self.after = after
        answer = self._expect(send(), *statuses)
        self.book, self.after = after, None
        return answer

    def _bytes(self) -> bytes:
        return self._random.randbytes(self._random.choice((10, 1000, 40_000, 300_000)))

    def _digest(self) -> str:
        return self._random.choice(list(self.book.images))

    def _push_blobs(self) -> list[bytes]:
        blobs = [self._bytes() for _ in range(2)]
        for data in blobs:
            path = f"{self.repository}/blobs/uploads/?digest={digest_of(data)}"
            headers = {"Content-Length": str(len(data))}
            body = self._pieces(data)
            self._attempt(
                self.book.with_layer(data),
                functools.partial(self._client.registry, "POST", path, body, headers),
                201,
            )
        return blobs

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        """Each piece is an instant at which the server may be killed."""
        for first in range(0, len(data), PIECE):
            yield data[first : first + PIECE]
            self._step()

    def _push_image_by_registry(self) -> None:
        manifest = manifest_of(*self._push_blobs())
        digest, tag = digest_of(manifest), f"t{self._random.randrange(4)}"
        self.manifests[digest] = manifest
        after = self.book.with_image(digest, tag)
        self._attempt(after, lambda: self._client.push_manifest(self.repository, tag, manifest), 201)

    def _push_image_by_api(self) -> None:
        blobs = [self._bytes() for _ in range(2)]
        for data in blobs:
            begun = self._expect(self._api("InitiateLayerUpload", repositoryName=self.repository), 200)
            self._finish_by_api(begun.json()["uploadId"], data)
        manifest = manifest_of(*blobs)
        digest, tag = digest_of(manifest), f"t{self._random.randrange(4)}"
        self.manifests[digest] = manifest
        members = {"repositoryName": self.repository, "imageManifest": manifest.decode(), "imageTag": tag}
        self._attempt(self.book.with_image(digest, tag), lambda: self._api("PutImage", **members), 200)

    def _finish_by_api(self, upload_id: str, data: bytes) -> None:
        place = {"repositoryName": self.repository, "uploadId": upload_id}
        middle = len(data) // 2
        for first, last in ((0, middle - 1), (middle, len(data) - 1)):
            self._expect(self._client.upload_part(place, first, data[first : last + 1]), 200)
        digests = [digest_of(data)]
        self._attempt(
            self.book.with_layer(data), lambda: self._api("CompleteLayerUpload", **place, layerDigests=digests), 200
        )

    def _move_tag(self) -> None:
        if self.book.images:
            digest, tag = self._digest(), f"t{self._random.randrange(4)}"
            after = self.book.with_image(digest, tag)
            self._attempt(after, lambda: self._client.push_manifest(self.repository, tag, self.manifests[digest]), 201)

    def _delete_image(self) -> None:
        if len(self.book.images) < 3:
            return
        digest = self._digest()
        after = self.book.without_image(digest)
        if self._random.random() < 0.5:
            path = f"{self.repository}/manifests/{digest}"
            self._attempt(after, lambda: self._client.registry("DELETE", path), 202)
        else:
            members = {"repositoryName": self.repository, "imageIds": [{"imageDigest": digest}]}
            answer = self._attempt(after, lambda: self._api("BatchDeleteImage", **members), 200)
            assert answer.json()["failures"] == [], answer.body
        self.gone.add(digest)

    def _delete_tag(self) -> None:
        tags = sorted(tag for each in self.book.images.values() for tag in each)
        if tags:
            tag = self._random.choice(tags)
            path = f"{self.repository}/manifests/{tag}"
            self._attempt(self.book.without_tag(tag), lambda: self._client.registry("DELETE", path), 202)

    def _tag_resource(self) -> None:
        after = self.book.copy()
        after.resource_tags["turn"] = str(self._random.randrange(1000))
        tags = [{"Key": key, "Value": value} for key, value in after.resource_tags.items()]
        arn = f"arn:aws:ecr:{REGION}:000000000000:repository/{self.repository}"
        self._attempt(after, lambda: self._api("TagResource", resourceArn=arn, tags=tags), 200)

    def _move_shared_tag(self) -> None:
        """Everybody moves it; afterwards it is where somebody moved it to."""
        self.shared.add(digest_of(self.manifests[SHARED]))
        self._expect(self._client.push_manifest(SHARED, "latest", self.manifests[SHARED]), 201)
        self.has_shared = True

    def _upload_in_pieces(self) -> None:
        """A session in three chunks, each acknowledged; it may stay unfinished when the server dies."""
        opened = self._expect(self._client.registry("POST", f"{self.repository}/blobs/uploads/"), 202)
        self.upload = Upload(opened.headers["Location"], self._random.randbytes(150_000), 0)
        self.continue_upload()

    def continue_upload(self) -> None:
        assert self.upload is not None
        location, data, received = self.upload
        while received < len(data):
            piece = data[received : received + 50_000]
            headers = {"Content-Range": f"{received}-{received + len(piece) - 1}", "Content-Length": str(len(piece))}
            self._upload_under_way = len(piece)
            answer = self._expect(self._client.registry("PATCH", location, self._pieces(piece), headers), 202)
            received += len(piece)
            assert answer.headers["Range"] == f"0-{received - 1}"
            self.upload, self._upload_under_way = Upload(location, data, received), 0
        self.finishing = True
        path = f"{location}?digest={digest_of(data)}"
        self._attempt(self.book.with_layer(data), lambda: self._client.registry("PUT", path), 201)
        self.upload, self.finishing = None, False

    # What has to be there

    def verify(self) -> None:
        """Everything acknowledged is there, what was deleted is gone, what was under way happened or did not."""
        images = self._images()
        possible = [self.book, self.after] if self.after is not None else [self.book]
        fitting = [each for each in possible if each.images == images]
        assert fitting, (self.repository, images, [each.images for each in possible])
        tags = self._resource_tags()
        assert tags in [each.resource_tags for each in possible]
        self._verify_layers(possible)
        self._verify_manifests(images)
        after, self.after = self.after, None
        if after is not None and (after.images, after.resource_tags) == (images, tags):
            self.gone |= self.book.images.keys() - images.keys()
            self.book = after if self._has(after.layers.keys() - self.book.layers.keys()) else self.book
        self._verify_upload()

    def _has(self, digests: Any) -> bool:
        return all(
            self._client.registry("HEAD", f"{self.repository}/blobs/{digest}").status == 200 for digest in digests
        )

    def _images(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        members: dict[str, Any] = {"repositoryName": self.repository, "maxResults": 1000}
        for detail in self._api("DescribeImages", **members).json()["imageDetails"]:
            found[detail["imageDigest"]] = frozenset(detail.get("imageTags", ()))
        listed = self._client.registry("GET", f"{self.repository}/tags/list").json()["tags"]
        assert listed == sorted(tag for tags in found.values() for tag in tags)
        return found

    def _resource_tags(self) -> dict[str, str]:
        arn = f"arn:aws:ecr:{REGION}:000000000000:repository/{self.repository}"
        return {tag["Key"]: tag["Value"] for tag in self._api("ListTagsForResource", resourceArn=arn).json()["tags"]}

    def _verify_layers(self, possible: list[Book]) -> None:
        certain = possible[0].layers
        for digest, data in {digest: data for each in possible for digest, data in each.layers.items()}.items():
            answer = self._client.registry("GET", f"{self.repository}/blobs/{digest}")
            if digest in certain or answer.status != 404:
                assert (answer.status, answer.body) == (200, data), (self.repository, digest, answer.status)

    def _verify_manifests(self, images: dict[str, frozenset[str]]) -> None:
        for digest, tags in images.items():
            for reference in (digest, *tags):
                answer = self._client.registry("GET", f"{self.repository}/manifests/{reference}")
                assert (answer.status, answer.body) == (200, self.manifests[digest])
                assert answer.headers["Content-Type"] == OCI_MANIFEST
        for digest in self.gone - images.keys():
            assert self._client.registry("HEAD", f"{self.repository}/manifests/{digest}").status == 404

    def _verify_upload(self) -> None:
        """An interrupted upload goes on from where the server says, and that is not before what it acknowledged."""
        if self.upload is None:
            return
        location, data, received = self.upload
        status = self._client.registry("GET", urlsplit(location).path)
        if status.status == 404:
            assert self.finishing
            assert self._has([digest_of(data)]), (self.repository, "an upload and its bytes are gone", location)
        else:
            assert status.status == 204
            offset = int(status.headers["Range"].partition("-")[2]) + 1
            offset = 0 if offset == 1 else offset  # an empty session says 0-0
            assert received <= offset <= received + self._upload_under_way, (received, offset, self._upload_under_way)
            self.upload = Upload(location, data, offset)
            self.continue_upload()
        assert self._client.registry("GET", f"{self.repository}/blobs/{digest_of(data)}").body == data
        self.book.layers[digest_of(data)] = data
        self.upload, self.finishing, self._upload_under_way = None, False, 0
