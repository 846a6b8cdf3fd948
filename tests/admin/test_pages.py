"""Health, reset, and the page for a browser."""

import re
import socket

import pytest

from ecrsim import Ecrsim, __version__
from ecrsim.contract.models import service
from ecrsim.contract.operations import missing
from ecrsim.testing import call_application


def test_health_tells_what_runs_here(ask):
    answer = ask("GET", "/_ecrsim/health", account="123456789012", region="eu-west-1")
    assert answer.headers["Content-Type"] == "application/json"
    found = answer.json()
    for node in found["nodes"]:
        # Of a database that machines share, also when.
        node.pop("seenAt", None), node.pop("startedAt", None)
    assert found == {
        "status": "ok",
        "version": __version__,
        "account": "123456789012",
        "region": "eu-west-1",
        # Nothing was read yet, and nothing is known to be wrong.
        "layers": {"checkedAt": None, "missing": 0, "damaged": 0},
        "nodes": [{"name": f"{socket.gethostname()}:5100", "version": __version__, "workers": 1, "status": "up"}],
        "notImplemented": {name: len(missing(name)) for name in ("ecr", "ecr-public")},
    }


def test_reset_forgets_repositories_of_every_account_and_leaves_logins():
    with Ecrsim(socket=False) as sim:
        clients = [sim.client(), sim.client(account="111111111111", region="eu-west-1")]
        for ecr in clients:
            ecr.create_repository(repositoryName="app")
        token = clients[0].get_authorization_token()["authorizationData"][0]["authorizationToken"]
        answer = call_application(sim.app, "POST", f"{sim.endpoint_url}/_ecrsim/reset")
        assert (answer.status, answer.json()) == (200, {"status": "ok"})
        assert [ecr.describe_repositories()["repositories"] for ecr in clients] == [[], []]
        login = call_application(sim.app, "GET", f"{sim.endpoint_url}/v2/", {"Authorization": f"Basic {token}"})
        assert login.status == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/_ecrsim/reset", 405, {"POST", "OPTIONS"}),
        ("POST", "/_ecrsim/health", 405, {"GET", "HEAD", "OPTIONS"}),
        ("PUT", "/", 405, {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/_ecrsim/", 404, None),
        ("GET", "/_ecrsim", 404, None),
        ("GET", "/_ecrsim/nothing", 404, None),
        ("GET", "/favicon.ico", 404, None),
    ],
)
def test_a_wrong_path_or_method_is_refused_as_json(method, path, status, allowed, ask):
    answer = ask(method, path)
    assert answer.status == status
    assert answer.json().keys() == {"message"}
    assert (set(answer.headers["Allow"].split(", ")) if allowed else None) == allowed


def page(ask, host="localhost:5100", **settings):
    answer = ask("GET", "/", host=host, **settings)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    return answer.body.decode()


def commands(text):
    return [line for block in re.findall("<pre>(.*?)</pre>", text, re.DOTALL) for line in block.splitlines()]


def test_the_page_says_what_this_is_and_how_to_log_in(ask):
    text = page(ask, account="123456789012", region="eu-west-1")
    counts = {name: len(service(name).operations) for name in ("ecr", "ecr-public")}
    built = sum(counts.values()) - sum(len(missing(name)) for name in counts)
    assert f"version {__version__} · account 123456789012 · region eu-west-1 · {built} of 85 operations" in text
    lines = commands(text)
    assert "export AWS_ENDPOINT_URL_ECR=http://localhost:5100 AWS_ENDPOINT_URL_STS=http://localhost:5100" in lines
    assert "export AWS_DEFAULT_REGION=eu-west-1" in lines
    assert "aws ecr get-login-password | docker login --username AWS --password-stdin localhost:5100" in lines
    assert "docker push localhost:5100/app:v1" in lines


def test_the_page_names_the_address_that_was_opened(ask):
    """A container's port may be published as another one."""
    lines = commands(page(ask, host="127.0.0.1:8080"))
    assert "export AWS_ENDPOINT_URL_ECR=http://127.0.0.1:8080 AWS_ENDPOINT_URL_STS=http://127.0.0.1:8080" in lines
    assert "docker push 127.0.0.1:8080/app:v1" in lines


@pytest.mark.parametrize(
    ("style", "registry"),
    [
        ("domain", "000000000000.dkr.ecr.us-east-1.localhost:5100"),
        ("aws", "000000000000.dkr.ecr.us-east-1.amazonaws.com:5100"),
        ("registry.test:8080", "registry.test:8080"),
    ],
)
def test_the_page_names_the_registry_as_it_is_set(style, registry, ask):
    lines = commands(page(ask, registry_host=style))
    assert f"docker push {registry}/app:v1" in lines
    assert f"aws ecr get-login-password | docker login --username AWS --password-stdin {registry}" in lines


def test_the_page_takes_no_markup_from_a_host(ask):
    answer = ask("GET", "/", {"Host": '<script>alert("1")</script>'})
    assert "<script>" not in answer.body.decode()
