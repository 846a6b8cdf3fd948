"""The client of ECR Public, and a public repository."""

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.pushing import create

PUBLIC_APP = "arn:aws:ecr-public::000000000000:repository/app"


@pytest.fixture
def public(client: Callable[..., Any]) -> Any:
    """The client of the default account."""
    return client("ecr-public")


@pytest.fixture
def app(public: Any) -> Any:
    """The same, with the repository `app`."""
    create(public, "app")
    return public


def alias_of(public: Any) -> str:
    """The primary alias of the client's registry."""
    (registry,) = public.describe_registries()["registries"]
    return str(next(each["name"] for each in registry["aliases"] if each["primaryRegistryAlias"]))


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png_of(width: int, height: int) -> bytes:
    """A PNG of one grey."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    rows = zlib.compress(bytes(1 + width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
