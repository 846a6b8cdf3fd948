"""An ECR user's day with the AWS command line and docker, against a real daemon."""

import gzip
import io
import json
import os
import re
import tarfile

import pytest

from tests.e2e import images

FIVE_MEBIBYTES = 5 * 1024 * 1024


def build(docker, tmp_path, text, *tags):
    context = images.write_context(tmp_path / f"context-{len(list(tmp_path.iterdir()))}", text)
    docker("build", *(f"--tag={tag}" for tag in tags), str(context))


def described(server, repository):
    pages = server.client().get_paginator("describe_images").paginate(repositoryName=repository)
    return [detail for page in pages for detail in page["imageDetails"]]


def run_image(docker, image):
    """What the image prints when run."""
    images.require_busybox()
    return docker("run", "--rm", "--network", "none", image)


def test_the_eight_steps_of_an_ecr_user(aws, docker, server, repository_names, tmp_path):
    name = f"e2e/steps-{next(repository_names)}"
    created = json.loads(aws("ecr", "create-repository", "--repository-name", name))["repository"]
    uri = created["repositoryUri"]
    assert uri == f"{server.registry}/{name}"
    assert created["repositoryArn"] == f"arn:aws:ecr:us-east-1:000000000000:repository/{name}"

    password = aws("ecr", "get-login-password")
    login = docker("login", "--username", "AWS", "--password-stdin", server.registry, stdin=password)
    assert "Login Succeeded" in login

    build(docker, tmp_path, "from the eight steps", "steps:local")
    docker("tag", "steps:local", f"{uri}:v1")
    pushed = re.search(r"v1: digest: (sha256:[0-9a-f]{64}) size: (\d+)", docker("push", f"{uri}:v1"))
    assert pushed is not None

    details = json.loads(aws("ecr", "describe-images", "--repository-name", name))["imageDetails"]
    assert [(detail["imageDigest"], detail["imageTags"]) for detail in details] == [(pushed[1], ["v1"])]
    assert details[0]["imageManifestMediaType"] == images.DOCKER_MANIFEST
    assert details[0]["artifactMediaType"] == "application/vnd.docker.container.image.v1+json"
    assert details[0]["imageSizeInBytes"] > 0

    docker("image", "rm", "--force", "steps:local", f"{uri}:v1")
    assert f"Digest: {pushed[1]}" in docker("pull", f"{uri}:v1")
    assert run_image(docker, f"{uri}:v1") == "from the eight steps"

    deleted = json.loads(aws("ecr", "batch-delete-image", "--repository-name", name, "--image-ids", "imageTag=v1"))
    assert deleted == {"imageIds": [{"imageDigest": pushed[1], "imageTag": "v1"}], "failures": []}
    docker("image", "rm", "--force", f"{uri}:v1")
    assert "manifest unknown: Requested image not found" in docker.refuses("pull", f"{uri}:v1")


def test_pull_by_digest(docker_logged_in, server, create_repository, tmp_path):
    uri = f"{server.registry}/{create_repository()}"
    build(docker_logged_in, tmp_path, "by digest", f"{uri}:v1")
    docker_logged_in("push", f"{uri}:v1")
    [detail] = described(server, uri.partition("/")[2])
    docker_logged_in("image", "rm", "--force", f"{uri}:v1")
    docker_logged_in("pull", f"{uri}@{detail['imageDigest']}")
    assert docker_logged_in("image", "inspect", f"{uri}@{detail['imageDigest']}")


def test_push_again_uploads_nothing(docker_logged_in, server, create_repository, tmp_path):
    uri = f"{server.registry}/{create_repository()}"
    build(docker_logged_in, tmp_path, "twice", f"{uri}:v1", f"{uri}:v2")
    docker_logged_in("push", f"{uri}:v1")
    again = docker_logged_in("push", f"{uri}:v2")
    assert "Layer already exists" in again
    assert "Pushed" not in again
    [detail] = described(server, uri.partition("/")[2])
    assert sorted(detail["imageTags"]) == ["v1", "v2"]


def test_a_tag_that_docker_moves_shows_in_describe_images(docker_logged_in, server, create_repository, tmp_path):
    name = create_repository()
    uri = f"{server.registry}/{name}"
    build(docker_logged_in, tmp_path, "first", f"{uri}:latest")
    docker_logged_in("push", f"{uri}:latest")
    [first] = described(server, name)
    build(docker_logged_in, tmp_path, "second", f"{uri}:latest")
    docker_logged_in("push", f"{uri}:latest")

    tags = {detail["imageDigest"]: detail.get("imageTags") for detail in described(server, name)}
    assert len(tags) == 2
    assert tags.pop(first["imageDigest"]) is None
    assert list(tags.values()) == [["latest"]]


def test_an_immutable_tag_is_refused_with_the_text_of_ecr(docker_logged_in, server, create_repository, tmp_path):
    """The rules themselves: `tests/planes/rows_tags.py`. Here is what docker makes of the answer."""
    name = create_repository("fixed", imageTagMutability="IMMUTABLE")
    uri = f"{server.registry}/{name}"
    build(docker_logged_in, tmp_path, "first", f"{uri}:v1")
    docker_logged_in("push", f"{uri}:v1")
    build(docker_logged_in, tmp_path, "second", f"{uri}:v1")
    printed = docker_logged_in.refuses("push", f"{uri}:v1")
    assert (
        f"tag invalid: The image tag 'v1' already exists in the '{name}' repository and cannot be overwritten because "
        "the tag is immutable."
    ) in printed


def test_a_push_to_a_missing_repository_is_refused_at_once(docker_logged_in, server, tmp_path):
    uri = f"{server.registry}/e2e/never-created"
    build(docker_logged_in, tmp_path, "nowhere", f"{uri}:v1")
    printed = docker_logged_in.refuses("push", f"{uri}:v1")
    assert (
        "name unknown: The repository with name 'e2e/never-created' does not exist in the registry with id "
        "'000000000000'"
    ) in printed


def test_a_push_without_login_is_refused(docker, server, create_repository, tmp_path):
    uri = f"{server.registry}/{create_repository()}"
    build(docker, tmp_path, "stranger", f"{uri}:v1")
    assert "no basic auth credentials" in docker.refuses("push", f"{uri}:v1")


@pytest.mark.parametrize(
    ("user", "spoil", "status"),
    [
        ("AWS", lambda password: password[:-40], "400 Bad Request"),
        ("AWS", lambda _: "not-a-token", "401 Unauthorized"),
        ("somebody", lambda password: password, "401 Unauthorized"),
    ],
    ids=["cut password", "no token", "other user name"],
)
def test_a_wrong_login_is_refused(docker, server, user, spoil, status):
    login = ("login", "--username", user, "--password-stdin", server.registry)
    assert f"failed with status: {status}" in docker.refuses(*login, stdin=spoil(server.password()))


def test_a_layer_from_boto3_is_pulled_by_docker(docker_logged_in, server, create_repository):
    busybox = images.require_busybox().read_bytes()
    name = create_repository()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        # Random ballast, so that the layer takes more than one part even when compressed.
        for path, content in (("busybox", busybox), ("ballast", os.urandom(FIVE_MEBIBYTES))):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    layer = gzip.compress(tar.getvalue(), mtime=0)
    ecr = server.client()

    upload = ecr.initiate_layer_upload(repositoryName=name)
    for first in range(0, len(layer), FIVE_MEBIBYTES):
        part = layer[first : first + FIVE_MEBIBYTES]
        received = ecr.upload_layer_part(
            repositoryName=name,
            uploadId=upload["uploadId"],
            partFirstByte=first,
            partLastByte=first + len(part) - 1,
            layerPartBlob=part,
        )
        assert received["lastByteReceived"] == first + len(part) - 1
    ecr.complete_layer_upload(repositoryName=name, uploadId=upload["uploadId"], layerDigests=[images.digest(layer)])
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/busybox", "echo", "layers by boto3"]},
            "rootfs": {"type": "layers", "diff_ids": [images.digest(tar.getvalue())]},
        }
    ).encode()
    upload = ecr.initiate_layer_upload(repositoryName=name)
    ecr.upload_layer_part(
        repositoryName=name,
        uploadId=upload["uploadId"],
        partFirstByte=0,
        partLastByte=len(config) - 1,
        layerPartBlob=config,
    )
    ecr.complete_layer_upload(repositoryName=name, uploadId=upload["uploadId"], layerDigests=[images.digest(config)])
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": images.MANIFEST,
            "config": images.descriptor(images.CONFIG, config),
            "layers": [images.descriptor(images.LAYER, layer)],
        }
    )
    ecr.put_image(repositoryName=name, imageManifest=manifest, imageTag="v1")

    docker_logged_in("pull", f"{server.registry}/{name}:v1")
    assert run_image(docker_logged_in, f"{server.registry}/{name}:v1") == "layers by boto3\n"


def test_a_layer_of_200_megabytes(docker_logged_in, server, create_repository, tmp_path):
    name = create_repository("large")
    uri = f"{server.registry}/{name}"
    context = images.write_context(tmp_path / "context", "large")
    (context / "random").write_bytes(os.urandom(200_000_000))
    with (context / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("COPY random /random\n")
    docker_logged_in("build", f"--tag={uri}:v1", str(context), timeout=300)
    docker_logged_in("image", "push", f"{uri}:v1", timeout=300)
    [detail] = described(server, name)
    assert detail["imageSizeInBytes"] > 200_000_000

    docker_logged_in("image", "rm", "--force", f"{uri}:v1")
    docker_logged_in("pull", f"{uri}:v1", timeout=300)
    assert run_image(docker_logged_in, f"{uri}:v1") == "large"
