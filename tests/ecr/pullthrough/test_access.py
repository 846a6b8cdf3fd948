"""Who may have something imported, and with which credentials the upstream is asked."""

import json

import pytest

from ecrsim.core.neighbours import NeighbourError
from ecrsim.ecr.pullthrough import credentials
from ecrsim.testing import build_image
from tests.answers import ACCOUNT, REGION, inferred, refusal
from tests.core.upstream.servers import Registry, TokenService, basic
from tests.ecr.pullthrough.caching import error_of
from tests.principals import REGISTRY, client_of, document, know, statement, user

IMAGE = build_image(b"a layer")
PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:ecr-pullthroughcache/hub-AbCdEf"
KNOWN = ("user", "token of the user")


def shelf(wants=None):
    return Registry({"library/app": {"v1": IMAGE}}, wants)


@pytest.mark.documented
class TestPermissions:
    """What is lacking looks like what is not there."""

    @pytest.fixture
    def found(self, cache):
        found = cache(shelf())
        found.rule()
        return found

    def token(self, found, *actions, resource="*"):
        """Of a user who may do that and log in."""
        rights = [statement("ecr:GetAuthorizationToken"), statement(*actions, resource=resource)]
        know(found.sim, {"users": [user("dev", document(*rights))]})
        return client_of(found.sim, "dev").get_authorization_token()["authorizationData"][0]["authorizationToken"]

    def pull(self, found, *actions, **options):
        return found.ask("GET", "/v2/cache/library/app/manifests/v1", self.token(found, *actions, **options))

    def test_all_of_them(self, found):
        resource = f"{REGISTRY}:repository/cache/*"
        rights = (*PULL, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository")
        assert self.pull(found, *rights, resource=resource).status == 200

    @pytest.mark.parametrize("lacking", ["ecr:BatchImportUpstreamImage", "ecr:CreateRepository"])
    def test_a_repository_that_may_not_be_made(self, found, lacking):
        rights = {*PULL, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"} - {lacking}
        assert error_of(self.pull(found, *rights))[:2] == (404, "NAME_UNKNOWN")
        assert found.asked() == []

    def test_an_image_that_may_not_be_imported(self, found):
        found.ecr.create_repository(repositoryName="cache/library/app")
        assert error_of(self.pull(found, *PULL, "ecr:CreateRepository"))[:2] == (404, "MANIFEST_UNKNOWN")
        assert self.pull(found, *PULL, "ecr:BatchImportUpstreamImage").status == 200

    def test_what_is_cached_wants_the_rights_of_a_pull_alone(self, found):
        found.pull("v1")
        assert self.pull(found, *PULL).status == 200
        found.sim.advance(days=2)
        found.asked()
        assert self.pull(found, *PULL).status == 200
        assert found.asked() == []

    def test_without_the_right_to_pull_it_is_denied(self, found):
        assert error_of(self.pull(found, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository"))[:2] == (403, "DENIED")

    def test_tags_of_a_template_want_the_right_to_tag(self, found):
        found.ecr.create_repository_creation_template(
            prefix="cache",
            appliedFor=["PULL_THROUGH_CACHE"],
            resourceTags=[{"Key": "a", "Value": "b"}],
            customRoleArn="r",
        )
        rights = (*PULL, "ecr:BatchImportUpstreamImage", "ecr:CreateRepository")
        assert error_of(self.pull(found, *rights))[:2] == (404, "NAME_UNKNOWN")
        assert self.pull(found, *rights, "ecr:TagResource").status == 200


class TestSecrets:
    @pytest.fixture
    def file(self, tmp_path):
        def write(key="ecr-pullthroughcache/hub", **secret):
            file = tmp_path / "secrets.json"
            file.write_text(json.dumps({key: secret or {"username": KNOWN[0], "accessToken": KNOWN[1]}}))
            return str(file)

        return write

    @pytest.mark.parametrize("key", ["ecr-pullthroughcache/hub", "ecr-pullthroughcache/hub-AbCdEf", SECRET])
    def test_of_a_file(self, cache, file, key):
        found = cache(shelf(basic(*KNOWN)), "registry-1.docker.io", secrets=file(key))
        found.rule(credentialArn=SECRET)
        assert found.pull("v1").status == 200
        assert found.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="cache")["isValid"] is True

    def test_of_a_toml_file(self, cache, tmp_path):
        file = tmp_path / "secrets.toml"
        file.write_text(f'["ecr-pullthroughcache/hub"]\nusername = "{KNOWN[0]}"\naccessToken = "{KNOWN[1]}"\n')
        found = cache(shelf(basic(*KNOWN)), "registry-1.docker.io", secrets=str(file))
        found.rule(credentialArn=SECRET)
        assert found.pull("v1").status == 200

    def test_for_a_token_service(self, cache, file, site):
        tokens = TokenService(KNOWN)
        service = site(tokens)
        tokens.url = "https://auth.docker.io"
        found = cache(
            shelf(tokens.refuses),
            "registry-1.docker.io",
            secrets=file(),
            upstream=(f"auth.docker.io={service.url}",),
        )
        found.rule(credentialArn=SECRET)
        assert found.pull("v1").status == 200
        assert tokens.given == ["repository:library/app:pull"]

    def test_wrong_ones(self, cache, file):
        found = cache(shelf(basic(*KNOWN)), "quay.io", secrets=file(username="a", accessToken="wrong"))
        found.rule(credentialArn=SECRET)
        answer = found.ecr.validate_pull_through_cache_rule(ecrRepositoryPrefix="cache")
        assert answer["isValid"] is False
        assert "refuses /v2/ (401)" in answer["failure"]
        assert error_of(found.pull("v1"))[:2] == (403, "DENIED")

    def test_one_that_is_not_in_the_file(self, cache, file):
        found = cache(shelf(), "quay.io", secrets=file("ecr-pullthroughcache/other"))
        assert refusal(found.rule, credentialArn=SECRET) == inferred(
            "SecretNotFoundException", f"The secret with ARN '{SECRET}' does not exist"
        )

    @pytest.mark.parametrize("secret", [{"username": "a"}, {"username": "a", "accessToken": 1}])
    def test_one_that_is_no_login(self, cache, file, secret):
        found = cache(shelf(), "quay.io", secrets=file(**secret))
        assert refusal(found.rule, credentialArn=SECRET).code == "UnableToAccessSecretException"

    def test_a_file_that_cannot_be_read(self, cache, tmp_path):
        found = cache(shelf(), "quay.io", secrets=str(tmp_path / "none"))
        assert refusal(found.rule, credentialArn=SECRET).code == "UnableToAccessSecretException"

    def test_nowhere_to_look(self, cache):
        found = cache(shelf(basic(*KNOWN)), "quay.io")
        found.rule(credentialArn=SECRET)
        assert "--secrets FILE" in error_of(found.pull("v1"))[2]
        assert found.asked() == []

    @pytest.fixture
    def manager(self, monkeypatch):
        """What Secrets Manager answers; the real one, moto's, is asked in tests/e2e."""
        answers = {}

        class Manager:
            def __init__(self, service, access):
                assert (service, access.endpoint_url, access.region) == ("secretsmanager", "http://127.0.0.1:9", REGION)

            def call(self, operation, **parameters):
                assert (operation, parameters) == ("get_secret_value", {"SecretId": SECRET})
                if "code" in answers:
                    raise NeighbourError("no", answers["code"])
                return answers

            def close(self):
                """Nothing is open."""

        monkeypatch.setattr(credentials, "Neighbour", Manager)
        return answers

    def test_of_secrets_manager(self, cache, manager):
        manager["SecretString"] = json.dumps({"username": KNOWN[0], "accessToken": KNOWN[1]})
        found = cache(shelf(basic(*KNOWN)), "quay.io", secretsmanager_endpoint="http://127.0.0.1:9")
        found.rule(credentialArn=SECRET)
        assert found.pull("v1").status == 200

    @pytest.mark.documented
    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ({"code": "ResourceNotFoundException"}, "SecretNotFoundException"),
            ({"code": "AccessDeniedException"}, "UnableToAccessSecretException"),
            ({"code": ""}, "UnableToAccessSecretException"),
            ({"code": "DecryptionFailure"}, "UnableToDecryptSecretValueException"),
            ({"SecretString": "no JSON"}, "UnableToAccessSecretException"),
            ({}, "UnableToAccessSecretException"),
        ],
    )
    def test_what_secrets_manager_refuses(self, cache, manager, answer, error):
        manager |= answer
        found = cache(shelf(), "quay.io", secretsmanager_endpoint="http://127.0.0.1:9")
        assert refusal(found.rule, credentialArn=SECRET).code == error
        found.rule()
        update = {"ecrRepositoryPrefix": "cache", "credentialArn": SECRET}
        assert refusal(found.ecr.update_pull_through_cache_rule, **update).code == error
