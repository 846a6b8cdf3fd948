"""A KMS beside ecrsim (`--kms-endpoint`), asked through boto3 with no transaction open.

What an operation asks makes it a `Miss`: it is undone, and done again when the answer is there (`core/misses.py`).
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from ecrsim.core.errors import KmsException
from ecrsim.core.misses import learn
from ecrsim.core.neighbours import Access, Neighbour, NeighbourError
from ecrsim.core.registry import Registry, root_arn
from ecrsim.core.runtime import Call, Runtime
from ecrsim.ecr.encryption import rules
from ecrsim.ecr.encryption.memory import memory_of
from ecrsim.ecr.repositories.protection import DataKey
from ecrsim.records import tally

_T = TypeVar("_T")

_FORM = "k1."
#: Clients that wait for the next question.
_MOST_IDLE = 8


class KeyDescription(NamedTuple):
    """What KMS says of a key: its ARN and its state."""

    arn: str
    state: str


class Place(NamedTuple):
    """A repository as KMS hears of it; `key_arn` is whatever names its key."""

    registry: Registry
    repository_name: str
    key_arn: str
    context: tuple[tuple[str, str], ...]


class _Clients:
    """Clients that are idle; each is used by one thread at a time."""

    def __init__(self) -> None:
        self._idle: dict[Access, deque[Neighbour]] = {}

    def take(self, access: Access) -> Neighbour:
        try:
            return self._idle[access].pop()
        except LookupError:
            return Neighbour("kms", access)

    def give(self, access: Access, client: Neighbour) -> None:
        idle = self._idle.setdefault(access, deque())
        if len(idle) < _MOST_IDLE:
            idle.append(client)
        else:
            client.close()


def is_there(runtime: Runtime) -> bool:
    """Whether keys are looked up at a KMS."""
    return bool(runtime.config.kms_endpoint)


# --- from within a call -----------------------------------------------------------------------------------------------


def describe(call: Call, registry: Registry, repository_name: str, name: str) -> KeyDescription:
    """The key that an id, ARN or alias names. KmsException, Miss."""
    place = Place(registry, repository_name, name, ())
    return _learn(call, ("kms", "describe", place), lambda: _describe(call.runtime, place))


def create_grants(call: Call, place: Place) -> list[str]:
    """Two grants; their ids. KmsException, Miss."""
    return _learn(call, ("kms", "grant", place), lambda: _create_grants(call.runtime, place))


def retire_grants(call: Call, place: Place, grant_ids: Sequence[str]) -> None:
    """KmsException, Miss. Grants that are there no more are retired."""
    question = "kms", "retire", place, tuple(grant_ids)
    _learn(call, question, lambda: _retire_grants(call.runtime, place, grant_ids))


def generate(call: Call, place: Place) -> DataKey:
    """KmsException, Miss."""
    return _learn(call, ("kms", "generate", place), lambda: generate_now(call.runtime, place))


def opened(call: Call, place: Place, wrapped: str) -> bytes:
    """KmsException, Miss."""
    question = "kms", "decrypt", place, wrapped
    return _learn(call, question, lambda: opened_now(call.runtime, place, wrapped), is_shared=True)


def _learn(call: Call, question: Hashable, ask: Callable[[], _T], *, is_shared: bool = False) -> _T:
    memory = memory_of(call.runtime)
    return cast(_T, learn(call, question, lambda: memory.fly(question, ask, is_shared=is_shared)))


# --- without a call, and with no transaction open ---------------------------------------------------------------------


def generate_now(runtime: Runtime, place: Place) -> DataKey:
    """GenerateDataKey, of a key that is enabled. KmsException."""
    _check_state(runtime, place)
    context = dict(place.context)
    answer = _ask(
        runtime, place, "generate_data_key", KeyId=place.key_arn, KeySpec="AES_256", EncryptionContext=context
    )
    wrapped = _FORM + base64.b64encode(answer["CiphertextBlob"]).decode()
    return DataKey(answer["Plaintext"], wrapped, place.key_arn)


def opened_now(runtime: Runtime, place: Place, wrapped: str) -> bytes:
    """Decrypt, by a key that is enabled. KmsException."""
    _check_state(runtime, place)
    if not wrapped.startswith(_FORM):
        raise KmsException("The ciphertext is not one of this key", kmsError="InvalidCiphertextException")
    answer = _ask(
        runtime,
        place,
        "decrypt",
        KeyId=place.key_arn,
        CiphertextBlob=base64.b64decode(wrapped.removeprefix(_FORM)),
        EncryptionContext=dict(place.context),
    )
    return bytes(answer["Plaintext"])


def _check_state(runtime: Runtime, place: Place) -> None:
    """KMS refuses a key that is not enabled itself; moto's does not."""
    found = _describe(runtime, place)
    rules.check_state(found.arn, found.state)


def _describe(runtime: Runtime, place: Place) -> KeyDescription:
    metadata = _ask(runtime, place, "describe_key", KeyId=place.key_arn)["KeyMetadata"]
    rules.check_usage(metadata)
    return KeyDescription(metadata["Arn"], metadata.get("KeyState") or rules.ENABLED)


def _create_grants(runtime: Runtime, place: Place) -> list[str]:
    """For ECR, of what it needs, and for this repository alone (documented)."""
    registry = place.registry
    principal = rules.principal_of(registry)
    if _is_aws(runtime):
        # AWS's KMS grants to a service only what that service asks for itself.
        principal = root_arn(registry.account, registry.region)
    made = []
    for _ in range(rules.GRANTS):
        answer = _ask(
            runtime,
            place,
            "create_grant",
            KeyId=place.key_arn,
            GranteePrincipal=principal,
            RetiringPrincipal=principal,
            Operations=list(rules.GRANTED),
            Constraints={"EncryptionContextSubset": {"aws:ecr:arn": registry.arn(place.repository_name)}},
        )
        made.append(answer["GrantId"])
    return made


def _retire_grants(runtime: Runtime, place: Place, grant_ids: Sequence[str]) -> None:
    # Of a key that is gone nothing can be retired, and moto says of a grant alone that all is well.
    _describe(runtime, place)
    for grant_id in grant_ids:
        try:
            _ask(runtime, place, "retire_grant", KeyId=place.key_arn, GrantId=grant_id)
        except KmsException as error:
            if error.members.get("kmsError") not in ("NotFoundException", "InvalidGrantIdException"):
                raise


def _ask(runtime: Runtime, place: Place, operation: str, **parameters: Any) -> dict[str, Any]:
    """One request to KMS, which is counted. KmsException."""
    access = _access(runtime, place.registry)
    tally.note_at(runtime, runtime.clock.now(), place.registry, place.repository_name, tally.KMS_REQUEST)
    clients = runtime.memory.setdefault("kms-clients", _Clients())
    if not isinstance(clients, _Clients):
        raise TypeError("the memory of clients is another's")
    client = clients.take(access)
    try:
        answer = client.call(operation, **parameters)
    except NeighbourError as error:
        text = str(error).removeprefix(f"{error.code}: ")
        raise KmsException(text, kmsError=error.code or "DependencyTimeoutException") from error
    finally:
        clients.give(access, client)
    return answer


def _access(runtime: Runtime, registry: Registry) -> Access:
    """AWS's own is asked with boto3's own keys; another one gets the account as the access key, as LocalStack reads."""
    endpoint = runtime.config.kms_endpoint
    if _is_aws(runtime):
        return Access(registry.region, endpoint, has_own_credentials=True, attempts=2)
    return Access(registry.region, endpoint, registry.account, "ecrsim")


def _is_aws(runtime: Runtime) -> bool:
    host = urlsplit(runtime.config.kms_endpoint).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
