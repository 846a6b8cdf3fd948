"""The command line of `ecrsim cost`, with files, standard input and a running ecrsim."""

import json

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import build_image
from tests.pushing import create, push

NOW = ("--now", "2026-11-01T00:00:00Z")


def printed(*names, size=1 << 30, **members):
    details = [
        {
            "registryId": "111122223333",
            "repositoryName": name,
            "imageDigest": f"sha256:{name}",
            "imageSizeInBytes": size,
            "imagePushedAt": "2026-01-01T00:00:00+00:00",
            **members,
        }
        for name in names
    ]
    return json.dumps({"imageDetails": details}).encode()


def test_standard_input_in_the_encoding_of_a_shell(cost):
    for content in (printed("app"), printed("app").decode().encode("utf-16")):
        found = cost("--images", "-", "--format", "json", *NOW, stdin=content)
        document = json.loads(found.out)
        assert (found.status, document["source"]["name"]) == (0, "standard input")
        assert [each["region"] for each in document["repositories"]] == ["us-east-1"]


def test_several_files_and_repositories(cost, tmp_path):
    (tmp_path / "one.json").write_bytes(printed("a", "b") + printed("a"))
    found = cost("--images", "one.json", "--images", "-", "--region", "eu-west-1", "--format", "json", *NOW,
                 stdin=printed("c"))  # fmt: skip
    document = json.loads(found.out)
    assert [(each["repositoryName"], each["images"]) for each in document["repositories"]] == [
        ("a", 1),
        ("b", 1),
        ("c", 1),
    ]
    assert {each["region"] for each in document["repositories"]} == {"eu-west-1"}


def test_the_policy_of_a_repository_is_counted_with(cost):
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1},
        "action": {"type": "expire"},
    }
    policy = {"registryId": "111122223333", "repositoryName": "app"}
    policy["lifecyclePolicyText"] = json.dumps({"rules": [rule]})
    content = printed("app") + json.dumps(policy).encode()
    assert "expire images without tags" in cost("--images", "-", *NOW, stdin=printed("app")).out
    assert "expire images without tags" not in cost("--images", "-", *NOW, stdin=content).out
    broken = content.replace(b"sinceImagePushed", b"sinceever")
    found = cost("--images", "-", *NOW, stdin=broken)
    assert found.status == 1
    assert found.err.startswith("ecrsim: a lifecycle policy cannot be used: ")


def test_the_free_tier_and_prices_of_the_users_own(cost, tmp_path):
    (tmp_path / "prices.toml").write_text("[[standard]]\nprice_per_gb_month = 1\n")

    def total(*options):
        found = cost("--images", "-", "--format", "json", "--days", "10", *options, *NOW, stdin=printed("app"))
        assert found.err == ""
        return json.loads(found.out)["monthly"]["total"]

    assert total() == 0.1
    assert total("--free-tier") == pytest.approx(0.1 * (1 - 500 / 1024), abs=1e-6)
    assert total("--prices", "prices.toml") == 1


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("--now", "2026-11-01"), 2, "--now goes with --images"),
        (("--images", "-", "--days", "0"), 2, "0 is not from 1 to 366"),
        (("--images", "-", "--now", "today"), 2, "today is not a time such as"),
        (("--images", "none.json"), 1, "No such file"),
        (("--images", "-"), 1, "this is not the output of describe-images"),
        (("--port", "1"), 1, "no ecrsim answers on 127.0.0.1 port 1"),
        (("--port", "1", "--prices", "none.toml"), 1, "none.toml: [Errno 2]"),
    ],
)
def test_what_cannot_be_done_is_said(cost, arguments, status, complaint):
    found = cost(*arguments, stdin=b"{}")
    assert (found.status, found.out) == (status, "")
    assert complaint in found.err


@pytest.fixture(scope="module")
def running():
    with Ecrsim() as sim:
        sim.freeze("2026-01-31T23:59:59.999Z")
        for region in ("us-east-1", "eu-west-1"):
            create(sim.client("ecr", region=region))
            push(sim.client("ecr", region=region), "app", build_image(b"x" * 1000), "v1")
        sim.advance(days=30)
        yield sim


def asked(running, cost, *options):
    place = ("--port", running.runtime.port, "--admin-token", running.runtime.admin_token)
    found = cost(*place, *options)
    assert (found.status, found.err) == (0, "")
    return found.out


def test_a_running_ecrsim(running, cost, tmp_path):
    document = json.loads(asked(running, cost, "--format", "json"))
    assert [each["region"] for each in document["repositories"]] == ["eu-west-1", "us-east-1"]
    assert document["source"] == {"kind": "ecrsim", "name": "all registries", "isComplete": True}
    document = json.loads(asked(running, cost, "--format", "json", "--region", "eu-west-1"))
    assert [each["region"] for each in document["repositories"]] == ["eu-west-1"]
    (tmp_path / "prices.json").write_text(json.dumps({"bytes_per_gb": 1}))
    document = json.loads(asked(running, cost, "--format", "json", "--prices", "prices.json", "--days", "15"))
    assert document["monthly"]["charges"][0]["quantity"] == 2 * 1078
    assert document["days"] == 15
    assert asked(running, cost).startswith("all registries: 30 days until 2026-03-02 23:59 UTC\n")
    assert asked(running, cost, "--format", "html", "--output", "cost.html") == ""
    assert (tmp_path / "cost.html").read_text().startswith("<!doctype html>")
