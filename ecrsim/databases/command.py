"""`ecrsim db current|upgrade|copy`: declared here; what they do is loaded when one is called.

Exit codes: 0 done, 1 it could not be done, 2 the command line is wrong, 3 an upgrade is due (`current`), or what was
copied had damage before (`copy`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_STORED = ("data_dir", "database_url", "blob_store", "secret_key_file")


def add_database_commands(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare them; `add` is how the command line declares each of its commands."""
    group = commands.add_parser("db", help="the database", description="the database.", allow_abbrev=False)
    kinds = group.add_subparsers(title="commands", required=True)
    what = "say which version the database has, and change nothing"
    add(kinds, "current", "databases.versions:current", what, _STORED)
    add(kinds, "upgrade", "databases.versions:upgrade", "migrate the database to the version of this release", _STORED)
    about = "copy everything to another database and blob store, and read it again there"
    copied = add(kinds, "copy", "databases.copy_command:copy_all", about, _STORED)
    copied.add_argument("--from", dest="from_url", metavar="URL", help="the database (default: by the settings)")
    copied.add_argument("--from-store", metavar="STORE", help="its blob store (default: by the settings)")
    copied.add_argument("--from-data-dir", metavar="DIR", help="its data directory (default: by the settings)")
    copied.add_argument("--to", dest="to_url", metavar="URL", help="the new database (default: in --to-data-dir)")
    copied.add_argument("--to-store", metavar="STORE", help="the new blob store (default: in --to-data-dir)")
    kept = "the data directory to serve it with, for secret.key and the like (default: that of the source)"
    copied.add_argument("--to-data-dir", metavar="DIR", help=kept)
