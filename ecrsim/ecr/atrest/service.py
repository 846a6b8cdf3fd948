"""Which key encrypts what: the data key of each repository, and the spaces of those that share stored bytes.

    KMS key  →  data key of a repository  →  key of its space  →  key of a file  →  frames
                                          →  key of its manifests

A repository gets one data key when something is first pushed to it (GenerateDataKey, with ECR's encryption context),
and opens it at each use (Decrypt): whatever the key of the repository allows is allowed here. Repositories of one
registry, type and KMS key share a space, in which a layer is kept once: each of them has the key of the space under its
own data key. With the last of them the key is gone, and with it whatever a collection has not deleted yet.

Without the setting all of this is one look at an attribute.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select

from ecrsim.blobs.base import BlobStore
from ecrsim.blobs.names import stored_name
from ecrsim.core import ids
from ecrsim.core.errors import KmsException, ServiceUnavailableException
from ecrsim.core.query import Addition, Query
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime
from ecrsim.core.spaces import opens_spaces
from ecrsim.ecr.atrest.ciphers import NotSealedHere, Sealer, derived
from ecrsim.ecr.atrest.tables import repository_keys
from ecrsim.ecr.repositories.protection import Keeper, Protected, keeper
from ecrsim.ecr.repositories.tables import repositories

_MEMORY = "atrest"
#: Repositories of a space that are asked for its key, where the first ones cannot open theirs.
_TRIED = 8


class KeptKeys(NamedTuple):
    """The keys of a repository, and what `Protected` says of it. Nothing in it ever changes."""

    id: int
    kind: str
    registry_id: str
    region: str
    repository_name: str
    encryption_type: str
    kms_key: str | None
    wrapped_key: str
    space: str
    space_key: str

    @property
    def registry(self) -> Registry:
        return Registry(self.registry_id, self.region, self.kind)


class OpenKeys(NamedTuple):
    """The keys of a repository, opened. `blobs`: its layers; `manifests`: what seals its manifests."""

    data_key: bytes
    space_key: bytes
    blobs: BlobStore
    manifests: Sealer


_KEPT = (
    *(repositories.c[name] for name in KeptKeys._fields[:7]),
    *(repository_keys.c[name] for name in KeptKeys._fields[7:]),
)
_OF_REPOSITORY = Query(
    select(*_KEPT)
    .join(repository_keys, repository_keys.c.repository_id == repositories.c.id)
    .where(repositories.c.id == bindparam("repository_id")),
    KeptKeys,
)
_SHARING = Query(
    select(*_KEPT)
    .join(repository_keys, repository_keys.c.repository_id == repositories.c.id)
    .where(repository_keys.c.sharing == bindparam("sharing"))
    .order_by(repositories.c.id.desc())
    .limit(_TRIED),
    KeptKeys,
)
_OF_SPACE = Query(
    select(*_KEPT)
    .join(repository_keys, repository_keys.c.repository_id == repositories.c.id)
    .where(repository_keys.c.space == bindparam("space"))
    .order_by(repositories.c.id.desc())
    .limit(_TRIED),
    KeptKeys,
)
_KEEP = Addition(repository_keys, "repository_id", "sharing", "wrapped_key", "space", "space_key")


class _Memory(NamedTuple):
    """What one process remembers, by the number of a repository. No number is given twice."""

    kept: dict[int, KeptKeys]
    opened: dict[int, OpenKeys]


#: Repositories that are remembered; some KB each.
_MOST = 4096


def _memory(runtime: Runtime) -> _Memory:
    found: Any = runtime.memory.get(_MEMORY)
    if found is None or len(found.kept) > _MOST:
        found = runtime.memory[_MEMORY] = _Memory({}, {})
    return found  # type: ignore[no-any-return]


def blobs_of(call: Call, repository: Protected) -> BlobStore:
    """Where the layers of a repository are stored, to be read and added to. KmsException, Miss.

    Asked once in a call, before anything that is not undone with it: what has begun may come to its end.
    """
    if call.runtime.keyed_blobs is None:
        return call.runtime.blobs
    return opened_keys(call, repository).blobs


def stored_layer_size(call: Call, repository: Protected, layer_digest: str) -> int | None:
    """The bytes of a layer that the store has for the repository, or None. No key is needed."""
    blobs = call.runtime.blobs
    if call.runtime.keyed_blobs is None:
        return blobs.stat(layer_digest)
    kept = kept_keys(call, repository.id)
    return None if kept is None else blobs.stat(stored_name(layer_digest, kept.space))


def name_in_store(call: Call, repository: Protected, layer_digest: str) -> str:
    """The name of a layer in the store as a whole."""
    if call.runtime.keyed_blobs is None:
        return layer_digest
    kept = kept_keys(call, repository.id)
    return layer_digest if kept is None else stored_name(layer_digest, kept.space)


def share_space(call: Call, one: Protected, other: Protected) -> bool:
    """Whether stored bytes of one are the other's as well. The second one gets keys where it has none. Miss."""
    if call.runtime.keyed_blobs is None or one.id == other.id:
        return True
    first = kept_keys(call, one.id)
    opened_keys(call, other)
    second = kept_keys(call, other.id)
    return first is not None and second is not None and first.space == second.space


def kept_keys(call: Call, repository_id: int) -> KeptKeys | None:
    """The keys of a repository, closed; None while nothing was pushed to it."""
    memory = _memory(call.runtime)
    found = memory.kept.get(repository_id)
    if found is None:
        found = _OF_REPOSITORY.first(call.connection, repository_id=repository_id)
        # A row of a transaction that is not over may yet be undone.
        if found is not None and not call.is_writing:
            memory.kept[repository_id] = found
    return found


def opened_keys(call: Call, repository: Protected) -> OpenKeys:
    """The keys of a repository, which are made where it has none. KmsException, Miss."""
    place = f"{_MEMORY}:{repository.id}"
    found: OpenKeys | None = call.lookups.get(place)
    if found is None:
        kept = kept_keys(call, repository.id)
        if kept is None:
            with call.writing():
                kept = _made(call, repository)
        found = call.lookups[place] = _opened(call.runtime, kept, _keeper().opened(call, kept, kept.wrapped_key))
    return found


def open_keys_now(call: Call, repository: Protected) -> None:
    """Have the keys of a repository ready for the call, in a thread that may wait. No transaction may be open.

    KmsException. Nothing that the call does with this repository is a Miss then.
    """
    runtime = call.runtime
    if runtime.keyed_blobs is None:
        return
    with call.reading():
        kept = kept_keys(call, repository.id)
    if kept is None:
        made = _keeper().generate_now(runtime, repository)
        with call.reading():
            sharing = _SHARING.all(call.connection, sharing=_keeper().sharing(repository))
        for other in sharing:
            with contextlib.suppress(KmsException):
                _keeper().opened_now(runtime, other, other.wrapped_key)
        with call.writing():
            kept = kept_keys(call, repository.id) or _keep(call, repository, made)
    data_key = _keeper().opened_now(runtime, kept, kept.wrapped_key)
    call.lookups[f"{_MEMORY}:{repository.id}"] = _opened(runtime, kept, data_key)


def _keeper() -> Keeper:
    found = keeper()
    if found is None:
        raise ServiceUnavailableException("What is stored is encrypted, and nothing here keeps keys.")
    return found


def _opened(runtime: Runtime, kept: KeptKeys, data_key: bytes) -> OpenKeys:
    memory = _memory(runtime)
    found = memory.opened.get(kept.id)
    if found is None or found.data_key != data_key:
        if runtime.keyed_blobs is None:
            raise ServiceUnavailableException("What is stored is not encrypted here.")
        space_key = _space_key(kept, data_key)
        found = OpenKeys(
            data_key,
            space_key,
            runtime.keyed_blobs.within(kept.space, space_key),
            Sealer(derived(data_key, "manifests")),
        )
        memory.opened[kept.id] = found
    return found


def _space_key(kept: KeptKeys, data_key: bytes) -> bytes:
    try:
        return Sealer(derived(data_key, "spaces")).opened(bytes.fromhex(kept.space_key), kept.space)
    except (NotSealedHere, ValueError) as error:
        raise ServiceUnavailableException(
            f"The keys of the repository with name '{kept.repository_name}' are damaged: its layers cannot be read."
        ) from error


def _made(call: Call, repository: Protected) -> KeptKeys:
    """The keys of a repository that had none when it was last looked, in a write transaction."""
    found = _OF_REPOSITORY.first(call.connection, repository_id=repository.id)
    return found or _keep(call, repository, _keeper().generate(call, repository))


def _keep(call: Call, repository: Protected, made: Any) -> KeptKeys:
    sharing = _keeper().sharing(repository)
    # Two first pushes to different repositories that share have one space all the same.
    call.runtime.database.also(call.connection, f"space {sharing}")
    space, space_key = _shared_space(call, sharing) or (ids.new_secret()[:16].hex(), ids.new_secret())
    sealed = Sealer(derived(made.plaintext, "spaces")).sealed(space_key, space, ids.new_secret())
    _KEEP.run(
        call.connection,
        repository_id=repository.id,
        sharing=sharing,
        wrapped_key=made.wrapped,
        space=space,
        space_key=sealed.hex(),
    )
    return _OF_REPOSITORY.one(call.connection, repository_id=repository.id)


def _shared_space(call: Call, sharing: str) -> tuple[str, bytes] | None:
    """The space of those that share, with its key, where one of them can open it. Miss."""
    for each in _SHARING.all(call.connection, sharing=sharing):
        try:
            return each.space, _space_key(each, _keeper().opened(call, each, each.wrapped_key))
        except (KmsException, ServiceUnavailableException):
            continue  # they have a space that is lost to all
    return None


@opens_spaces
def space_key_now(runtime: Runtime, space: str) -> bytes:
    """The key of a space, for those who look after the store. KmsException. No transaction may be open."""
    with runtime.database.read() as connection:
        found = _OF_SPACE.all(connection, space=space)
    error = KmsException(f"no repository has the key of the space {space}", kmsError="NotFoundException")
    for each in found:
        try:
            data_key = _keeper().opened_now(runtime, each, each.wrapped_key)
        except KmsException as failed:
            error = failed
            continue
        try:
            return _space_key(each, data_key)
        except ServiceUnavailableException as failed:
            error = KmsException(failed.message, kmsError="InvalidCiphertextException")
    raise error
