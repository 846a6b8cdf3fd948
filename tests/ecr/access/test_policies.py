"""Policies of repositories and registries: what is taken, how it is given back, what is refused, when it goes."""

import json

import pytest

from tests.answers import ACCOUNT, constraint, documented, inferred, recorded, refusal, repository_not_found
from tests.principals import client_of, document, know, statement, user

PULL = {
    "Version": "2008-10-17",
    "Statement": [
        {
            "Sid": "let them pull",
            "Effect": "Allow",
            "Principal": {"AWS": ["arn:aws:iam::111111111111:root", "222222222222"]},
            "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        }
    ],
}
#: As Jackson prints it.
PRETTY = """{
  "Version" : "2008-10-17",
  "Statement" : [ {
    "Sid" : "let them pull",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : [ "arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root" ]
    },
    "Action" : [ "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer" ]
  } ]
}"""
REGISTRY = document(
    statement(
        "ecr:ReplicateImage",
        resource=f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/*",
        Principal={"AWS": "arn:aws:iam::111111111111:root"},
    )
)


def malformed(what):
    return recorded("InvalidParameterException", constraint("PolicyText", f"Invalid {what} policy provided"))


def no_policy(name, account=ACCOUNT):
    return recorded(
        "RepositoryPolicyNotFoundException",
        f"Repository policy does not exist for the repository with name '{name}' in the registry with id '{account}'",
    )


def no_registry_policy(account=ACCOUNT):
    return recorded(
        "RegistryPolicyNotFoundException", f"Registry policy does not exist in the registry with id '{account}'"
    )


@pytest.fixture
def app(ecr):
    ecr.create_repository(repositoryName="app")
    return ecr


def put(client, policy=PULL, name="app", **more):
    text = policy if isinstance(policy, str) else json.dumps(policy)
    return client.set_repository_policy(repositoryName=name, policyText=text, **more)


class TestRepositoryPolicy:
    @pytest.mark.recorded
    def test_it_is_given_back_as_ecr_writes_it(self, app):
        for answer in (put(app), app.get_repository_policy(repositoryName="app")):
            del answer["ResponseMetadata"]
            assert answer == {"registryId": ACCOUNT, "repositoryName": "app", "policyText": PRETTY}

    def test_the_next_one_takes_its_place(self, app):
        put(app)
        other = {**PULL, "Version": "2012-10-17"}
        put(app, other)
        assert json.loads(app.get_repository_policy(repositoryName="app")["policyText"])["Version"] == "2012-10-17"

    @pytest.mark.recorded
    def test_members_come_in_ecr_s_order_and_form(self, app):
        sent = {
            "Statement": {
                "Action": ["ecr:BatchGetImage"],
                "Principal": {"AWS": "222222222222"},
                "Effect": "Allow",
                "Sid": "pull",
            },
            "Id": "mine",
        }
        assert put(app, sent)["policyText"] == (
            '{\n  "Version" : "2008-10-17",\n  "Id" : "mine",\n  "Statement" : [ {\n    "Sid" : "pull",\n'
            '    "Effect" : "Allow",\n    "Principal" : {\n      "AWS" : "arn:aws:iam::222222222222:root"\n    },\n'
            '    "Action" : "ecr:BatchGetImage"\n  } ]\n}'
        )

    @pytest.mark.inferred
    def test_the_root_of_an_account_is_of_the_region_s_partition(self, client):
        china = client(region="cn-north-1")
        china.create_repository(repositoryName="app")
        text = put(china, {**PULL, "Statement": [PULL["Statement"][0] | {"Principal": {"AWS": ["222222222222"]}}]})
        assert "arn:aws-cn:iam::222222222222:root" in text["policyText"]

    def test_the_one_that_is_deleted_is_answered(self, app):
        put(app)
        answer = app.delete_repository_policy(repositoryName="app")
        assert (answer["registryId"], answer["repositoryName"], answer["policyText"]) == (ACCOUNT, "app", PRETTY)
        for call in (app.get_repository_policy, app.delete_repository_policy):
            assert refusal(call, repositoryName="app") == no_policy("app")

    @pytest.mark.parametrize("operation", ["set", "get", "delete"])
    def test_of_no_repository(self, app, operation):
        text = {"policyText": json.dumps(PULL)} if operation == "set" else {}
        call = getattr(app, f"{operation}_repository_policy")
        assert refusal(call, repositoryName="other", **text) == repository_not_found("other")

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param("{", id="no JSON"),
            pytest.param("[]", id="a list"),
            pytest.param("{}", id="an empty object"),
            pytest.param('{"Statement": [{"Effect": "Allow"}]}', id="an effect alone"),
            pytest.param(json.dumps(document(statement("ecr:*"))), id="no principal"),
            pytest.param(json.dumps(document(statement("ecr:*", Principal="me"))), id="a principal that is none"),
            pytest.param(
                json.dumps(document(statement("ecr:*", Principal={"AWS": "arn:aws:iam::111111111111:*"}))),
                id="all of an account by a star",
            ),
            pytest.param(json.dumps(document(statement("ecr:*", Principal="*", effect="Maybe"))), id="no effect"),
            pytest.param(
                json.dumps(document(statement("ecr:*", Principal="*", Condition={"Like": {"a": "b"}}))),
                id="an operator that there is not",
            ),
        ],
    )
    def test_what_is_malformed_is_refused_and_nothing_is_kept(self, app, text):
        assert refusal(put, client=app, policy=text) == malformed("repository")
        assert refusal(app.get_repository_policy, repositoryName="app") == no_policy("app")

    def test_its_length(self, app):
        fits = json.dumps(PULL)
        put(app, fits + " " * (10_240 - len(fits)))
        found = refusal(put, client=app, policy=fits + " " * (10_241 - len(fits)))
        assert found == recorded(
            "InvalidParameterException",
            constraint("policyText", "Member must have length less than or equal to 10240"),
        )

    def test_it_may_be_rewritten_to_more_than_one_may_send(self, app):
        text = json.dumps(document(*[statement("ecr:BatchGetImage", "ecr:ListImages", Principal="*")] * 80))
        assert len(text) <= 10_240 < len(put(app, text)["policyText"])
        assert json.loads(app.get_repository_policy(repositoryName="app")["policyText"]) == json.loads(text)
        app.delete_repository_policy(repositoryName="app")

    @pytest.mark.documented
    def test_a_resource_may_be_there(self, app):
        answer = put(app, document(statement("ecr:BatchGetImage", Principal="*")))
        assert "Resource" in json.loads(answer["policyText"])["Statement"][0]

    def test_it_goes_with_its_repository_and_the_next_of_the_name_has_none(self, app):
        put(app)
        app.delete_repository(repositoryName="app")
        app.create_repository(repositoryName="app")
        assert refusal(app.get_repository_policy, repositoryName="app") == no_policy("app")

    def test_the_same_name_elsewhere_has_none(self, app, client):
        put(app)
        for other, account in ((client(region="eu-west-1"), ACCOUNT), (client(account="1" * 12), "1" * 12)):
            other.create_repository(repositoryName="app")
            assert refusal(other.get_repository_policy, repositoryName="app") == no_policy("app", account)


class TestLockOut:
    """A policy that would keep the caller from setting it again is refused unless it is forced."""

    DENY = document(statement("ecr:SetRepositoryPolicy", effect="Deny", Principal="*"))
    OTHERS = document(statement("ecr:*", Principal={"AWS": "222222222222"}))

    def test_without_force(self, app):
        assert refusal(put, client=app, policy=self.DENY) == inferred(*malformed("repository"))
        assert refusal(put, client=app, policy=self.DENY, force=False) == inferred(*malformed("repository"))
        assert refusal(app.get_repository_policy, repositoryName="app") == no_policy("app")

    def test_with_force_the_door_is_shut(self, app):
        put(app, self.DENY, force=True)
        arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"
        assert refusal(put, client=app) == documented(
            "AccessDeniedException",
            f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: ecr:SetRepositoryPolicy on resource: "
            f"{arn} with an explicit deny in a resource-based policy",
        )
        app.delete_repository_policy(repositoryName="app")
        put(app)

    def test_one_that_does_not_concern_the_caller_s_own_rights(self, sim, app):
        put(app, self.OTHERS)
        know(sim, {"users": [user("dev", document(statement("ecr:*")))]})
        assert put(client_of(sim, "dev"), self.OTHERS)["repositoryName"] == "app"

    def test_who_has_the_right_by_the_policy_alone_would_lose_it(self, sim, app):
        know(sim, {"users": [user("dev")]})
        dev = {"AWS": f"arn:aws:iam::{ACCOUNT}:user/dev"}
        put(app, document(statement("ecr:SetRepositoryPolicy", Principal=dev)))
        assert refusal(put, client=client_of(sim, "dev"), policy=self.OTHERS) == inferred(*malformed("repository"))
        put(client_of(sim, "dev"), self.OTHERS, force=True)
        assert refusal(put, client=client_of(sim, "dev")).code == "AccessDeniedException"


class TestRegistryPolicy:
    def test_it_is_given_back_and_replaced_and_deleted(self, ecr):
        first = ecr.put_registry_policy(policyText=json.dumps(REGISTRY))
        assert first["registryId"] == ACCOUNT
        assert json.loads(first["policyText"]) == {
            **REGISTRY,
            "Statement": [REGISTRY["Statement"][0] | {"Action": "ecr:ReplicateImage"}],
        }
        assert list(json.loads(first["policyText"])["Statement"][0]) == ["Effect", "Principal", "Action", "Resource"]
        assert first["policyText"].startswith('{\n  "Version" : "2012-10-17",\n  "Statement" : [ {')
        assert ecr.get_registry_policy()["policyText"] == first["policyText"]

        other = document(statement("ecr:CreateRepository", Principal={"AWS": "222222222222"}))
        second = ecr.put_registry_policy(policyText=json.dumps(other))
        kept = json.loads(ecr.get_registry_policy()["policyText"])["Statement"][0]
        assert (kept["Action"], kept["Principal"]) == (
            "ecr:CreateRepository",
            {"AWS": "arn:aws:iam::222222222222:root"},  # inferred, of a registry's policy
        )
        assert ecr.delete_registry_policy()["policyText"] == second["policyText"]
        assert refusal(ecr.get_registry_policy) == no_registry_policy()
        assert refusal(ecr.delete_registry_policy) == no_registry_policy()

    @pytest.mark.recorded
    def test_a_resource_without_its_service_is_taken_and_fits_nothing(self, ecr, client):
        resource = f"arn:aws:us-east-1:{ACCOUNT}:repository/*"
        principal = {"AWS": "111111111111"}
        for resources, code in (
            (resource, "AccessDeniedException"),
            ([resource, f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/*"], "RepositoryNotFoundException"),
        ):
            policy = document(statement("ecr:ListImages", resource=resources, Principal=principal))
            ecr.put_registry_policy(policyText=json.dumps(policy))
            foreigner = client(account="1" * 12)
            assert refusal(foreigner.list_images, registryId=ACCOUNT, repositoryName="app").code == code

    @pytest.mark.documented
    def test_in_the_scope_v1_it_governs_three_actions(self, ecr, client):
        ecr.create_repository(repositoryName="app")
        principal = {"AWS": "111111111111"}
        pull = document(statement("ecr:ListImages", "ecr:CreateRepository", resource="*", Principal=principal))
        foreigner = client(account="1" * 12)
        ask = {"registryId": ACCOUNT, "repositoryName": "app"}
        ecr.put_registry_policy(policyText=json.dumps(pull))
        assert foreigner.list_images(**ask)["imageIds"] == []

        ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V1")
        assert refusal(foreigner.list_images, **ask).code == "AccessDeniedException"
        foreigner.create_repository(registryId=ACCOUNT, repositoryName="theirs")
        # Recorded: a policy of another action is refused then.
        assert refusal(ecr.put_registry_policy, policyText=json.dumps(pull)) == malformed("registry")
        ecr.put_registry_policy(policyText=json.dumps(REGISTRY))

        ecr.put_account_setting(name="REGISTRY_POLICY_SCOPE", value="V2")
        ecr.put_registry_policy(policyText=json.dumps(pull))
        assert foreigner.list_images(**ask)["imageIds"] == []

    @pytest.mark.inferred
    @pytest.mark.parametrize(
        "principal", ["*", {"AWS": "*"}, {"AWS": ACCOUNT}, {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}]
    )
    def test_the_owners_root_takes_back_one_that_denies_everyone_everything(self, sim, ecr, client, principal):
        """Inferred: AWS documents it of the policies of S3 buckets."""
        know(sim, {"users": [user("dev", document(statement("ecr:*")))]})
        locked = json.dumps(document(statement("ecr:*", effect="Deny", Principal=principal)))
        kept = ecr.put_registry_policy(policyText=locked)["policyText"]
        assert refusal(ecr.describe_repositories).code == "AccessDeniedException"
        assert refusal(ecr.put_account_setting, name="BLOB_MOUNTING", value="ENABLED").code == "AccessDeniedException"
        for change in ("get_registry_policy", "delete_registry_policy"):
            assert refusal(getattr(client_of(sim, "dev"), change)).code == "AccessDeniedException"
        assert ecr.get_registry_policy()["policyText"] == kept
        ecr.put_registry_policy(policyText=locked)
        ecr.delete_registry_policy()
        assert ecr.describe_repositories()["repositories"] == []

    def test_each_registry_and_region_has_its_own(self, ecr, client):
        ecr.put_registry_policy(policyText=json.dumps(REGISTRY))
        assert refusal(client(region="eu-west-1").get_registry_policy) == no_registry_policy()
        assert refusal(client(account="1" * 12).get_registry_policy) == no_registry_policy("1" * 12)

    @pytest.mark.parametrize(
        "policy",
        [
            pytest.param("", id="nothing"),
            pytest.param("nonsense", id="no JSON"),
            pytest.param(PULL, id="no resource"),
            pytest.param(document(statement("ecr:CreateRepository")), id="no principal"),
        ],
    )
    def test_what_is_malformed(self, ecr, policy):
        text = policy if isinstance(policy, str) else json.dumps(policy)
        assert refusal(ecr.put_registry_policy, policyText=text) == malformed("registry")
        assert refusal(ecr.get_registry_policy) == no_registry_policy()

    def test_it_may_be_rewritten_to_more_than_one_may_send(self, ecr):
        text = json.dumps(document(*REGISTRY["Statement"] * 60), separators=(",", ":"))
        assert len(text) <= 10_240 < len(ecr.put_registry_policy(policyText=text)["policyText"])
        assert ecr.create_repository(repositoryName="app")
        ecr.delete_registry_policy()

    def test_its_length(self, ecr):
        text = json.dumps(REGISTRY)
        ecr.put_registry_policy(policyText=text + " " * (10_240 - len(text)))
        assert refusal(ecr.put_registry_policy, policyText=text + " " * (10_241 - len(text))).code == (
            "InvalidParameterException"
        )
