"""Table, JSON and page of one repository, held whole; the page says what the JSON says.

After a change that is meant, make the held ones anew in fixtures/simulator:

    ecrsim lifecycle simulate --images describe-images.json --policy policy.json --now 2026-11-01T00:00:00Z \\
        --days 45 > forecast.txt        (and with --format json > forecast.json)
"""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ecrsim.simulator.page import MAX_LISTED, page
from ecrsim.simulator.table import WIDTH, action_sentence, days_of, size, story, table
from ecrsim.simulator.timeline import tick_step, timeline

FIXTURES = Path(__file__).parents[2] / "fixtures" / "simulator"
OPTIONS = (
    *("--images", "describe-images.json", "--policy", "policy.json"),
    *("--now", "2026-11-01T00:00:00Z", "--days", "45"),
)
VOID = {"meta"}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def forecast(simulate, tmp_path):
    for name in ("describe-images.json", "policy.json"):
        shutil.copy(FIXTURES / name, tmp_path)

    def run(*more):
        found = simulate(*OPTIONS, *more)
        assert (found.status, found.err) == (0, "")
        return found.out

    return run


@pytest.fixture
def document():
    return json.loads((FIXTURES / "forecast.json").read_text("utf-8"))


class Reader(HTMLParser):
    """Refuses tags that do not match; keeps the cells of each table by its caption, and all attributes."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.attributes, self.text = [], {}, [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.tables[self.caption].append([])
        if tag in ("td", "th"):
            self.tables[self.caption][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if "caption" in self.open:
            self.caption = data
            self.tables[data] = []
        elif {"td", "th"} & set(self.open):
            self.tables[self.caption][-1][-1] += data


def rows(reader, caption):
    return reader.tables[caption][1:]


def test_the_table(forecast):
    found = forecast()
    assert found == (FIXTURES / "forecast.txt").read_text("utf-8")
    assert max(map(len, found.splitlines())) <= WIDTH


def test_the_json(forecast, document):
    assert json.loads(forecast("--format", "json")) == document


def test_the_page_is_one_file_that_asks_for_nothing(forecast):
    reader = Reader(forecast("--format", "html"))
    names = {name for name, _ in reader.attributes}
    assert not names & {"src", "href", "srcset", "action", "onclick", "onload"}
    assert "script" not in reader.text
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in reader.attributes


def test_the_numbers_of_the_page_are_those_of_the_json(forecast, document):
    reader = Reader(forecast("--format", "html"))
    caption = "The repository at the end of each day on which something happens, and of the last"
    assert rows(reader, caption) == [
        [
            str(day["day"]),
            day["at"][:10],
            str(day["pushed"]),
            str(day["active"]["images"]),
            size(day["active"]["bytes"]),
            str(day["archived"]["images"]),
            size(day["archived"]["bytes"]),
            f"{day['cost']:.2f}",
            f"{day['costWithoutPolicy']:.2f}",
            "; ".join(map(action_sentence, day["actions"])),
        ]
        for day in document["days"]
        if day["pushed"] or day["actions"] or day is document["days"][-1]
    ]
    found = rows(reader, "Rules in the order in which they claim images")
    assert [[row[0], *row[2:]] for row in found] == [
        [
            str(rule["rulePriority"]),
            str(rule["matchingNow"]),
            str(rule["expiredImages"]),
            str(rule["archivedImages"]),
            size(rule["bytes"]),
            days_of(rule),
        ]
        for rule in document["rules"]
    ]
    first = [each for each in document["departures"] if each["day"] == 1]
    listed = rows(reader, "Images that go in the first run")
    assert [(row[0], row[5]) for row in listed] == [(each["imageDigest"][:19], each["reason"]) for each in first]
    text = "".join(reader.text)
    for hint in document["warnings"]:
        assert hint["message"] in text


def test_the_json_adds_up(document):
    """Independently of what printed it."""
    days, totals, start = document["days"], document["totals"], document["start"]
    stock = start["active"]["images"] + start["archived"]["images"]
    archived = start["archived"]["images"]
    for day in days:
        expired = sum(action["images"] for action in day["actions"] if action["action"] == "EXPIRE")
        from_archive = sum(action["images"] for action in day["actions"] if action["rulePriority"] == 7)
        stock += day["pushed"] - expired
        archived += (
            sum(action["images"] for action in day["actions"] if action["action"] == "TRANSITION") - from_archive
        )
        assert (day["active"]["images"] + day["archived"]["images"], day["archived"]["images"]) == (stock, archived)
    assert totals["saved"] == pytest.approx(sum(day["costWithoutPolicy"] - day["cost"] for day in days), abs=1e-4)
    kinds = [each["action"] for each in document["departures"]]
    assert (kinds.count("EXPIRE"), kinds.count("TRANSITION")) == (totals["expiredImages"], totals["archivedImages"])
    last = days[-1]
    assert totals["bytesFreed"] == last["withoutPolicy"]["bytes"] - last["active"]["bytes"] - last["archived"]["bytes"]


def test_the_timeline_has_a_mark_for_each_day_on_which_rules_act(document):
    svg = timeline(document)
    root = ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))  # noqa: S314
    marks = root.findall(f"{SVG}circle")
    busy = [day for day in document["days"] if day["actions"]]
    assert [mark.find(f"{SVG}title").text.partition(":")[0] for mark in marks] == [f"day {day['day']}" for day in busy]
    assert root.find(f"{SVG}title").text == "describe-images.json over 45 days"
    active = document["days"][-1]["active"]
    assert f"{active['images']} images of {size(active['bytes'])} are active" in root.find(f"{SVG}desc").text
    assert {path.get("class") for path in root.findall(f"{SVG}path")} == {"active", "archived", "without"}


def test_heights_of_the_timeline_are_in_proportion(document):
    """The level of active bytes of the last day, read from the path, against that of the first."""
    path = re.search(r'<path class="active" d="M([^Z]*) Z"', timeline(document))[1]
    points = [tuple(map(float, point.split(","))) for point in path.split(" L")]
    days = document["days"]
    upper, lower = points[: 2 * len(days)], points[2 * len(days) :]
    bottom = lower[0][1]
    assert {y for _, y in lower} == {bottom}
    first, last = bottom - upper[0][1], bottom - upper[-1][1]
    assert first / last == pytest.approx(days[0]["active"]["bytes"] / days[-1]["active"]["bytes"], rel=0.01)


@pytest.mark.parametrize(
    ("largest", "base", "expected"),
    [
        (1, 1000, 1),
        (5, 1000, 1),
        (6, 1000, 2),
        (48, 1000, 10),
        (999, 1000, 200),
        (5000, 1000, 1000),
        (1 << 30, 1024, 500 << 20),
        (6 << 30, 1024, 2 << 30),
    ],
)
def test_ticks_are_round(largest, base, expected):
    assert tick_step(largest, base) == expected


def test_names_from_elsewhere_are_text(document):
    evil = '<script>alert("x")</script>&'
    document["source"]["name"] = evil
    document["departures"][0]["imageTags"] = [evil]
    document["departures"][0]["reason"] = evil
    document["warnings"][0]["message"] = evil
    document["rules"][0]["description"] = evil
    reader = Reader(page(document))
    assert "".join(reader.text).count(evil) >= 5
    assert "<script" not in page(document)


def test_a_long_first_run_is_cut_on_the_page(document):
    document["departures"] = [document["departures"][0]] * (MAX_LISTED + 50)
    reader = Reader(page(document))
    assert len(rows(reader, "Images that go in the first run")) == MAX_LISTED
    assert f"The first {MAX_LISTED} of {MAX_LISTED + 50} images" in "".join(reader.text)


def test_what_follows_its_subject_is_in_both(document):
    document["followers"] = {"expiredImages": 2, "archivedImages": 1, "bytes": 5, "firstDay": 3, "lastDay": 9}
    document["days"][2]["actions"] = [{"rulePriority": None, "action": "EXPIRE", "images": 2, "bytes": 5}]
    assert "what follows its subject" in table(document)
    assert "subject:-2" in table(document)
    assert rows(Reader(page(document)), "Rules in the order in which they claim images")[-1][0] == "-"


def test_the_story_of_an_image(forecast, document):
    digest = next(each["imageDigest"] for each in document["departures"] if each["imageTags"] == ["prod-3"])
    by_tag = forecast("--explain", "prod-3")
    assert by_tag == forecast("--explain", digest)
    assert (
        by_tag
        == f"""{digest}
  prod-3; pushed 2026-10-12 09:00 UTC

now:
  Rule 1 does not match it: it is for images without a tag, and it has prod-3.
  Rule 2 does not match it: it asks for a tag like dev-*, and it has prod-3.
  Rule 3 keeps it: pushed 19 days 15 hours ago, and it acts after more than 21 days.
  Rule 4 does not match it: it asks for a tag like prod-1*, and it has prod-3.
  Rule 5 does not match it: it asks for a tag like test-*, and it has prod-3.
  Rule 6 leaves it to rule 3, which matches it and comes first.
  Rule 7 does not look at it: it is for archived images.

within 45 days:
  Day 3: Rule 3 archives it: pushed 21 days 15 hours ago, which is more than 21 days.
  It stays.
"""
    )


def test_the_story_is_on_the_page_too(forecast):
    reader = Reader(forecast("--format", "html", "--explain", "latest"))
    found = json.loads(forecast("--format", "json", "--explain", "latest"))["explanation"]
    text = "".join(reader.text)
    for sentence in found["now"]:
        assert sentence in text
    told = story({"explanation": found, "days": [None]})
    assert told.count("Day ") == len(found["departures"]) == 1
    assert found["stays"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (1 << 60, "1024.0 PiB")],
)
def test_sizes(count, text):
    assert size(count) == text
