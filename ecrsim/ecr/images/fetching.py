"""Images that a later capability may get from elsewhere, for the operations that read them (`core/misses.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ecrsim.core.digest import is_oci_digest
from ecrsim.core.errors import RepositoryNotFoundException
from ecrsim.core.misses import Wanted, ask_first, why_not
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.images import rules
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.ecr.repositories.tables import Repository

ImageId = Mapping[str, str]


def _wanted(registry: Registry, repository_name: str, image_id: ImageId) -> Wanted:
    reference = image_id.get("imageTag") or image_id["imageDigest"]
    return Wanted(registry, repository_name, "image", reference)


def repository_of(call: Call, registry: Registry, repository_name: str, image_ids: Sequence[ImageId]) -> Repository:
    """The repository, once its images were asked for elsewhere. Miss.

    Where it is one of a cache and is not there, the upstream's refusal says more than RepositoryNotFoundException.
    """
    wanted = [_wanted(registry, repository_name, each) for each in image_ids if not rules.malformed(each)]
    for each in wanted:
        ask_first(call, each)
    try:
        return get_repository(call, registry, repository_name)
    except RepositoryNotFoundException:
        for each in wanted:
            unfetched = why_not(call, each)
            if unfetched is not None and unfetched.kind != "missing":
                raise unfetched.error from None
        raise


def why(
    call: Call, registry: Registry, repository_name: str, image_id: ImageId, failure: rules.Failure | None
) -> rules.Failure:
    """Why an image is not given; of one that an upstream was asked for, what came of it."""
    if failure in (None, rules.NOT_FOUND):
        unfetched = why_not(call, _wanted(registry, repository_name, image_id))
        if unfetched is not None and unfetched.kind in rules.UNFETCHED:
            return rules.Failure(rules.UNFETCHED[unfetched.kind], unfetched.error.message)
    return failure or rules.NOT_FOUND


def layer(call: Call, registry: Registry, repository_name: str, layer_digest: str) -> None:
    """Ask elsewhere for a layer that is not here. Miss; the error of an upstream that did not give it."""
    if not is_oci_digest(layer_digest):
        return
    wanted = Wanted(registry, repository_name, "layer", layer_digest)
    ask_first(call, wanted, is_here=False)
    unfetched = why_not(call, wanted)
    if unfetched is not None and unfetched.kind != "missing":
        raise unfetched.error


def referrers(call: Call, registry: Registry, repository_name: str, digest: str) -> None:
    """Ask elsewhere for what refers to a digest. Miss; the error of an upstream that has never answered."""
    if not is_oci_digest(digest):
        return
    wanted = Wanted(registry, repository_name, "referrers", digest)
    ask_first(call, wanted)
    unfetched = why_not(call, wanted)
    if unfetched is not None and unfetched.kind != "missing":
        raise unfetched.error
