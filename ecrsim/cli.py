"""The commands of ecrsim.

Exit codes: 0 done, 1 it could not be done (a message on standard error says why), 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from ecrsim import __version__
from ecrsim.advisories.command import add_advisory_commands
from ecrsim.config import Config, ConfigError, Texts, load, strange_variables
from ecrsim.core.admintoken import made_token, served_in
from ecrsim.core.printable import printable
from ecrsim.databases.command import add_database_commands
from ecrsim.exports import exports
from ecrsim.mirror.command import add_public_commands
from ecrsim.remote.cost import add_cost_command
from ecrsim.remote.keys import add_keys_commands
from ecrsim.remote.signing import add_signing_commands
from ecrsim.sbom.command import add_sbom_command
from ecrsim.scan.command import add_scan_command
from ecrsim.simulator.command import add_lifecycle_commands
from ecrsim.values import CommandFailed

#: Returns the exit code. CommandFailed.
Command = Callable[[Config, argparse.Namespace], int]

#: The settings of commands that ask a running ecrsim: where it is, and what it asks for.
_ASKING = ("host", "port", "data_dir", "admin_token")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = make_parser()
    options = parser.parse_args(arguments)
    knobs = {knob.name: getattr(options, knob.name, None) for knob in fields(Config)}
    try:
        config = load(knobs, file=getattr(options, "config", None))
    except ConfigError as error:
        parser.error(str(error))
    for sentence in strange_variables():
        print(f"ecrsim: {printable(sentence)}", file=sys.stderr)
    try:
        status = _found(options.command)(config, options)
        sys.stdout.flush()
    except (CommandFailed, ConfigError) as error:
        # Some settings are read where they are needed: the URL of a database by its driver.
        return _fail(str(error))
    except BrokenPipeError:
        # Who reads has seen enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return status


def make_parser() -> argparse.ArgumentParser:
    """The command line; docs/configuration.md lists its commands and options from here."""
    parser = argparse.ArgumentParser(prog="ecrsim", description="Amazon ECR on your own machine.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"ecrsim {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)
    everything = tuple(knob.name for knob in fields(Config))
    _add(commands, "serve", _serve, "serve the ECR API and the registry", everything)
    where = ("host", "port", "account", "region")
    _add(commands, "env", _env, "print the exports that a shell needs", where)
    stored = ("data_dir", "database_url", "blob_store", "secret_key_file", "kms_endpoint")
    checked = ("host", "port", "tls", "tls_port", *stored)
    named = ("registry_host", "account", "region")
    _add(commands, "doctor", "doctor:doctor", "say what is right and wrong with a set-up", checked + named)
    gc = _add(commands, "gc", "storage:gc", "collect layers and uploads that nothing needs any more", stored)
    kept = "how long a layer stays after its last use: 1d, 12h, or a number of seconds"
    gc.add_argument("--grace", type=_seconds, metavar="DURATION", help=kept)
    fsck = _add(commands, "fsck", "storage:check", "read all that is stored, and say what is damaged", stored)
    fsck.add_argument("--repair", action="store_true", help="move damaged layers aside, so that pushes bring them anew")
    store = commands.add_parser("store", help="the blob store", description="the blob store.", allow_abbrev=False)
    owned = store.add_subparsers(title="commands", required=True)
    _add(owned, "forget-secrets", "storage:forget_secrets", "forget access keys and targets whose key is lost", stored)
    _add(owned, "adopt", "storage:adopt", "give the blob store to this database, whichever had it before", stored)
    ready = _add(commands, "wait", "remote.health:wait", "wait until an ecrsim answers", ("host", "port"))
    longest = "how long at most: 30s, 2m, or a number of seconds (default: 30)"
    ready.add_argument("--timeout", type=_seconds, default=30, metavar="DURATION", help=longest)
    shell = _add(commands, "completion", _completion, "print a script that completes commands in a shell", ())
    shell.add_argument("shell", choices=("bash", "zsh", "fish"))
    coverage = _add(commands, "coverage", "coverage:coverage", "list the operations, built and not built yet", ())
    coverage.add_argument("--markdown", action="store_true", help="as in docs/coverage.md")
    why = _add(commands, "explain", "remote.access:explain", "say why a principal may or may not do something", _ASKING)
    why.add_argument("--principal", required=True, metavar="ARN", help="who: a user, role, session or root")
    why.add_argument("--action", required=True, help="what: ecr:PutImage")
    why.add_argument("--resource", required=True, metavar="ARN", help="on which repository; * where there is none")
    why.add_argument("--context", action="append", metavar="KEY=VALUE", help="a condition key of the request")
    why.add_argument("--json", action="store_true", help="the whole answer as JSON")
    policy = commands.add_parser("policy", help="policies", description="policies.", allow_abbrev=False)
    policies = policy.add_subparsers(title="commands", required=True)
    least = _add(
        policies,
        "minimal",
        "remote.access:minimal_policy",
        "print the least-privilege policy of what a principal did",
        _ASKING,
    )
    least.add_argument("--principal", required=True, metavar="ARN", help="who: a user, role or session")
    least.add_argument("--since", metavar="TIME", help="from when on: 2h, 7d or 2026-01-31T12:00:00Z (default: ever)")
    _add_time(commands)
    add_database_commands(commands, _add)
    add_lifecycle_commands(commands, _add)
    add_cost_command(commands, _add)
    add_advisory_commands(commands, _add)
    add_public_commands(commands, _add)
    add_sbom_command(commands, _add)
    add_scan_command(commands, _add)
    add_signing_commands(commands, _add)
    add_keys_commands(commands, _add)
    tls = commands.add_parser("tls", help="certificates", description="certificates.", allow_abbrev=False)
    parts = tls.add_subparsers(title="commands", required=True)
    _add(commands, "token", _token, "print the token of the admin surface", ("port", "data_dir", "admin_token"))
    _add(parts, "ca", _tls_ca, "print the certificate of ecrsim's own authority (PEM)", ("data_dir",))
    return parser


def _add_time(commands: Any) -> None:
    """The commands of time, and of what happens in it: they ask the server on that port."""
    place = _ASKING
    turned = _add(
        commands, "advance", "remote.clock:advance", "turn the clock forward, and run what is due on the way", place
    )
    turned.add_argument("duration", type=_duration, metavar="DURATION", help="14d, 12h, 90s, 2w, 1d12h")
    clock = _add(
        commands, "clock", "remote.clock:clock", "show the clock, stop it, or give it back to the real time", place
    )
    clock.set_defaults(mode="show")
    modes = clock.add_subparsers(title="commands", dest="mode")
    for mode, summary in (
        ("show", "show the clock"),
        ("freeze", "stop the clock, now or at a time"),
        ("real", "give the clock back to the real time"),
    ):
        # Left out where it is not given: what stands before the mode holds as well.
        part = _add(modes, mode, "remote.clock:clock", summary, place, default=argparse.SUPPRESS)
        if mode == "freeze":
            part.add_argument("time", nargs="?", metavar="TIME", help="an ISO 8601 time (default: now)")
    forget = _add(
        commands, "reset", "remote.clock:reset", "forget every repository and setting, and turn the clock back", place
    )
    forget.add_argument("--yes", action="store_true", help="without asking who sits at the terminal")
    found = _add(commands, "events", "remote.events:events", "print events, as EventBridge would deliver them", place)
    found.add_argument(
        "--follow", action="store_true", help="those that are still to come, as they come; ends by Ctrl-C"
    )
    found.add_argument(
        "--after", type=_whole, metavar="N", help="those after this number (default: all; with --follow: new)"
    )
    found.add_argument("--type", metavar="TYPE", help="of this detail-type: ECR Image Action")
    found.add_argument("--repository", metavar="NAME", help="of this repository")
    found.add_argument("--pattern", metavar="JSON", help="that match this event pattern")
    found.add_argument("--json", action="store_true", help="whole, one JSON object a line")


def _add(
    commands: Any, name: str, command: Command | str, summary: str, knobs: tuple[str, ...], default: Any = None
) -> argparse.ArgumentParser:
    """Add a command; as a text it is `module:function` below `ecrsim`, and is imported when it is run."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=f"{summary}.", allow_abbrev=False
    )
    parser.set_defaults(command=command)
    parser.add_argument("--config", metavar="FILE", default=default, help="settings from a TOML file")
    types = get_type_hints(Config)
    for knob in fields(Config):
        if knob.name not in knobs or not knob.metadata["flag"]:
            continue
        flag = f"--{knob.name.replace('_', '-')}"
        text = knob.metadata["help"].replace("%", "%%")
        if types[knob.name] is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=default, help=text)
        elif types[knob.name] is Texts:
            parser.add_argument(flag, action="append", metavar="NAME=URL", default=default, help=text)
        else:
            shown = f" (default: {knob.default})" if knob.default not in ("", None) else ""
            parser.add_argument(
                flag,
                type=types[knob.name],
                choices=knob.metadata["choices"] or None,
                default=default,
                metavar=None if knob.metadata["choices"] else knob.name.rpartition("_")[2].upper(),
                help=text + shown,
            )
    return parser


def _found(command: Command | str) -> Command:
    """The function itself. What `ecrsim env` does without takes up to 300 ms to import."""
    if not isinstance(command, str):
        return command
    module, _, function = command.partition(":")
    found: Command = getattr(importlib.import_module(f"ecrsim.{module}"), function)
    return found


def _serve(config: Config, options: argparse.Namespace) -> int:
    # Only what was typed: the image sets the variable for all of its commands.
    if config.ephemeral and options.data_dir:
        print("ecrsim: --data-dir has no effect with --ephemeral: leave one of the two out", file=sys.stderr)
    # Imported here: the HTTP server costs 80 ms that the other commands do without.
    from ecrsim.processes import serve_in

    return serve_in(config)


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _seconds(text: str) -> int:
    """`1d`, or a plain number of seconds."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 13 else _duration(text)


def _duration(text: str) -> int:
    # Imported here: 40 ms of urllib that the other commands do without.
    from ecrsim.remote.durations import seconds_of

    try:
        return seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


#: Addresses that a client on the same machine reaches as localhost; of ::1 alone that is not sure.
_HERE = ("127.0.0.1", "0.0.0.0", "::")  # noqa: S104


def _env(config: Config, _: argparse.Namespace) -> int:
    if config.port == 0:
        return _fail("a port is needed: the ready line of `ecrsim serve --port 0` says which one it took")
    host = f"[{config.host}]" if ":" in config.host else config.host
    url = f"http://{'localhost' if config.host in _HERE else host}:{config.port}"
    for name, value in exports(url, config.account, config.region).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _completion(_: Config, options: argparse.Namespace) -> int:
    # Imported here: 20 ms that the other commands do without.
    from ecrsim.completion import script

    print(script(make_parser(), options.shell))
    return 0


def _token(config: Config, options: argparse.Namespace) -> int:
    # What was typed, or where the server on the port keeps its own, a temporary directory perhaps.
    directory = (None if options.data_dir else served_in(config.port)) or Path(config.data_dir)
    try:
        print(config.admin_token or made_token(directory))
    except FileNotFoundError:
        return _fail(f"there is no data directory {directory}; the first start makes it, and the token")
    except OSError as error:
        return _fail(f"the token in {directory} cannot be read: {error.strerror}")
    return 0


def _tls_ca(config: Config, _: argparse.Namespace) -> int:
    # Imported here: 80 ms of cryptography that `ecrsim env` does without.
    from ecrsim.core.clock import utc_now
    from ecrsim.tls import Authority

    try:
        authority = Authority(Path(config.data_dir) / "tls", utc_now())
    except (OSError, ValueError) as error:
        return _fail(f"the authority in {config.data_dir} cannot be used: {error}")
    sys.stdout.write(authority.certificate_file.read_text(encoding="ascii"))
    return 0


def _fail(text: str) -> int:
    print(f"ecrsim: {printable(text, lines=True)}", file=sys.stderr)
    return 1
