"""Layers as files, for as long as they are examined, where the store has none: what reads them has no database."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecrsim.blobs.base import CHUNK, BlobNotFound, split_digest
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.scanning.examination_messages import ImageToExamine


@contextmanager
def brought(runtime: Runtime, asked: ImageToExamine) -> Iterator[ImageToExamine]:
    """The same with files in the place of digests. StoreUnwritable, OSError."""
    if not runtime.blobs.waits:
        yield asked
        return
    with tempfile.TemporaryDirectory(prefix="ecrsim-layers-") as name:
        files: dict[str, str | None] = {}

        def file(place: str | None) -> str | None:
            if place is None or split_digest(place) is None:
                return place
            if place not in files:
                files[place] = _bring(runtime, place, Path(name) / str(len(files)))
            return files[place]

        yield asked._replace(
            layers=[each._replace(path=file(each.path)) for each in asked.layers],
            config=file(asked.config),
            documents=[found for found in map(file, asked.documents) if found is not None],
            blobs={digest: file(place) or "" for digest, place in asked.blobs.items()},
        )


def _bring(runtime: Runtime, digest: str, target: Path) -> str | None:
    """None where the blob is gone since."""
    try:
        with runtime.blobs.open(digest) as source, target.open("xb") as copy:
            shutil.copyfileobj(source, copy, CHUNK)
    except BlobNotFound:
        return None
    return str(target)
