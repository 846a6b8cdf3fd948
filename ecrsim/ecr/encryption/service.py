"""The key of a repository: found when it is made, used when its bytes are, let go when it is deleted.

A key is the ring's where the ring has it, and the KMS's otherwise, where there is one (`--kms-endpoint`).
"""

from __future__ import annotations

from typing import NamedTuple

import orjson
from sqlalchemy import bindparam, select, update

from ecrsim.core.errors import KmsException
from ecrsim.core.ids import stable_uuid
from ecrsim.core.query import Change, Query, upsert
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Call
from ecrsim.ecr.encryption import keys, kms, permission, ring, rules
from ecrsim.ecr.encryption.kms import Place
from ecrsim.ecr.encryption.memory import memory_of
from ecrsim.ecr.encryption.tables import kms_data_keys
from ecrsim.ecr.repositories.protection import Protected, Use
from ecrsim.ecr.repositories.tables import repositories
from ecrsim.records import tally
from ecrsim.records.trail import record_call

_SET_KEY = Change(
    update(repositories).where(repositories.c.id == bindparam("which")).values(kms_key=bindparam("found"))
)
_DATA_KEY = Query(select(kms_data_keys.c.wrapped).where(kms_data_keys.c.repository_id == bindparam("which")), str)


class _Found(NamedTuple):
    arn: str
    of_ring: keys.RingKey | None


# --- when a repository is made and deleted ----------------------------------------------------------------------------


def take(call: Call, repository: Protected, *, is_asked_for: bool) -> None:
    """Find the key of a repository that is being made, be granted its use, and write down its ARN. KmsException, Miss.

    `is_asked_for`: a caller asked for the repository, who needs rights on the key; else ECR makes it by a template.
    """
    if repository.encryption_type == "AES256":
        return
    name = rules.named_key(repository.registry, repository.kms_key or rules.AWS_ALIAS)
    found = _find(call, repository, name)
    is_customers = found.of_ring is None or found.of_ring.manager == keys.CUSTOMER
    if is_asked_for and is_customers:
        _check_caller(call, permission.TO_CREATE, found)
    if found.of_ring is not None:
        rules.check_state(found.arn, found.of_ring.state)
        for grant_id in ring.allow(call, repository, found.of_ring):
            _on_trail(call, repository, found.arn, grant_id)
        # DescribeKey, and the grants.
        tally.record(call, *_counted(repository), times=1 + rules.GRANTS)
    else:
        for grant_id in kms.create_grants(call, place_of(repository, found.arn)):
            keys.add_grant(call.connection, grant_id, repository.id, found.arn, call.now)
    _SET_KEY.run(call.connection, which=repository.id, found=found.arn)


def _on_trail(call: Call, repository: Protected, arn: str, grant_id: str) -> None:
    """As KMS writes it down (documented). A KMS beside ecrsim does so itself."""
    registry, name = repository.registry, repository.repository_name
    principal = rules.principal_of(registry)
    request = {
        "keyId": arn.rpartition("/")[2],
        "granteePrincipal": principal,
        "operations": list(rules.GRANTED),
        "retiringPrincipal": principal,
        "constraints": {"encryptionContextSubset": {"aws:ecr:arn": registry.arn(name)}},
    }
    answer = orjson.dumps({"grantId": grant_id})
    record_call(call, "CreateGrant", registry, name, orjson.dumps(request), answer, None, key_arn=arn)


def _find(call: Call, repository: Protected, name: rules.NamedKey) -> _Found:
    if kms.is_there(call.runtime):
        asked = name.arn if name.account != repository.registry.account else name.key_id or name.alias_name
        try:
            described = kms.describe(call, repository.registry, repository.repository_name, asked)
        except KmsException as error:
            # Only AWS makes its own keys: where the KMS is not AWS's, the ring does.
            if name.alias_name != rules.AWS_ALIAS or error.members.get("kmsError") != "NotFoundException":
                raise
        else:
            rules.check_state(described.arn, described.state)
            return _Found(described.arn, None)
    found = ring.named(call, repository.registry, name)
    return _Found(found.arn, found)


def _check_caller(call: Call, actions: tuple[str, ...], found: _Found) -> None:
    """What a KMS decides about a key of another account is its own business."""
    account = found.arn.split(":")[4]
    if found.of_ring is not None:
        permission.check(call, actions, found.arn, permission.policy_of(found.of_ring.shared_with))
    elif account == call.caller.account:
        permission.check(call, actions, found.arn)


def let_go(call: Call, repository: Protected) -> KmsException | None:
    """Retire what was granted for a repository that is being deleted; the error that is answered where that failed.

    The repository is deleted all the same (documented). Miss.
    """
    arn = repository.kms_key
    if repository.encryption_type == "AES256" or arn is None:
        return None
    granted = keys.grants_of(call.connection, repository.id)
    of_ring = keys.find(call.connection, arn, call.now)
    if not granted:
        return None
    try:
        _check_caller(call, permission.TO_DELETE, _Found(arn, of_ring))
        if of_ring is None and kms.is_there(call.runtime):
            kms.retire_grants(call, place_of(repository, arn), [grant.grant_id for grant in granted])
        elif of_ring is None:
            raise KmsException(f"Key '{arn}' does not exist", kmsError="NotFoundException")
        else:
            tally.record(call, *_counted(repository), times=rules.GRANTS)
    except KmsException as error:
        text = rules.grants_left(repository.repository_name, arn)
        return KmsException(text, kmsError=error.members.get("kmsError"))
    # The rows of the grants go with the repository.
    return None


# --- when its bytes are written or read -------------------------------------------------------------------------------


def check(call: Call, repository: Protected, use: Use) -> None:
    """Whether ECR may use the key for that now. KmsException, Miss."""
    if repository.encryption_type == "AES256":
        return
    place = place_at_kms(call, repository)
    if place is None:
        ring.key_of(call, repository, use)
        tally.note(call, *_counted(repository))
        return
    memory, name = memory_of(call.runtime), ("kms", use, place)
    if memory.is_allowed(name):
        return
    wrapped = _DATA_KEY.first(call.connection, which=repository.id)
    if use == "pull" and wrapped is not None:
        kms.opened(call, place, wrapped)
    else:
        made = kms.generate(call, place)
        if wrapped is None and use == "push":
            with call.writing():
                upsert(call.connection, kms_data_keys, {"repository_id": repository.id}, {"wrapped": made.wrapped})
    memory.remember_allowed(name)


def place_at_kms(call: Call, repository: Protected) -> Place | None:
    """The repository as a KMS knows it; None where the ring has its key."""
    arn = repository.kms_key
    if repository.encryption_type == "AES256" or arn is None or not kms.is_there(call.runtime):
        return None
    return None if keys.find(call.connection, arn, call.now) is not None else place_of(repository, arn)


def _counted(repository: Protected) -> tuple[Registry, str, str]:
    """What is counted where the ring stands for KMS."""
    return repository.registry, repository.repository_name, tally.KMS_REQUEST


def place_of(repository: Protected, arn: str) -> Place:
    """With ECR's encryption context, which binds what is encrypted to this repository."""
    registry, name = repository.registry, repository.repository_name
    context = rules.context(registry, name, stable_uuid("starport", registry.arn(name)))
    return Place(registry, name, arn, tuple(context.items()))
