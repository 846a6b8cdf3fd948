"""Commands of the key ring of a running ecrsim: the keys that repositories are encrypted with."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from ecrsim.config import Config
from ecrsim.core.printable import printable
from ecrsim.remote import RemoteError, ask

_KEYS = "/_ecrsim/keys"


def add_keys_commands(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare them; `add` is how the command line declares each of its commands."""
    where = ("host", "port", "data_dir", "admin_token", "account", "region")
    ring = commands.add_parser("keys", help="the key ring", description="the key ring.", allow_abbrev=False)
    parts = ring.add_subparsers(title="commands", required=True)
    listed = add(parts, "list", "remote.keys:list_keys", "list the keys of all accounts", where)
    listed.add_argument("--json", action="store_true", help="the whole answer as JSON, with the grants of each key")
    made = add(parts, "create", "remote.keys:create", "make a key, and print its ARN", where)
    made.add_argument("--alias", metavar="NAME", help="alias/NAME, or NAME alone")
    made.add_argument("--key-id", metavar="ID", help="of a key that is named somewhere already (default: a new one)")
    made.add_argument("--description", metavar="TEXT", help="what it is for")
    made.add_argument(
        "--share-with",
        action="append",
        metavar="WHO",
        help="an account, or the ARN of a principal, that may use it besides those of its account; may be repeated",
    )
    for name, words in {
        "disable": "keep a key from being used",
        "enable": "let a key be used again",
        "rotate": "let a key encrypt with something new; what it encrypted before it still opens",
        "cancel-deletion": "keep a key that was to be deleted; it is disabled",
    }.items():
        _key(add(parts, name, f"remote.keys:{name.replace('-', '_')}", words, where))
    leaving = add(
        parts,
        "schedule-deletion",
        "remote.keys:schedule_deletion",
        "delete a key in some days; until then it is shut",
        where,
    )
    _key(leaving)
    leaving.add_argument("--days", type=int, default=30, metavar="N", help="7 to 30 (default: 30), on ecrsim's clock")
    named = add(parts, "alias", "remote.keys:alias", "let an alias stand for a key", where)
    named.add_argument("alias", metavar="NAME", help="alias/NAME, or NAME alone")
    named.add_argument("key", metavar="KEY", nargs="?", help="a key's id, ARN or alias")
    named.add_argument("--delete", action="store_true", help="forget the alias")
    revoked = add(parts, "revoke-grant", "remote.keys:revoke_grant", "take a grant on a key away from ECR", where)
    _key(revoked)
    revoked.add_argument("grant", metavar="GRANT", help="a grant's id, as `ecrsim keys list --json` shows it, or all")


def _key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="a key's id, ARN or alias")


def _alias(name: str) -> str:
    return name if name.startswith("alias/") else f"alias/{name}"


def _change(config: Config, path: str, method: str = "POST", **members: Any) -> Any:
    place = {"account": config.account, "region": config.region}
    return ask(config, method, f"{_KEYS}{path}", place | {name: each for name, each in members.items() if each})


def list_keys(config: Config, options: argparse.Namespace) -> int:
    """Prints ARN, state, aliases and who manages it, one line each."""
    found = ask(config, "GET", _KEYS)
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for key in found["keys"]:
        end = f" until {key['deletionAt']}" if key["deletionAt"] else ""
        names = " ".join(key["aliases"])
        print(printable(f"{key['arn']} {key['state']}{end} {key['manager']} {names}".rstrip()))
    return 0


def create(config: Config, options: argparse.Namespace) -> int:
    """Prints the ARN, for the encryption configuration of a repository."""
    alias = _alias(options.alias) if options.alias else None
    members = {"key_id": options.key_id, "description": options.description, "shared_with": options.share_with}
    print(_change(config, "", alias=alias, **members)["arn"])
    return 0


def disable(config: Config, options: argparse.Namespace) -> int:
    return _say_state(_change(config, "/disable", key=options.key))


def enable(config: Config, options: argparse.Namespace) -> int:
    return _say_state(_change(config, "/enable", key=options.key))


def rotate(config: Config, options: argparse.Namespace) -> int:
    key = _change(config, "/rotate", key=options.key)
    print(printable(f"{key['arn']} was rotated {key['rotations']} times"))
    return 0


def cancel_deletion(config: Config, options: argparse.Namespace) -> int:
    return _say_state(_change(config, "/cancel-deletion", key=options.key))


def schedule_deletion(config: Config, options: argparse.Namespace) -> int:
    key = _change(config, "/schedule-deletion", key=options.key, days=options.days)
    print(printable(f"{key['arn']} goes on {key['deletionAt']}"))
    return 0


def alias(config: Config, options: argparse.Namespace) -> int:
    name = _alias(options.alias)
    if options.delete:
        _change(config, "/alias", "DELETE", alias=name)
        print(printable(f"forgot {name}"))
        return 0
    if options.key is None:
        raise RemoteError("name the key that the alias is to stand for, or --delete the alias")
    key = _change(config, "/alias", "PUT", alias=name, key=options.key)
    print(printable(f"{name} stands for {key['arn']}"))
    return 0


def revoke_grant(config: Config, options: argparse.Namespace) -> int:
    """Prints how many were revoked."""
    grants = [options.grant]
    if options.grant == "all":
        grants = []
        for key in ask(config, "GET", _KEYS)["keys"]:
            if options.key in (key["arn"], key["keyId"], *key["aliases"]):
                grants = [grant["grantId"] for grant in key["grants"]]
    for grant in grants:
        _change(config, "/revoke-grant", key=options.key, grant=grant)
    print(f"revoked {len(grants)}")
    return 0


def _say_state(key: dict[str, Any]) -> int:
    print(printable(f"{key['arn']} is {key['state']}"))
    return 0
