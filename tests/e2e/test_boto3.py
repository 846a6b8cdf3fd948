"""boto3 on the socket: paginators, waiters, accounts and regions. What is on pages: tests/ecr/*/test_pages.py."""

import pytest
from botocore.exceptions import ClientError, WaiterError

from tests.e2e import images
from tests.pushing import numbered, push


@pytest.fixture
def repository(server, create_repository):
    """A repository with seven images, each with a tag."""
    name = create_repository("pages")
    for number in range(7):
        push(server.client(), name, numbered(number), f"v{number}")
    return name


def test_every_paginator_reaches_its_operation(server, repository):
    """Each paginator of boto3 gets pages, an error that ECR documents for it, or is told that ecrsim lacks it."""
    ecr = server.client()
    arguments = {
        "describe_image_scan_findings": {"repositoryName": repository, "imageId": {"imageTag": "v0"}},
        "describe_images": {"repositoryName": repository},
        "get_lifecycle_policy_preview": {"repositoryName": repository},
        "list_images": {"repositoryName": repository},
        "describe_replication_backfill_results": {"replicationBackfillId": "00000000-0000-4000-8000-000000000000"},
    }
    paginated = [name for name in ecr.meta.method_to_api_mapping if ecr.can_paginate(name)]
    assert {"describe_images", "describe_repositories", "list_images"} <= set(paginated)
    answers = {name: answer(ecr.get_paginator(name).paginate(**arguments.get(name, {}))) for name in paginated}
    absent = ("Scan", "LifecyclePolicyPreview", "ReplicationBackfill")
    documented = {"pages", *(f"{thing}NotFoundException" for thing in absent)}
    unknown = {
        name: text
        for name, text in answers.items()
        if text not in documented and ecr.meta.method_to_api_mapping[name] not in text
    }
    assert unknown == {}
    assert {name for name, text in answers.items() if text == "pages"} >= {"describe_images", "list_images"}


def answer(pages):
    """`pages`, the code of an error, or the text of NotImplementedException, ecrsim's own."""
    try:
        return "pages" if list(pages) else "no page"
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return error.response["Error"]["Message"] if code == "NotImplementedException" else code


@pytest.mark.parametrize("waiter", ["image_scan_complete", "lifecycle_policy_preview_complete"])
def test_a_waiter_ends_with_the_answer_of_its_operation(server, repository, waiter):
    """Neither a scan nor a preview was started: the waiter has to end with that error, and not poll on."""
    waited = server.client().get_waiter(waiter)
    scan = {"imageId": {"imageTag": "v0"}} if waiter == "image_scan_complete" else {}
    with pytest.raises(WaiterError) as caught:
        waited.wait(repositoryName=repository, WaiterConfig={"Delay": 0, "MaxAttempts": 1}, **scan)
    error = caught.value.last_response["Error"]
    operation = {
        "image_scan_complete": "DescribeImageScanFindings",
        "lifecycle_policy_preview_complete": "GetLifecyclePolicyPreview",
    }[waiter]
    expected = {"ScanNotFoundException", "LifecyclePolicyPreviewNotFoundException"}
    assert error["Code"] in expected or operation in error["Message"]


def test_accounts_and_regions_are_apart(server, create_repository):
    name = create_repository("apart")
    for account, region in (("111122223333", "us-east-1"), ("test", "eu-central-1"), ("111122223333", "eu-central-1")):
        ecr = server.client(account=account, region=region)
        with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
            ecr.describe_repositories(repositoryNames=[name])
        owner = "000000000000" if account == "test" else account
        uri = ecr.create_repository(repositoryName=name)["repository"]["repositoryUri"]
        assert uri == f"{server.registry}/{owner}/{region}/{name}"


def test_crane_pushes_to_another_account_and_region(server, crane, tmp_path):
    ecr = server.client(account="111122223333", region="eu-central-1")
    uri = ecr.create_repository(repositoryName="far/away")["repository"]["repositoryUri"]
    image = images.build_image("far away")
    layout = str(images.write_layout(tmp_path / "layout", image))
    # Logged in to the default account, whose principal no policy of the other one lets in.
    assert "is not authorized to perform: ecr:BatchGetImage" in crane.refuses("manifest", f"{uri}:v1")

    # A token is good in every region of its account.
    password = server.password(account="111122223333")
    crane("auth", "login", server.registry, "--username", "AWS", "--password-stdin", stdin=password)
    crane("push", layout, f"{uri}:v1")
    [detail] = ecr.describe_images(repositoryName="far/away")["imageDetails"]
    assert (detail["registryId"], detail["imageDigest"]) == ("111122223333", image.digest)


def test_everything_is_there_after_a_restart(launch, crane, tmp_path):
    """Repositories, images and the token that a client logged in with outlive the process."""
    server = launch(folder=tmp_path / "served")
    server.client().create_repository(repositoryName="kept")
    crane("auth", "login", server.registry, "-u", "AWS", "--password-stdin", stdin=server.password())
    image = images.build_image("kept")
    crane("push", str(images.write_layout(tmp_path / "layout", image)), f"{server.registry}/kept:v1")
    assert server.stop() == 0

    again = launch(folder=tmp_path / "served", port=server.port)
    assert again.registry == server.registry
    assert crane("manifest", f"{again.registry}/kept:v1").encode() == image.manifest
    [detail] = again.client().describe_images(repositoryName="kept")["imageDetails"]
    assert (detail["imageDigest"], detail["imageTags"]) == (image.digest, ["v1"])
