"""`ecrsim public …`: what AWS's console does for a public registry."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

_ASKING = ("host", "port", "data_dir", "admin_token")
_FETCHING = (*_ASKING, "auth", "upstream", "upstream_ca")


def add_public_commands(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare them; `add` is how the command line declares each of its commands."""
    group = commands.add_parser("public", help="ECR Public", description="ECR Public.", allow_abbrev=False)
    parts = group.add_subparsers(title="commands", required=True)
    summary = "give a public registry an alias, or list the aliases"
    parser = add(parts, "alias", "remote.public:alias", summary, _ASKING)
    parser.add_argument("name", nargs="?", metavar="ALIAS", help="the alias (default: list all)")
    parser.add_argument("--of", metavar="ACCOUNT", help="whose registry (default: the default account's)")
    parser.add_argument("--status", choices=("ACTIVE", "PENDING", "REJECTED"), default="ACTIVE", help="what AWS says")
    parser.add_argument("--secondary", action="store_true", help="leave another alias in the URIs of the registry")
    parser.add_argument("--verified", action=argparse.BooleanOptionalAction, help="the badge of a verified account")
    summary = "bring a repository of another registry into a public one"
    parser = add(parts, "mirror", "mirror.copying:mirror", summary, _FETCHING)
    parser.add_argument(
        "source", metavar="HOST/REPOSITORY", help="public.ecr.aws/nginx/nginx:1.27; all tags without one"
    )
    parser.add_argument("--into", metavar="ALIAS/REPOSITORY", help="where to (default: as it is called there)")
