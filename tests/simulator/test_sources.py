"""A repository of a running ecrsim, and one that boto3 reaches as it reaches ECR."""

import json

import pytest

from ecrsim import Ecrsim
from ecrsim.core.clock import iso, parse_iso
from ecrsim.ecr.lifecycle.state import images_of
from ecrsim.simulator import sources
from ecrsim.testing import call_application
from tests.pushing import artifact_of, create, index_of, numbered, push
from tests.simulator.building import keep, older, text_of


@pytest.fixture(scope="module")
def served():
    with Ecrsim() as sim:
        yield sim


@pytest.fixture
def ecr(served):
    served.reset()
    return served.client("ecr")


@pytest.fixture
def app(served, ecr):
    """Two images under an index, an artifact about the index, and three tagged images a day apart."""
    create(ecr)
    children = [numbered(number) for number in (1, 2)]
    index = index_of(*children)
    for child in children:
        push(ecr, "app", child)
    push(ecr, "app", index, "multi")
    push(ecr, "app", artifact_of(index))
    for number in (3, 4, 5):
        served.advance(days=1)
        push(ecr, "app", numbered(number), f"v{number}")
    return ecr


def here(served):
    return ("--port", served.runtime.port)


def as_json(finished):
    assert (finished.status, finished.err) == (0, "")
    return json.loads(finished.out)


def test_a_running_ecrsim_its_clock_and_its_policy(simulate, served, app):
    app.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=text_of(keep(1, 2, "v*"), older(2, 2)))
    found = as_json(simulate("--repository", "app", *here(served), "--format", "json", "--pushes-per-day", "0"))
    assert found["source"] == {"kind": "ecrsim", "name": "app", "areReferencesKnown": True}
    assert abs(parse_iso(found["from"]) - served.runtime.clock.now()) < 60_000
    first = [(each["imageTags"], each["rulePriority"]) for each in found["departures"] if each["day"] == 1]
    # What the index lists and what refers to it stay until it is gone.
    assert first == [(["v3"], 1), (["multi"], 2)]
    second = [(each["day"], each["imageTags"], each["rulePriority"]) for each in found["departures"][2:]]
    assert sorted(second) == [(2, [], 2), (2, [], 2), (2, [], 2)]
    assert app.describe_images(repositoryName="app")["imageDetails"]


def test_the_first_day_is_what_ecrsim_itself_previews(simulate, served, app):
    text = text_of(keep(1, 1, "v*"), older(2, 2))
    found = as_json(
        simulate("--repository", "app", *here(served), "--format", "json", "--policy", "-", stdin=text.encode())
    )
    app.start_lifecycle_policy_preview(repositoryName="app", lifecyclePolicyText=text)
    served.advance(seconds=120)
    preview = app.get_lifecycle_policy_preview(repositoryName="app")
    assert preview["status"] == "COMPLETE"
    first = [(each["imageDigest"], each["rulePriority"]) for each in found["departures"] if each["day"] == 1]
    previewed = [(each["imageDigest"], each["appliedRulePriority"]) for each in preview["previewResults"]]
    assert sorted(first) == sorted(previewed)
    assert len(first) == 3


def test_the_story_of_an_image_of_a_running_ecrsim(simulate, served, app):
    app.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=text_of(keep(1, 2, "v*")))
    found = simulate("--repository", "app", *here(served), "--explain", "v5", "--pushes-per-day", "0")
    assert found.status == 0
    assert "Rule 1 keeps it: it is number 1 of the newest 2, of 3 that match" in found.out
    assert "It stays." in found.out


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_images_have_each_of_them_once(served, app, limit):
    found, after = [], 0
    while after is not None:
        path = f"/_ecrsim/lifecycle/images?repository=app&after={after}&limit={limit}"
        answer = call_application(served.app, "GET", f"http://localhost{path}").json()
        assert len(answer["images"]) <= limit
        found += answer["images"]
        after = answer["next"]
    with served.runtime.database.read() as connection:
        number = connection.exec_driver_sql("SELECT id FROM repositories").scalar()
        expected = images_of(connection, number)
    assert [sources._image(each) for each in found] == expected
    assert len(found) == 7


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("", 400, "repository is the name of a repository"),
        ("repository=app&after=x", 400, "after is a whole number"),
        ("repository=none", 400, "The repository with name 'none' does not exist"),
        ("repository=app&registryId=111111111111", 400, "in the registry with id '111111111111'"),
        ("repository=app&region=eu-west-1", 400, "The repository with name 'app' does not exist"),
    ],
)
def test_what_has_no_images(served, app, query, status, message):
    answer = call_application(served.app, "GET", f"http://localhost/_ecrsim/lifecycle/images?{query}")
    assert answer.status == status
    assert message in answer.json()["message"]


def test_without_a_policy_there_is_nothing_to_simulate(simulate, served, app):
    found = simulate("--repository", "app", *here(served))
    assert (found.status, found.out) == (1, "")
    assert found.err == "ecrsim: app has no lifecycle policy: give one with --policy\n"


def test_a_repository_that_is_not_there(simulate, served, app):
    found = simulate("--repository", "none", *here(served))
    assert (found.status, found.out) == (1, "")
    assert "The repository with name 'none' does not exist" in found.err


def test_an_ecrsim_that_is_not_there(simulate):
    found = simulate("--repository", "app", "--port", "1")
    assert (found.status, found.out) == (1, "")
    assert "no ecrsim answers on 127.0.0.1 port 1" in found.err


@pytest.fixture
def own_credentials(monkeypatch, tmp_path):
    """Keys in the environment, a profile in the configuration."""
    (tmp_path / "config").write_text("[profile other]\nregion = eu-west-1\n")
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = 222222222222\naws_secret_access_key = x\n")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR"):
        monkeypatch.delenv(name, raising=False)


def operations(served):
    """The operations that the last calls asked for, from the audit, which is of API calls alone."""
    answer = call_application(served.app, "GET", "http://localhost/_ecrsim/audit?limit=1000").json()
    return [record["action"] for record in answer["records"]]


def test_a_live_repository_is_read_and_nothing_else(simulate, served, app, own_credentials):
    app.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=text_of(keep(1, 2, "v*")))
    app.update_image_storage_class(repositoryName="app", imageId={"imageTag": "v3"}, targetStorageClass="ARCHIVE")
    before = len(operations(served))
    place = ("--live", "--repository", "app", "--endpoint-url", served.endpoint_url)
    now = iso(served.runtime.clock.now())
    found = as_json(simulate(*place, "--format", "json", "--now", now, "--pushes-per-day", "0"))
    assert found["source"] == {"kind": "ecr", "name": "app", "areReferencesKnown": False}
    assert (found["start"]["active"]["images"], found["start"]["archived"]["images"]) == (6, 1)
    assert found["departures"] == []
    assert "index-children-unknown" in [hint["kind"] for hint in found["warnings"]]
    assert operations(served)[before:] == ["ecr:GetLifecyclePolicy", "ecr:DescribeImages"]
    before += 2
    simulate(*place, "--policy", "-", stdin=text_of(keep(1, 1)).encode())
    assert operations(served)[before:] == ["ecr:DescribeImages"]


def test_pages_of_a_live_repository(simulate, served, own_credentials, monkeypatch):
    calls = []

    def call(_neighbour, operation, **parameters):
        calls.append((operation, parameters.get("nextToken")))
        page = 1 + int(parameters.get("nextToken") or 0)
        detail = {"imageDigest": f"sha256:{page}", "imagePushedAt": 1_700_000_000 + page}
        return {"imageDetails": [detail], "nextToken": str(page) if page < 3 else None}

    monkeypatch.setattr(sources.Neighbour, "call", call)
    found = simulate(
        "--live", "--repository", "app", "--policy", "-", "--format", "json", stdin=text_of(keep(1, 1)).encode()
    )
    assert as_json(found)["start"]["active"]["images"] == 3
    assert calls == [("describe_images", None), ("describe_images", "1"), ("describe_images", "2")]


def test_a_profile_says_who_asks_and_where(simulate, served, app, own_credentials, monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION")  # which comes before the region of a profile
    other = served.client("ecr", account="222222222222", region="eu-west-1")
    create(other, "theirs")
    place = ("--repository", "theirs", "--endpoint-url", served.endpoint_url, "--policy", "-")
    policy = text_of(keep(1, 1)).encode()
    found = simulate("--live", "--profile", "other", *place, stdin=policy)
    assert (found.status, found.err) == (0, "")
    refused = simulate("--live", "--region", "us-east-1", *place, stdin=policy)
    assert refused.status == 1
    assert refused.err.startswith("ecrsim: RepositoryNotFoundException: The repository with name 'theirs'")
    unknown = simulate("--live", "--profile", "none", *place, stdin=policy)
    assert unknown.status == 1
    assert "The config profile (none) could not be found" in unknown.err


def test_a_live_repository_without_a_policy(simulate, served, app, own_credentials):
    found = simulate("--live", "--repository", "app", "--endpoint-url", served.endpoint_url)
    assert (found.status, found.err) == (1, "ecrsim: app has no lifecycle policy: give one with --policy\n")


def test_nothing_listens(simulate, own_credentials):
    place = ("--endpoint-url", "http://127.0.0.1:1", "--region", "us-east-1")
    found = simulate("--live", "--repository", "app", *place)
    assert found.status == 1
    assert "http://127.0.0.1:1" in found.err
