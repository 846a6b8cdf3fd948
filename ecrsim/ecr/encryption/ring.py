"""What the key ring does with a key: whether ECR may use it, and data keys that it wraps and opens.

A wrapped data key is `r1.<number>.<base64>`: the number of what the key encrypted with, then nonce and ciphertext
(AES-256-GCM), bound to the key's ARN and the encryption context.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from ecrsim.core import ids
from ecrsim.core.errors import KmsException
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.encryption import keys, rules
from ecrsim.ecr.encryption.keys import AWS, CUSTOMER, S3, RingKey
from ecrsim.ecr.repositories.protection import DataKey, Protected, Use

_WRAPPED = re.compile(r"r1\.([0-9]{1,18})\.([A-Za-z0-9+/=]{1,500})")
_NONCE = 12
_ACTIONS: dict[Use, str] = {"push": "GenerateDataKey", "pull": "Decrypt"}


def own_key(call: Call, registry: Registry, manager: str) -> RingKey:
    """The key of the account and region that AWS manages for ECR, or S3 for itself: made when it is first needed."""
    account, region = registry[:2]
    alias = rules.AWS_ALIAS if manager == AWS else "s3"
    key_id = ids.stable_uuid("kms", account, region, alias)
    arn = rules.key_arn(account, region, key_id)
    found = keys.find(call.connection, arn, call.now)
    if found is not None:
        return found
    with call.writing():
        _alone(call, account, region)
        found = keys.find(call.connection, arn, call.now)
        if found is None:
            found = keys.make(call.connection, account, region, key_id, call.now, manager=manager)
            if manager == AWS:
                keys.put_alias(call.connection, found, alias)
        return found


def _alone(call: Call, account: str, region: str) -> None:
    """Two pushes to different repositories may need the same key, which is made once."""
    call.runtime.database.also(call.connection, f"keys {account} {region}")


def named(call: Call, registry: Registry, name: rules.NamedKey) -> RingKey:
    """The key that was named. KmsException."""
    if name.alias_name == rules.AWS_ALIAS and name.account == registry.account:
        return own_key(call, registry, AWS)
    if name.key_id:
        found = keys.find(call.connection, name.arn, call.now)
    else:
        found = keys.find_by_alias(call.connection, name.account, name.region, name.alias_name, call.now)
    if found is None:
        raise rules.not_found(name)
    return found


def allow(call: Call, repository: Protected, key: RingKey) -> list[str]:
    """Let ECR use the key for the repository, inside a write transaction: the ids of two grants (documented)."""
    granted = [ids.new_secret().hex() for _ in range(rules.GRANTS)]
    for grant_id in granted:
        keys.add_grant(call.connection, grant_id, repository.id, key.arn, call.now)
    return granted


def key_of(call: Call, repository: Protected, use: Use) -> RingKey:
    """The ring's key of the repository, which ECR may use now. KmsException."""
    if repository.encryption_type == "AES256":
        return own_key(call, repository.registry, S3)
    arn = repository.kms_key or ""
    found = keys.find(call.connection, arn, call.now)
    grants = keys.grants_of(call.connection, repository.id)
    if not grants:
        found = _adopt(call, repository, arn)
    elif found is None:
        raise KmsException(f"Key '{arn}' does not exist", kmsError="NotFoundException")
    elif all(grant.is_revoked for grant in grants):
        raise rules.no_grant(arn, _ACTIONS[use], repository.registry)
    rules.check_state(arn, found.state)
    return found


def _adopt(call: Call, repository: Protected, arn: str) -> RingKey:
    """The key of a repository of a release that only showed keys: it is made now, under the ARN that was shown."""
    *_, account, resource = arn.split(":")
    with call.writing():
        _alone(call, account, repository.registry.region)
        found = keys.find(call.connection, arn, call.now)
        if found is None:
            own = ids.stable_uuid("kms", account, repository.registry.region, rules.AWS_ALIAS)
            if resource == f"key/{own}":
                found = own_key(call, Registry(account, repository.registry.region), AWS)
            else:
                place = account, repository.registry.region, resource.removeprefix("key/")
                found = keys.make(call.connection, *place, call.now, manager=CUSTOMER)
        if not keys.grants_of(call.connection, repository.id):
            allow(call, repository, found)
        return found


# --- data keys --------------------------------------------------------------------------------------------------------


def generate(call: Call, repository: Protected, context: str) -> DataKey:
    """A new data key for what `context` says. KmsException."""
    key = key_of(call, repository, "push")
    current = keys.material(call.connection, key)
    if current is None:
        # Its seal was given up: what is new is encrypted with something new.
        with call.writing():
            keys.rotate(call.connection, key, call.now)
            current = keys.material(call.connection, key)
    if current is None:
        raise _not_ours()
    number, material = current
    plaintext, nonce = ids.new_secret(), ids.new_secret()[:_NONCE]
    content = _cipher(material).encrypt(nonce, plaintext, _bound(key, context))
    return DataKey(plaintext, f"r1.{number}.{base64.b64encode(nonce + content).decode()}", key.arn)


def opened(call: Call, key: RingKey, wrapped: str, context: str) -> bytes:
    """The data key that was wrapped for this context. KmsException for any other text."""
    match = _WRAPPED.fullmatch(wrapped)
    if match is None:
        raise _not_ours()
    found = keys.material(call.connection, key, int(match[1]))
    if found is None:
        raise _not_ours()
    # 40 ms and 9 MB that an ecrsim does without which encrypts nothing.
    from cryptography.exceptions import InvalidTag

    try:
        content = base64.b64decode(match[2], validate=True)
        plaintext: bytes = _cipher(found[1]).decrypt(content[:_NONCE], content[_NONCE:], _bound(key, context))
    except (InvalidTag, ValueError):
        raise _not_ours() from None
    return plaintext


def _not_ours() -> KmsException:
    """KMS says no more about a ciphertext that is none of the key's (documented: the code alone)."""
    return KmsException("The ciphertext is not one of this key", kmsError="InvalidCiphertextException")


def _bound(key: RingKey, context: str) -> bytes:
    return f"{key.arn}\0{context}".encode()


def _cipher(material: bytes) -> Any:
    # 40 ms and 9 MB that an ecrsim does without which encrypts nothing.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(material)
