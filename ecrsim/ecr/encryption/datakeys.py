"""Data keys: what the bytes of a repository are encrypted with, made and opened by its key.

Of a key of the ring, and of repositories of the type AES256, whose key stands for S3's own, everything is a look into
the database. A KMS is asked with no transaction open: within a call by a `Miss`, which undoes the work and does it
again, so that it has to come before anything that is not undone with the transaction; or by the functions that wait.
A key that is disabled is noticed at once in the ring, and after `memory.FRESH` seconds at a KMS.
"""

from __future__ import annotations

from ecrsim.core.runtime import Call, Runtime, root_caller
from ecrsim.ecr.encryption import kms, ring
from ecrsim.ecr.encryption.memory import memory_of
from ecrsim.ecr.encryption.service import place_at_kms, place_of
from ecrsim.ecr.repositories.protection import DataKey, Protected


def generate(call: Call, repository: Protected) -> DataKey:
    """A new data key of the repository. KmsException, Miss.

    In a write transaction or with none open: the key of S3 or of AWS is made when it is first needed.
    """
    place = place_at_kms(call, repository)
    made = ring.generate(call, repository, _context(repository)) if place is None else kms.generate(call, place)
    memory_of(call.runtime).remember_opened(_name(repository, made.wrapped), made.plaintext)
    return made


def open_data_key(call: Call, repository: Protected, wrapped: str) -> bytes:
    """The 32 bytes of a data key that was made for this repository. KmsException, Miss."""
    memory, name = memory_of(call.runtime), _name(repository, wrapped)
    is_simple = repository.encryption_type == "AES256"
    if is_simple and (plaintext := memory.opened(name, is_lasting=True)) is not None:
        return plaintext
    place = place_at_kms(call, repository)
    if place is not None:
        plaintext = memory.opened(name, is_lasting=False)
        if plaintext is None:
            plaintext = kms.opened(call, place, wrapped)
            memory.remember_opened(name, plaintext)
        return plaintext
    # Whether it may be used is looked at each time; what it opened is remembered.
    key = ring.key_of(call, repository, "pull")
    plaintext = memory.opened(name, is_lasting=True)
    if plaintext is None:
        plaintext = ring.opened(call, key, wrapped, _context(repository))
        memory.remember_opened(name, plaintext)
    return plaintext


def generate_now(runtime: Runtime, repository: Protected) -> DataKey:
    """As `generate`; it waits for the KMS, and no transaction may be open. KmsException."""
    with runtime.call(root_caller(repository.registry.account, repository.registry.region)) as call:
        place = place_at_kms(call, repository)
        if place is None:
            return generate(call, repository)
    made = kms.generate_now(runtime, place)
    memory_of(runtime).remember_opened(_name(repository, made.wrapped), made.plaintext)
    return made


def open_now(runtime: Runtime, repository: Protected, wrapped: str) -> bytes:
    """As `open_data_key`; it waits for the KMS, and no transaction may be open. KmsException."""
    memory, name = memory_of(runtime), _name(repository, wrapped)
    with runtime.call(root_caller(repository.registry.account, repository.registry.region)) as call:
        place = place_at_kms(call, repository)
        if place is None:
            return open_data_key(call, repository, wrapped)
    plaintext = memory.opened(name, is_lasting=False)
    if plaintext is None:
        plaintext = kms.opened_now(runtime, place, wrapped)
        memory.remember_opened(name, plaintext)
    return plaintext


def sharing(repository: Protected) -> str:
    """The same text for repositories that may have the same stored bytes: of one registry, type and key."""
    return " ".join((*repository.registry, repository.encryption_type, repository.kms_key or ""))


def _name(repository: Protected, wrapped: str) -> tuple[str, str]:
    return repository.registry.arn(repository.repository_name), wrapped


def _context(repository: Protected) -> str:
    return "\0".join(f"{name}={value}" for name, value in place_of(repository, "").context)
