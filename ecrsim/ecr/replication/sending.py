"""Copies that go to another site: a registry that the setting `region_endpoint` names for a region.

They are pushed by the registry protocol, with no transaction open. Another ecrsim, and ECR, gives a token to the key of
the source's account, so that it decides by its own policies what that account may push; repositories that are missing
there are made by its API. Any other registry is asked with the credentials that the file of secrets has under the
region's name, or without.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from ecrsim.core.neighbours import Access, Neighbour, NeighbourError
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime
from ecrsim.core.upstream.addresses import Addresses, parse_entry
from ecrsim.core.upstream.failures import UpstreamDenied, UpstreamInvalid, UpstreamNotFound
from ecrsim.core.upstream.pushing import Pusher, Read
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.images.lookup import image_by_digest, manifest_of, tags_of
from ecrsim.ecr.layers.service import stored_size
from ecrsim.ecr.pullthrough import credentials
from ecrsim.ecr.replication.copying import Outcome, children
from ecrsim.ecr.repositories.tables import Repository

log = logging.getLogger("ecrsim.replication")


class Parcel(NamedTuple):
    """One image to be sent: its manifest, and digest and size of each layer that is here."""

    image_digest: str
    media_type: str
    manifest: bytes
    layers: tuple[tuple[str, int], ...]


class Site(NamedTuple):
    """Another site: what pushes to it, and the API that makes repositories there, of those that have one."""

    pusher: Pusher
    api: Access | None


def endpoint_of(runtime: Runtime, destination: Registry) -> str | None:
    """The URL of the site that has the region; None where this ecrsim has it itself."""
    entries = dict(entry for entry in map(parse_entry, runtime.config.region_endpoint) if entry)
    return entries.get(destination.region)


def send(
    call: Call, source: Repository, image_digest: str, destination: Registry, tags: Sequence[str]
) -> tuple[Outcome, list[str]]:
    """Send the image with its children and layers, and those of `tags` that it still has.

    What came of it, and these tags. No transaction may be open. UpstreamUnavailable and UpstreamBusy: try again later.
    """
    with call.reading():
        image = image_by_digest(call, source, image_digest)
        if image is None:
            return Outcome("ImageNotFound"), []
        here = set(tags_of(call, image))
        if image.image_status != "ACTIVE":
            return Outcome("ImageInaccessible"), []
        family = [*children(call, source, image), image]
        parcels = [_parcel(call, source, each.image_digest) for each in family]
    wanted = [tag for tag in tags if tag in here]
    try:
        site = _open(call.runtime, source.registry, destination)
        try:
            _push(call.runtime, site.pusher, source.repository_name, parcels, wanted)
        except UpstreamNotFound:
            if not _made_repository(site, destination, source.repository_name):
                raise
            _push(call.runtime, site.pusher, source.repository_name, parcels, wanted)
    except UpstreamDenied as error:
        return _failed("AccessDenied", error), wanted
    except UpstreamNotFound as error:
        return _failed("RepositoryNotFound", error), wanted
    except UpstreamInvalid as error:
        return _failed("InvalidAnswer", error), wanted
    return Outcome(), wanted


def delete(
    call: Call, source: Registry, repository_name: str, references: Sequence[str], destination: Registry
) -> None:
    """Delete these tags, or the manifest of this digest, at the other site. No transaction may be open.

    A registry that deletes nothing is left as it is. UpstreamUnavailable and UpstreamBusy: try again later.
    """
    try:
        site = _open(call.runtime, source, destination)
        for reference in references:
            site.pusher.delete(repository_name, reference)
    except (UpstreamDenied, UpstreamNotFound, UpstreamInvalid) as error:
        log.warning("a deletion was not replicated: %s", error)


def _failed(code: str, error: Exception) -> Outcome:
    log.warning("a copy was not sent: %s", error)
    return Outcome(code)


def _parcel(call: Call, source: Repository, image_digest: str) -> Parcel:
    image = image_by_digest(call, source, image_digest)
    assert image is not None  # noqa: S101 - looked up in the same transaction
    manifest = manifest_of(call, image)
    blobs = manifests.read(manifest, image.image_manifest_media_type).blobs
    sizes = {blob.digest: stored_size(call, source, blob.digest) for blob in blobs}
    found = tuple((digest, size) for digest, size in sizes.items() if size is not None)
    return Parcel(image_digest, image.image_manifest_media_type, manifest, found)


def _open(runtime: Runtime, source: Registry, destination: Registry) -> Site:
    base = endpoint_of(runtime, destination) or ""
    addresses = Addresses({destination.region: base})
    known = credentials.of_region(runtime, destination.region)
    plain = runtime.upstreams.registry(destination.region, addresses, known)
    try:
        plain.check()
        return Site(Pusher(plain), None)
    except UpstreamDenied:
        if known is not None:
            raise
    given = credentials.of_ecr(source, base, destination.region, destination.host)
    there = runtime.upstreams.registry(destination.region, addresses, given, destination.host)
    return Site(Pusher(there), Access(destination.region, base, source.account, "ecrsim"))


def _made_repository(site: Site, destination: Registry, repository_name: str) -> bool:
    """Whether the repository is there now. UpstreamDenied when it may not be made; another account's never is."""
    if site.api is None or site.api.access_key_id != destination.account:
        return False
    neighbour = Neighbour("ecr", site.api)
    try:
        neighbour.call("create_repository", repositoryName=repository_name)
    except NeighbourError as error:
        if error.code != "RepositoryAlreadyExistsException":
            raise UpstreamDenied(f"the repository {repository_name} cannot be made there: {error}") from error
    finally:
        neighbour.close()
    return True


def _push(
    runtime: Runtime, pusher: Pusher, repository_name: str, parcels: Sequence[Parcel], tags: Sequence[str]
) -> None:
    for parcel in parcels:
        for digest, size in parcel.layers:
            pusher.blob(repository_name, digest, size, _reader(runtime, digest))
        names = tags if parcel is parcels[-1] else ()
        arrived = [tag for tag in names if _is_tagged(pusher, repository_name, tag, parcel)]
        if not arrived:
            pusher.manifest(repository_name, parcel.image_digest, parcel.manifest, parcel.media_type)


def _is_tagged(pusher: Pusher, repository_name: str, tag: str, parcel: Parcel) -> bool:
    """False when the other side keeps the tag where it is: the image arrives without it, as within one site."""
    try:
        pusher.manifest(repository_name, tag, parcel.manifest, parcel.media_type)
    except UpstreamInvalid:
        return False
    return True


def _reader(runtime: Runtime, digest: str) -> Read:
    def read(offset: int, length: int) -> bytes:
        with runtime.blobs.open(digest) as blob:
            blob.seek(offset)
            return blob.read(length)

    return read
