"""`ecrsim fsck`: reads all that is stored and says what is wrong, and what that means for which images.

It may run beside a server. Without repair it changes nothing. With it, blobs that are wrong are moved aside, so that
they are announced no more and a push brings them anew; rows that contradict sound bytes are set right; layers whose
bytes are gone and that no image names are forgotten. Nothing that an image names is taken from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Row, bindparam, delete, select, update

from ecrsim.blobs.names import digest_in, split_name
from ecrsim.core.digest import algorithm_of, digest_of
from ecrsim.core.errors import KmsException, ServiceUnavailableException
from ecrsim.core.ownership import batches, blob_names
from ecrsim.core.runtime import Runtime, root_caller
from ecrsim.ecr.atrest.manifests import opened_manifest_now
from ecrsim.ecr.atrest.tables import repository_keys
from ecrsim.ecr.images.tables import image_layers, image_manifests, image_tags, images
from ecrsim.ecr.layers import soundness
from ecrsim.ecr.layers.tables import layers, layers_by_name, rows_of_name
from ecrsim.ecr.repositories.tables import repositories

_PAGE = 200


class Trouble(NamedTuple):
    """One thing that is wrong. `images`: what cannot be pulled because of it."""

    text: str
    images: tuple[str, ...] = ()
    is_repaired: bool = False


class Checked(NamedTuple):
    """The result of an fsck: how much was read, and the troubles that were found."""

    blobs: int
    bytes: int
    images: int
    troubles: list[Trouble]

    @property
    def is_sound(self) -> bool:
        """Nothing is wrong, or all of it was put right."""
        return all(trouble.is_repaired for trouble in self.troubles)


def fsck(runtime: Runtime, *, repair: bool) -> Checked:
    """Read everything. StoreMismatch when the store is another database's."""
    runtime.ownership.check()
    troubles = list(_database(runtime))
    sizes: dict[str, int] = {}
    wrong: set[str] = set()
    for digest, size, _ in runtime.blobs.blobs():
        problem = soundness.examine(runtime, digest, aside=repair)
        # Gone since it was listed: collected, or replaced by a push. Or encrypted with a key that went with its last
        # repository, and about to be collected.
        if problem in ("missing", "locked") and not _is_named(runtime, digest):
            continue
        sizes[digest] = size
        if problem is not None:
            wrong.add(digest)
            troubles.append(_blob(runtime, digest, problem, repair=repair))
    troubles += _layers(runtime, sizes, wrong, repair=repair)
    count, found = _manifests(runtime)
    return Checked(len(sizes), sum(sizes.values()), count, [*troubles, *found])


def _is_named(runtime: Runtime, digest: str) -> bool:
    with runtime.database.read() as connection:
        return bool(blob_names.among(connection, [digest]))


def _database(runtime: Runtime) -> Iterator[Trouble]:
    with runtime.database.read() as connection:
        for text in runtime.database.faults(connection):
            yield Trouble(f"the database is damaged: {text}")


def _blob(runtime: Runtime, digest: str, problem: str, *, repair: bool) -> Trouble:
    affected = images_of(runtime, digest)
    text = f"layer {digest} is {problem}: {soundness.PROBLEMS[problem]}"
    if repair and problem not in ("missing", "locked"):
        text += "; moved to damaged/, so that a push brings it anew"
    return Trouble(text, affected, is_repaired=repair and problem != "locked" and not affected)


def _layers(runtime: Runtime, sizes: dict[str, int], wrong: set[str], *, repair: bool) -> Iterator[Trouble]:
    """Layers of repositories whose bytes are not there, or are of another size than the row says."""
    after = ""
    while True:
        with runtime.database.read() as connection:
            rows = connection.execute(layers_by_name(after).limit(_PAGE)).all()
        if not rows:
            return
        after = rows[-1][0]
        for digest, least, most in rows:
            # Pushed since the blobs were listed, perhaps.
            size = None if digest in wrong else sizes.get(digest, runtime.blobs.stat(digest))
            if digest in wrong:
                continue
            if size is None:
                yield _missing(runtime, digest, repair=repair)
            elif (least, most) != (size, size):
                yield _of_another_size(runtime, digest, size, repair=repair)


def _missing(runtime: Runtime, digest: str, *, repair: bool) -> Trouble:
    affected = images_of(runtime, digest)
    problem = soundness.examine(runtime, digest, aside=False) or "missing"
    text = f"layer {digest} is {problem}: {soundness.PROBLEMS[problem]}"
    if not affected and repair:
        with runtime.database.write() as connection:
            if runtime.blobs.stat(digest) is None:
                connection.execute(delete(layers).where(rows_of_name(digest)))
        return Trouble(f"{text}; no image names it, it is forgotten", is_repaired=True)
    if affected and repair:
        soundness.examine(runtime, digest, aside=True)
    return Trouble(text, affected)


def _of_another_size(runtime: Runtime, digest: str, size: int, *, repair: bool) -> Trouble:
    text = f"layer {digest} is sound and has {size} bytes, the database has it otherwise"
    if repair:
        with runtime.database.write() as connection:
            connection.execute(update(layers).where(rows_of_name(digest)).values(layer_size=size))
        return Trouble(f"{text}; set right", is_repaired=True)
    return Trouble(text, images_of(runtime, digest))


_USERS = (
    select(repositories, images.c.image_digest, images.c.id.label("image_id"))
    .join(images, images.c.repository_id == repositories.c.id)
    .order_by(repositories.c.id, images.c.id)
)


def images_of(runtime: Runtime, layer_digest: str) -> tuple[str, ...]:
    """The images that name the layer, as people know them: account/region/repository:tag, or @digest.

    `layer_digest` is the name in the store: of a layer that is encrypted with several keys, one of them is meant.
    """
    query = _USERS.join(image_layers, image_layers.c.image_id == images.c.id).where(
        image_layers.c.layer_digest == bindparam("digest")
    )
    parts = split_name(layer_digest)
    if parts is not None:
        of_space = select(repository_keys.c.repository_id).where(repository_keys.c.space == parts[1])
        query = query.where(images.c.repository_id.in_(of_space))
    return _names(runtime, query, digest_in(layer_digest))


def _names(runtime: Runtime, query: object, digest: str) -> tuple[str, ...]:
    with runtime.database.read() as connection:
        rows = connection.execute(query, {"digest": digest}).all()  # type: ignore[call-overload]
        tags: dict[int, list[str]] = {}
        for numbers in batches(iter([str(row.image_id) for row in rows])):
            found = select(image_tags.c.image_id, image_tags.c.image_tag).where(
                image_tags.c.image_id.in_([int(number) for number in numbers])
            )
            for image_id, tag in connection.execute(found.order_by(image_tags.c.id)):
                tags.setdefault(image_id, []).append(tag)
    return tuple(name for row in rows for name in _name(row, tags.get(row.image_id, [])))


def _name(row: Row[tuple[object, ...]], tags: Iterable[str]) -> Iterator[str]:
    place = f"{row.registry_id}/{row.region}/{row.repository_name}"
    yield from [f"{place}:{tag}" for tag in tags] or [f"{place}@{row.image_digest}"]


def _manifests(runtime: Runtime) -> tuple[int, list[Trouble]]:
    """(images, what is wrong): manifests whose bytes have another digest, layers that their repository has not."""
    after = count = 0
    troubles: list[Trouble] = []
    query = select(images.c.id, images.c.image_digest, image_manifests.c.manifest).outerjoin(
        image_manifests, image_manifests.c.image_id == images.c.id
    )
    while True:
        with runtime.database.read() as connection:
            rows = connection.execute(query.where(images.c.id > after).order_by(images.c.id).limit(_PAGE)).all()
        if not rows:
            break
        after, count = rows[-1][0], count + len(rows)
        for image_id, digest, manifest in rows:
            text = _of_manifest(runtime, digest, manifest)
            if text is not None:
                [*names] = _names(runtime, _USERS.where(images.c.id == image_id), digest)
                troubles.append(Trouble(text, tuple(names)))
    if not runtime.config.sparse:
        troubles += _incomplete(runtime)
    return count, troubles


def _of_manifest(runtime: Runtime, digest: str, manifest: bytes | None) -> str | None:
    """What is wrong with a manifest as it stands in its row."""
    content = b""
    try:
        with runtime.call(root_caller(runtime.config.account, runtime.config.region)) as call:
            content = opened_manifest_now(call, bytes(manifest or b""), digest)
    except KmsException as error:
        return f"the manifest of image {digest} cannot be read: its key cannot be used ({error.message})"
    except ServiceUnavailableException:
        pass
    if digest_of(content, algorithm_of(digest)) != digest:
        return f"the manifest of image {digest} is damaged: delete the image and push it again"
    return None


def _incomplete(runtime: Runtime) -> Iterator[Trouble]:
    """Images that name a layer which their repository does not have; with the setting `sparse` that is allowed."""
    has = select(layers.c.layer_digest).where(
        layers.c.repository_id == image_layers.c.repository_id, layers.c.layer_digest == image_layers.c.layer_digest
    )
    query = select(image_layers.c.layer_digest).where(~has.exists()).distinct().order_by(image_layers.c.layer_digest)
    with runtime.database.read() as connection:
        digests = list(connection.execute(query).scalars())
    for digest in digests:
        without = _USERS.join(image_layers, image_layers.c.image_id == images.c.id).where(
            image_layers.c.layer_digest == bindparam("digest"), ~has.correlate(image_layers).exists()
        )
        yield Trouble(
            f"layer {digest} is missing in the repository of images that name it", _names(runtime, without, digest)
        )
