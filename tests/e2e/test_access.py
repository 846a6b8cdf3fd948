"""Who may do what, as the AWS command line and docker live it: a server that refuses strangers, and its principals.

The rights of the role are those that the user guide gives for a push; each is missed when it is taken away.
"""

import base64
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from tests.e2e.clients import ROOT
from tests.e2e.server import ACCOUNT, REGION

OTHER_ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/pusher"
ISSUER = "https://token.pipelines.example"
MINIMUM = (
    "ecr:BatchCheckLayerAvailability",
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
)
LOGIN = "ecr:GetAuthorizationToken"

ADMIN = ("AKIAADMINISTRATOR001", "secret of the administrator")
DEVELOPER = ("AKIADEVELOPER0000001", "secret of the developer")
PULLER = ("AKIAOTHERACCOUNT0001", "secret of the other account")

PRINCIPALS = f"""
[[users]]
name = "administrator"
policies = ["AmazonEC2ContainerRegistryFullAccess"]
access_keys = [{{ id = "{ADMIN[0]}", secret = "{ADMIN[1]}" }}]

[[users]]
name = "developer"
access_keys = [{{ id = "{DEVELOPER[0]}", secret = "{DEVELOPER[1]}" }}]

[[users]]
name = "puller"
account = "{OTHER_ACCOUNT}"
policies = ["AmazonEC2ContainerRegistryPullOnly"]
access_keys = [{{ id = "{PULLER[0]}", secret = "{PULLER[1]}" }}]

[[roles]]
name = "pusher"

[roles.trust]
Version = "2012-10-17"

[[roles.trust.Statement]]
Effect = "Allow"
Principal = {{ AWS = "arn:aws:iam::{ACCOUNT}:user/developer" }}
Action = "sts:AssumeRole"

[[roles.policies]]
name = "push"

[roles.policies.document]
Version = "2012-10-17"

[[roles.policies.document.Statement]]
Effect = "Allow"
Action = "{LOGIN}"
Resource = "*"

[[roles.policies.document.Statement]]
Effect = "Allow"
Action = {json.dumps(MINIMUM)}
Resource = "arn:aws:ecr:*:{ACCOUNT}:repository/e2e/*"
"""


def without(action):
    """The principals, less one right of the role."""
    document = tomllib.loads(PRINCIPALS)
    statements = document["roles"][0]["policies"][0]["document"]["Statement"]
    if action == LOGIN:
        del statements[0]
    else:
        statements[1]["Action"].remove(action)
    return document


def lacking(principal, action, resource, policy="identity-based"):
    """AWS's sentence for what no policy of that kind allows."""
    return (
        f"User: {principal} is not authorized to perform: {action} on resource: {resource} "
        f"because no {policy} policy allows the {action} action"
    )


@pytest.fixture(scope="module")
def server(launch, tmp_path_factory):
    file = tmp_path_factory.mktemp("principals") / "principals.toml"
    file.write_text(PRINCIPALS)
    return launch("--auth", "strict", "--principals", str(file))


@pytest.fixture
def put_principals(server):
    """Replace the principals; those of the file come back when the test is over."""

    def put(document):
        answer = requests.put(
            f"{server.url}/_ecrsim/principals",
            json=document,
            headers={"Authorization": f"Bearer {server.admin_token}"},
            timeout=20,
        )
        assert answer.status_code == 200, answer.text

    yield put
    put(tomllib.loads(PRINCIPALS))


@pytest.fixture
def aws_as(aws):
    """The AWS command line with these keys: (id, secret) and perhaps a session token."""

    def with_keys(access_key_id, secret, session_token=None):
        keys = {"AWS_ACCESS_KEY_ID": access_key_id, "AWS_SECRET_ACCESS_KEY": secret}
        if session_token is not None:
            keys["AWS_SESSION_TOKEN"] = session_token
        return replace(aws, environ={**aws.environ, **keys})

    return with_keys


@pytest.fixture
def admin(aws_as):
    return aws_as(*ADMIN)


@pytest.fixture
def name(admin, repository_names):
    """A repository."""
    created = f"e2e/access-{next(repository_names)}"
    admin("ecr", "create-repository", "--repository-name", created)
    return created


@pytest.fixture
def arn(name):
    return f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{name}"


SESSIONS = count(1)


@pytest.fixture
def pusher(aws_as):
    """Assume the role as the developer does; answers the session's ARN and its AWS command line."""

    def assume():
        naming = ("--role-arn", ROLE, "--role-session-name", f"build-{next(SESSIONS)}")
        assumed = json.loads(aws_as(*DEVELOPER)("sts", "assume-role", *naming))
        return assumed["AssumedRoleUser"]["Arn"], aws_as(*keys_of(assumed))

    return assume


def keys_of(assumed):
    credentials = assumed["Credentials"]
    return credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]


def log_in(docker, server, aws):
    printed = docker("login", "-u", "AWS", "--password-stdin", server.registry, stdin=aws("ecr", "get-login-password"))
    assert "Login Succeeded" in printed


@pytest.fixture
def build(docker, server, tmp_path):
    """Build an image whose only layer nobody has seen before; answers what to push."""

    def build(name, tag="v1"):
        image = f"{server.registry}/{name}:{tag}"
        context = tmp_path / f"context-{tag}"
        context.mkdir()
        (context / "Dockerfile").write_text('FROM scratch\nCOPY random /random\nCMD ["/random"]\n')
        (context / "random").write_bytes(os.urandom(2000))
        docker("build", f"--tag={image}", str(context))
        return image

    return build


def audited(server, principal):
    """{(plane, action): {decision}} of what the principal asked for."""
    decisions, after = {}, 0
    while True:
        url = f"{server.url}/_ecrsim/audit?limit=1000&after={after}"
        page = requests.get(url, headers={"Authorization": f"Bearer {server.admin_token}"}, timeout=20).json()
        for record in page["records"]:
            if record["principal"] == principal:
                decisions.setdefault((record["plane"], record["action"]), set()).add(record["decision"])
        if not page["records"]:
            return decisions
        after = page["next"]


def ecrsim(server, *arguments):
    place = ["--port", str(server.port), "--data-dir", str(server.folder / "data")]
    command = [sys.executable, "-m", "ecrsim", *arguments, *place]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


# What a push needs


def test_a_role_pushes_with_the_minimum(docker, server, pusher, name, arn, build):
    """And the audit gives the same minimum back, as a policy that is ready to paste."""
    begun = datetime.now(UTC).isoformat()
    session, aws = pusher()
    assert json.loads(aws("sts", "get-caller-identity"))["Arn"] == session
    log_in(docker, server, aws)
    image = build(name)
    assert "v1: digest: sha256:" in docker("push", image)

    asked = audited(server, session)
    assert {action for _, action in asked} == {LOGIN, *MINIMUM, "sts:GetCallerIdentity"}
    assert {plane for plane, action in asked if action in MINIMUM} == {"registry"}
    assert all(decisions == {"allowed"} for decisions in asked.values())

    needed = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": LOGIN, "Resource": "*"},
            {"Effect": "Allow", "Action": list(MINIMUM), "Resource": arn},
        ],
    }
    for principal in (session, ROLE):
        printed = ecrsim(server, "policy", "minimal", "--principal", principal, "--since", begun)
        assert printed.returncode == 0, printed.stderr
        assert json.loads(printed.stdout) == needed


@pytest.mark.parametrize(
    "action", ["ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"]
)
def test_a_push_without_one_right_says_which(action, docker, server, put_principals, pusher, name, arn, build):
    image = build(name)
    put_principals(without(action))
    session, aws = pusher()
    log_in(docker, server, aws)
    assert f"denied: {lacking(session, action, arn)}" in docker.refuses("push", image)
    asked = audited(server, session)
    assert {asked_action for (_, asked_action), decisions in asked.items() if "denied" in decisions} == {action}


def test_a_push_without_the_right_to_look_for_layers(docker, server, put_principals, pusher, name, arn, build):
    """The question is a HEAD, whose answer has no room for a sentence: docker knows no more than its status."""
    image = build(name)
    action = "ecr:BatchCheckLayerAvailability"
    put_principals(without(action))
    session, aws = pusher()
    log_in(docker, server, aws)
    printed = docker.refuses("push", image)
    assert re.search(r"HTTP 403|403 Forbidden", printed)
    assert audited(server, session)["registry", action] == {"denied"}


def test_a_login_without_the_right_to_a_token(put_principals, pusher):
    put_principals(without(LOGIN))
    session, aws = pusher()
    printed = aws.refuses("ecr", "get-login-password")
    assert "(AccessDeniedException)" in printed
    assert lacking(session, LOGIN, "*") in printed


def test_a_login_carries_the_rights_of_the_moment(docker, server, put_principals, pusher, name, arn, build):
    """One session, one login: it is refused what a change took from its role, and given it again."""
    image = build(name)
    session, aws = pusher()
    log_in(docker, server, aws)
    put_principals(without("ecr:PutImage"))
    assert f"denied: {lacking(session, 'ecr:PutImage', arn)}" in docker.refuses("push", image)
    put_principals(tomllib.loads(PRINCIPALS))
    assert "v1: digest: sha256:" in docker("push", image)


def test_a_session_ends_with_its_role(docker, server, put_principals, pusher, name, arn, build):
    image = build(name)
    session, aws = pusher()
    log_in(docker, server, aws)
    put_principals({**tomllib.loads(PRINCIPALS), "roles": []})
    assert "(UnrecognizedClientException)" in aws.refuses("ecr", "get-login-password")
    assert f"denied: {lacking(session, 'ecr:InitiateLayerUpload', arn)}" in docker.refuses("push", image)


def test_what_the_registry_refuses_the_api_refuses(docker, server, put_principals, pusher, name, arn, build):
    image = build(name)
    put_principals(without("ecr:PutImage"))
    session, aws = pusher()
    log_in(docker, server, aws)
    sentence = lacking(session, "ecr:PutImage", arn)
    assert f"denied: {sentence}" in docker.refuses("push", image)
    refused = aws.refuses("ecr", "put-image", "--repository-name", name, "--image-manifest", "{}")
    assert f"(AccessDeniedException) when calling the PutImage operation: {sentence}" in refused


def test_explain_says_what_the_push_was_told(server, put_principals, pusher, name, arn):
    question = ("explain", "--principal", ROLE, "--action", "ecr:PutImage", "--resource", arn)
    allowed = ecrsim(server, *question)
    assert (allowed.returncode, allowed.stderr) == (0, "")
    assert allowed.stdout.startswith("allowed: ")
    assert '"ecr:PutImage"' in allowed.stdout

    put_principals(without("ecr:PutImage"))
    denied = ecrsim(server, *question)
    assert denied.returncode == 3
    assert denied.stdout.startswith("denied: ")
    assert lacking(ROLE, "ecr:PutImage", arn) in denied.stdout
    answer = json.loads(ecrsim(server, *question, "--json").stdout)
    needed = {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": arn}
    assert [change["statement"] for change in answer["changes"]] == [needed]


# Policies of a repository


@pytest.fixture
def pushed(docker, server, admin, name, build):
    """An image in the repository, gone from the daemon; docker is logged in as the administrator."""
    log_in(docker, server, admin)
    image = build(name)
    docker("push", image)
    docker("image", "rm", "--force", image)
    return image


def set_policy(aws, name, effect, principal, *actions):
    statement = {"Sid": "e2e", "Effect": effect, "Principal": principal, "Action": actions}
    text = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws("ecr", "set-repository-policy", "--repository-name", name, "--policy-text", text)


def test_another_account_pulls_by_the_policy_of_the_repository(docker, server, admin, aws_as, name, arn, pushed):
    image = pushed.replace(server.registry, f"{server.registry}/{ACCOUNT}/{REGION}")
    user = f"arn:aws:iam::{OTHER_ACCOUNT}:user/puller"
    other = aws_as(*PULLER)
    log_in(docker, server, other)
    missing = lacking(user, "ecr:BatchGetImage", arn, "resource-based")
    assert f"denied: {missing}" in docker.refuses("pull", image)
    question = ("ecr", "batch-get-image", "--registry-id", ACCOUNT, "--repository-name", name)
    assert f"(AccessDeniedException) when calling the BatchGetImage operation: {missing}" in other.refuses(
        *question, "--image-ids", "imageTag=v1"
    )

    # The manifest alone is not yet the image.
    grantee = {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}
    set_policy(admin, name, "Allow", grantee, "ecr:BatchGetImage")
    assert len(json.loads(other(*question, "--image-ids", "imageTag=v1"))["images"]) == 1
    missing = lacking(user, "ecr:GetDownloadUrlForLayer", arn, "resource-based")
    assert f"denied: {missing}" in docker.refuses("pull", image)

    set_policy(admin, name, "Allow", grantee, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    assert "Digest: sha256:" in docker("pull", image)

    docker("image", "rm", "--force", image)
    admin("ecr", "delete-repository-policy", "--repository-name", name)
    assert "because no resource-based policy allows" in docker.refuses("pull", image)


def test_an_explicit_deny_set_through_the_api_binds_docker(docker, admin, name, arn, pushed):
    sentence = (
        f"User: arn:aws:iam::{ACCOUNT}:user/administrator is not authorized to perform: ecr:BatchGetImage "
        f"on resource: {arn} with an explicit deny in a resource-based policy"
    )
    set_policy(admin, name, "Deny", "*", "ecr:BatchGetImage")
    assert f"denied: {sentence}" in docker.refuses("pull", pushed)
    refused = admin.refuses("ecr", "batch-get-image", "--repository-name", name, "--image-ids", "imageTag=v1")
    assert f"(AccessDeniedException) when calling the BatchGetImage operation: {sentence}" in refused

    admin("ecr", "delete-repository-policy", "--repository-name", name)
    assert "Digest: sha256:" in docker("pull", pushed)


# Who is calling


def test_a_wrong_secret(aws_as):
    printed = aws_as(ADMIN[0], "not the secret").refuses("ecr", "describe-repositories")
    assert (
        "(InvalidSignatureException) when calling the DescribeRepositories operation: The request signature" in printed
    )


def test_an_unknown_key(aws_as):
    printed = aws_as("AKIANOBODYHASTHISONE", "secret").refuses("ecr", "get-login-password")
    assert (
        "(UnrecognizedClientException) when calling the GetAuthorizationToken operation: "
        "The security token included in the request is invalid."
    ) in printed


def test_a_role_that_does_not_trust_the_caller(aws_as):
    naming = ("--role-arn", ROLE, "--role-session-name", "stranger")
    printed = aws_as(*PULLER).refuses("sts", "assume-role", *naming)
    assert (
        f"(AccessDenied) when calling the AssumeRole operation: User: arn:aws:iam::{OTHER_ACCOUNT}:user/puller "
        f"is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    ) in printed


def encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def id_token(key, **claims):
    """A token of the issuer, signed with ES256."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "sts.amazonaws.com", "iat": now, "exp": now + 600, **claims}
    signed = b".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "ES256", "kid": "1"}, claims))
    numbers = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return b".".join([signed, encoded(b"".join(number.to_bytes(32) for number in numbers))]).decode()


def test_a_pipeline_pushes_with_the_token_of_its_issuer(docker, server, aws, aws_as, put_principals, name, build):
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    document = tomllib.loads(PRINCIPALS)
    document["identity_providers"] = [{"issuer": ISSUER, "keys": public.decode()}]
    host = ISSUER.removeprefix("https://")
    [statement] = document["roles"][0]["trust"]["Statement"]
    statement["Action"] = "sts:AssumeRoleWithWebIdentity"
    statement["Principal"] = {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"}
    statement["Condition"] = {"StringEquals": {f"{host}:sub": "repo:example/app:ref:main"}}
    put_principals(document)

    keyless = {name: value for name, value in aws.environ.items() if "ACCESS_KEY" not in name}
    assume = ("sts", "assume-role-with-web-identity", "--role-arn", ROLE, "--role-session-name", "pipeline")
    client = replace(aws, environ=keyless)
    assumed = json.loads(client(*assume, "--web-identity-token", id_token(key, sub="repo:example/app:ref:main")))
    assert assumed["SubjectFromWebIdentityToken"] == "repo:example/app:ref:main"
    log_in(docker, server, aws_as(*keys_of(assumed)))
    docker("push", build(name))

    refused = client.refuses(*assume, "--web-identity-token", id_token(key, sub="repo:example/fork:ref:main"))
    assert "(AccessDenied)" in refused
    assert "Not authorized to perform sts:AssumeRoleWithWebIdentity" in refused
    forged = id_token(ec.generate_private_key(ec.SECP256R1()), sub="repo:example/app:ref:main")
    assert "(InvalidIdentityToken)" in client.refuses(*assume, "--web-identity-token", forged)
