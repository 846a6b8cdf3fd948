"""The key ring: keys as KMS has them, made, disabled, rotated, deleted; their aliases, and the grants on them.

What a key encrypts with is sealed with the key of the data directory (`core/sealing.py`), so that who steals the
database alone opens nothing.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update

from ecrsim.core import ids
from ecrsim.core.db import RowConflict
from ecrsim.core.query import Addition, Change, Query, upsert
from ecrsim.core.sealing import SecretDamaged, seal_of
from ecrsim.ecr.encryption.rules import ENABLED, key_arn
from ecrsim.ecr.encryption.tables import kms_aliases, kms_grants, kms_key_materials, kms_keys

log = logging.getLogger("ecrsim.keys")

CUSTOMER, AWS, S3 = "CUSTOMER", "AWS", "S3"
_DESCRIPTIONS = {
    # As AWS describes it.
    AWS: "Default key that protects my ECR data when no other key is defined",
    S3: "the key that stands for the one which S3 manages",
}
_MATERIAL = "kms_key_materials"


class RingKey(NamedTuple):
    """A row of `kms_keys`."""

    number: int
    arn: str
    account: str
    region: str
    manager: str
    description: str
    state: str
    created_at: int
    deletion_at: int | None
    shared_with: list[str]


class Material(NamedTuple):
    """What a key encrypts with, sealed, since `created_at`."""

    number: int
    created_at: int
    material: str


class Grant(NamedTuple):
    """A row of `kms_grants`, with the repository that it is for."""

    grant_id: str
    repository_id: int
    key_arn: str
    created_at: int
    is_revoked: bool


_COLUMNS = [kms_keys.c[name] for name in RingKey._fields]
_MATERIAL_COLUMNS = [kms_key_materials.c[name] for name in Material._fields]
_OF_ARN = kms_keys.c.arn == bindparam("arn")
_NUMBERED = kms_keys.c.number == bindparam("which")
_BY_ARN = Query(select(*_COLUMNS).where(_OF_ARN), RingKey)
_BY_ALIAS = Query(
    select(*_COLUMNS)
    .join(kms_aliases, kms_aliases.c.key_number == kms_keys.c.number)
    .where(
        kms_aliases.c.account == bindparam("account"),
        kms_aliases.c.region == bindparam("place"),
        kms_aliases.c.alias_name == bindparam("alias_name"),
    ),
    RingKey,
)
_ALL = Query(select(*_COLUMNS).where(kms_keys.c.manager != S3).order_by(kms_keys.c.arn), RingKey)
_NEWEST = Query(
    select(*_MATERIAL_COLUMNS)
    .where(kms_key_materials.c.key_number == bindparam("which"))
    .order_by(kms_key_materials.c.number.desc())
    .limit(1),
    Material,
)
_OF_KEY = Query(
    select(*_MATERIAL_COLUMNS).where(
        kms_key_materials.c.key_number == bindparam("which"), kms_key_materials.c.number == bindparam("material")
    ),
    Material,
)
_ROTATIONS = Query(
    select(func.count()).select_from(kms_key_materials).where(kms_key_materials.c.key_number == bindparam("which")), int
)
_ALIASES = Query(
    select(kms_aliases.c.alias_name)
    .where(kms_aliases.c.key_number == bindparam("which"))
    .order_by(kms_aliases.c.alias_name),
    str,
)
_INSERT = Addition(kms_keys, *(name for name in RingKey._fields if name != "number"), identity=kms_keys.c.number)
_INSERT_MATERIAL = Addition(kms_key_materials, "key_number", "created_at", "material")
_SET_STATE = Change(
    update(kms_keys).where(_NUMBERED).values(state=bindparam("new_state"), deletion_at=bindparam("end"))
)
_DELETE = Change(delete(kms_keys).where(_OF_ARN))
_DELETE_ALIAS = Change(
    delete(kms_aliases).where(
        kms_aliases.c.account == bindparam("owner"),
        kms_aliases.c.region == bindparam("place"),
        kms_aliases.c.alias_name == bindparam("named"),
    )
)
_GRANT_COLUMNS = [kms_grants.c[name] for name in Grant._fields]
_GRANTS = Query(
    select(*_GRANT_COLUMNS)
    .where(kms_grants.c.repository_id == bindparam("repository_id"))
    .order_by(kms_grants.c.grant_id),
    Grant,
)
_GRANTS_ON = Query(
    select(*_GRANT_COLUMNS).where(kms_grants.c.key_arn == bindparam("arn")).order_by(kms_grants.c.grant_id), Grant
)
_INSERT_GRANT = Addition(kms_grants, *Grant._fields)
_REVOKE = Change(
    update(kms_grants)
    .where(kms_grants.c.key_arn == bindparam("arn"), kms_grants.c.grant_id == bindparam("which"))
    .values(is_revoked=True)
)


# --- keys -------------------------------------------------------------------------------------------------------------


def find(connection: Connection, arn: str, now: int) -> RingKey | None:
    """The key of the ring; None when there is none, or when its end has come."""
    return _if_there(_BY_ARN.first(connection, arn=arn), now)


def find_by_alias(connection: Connection, account: str, region: str, alias_name: str, now: int) -> RingKey | None:
    return _if_there(_BY_ALIAS.first(connection, account=account, place=region, alias_name=alias_name), now)


def _if_there(key: RingKey | None, now: int) -> RingKey | None:
    return None if key is None or (key.deletion_at is not None and key.deletion_at <= now) else key


def everywhere(connection: Connection, now: int) -> list[RingKey]:
    """All keys of all accounts that users may see, by ARN."""
    return [key for key in _ALL.all(connection) if _if_there(key, now) is not None]


def make(
    connection: Connection,
    account: str,
    region: str,
    key_id: str,
    now: int,
    *,
    manager: str = CUSTOMER,
    description: str = "",
    shared_with: list[str] | None = None,
) -> RingKey:
    """A new key that is enabled. RowConflict where there is one of that id."""
    arn = key_arn(account, region, key_id)
    number = _INSERT.add(
        connection,
        arn=arn,
        account=account,
        region=region,
        manager=manager,
        description=description or _DESCRIPTIONS.get(manager, ""),
        state=ENABLED,
        created_at=now,
        deletion_at=None,
        shared_with=shared_with or [],
    )
    _add_material(connection, number, arn, now)
    made = _BY_ARN.first(connection, arn=arn)
    if made is None:
        raise RowConflict(f"the key {arn} went as it was made")
    return made


def rotate(connection: Connection, key: RingKey, now: int) -> None:
    """From now on the key encrypts with something new; what it encrypted before it still opens."""
    _add_material(connection, key.number, key.arn, now)


def _add_material(connection: Connection, number: int, arn: str, now: int) -> None:
    sealed = seal_of(connection).sealed(ids.new_secret().hex(), _MATERIAL, arn)
    _INSERT_MATERIAL.run(connection, key_number=number, created_at=now, material=sealed)


def material(connection: Connection, key: RingKey, number: int | None = None) -> tuple[int, bytes] | None:
    """The number and the bytes of what the key encrypts with now, or of the one of that number.

    None where there is none, or it was sealed with a `secret.key` that was given up (`ecrsim store forget-secrets`).
    """
    if number is None:
        found = _NEWEST.first(connection, which=key.number)
    else:
        found = _OF_KEY.first(connection, which=key.number, material=number)
    if found is None:
        return None
    try:
        return found.number, bytes.fromhex(seal_of(connection).opened(found.material, _MATERIAL, key.arn))
    except SecretDamaged as error:
        log.error("%s; what was encrypted with it stays closed", error)  # noqa: TRY400
        return None


def rotations(connection: Connection, key: RingKey) -> int:
    """How often the key was rotated."""
    return _ROTATIONS.one(connection, which=key.number) - 1


def set_state(connection: Connection, key: RingKey, state: str, deletion_at: int | None = None) -> None:
    _SET_STATE.run(connection, which=key.number, new_state=state, end=deletion_at)


def remove(connection: Connection, arn: str) -> None:
    """The key, what it encrypted with, and its aliases, for good."""
    _DELETE.run(connection, arn=arn)


# --- aliases ----------------------------------------------------------------------------------------------------------


def aliases(connection: Connection, key: RingKey) -> list[str]:
    return _ALIASES.all(connection, which=key.number)


def put_alias(connection: Connection, key: RingKey, alias_name: str) -> None:
    """Let the alias of the key's account and region stand for this key, whatever it stood for."""
    place = {"account": key.account, "region": key.region, "alias_name": alias_name}
    upsert(connection, kms_aliases, place, {"key_number": key.number})


def remove_alias(connection: Connection, account: str, region: str, alias_name: str) -> bool:
    """False when there was none."""
    return _DELETE_ALIAS.run(connection, owner=account, place=region, named=alias_name) > 0


# --- grants -----------------------------------------------------------------------------------------------------------


def grants_of(connection: Connection, repository_id: int) -> list[Grant]:
    """What ECR was granted for the repository."""
    return _GRANTS.all(connection, repository_id=repository_id)


def grants_on(connection: Connection, arn: str) -> list[Grant]:
    """What was granted on the key."""
    return _GRANTS_ON.all(connection, arn=arn)


def add_grant(connection: Connection, grant_id: str, repository_id: int, arn: str, now: int) -> None:
    _INSERT_GRANT.run(
        connection, grant_id=grant_id, repository_id=repository_id, key_arn=arn, created_at=now, is_revoked=False
    )


def revoke_grant(connection: Connection, arn: str, grant_id: str) -> bool:
    """False when the key has no such grant."""
    return _REVOKE.run(connection, arn=arn, which=grant_id) > 0


def as_json(connection: Connection, key: RingKey) -> dict[str, Any]:
    """The key as users see it, without its times."""
    return {
        "arn": key.arn,
        "keyId": key.arn.rpartition("/")[2],
        "account": key.account,
        "region": key.region,
        "manager": key.manager,
        "description": key.description,
        "state": key.state,
        "aliases": aliases(connection, key),
        "rotations": rotations(connection, key),
        "shared_with": key.shared_with,
    }
