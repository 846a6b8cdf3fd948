"""Repositories of a release that only showed keys; and what a repository without a key costs."""

from typing import Any

import pytest
from sqlalchemy import delete, update

from ecrsim.core import ids
from ecrsim.core.query import _Statement
from ecrsim.core.runtime import root_caller
from ecrsim.ecr.encryption.tables import kms_grants, kms_keys
from ecrsim.ecr.images import lookup
from ecrsim.ecr.repositories.protection import check
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.ecr.repositories.tables import repositories
from tests.answers import ACCOUNT, REGION, refused
from tests.keys import change_key, encrypted, shown_key
from tests.pushing import create, push

#: What 0.1.0 made of an alias, and of no key.
OF_ALIAS = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ids.stable_uuid('kms', ACCOUNT, REGION, 'alias/mine')}"
OF_AWS = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{ids.stable_uuid('kms', ACCOUNT, REGION, 'alias/aws/ecr')}"


def as_before(sim, arn):
    """The rows as an earlier release left them: the ARN alone."""
    with sim.runtime.database.write() as connection:
        connection.execute(update(repositories).where(repositories.c.kms_key.is_not(None)).values(kms_key=arn))
        connection.execute(delete(kms_grants))
        connection.execute(delete(kms_keys))


@pytest.mark.parametrize("arn", [OF_ALIAS, OF_AWS], ids=["an alias", "aws/ecr"])
def test_the_key_is_made_when_it_is_needed(sim, ecr, arn):
    create(ecr, **encrypted())
    create(ecr, "other", **encrypted())
    push(ecr, "app", None, "v1")
    as_before(sim, arn)

    (image,) = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
    assert image["imageId"]["imageTag"] == "v1"
    push(ecr, "other", None, "v1")
    found = shown_key(sim, arn)
    assert (found["manager"], len(found["grants"])) == ("AWS" if arn == OF_AWS else "CUSTOMER", 4)
    (described,) = ecr.describe_repositories(repositoryNames=["app"])["repositories"]
    assert described["encryptionConfiguration"]["kmsKey"] == arn


def test_a_new_repository_has_the_same_key_of_aws(sim, ecr):
    create(ecr, **encrypted())
    (described,) = ecr.describe_repositories()["repositories"]
    assert described["encryptionConfiguration"]["kmsKey"] == OF_AWS


def test_a_key_that_was_deleted_does_not_come_back(sim, ecr):
    sim.freeze("2026-01-01T00:00:00Z")
    create(ecr, **encrypted())
    as_before(sim, OF_ALIAS)
    ecr.initiate_layer_upload(repositoryName="app")
    change_key(sim, "schedule-deletion", OF_ALIAS, days=7)
    sim.advance(days=8)
    assert refused(ecr.initiate_layer_upload, repositoryName="app")["kmsError"] == "NotFoundException"


def test_one_that_was_never_used_is_deleted_without_ado(sim, ecr):
    create(ecr, **encrypted())
    as_before(sim, OF_ALIAS)
    ecr.delete_repository(repositoryName="app")
    assert ecr.describe_repositories()["repositories"] == []


def test_without_kms_no_statement_is_added(sim, ecr, monkeypatch):
    create(ecr)
    push(ecr, "app", None, "v1")
    caller = root_caller(ACCOUNT, REGION)
    with sim.runtime.call(caller) as call:
        repository = get_repository(call, caller.registry, "app")
        statements: list[Any] = []
        execute = _Statement._execute

        def counted(self: Any, *arguments: Any) -> Any:
            statements.append(self)
            return execute(self, *arguments)

        monkeypatch.setattr(_Statement, "_execute", counted)
        check(call, repository, "push")
        check(call, repository, "pull")
        assert statements == []
        pulled = lookup.pull(call, caller.registry, "app", "v1")
        assert pulled is not None
        check(call, pulled.repository, "pull")
        assert len(statements) == 1
