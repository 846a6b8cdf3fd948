"""ECR Public over the services of ECR: two operations of it need a declaration each, and no statement of SQL."""

import ast
from pathlib import Path

import pytest

from ecrsim.contract import operations
from ecrsim.contract.models import service as model
from ecrsim.core import paging
from ecrsim.core.registry import PUBLIC_REGION, Registry
from ecrsim.core.runtime import root_caller
from ecrsim.ecr.images import details, listing
from ecrsim.ecr.images.pushing import put_image
from ecrsim.ecr.layers.service import add_layer
from ecrsim.ecr.registries.service import registry_of
from ecrsim.ecr.repositories import service
from tests.answers import ACCOUNT, REGION, inferred, refusal
from tests.principals import client_of, document, know, statement, user
from tests.pushing import numbered, push

PUBLIC = model("ecr-public")
HERE = Registry(ACCOUNT, PUBLIC_REGION, "public")
APP = f"arn:aws:ecr-public::{ACCOUNT}:repository/app"


def shown(shape, members):
    """Those members that ECR Public has as well."""
    return {name: value for name, value in members.items() if name in PUBLIC.shapes[shape].members}


def create_repository(call, repository_name, catalog_data=None, tags=None):
    registry = registry_of(call, None, "ecr-public")
    repository = service.create_repository(call, registry, repository_name, tags=tags or ())
    return {"repository": shown("Repository", service.describe(call, repository)), "catalogData": catalog_data or {}}


def describe_images(call, repository_name, registry_id=None, image_ids=None, next_token=None, max_results=None):
    registry = registry_of(call, registry_id, "ecr-public")
    repository = service.get_repository(call, registry, repository_name)
    request, limit = ("DescribeImages", *registry, repository.id), max_results or 100
    (after,) = paging.decode(request, next_token, [0])
    rows = listing.page_of_details(call, repository, "ACTIVE", None, after, limit + 1)
    entries = details.describe(call, repository, rows[:limit])
    token = paging.encode(request, [rows[limit - 1].id]) if len(rows) > limit else None
    return {"imageDetails": [shown("ImageDetail", entry) for entry in entries], "nextToken": token}


@pytest.fixture
def public(client, monkeypatch):
    """A client of ECR Public, with its two operations declared for this test."""
    monkeypatch.setattr(operations, "_declared", dict(operations._declared))
    operations.operation("CreateRepository", transaction="write", service="ecr-public")(create_repository)
    operations.operation("DescribeImages", transaction="read", service="ecr-public")(describe_images)
    return client("ecr-public")


def test_a_repository_of_each_kind_may_have_one_name(public, ecr):
    private = ecr.create_repository(repositoryName="app")["repository"]
    created = public.create_repository(repositoryName="app", tags=[{"Key": "a", "Value": "b"}])["repository"]
    assert created["repositoryArn"] == APP
    assert created["repositoryUri"].startswith("public.ecr.aws/")
    assert created["repositoryUri"].endswith("/app")
    assert private["repositoryArn"] == f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/app"
    assert [each["repositoryArn"] for each in ecr.describe_repositories()["repositories"]] == [private["repositoryArn"]]
    assert refusal(public.create_repository, repositoryName="app").code == "RepositoryAlreadyExistsException"


def test_images_are_described_by_the_same_rows(public, ecr, sim):
    public.create_repository(repositoryName="app")
    ecr.create_repository(repositoryName="app")
    push(ecr, "app", numbered(1), "v1")
    assert public.describe_images(repositoryName="app")["imageDetails"] == []
    images = [numbered(2), numbered(3)]
    with sim.runtime.call(root_caller(ACCOUNT, REGION)) as call, call.writing():
        repository = service.get_repository(call, HERE, "app")
        for image in images:
            for digest, data in image.blobs.items():
                add_layer(call, repository.id, digest, len(data))
            put_image(call, repository, image.manifest, None, tags=(f"v{images.index(image)}",))
    pages = public.get_paginator("describe_images").paginate(repositoryName="app", PaginationConfig={"PageSize": 1})
    found = [each for page in pages for each in page["imageDetails"]]
    assert [(each["registryId"], each["imageTags"], each["imageDigest"]) for each in found] == [
        (ACCOUNT, [f"v{number}"], image.digest) for number, image in enumerate(images)
    ]


def test_trail_and_events_name_the_other_service(public, sim):
    public.create_repository(repositoryName="app")
    [event] = sim.events(type="AWS API Call via CloudTrail")
    assert event["source"] == "aws.ecr-public"
    assert event["detail"]["eventSource"] == "ecr-public.amazonaws.com"
    assert event["detail"]["resources"] == [{"accountId": ACCOUNT, "ARN": APP}]


def test_policies_name_the_other_service(public, sim):
    know(sim, {"users": [user("dev", document(statement("ecr:*"), statement("ecr-public:CreateRepository")))]})
    dev = client_of(sim, "dev", "ecr-public")
    dev.create_repository(repositoryName="app")
    assert refusal(dev.describe_images, repositoryName="app") == inferred(
        "AccessDeniedException",
        f"User: arn:aws:iam::{ACCOUNT}:user/dev is not authorized to perform: ecr-public:DescribeImages on resource: "
        f"{APP} because no identity-based policy allows the ecr-public:DescribeImages action",
    )


def test_it_needs_no_statement_of_its_own():
    tree = ast.parse(Path(__file__).read_text("utf-8"))
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in names if name.startswith(("sqlalchemy", "ecrsim.core.db"))]
