"""What users do with the keys of the ring: make, disable, rotate and delete them, name them, take grants away.

KMS's rules (documented): AWS's own keys are nobody's to change; a key that is to be deleted can only be kept after all.
"""

from __future__ import annotations

from collections.abc import Sequence

from ecrsim.core import ids
from ecrsim.core.clock import iso
from ecrsim.core.db import RowConflict
from ecrsim.core.durations import DAY
from ecrsim.core.errors import KmsException
from ecrsim.core.jobs import cancel, enqueue
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.encryption import keys, permission, rules
from ecrsim.ecr.encryption.keys import RingKey
from ecrsim.iam.grammar import MalformedPolicy

#: The kind of the job that deletes a key.
DELETE_KEY = "delete-key"


class KeyRefused(Exception):
    """What was asked for cannot be done with the key; the text says why."""


def get(call: Call, registry: Registry, name: str) -> RingKey:
    """The key of the ring that an id, ARN or alias names in the account and region. KeyRefused."""
    try:
        named = rules.named_key(registry, name)
    except KmsException as error:
        raise KeyRefused(error.message) from None
    if named.key_id:
        found = keys.find(call.connection, named.arn, call.now)
    else:
        found = keys.find_by_alias(call.connection, named.account, named.region, named.alias_name, call.now)
    if found is None or found.manager == keys.S3:
        raise KeyRefused(f"there is no key {named.arn}")
    return found


def create(
    call: Call,
    registry: Registry,
    *,
    key_id: str = "",
    description: str = "",
    alias_name: str = "",
    shared_with: Sequence[str] = (),
) -> RingKey:
    """A new key, inside a write transaction; `key_id` for one that templates or policies name already. KeyRefused."""
    if key_id and rules.KEY_ID.fullmatch(key_id) is None:
        raise KeyRefused(f"{key_id} is no key id: 8-4-4-4-12 hexadecimal digits, or mrk- and 32 of them")
    try:
        permission.policy_of(shared_with)
    except MalformedPolicy as error:
        raise KeyRefused(f"shared_with is a list of accounts and of ARNs of principals: {error}") from None
    try:
        made = keys.make(
            call.connection,
            *registry[:2],
            key_id or ids.new_uuid(),
            call.now,
            description=description,
            shared_with=list(shared_with),
        )
    except RowConflict:
        raise KeyRefused(f"there is a key {key_id} already") from None
    if alias_name:
        name(call, made, alias_name)
    return made


def _own(key: RingKey) -> None:
    if key.manager != keys.CUSTOMER:
        raise KeyRefused(f"{key.arn} is managed by AWS, and nobody's to change")


def _not_leaving(key: RingKey) -> None:
    _own(key)
    if key.state == rules.PENDING_DELETION:
        raise KeyRefused(f"{key.arn} is pending deletion.")


def disable(call: Call, key: RingKey) -> None:
    """KeyRefused."""
    _not_leaving(key)
    keys.set_state(call.connection, key, rules.DISABLED)


def enable(call: Call, key: RingKey) -> None:
    """KeyRefused."""
    _not_leaving(key)
    keys.set_state(call.connection, key, rules.ENABLED)


def rotate(call: Call, key: RingKey) -> None:
    """What it wraps from now on needs something new; what it wrapped before it still opens. KeyRefused."""
    _own(key)
    if key.state != rules.ENABLED:
        raise KeyRefused(f"{key.arn} is {'disabled' if key.state == rules.DISABLED else 'pending deletion'}.")
    keys.rotate(call.connection, key, call.now)


def schedule_deletion(call: Call, key: RingKey, days: int) -> int:
    """When the key goes, in epoch milliseconds; until then it cannot be used. KeyRefused."""
    _not_leaving(key)
    if not rules.SHORTEST_WAIT <= days <= rules.LONGEST_WAIT:
        raise KeyRefused(f"a key waits {rules.SHORTEST_WAIT} to {rules.LONGEST_WAIT} days for its deletion")
    end = call.now + days * DAY
    keys.set_state(call.connection, key, rules.PENDING_DELETION, end)
    enqueue(call, DELETE_KEY, end, Registry(key.account, key.region), key.arn)
    return end


def cancel_deletion(call: Call, key: RingKey) -> None:
    """The key stays, and is disabled, as KMS leaves it. KeyRefused."""
    _own(key)
    if key.state != rules.PENDING_DELETION:
        raise KeyRefused(f"{key.arn} is not pending deletion.")
    cancel(call, DELETE_KEY, key.arn)
    keys.set_state(call.connection, key, rules.DISABLED)


def name(call: Call, key: RingKey, alias_name: str) -> None:
    """Let an alias stand for the key, whatever it stood for. KeyRefused."""
    _own(key)
    if rules.ALIAS.fullmatch(alias_name) is None or alias_name.startswith(rules.RESERVED):
        raise KeyRefused(f"{alias_name} is no alias: alias/ and letters, digits, /, _ and -; {rules.RESERVED} is AWS's")
    keys.put_alias(call.connection, key, alias_name)


def unname(call: Call, registry: Registry, alias_name: str) -> None:
    """Forget the alias. Repositories that were made by it keep their key. KeyRefused."""
    if alias_name.startswith(rules.RESERVED):
        raise KeyRefused(f"{alias_name} is AWS's")
    if not keys.remove_alias(call.connection, *registry[:2], alias_name):
        raise KeyRefused(f"there is no {alias_name}")


def revoke_grant(call: Call, key: RingKey, grant_id: str) -> None:
    """ECR may not use the key by this grant any more. KeyRefused."""
    if not keys.revoke_grant(call.connection, key.arn, grant_id):
        raise KeyRefused(f"{key.arn} has no grant {grant_id}")


def shown(call: Call, key: RingKey) -> dict[str, object]:
    """The key as JSON."""
    return keys.as_json(call.connection, key) | {
        "createdAt": iso(key.created_at),
        "deletionAt": None if key.deletion_at is None else iso(key.deletion_at),
        "grants": [
            {"grantId": grant.grant_id, "revoked": grant.is_revoked}
            for grant in keys.grants_on(call.connection, key.arn)
        ],
    }
