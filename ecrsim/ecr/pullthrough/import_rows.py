"""Rows of what is on its way, and whose process brings it.

A process that brings something has a number, and the lock of that number for as long as it lives. What stands in the
name of a number that nobody holds is nobody's: its process was killed.
"""

from __future__ import annotations

import itertools
import threading
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, or_, select

from ecrsim.core.db import Database, Held
from ecrsim.core.query import Change, Query
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.manifests import opened_manifest
from ecrsim.ecr.images.tables import image_layers, image_manifests, images
from ecrsim.ecr.pullthrough.tables import image_imports, layer_imports


class ImageRow(NamedTuple):
    """An image on its way; `image_tag` is set where it was asked for by that. `manifest` is as it stands in the row."""

    import_id: str
    image_digest: str
    repository_id: int
    image_tag: str | None
    media_type: str
    manifest: bytes
    owner: int


class _Sealed(NamedTuple):
    image_digest: str
    manifest: bytes


class LayerRow(NamedTuple):
    """A layer on its way into an upload session."""

    repository_id: int
    layer_digest: str
    layer_size: int
    upload_id: str
    owner: int


_IN_REPOSITORY = image_imports.c.repository_id == bindparam("repository_id")
_IMAGE = Query(
    select(image_imports).where(
        _IN_REPOSITORY,
        or_(image_imports.c.image_digest == bindparam("asked"), image_imports.c.image_tag == bindparam("asked")),
    ),
    ImageRow,
)
_MANIFESTS = Query(select(image_imports.c.image_digest, image_imports.c.manifest).where(_IN_REPOSITORY), _Sealed)
_NAMING = Query(
    select(images.c.image_digest, image_manifests.c.manifest)
    .join(images, images.c.id == image_manifests.c.image_id)
    .join(image_layers, image_layers.c.image_id == image_manifests.c.image_id)
    .where(
        image_layers.c.repository_id == bindparam("repository_id"),
        image_layers.c.layer_digest == bindparam("layer_digest"),
    )
    .limit(1),
    _Sealed,
)
_IS_IMAGE = (image_imports.c.import_id == bindparam("import_id")) & (
    image_imports.c.image_digest == bindparam("image_digest")
)
_THERE = Query(select(image_imports.c.owner).where(_IS_IMAGE), int)
_DROP_IMAGE = Change(delete(image_imports).where(_IS_IMAGE))
_DROP_IMPORT = Change(delete(image_imports).where(image_imports.c.import_id == bindparam("import_id")))
_IS_LAYER = (layer_imports.c.repository_id == bindparam("repository_id")) & (
    layer_imports.c.layer_digest == bindparam("layer_digest")
)
_LAYER = Query(select(layer_imports).where(_IS_LAYER), LayerRow)
_DROP_LAYER = Change(delete(layer_imports).where(_IS_LAYER))


def find_image(call: Call, repository_id: int, asked: str) -> ImageRow | None:
    """The image on its way that has this digest, or was asked for by this tag."""
    return _IMAGE.first(call.connection, repository_id=repository_id, asked=asked)


def is_there(call: Call, import_id: str, image_digest: str) -> bool:
    """Whether the image is still on its way: its repository, or everything, may have been deleted."""
    return _THERE.first(call.connection, import_id=import_id, image_digest=image_digest) is not None


def add_image(call: Call, row: ImageRow) -> None:
    call.connection.execute(insert(image_imports).values(row._asdict()))


def drop_image(call: Call, import_id: str, image_digest: str) -> None:
    _DROP_IMAGE.run(call.connection, import_id=import_id, image_digest=image_digest)


def drop_import(call: Call, import_id: str) -> None:
    """Delete the rows of all images of an import."""
    _DROP_IMPORT.run(call.connection, import_id=import_id)


def manifests_naming(call: Call, repository_id: int, layer_digest: str) -> list[bytes]:
    """Manifests that may tell how large a layer is: of an image that has it, and of those on their way. Miss."""
    sealed = _NAMING.all(call.connection, repository_id=repository_id, layer_digest=layer_digest)
    sealed += _MANIFESTS.all(call.connection, repository_id=repository_id)
    # Those that do not name it are not worth parsing: there may be 64 MiB of them.
    name = layer_digest.encode()
    opened = (opened_manifest(call, each.manifest, each.image_digest) for each in sealed)
    return [each for each in opened if name in each]


def find_layer(call: Call, repository_id: int, layer_digest: str) -> LayerRow | None:
    return _LAYER.first(call.connection, repository_id=repository_id, layer_digest=layer_digest)


def add_layer(call: Call, row: LayerRow) -> None:
    """Note a layer that this process brings, in the place of one whose process is gone."""
    drop_layer(call, row.repository_id, row.layer_digest)
    call.connection.execute(insert(layer_imports).values(row._asdict()))


def drop_layer(call: Call, repository_id: int, layer_digest: str) -> None:
    _DROP_LAYER.run(call.connection, repository_id=repository_id, layer_digest=layer_digest)


def forget(connection: Connection, owner: int) -> None:
    """Delete all rows of a number."""
    for table in (image_imports, layer_imports):
        connection.execute(delete(table).where(table.c.owner == owner))


class Custody:
    """The number of this process, taken when it is first needed, and another one where the right to it was lost."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._number: int | None = None
        self._held: Held | None = None

    def number(self) -> int:
        """The number of this process. No transaction may be open."""
        with self._lock:
            if self._held is not None and not self._held.is_held():
                # Whoever has taken it since would believe what this process brings from now on to be its own.
                self._number = self._held = None
            if self._number is None:
                for number in itertools.count():
                    self._held = self._database.hold(_name(number), wait=False)
                    if self._held is not None:
                        break
                # Whoever had the number before is gone.
                with self._database.write() as connection:
                    forget(connection, number)
                self._number = number
            return self._number

    def is_alive(self, owner: int) -> bool:
        """Whether somebody has this number, as far as can be seen without waiting."""
        if owner == self._number:
            return True
        held = self._database.hold(_name(owner), wait=False)
        if held is None:
            return True
        held.release()
        return False

    def release(self) -> None:
        with self._lock:
            if self._held is not None:
                self._held.release()
            self._number = self._held = None


def _name(number: int) -> str:
    return f"importer-{number}"
