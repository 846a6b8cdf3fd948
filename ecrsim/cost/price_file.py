"""The dated table beside this file, and what the user gives in the place of parts of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ecrsim.cost.prices import ITEMS, MEMBERS, OF_STORAGE, WORDS, Prices, prices_of
from ecrsim.spelling import hint

PUBLISHED = Path(__file__).with_name("prices.toml")


class PricesError(Exception):
    """The table cannot be used; the text says why."""


def load_prices(path: Path | None = None) -> Prices:
    """The published table, with what a file of the user's has in the place of its parts. PricesError."""
    if path is None:
        return _prices(str(PUBLISHED), {})
    return prices_with(str(path), _content(path))


def prices_with(name: str, content: bytes) -> Prices:
    """The published table, with what `content`, TOML or JSON, has in the place of its parts. PricesError."""
    given = _document(name, content)
    _check(name, given)
    return _prices(name, given)


def _prices(name: str, given: Mapping[str, Any]) -> Prices:
    try:
        return prices_of(_document(str(PUBLISHED), _content(PUBLISHED)) | dict(given))
    except KeyError as error:
        raise PricesError(f"{name}: {error.args[0]} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise PricesError(f"{name}: {error}") from None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PricesError(f"{path}: {error}") from None


def _document(name: str, content: bytes) -> dict[str, Any]:
    try:
        text = content.decode()
        document = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise PricesError(f"{name}: {error}") from None
    return dict(document)


def _check(name: str, given: Mapping[str, Any]) -> None:
    """A name that is misspelt would have no effect, and nobody would be told."""
    _no_others(name, "price", given, (*WORDS, *ITEMS))
    for item, section in given.items():
        if item in ITEMS and item not in OF_STORAGE and isinstance(section, Mapping):
            _no_others(name, f"member of {item}", section, MEMBERS)


def _no_others(name: str, what: str, given: Iterable[str], known: tuple[str, ...]) -> None:
    for each in given:
        if each not in known:
            raise PricesError(f"{name}: there is no {what} {each}{hint(each, known)}")
