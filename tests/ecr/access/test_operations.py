"""GetAuthorizationToken, and the policies that are not there."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from ecrsim.testing import call_application
from tests.answers import ACCOUNT, constraint, recorded, refusal, repository_not_found
from tests.api import post, refusal_of
from tests.pushing import create


def authorization_data(ecr, **options):
    return ecr.get_authorization_token(**options)["authorizationData"]


def login(sim, token):
    """The status of GET /v2/ with a token."""
    return call_application(sim.app, "GET", f"{sim.endpoint_url}/v2/", {"Authorization": f"Basic {token}"}).status


class TestGetAuthorizationToken:
    def test_one_entry_for_the_caller_s_registry(self, sim, ecr):
        (entry,) = authorization_data(ecr)

        assert set(entry) == {"authorizationToken", "expiresAt", "proxyEndpoint"}
        assert entry["proxyEndpoint"] == f"http://localhost:{sim.runtime.port}"

    @pytest.mark.documented
    def test_it_is_good_for_twelve_hours(self, sim, ecr):
        (entry,) = authorization_data(ecr)
        left = entry["expiresAt"] - datetime.now(UTC)
        assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)

        sim.advance(hours=11, minutes=59)
        assert login(sim, entry["authorizationToken"]) == 200
        sim.advance(minutes=1)
        assert login(sim, entry["authorizationToken"]) == 403

    def test_its_lifetime_is_a_setting(self, sim, ecr, configure):
        configure(token_lifetime=60)
        (entry,) = authorization_data(ecr)
        assert entry["expiresAt"] - datetime.now(UTC) <= timedelta(seconds=60)

        sim.advance(seconds=61)
        assert login(sim, entry["authorizationToken"]) == 403

    @pytest.mark.recorded
    def test_it_is_base64_of_the_user_aws_and_a_password(self, ecr):
        user, _, password = base64.b64decode(authorization_data(ecr)[0]["authorizationToken"]).decode().partition(":")

        assert user == "AWS"
        assert password.startswith("eyJwYXlsb2FkIjoi")

    @pytest.mark.documented
    def test_registries_that_are_named_get_an_entry_each(self, sim, ecr):
        found = authorization_data(ecr, registryIds=["111111111111", ACCOUNT, "222222222222"])

        assert len(found) == 3
        assert len({entry["authorizationToken"] for entry in found}) == 1
        assert login(sim, found[1]["authorizationToken"]) == 200

    def test_the_endpoints_are_those_of_the_registries(self, ecr, client, configure, sim):
        configure(registry_host="domain")
        port = sim.runtime.port
        found = authorization_data(client(region="eu-west-1"), registryIds=["111111111111", "222222222222"])

        assert [entry["proxyEndpoint"] for entry in found] == [
            f"http://111111111111.dkr.ecr.eu-west-1.localhost:{port}",
            f"http://222222222222.dkr.ecr.eu-west-1.localhost:{port}",
        ]

    @pytest.mark.parametrize(
        ("registry_host", "expected"),
        [
            ("localhost", "http://localhost:5100"),
            ("domain", f"http://{ACCOUNT}.dkr.ecr.us-east-1.localhost:5100"),
            ("aws", f"https://{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com:5100"),
            ("registry:80", "http://registry:80"),
        ],
    )
    def test_the_endpoint_follows_the_setting_and_has_no_slash(self, ecr, configure, registry_host, expected):
        configure(registry_host=registry_host)
        assert authorization_data(ecr)[0]["proxyEndpoint"] == expected

    def test_it_names_who_asked(self, sim, client):
        token = authorization_data(client(account="111111111111", region="eu-west-1"))[0]["authorizationToken"]
        header = {"Authorization": f"Basic {token}"}
        answer = call_application(sim.app, "GET", f"{sim.endpoint_url}/v2/no/thing/tags/list", header)

        # Of the registry of the token, which is the caller's.
        assert "in the registry with id '111111111111'" in answer.body.decode()

    def test_it_outlives_a_reset(self, sim, ecr):
        token = authorization_data(ecr)[0]["authorizationToken"]
        sim.reset()
        assert login(sim, token) == 200

    @pytest.mark.parametrize(
        ("registry_ids", "text"),
        [
            ([], "Member must have length greater than or equal to 1"),
            ([ACCOUNT] * 11, "Member must have length less than or equal to 10"),
            (["12"], "Member must satisfy constraint: [Member must satisfy regular expression pattern: [0-9]{12}]"),
        ],
    )
    def test_bounds_of_the_list(self, sim, registry_ids, text):
        answer = post(sim, "GetAuthorizationToken", {"registryIds": registry_ids})
        assert refusal_of(answer) == recorded("InvalidParameterException", constraint("registryIds", text))


class TestPolicies:
    def test_no_repository_has_a_policy(self, ecr):
        create(ecr, "team/app")
        assert refusal(ecr.get_repository_policy, repositoryName="team/app") == recorded(
            "RepositoryPolicyNotFoundException",
            "Repository policy does not exist for the repository with name 'team/app' "
            f"in the registry with id '{ACCOUNT}'",
        )

    def test_a_policy_of_no_repository(self, ecr):
        assert refusal(ecr.get_repository_policy, repositoryName="team/app") == repository_not_found("team/app")

    def test_no_registry_has_a_policy(self, client):
        assert refusal(client(account="111111111111").get_registry_policy) == recorded(
            "RegistryPolicyNotFoundException",
            "Registry policy does not exist in the registry with id '111111111111'",
        )


class TestAccess:
    @pytest.mark.parametrize(
        ("operation", "parameters", "action", "resource"),
        [
            ("describe_images", {"repositoryName": "app"}, "DescribeImages", "repository/app"),
            ("create_repository", {"repositoryName": "a/b"}, "CreateRepository", "repository/a/b"),
            ("delete_repository", {"repositoryName": "app", "force": True}, "DeleteRepository", "repository/app"),
            ("batch_get_image", {"repositoryName": "app", "imageIds": [{}]}, "BatchGetImage", "repository/app"),
            # The model says that it has no action of its own.
            (
                "list_image_referrers",
                {"repositoryName": "app", "subjectId": {"imageDigest": "sha256:ab"}},
                "BatchGetImage",
                "repository/app",
            ),
            ("describe_repositories", {"repositoryNames": ["one", "two"]}, "DescribeRepositories", "repository/one"),
            ("describe_repositories", {}, "DescribeRepositories", "repository/*"),
        ],
    )
    def test_another_account_s_registry_is_closed(self, ecr, operation, parameters, action, resource):
        assert refusal(getattr(ecr, operation), registryId="111111111111", **parameters) == recorded(
            "AccessDeniedException",
            f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: ecr:{action} "
            f"on resource: arn:aws:ecr:us-east-1:111111111111:{resource} "
            f"because no resource-based policy allows the ecr:{action} action",
        )

    @pytest.mark.parametrize("operation", ["list_tags_for_resource", "tag_resource", "untag_resource"])
    def test_so_it_is_when_an_arn_names_it(self, ecr, operation):
        extra = {"tag_resource": {"tags": []}, "untag_resource": {"tagKeys": []}}.get(operation, {})
        found = refusal(
            getattr(ecr, operation), resourceArn="arn:aws:ecr:us-east-1:111111111111:repository/app", **extra
        )
        assert found.code == "AccessDeniedException"
        assert "on resource: arn:aws:ecr:us-east-1:111111111111:repository/app because" in found.message

    def test_the_partition_is_that_of_the_region(self, client):
        found = refusal(client(region="cn-north-1").list_images, repositoryName="app", registryId="111111111111")
        assert f"User: arn:aws-cn:iam::{ACCOUNT}:root is not" in found.message
        assert "on resource: arn:aws-cn:ecr:cn-north-1:111111111111:repository/app because" in found.message

    def test_one_s_own_account_may_be_named(self, ecr):
        create(ecr)
        assert ecr.list_images(repositoryName="app", registryId=ACCOUNT)["imageIds"] == []

    def test_denied_is_said_before_anything_is_looked_up(self, ecr, client):
        create(client(account="111111111111"), "there")
        said = {
            refusal(ecr.list_images, repositoryName=name, registryId="111111111111").code for name in ("there", "not")
        }
        assert said == {"AccessDeniedException"}


def test_an_unknown_region_has_a_registry_like_any_other(client):
    assert refusal(client(region="mars-north-1").list_images, repositoryName="app") == repository_not_found("app")
