"""A repository under a lifecycle policy: images of all kinds, what a run must make of them, and what is there after it.

What a run must do is the engine's own plan for the state that was read before the run; what the engine plans is held
against the guide elsewhere.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from ecrsim.ecr.lifecycle.engine import LifecycleDecision, LifecycleImage, plan
from ecrsim.ecr.lifecycle.policy import read
from tests.ecr.lifecycle.policies import policy, rule
from tests.faults.client import OCI_MANIFEST, Client, manifest_of
from tests.pushing import digest_of

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
#: Images that are pushed share a layer with their neighbours, which may be kept when they are not.
SHARING = 4
POLICY = policy(
    rule(1, patterns=["rel-*"], keep=60),
    rule(2, tags="untagged", days=20),
    rule(3, patterns=["dev-*"], days=10, archive=True),
    rule(4, since="sinceImageTransitioned", days=90),
    rule(5, prefixes=["multi-"], keep=3),
)

#: What an event tells of an image: what was done, digest, tag.
Told = tuple[str, str, str | None]


class Run(NamedTuple):
    """One run of the policy of a repository: the job, the images before it, and what it must do to them."""

    repository: str
    key: str
    due: int
    before: list[LifecycleImage]
    decisions: list[LifecycleDecision]

    def after(self) -> list[LifecycleImage]:
        """The images that must be there, whatever happened in between."""
        actions = {decision.image.id: decision.action for decision in self.decisions}
        archived: dict[str, Any] = {"storage_class": "ARCHIVE", "last_archived_at": self.due}
        return [
            image._replace(**archived) if image.id in actions else image
            for image in self.before
            if actions.get(image.id) != "EXPIRE"
        ]

    def told(self) -> Counter[Told]:
        """An event for each tag that goes, one for an image without tags, one for an image that is archived."""
        expired = [each.image for each in self.decisions if each.action == "EXPIRE"]
        deletions = [("DELETE", image.image_digest, tag) for image in expired for tag in image.image_tags or (None,)]
        archived = [each.image.image_digest for each in self.decisions if each.action == "TRANSITION"]
        return Counter([*deletions, *(("ARCHIVE", digest, None) for digest in archived)])

    def executed(self) -> Counter[tuple[Any, ...]]:
        """What the events of the run itself must list: what follows its subject was chosen by no rule."""
        return Counter(
            (each.image.image_digest, each.image.image_tags, each.image.image_pushed_at, each.rule_priority)
            for each in self.decisions
            if each.rule_priority is not None
        )


class Stock:
    """The images of one repository, which the test has pushed and knows byte for byte."""

    def __init__(self, repository: str, seed: int) -> None:
        self.repository = repository
        self._random = random.Random(seed)  # noqa: S311 - the same images for the same seed
        self._count = 0
        #: Digest → manifest and its media type.
        self.manifests: dict[str, tuple[bytes, str]] = {}
        #: Digest of an image → its layer.
        self.layers: dict[str, bytes] = {}
        self._config = b'{"repository":"%s"}' % repository.encode()
        self._layer = b""

    def create(self, client: Client) -> None:
        assert client.api("CreateRepository", repositoryName=self.repository).status == 200
        assert client.push_layer(self.repository, self._config).status == 201
        answer = client.api("PutLifecyclePolicy", repositoryName=self.repository, lifecyclePolicyText=POLICY)
        assert answer.status == 200, answer.body

    # Pushes

    def push(self, client: Client, count: int) -> None:
        """So many images with tags of all rules or none; an index with children, and artifacts with a subject."""
        kinds = [self._release, self._draft, self._untagged]
        for number in range(count):
            kinds[number % 3](client)
        self._release(client)
        self._index(client, f"multi-{self._count}")
        self._index(client, None)
        for subject in self._random.sample(list(self.manifests), 3):
            self._artifact(client, self._artifact(client, subject))

    def _release(self, client: Client) -> None:
        digest = self._image(client, f"rel-{self._count}")
        if self._random.random() < 0.3:
            self._put(client, f"also-{self._count}", *self.manifests[digest])
            self._put(client, "latest", *self.manifests[digest])

    def _draft(self, client: Client) -> None:
        self._image(client, f"dev-{self._count}")

    def _untagged(self, client: Client) -> str:
        return self._image(client, None)

    def _image(self, client: Client, tag: str | None, **members: Any) -> str:
        if self._count % SHARING == 0:
            self._layer = b"%s %d" % (self.repository.encode(), self._count)
            assert client.push_layer(self.repository, self._layer).status == 201
        manifest = manifest_of(self._config, self._layer, annotations={"number": str(self._count)}, **members)
        self._count += 1
        digest = self._put(client, tag, manifest, OCI_MANIFEST)
        self.layers[digest] = self._layer
        return digest

    def _index(self, client: Client, tag: str | None) -> None:
        children = [self._untagged(client) for _ in range(3)]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(self.manifests[digest][0])}
                for digest in children
            ],
        }
        self._put(client, tag, json.dumps(document).encode(), OCI_INDEX)

    def _artifact(self, client: Client, subject: str) -> str:
        """The subject may be gone by now: then the artifact waits for nobody."""
        manifest, media_type = self.manifests[subject]
        described = {"mediaType": media_type, "digest": subject, "size": len(manifest)}
        return self._image(client, None, subject=described, artifactType="application/vnd.example.signature")

    def _put(self, client: Client, tag: str | None, manifest: bytes, media_type: str) -> str:
        digest = digest_of(manifest)
        path, headers = f"{self.repository}/manifests/{tag or digest}", {"Content-Type": media_type}
        answer = client.registry("PUT", path, manifest, headers)
        assert answer.status == 201, answer.body
        self.manifests[digest] = manifest, media_type
        return digest

    def restore(self, client: Client, images: list[LifecycleImage], count: int) -> None:
        """Ask for the oldest archived images again."""
        archived = [image.image_digest for image in images if image.storage_class == "ARCHIVE" and not image.references]
        for digest in archived[:count]:
            members = {"repositoryName": self.repository, "imageId": {"imageDigest": digest}}
            answer = client.api("UpdateImageStorageClass", **members, targetStorageClass="STANDARD")
            assert answer.status == 200, answer.body

    # What is there

    def images(self, client: Client) -> list[LifecycleImage]:
        """All images, in the order of their pushes. Pulls aside, which a crash may forget."""
        found: list[LifecycleImage] = []
        after: int | None = 0
        while after is not None:
            answer = client.send("GET", f"/_ecrsim/lifecycle/images?repository={self.repository}&after={after}")
            assert answer.status == 200, answer.body
            page = answer.json()
            found += map(_image_of, page["images"])
            after = page["next"]
        return found

    def run_to_come(self, client: Client, jobs: list[dict[str, Any]], at: Callable[[str], int]) -> Run:
        """What the next run must do, when nobody pushes before it."""
        (job,) = (
            job
            for job in jobs
            if job["state"] == "PENDING" and job["payload"].get("repository_name") == self.repository
        )
        before, due = self.images(client), at(job["runAt"])
        return Run(self.repository, job["key"], due, before, plan(before, read(POLICY), due))

    def check_pulls(self, client: Client, run: Run) -> None:
        """What is kept is pulled by digest and by tag, byte for byte, with its layer; what is gone or archived not."""
        kept = {image.image_digest: image for image in run.after()}
        layers = set()
        for digest, image in kept.items():
            manifest, media_type = self.manifests[digest]
            for reference in (digest, *image.image_tags[:1]):
                answer = client.registry("GET", f"{self.repository}/manifests/{reference}")
                if image.storage_class == "ARCHIVE":
                    assert answer.status == 404, (reference, answer)
                else:
                    assert (answer.status, answer.body) == (200, manifest), (reference, answer)
                    assert answer.headers["Content-Type"] == media_type
                    layers.add(self.layers.get(digest, self._config))
        for layer in layers:
            answer = client.registry("GET", f"{self.repository}/blobs/{digest_of(layer)}")
            assert (answer.status, answer.body) == (200, layer)
        for each in run.decisions:
            if each.action == "EXPIRE":
                path = f"{self.repository}/manifests/{each.image.image_digest}"
                assert client.registry("HEAD", path).status == 404


def _image_of(members: dict[str, Any]) -> LifecycleImage:
    return LifecycleImage(
        id=members["id"],
        image_digest=members["imageDigest"],
        image_tags=tuple(members["imageTags"]),
        image_pushed_at=members["imagePushedAt"],
        storage_class=members["storageClass"],
        image_size_in_bytes=members["imageSizeInBytes"],
        last_archived_at=members["lastArchivedAt"],
        last_activated_at=members["lastActivatedAt"],
        subject=members["subjectManifestDigest"],
        references=tuple(members["references"]),
    )
