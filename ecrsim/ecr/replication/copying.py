"""Making a copy where this ecrsim has the destination too: rows of layers and images, and no bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import orjson

from ecrsim.core.errors import AccessDeniedException, ServiceError, ServiceUnavailableException
from ecrsim.core.facts import record
from ecrsim.core.misses import learn
from ecrsim.core.registry import Registry, partition
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.ecr.access.authorization import decision_of
from ecrsim.ecr.atrest.carrying import aside
from ecrsim.ecr.images import manifest as manifests
from ecrsim.ecr.images.lookup import image_by_digest, image_by_tag, manifest_of, tags_of
from ecrsim.ecr.images.pushing import PushRules, put_image
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.layers.service import share_layers, stored_size
from ecrsim.ecr.replication.events import ImageReplicated
from ecrsim.ecr.replication.rules import arriving_tags
from ecrsim.ecr.repositories.rules import is_immutable
from ecrsim.ecr.repositories.service import find_repository
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.templates.rules import REPLICATION
from ecrsim.ecr.templates.service import create_repository_for, template_for
from ecrsim.iam.decision import denial
from ecrsim.iam.managed import service_role
from ecrsim.records import tally
from ecrsim.records.trail import record_call

ROLE = "AWSServiceRoleForECRReplication"


class CopyResult(NamedTuple):
    """What came of a copy: `failure_code` is None when it arrived. `sub_image_failure_codes`: of an index's images."""

    failure_code: str | None = None
    sub_image_failure_codes: tuple[str, ...] = ()


class _SubImage(Exception):
    """An image that an index lists could not be copied: why."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.message)
        self.error = error


def role_caller(source: Registry, destination: Registry) -> Caller:
    """Replication acts as the service-linked role of the source's account (documented)."""
    role = service_role(partition(source.region), source.account, ROLE)
    return Caller(source.account, destination.region, role.session_arn)


def copy(call: Call, source: Repository, image_digest: str, destination: Registry, tags: Sequence[str]) -> CopyResult:
    """Copy the image with its children, layers, and those of `tags` that it still has. Runs in a write transaction.

    Either all of it arrives or nothing; both are told. ServiceUnavailableException is no outcome: it passes.
    """
    before = call.caller
    call.caller = role_caller(source.registry, destination)
    wanted: Sequence[str] = tags
    try:
        image = image_by_digest(call, source, image_digest)
        wanted = [tag for tag in tags if image is not None and tag in set(tags_of(call, image))]
        outcome = _copy(call, source, image, image_digest, destination, wanted)
    finally:
        call.caller = before
    place = destination, source.repository_name, image_digest
    record(call, ImageReplicated(*place, tuple(wanted), source.registry, outcome.failure_code))
    return outcome


def _copy(
    call: Call, source: Repository, image: Image | None, image_digest: str, destination: Registry, tags: Sequence[str]
) -> CopyResult:
    action = ["ReplicateImage"]
    error: ServiceError
    try:
        if image is None:
            return CopyResult("ImageNotFound")
        if image.image_status != "ACTIVE":
            return CopyResult("ImageInaccessible")
        with call.connection.begin_nested():
            repository = _repository(call, destination, source.repository_name, action)
            try:
                for child in children(call, source, image):
                    _put(call, source, child, repository, ())
            except ServiceError as failed:
                raise _SubImage(failed) from failed
            _put(call, source, image, repository, tags)
        on_trail(call, "ReplicateImage", destination, source.repository_name, image_digest)
        return CopyResult()
    except _SubImage as failed:
        error, codes = failed.error, [code_of(failed.error)]
    except ServiceError as failed:
        error, codes = failed, []
    if isinstance(error, ServiceUnavailableException):
        raise error
    on_trail(call, action[0], destination, source.repository_name, image_digest, error)
    return CopyResult(code_of(error), tuple(codes))


def code_of(error: ServiceError) -> str:
    """The failure code: the error's name without its last word (inferred; ECR documents no value)."""
    return error.code.removesuffix("Exception")


def _repository(call: Call, destination: Registry, repository_name: str, action: list[str]) -> Repository:
    """The repository of the same name, made by a template where it is missing. AccessDeniedException.

    `action` becomes what was asked last: the name of the record that a denial leaves.
    """
    found = find_repository(call, destination, repository_name)
    template = None if found else template_for(call, destination, repository_name, REPLICATION)
    needed = [] if found else ["CreateRepository"]
    needed += ["TagResource"] if template is not None and template.resource_tags else []
    for action[0] in (*needed, "ReplicateImage"):
        allow(call, action[0], destination, repository_name)
    if found is None:
        action[0] = "CreateRepository"
        if call.runtime.keyed_blobs is not None:
            # Layers are encrypted for it with no transaction open: it has to be there by then.
            create = partial(_create, call.runtime, call.caller, destination, repository_name)
            learn(call, ("create", destination, repository_name), partial(aside, create))
        found = create_repository_for(call, destination, repository_name, REPLICATION)
        action[0] = "ReplicateImage"
    return found


def _create(runtime: Runtime, caller: Caller, destination: Registry, repository_name: str) -> None:
    with runtime.call(caller) as call, call.writing():
        if find_repository(call, destination, repository_name) is None:
            create_repository_for(call, destination, repository_name, REPLICATION)


def allow(call: Call, action: str, destination: Registry, repository_name: str) -> None:
    """The policies of the destination decide, with the role's own. AccessDeniedException."""
    asked = destination.action(action)
    request, decision = decision_of(call, call.caller, asked, destination, repository_name, {})
    if not decision.allowed:
        raise AccessDeniedException(denial(request, decision))


def children(call: Call, source: Repository, image: Image) -> list[Image]:
    """All that an index lists, and what these list, the innermost first; what is not there is left out."""
    found: list[Image] = []
    seen = {image.image_digest}
    # Without recursion: nobody bounds how deep indexes are nested. An image comes up twice, before and after its own.
    waiting = [(image, False)]
    while waiting:
        each, is_done = waiting.pop()
        if is_done:
            found.append(each)
            continue
        waiting.append((each, True))
        if each.image_manifest_media_type in manifests.INDEX_TYPES:
            for digest in manifests.read(manifest_of(call, each), each.image_manifest_media_type).references:
                child = None if digest in seen else image_by_digest(call, source, digest)
                if child is not None:
                    seen.add(digest)
                    waiting.append((child, False))
    return found[:-1]


def _put(call: Call, source: Repository, image: Image, repository: Repository, tags: Sequence[str]) -> None:
    """The one image with its layers, under the tags that the destination lets it have."""
    there = image_by_digest(call, repository, image.image_digest)
    if there is not None and there.image_status == "ACTIVE" and not tags:
        return
    manifest = manifest_of(call, image)
    if there is None:
        digests = sorted({blob.digest for blob in manifests.read(manifest, image.image_manifest_media_type).blobs})
        call.runtime.blobs.learn(digests)
        found = {digest: stored_size(call, source, digest) for digest in digests}
        sizes = {digest: size for digest, size in found.items() if size is not None}
        for digest, size in sizes.items():
            if stored_size(call, repository, digest) is None:
                _sent(call, source, repository.registry, size)
        share_layers(call, source, repository, sizes)
    put_image(
        call,
        repository,
        manifest,
        image.image_manifest_media_type,
        tags=_fitting(call, repository, tags),
        expected_digest=image.image_digest,
        push_rules=PushRules(repeatable=True, layers_required=False),
        origin="replication",
    )


def _sent(call: Call, source: Repository, destination: Registry, size: int) -> None:
    """Bytes of a copy are billed at its source."""
    place = source.registry, source.repository_name
    tally.record(call, *place, tally.REPLICATION, destination=destination.region, size=size)


def _fitting(call: Call, repository: Repository, tags: Sequence[str]) -> tuple[str, ...]:
    mutability, filters = repository.image_tag_mutability, repository.image_tag_mutability_exclusion_filters
    if mutability == "MUTABLE":
        return tuple(tags)
    found = {tag: image_by_tag(call, repository, tag) for tag in tags}
    held = {tag: image.image_digest for tag, image in found.items() if image is not None}
    return arriving_tags(tags, held, lambda tag: is_immutable(mutability, filters, tag)).set


def on_trail(
    call: Call,
    action: str,
    destination: Registry,
    repository_name: str,
    image_digest: str,
    error: ServiceError | None = None,
) -> None:
    """A record in the destination's registry, whatever came of it: there a denial is looked for (documented)."""
    members = {"registryId": destination.account, "repositoryName": repository_name}
    if action == "ReplicateImage":
        members["imageDigest"] = image_digest
    record_call(
        call, action, destination, repository_name, orjson.dumps(members), b"", None, plane="registry", error=error
    )
