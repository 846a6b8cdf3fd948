"""The command line: sources, options, exit codes, streams."""

import json

import pytest

from ecrsim.cost.price_file import PUBLISHED
from tests.simulator.building import keep, older, text_of

NOW = ("--now", "2026-11-01T00:00:00Z")


def details(*ages, **members):
    """The output of describe-images: an image v1, v2, ... pushed so many days before NOW."""
    moment = 1_793_491_200
    return json.dumps(
        {
            "imageDetails": [
                {
                    "imageDigest": f"sha256:{number:064x}",
                    "imageTags": [f"v{number}"],
                    "imagePushedAt": moment - age * 86_400,
                    "imageSizeInBytes": 1 << 30,
                    **members,
                }
                for number, age in enumerate(ages, 1)
            ]
        }
    ).encode()


@pytest.fixture
def files(tmp_path):
    (tmp_path / "images.json").write_bytes(details(9, 5, 1))
    (tmp_path / "policy.json").write_text(text_of(keep(1, 2)))
    return ("--images", "images.json", "--policy", "policy.json", *NOW)


def as_json(finished):
    assert finished.err == ""
    return json.loads(finished.out)


def test_files(simulate, files):
    found = simulate(*files, "--days", "1")
    assert (found.status, found.err) == (0, "")
    assert found.out.startswith("images.json: 1 day from 2026-11-01 00:00 UTC\n")
    assert "1:-1" in found.out


def test_images_from_standard_input(simulate, files):
    found = simulate("--images", "-", *files[2:], "--format", "json", stdin=details(9, 5, 1) + b"\n" + details(9))
    assert as_json(found)["source"]["name"] == "standard input"
    assert as_json(found)["start"]["active"]["images"] == 3


def test_a_policy_from_standard_input_as_get_lifecycle_policy_gives_it(simulate, files):
    answer = json.dumps({"registryId": "1", "lifecyclePolicyText": text_of(keep(1, 1))}).encode()
    found = as_json(simulate("--images", "images.json", "--policy", "-", *NOW, "--format", "json", stdin=answer))
    assert [each["imageTags"] for each in found["departures"] if each["day"] == 1] == [["v1"], ["v2"]]


def test_output_to_a_file(simulate, files, tmp_path):
    printed = simulate(*files, "--format", "html").out
    found = simulate(*files, "--format", "html", "--output", "page.html")
    assert found == (0, "", "")
    assert (tmp_path / "page.html").read_text("utf-8") == printed


def test_pushes_are_read_from_the_past_or_given(simulate, files):
    read = as_json(simulate(*files, "--format", "json"))["pushes"]
    assert (read["perDay"], read["basis"], read["history"]["pushes"]) == (0.3333, "history", 3)
    given = as_json(simulate(*files, "--format", "json", "--pushes-per-day", "0"))
    assert (given["pushes"]["perDay"], given["pushes"]["basis"]) == (0.0, "given")
    assert sum(day["pushed"] for day in given["days"]) == 0
    many = as_json(simulate(*files, "--format", "json", "--pushes-per-day", "2.5", "--days", "4"))
    assert [day["pushed"] for day in many["days"]] == [2, 3, 2, 3]


def test_runs_per_day(simulate, files):
    found = as_json(simulate(*files, "--format", "json", "--runs-per-day", "4", "--pushes-per-day", "1", "--days", "3"))
    assert found["runsPerDay"] == 4
    assert [each["at"] for each in found["departures"]] == [
        "2026-11-01T00:00:00.000Z",
        "2026-11-02T00:00:00.000Z",
        "2026-11-03T00:00:00.000Z",
    ]


def test_prices_of_the_users_own(simulate, files, tmp_path):
    text = PUBLISHED.read_text("utf-8").replace("price_per_gb_month = 0.10", "price_per_gb_month = 30.4167")
    (tmp_path / "prices.toml").write_text(text)
    options = ("--format", "json", "--days", "1", "--pushes-per-day", "0", "--prices", "prices.toml")
    found = as_json(simulate(*files, *options))
    # 2 GB that stay, of 3.
    assert (found["days"][0]["cost"], found["days"][0]["costWithoutPolicy"]) == (2.0, 3.0)


def test_a_forecast_ends_with_3_when_it_is_asked_to_and_there_is_a_danger(simulate, files, tmp_path):
    assert simulate(*files, "--fail-on-warnings").status == 0
    (tmp_path / "policy.json").write_text(text_of(older(1, 1)))
    options = (*files, "--days", "5", "--pushes-per-day", "0")
    assert simulate(*options).status == 0
    found = simulate(*options, "--fail-on-warnings")
    assert found.status == 3
    assert "DANGER: the run of day 2 leaves no image in the repository" in found.out


def test_an_empty_repository(simulate, files, tmp_path):
    (tmp_path / "images.json").write_bytes(b'{"imageDetails": []}')
    for kind in ("table", "json", "html"):
        found = simulate(*files, "--format", kind)
        assert (found.status, found.err) == (0, "")
        assert "there is no image: nothing can be forecast" in found.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "one source is needed: --repository NAME, --images FILE, or --live --repository NAME"),
        (("--live",), "one source is needed"),
        (("--images", "a", "--repository", "b"), "--images is a source of its own"),
        (("--images", "a", "--live"), "--images is a source of its own"),
        (("--images", "a"), "--images needs --policy"),
        (("--images", "-", "--policy", "-"), "--images and --policy cannot both be standard input"),
        (("--repository", "a", "--profile", "b"), "--profile and --endpoint-url go with --live"),
        (("--repository", "a", "--days", "0"), "argument --days: 0 is not from 1 to 3660"),
        (("--repository", "a", "--pushes-per-day", "-1"), "argument --pushes-per-day"),
        (("--repository", "a", "--pushes-per-day", "many"), "many is not a number of pushes"),
        (("--repository", "a", "--now", "soon"), "soon is not a time such as 2026-01-31T12:00:00Z"),
        (("--repository", "a", "--runs-per-day", "25"), "25 is not from 1 to 24"),
        (("--repository", "a", "--format", "pdf"), "invalid choice: 'pdf'"),
    ],
)
def test_a_command_line_that_is_wrong(simulate, arguments, complaint):
    found = simulate(*arguments)
    assert (found.status, found.out) == (2, "")
    assert complaint in found.err


@pytest.mark.parametrize(
    ("name", "content", "options", "complaint"),
    [
        ("images.json", b"{", (), "this is not JSON: line 1"),
        ("images.json", b'{"images": []}', (), "this is not the output of describe-images"),
        ("policy.json", b"{", (), "the policy cannot be used: Invalid parameter at 'LifecyclePolicyText'"),
        ("policy.json", b'{"rules": []}', (), "the policy cannot be used: "),
        ("prices.toml", b"x", ("--prices", "prices.toml"), "prices.toml: "),
        ("x", b"", ("--prices", "none.toml"), "none.toml: [Errno 2] No such file"),
        ("x", b"", ("--explain", "v9"), "no image has the digest or tag v9"),
        ("x", b"", ("--output", "none/page.html"), "[Errno 2] No such file"),
        ("x", b"", ("--pushes-per-day", "99999999"), "99999999 pushes a day for 90 days are more than 1000000"),
    ],
)
def test_what_cannot_be_done_is_said_on_standard_error(simulate, files, tmp_path, name, content, options, complaint):
    (tmp_path / name).write_bytes(content)
    found = simulate(*files, *options)
    assert (found.status, found.out) == (1, "")
    assert found.err.startswith(f"ecrsim: {complaint}")
    assert found.err.count("\n") == 1 or "LifecyclePolicyText" in found.err


def test_a_file_that_is_not_there(simulate):
    found = simulate("--images", "none.json", "--policy", "none.json")
    assert (found.status, found.out) == (1, "")
    assert "No such file or directory: 'none.json'" in found.err
