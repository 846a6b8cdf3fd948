"""The seam between those who move the bytes of a repository and those who keep its keys.

Layers, images and the planes say what they are about to do; the capability of encryption, which is a later one, answers
whether the repository's key allows it, and gives keys for its data. Without that capability a key is a text that is
shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call, Runtime

#: What a key is needed for: bytes are written, or read.
Use = Literal["push", "pull"]


class Protected(Protocol):
    """A repository, as far as keys need to know it: a row of `repositories`, or a part of one."""

    @property
    def id(self) -> int: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def repository_name(self) -> str: ...
    @property
    def encryption_type(self) -> str: ...
    @property
    def kms_key(self) -> str | None: ...


class DataKey(NamedTuple):
    """A key for the data of one repository.

    `plaintext`: 32 bytes, for memory alone. `wrapped`: text of at most 8 KiB, which may be seen by anybody.
    `key_arn`: of the key that it is wrapped with.
    """

    plaintext: bytes
    wrapped: str
    key_arn: str


class Keeper(NamedTuple):
    """What the capability of encryption offers; each raises KmsException.

    `check_configuration`: of a repository that is to be (InvalidParameterException). `check`, `generate` and `opened`
    raise Miss where a KMS has to be asked. `generate_now` and `opened_now` wait for it: no transaction may be open.
    `sharing`: a text that is the same for repositories whose stored bytes may be the same.
    """

    check_configuration: Callable[[Registry, Mapping[str, str]], None]
    check: Callable[[Call, Protected, Use], None]
    generate: Callable[[Call, Protected], DataKey]
    opened: Callable[[Call, Protected, str], bytes]
    generate_now: Callable[[Runtime, Protected], DataKey]
    opened_now: Callable[[Runtime, Protected, str], bytes]
    sharing: Callable[[Protected], str]


_keepers: list[Keeper] = []


def keeps_keys(keeper: Keeper) -> None:
    """Declare who keeps keys."""
    _keepers[:] = [keeper]


def keeper() -> Keeper | None:
    """Who keeps keys; None where nobody does."""
    return _keepers[0] if _keepers else None


def check_configuration(registry: Registry, configuration: Mapping[str, str]) -> None:
    """Whether a repository of the registry may be encrypted so; no key is looked up yet. InvalidParameterException."""
    for each in _keepers:
        each.check_configuration(registry, configuration)


def check(call: Call, repository: Protected, use: Use) -> None:
    """Whether the repository's key allows it now. KmsException, Miss.

    Inside or outside of a transaction, and before anything that is not undone with it.
    """
    if repository.encryption_type != "AES256":
        for each in _keepers:
            each.check(call, repository, use)


def may_share(one: Protected, other: Protected) -> bool:
    """Whether bytes of one may stand for those of the other: the same type and the same key (documented)."""
    return (one.registry, one.encryption_type, one.kms_key) == (other.registry, other.encryption_type, other.kms_key)
