"""What `ecrsim db copy` is told, and what it says."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from typing import Any

from ecrsim.config import Config, ConfigError, with_values
from ecrsim.core.printable import printable
from ecrsim.core.runtime import Runtime
from ecrsim.databases.content import BytesDiffer
from ecrsim.databases.copying import CopyRefused, copy
from ecrsim.storage import stored

#: The exit code where the source lacked something, or had it wrong.
_DAMAGED = 3
#: Faults that are listed.
_SHOWN = 20


def copy_all(config: Config, options: argparse.Namespace) -> int:
    """Copy. 0: everything, 3: everything but what was damaged before. CommandFailed says why it could not be."""
    source, destination = _sides(config, options)
    with stored(source) as reading, closing(Runtime(destination)) as writing:
        try:
            done = copy(reading, writing)
        except BytesDiffer as error:
            raise CopyRefused(str(error)) from error
        names = reading.database.name, writing.database.name
    damage = [*done.blobs.damage, *done.uploads.damage]
    lines = [f"NOT COPIED  {text}" for text in damage[:_SHOWN]]
    if len(damage) > _SHOWN:
        lines.append(f"            and {len(damage) - _SHOWN} more: `ecrsim fsck` names the images that need them")
    what = (
        f"{done.rows} rows, {done.blobs.blobs} blobs ({done.blobs.bytes} bytes), "
        f"{done.uploads.blobs} unfinished uploads ({done.uploads.bytes} bytes)"
    )
    verb = "was copied before" if done.was_done else "is copied"
    lines.append(f"{names[0]} {verb} to {names[1]}, and compared: {what}")
    if done.files:
        lines.append(f"in {destination.data_dir}: {', '.join(done.files)}")
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    return _DAMAGED if damage else 0


def _sides(config: Config, options: argparse.Namespace) -> tuple[Config, Config]:
    """The settings of both. What is told of a side stands for all of it: the settings say nothing of the rest."""
    given = options.from_url, options.from_store, options.from_data_dir
    source = config
    if any(given):
        source = _changed(
            config,
            database_url=options.from_url or "",
            blob_store=options.from_store or "",
            data_dir=options.from_data_dir or config.data_dir,
        )
    if not (options.to_url or options.to_store or options.to_data_dir):
        raise CopyRefused("where to? Say --to and --to-store, or --to-data-dir")
    destination = _changed(
        source,
        database_url=options.to_url or "",
        blob_store=options.to_store or "",
        data_dir=options.to_data_dir or source.data_dir,
        ephemeral=False,
        clock="",
    )
    return source, destination


def _changed(config: Config, **values: Any) -> Config:
    try:
        return with_values(config, **values)
    except ConfigError as error:
        raise CopyRefused(str(error)) from error
