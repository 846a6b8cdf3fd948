"""Who may do what at the API of ECR Public: every operation asks, and the answer is AWS's sentence."""

import pytest

from ecrsim.contract.models import service
from tests.answers import ACCOUNT, refusal
from tests.ecr.access.test_enforcement import code_of
from tests.ecr_public.conftest import PUBLIC_APP
from tests.principals import client_of, document, know, statement, user
from tests.pushing import NOWHERE

PUBLIC = service("ecr-public")
IN_APP = {"repositoryName": "app"}
UPLOAD = "12345678-1234-1234-1234-123456789012"
#: What each operation is called with, and on what it asks.
OPERATIONS = {
    "BatchCheckLayerAvailability": ({**IN_APP, "layerDigests": [NOWHERE]}, PUBLIC_APP),
    "BatchDeleteImage": ({**IN_APP, "imageIds": [{"imageTag": "a"}]}, PUBLIC_APP),
    "CompleteLayerUpload": ({**IN_APP, "uploadId": UPLOAD, "layerDigests": [NOWHERE]}, PUBLIC_APP),
    "CreateRepository": (IN_APP, PUBLIC_APP),
    "DeleteRepository": (IN_APP, PUBLIC_APP),
    "DeleteRepositoryPolicy": (IN_APP, PUBLIC_APP),
    "DescribeImageTags": (IN_APP, PUBLIC_APP),
    "DescribeImages": (IN_APP, PUBLIC_APP),
    "DescribeRegistries": ({}, "*"),
    "DescribeRepositories": ({"repositoryNames": ["app"]}, PUBLIC_APP),
    "GetAuthorizationToken": ({}, "*"),
    "GetRegistryCatalogData": ({}, "*"),
    "GetRepositoryCatalogData": (IN_APP, PUBLIC_APP),
    "GetRepositoryPolicy": (IN_APP, PUBLIC_APP),
    "InitiateLayerUpload": (IN_APP, PUBLIC_APP),
    "ListTagsForResource": ({"resourceArn": PUBLIC_APP}, PUBLIC_APP),
    "PutImage": ({**IN_APP, "imageManifest": "{}"}, PUBLIC_APP),
    "PutRegistryCatalogData": ({"displayName": "Us"}, "*"),
    "PutRepositoryCatalogData": ({**IN_APP, "catalogData": {}}, PUBLIC_APP),
    "SetRepositoryPolicy": ({**IN_APP, "policyText": "{}"}, PUBLIC_APP),
    "TagResource": ({"resourceArn": PUBLIC_APP, "tags": [{"Key": "a", "Value": "b"}]}, PUBLIC_APP),
    "UntagResource": ({"resourceArn": PUBLIC_APP, "tagKeys": ["a"]}, PUBLIC_APP),
    "UploadLayerPart": (
        {**IN_APP, "uploadId": UPLOAD, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"},
        PUBLIC_APP,
    ),
}


def dev(sim, *statements):
    know(sim, {"users": [user("dev", document(*statements)) if statements else user("dev")]})
    return client_of(sim, "dev", "ecr-public")


def call(client, operation):
    return getattr(client, PUBLIC.operations[operation].function)(**OPERATIONS[operation][0])


def test_every_operation_is_in_the_table():
    assert OPERATIONS.keys() == PUBLIC.operations.keys()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_who_has_no_policy_is_denied(sim, app, operation):
    """The sentence is recorded of ECR."""
    client = dev(sim, statement("ecr:*"))
    found = refusal(getattr(client, PUBLIC.operations[operation].function), **OPERATIONS[operation][0])
    assert found.code == "AccessDeniedException"
    assert found.message == (
        f"User: arn:aws:iam::{ACCOUNT}:user/dev is not authorized to perform: ecr-public:{operation} on resource: "
        f"{OPERATIONS[operation][1]} because no identity-based policy allows the ecr-public:{operation} action"
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_that_action_alone_is_enough(sim, app, operation):
    """A token needs one more: `test_differences.py`."""
    more = [statement("sts:GetServiceBearerToken")] if operation == "GetAuthorizationToken" else []
    client = dev(sim, statement(f"ecr-public:{operation}", resource=OPERATIONS[operation][1]), *more)
    assert code_of(lambda: call(client, operation)) != "AccessDeniedException"


def test_tags_on_create_want_the_right_to_tag(sim):
    client = dev(sim, statement("ecr-public:CreateRepository"))
    tags = [{"Key": "team", "Value": "blue"}]
    found = refusal(client.create_repository, repositoryName="app", tags=tags)
    assert "is not authorized to perform: ecr-public:TagResource on resource" in found.message
    assert client.create_repository(repositoryName="app")["repository"]


def test_tags_of_the_resource_are_conditions(sim, app):
    app.tag_resource(resourceArn=PUBLIC_APP, tags=[{"Key": "team", "Value": "blue"}])
    for key in ("aws:ResourceTag/team", "ecr-public:ResourceTag/team"):
        client = dev(sim, statement("ecr-public:DescribeImages", Condition={"StringEquals": {key: "blue"}}))
        assert client.describe_images(repositoryName="app")["imageDetails"] == []
    client = dev(
        sim, statement("ecr-public:DescribeImages", Condition={"StringEquals": {"ecr:ResourceTag/team": "blue"}})
    )
    assert refusal(client.describe_images, repositoryName="app").code == "AccessDeniedException"


def test_the_policy_of_the_repository_lets_another_account_in(client, app):
    far = client("ecr-public", account="111111111111")
    place = {"registryId": ACCOUNT, "repositoryName": "app"}
    assert refusal(far.describe_images, **place).code == "AccessDeniedException"
    text = '{"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", '
    text += '"Principal": {"AWS": "111111111111"}, "Action": "ecr-public:DescribeImages"}]}'
    app.set_repository_policy(repositoryName="app", policyText=text)
    assert far.describe_images(**place)["imageDetails"] == []
