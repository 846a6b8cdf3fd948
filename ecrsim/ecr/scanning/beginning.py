"""What begins a scan: a push, a request, a configuration that says so. The scan itself is a job."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from ecrsim.core.durations import SECOND
from ecrsim.core.jobs import cancel, enqueue, find_pending
from ecrsim.core.query import Query
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import events as image_events
from ecrsim.ecr.images.grammar import DOCKER_MANIFEST, OCI_MANIFEST
from ecrsim.ecr.images.lookup import image_by_digest, tags_of
from ecrsim.ecr.images.rows import SUBJECT_OF, Image
from ecrsim.ecr.images.tables import image_layers
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.scanning import rules, scans
from ecrsim.ecr.scanning.configuration import applied_to, configuration_of
from ecrsim.ecr.scanning.rules import Configuration
from ecrsim.ecr.scanning.vex import MEDIA_TYPES

#: Kinds of jobs: a scan, whose key is the image and the scan type, and a look at all monitored images of a registry.
SCAN, SWEEP = "scan-image", "rescan-images"

#: What artifacts are that may hold OpenVEX documents: these, and attestations of in-toto.
DOCUMENTS = (*MEDIA_TYPES, "application/vnd.in-toto+json")
_LAYER_TYPES = Query(
    select(image_layers.c.media_type).where(
        image_layers.c.image_id == bindparam("image_id"), image_layers.c.media_type.is_not(None)
    ),
    str,
)
#: What the config of an image is said to be; anything else is a chart, a signature or the like.
_IMAGE_CONFIGS = frozenset(
    {"application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"}
)


def unscannable(call: Call, image: Image) -> str | None:
    """The media type of what is no image: an index, or an artifact. None of an image."""
    if image.image_manifest_media_type not in (DOCKER_MANIFEST, OCI_MANIFEST):
        return image.image_manifest_media_type
    return _stranger(call, image.id, image_events.describe(call, image.id))


def _stranger(call: Call, image_id: int, description: image_events.Description) -> str | None:
    if description.manifest_media_type not in (DOCKER_MANIFEST, OCI_MANIFEST):
        return description.manifest_media_type
    kind = description.artifact_media_type
    if description.is_referrer or (kind is not None and kind not in _IMAGE_CONFIGS):
        return kind or description.manifest_media_type
    # An attestation of BuildKit says that it is an image, and has statements in the place of layers.
    layers = [each for each in _LAYER_TYPES.all(call.connection, image_id=image_id) if each not in _IMAGE_CONFIGS]
    return None if not layers or any("tar" in each for each in layers) else layers[0]


def is_quota_used(call: Call, registry: Registry) -> bool:
    """Whether the registry has had all basic scans of 24 hours, in the transaction that begins one."""
    call.runtime.database.also(call.connection, registry.scope())
    return scans.count_today(call, registry) >= call.runtime.config.quota_scans


def begin(call: Call, repository: Repository, image_id: int, scan_type: str) -> str:
    """Scan the image once the time that a scan takes has passed. The status that it has until then."""
    image = scans.fresh(call, image_id)
    known = scans.find_scan(call, image_id, scan_type)
    pushed_at = known.pushed_at if known is not None else image.image_pushed_at
    return _begin(call, repository, image_id, scan_type, image.image_size_in_bytes, pushed_at)


def _begin(call: Call, repository: Repository, image_id: int, scan_type: str, size: int, pushed_at: int) -> str:
    is_too_large = size > call.runtime.config.quota_scan_size
    status = "IMAGE_SIZE_EXCEEDED" if is_too_large else "IN_PROGRESS" if scan_type == "BASIC" else "PENDING"
    scans.begin(call, repository.id, image_id, scan_type, status, pushed_at)
    if not is_too_large:
        _enqueue(call, repository, image_id, scan_type)
    return status


def _enqueue(call: Call, repository: Repository, image_id: int, scan_type: str) -> None:
    payload = {"image_id": image_id, "repository_id": repository.id, "scan_type": scan_type}
    payload["repository_name"] = repository.repository_name
    enqueue(call, SCAN, due(call), repository.registry, f"{image_id}/{scan_type}", payload)


def due(call: Call) -> int:
    """When a scan that is asked for now has an end."""
    return call.now + call.runtime.config.scan_seconds * SECOND


def pushed(
    call: Call, repository: Repository, image_id: int, description: image_events.Description, tags: int | None
) -> None:
    """An image came, or is back (`tags` is None); `tags`: how many were set by the push.

    A digest that was there already is not scanned again (inferred). Under enhanced scanning it is monitored anew.
    """
    configuration = configuration_of(call, repository.registry)
    applied = applied_to(configuration, repository)
    if applied.frequency == "MANUAL" or _stranger(call, image_id, description) is not None:
        return
    scan_type = configuration.scan_type
    image = scans.fresh(call, image_id)
    known = scans.find_scan(call, image_id, scan_type)
    is_new = tags is None or (image.image_pushed_at == call.now and _has_no_more(call, repository, description, tags))
    if scan_type == "ENHANCED":
        if known is None or is_new:
            _begin(call, repository, image_id, scan_type, image.image_size_in_bytes, call.now)
        else:
            scans.pushed_again(call, image_id)
            if not _is_monitored(call, known):
                _begin(call, repository, image_id, scan_type, image.image_size_in_bytes, call.now)
    elif is_new and not (known is not None and rules.is_scanned_today(known.requested_at, call.now)):
        if is_quota_used(call, repository.registry):
            scans.begin(call, repository.id, image_id, scan_type, "LIMIT_EXCEEDED", call.now)
        else:
            _begin(call, repository, image_id, scan_type, image.image_size_in_bytes, call.now)


def _has_no_more(call: Call, repository: Repository, description: image_events.Description, tags: int) -> bool:
    """Whether the image has the tags of this push alone: at a clock that stands still, only the first push is so."""
    image = image_by_digest(call, repository, description.image_digest)
    return image is not None and len(tags_of(call, image)) <= tags


def _is_monitored(call: Call, known: scans.Scan) -> bool:
    return rules.is_monitored(known.pushed_at, None, call.now, call.runtime.config.scan_duration)


def sweep(call: Call, registry: Registry, configuration: Configuration, run_at: int | None = None) -> None:
    """Look at all images that enhanced scanning is to monitor, once a scan's time has passed, or at `run_at`."""
    key = _sweep_key(registry)
    if configuration.scan_type == "ENHANCED" and configuration.rules:
        enqueue(call, SWEEP, due(call) if run_at is None else run_at, registry, key)
    else:
        cancel(call, SWEEP, key)


def is_sweep_left(call: Call, registry: Registry, since: int) -> bool:
    """Whether a look at all images that was due by `since` is not over, and the rest of it can be done now."""
    found = find_pending(call, SWEEP, _sweep_key(registry))
    if found is None or found.run_at > call.runtime.clock.now():
        return False
    return found.run_at <= since or "after" in found.payload


def _sweep_key(registry: Registry) -> str:
    return f"{registry.account}/{registry.region}"


def attached(call: Call, repository: Repository, referrer_id: int, artifact_type: str | None) -> None:
    """Look again at the image that an OpenVEX document was attached to, if enhanced scanning has looked before."""
    subject = SUBJECT_OF.first(call.connection, image_id=referrer_id) if artifact_type in DOCUMENTS else None
    image = image_by_digest(call, repository, subject) if subject is not None else None
    known = scans.find_scan(call, image.id, "ENHANCED") if image is not None else None
    if image is not None and known is not None and known.status == "COMPLETE":
        _enqueue(call, repository, image.id, "ENHANCED")


def cancel_scans(call: Call, image_id: int) -> None:
    """Of both types, those that are under way."""
    for scan_type in ("BASIC", "ENHANCED"):
        cancel(call, SCAN, f"{image_id}/{scan_type}")
