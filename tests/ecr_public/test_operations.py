"""The 23 operations by a table: what each answers, and each error that it declares.

`InvalidParameterException` and `UnsupportedCommandException` of all of them have their sweeps: the first in
tests/contract, the second in `test_differences.py`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from ecrsim.contract.models import service
from tests.answers import ACCOUNT, bad_token, constraint, inferred, recorded, refusal, repository_not_found
from tests.api import post
from tests.ecr_public.conftest import PUBLIC_APP
from tests.pushing import NOWHERE, create, digest_of, index_of, numbered, push, push_layer, put

PUBLIC = service("ecr-public")
IN_APP = {"repositoryName": "app"}
NOT_THERE = {"repositoryName": "nothing"}
IMAGE = numbered(1)
UPLOAD = "12345678-1234-1234-1234-123456789012"
POLICY = '{"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "%s"}]}'
PULL = POLICY % "ecr-public:DescribeImages"


class Row(NamedTuple):
    """Called with `parameters` after `given`: what the answer has, or its error."""

    operation: str
    parameters: dict[str, Any]
    #: Members of the answer, or the name of the error.
    expected: Any
    given: Callable[[Any], dict[str, Any] | None] = lambda _: None


def pushed(client):
    push(client, "app", IMAGE, "v1")


def begun(client):
    return {"uploadId": client.initiate_layer_upload(**IN_APP)["uploadId"]}


def uploaded(client, data=b"some bytes"):
    upload = begun(client)
    client.upload_layer_part(**IN_APP, **upload, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data)
    return upload


def uploaded_in_small_parts(client):
    upload = uploaded(client, b"a")
    client.upload_layer_part(**IN_APP, **upload, partFirstByte=1, partLastByte=1, layerPartBlob=b"b")
    return upload


def uploaded_twice(client):
    push_layer(client, "app", b"some bytes")
    return uploaded(client)


def with_policy(client):
    client.set_repository_policy(**IN_APP, policyText=PULL)


def with_catalog(client):
    client.put_repository_catalog_data(**IN_APP, catalogData={"description": "It does things."})


def tagged(client):
    client.tag_resource(resourceArn=PUBLIC_APP, tags=[{"Key": "team", "Value": "blue"}])


def with_layers(client):
    for data in IMAGE.blobs.values():
        push_layer(client, "app", data)


SOME = digest_of(b"some bytes")
LAYER = next(iter(IMAGE.blobs))
MANIFEST = {"imageManifest": IMAGE.manifest.decode(), "imageTag": "v1"}
ROWS = [
    Row("BatchCheckLayerAvailability", {**IN_APP, "layerDigests": [LAYER]}, {"failures": []}, pushed),
    Row("BatchCheckLayerAvailability", {**NOT_THERE, "layerDigests": [NOWHERE]}, "RepositoryNotFoundException"),
    Row(
        "BatchCheckLayerAvailability",
        {**IN_APP, "layerDigests": [NOWHERE], "registryId": "nobody"},
        "RegistryNotFoundException",
    ),
    Row("BatchDeleteImage", {**IN_APP, "imageIds": [{"imageTag": "v1"}]}, {"failures": []}, pushed),
    Row("BatchDeleteImage", {**NOT_THERE, "imageIds": [{"imageTag": "v1"}]}, "RepositoryNotFoundException"),
    Row("CompleteLayerUpload", {**IN_APP, "layerDigests": [SOME]}, {"layerDigest": SOME}, uploaded),
    Row(
        "CompleteLayerUpload",
        {**NOT_THERE, "uploadId": UPLOAD, "layerDigests": [SOME]},
        "RepositoryNotFoundException",
    ),
    Row("CompleteLayerUpload", {**IN_APP, "uploadId": UPLOAD, "layerDigests": [SOME]}, "UploadNotFoundException"),
    Row("CompleteLayerUpload", {**IN_APP, "layerDigests": [NOWHERE]}, "InvalidLayerException", uploaded),
    Row(
        "CompleteLayerUpload",
        {**IN_APP, "layerDigests": [digest_of(b"ab")]},
        "LayerPartTooSmallException",
        uploaded_in_small_parts,
    ),
    Row("CompleteLayerUpload", {**IN_APP, "layerDigests": [SOME]}, "LayerAlreadyExistsException", uploaded_twice),
    Row("CompleteLayerUpload", {**IN_APP, "layerDigests": [SOME]}, "EmptyUploadException", begun),
    Row(
        "CompleteLayerUpload",
        {**IN_APP, "layerDigests": [SOME], "uploadId": UPLOAD, "registryId": "nobody"},
        "RegistryNotFoundException",
    ),
    Row("CreateRepository", {"repositoryName": "new"}, {"catalogData": {}}),
    Row("CreateRepository", IN_APP, "RepositoryAlreadyExistsException"),
    Row(
        "CreateRepository",
        {"repositoryName": "new", "tags": [{"Key": "aws:a", "Value": "b"}]},
        "InvalidTagParameterException",
    ),
    Row(
        "CreateRepository",
        {"repositoryName": "new", "tags": [{"Key": f"k{number}", "Value": ""} for number in range(51)]},
        "TooManyTagsException",
    ),
    Row("DeleteRepository", IN_APP, {"repository": {"repositoryName": "app"}}),
    Row("DeleteRepository", NOT_THERE, "RepositoryNotFoundException"),
    Row("DeleteRepository", IN_APP, "RepositoryNotEmptyException", pushed),
    Row("DeleteRepositoryPolicy", IN_APP, IN_APP, with_policy),
    Row("DeleteRepositoryPolicy", NOT_THERE, "RepositoryNotFoundException"),
    Row("DeleteRepositoryPolicy", IN_APP, "RepositoryPolicyNotFoundException"),
    Row("DescribeImageTags", IN_APP, {"imageTagDetails": [{"imageTag": "v1"}]}, pushed),
    Row("DescribeImageTags", NOT_THERE, "RepositoryNotFoundException"),
    Row("DescribeImages", IN_APP, {"imageDetails": [{"imageDigest": IMAGE.digest, "imageTags": ["v1"]}]}, pushed),
    Row("DescribeImages", NOT_THERE, "RepositoryNotFoundException"),
    Row("DescribeImages", {**IN_APP, "imageIds": [{"imageTag": "v2"}]}, "ImageNotFoundException", pushed),
    Row("DescribeRegistries", {}, {"registries": [{"registryId": ACCOUNT, "verified": False}]}),
    Row("DescribeRepositories", {}, {"repositories": [{"repositoryArn": PUBLIC_APP}]}),
    Row("DescribeRepositories", {"repositoryNames": ["nothing"]}, "RepositoryNotFoundException"),
    Row("GetAuthorizationToken", {}, {"authorizationData": {}}),
    Row("GetRegistryCatalogData", {}, {"registryCatalogData": {}}),
    Row("PutRegistryCatalogData", {"displayName": "Us"}, {"registryCatalogData": {"displayName": "Us"}}),
    Row("GetRepositoryCatalogData", IN_APP, {"catalogData": {"description": "It does things."}}, with_catalog),
    Row("GetRepositoryCatalogData", NOT_THERE, "RepositoryNotFoundException"),
    Row("GetRepositoryCatalogData", IN_APP, "RepositoryCatalogDataNotFoundException"),
    Row("PutRepositoryCatalogData", {**IN_APP, "catalogData": {"aboutText": "x"}}, {"catalogData": {"aboutText": "x"}}),
    Row("PutRepositoryCatalogData", {**NOT_THERE, "catalogData": {}}, "RepositoryNotFoundException"),
    Row("GetRepositoryPolicy", IN_APP, IN_APP, with_policy),
    Row("GetRepositoryPolicy", NOT_THERE, "RepositoryNotFoundException"),
    Row("GetRepositoryPolicy", IN_APP, "RepositoryPolicyNotFoundException"),
    Row("InitiateLayerUpload", IN_APP, {"partSize": 10_485_760}),
    Row("InitiateLayerUpload", NOT_THERE, "RepositoryNotFoundException"),
    Row("InitiateLayerUpload", {**IN_APP, "registryId": "nobody"}, "RegistryNotFoundException"),
    Row(
        "UploadLayerPart",
        {**IN_APP, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"a"},
        {"lastByteReceived": 0, "registryId": ACCOUNT},
        begun,
    ),
    Row(
        "UploadLayerPart",
        {**IN_APP, "partFirstByte": 1, "partLastByte": 1, "layerPartBlob": b"a"},
        "InvalidLayerPartException",
        begun,
    ),
    Row(
        "UploadLayerPart",
        {**IN_APP, "uploadId": UPLOAD, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"a"},
        "UploadNotFoundException",
    ),
    Row(
        "UploadLayerPart",
        {**NOT_THERE, "uploadId": UPLOAD, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"a"},
        "RepositoryNotFoundException",
    ),
    Row(
        "UploadLayerPart",
        {
            **IN_APP,
            "registryId": "nobody",
            "uploadId": UPLOAD,
            "partFirstByte": 0,
            "partLastByte": 0,
            "layerPartBlob": b"a",
        },
        "RegistryNotFoundException",
    ),
    Row("PutImage", {**IN_APP, **MANIFEST}, {"image": {"imageId": {"imageTag": "v1"}}}, with_layers),
    Row("PutImage", {**IN_APP, **MANIFEST}, "ImageAlreadyExistsException", pushed),
    Row("PutImage", {**IN_APP, **MANIFEST}, "LayersNotFoundException"),
    Row(
        "PutImage",
        {**IN_APP, "imageManifest": index_of(IMAGE).manifest.decode()},
        "ReferencedImagesNotFoundException",
    ),
    Row(
        "PutImage",
        {**IN_APP, **MANIFEST, "imageDigest": NOWHERE},
        "ImageDigestDoesNotMatchException",
        with_layers,
    ),
    Row("PutImage", {**NOT_THERE, **MANIFEST}, "RepositoryNotFoundException"),
    Row("PutImage", {**IN_APP, **MANIFEST, "registryId": "nobody"}, "RegistryNotFoundException"),
    Row("SetRepositoryPolicy", {**IN_APP, "policyText": PULL}, IN_APP),
    Row("SetRepositoryPolicy", {**NOT_THERE, "policyText": PULL}, "RepositoryNotFoundException"),
    Row("ListTagsForResource", {"resourceArn": PUBLIC_APP}, {"tags": [{"Key": "team", "Value": "blue"}]}, tagged),
    Row("ListTagsForResource", {"resourceArn": f"{PUBLIC_APP}s"}, "RepositoryNotFoundException"),
    Row("TagResource", {"resourceArn": PUBLIC_APP, "tags": [{"Key": "a", "Value": "b"}]}, {}),
    Row("TagResource", {"resourceArn": f"{PUBLIC_APP}s", "tags": []}, "RepositoryNotFoundException"),
    Row(
        "TagResource",
        {"resourceArn": PUBLIC_APP, "tags": [{"Key": "a", "Value": "aws:b"}]},
        "InvalidTagParameterException",
    ),
    Row(
        "TagResource",
        {"resourceArn": PUBLIC_APP, "tags": [{"Key": f"k{number}", "Value": ""} for number in range(51)]},
        "TooManyTagsException",
    ),
    Row("UntagResource", {"resourceArn": PUBLIC_APP, "tagKeys": ["team"]}, {}, tagged),
    Row("UntagResource", {"resourceArn": f"{PUBLIC_APP}s", "tagKeys": []}, "RepositoryNotFoundException"),
]
#: Declared, and answered where a quota is reached (a test of its own), for immutable tags, which ECR Public lacks, or
#: for keys that are to go, of which none is wrong.
ELSEWHERE = {
    ("CreateRepository", "LimitExceededException"),
    ("UploadLayerPart", "LimitExceededException"),
    ("PutImage", "LimitExceededException"),
    ("PutImage", "ImageTagAlreadyExistsException"),
    ("UntagResource", "InvalidTagParameterException"),
    ("UntagResource", "TooManyTagsException"),
}
SWEPT = {"InvalidParameterException", "UnsupportedCommandException", "ServerException"}


def row_id(row):
    return f"{row.operation} {row.expected if isinstance(row.expected, str) else 'answers'}"


def contains(found, expected):
    """Whether the answer has these members, with more beside them perhaps."""
    if isinstance(expected, dict):
        return all(name in found and contains(found[name], value) for name, value in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(contains, found, expected))
    return found == expected


@pytest.mark.parametrize("row", ROWS, ids=row_id)
def test_what_is_answered(app, row):
    more = row.given(app) or {}
    call = getattr(app, PUBLIC.operations[row.operation].function)
    if isinstance(row.expected, str):
        found = refusal(call, **row.parameters, **more)
        assert found.code == row.expected
        assert found.message
    else:
        assert contains(call(**row.parameters, **more), row.expected)


def test_the_table_has_every_operation_and_every_error():
    errors = {(row.operation, row.expected) for row in ROWS if isinstance(row.expected, str)} | ELSEWHERE
    declared = {
        (name, error) for name, each in PUBLIC.operations.items() for error in each.errors if error not in SWEPT
    }
    assert errors == declared
    assert {row.operation for row in ROWS if not isinstance(row.expected, str)} == PUBLIC.operations.keys()


def test_the_sentences(app):
    assert refusal(app.delete_repository, **NOT_THERE) == repository_not_found("nothing")
    assert refusal(app.create_repository, **IN_APP) == recorded(
        "RepositoryAlreadyExistsException",
        f"The repository with name 'app' already exists in the registry with id '{ACCOUNT}'",
    )
    assert refusal(app.get_repository_catalog_data, **IN_APP) == inferred(
        "RepositoryCatalogDataNotFoundException",
        f"Catalog data does not exist for the repository with name 'app' in the registry with id '{ACCOUNT}'",
    )


def test_more_images_than_the_quota(app, configure):
    configure(quota_images=1)
    pushed(app)
    assert refusal(push, ecr=app, repository="app", image=numbered(2)).code == "LimitExceededException"


class TestPages:
    def test_image_tags_come_in_pages(self, app):
        push(app, "app", IMAGE, "b", "a", "c")
        pages = app.get_paginator("describe_image_tags").paginate(**IN_APP, PaginationConfig={"PageSize": 2})
        sizes = [[each["imageTag"] for each in page["imageTagDetails"]] for page in pages]
        assert sizes == [["b", "a"], ["c"]]

    def test_repositories_and_images_come_in_pages(self, app):
        create(app, "zoo")
        pages = app.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": 1})
        assert [[each["repositoryName"] for each in page["repositories"]] for page in pages] == [["app"], ["zoo"]]
        push(app, "app", IMAGE)
        push(app, "app", numbered(2))
        pages = app.get_paginator("describe_images").paginate(**IN_APP, PaginationConfig={"PageSize": 1})
        assert [[each["imageDigest"] for each in page["imageDetails"]] for page in pages] == [
            [IMAGE.digest],
            [numbered(2).digest],
        ]

    @pytest.mark.parametrize("operation", ["describe_registries", "describe_repositories"])
    def test_a_token_of_somebody_elses_is_refused(self, app, operation):
        assert refusal(getattr(app, operation), nextToken="bm8=") == bad_token()

    @pytest.mark.parametrize("operation", ["describe_image_tags", "describe_images"])
    def test_so_it_is_in_a_repository(self, app, operation):
        assert refusal(getattr(app, operation), **IN_APP, nextToken="bm8=") == bad_token()

    def test_what_is_named_has_no_pages(self, app):
        pushed(app)
        named = {"imageIds": [{"imageTag": "v1"}], "maxResults": 5}
        assert refusal(app.describe_images, **IN_APP, **named).message == constraint(
            "maxResults", "maxResults cannot be specified with imageIds"
        )
        assert refusal(app.describe_repositories, repositoryNames=["app"], maxResults=5).message == constraint(
            "maxResults", "maxResults cannot be specified with repositoryNames"
        )


class TestImageTags:
    def test_a_tag_knows_its_image_and_since_when_it_is_there(self, app, sim):
        sim.advance(seconds=5)
        push(app, "app", IMAGE, "v1")
        sim.advance(days=1)
        put(app, "app", IMAGE, "v2")
        first, second = app.describe_image_tags(**IN_APP)["imageTagDetails"]
        assert (second["createdAt"] - first["createdAt"]).days == 1
        assert first["createdAt"] == first["imageDetail"]["imagePushedAt"]
        assert first["imageDetail"] == second["imageDetail"]
        assert first["imageDetail"].keys() == {
            *("imageDigest", "imageSizeInBytes", "imagePushedAt", "imageManifestMediaType", "artifactMediaType")
        }

    @pytest.mark.inferred
    def test_one_that_moves_is_new(self, app, sim):
        push(app, "app", IMAGE, "v1", "v2")
        sim.advance(days=1)
        push(app, "app", numbered(2), "v1")
        kept, moved = app.describe_image_tags(**IN_APP)["imageTagDetails"]
        assert (kept["imageTag"], moved["imageTag"]) == ("v2", "v1")
        assert (moved["createdAt"] - kept["createdAt"]).days == 1
        assert moved["imageDetail"]["imageDigest"] == numbered(2).digest

    def test_an_untagged_image_has_none(self, app):
        push(app, "app", IMAGE)
        assert app.describe_image_tags(**IN_APP)["imageTagDetails"] == []


def test_an_answer_without_members_is_an_empty_object(sim, app):
    assert post(sim, "TagResource", {"resourceArn": PUBLIC_APP, "tags": []}, service="ecr-public").json() == {}
