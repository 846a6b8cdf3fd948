"""The principals that are known: what a document may say, where they come from, and that secrets never come back."""

import json
import logging

import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.access.directory import DirectoryError
from ecrsim.testing import call_application
from tests.answers import ACCOUNT, refusal
from tests.principals import admin, client_of, document, know, signed_client, statement, user

ALLOW = document(statement("ecr:*"))
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
ISSUER = "https://issuer.example"


def role(**more):
    return {"name": "r", "trust": TRUST, **more}


class TestRefusals:
    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (
                {"groups": []},
                "there is no groups; users, roles, identity_providers, signing_profiles are what can be known",
            ),
            ({"users": {}}, "users is a list of objects"),
            ({"users": ["ci"]}, "users is a list of objects"),
            ({"users": [{"name": "ci", "trust": {}}]}, "an entry of users has no member trust"),
            ({"roles": [role(access_keys=[])]}, "an entry of roles has no member access_keys"),
            ({"users": [{}]}, "a user needs a name of letters, digits and _+=,.@-, not None"),
            ({"users": [{"name": "a b"}]}, "a user needs a name of letters, digits and _+=,.@-, not 'a b'"),
            ({"users": [{"name": "a" * 65}]}, "a user needs a name of letters"),
            ({"users": [{"name": "ci", "path": "team"}]}, "user ci: a path begins and ends with a slash"),
            ({"users": [{"name": "ci", "account": "12"}]}, "an account is 12 digits, not 12"),
            ({"users": [{"name": "ci", "tags": []}]}, "user ci: tags is an object of texts"),
            ({"users": [{"name": "ci", "tags": {"a": 1}}]}, "user ci: tags is an object of texts"),
            ({"users": [{"name": "ci", "policies": "x"}]}, "user ci: policies is a list"),
            ({"users": [{"name": "ci", "policies": ["Nope"]}]}, "user ci: there is no managed policy Nope"),
            ({"users": [{"name": "ci", "policies": [{"Version": "1"}]}]}, "user ci: policy 1: "),
            ({"users": [{"name": "ci", "policies": [{"name": "p", "document": {}}]}]}, "user ci: p: "),
            ({"users": [{"name": "ci", "boundary": "Nope"}]}, "user ci: there is no managed policy Nope"),
            ({"users": [{"name": "ci", "boundary": {"Version": "1"}}]}, "user ci: boundary: "),
            ({"users": [{"name": "ci", "access_keys": {}}]}, "access_keys is a list"),
            ({"users": [{"name": "ci", "access_keys": ["x"]}]}, "an access key needs an id"),
            ({"users": [{"name": "ci", "access_keys": [{"id": "a-b", "secret": "s"}]}]}, "an access key needs an id"),
            (
                {"users": [{"name": "ci", "access_keys": [{"id": "1" * 12, "secret": "s"}]}]},
                "an id of letters and digits that is not an account's number",
            ),
            ({"users": [{"name": "ci", "access_keys": [{"id": "AKIA", "secret": ""}]}]}, "AKIA needs a secret"),
            ({"users": [{"name": "ci"}, {"name": "ci"}]}, f"arn:aws:iam::{ACCOUNT}:user/ci is there twice"),
            ({"users": [user("a"), user("b") | {"access_keys": user("a")["access_keys"]}]}, "AKIAA is there twice"),
            ({"roles": [{"name": "r"}]}, "role r needs a trust policy"),
            ({"roles": [role(trust=ALLOW)]}, "role r: trust policy: "),
            ({"roles": [role(max_session_duration=899)]}, "role r: max_session_duration is 900 to 43200 seconds"),
            ({"roles": [role(max_session_duration=43_201)]}, "role r: max_session_duration is 900 to 43200 seconds"),
            ({"roles": [role(max_session_duration="3600")]}, "role r: max_session_duration is 900 to 43200 seconds"),
            ({"identity_providers": [{}]}, "an identity provider needs an issuer, a URL"),
            ({"identity_providers": [{"issuer": ISSUER, "audiences": []}]}, "audiences is a list of texts"),
            ({"identity_providers": [{"issuer": ISSUER}]}, "keys is a JSON Web Key Set or a PEM text"),
            ({"identity_providers": [{"issuer": ISSUER, "keys": {"keys": [{}]}}]}, "keys is a JSON Web Key Set"),
        ],
    )
    def test_what_is_wrong_is_said_and_nothing_changes(self, sim, content, text):
        know(sim, {"users": [user("before", ALLOW)]})
        answer = admin(sim, "PUT", "principals", content)
        assert (answer.status, text in answer.json()["message"]) == (400, True), answer.body
        assert client_of(sim, "before").describe_repositories()["repositories"] == []

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5"])
    def test_what_is_no_object(self, sim, body):
        assert call_application(sim.app, "PUT", f"{sim.endpoint_url}/_ecrsim/principals", body=body).status == 400


class TestReplacing:
    def test_it_says_how_many_there_are(self, sim):
        assert know(sim, {"users": [user("a"), user("b")], "roles": [role()]}) == {
            "users": 2,
            "roles": 1,
            "identity_providers": 0,
        }

    def test_who_is_not_in_the_next_document_is_gone(self, sim, configure):
        configure(auth="strict")
        know(sim, {"users": [user("dev", ALLOW)]})
        dev = client_of(sim, "dev")
        dev.describe_repositories()
        know(sim, {})
        assert refusal(dev.describe_repositories).code == "UnrecognizedClientException"

    def test_an_account_and_a_path(self, sim):
        know(sim, {"users": [user("dev", account="111111111111", path="/team/x/")]})
        arn = client_of(sim, "dev", "sts").get_caller_identity()["Arn"]
        assert arn == "arn:aws:iam::111111111111:user/team/x/dev"

    @pytest.mark.parametrize(
        "name", ["AmazonEC2ContainerRegistryReadOnly", "arn:aws:iam::aws:policy/AdministratorAccess"]
    )
    def test_a_managed_policy_by_name_or_arn(self, sim, name):
        know(sim, {"users": [user("dev", name)]})
        assert client_of(sim, "dev").describe_repositories()["repositories"] == []

    def test_a_boundary_limits(self, sim):
        know(sim, {"users": [user("dev", ALLOW, boundary="AmazonEC2ContainerRegistryReadOnly")]})
        dev = client_of(sim, "dev")
        dev.describe_repositories()
        assert refusal(dev.create_repository, repositoryName="app").message.endswith(
            "because no permissions boundary allows the ecr:CreateRepository action"
        )

    def test_a_reset_forgets_them(self, sim, configure):
        configure(auth="strict")
        know(sim, {"users": [user("dev", ALLOW)]})
        sim.reset()
        assert refusal(client_of(sim, "dev").describe_repositories).code == "UnrecognizedClientException"


TOML = """
[[users]]
name = "dev"
access_keys = [{ id = "AKIADEV", secret = "secret of dev" }]
policies = ["AmazonEC2ContainerRegistryReadOnly"]
"""


class TestFile:
    @pytest.mark.parametrize("content", [TOML, json.dumps({"users": [user("dev", ALLOW)]})], ids=["TOML", "JSON"])
    def test_it_is_read_at_the_start_and_after_a_reset(self, tmp_path, content):
        file = tmp_path / "principals"
        file.write_text(content)
        with Ecrsim(socket=False, principals=str(file), auth="strict") as sim:
            for _ in range(2):
                assert client_of(sim, "dev").describe_repositories()["repositories"] == []
                sim.reset()

    def test_what_was_put_stays_over_a_restart_until_the_file_changes(self, tmp_path):
        file = tmp_path / "principals"
        file.write_text(TOML)
        settings = {"socket": False, "principals": str(file), "data_dir": str(tmp_path / "data"), "auth": "strict"}
        with Ecrsim(**settings) as sim:
            know(sim, {"users": [user("other", ALLOW)]})
        with Ecrsim(**settings) as sim:
            client_of(sim, "other").describe_repositories()
            assert refusal(client_of(sim, "dev").describe_repositories).code == "UnrecognizedClientException"
        file.write_text(TOML + "\n# changed\n")
        with Ecrsim(**settings) as sim:
            client_of(sim, "dev").describe_repositories()

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (None, "cannot be read: No such file or directory"),
            ("users = ", "it is neither JSON nor TOML"),
            ("{", "it is neither JSON nor TOML"),
            ("[[users]]\nname = 'a b'", "a user needs a name"),
        ],
    )
    def test_what_is_wrong_with_it_names_it(self, tmp_path, content, text):
        file = tmp_path / "principals"
        if content is not None:
            file.write_text(content)
        with pytest.raises(DirectoryError) as caught, Ecrsim(socket=False, principals=str(file)):
            pass
        assert str(file) in str(caught.value)
        assert text in str(caught.value)


def test_secrets_never_come_back(sim, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "do-not-tell-anyone"
    wrong = {"users": [{"name": "a b", "access_keys": [{"id": "AKIADEV", "secret": secret}]}]}
    twice = {"users": [{"name": name, "access_keys": [{"id": "AKIADEV", "secret": secret}]} for name in ("a", "b")]}
    odd = {"users": [{"name": "a", "access_keys": [{"id": "a b", "secret": secret}]}]}
    right = {"users": [{"name": "dev", "policies": [ALLOW], "access_keys": [{"id": "AKIADEV", "secret": secret}]}]}
    answers = [admin(sim, "PUT", "principals", content) for content in (wrong, twice, odd, right)]
    signed_client(sim, "ecr", "AKIADEV", secret).describe_repositories()
    session = signed_client(sim, "sts", "AKIADEV", secret).get_session_token()["Credentials"]
    refusal(signed_client(sim, "ecr", "AKIADEV", "wrong").describe_repositories)
    arn = f"arn:aws:iam::{ACCOUNT}:user/dev"
    asked = {"principal": arn, "action": "ecr:PutImage", "resource": "*"}
    answers.append(admin(sim, "POST", "explain", asked))
    answers.extend(
        admin(sim, "GET", path) for path in ("audit", f"policy/minimal?principal={arn}", "health", "../", "principals")
    )
    said = b"".join(answer.body for answer in answers).decode()
    logged = "".join(record.getMessage() for record in caplog.records if record.name.startswith("ecrsim"))
    for word in (secret, session["SecretAccessKey"], session["SessionToken"]):
        assert word not in said
        assert word not in logged
