"""docs/access.md, played: its principals, its policy and its sentences."""

import json

import pytest

from ecrsim import Ecrsim, cli
from tests.answers import refusal
from tests.documents.markdown import ROOT, blocks
from tests.principals import admin, client_of_session, registry, signed_client, token_of

PAGE = (ROOT / "docs/access.md").read_text("utf-8")
ROLE = "arn:aws:iam::000000000000:role/pusher"


def the_block(language):
    [block] = [block for block in blocks(language) if block.document == "docs/access.md"]
    return block.text


@pytest.fixture
def sim(tmp_path, monkeypatch):
    # Where the commands find the token of the admin surface, as they do where `ecrsim serve` was started.
    monkeypatch.setenv("ECRSIM_DATA_DIR", str(tmp_path / "data"))
    file = tmp_path / "principals.toml"
    file.write_text(the_block("toml"))
    with Ecrsim(principals=str(file), auth="strict", data_dir=str(tmp_path / "data")) as running:
        running.client().create_repository(repositoryName="app")
        yield running


def pusher(sim):
    sts = signed_client(sim, "sts", "AKIACI", "ci-secret")
    return client_of_session(sim, sts.assume_role(RoleArn=ROLE, RoleSessionName="build-7"))


def test_the_role_takes_ten_lines():
    assert len([line for line in the_block("toml").splitlines() if line]) <= 10


def test_the_role_pushes_and_is_denied_in_these_words(sim):
    session = pusher(sim)
    assert registry(sim, token_of(session), "POST", "/v2/app/blobs/uploads/").status == 202
    said = refusal(session.create_repository, repositoryName="other").message
    assert said in " ".join(PAGE.split())


def test_another_account_pulls_by_the_policy(sim):
    other = token_of(sim.client(account="111111111111"))
    path = "/v2/000000000000/us-east-1/app/manifests/v1"
    denied = registry(sim, other, "GET", path)
    assert denied.status == 403
    assert "because no resource-based policy allows the ecr:BatchGetImage action" in PAGE
    assert denied.json()["errors"][0]["message"].endswith(
        "because no resource-based policy allows the ecr:BatchGetImage action"
    )
    sim.client().set_repository_policy(repositoryName="app", policyText=the_block("json"))
    assert registry(sim, other, "GET", path).status == 404  # allowed; there is no such image yet


def test_explain_prints_what_the_page_shows(sim, capsys):
    words = ["--action", "ecr:BatchDeleteImage", "--resource", "arn:aws:ecr:us-east-1:000000000000:repository/app"]
    assert cli.main(["explain", "--principal", ROLE, *words, "--port", str(sim.runtime.port)]) == 3
    shown = PAGE.partition("would have allowed it:\n\n```\n")[2].partition("```")[0].splitlines()
    for line, expected in zip(capsys.readouterr().out.splitlines(), shown, strict=True):
        assert line.startswith(expected.removesuffix("…"))


def test_the_minimal_policy_of_the_role(sim, capsys):
    session = pusher(sim)
    session.list_images(repositoryName="app")
    words = ["policy", "minimal", "--principal", ROLE, "--since", "2h", "--port", str(sim.runtime.port)]
    assert cli.main(words) == 0
    assert json.loads(capsys.readouterr().out)["Statement"][0]["Action"] == "ecr:ListImages"
    assert admin(sim, "GET", "audit").json()["records"][-1]["action"] == "ecr:ListImages"
