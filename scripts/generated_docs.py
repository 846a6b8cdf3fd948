"""Write the generated parts of the documents, which stand between `<!-- generated: NAME -->` and `<!-- end -->`.

Run by scripts/docs in the environment of this checkout. With --check nothing is written; what is out of date is named.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_type_hints

from ecrsim.cli import make_parser
from ecrsim.config import Config, variable
from ecrsim.contract.models import SERVICES
from ecrsim.core import errors, public_errors
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime
from ecrsim.coverage import markdown, total
from ecrsim.ecr.repositories.service import proxy_endpoint, repository_uri
from ecrsim.pages import compose

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "docs/configuration.md", "docs/coverage.md", "docs/fidelity.md")

_PART = re.compile(r"(<!-- generated: (?P<name>[a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_MIB = 1024 * 1024


def status() -> str:
    counts = [total(name).replace(" operations built", "") for name in SERVICES]
    return (
        f"**{counts[0]}** operations of ECR and **{counts[1]}** of ECR Public are built: [the list](docs/coverage.md)."
    )


# --- settings ---------------------------------------------------------------------------------------------------------


def settings() -> str:
    """A table for each group; the groups are the comments between the settings."""
    parts = []
    knobs = {knob.name: knob for knob in fields(Config)}
    for heading, names in _groups():
        rows = "\n".join(_row(knobs[name]) for name in names)
        parts.append(
            f"### {heading}\n\n| option | variable | default | what it is |\n| --- | --- | --- | --- |\n{rows}"
        )
    return "\n\n".join(parts)


def _groups() -> Iterator[tuple[str, list[str]]]:
    source = _source("config.py").partition("class Config:")[2]
    for group in re.split(r"\n    # ", source.partition("def __post_init__")[0])[1:]:
        heading, _, body = group.partition("\n")
        yield heading, re.findall(r"^    (\w+): ", body, re.MULTILINE)


def _row(knob: Field[Any]) -> str:
    option = f"`{_option(knob)}`" if knob.metadata["flag"] else "-"
    text = knob.metadata["help"].replace("<", "&lt;").replace("|", "\\|")
    return f"| {option} | `{variable(knob.name)}` | {_default(knob)} | {text} |"


def _option(knob: Field[Any]) -> str:
    return f"--{knob.name.replace('_', '-')}"


def _default(knob: Field[Any]) -> str:
    """As it is written, with a large number's meaning beside it."""
    value: Any = knob.default
    if get_type_hints(Config)[knob.name] is bool:
        return "on" if value else "off"
    if value in ("", ()):
        return "-"
    if knob.metadata["help"].startswith("bytes"):
        return f"`{value}` ({value // _MIB:,} MiB)"
    if knob.metadata["help"].startswith("seconds") and value >= 60:
        return f"`{value}` ({value // 60} min)" if value < 3600 else f"`{value}` ({value // 3600} h)"
    return f"`{value}`"


def registry() -> str:
    """What each style of `registry_host` makes of the default registry and of another one."""
    rows = []
    for style in ("localhost", "domain", "aws", "ecrsim:5100"):
        runtime = SimpleNamespace(config=Config(registry_host=style), port=5100, tls_port=5143)
        uris = [repository_uri(cast(Runtime, runtime), each, "app") for each in (_HOME, _ELSEWHERE)]
        endpoint = proxy_endpoint(cast(Runtime, runtime), _HOME)
        rows.append(f"| `{style}` | `{uris[0]}` | `{uris[1]}` | `{endpoint}` |")
    heading = "| `--registry-host` | `repositoryUri` | of account 111111111111 in eu-west-1 | `proxyEndpoint` |"
    return "\n".join([heading, "| --- | --- | --- | --- |", *rows])


_HOME, _ELSEWHERE = Registry("000000000000", "us-east-1"), Registry("111111111111", "eu-west-1")


# --- fidelity ---------------------------------------------------------------------------------------------------------


def sentences() -> str:
    """The error classes whose sentence is marked as inferred where it is written."""
    rows = []
    known = vars(errors) | vars(public_errors)
    source = "".join(_source(f"core/{name}.py") for name in ("errors", "cache_errors", "public_errors"))
    for name, body in re.findall(r"^class (\w+)\(ServiceError\):\n(.*?)(?=^\S|\Z)", source, _BLOCK):
        template = re.search(r"^    template = .*?# (\w+)$", body, _BLOCK)
        if template and template[1] == "I":
            rows.append(f"| `{name}` | {known[name].template.replace('{{', '{').replace('}}', '}')} |")
    return "\n".join(["| error | sentence |", "| --- | --- |", *rows])


def statuses() -> str:
    """The rows of the registry's error table that are marked as inferred."""
    rows = [
        f"| `{error}` | {status} | `{code}` | {'status' if what else 'status and code'} |"
        for error, status, code, what in re.findall(
            r'errors\.(\w+): \((\d+), "(\w+)"\),  # (status )?I$', _source("dataplane/errors.py"), re.MULTILINE
        )
    ]
    return "\n".join(["| error of the service | status | code | inferred |", "| --- | --- | --- | --- |", *rows])


def moto() -> str:
    """The tests of moto that fail here, by reason."""
    groups = tomllib.loads((ROOT / "fixtures" / "moto_deviations.toml").read_text("utf-8")).get("deviation", [])
    parts = []
    for group in groups:
        tests = "\n".join(f"  - `{name}`" for name in group["tests"])
        parts.append(f"- {group['because']}\n{tests}")
    return "\n".join(parts)


_BLOCK = re.DOTALL | re.MULTILINE


def _source(name: str) -> str:
    return (ROOT / "ecrsim" / name).read_text("utf-8")


# --- the admin surface and the data directory -------------------------------------------------------------------------


def admin() -> str:
    """Every route below /_ecrsim/, with the first sentence of its function."""
    pages = compose(Runtime(Config(data_dir="unused")))
    rows = []
    for rule in sorted(pages.url_map.iter_rules(), key=lambda rule: rule.rule):
        if not rule.rule.startswith("/_ecrsim/"):
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            text = (pages.view_functions[rule.endpoint].__doc__ or "").strip().partition("\n")[0]
            rows.append(f"| `{method} {rule.rule}` | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(["| request | what it does |", "| --- | --- |", *rows])


#: What lies in a data directory. A test looks whether anything else does.
FILES = {
    ("ecrsim.db", "ecrsim.db-wal", "ecrsim.db-shm"): (
        "the database; `--database-url sqlite:////elsewhere/ecr.db` moves it, and all that begin with its name"
    ),
    (
        *("ecrsim.db-writer", "ecrsim.db-jobs", "ecrsim.db-delivery", "ecrsim.db-collect-garbage"),
        *("ecrsim.db-forget-ended-sessions", "ecrsim.db-signer-root"),
    ): "empty; the workers take turns by them at what only one may do at a time",
    ("ecrsim.db-clock",): "how the clock goes, for all workers",
    ("blobs/", "uploads/"): "layers by digest, and uploads under way; `--blob-store` moves both",
    ("store.json",): "whose the blobs are ([operations](operations.md)); `--blob-store` moves it as well",
    ("damaged/",): "layers whose bytes were found to be wrong, kept for you; beside `blobs/`",
    ("secret.key",): "the key of the secrets in the database; a backup has to have it ([operations](operations.md))",
    ("signer-root.pem",): "key and certificate that [signatures](signing.md) end in, readable by you alone",
    ("admin-token",): "the token of the admin surface, readable by you alone",
    ("tls/",): "the certificate authority; its key is readable by you alone",
}


def files() -> str:
    rows = [f"| {', '.join(f'`{name}`' for name in names)} | {text} |" for names, text in FILES.items()]
    return "\n".join(["| path | what it is |", "| --- | --- |", *rows])


# --- commands ---------------------------------------------------------------------------------------------------------


def commands() -> str:
    rows = [f"| `{name}` | {parser.description} | {_options(parser)} |" for name, parser in _parsers(make_parser())]
    return "\n".join(["| command | what it does | its options |", "| --- | --- | --- |", *rows])


def _parsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that has no commands below it, with its name as one types it."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    if not below:
        yield parser.prog, parser
    for action in below:
        for each in action.choices.values():
            yield from _parsers(each)


def _placed(action: argparse.Action) -> str:
    """An argument that is known by its place: TIME, or one of its words."""
    return str(action.metavar) if action.metavar else "|".join(map(str, action.choices or [action.dest]))


def _options(parser: argparse.ArgumentParser) -> str:
    known = {_option(knob) for knob in fields(Config)}
    actions = [action for action in parser._actions if action.dest not in ("help", "config")]  # noqa: SLF001
    given = [action.option_strings[0] if action.option_strings else _placed(action) for action in actions]
    if len(known & set(given)) == sum(knob.metadata["flag"] for knob in fields(Config)):
        return "every option of the tables below"
    return ", ".join(f"`{option}`" for option in given).replace("|", "\\|") or "-"


# --- the documents ----------------------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[], str]] = {
    "admin": admin,
    "commands": commands,
    "coverage": markdown,
    "files": files,
    "moto": moto,
    "registry": registry,
    "sentences": sentences,
    "settings": settings,
    "status": status,
    "statuses": statuses,
}


def generated(text: str) -> str:
    """The text of a document with its generated parts as they are to be. KeyError for a part that nobody makes."""
    return _PART.sub(lambda match: f"{match[1]}{PARTS[match['name']]()}\n{match[3]}", text)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/docs", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when something is out of date")
    check = parser.parse_args().check
    late = []
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text("utf-8")
        wanted = generated(text)
        if text != wanted:
            late.append(name)
            if not check:
                path.write_text(wanted, "utf-8")
    for name in late:
        print(f"{name} {'is out of date: run scripts/docs' if check else 'is written anew'}")
    return 1 if check and late else 0


if __name__ == "__main__":
    sys.exit(main())
