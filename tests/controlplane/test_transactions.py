"""How an operation runs is what it declares: a "read" runs on a database that refuses every write."""

import contextlib

import pytest
from sqlalchemy.exc import DBAPIError

from ecrsim.contract.models import SERVICES, service
from ecrsim.contract.operations import declaration_of
from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.ecr import load_capabilities
from ecrsim.testing import build_image
from tests import engine
from tests.answers import ACCOUNT, REGION
from tests.api import post
from tests.pushing import artifact_of, create, push, put

load_capabilities()
READS = {
    each.operation
    for name in SERVICES
    for operation in service(name).operations.values()
    if (each := declaration_of(operation)) and each.transaction == "read"
}
IMAGE = build_image(b"a layer")
APP = {"repositoryName": "app"}
BACKFILL = "00000000-0000-4000-8000-000000000000"
POLICY = (
    '{"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", '
    '"countNumber": 5}, "action": {"type": "expire"}}]}'
)
STATEMENT = (
    '{"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Principal": "*", '
    '"Action": "ecr:BatchGetImage"}]}'
)
REGISTRY_STATEMENT = (
    '{"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", '
    f'"Principal": {{"AWS": "arn:aws:iam::{ACCOUNT}:root"}}, "Action": "ecr:ReplicateImage", "Resource": "*"}}]}}'
)
#: Each "read" of ECR, with a body that it answers.
PRIVATE_BODIES = {
    "BatchGetImage": {**APP, "imageIds": [{"imageTag": "v1"}, {"imageDigest": IMAGE.digest}]},
    "DescribeImageReplicationStatus": {**APP, "imageId": {"imageTag": "v1"}},
    "DescribeImageSigningStatus": {**APP, "imageId": {"imageTag": "v1"}},
    "DescribeImages": APP,
    "DescribePullThroughCacheRules": {},
    "DescribeRegistry": {},
    "DescribeRepositories": {},
    "DescribeRepositoryCreationTemplates": {},
    "GetAccountSetting": {"name": "BLOB_MOUNTING"},
    "GetAuthorizationToken": {},
    "GetDownloadUrlForLayer": {**APP, "layerDigest": next(iter(IMAGE.blobs))},
    "GetLifecyclePolicy": APP,
    "GetLifecyclePolicyPreview": APP,
    "GetRegistryPolicy": {},
    "GetRepositoryPolicy": APP,
    "ListImageReferrers": {**APP, "subjectId": {"imageDigest": IMAGE.digest}},
    "ListImages": APP,
    "ListPullTimeUpdateExclusions": {},
    "BatchGetRepositoryScanningConfiguration": {"repositoryNames": ["app"]},
    "DescribeImageScanFindings": {**APP, "imageId": {"imageTag": "v1"}},
    "GetRegistryScanningConfiguration": {},
    "GetSigningConfiguration": {},
    "DescribeReplicationBackfillResults": {"replicationBackfillId": BACKFILL},
    "ListReplicationBackfills": {},
    "ListTagsForResource": {"resourceArn": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"},
}
#: The same of ECR Public.
PUBLIC_BODIES = {
    "DescribeImageTags": APP,
    "DescribeImages": APP,
    "DescribeRegistries": {},
    "DescribeRepositories": {},
    "GetAuthorizationToken": {},
    "GetRegistryCatalogData": {},
    "GetRepositoryCatalogData": APP,
    "GetRepositoryPolicy": APP,
    "ListTagsForResource": {"resourceArn": f"arn:aws:ecr-public::{ACCOUNT}:repository/app"},
}
BODIES = {("ecr", name): body for name, body in PRIVATE_BODIES.items()} | {
    ("ecr-public", name): body for name, body in PUBLIC_BODIES.items()
}


@pytest.fixture
def filled(sim, ecr, monkeypatch):
    """A repository with all that a read can show. The two keys of the runtime are made by their first use."""
    create(ecr, "app")
    push(ecr, "app", IMAGE)
    put(ecr, "app", IMAGE, "v1")
    push(ecr, "app", artifact_of(IMAGE))
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=POLICY)
    ecr.start_lifecycle_policy_preview(repositoryName="app")
    ecr.set_repository_policy(repositoryName="app", policyText=STATEMENT)
    ecr.put_registry_policy(policyText=REGISTRY_STATEMENT)
    rules = [{"destinations": [{"region": "eu-west-1", "registryId": ACCOUNT}]}]
    ecr.put_replication_configuration(replicationConfiguration={"rules": rules})
    profile = f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-profiles/prod"
    ecr.put_signing_configuration(signingConfiguration={"rules": [{"signingProfileArn": profile}]})
    put(ecr, "app", IMAGE, "v2")
    monkeypatch.setattr("ecrsim.ecr.replication.backfills.new_uuid", lambda: BACKFILL)
    ecr.start_replication_backfill(destination=rules[0]["destinations"][0])
    ecr.create_repository_creation_template(prefix="team", appliedFor=["REPLICATION"])
    ecr.start_image_scan(repositoryName="app", imageId={"imageTag": "v1"})
    public = sim.client("ecr-public")
    public.create_repository(repositoryName="app", catalogData={"description": "It does things."})
    push(public, "app", IMAGE, "v1")
    public.set_repository_policy(repositoryName="app", policyText=STATEMENT.replace("ecr:", "ecr-public:"))
    for name in ("token", "download"):
        sim.runtime.secret(name)
    sim.runtime.batch.flush()
    return sim


@pytest.fixture
def refusing(filled, monkeypatch):
    """The same, with a database that takes no write: no write transaction, and no writing statement in a read one."""
    database = filled.runtime.database
    read = database.read

    @contextlib.contextmanager
    def read_only():
        with read() as connection:
            # Of PostgreSQL a read transaction takes no write anyway.
            if engine.ENGINE != "sqlite":
                yield connection
                return
            connection.exec_driver_sql("PRAGMA query_only=ON")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("PRAGMA query_only=OFF")

    def write(_: str = "") -> None:
        raise ServiceUnavailableException("no writes")

    monkeypatch.setattr(database, "read", read_only)
    monkeypatch.setattr(database, "write", write)
    yield filled
    monkeypatch.undo()
    filled.runtime.batch.flush()


def test_every_read_is_in_the_table():
    assert {(operation.service, operation.name) for operation in READS} == BODIES.keys()


@pytest.mark.parametrize(("service_name", "name"), BODIES)
def test_a_read_runs_on_a_database_that_refuses_writes(refusing, service_name, name):
    answer = post(refusing, name, BODIES[service_name, name], service=service_name)
    assert answer.status == 200, answer.body


def test_the_database_of_the_test_above_does_refuse(refusing):
    assert post(refusing, "PutAccountSetting", {"name": "BLOB_MOUNTING", "value": "ENABLED"}).status == 503
    with refusing.runtime.database.read() as connection, pytest.raises(DBAPIError, match=r"read-?only"):
        connection.exec_driver_sql("DELETE FROM repositories")
