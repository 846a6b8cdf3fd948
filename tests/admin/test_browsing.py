"""The pages of repositories and images: what they show, to whom, and that nothing of it becomes markup."""

import json
import re
from html import unescape

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import build_image, call_application

POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "<b>bold</b>",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 100},
            "action": {"type": "expire"},
        }
    ]
}
HOSTILE = "</pre><script>alert(1)</script>"


def look(sim, path, host="localhost:5100"):
    return call_application(sim.app, "GET", f"http://{host}{path}")


def text_of(sim, path):
    answer = look(sim, path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    return answer.body.decode()


def link(text, name):
    """Where a link of this text leads."""
    found = re.findall(r'<a href="([^"]+)">(?:<code>)?([^<]+)', text)
    return {unescape(label): href for href, label in found}[name]


@pytest.fixture
def sim():
    with Ecrsim(socket=False, clock="frozen@2026-01-31T12:00:00Z") as sim:
        yield sim


def test_an_empty_ecrsim_says_that_there_is_nothing_yet(sim):
    assert "There is none yet." in text_of(sim, "/")


def test_from_the_list_to_a_repository_to_an_image(sim):
    sim.push("team/app", "v1", "latest")
    image = sim.push("team/app", "v2")
    sim.push("far", account="111111111111", region="eu-west-1")
    sim.client().put_lifecycle_policy(repositoryName="team/app", lifecyclePolicyText=json.dumps(POLICY))
    sim.client().tag_resource(
        resourceArn="arn:aws:ecr:us-east-1:000000000000:repository/team/app", tags=[{"Key": "team", "Value": "blue"}]
    )

    front = text_of(sim, "/")
    rows = [re.sub(r"<[^>]+>", "|", row) for row in re.findall("<tr><td.*?</tr>", front)]
    assert [re.sub(r"\|+", " ", row).split()[:4] for row in rows] == [
        ["team/app", "000000000000", "us-east-1", "2"],
        ["far", "111111111111", "eu-west-1", "1"],
    ]
    assert "2026-01-31 12:00:00" in front

    repository = text_of(sim, link(front, "team/app"))
    for fact in (
        "localhost:5100/team/app",
        "arn:aws:ecr:us-east-1:000000000000:repository/team/app",
        "MUTABLE",
        "AES256",
        "team=blue",
        "v1, latest",
        "&#34;imageCountMoreThan&#34;",
    ):
        assert fact in repository
    assert repository.index("v2") < repository.index("v1, latest")

    shown = text_of(sim, link(repository, image.digest[:19]))
    assert image.digest in shown
    assert json.loads(unescape(re.search("<pre>(.*?)</pre>", shown, re.DOTALL)[1])) == json.loads(image.manifest)
    assert link(shown, "team/app") == link(front, "team/app")


def test_names_and_texts_become_no_markup(sim):
    hostile = build_image(b"x", annotations={HOSTILE: HOSTILE}, artifactType="text/html")
    sim.push("app", "v1", image=hostile)
    ecr = sim.client()
    ecr.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=json.dumps(POLICY))
    front = text_of(sim, "/")
    repository = text_of(sim, link(front, "app"))
    image = text_of(sim, link(repository, hostile.digest[:19]))
    assert "&lt;b&gt;bold" in repository
    assert "&lt;script&gt;" in image
    for page in (front, repository, image):
        assert set(re.findall(r"<(script|b|i)\b", page)) == set()


def test_long_lists_have_pages(sim, monkeypatch):
    monkeypatch.setattr("ecrsim.admin.page._ROWS", 2)
    for number in range(5):
        sim.push("app", f"v{number}")
        sim.client().create_repository(repositoryName=f"other{number}")
    seen, path = [], "/"
    while path:
        text = text_of(sim, path)
        seen += re.findall(r'<a href="/repositories/\d+">([^<]+)', text)
        path = unescape(link(text, "more repositories")) if "more repositories" in text else None
    assert sorted(seen) == sorted(["app", *(f"other{number}" for number in range(5))])
    seen, path = [], link(text_of(sim, "/"), "app")
    while path:
        text = text_of(sim, path)
        seen += re.findall(r"<td class=\"name\">(v\d)</td>", text)
        path = unescape(link(text, "older images")) if "older images" in text else None
    assert seen == ["v4", "v3", "v2", "v1", "v0"]


@pytest.mark.parametrize(
    "path",
    [
        "/repositories/99",
        "/images/99",
        "/repositories/x",
        "/images/99999999999999999999",
        "/images/²",
        "/repositories/1/more",
    ],
)
def test_what_is_not_there_is_404(path, sim):
    answer = look(sim, path)
    assert (answer.status, answer.json().keys()) == (404, {"message"})


@pytest.mark.parametrize("path", ["/?after=x", "/?after=-1", "/?after=99999999999999999999"])
def test_a_place_that_is_none_is_refused(path, sim):
    assert look(sim, path).status == 400


@pytest.mark.parametrize(
    ("settings", "host", "words"),
    [
        ({"admin": False}, "localhost:5100", "the admin surface is closed"),
        ({"admin_token": "t"}, "localhost:5100", "the admin surface is closed"),
        ({"auth": "strict"}, "localhost:5100", "rights are checked"),
        ({}, "evil.example:5100", "is not reached by the name evil.example:5100"),
    ],
    ids=["no admin surface", "a token", "rights are checked", "a name of a stranger"],
)
def test_who_may_not_know_sees_the_first_steps_alone(settings, host, words, tmp_path):
    with Ecrsim(socket=False, data_dir=tmp_path) as sim:
        sim.push("secret-project", "v1")
    with Ecrsim(socket=False, data_dir=tmp_path, **settings) as sim:
        front = look(sim, "/", host)
        assert (front.status, words in front.body.decode()) == (200, True)
        for path in ("/", "/repositories/1", "/images/1"):
            answer = look(sim, path, host)
            assert answer.status == (200 if path == "/" else 403)
            assert "secret-project" not in answer.body.decode()
