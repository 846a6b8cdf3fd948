"""Why: the audit of both planes, explanations, and the least that a principal needs, by HTTP and by command."""

import contextlib
import json

import pytest

from ecrsim import Ecrsim, cli
from tests.answers import ACCOUNT, refusal
from tests.principals import (
    REGISTRY,
    admin,
    client_of,
    client_of_session,
    denied,
    document,
    know,
    registry,
    signed_client,
    statement,
    token_of,
    user,
)

DEV = f"arn:aws:iam::{ACCOUNT}:user/dev"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
APP = f"{REGISTRY}:repository/app"
READ_ONLY = "AmazonEC2ContainerRegistryReadOnly"


def audit(sim, query=""):
    answer = admin(sim, "GET", f"audit{query}")
    assert answer.status == 200, answer.body
    return answer.json()


def trusting(name, principal):
    trust = document({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"})
    return {"name": name, "trust": trust, "policies": [READ_ONLY]}


@pytest.fixture
def app(ecr):
    ecr.create_repository(repositoryName="app")
    return ecr


class TestAudit:
    def test_a_call_of_the_api(self, sim, app):
        answer = app.list_images(repositoryName="app")
        record = audit(sim)["records"][-1]
        assert record.pop("time").endswith("Z")
        assert record.pop("number") > 0
        assert record == {
            "plane": "api",
            "principal": ROOT,
            "account": ACCOUNT,
            "region": "us-east-1",
            "action": "ecr:ListImages",
            "resource": APP,
            "decision": "allowed",
            "reason": "root may do everything in its own account",
            "requestId": answer["ResponseMetadata"]["RequestId"],
            "source": "127.0.0.1",
            "error": None,
        }

    def test_a_call_that_failed_says_with_what(self, sim, app):
        refusal(app.list_images, repositoryName="none")
        assert audit(sim)["records"][-1]["error"] == "RepositoryNotFoundException"
        registry(sim, token_of(app), "GET", "/v2/app/manifests/none")
        record = audit(sim)["records"][-1]
        assert (record["action"], record["decision"], record["error"]) == (
            "ecr:BatchGetImage",
            "allowed",
            "MANIFEST_UNKNOWN",
        )

    def test_a_call_that_was_refused_before_it_was_decided(self, sim, app):
        refusal(app.create_repository, repositoryName="UPPER")
        record = audit(sim)["records"][-1]
        assert (record["action"], record["decision"]) == ("ecr:CreateRepository", "denied")
        assert record["error"] == "InvalidParameterException"

    def test_a_signature_that_is_wrong_is_on_record_under_the_key_that_it_claims(self, sim, app):
        know(sim, {"users": [user("dev", READ_ONLY)]})
        refusal(signed_client(sim, "ecr", "AKIADEV", "wrong").list_images, repositoryName="app")
        record = audit(sim)["records"][-1]
        assert (record["principal"], record["error"]) == ("AKIADEV", "InvalidSignatureException")

    def test_roles_that_are_assumed_are_on_record(self, sim, app):
        know(sim, {"users": [user("dev", document(statement("sts:AssumeRole")))], "roles": [trusting("pusher", DEV)]})
        sts = client_of(sim, "dev", "sts")
        sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/pusher", RoleSessionName="one")
        record = audit(sim)["records"][-1]
        assert (record["action"], record["principal"], record["decision"]) == ("sts:AssumeRole", DEV, "allowed")
        refusal(sts.assume_role, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/none", RoleSessionName="one")
        assert audit(sim)["records"][-1]["error"] == "AccessDenied"

    def test_with_several_workers_readers_wait_for_the_others(self, tmp_path):
        settings = {"data_dir": str(tmp_path), "workers": 2}
        with Ecrsim(socket=False, **settings) as one, Ecrsim(socket=False, **settings) as other:
            for number in range(5):
                one.client("ecr").create_repository(repositoryName=f"app{number}")
                assert audit(other)["records"][-1]["resource"].endswith(f"repository/app{number}")

    def test_a_request_to_the_registry_that_was_denied(self, sim, app):
        know(sim, {"users": [user("dev", READ_ONLY)]})
        registry(sim, token_of(client_of(sim, "dev")), "POST", "/v2/app/blobs/uploads/")
        record = audit(sim)["records"][-1]
        assert (record["plane"], record["principal"], record["decision"]) == ("registry", DEV, "denied")
        assert (record["action"], record["resource"]) == ("ecr:InitiateLayerUpload", APP)
        assert record["reason"] == "no identity-based policy allows it"

    def test_the_statement_that_decided_is_the_reason(self, sim, app):
        deny = {**statement("ecr:PutImage", effect="Deny"), "Sid": "NoPush"}
        know(sim, {"users": [user("dev", {"name": "limits", "document": document(statement("ecr:*"), deny)})]})
        dev = client_of(sim, "dev")
        dev.list_images(repositoryName="app")
        refusal(dev.put_image, repositoryName="app", imageManifest="{}")
        allowed, denied_ = audit(sim)["records"][-2:]
        assert "statement 1" in allowed["reason"]
        assert "limits" in allowed["reason"]
        assert "NoPush" in denied_["reason"]
        assert "limits" in denied_["reason"]

    def test_pages(self, sim, app):
        for _ in range(5):
            app.list_images(repositoryName="app")
        everything = audit(sim)
        first = audit(sim, "?limit=2")
        assert first["records"] == everything["records"][:2]
        assert first["next"] == first["records"][-1]["number"]
        rest = audit(sim, f"?after={first['next']}")
        assert first["records"] + rest["records"] == everything["records"]
        end = audit(sim, f"?after={rest['next']}")
        assert end == {"records": [], "next": rest["next"]}

    def test_since(self, sim, app):
        sim.advance(hours=1)
        moment = sim.runtime.clock.now()
        app.list_images(repositoryName="app")
        assert [record["action"] for record in audit(sim, f"?since={moment}")["records"]] == ["ecr:ListImages"]

    @pytest.mark.parametrize("query", ["after=x", "limit=-1", "since=1.5", "after=" + "9" * 19])
    def test_what_is_no_number(self, sim, query):
        assert admin(sim, "GET", f"audit?{query}").status == 400

    def test_the_newest_are_kept(self, sim, app, configure):
        audit(sim)
        configure(audit_limit=3)
        for operation in (app.list_images, app.describe_images, app.get_repository_policy, app.list_images):
            with contextlib.suppress(app.exceptions.RepositoryPolicyNotFoundException):
                operation(repositoryName="app")
        actions = [record["action"] for record in audit(sim)["records"]]
        assert actions == ["ecr:DescribeImages", "ecr:GetRepositoryPolicy", "ecr:ListImages"]

    def test_none_are_kept_where_nobody_wants_them(self, sim, configure):
        configure(audit_limit=0)
        sim.client("ecr").create_repository(repositoryName="app")
        assert audit(sim) == {"records": [], "next": 0}

    def test_it_survives_a_restart(self, tmp_path):
        settings = {"socket": False, "data_dir": str(tmp_path)}
        with Ecrsim(**settings) as sim:
            sim.client("ecr").create_repository(repositoryName="app")
        with Ecrsim(**settings) as sim:
            assert [record["action"] for record in audit(sim)["records"]] == ["ecr:CreateRepository"]

    def test_a_batch_call_is_one_decision(self, sim, app):
        before = audit(sim)["next"]
        app.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "a"}, {"imageTag": "b"}])
        assert len(audit(sim, f"?after={before}")["records"]) == 1


def ask(sim, principal=DEV, action="ecr:PutImage", resource=APP, **more):
    return admin(sim, "POST", "explain", {"principal": principal, "action": action, "resource": resource, **more})


class TestExplain:
    def test_a_denial_says_what_would_have_allowed_it(self, sim, app):
        know(sim, {"users": [user("dev", READ_ONLY)]})
        found = ask(sim).json()
        assert found == {
            "principal": DEV,
            "action": "ecr:PutImage",
            "resource": APP,
            "allowed": False,
            "reason": "no identity-based policy allows it",
            "message": denied(DEV, "PutImage", "app"),
            "policyType": None,
            "policy": None,
            "statement": None,
            "changes": [
                {
                    "change": "add",
                    "policyType": "identity-based policy",
                    "policy": None,
                    "statement": {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": APP},
                    "description": "add a statement to an identity-based policy",
                }
            ],
        }
        # It is enough.
        know(sim, {"users": [user("dev", READ_ONLY, document(found["changes"][0]["statement"]))]})
        assert ask(sim).json()["allowed"]

    def test_another_account_needs_two(self, sim, app):
        far = "arn:aws:iam::111111111111:user/far"
        know(sim, {"users": [user("far", account="111111111111")]})
        changes = ask(sim, far).json()["changes"]
        assert [change["policyType"] for change in changes] == ["identity-based policy", "repository policy"]
        know(sim, {"users": [user("far", document(changes[0]["statement"]), account="111111111111")]})
        app.set_repository_policy(repositoryName="app", policyText=json.dumps(document(changes[1]["statement"])))
        assert ask(sim, far).json()["allowed"]

    def test_a_deny_is_to_be_removed(self, sim, app):
        deny = {**statement("ecr:PutImage", effect="Deny"), "Sid": "NoPush"}
        know(sim, {"users": [user("dev", document(statement("ecr:*"), deny))]})
        found = ask(sim).json()
        assert found["statement"] == deny
        assert found["policy"] == "policy 1"
        assert [change["change"] for change in found["changes"]] == ["remove"]

    def test_the_statement_that_allows(self, sim, app):
        know(sim, {"users": [user("dev", READ_ONLY)]})
        found = ask(sim, action="ecr:ListImages").json()
        assert (found["allowed"], found["policy"], found["changes"]) == (True, READ_ONLY, [])
        assert "ecr:ListImages" in found["statement"]["Action"]

    def test_the_context_is_the_request_s(self, sim, app):
        condition = {"StringEquals": {"aws:RequestTag/team": "blue"}}
        know(sim, {"users": [user("dev", document(statement("ecr:TagResource", Condition=condition)))]})
        assert not ask(sim, action="ecr:TagResource").json()["allowed"]
        for value in ("blue", ["blue"]):
            context = {"aws:RequestTag/team": value}
            assert ask(sim, action="ecr:TagResource", context=context).json()["allowed"]

    def test_it_asks_for_a_role(self, sim, app):
        trust = {"Effect": "Allow", "Principal": {"AWS": DEV}, "Action": "sts:AssumeRole"}
        role = {"name": "ci", "trust": document(trust), "policies": [READ_ONLY]}
        know(sim, {"roles": [role]})
        assert ask(sim, f"arn:aws:iam::{ACCOUNT}:role/ci", "ecr:ListImages").json()["allowed"]

    @pytest.mark.parametrize("action", ["ecr:putimage", "ecr:ReplicateImage", "ecr-public:PutImage"])
    @pytest.mark.parametrize(
        "principal",
        [
            f"arn:aws:iam::{ACCOUNT}:root",
            f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/build",
            f"arn:aws:iam::{ACCOUNT}:role/team/ci",
        ],
    )
    def test_what_is_known_by_another_spelling(self, sim, action, principal):
        trust = document({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"})
        know(sim, {"roles": [{"name": "ci", "path": "/team/", "trust": trust}]})
        assert ask(sim, principal, action).status == 200

    def test_it_is_not_in_the_audit(self, sim, app):
        know(sim, {"users": [user("dev")]})
        before = audit(sim)["next"]
        ask(sim)
        assert audit(sim)["next"] == before

    @pytest.mark.parametrize(
        ("more", "text"),
        [
            ({"principal": "dev"}, "principal is the ARN of a user"),
            ({"action": "PutImage"}, "action is one of ecr's"),
            ({"action": "s3:GetObject"}, "action is one of ecr's"),
            ({"resource": "app"}, "resource is the ARN of a repository, or *"),
            ({"context": []}, "context is an object of condition keys"),
            ({"action": "ecr:PutImages"}, "there is no action ecr:PutImages; the nearest is ecr:PutImage"),
            ({"action": "ecr:Zzz"}, "there is no action ecr:Zzz"),
            ({"principle": DEV}, "there is no member principle; the nearest is principal"),
            ({"principal": f"{DEV}s"}, f"nobody is known as {DEV}s; the nearest is {DEV}"),
            ({"principal": f"arn:aws:iam::{ACCOUNT}:role/c"}, f"the nearest is arn:aws:iam::{ACCOUNT}:role/team/ci"),
            (
                {"principal": f"arn:aws:sts::{ACCOUNT}:assumed-role/ic/build"},
                f"nobody is known as arn:aws:iam::{ACCOUNT}:role/ic; the nearest is arn:aws:iam::{ACCOUNT}:role/ci",
            ),
        ],
    )
    def test_what_cannot_be_asked(self, sim, more, text):
        trust = document({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"})
        know(sim, {"users": [user("dev")], "roles": [{"name": "ci", "path": "/team/", "trust": trust}]})
        answer = ask(sim, **more)
        assert (answer.status, text in answer.json()["message"]) == (400, True)


class TestMinimalPolicy:
    def test_it_covers_what_was_done_and_no_more(self, sim, app):
        know(sim, {"users": [user("dev", document(statement("ecr:*")))]})
        dev = client_of(sim, "dev")
        dev.list_images(repositoryName="app")
        registry(sim, token_of(dev), "POST", "/v2/app/blobs/uploads/")
        refusal(dev.list_images, registryId="111111111111", repositoryName="app")
        least = admin(sim, "GET", f"policy/minimal?principal={DEV}").json()
        assert least == {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
                {"Effect": "Allow", "Action": ["ecr:InitiateLayerUpload", "ecr:ListImages"], "Resource": APP},
            ],
        }
        know(sim, {"users": [user("dev", least)]})
        dev.list_images(repositoryName="app")
        assert registry(sim, token_of(dev), "POST", "/v2/app/blobs/uploads/").status == 202
        assert refusal(dev.describe_images, repositoryName="app").code == "AccessDeniedException"

    def test_a_role_has_done_what_its_sessions_did(self, sim, app):
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        role = {"name": "ci", "trust": document(trust), "policies": [document(statement("ecr:*"))]}
        know(sim, {"users": [user("dev", document(statement("sts:AssumeRole")))], "roles": [role]})
        arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
        for name, operation in (("one", "list_images"), ("two", "describe_images")):
            answer = client_of(sim, "dev", "sts").assume_role(RoleArn=arn, RoleSessionName=name)
            getattr(client_of_session(sim, answer), operation)(repositoryName="app")
        least = admin(sim, "GET", f"policy/minimal?principal={arn}").json()
        assert least["Statement"][0]["Action"] == ["ecr:DescribeImages", "ecr:ListImages"]

    def test_since(self, sim, app):
        app.list_images(repositoryName="app")
        sim.advance(hours=1)
        moment = sim.runtime.clock.now()
        app.describe_images(repositoryName="app")
        least = admin(sim, "GET", f"policy/minimal?principal={ROOT}&since={moment}").json()
        assert [entry["Action"] for entry in least["Statement"]] == ["ecr:DescribeImages"]

    def test_of_nobody(self, sim):
        assert admin(sim, "GET", "policy/minimal").status == 400
        answer = admin(sim, "GET", f"policy/minimal?principal={DEV}")
        assert answer.json()["message"] == f"the audit has nothing that {DEV} was allowed"


@pytest.fixture(scope="module")
def served():
    """One that commands can reach, with the repository `app` and a user who may read."""
    with Ecrsim() as sim:
        sim.client("ecr").create_repository(repositoryName="app")
        know(sim, {"users": [user("dev", READ_ONLY)]})
        yield sim


class TestCommands:
    @pytest.fixture
    def run(self, served, capsys):
        def run(*words):
            status = cli.main([*words, "--port", str(served.runtime.port)])
            return status, *capsys.readouterr()

        return run

    def test_explain_a_denial(self, run):
        status, out, _ = run("explain", "--principal", DEV, "--action", "ecr:PutImage", "--resource", APP)
        assert status == 3
        first, message, hint, *rest = out.splitlines()
        assert first == "denied: no identity-based policy allows it"
        assert message == denied(DEV, "PutImage", "app")
        assert hint == "it would be allowed if you add a statement to an identity-based policy:"
        assert json.loads("\n".join(rest)) == {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": APP}

    def test_explain_what_is_allowed(self, run):
        status, out, _ = run("explain", "--principal", DEV, "--action", "ecr:ListImages", "--resource", APP)
        assert status == 0
        assert out.startswith("allowed: ")

    def test_explain_as_json(self, run):
        words = [
            "--principal",
            DEV,
            "--action",
            "ecr:PutImage",
            "--resource",
            APP,
            "--context",
            "aws:SourceIp=10.0.0.1",
        ]
        status, out, _ = run("explain", *words, "--json")
        assert (status, json.loads(out)["allowed"]) == (3, False)

    def test_a_context_without_a_value(self, run):
        words = ["--principal", DEV, "--action", "ecr:PutImage", "--resource", APP, "--context", "aws:SourceIp"]
        status, _, err = run("explain", *words)
        assert status == 1
        assert "--context is KEY=VALUE, not aws:SourceIp" in err

    def test_what_the_server_refuses_is_said(self, run):
        status, _, err = run("explain", "--principal", "dev", "--action", "ecr:PutImage", "--resource", APP)
        assert status == 1
        assert "principal is the ARN of a user" in err

    @pytest.mark.parametrize("since", [(), ("--since", "1h"), ("--since", "2020-01-01T00:00:00Z")])
    def test_the_minimal_policy(self, run, since):
        status, out, _ = run("policy", "minimal", "--principal", ROOT, *since)
        assert status == 0
        assert json.loads(out)["Statement"] == [
            {"Effect": "Allow", "Action": "ecr:CreateRepository", "Resource": APP},
        ]

    def test_a_time_that_is_none(self, run):
        status, _, err = run("policy", "minimal", "--principal", ROOT, "--since", "yesterday")
        assert status == 1
        assert "--since is a time such as" in err

    def test_nobody_answers(self, capsys):
        words = ["explain", "--principal", DEV, "--action", "ecr:PutImage", "--resource", APP, "--port", "1"]
        assert cli.main(words) == 1
        assert "no ecrsim answers on 127.0.0.1 port 1" in capsys.readouterr().err
