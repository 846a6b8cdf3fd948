"""The commands that look after what is stored: `ecrsim gc`, `fsck`, `store adopt`, `store forget-secrets`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ecrsim.blobs import BlobStoreError
from ecrsim.config import Config, with_values
from ecrsim.core.db import Database, SchemaMismatch
from ecrsim.core.durations import SECOND
from ecrsim.core.errors import ServiceError
from ecrsim.core.printable import printable
from ecrsim.core.runtime import Runtime, is_encrypted
from ecrsim.ecr import load_capabilities
from ecrsim.ecr.images.fsck import fsck
from ecrsim.ecr.images.garbage import collect
from ecrsim.values import CommandFailed


class StorageError(CommandFailed):
    """It could not be done; the text says why."""


@contextmanager
def stored(config: Config) -> Iterator[Runtime]:
    """A runtime over the stored data, not opened yet. Errors of database and store become StorageError."""
    load_capabilities()
    config = with_values(config, ephemeral=False)
    name = ""
    try:
        with closing(Database(config.database_url_in(Path(config.data_dir)))) as database:
            name = database.name
            if not database.exists():
                raise StorageError(f"there is no database {name}")
            encrypt = is_encrypted(database)
        # Without the setting of the clock, which is one of serving: it may go on in another process, turned since.
        with closing(Runtime(with_values(config, clock="", encrypt=encrypt))) as runtime:
            yield runtime
    except DBAPIError as error:
        raise StorageError(f"{name}: {error.orig}") from error
    except (SchemaMismatch, ServiceError, BlobStoreError, OSError) as error:
        raise StorageError(str(error)) from error


def gc(config: Config, options: argparse.Namespace) -> int:
    """Collect layers and uploads that nothing needs any more."""
    with stored(config) as runtime:
        runtime.open()
        gone = collect(runtime, options.grace)
    sys.stdout.write(
        f"collected {gone.layers} layers of repositories, {gone.blobs} blobs ({gone.bytes} bytes) "
        f"and {gone.uploads} unfinished uploads\n"
    )
    return 0


def adopt(config: Config, _: argparse.Namespace) -> int:
    """Make the store this database's, whoever had it."""
    with stored(config) as runtime:
        runtime.database.open()
        before = runtime.ownership.adopt(runtime.clock.unturned() / SECOND)
        file = runtime.database.name
    store = config.blob_store or config.data_dir
    lines = [f"the blob store {store} belongs to the database {file} from now on"]
    if before is not None:
        lines.append(f"the database {before}, which had it, is refused there now")
    lines.append(f"what {file} does not name is collected after {config.gc_grace} seconds")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


#: Images that are listed of one fault; a base layer may be that of thousands.
_SHOWN = 20
#: The exit code of `fsck` when something is wrong and was not put right.
_DAMAGED = 3


def check(config: Config, options: argparse.Namespace) -> int:
    """Read everything that is stored. 0: all is sound, 1: it could not be read, 3: something is wrong."""
    with stored(config) as runtime:
        runtime.open()
        found = fsck(runtime, repair=options.repair)
    lines = []
    for trouble in found.troubles:
        lines.append(f"{'mended' if trouble.is_repaired else 'WRONG '}  {trouble.text}")
        lines += [f"        cannot be pulled: {name}" for name in trouble.images[:_SHOWN]]
        if len(trouble.images) > _SHOWN:
            lines.append(f"        and {len(trouble.images) - _SHOWN} more")
    count = len(found.troubles)
    verdict = "all is sound" if not count else f"{count} {'thing is' if count == 1 else 'things are'} wrong"
    lines.append(f"read {found.blobs} blobs ({found.bytes} bytes) and {found.images} images: {verdict}")
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    return 0 if found.is_sound else _DAMAGED


#: In this order: rules and places of targets go with them. What files have told is told anew at the next start.
_FORGET = (
    "DELETE FROM access_keys",
    "DELETE FROM target_rules",
    "DELETE FROM deliveries",
    "DELETE FROM targets",
    "DELETE FROM properties WHERE name LIKE 'secret:%' OR name = 'signer-root' OR name LIKE '%\\:generation'",
)


def forget_secrets(config: Config, _: argparse.Namespace) -> int:
    """Forget what was sealed with a key that is lost: access keys, sessions, targets; logins end as well."""
    with stored(config) as runtime:
        if runtime.ownership.is_in_use():
            raise StorageError(f"{runtime.database.name} is in use: stop the ecrsim that serves it first")
        # Not through the runtime's own connections, which the lost key is asked for.
        url = config.database_url_in(Path(config.data_dir))
        with closing(Database(url)) as database, database.write() as connection:
            for statement in _FORGET:
                connection.execute(text(statement))
    sys.stdout.write(
        "access keys, sessions and targets are forgotten; the next start makes a key where there is none, and reads "
        "the files of --principals and --targets anew\n"
    )
    return 0
