"""Accounts and regions in one process know nothing of each other."""

import pytest

from tests.answers import bad_token, refusal, repository_not_found
from tests.pushing import listed, numbered, push

PLACES = [
    {"account": None, "region": None},
    {"account": "111111111111", "region": None},
    {"account": None, "region": "eu-west-1"},
    {"account": "111111111111", "region": "eu-west-1"},
]


@pytest.fixture
def clients(client):
    return [client(**place) for place in PLACES]


def test_each_has_repositories_of_its_own_under_the_same_name(clients):
    created = [each.create_repository(repositoryName="app")["repository"] for each in clients]

    assert len({repository["repositoryArn"] for repository in created}) == 4
    assert len({repository["repositoryUri"] for repository in created}) == 4
    assert [len(each.describe_repositories()["repositories"]) for each in clients] == [1, 1, 1, 1]

    clients[0].delete_repository(repositoryName="app")
    assert [len(each.describe_repositories()["repositories"]) for each in clients] == [0, 1, 1, 1]
    assert refusal(clients[0].list_images, repositoryName="app") == repository_not_found("app")


def test_images_and_tags_are_apart(clients):
    for number, each in enumerate(clients):
        each.create_repository(repositoryName="app")
        push(each, "app", numbered(number), "v1")

    found = [listed(each, "app") for each in clients]
    assert found == [[(numbered(number).digest, "v1")] for number in range(4)]

    clients[1].batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    assert [len(listed(each, "app")) for each in clients] == [1, 0, 1, 1]


def test_a_layer_is_there_only_where_it_was_pushed(clients):
    for each in clients:
        each.create_repository(repositoryName="app")
    digest = push(clients[0], "app")
    layers = list(numbered(0).blobs)

    for each, expected in zip(clients, ["AVAILABLE", "UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"], strict=True):
        found = each.batch_check_layer_availability(repositoryName="app", layerDigests=layers)["layers"]
        assert {layer["layerAvailability"] for layer in found} == {expected}
    assert listed(clients[0], "app") == [(digest, None)]


def test_an_upload_belongs_to_its_place(clients):
    for each in clients:
        each.create_repository(repositoryName="app")
    upload = {"repositoryName": "app", "uploadId": clients[0].initiate_layer_upload(repositoryName="app")["uploadId"]}
    part = {"partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"}

    assert {refusal(each.upload_layer_part, **upload, **part).code for each in clients[1:]} == {
        "UploadNotFoundException"
    }
    assert clients[0].upload_layer_part(**upload, **part)["lastByteReceived"] == 0


def test_page_tokens_belong_to_their_place(clients):
    for each in clients:
        for name in ("one", "two"):
            each.create_repository(repositoryName=name)
            push(each, name, numbered(1))
            push(each, name, numbered(2))
    repositories = clients[0].describe_repositories(maxResults=1)["nextToken"]
    images = clients[0].describe_images(repositoryName="one", maxResults=1)["nextToken"]

    for each in clients[1:]:
        assert refusal(each.describe_repositories, maxResults=1, nextToken=repositories) == bad_token()
        assert refusal(each.describe_images, repositoryName="one", maxResults=1, nextToken=images) == bad_token()


def test_resource_tags_and_exclusions_are_apart(clients):
    arns = [each.create_repository(repositoryName="app")["repository"]["repositoryArn"] for each in clients]
    clients[0].tag_resource(resourceArn=arns[0], tags=[{"Key": "a", "Value": "b"}])
    clients[0].register_pull_time_update_exclusion(principalArn="arn:aws:iam::111111111111:role/x")

    tags = [each.list_tags_for_resource(resourceArn=arn)["tags"] for each, arn in zip(clients, arns, strict=True)]
    assert [len(found) for found in tags] == [1, 0, 0, 0]
    exclusions = [each.list_pull_time_update_exclusions()["pullTimeUpdateExclusions"] for each in clients]
    assert [len(found) for found in exclusions] == [1, 0, 0, 0]


def test_a_quota_counts_each_place_by_itself(clients, configure):
    configure(quota_repositories=1)
    for each in clients:
        each.create_repository(repositoryName="app")
    assert {refusal(each.create_repository, repositoryName="other").code for each in clients} == {
        "LimitExceededException"
    }
