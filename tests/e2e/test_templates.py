"""A push makes its repository by a creation template: with docker, crane and the AWS command line."""

import json

import pytest

from tests.e2e import images

KEEP_TEN = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10},
            "action": {"type": "expire"},
        }
    ]
}


@pytest.fixture(scope="module")
def template(server):
    """For pushes to team/…: immutable tags, a lifecycle policy, resource tags."""
    server.client().create_repository_creation_template(
        prefix="team",
        appliedFor=["CREATE_ON_PUSH"],
        imageTagMutability="IMMUTABLE",
        lifecyclePolicy=json.dumps(KEEP_TEN),
        resourceTags=[{"Key": "team", "Value": "a"}],
        customRoleArn="arn:aws:iam::000000000000:role/templates",
    )
    yield "team"
    server.client().delete_repository_creation_template(prefix="team")


def assert_made(server, name, digest):
    ecr = server.client()
    (repository,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"] == [
        {"Key": "team", "Value": "a"}
    ]
    assert json.loads(ecr.get_lifecycle_policy(repositoryName=name)["lifecyclePolicyText"]) == KEEP_TEN
    (detail,) = ecr.describe_images(repositoryName=name)["imageDetails"]
    assert (detail["imageDigest"], detail["imageTags"]) == (digest, ["v1"])


def test_crane_pushes_to_a_repository_that_is_missing(crane, server, template, tmp_path):
    image = images.build_image("made for crane")
    layout = images.write_layout(tmp_path / "layout", image)
    crane("push", str(layout), f"{server.registry}/{template}/crane:v1")
    assert_made(server, f"{template}/crane", image.digest)
    assert "does not exist in the registry" in crane.refuses("push", str(layout), f"{server.registry}/elsewhere:v1")


def test_docker_pushes_to_a_repository_that_is_missing(docker_logged_in, server, template, tmp_path):
    uri = f"{server.registry}/{template}/docker:v1"
    docker_logged_in("build", f"--tag={uri}", str(images.write_context(tmp_path / "context", "made for docker")))
    docker_logged_in("push", uri)
    (detail,) = server.client().describe_images(repositoryName=f"{template}/docker")["imageDetails"]
    assert_made(server, f"{template}/docker", detail["imageDigest"])


def test_the_command_line_keeps_templates(aws, tmp_path):
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(KEEP_TEN))
    place = ("--prefix", "cli/team")
    created = aws(
        *("ecr", "create-repository-creation-template", *place, "--applied-for", "REPLICATION", "CREATE_ON_PUSH"),
        *("--lifecycle-policy", f"file://{policy}", "--description", "by hand"),
    )
    template = json.loads(created)["repositoryCreationTemplate"]
    assert (template["prefix"], template["appliedFor"]) == ("cli/team", ["REPLICATION", "CREATE_ON_PUSH"])
    aws("ecr", "update-repository-creation-template", *place, "--image-tag-mutability", "IMMUTABLE")
    listed = json.loads(aws("ecr", "describe-repository-creation-templates", "--prefixes", "cli/team", "cli/none"))
    (found,) = listed["repositoryCreationTemplates"]
    assert (found["description"], found["imageTagMutability"]) == ("by hand", "IMMUTABLE")
    assert json.loads(found["lifecyclePolicy"]) == KEEP_TEN
    aws("ecr", "delete-repository-creation-template", *place)
    listed = json.loads(aws("ecr", "describe-repository-creation-templates", "--prefixes", "cli/team"))
    assert listed["repositoryCreationTemplates"] == []
