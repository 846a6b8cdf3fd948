"""A repository has a key from its first moment to its last."""

from __future__ import annotations

from ecrsim.core.facts import on
from ecrsim.core.runtime import Call
from ecrsim.ecr.encryption import service
from ecrsim.ecr.repositories.events import RepositoryCreated, RepositoryDeleted


@on(RepositoryCreated)
def take_its_key(call: Call, fact: RepositoryCreated) -> None:
    """KmsException where it cannot be used: then there is no repository."""
    service.take(call, fact.repository, is_asked_for=fact.is_asked_for)


@on(RepositoryDeleted)
def let_its_key_go(call: Call, fact: RepositoryDeleted) -> None:
    """What could not be retired is said, and the repository is deleted all the same (documented)."""
    call.late_error = service.let_go(call, fact.repository) or call.late_error
