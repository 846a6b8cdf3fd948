"""The values of settings, as texts, lines and files mean them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any


class Texts(tuple[str, ...]):
    """Several texts: an option that is repeated, a variable with commas, a list or a table of a TOML file."""

    __slots__ = ()


class ConfigError(ValueError):
    """A setting that cannot be. The text names it and says what would do."""


class CommandFailed(Exception):
    """A command could not be done; the text says why, and its exit code is 1."""


def variable(name: str) -> str:
    """`data_dir` → `ECRSIM_DATA_DIR`."""
    return f"ECRSIM_{name.upper()}"


def whole_of(kind: type, value: Any) -> Any:
    """Several texts, of a list or of a table; other values stay what they are."""
    if kind is Texts and isinstance(value, str):
        return Texts([value])
    if kind is Texts and isinstance(value, dict):
        value = [f"{name}={text}" for name, text in value.items()]
    if kind is Texts and isinstance(value, list | tuple) and all(isinstance(text, str) for text in value):
        return Texts(value)
    return value


def parse(name: str, kind: type, text: str, where: str | None = None) -> Any:
    """The value that a text means. `where` it stands, as messages name it; by default its variable."""
    where = where or variable(name)
    if kind is bool:
        lowered = text.strip().lower()
        if lowered in ("1", "true", "yes", "on"):
            return True
        if lowered in ("0", "false", "no", "off"):
            return False
        raise ConfigError(f"{where} must be true or false, not {text}")
    if kind is Texts:
        return Texts(part.strip() for part in text.split(",") if part.strip())
    if kind is int:
        try:
            return int(text)
        except ValueError:
            why = "; Kubernetes sets it for a service named ecrsim: set enableServiceLinks: false in the pod"
            kubernetes = why if text.startswith("tcp://") else ""
            raise ConfigError(f"{where} must be a whole number, not {text}{kubernetes}") from None
    return text


def is_account(text: Any) -> bool:
    """Whether it is the text of an account's number: 12 digits."""
    return isinstance(text, str) and re.fullmatch(r"[0-9]{12}", text) is not None


def is_clock(text: str) -> bool:
    mode, at, moment = text.partition("@")
    if not at:
        return mode in ("", "real", "frozen")
    try:
        return mode == "frozen" and 1970 <= datetime.fromisoformat(moment).year <= 9998
    except ValueError:
        return False


def require(truth: Any, name: str, wanted: str) -> None:
    if not truth:
        raise ConfigError(f"{name.replace('_', '-')} must be {wanted}")


def default_data_dir(environ: Mapping[str, str]) -> str:
    """The user's data directory, by the XDG rules."""
    base = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local" / "share")
    return str(Path(base) / "ecrsim")
