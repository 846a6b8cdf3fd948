"""Commands of signing, of a running ecrsim: make a profile, trust what it signs, say which signatures an image has."""

from __future__ import annotations

import argparse
import json
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ecrsim.config import Config
from ecrsim.core.printable import printable
from ecrsim.remote import RemoteError, ask

#: As Notation names the trust store of AWS Signer's scheme: `signingAuthority:ecrsim`.
STORE = "ecrsim"
_LEVELS = ("strict", "permissive", "audit")


def add_signing_commands(commands: Any, add: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare them; `add` is how the command line declares each of its commands."""
    where = ("host", "port", "data_dir", "admin_token", "account", "region")
    signer = commands.add_parser("signer", help="signing profiles", description="signing profiles.", allow_abbrev=False)
    parts = signer.add_subparsers(title="commands", required=True)
    made = add(parts, "create", "remote.signing:create", "make a signing profile, and print its ARN", where)
    made.add_argument("name", metavar="NAME", help="2 to 64 letters, digits and _")
    add(parts, "list", "remote.signing:list_profiles", "list the signing profiles of all accounts", where)
    store = add(parts, "trust-store", "remote.signing:trust_store", "let Notation trust what ecrsim signs", where)
    store.add_argument("directory", type=Path, metavar="DIR", help="of Notation's settings: ~/.config/notation")
    store.add_argument(
        "--profile", action="append", metavar="NAME", help="trust this profile alone (default: all; may be repeated)"
    )
    store.add_argument("--level", choices=_LEVELS, default="strict", help="of the trust policy (default: strict)")
    store.add_argument("--force", action="store_true", help="in place of a trust policy that is there")
    verify_one = add(commands, "verify", "remote.signing:verify", "say which signatures an image has", where)
    verify_one.add_argument(
        "image", metavar="IMAGE", help="REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST, behind a host or not"
    )
    verify_one.add_argument("--json", action="store_true", help="the whole answer as JSON")


def create(config: Config, options: argparse.Namespace) -> int:
    """Prints the ARN, for a rule of the signing configuration."""
    wanted = {"name": options.name, "account": config.account, "region": config.region}
    print(ask(config, "POST", "/_ecrsim/signing-profiles", wanted)["arn"])
    return 0


def list_profiles(config: Config, _: argparse.Namespace) -> int:
    """Prints ARN, status and version, one line each."""
    for each in ask(config, "GET", "/_ecrsim/signing-profiles")["signing_profiles"]:
        print(printable(f"{each['arn']} {each['status']} {each['profileVersion']}"))
    return 0


def trust_store(config: Config, options: argparse.Namespace) -> int:
    """Writes the certificate and a trust policy where `notation verify` looks for them."""
    directory = options.directory.expanduser()
    policy_file = directory / "trustpolicy.json"
    policy = json.dumps(trust_policy(config, options.profile or (), options.level), indent=2) + "\n"
    if policy_file.exists() and policy_file.read_text(encoding="utf-8") != policy and not options.force:
        raise RemoteError(f"{policy_file} is another trust policy; --force puts this one in its place")
    root = ask(config, "GET", "/_ecrsim/signer/root")
    certificate = directory / "truststore" / "x509" / "signingAuthority" / STORE / "ecrsim-signer-root.pem"
    try:
        certificate.parent.mkdir(parents=True, exist_ok=True)
        certificate.write_text(root["certificate"], encoding="ascii")
        policy_file.write_text(policy, encoding="utf-8")
        # Notation wants it to be its owner's alone.
        policy_file.chmod(0o600)
    except OSError as error:
        raise RemoteError(f"{directory} cannot be written: {error.strerror}") from error
    print(printable(f"wrote {certificate} and {policy_file}"))
    return 0


def trust_policy(config: Config, names: tuple[str, ...] | list[str], level: str) -> dict[str, Any]:
    """For all registries; of the profiles of these names in the account and region, or of all."""
    place = f"C=US,ST=WA,L={config.region},O=ecrsim,OU={config.account}"
    return {
        "version": "1.0",
        "trustPolicies": [
            {
                "name": STORE,
                "registryScopes": ["*"],
                "signatureVerification": {"level": level},
                "trustStores": [f"signingAuthority:{STORE}"],
                "trustedIdentities": [f"x509.subject:{place},CN={name}" for name in names] or ["*"],
            }
        ],
    }


def verify(config: Config, options: argparse.Namespace) -> int:
    """Prints each signature in words. Exit code 0 when one of ecrsim's own holds, 3 when none does."""
    query = {"image": _without_host(options.image), "account": config.account, "region": config.region}
    found = ask(config, "GET", f"/_ecrsim/signatures?{urllib.parse.urlencode(query)}")
    signatures = found["signatures"]
    good = sum(each["holds"] is True for each in signatures)
    if options.json:
        print(json.dumps(found, indent=2))
        return 0 if good else 3
    print(printable(f"{found['repositoryUri']}@{found['imageDigest']}"))
    for each in signatures:
        verdict = {True: "holds", False: "does not hold", None: "not judged here"}[each["holds"]]
        print(printable(f"  {verdict}: {each['words']} [{each['imageDigest']}]"))
    if found["hasMore"]:
        print("there are more signatures than are looked at")
    for each in found["signingStatuses"]:
        if each["status"] != "COMPLETE":
            why = f": {each['failureCode']}, {each['failureReason']}" if each["failureCode"] else ""
            print(printable(f"  {each['status']}: {each['signingProfileArn']}{why}"))
    print(f"{good} of {len(signatures)} signatures hold" if signatures else "no signatures")
    return 0 if good else 3


def _without_host(image: str) -> str:
    """`localhost:5100/app:v1` is `app:v1`: the first part names a host if it has a dot or a colon, as docker has it."""
    host, slash, name = image.partition("/")
    return name if slash and (host == "localhost" or "." in host or ":" in host) else image
