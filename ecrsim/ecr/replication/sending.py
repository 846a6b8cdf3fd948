"""Copies that go to another site (`sites.py`): pushed by the registry protocol, with no transaction open."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import and_, bindparam, select

from ecrsim.blobs.base import BlobDamaged, BlobNotFound
from ecrsim.core.jobs import Job
from ecrsim.core.query import Query
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.core.upstream.failures import UpstreamDenied, UpstreamInvalid, UpstreamNotFound, UpstreamUnavailable
from ecrsim.core.upstream.pushing import Pusher, Read
from ecrsim.ecr.atrest.service import blobs_of
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.images.lookup import image_by_digest, manifest_of, tags_of
from ecrsim.ecr.images.tables import image_layers
from ecrsim.ecr.layers.service import stored_size
from ecrsim.ecr.layers.tables import layers
from ecrsim.ecr.registries.service import account_setting
from ecrsim.ecr.replication.copying import CopyResult, children
from ecrsim.ecr.replication.sites import Site, at_site, make_repository
from ecrsim.ecr.replication.tables import replications
from ecrsim.ecr.replication.uploads import KeptUpload
from ecrsim.ecr.repositories.tables import OF_REGISTRY, Repository, repositories
from ecrsim.records import tally

log = logging.getLogger("ecrsim.replication")

#: Another repository whose copy has the layer there.
_HOLDER = Query(
    select(repositories.c.repository_name)
    .join(layers, layers.c.repository_id == repositories.c.id)
    .join(
        image_layers,
        and_(
            image_layers.c.repository_id == layers.c.repository_id,
            image_layers.c.layer_digest == layers.c.layer_digest,
        ),
    )
    .join(replications, replications.c.image_id == image_layers.c.image_id)
    .where(
        layers.c.layer_digest == bindparam("layer_digest"),
        OF_REGISTRY,
        repositories.c.id != bindparam("repository_id"),
        replications.c.registry_id == bindparam("there"),
        replications.c.region == bindparam("there_region"),
        replications.c.status == bindparam("status"),
    )
    .limit(1),
    str,
)


class SendingStopped(Exception):
    """ecrsim is stopping: the rest is sent after the next start."""


class LayerToSend(NamedTuple):
    """A layer of an image to be sent. `holder`: another repository that has it there, as far as is known here."""

    digest: str
    size: int
    holder: str | None


class ImageToSend(NamedTuple):
    """One image to be sent: its manifest, and the layers that are here."""

    image_digest: str
    media_type: str
    manifest: bytes
    layers: tuple[LayerToSend, ...]


def send(
    call: Call, job: Job, source: Repository, image_digest: str, destination: Registry, tags: Sequence[str]
) -> tuple[CopyResult, list[str]]:
    """Send the image with its children and layers, and those of `tags` that it still has.

    What came of it, and these tags. No transaction may be open. UpstreamUnavailable and UpstreamBusy: try again later.
    SendingStopped.
    """
    with call.reading():
        image = image_by_digest(call, source, image_digest)
        if image is None:
            return CopyResult("ImageNotFound"), []
        here = set(tags_of(call, image))
        if image.image_status != "ACTIVE":
            return CopyResult("ImageInaccessible"), []
        blobs_of(call, source)  # its keys are had before anything is sent
        family = [*children(call, source, image), image]
        images = [_image_to_send(call, source, each.image_digest, destination) for each in family]
        # ECR mounts where both registries say so (documented); another registry is asked in any case.
        mounts = account_setting(call, source.registry, "BLOB_MOUNTING") == "ENABLED"
    wanted = [tag for tag in tags if tag in here]
    name = source.repository_name

    def deliver(site: Site) -> None:
        push = _Push(call, job, site, source, destination, mounts=mounts)
        try:
            push.all(images, wanted)
        except UpstreamNotFound:
            if not make_repository(site, source.registry, destination, name):
                raise
            push.all(images, wanted)

    try:
        at_site(call.runtime, source.registry, destination, deliver)
    except UpstreamDenied as error:
        return _failed("AccessDenied", error), wanted
    except UpstreamNotFound as error:
        return _failed("RepositoryNotFound", error), wanted
    except UpstreamInvalid as error:
        return _failed("InvalidAnswer", error), wanted
    except (BlobNotFound, BlobDamaged) as error:
        return _failed("LayersNotFound", error), wanted
    except UpstreamUnavailable:
        if call.runtime.stopping.is_set():
            raise SendingStopped from None
        raise
    return CopyResult(), wanted


def delete(
    call: Call, source: Registry, repository_name: str, references: Sequence[str], destination: Registry
) -> None:
    """Delete these tags, or the manifest of this digest, at the other site. No transaction may be open.

    A registry that deletes nothing is left as it is. UpstreamUnavailable and UpstreamBusy: try again later.
    """

    def act(site: Site) -> None:
        for reference in references:
            site.pusher.delete(repository_name, reference)

    try:
        at_site(call.runtime, source, destination, act)
    except (UpstreamDenied, UpstreamNotFound, UpstreamInvalid) as error:
        log.warning("a deletion was not replicated: %s", error)


def _failed(code: str, error: Exception) -> CopyResult:
    log.warning("a copy was not sent: %s", error)
    return CopyResult(code)


def _image_to_send(call: Call, source: Repository, image_digest: str, destination: Registry) -> ImageToSend:
    image = image_by_digest(call, source, image_digest)
    assert image is not None  # noqa: S101 - looked up in the same transaction
    manifest = manifest_of(call, image)
    blobs = manifests.read(manifest, image.image_manifest_media_type).blobs
    call.runtime.blobs.learn([blob.digest for blob in blobs])
    sizes = {blob.digest: stored_size(call, source, blob.digest) for blob in blobs}
    found = [
        LayerToSend(digest, size, _holder(call, source, digest, destination))
        for digest, size in sizes.items()
        if size is not None
    ]
    return ImageToSend(image_digest, image.image_manifest_media_type, manifest, tuple(found))


def _holder(call: Call, source: Repository, layer_digest: str, destination: Registry) -> str | None:
    there = {"there": destination.account, "there_region": destination.region, "status": "COMPLETE"}
    here = {"layer_digest": layer_digest, "repository_id": source.id, **source.registry._asdict()}
    return _HOLDER.first(call.connection, **here, **there)


class _Push:
    """The push of one copy to its site."""

    def __init__(
        self, call: Call, job: Job, site: Site, source: Repository, destination: Registry, *, mounts: bool
    ) -> None:
        self._call = call
        self._job = job
        self._pusher = site.pusher
        self._source, self._name = source, source.repository_name
        self._destination = destination
        self._mounts = mounts or site.api is None

    def all(self, images: Sequence[ImageToSend], tags: Sequence[str]) -> None:
        """Send the images, an index behind its children. The last one gets the tags that the site lets it have."""
        for image in images:
            for layer in image.layers:
                self._layer(layer)
            names = tags if image is images[-1] else ()
            arrived = [tag for tag in names if _is_tagged(self._pusher, self._name, tag, image)]
            if not arrived:
                self._pusher.manifest(self._name, image.image_digest, image.manifest, image.media_type)

    def _layer(self, layer: LayerToSend) -> None:
        session = KeptUpload(self._call, self._job, self._destination, self._name, layer.digest)
        read = _reader(self._call, self._source, layer.digest)
        holder = layer.holder if self._mounts else None
        if self._pusher.blob(self._name, layer.digest, layer.size, read, session, mount_from=holder):
            place = self._source.registry, self._name, tally.REPLICATION
            tally.note(self._call, *place, destination=self._destination.region, size=layer.size)


def _is_tagged(pusher: Pusher, repository_name: str, tag: str, image: ImageToSend) -> bool:
    """False when the other side keeps the tag where it is: the image arrives without it, as within one site."""
    try:
        pusher.manifest(repository_name, tag, image.manifest, image.media_type)
    except UpstreamInvalid:
        return False
    return True


def _reader(call: Call, source: Repository, digest: str) -> Read:
    blobs, stopping = blobs_of(call, source), call.runtime.stopping
    call.release()

    def read(offset: int, length: int) -> bytes:
        if stopping.is_set():
            raise SendingStopped
        with blobs.open(digest, offset, length) as blob:
            blob.seek(offset)
            return blob.read(length)

    return read
