"""`ecrsim advisories import|list|show|remove|ignore`: declared here; what they do is loaded when one is called.

They work on the data directory: a running ecrsim sees that the file is another one. Exit codes: 0 done, 1 it could not
be done, 2 the command line is wrong, 3 it was done, and records were refused.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ecrsim.config import Config

_WHERE = ("port", "data_dir")
_FETCHING = (*_WHERE, "upstream", "upstream_network", "upstream_ca")


def add_advisory_commands(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare them; `add` is how the command line declares each of its commands."""
    about = "what scans know of vulnerabilities"
    group = commands.add_parser("advisories", help=about, description=f"{about}.", allow_abbrev=False)
    kinds = group.add_subparsers(title="commands", required=True)
    brought = add(kinds, "import", _run, "bring advisories in, in place of what their source said before", _FETCHING)
    brought.set_defaults(run="bring")
    brought.add_argument(
        "place",
        nargs="+",
        metavar="FILE",
        help="a file, directory or URL: an export of OSV (zip), records in its schema (JSON), Debian's security "
        "tracker or a secdb of Alpine; or the word shipped: the set that ecrsim has of its own",
    )
    brought.add_argument("--source", metavar="NAME", help="the name of the source (default: as the file is called)")
    listed = add(kinds, "list", _run, "list the sources, or the records that were refused", _WHERE)
    listed.set_defaults(run="show_sources")
    listed.add_argument("--refused", action="store_true", help="the records that were not taken, each with its reason")
    listed.add_argument("--json", action="store_true", help="as JSON")
    shown = add(kinds, "show", _run, "show what is known of a vulnerability", _WHERE)
    shown.set_defaults(run="show")
    shown.add_argument("cve", metavar="CVE", help="an id or an alias: CVE-2024-3094, GHSA-…, GO-…")
    shown.add_argument("--json", action="store_true", help="as JSON")
    removed = add(kinds, "remove", _run, "remove what a source said", _WHERE)
    removed.set_defaults(run="remove")
    removed.add_argument("source", metavar="NAME", help="as list shows it")
    ignored = add(kinds, "ignore", _run, "let scans pass over a vulnerability, or list what they pass over", _WHERE)
    ignored.set_defaults(run="ignore")
    ignored.add_argument("cve", nargs="?", metavar="CVE", help="an id or an alias (default: list what is ignored)")
    ignored.add_argument("--repository", default="", metavar="NAME", help="in this repository (default: in all)")
    ignored.add_argument("--until", metavar="DATE", help="until then, in ISO 8601 (default: ever)")
    ignored.add_argument("--reason", default="", metavar="TEXT", help="why")
    ignored.add_argument("--remove", action="store_true", help="pass over it no longer")
    ignored.add_argument("--vex", metavar="FILE", help="heed the statements of an OpenVEX document")


def _run(config: Config, options: argparse.Namespace) -> int:
    # Imported here: 300 ms of database that `ecrsim env` does without.
    from ecrsim.advisories import actions

    return actions.run(config, options)
