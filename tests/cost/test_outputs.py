"""Table, JSON and page of one account, held whole; the page says what the JSON says.

After a change that is meant, make the held ones anew, beside describe-images.json of fixtures/simulator:

    ecrsim cost --images describe-images.json --images account.json --now 2026-11-01T00:00:00Z > bill.txt
        (and with --format json > bill.json)
"""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ecrsim.cost.charts import GROUPS, Bar, bars, columns
from ecrsim.cost.document import cost_document
from ecrsim.cost.page import MAX_BARS, MAX_ROWS, page
from ecrsim.cost.prices import ITEMS
from ecrsim.cost.table import NAMES, WIDTH, money, size, table
from tests.cost.holding import PRICES, facts, holder, holding, image
from tests.simulator.test_outputs import Reader, rows

FIXTURES = Path(__file__).parents[2] / "fixtures"
OPTIONS = ("--images", "describe-images.json", "--images", "account.json", "--now", "2026-11-01T00:00:00Z")


@pytest.fixture
def bill(cost, tmp_path):
    shutil.copy(FIXTURES / "simulator" / "describe-images.json", tmp_path)
    shutil.copy(FIXTURES / "cost" / "account.json", tmp_path)

    def run(*more):
        found = cost(*OPTIONS, *more)
        assert (found.status, found.err) == (0, "")
        return found.out

    return run


@pytest.fixture
def document():
    return json.loads((FIXTURES / "cost" / "bill.json").read_text("utf-8"))


def test_the_table(bill):
    found = bill()
    assert found == (FIXTURES / "cost" / "bill.txt").read_text("utf-8")
    assert max(map(len, found.splitlines())) <= WIDTH


def test_the_json(bill, document):
    assert json.loads(bill("--format", "json")) == document


def test_the_page_is_one_file_that_asks_for_nothing(bill):
    reader = Reader(bill("--format", "html"))
    names = {name for name, _ in reader.attributes}
    assert not names & {"src", "href", "srcset", "action", "onclick", "onload"}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in reader.attributes


def test_the_numbers_of_the_page_are_those_of_the_json(bill, document):
    reader = Reader(bill("--format", "html"))
    assert [(row[0], row[3]) for row in rows(reader, "Each item of the bill")] == [
        (NAMES[each["item"]], money(each["amount"])) for each in document["charges"]
    ]
    assert [(row[0], row[-1]) for row in rows(reader, "Each day")] == [
        (day["date"], money(day["amount"])) for day in document["daily"]
    ]
    assert [row[-1] for row in rows(reader, "Each repository")] == [
        money(each["amount"]) for each in document["repositories"]
    ]
    assert [row[-1] for row in rows(reader, "Storage of each tag prefix")] == [
        money(each["amount"]) for each in document["tagPrefixes"]
    ]
    assert [row[:2] for row in rows(reader, "Each resource tag")] == [
        [f"{each['key']}={each['value']}", str(each["repositories"])] for each in document["resourceTags"]
    ]
    assert [row[0] for row in rows(reader, "Proposals, which may be about the same bytes")] == [
        money(each["monthly"]) for each in document["savings"]
    ]


def test_each_chart_is_described_and_stands_beside_a_table(bill):
    text = bill("--format", "html")
    charts = [parsed(each) for each in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert len(charts) == 5
    for chart in charts:
        title, description = chart[0], chart[1]
        assert chart.attrib["role"] == "img"
        assert chart.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
        assert title.text
        assert description.text
    sections = re.findall(r"<section .*?</section>", text, re.DOTALL)
    assert [section.count("<table>") for section in sections if "<svg" in section] == [1] * 5
    identities = re.findall(r' id="([^"]+)"', text)
    assert len(identities) == len(set(identities))


def parsed(svg):
    return ElementTree.fromstring(svg)  # noqa: S314 - of ours


def test_the_columns_of_a_day_are_as_high_as_its_amounts(document):
    chart = parsed(columns(document["daily"], "USD"))
    heights = {}
    for each in chart.iter("rect"):
        date = each[0].text[:10]
        heights[date] = heights.get(date, 0) + float(each.attrib["height"])
    amounts = {day["date"]: day["amount"] for day in document["daily"] if day["amount"]}
    assert heights.keys() == amounts.keys()
    scale = max(heights.values()) / max(amounts.values())
    assert heights == {date: pytest.approx(amount * scale, abs=0.05) for date, amount in amounts.items()}


def test_the_bars_are_as_long_as_what_they_stand_for():
    chart = parsed(bars([Bar("a", 4), Bar("b", 1), Bar("c", 0)], "USD", "Cost", "x"))
    widths = [float(each.attrib["width"]) for each in chart.iter("rect")]
    assert widths[0] == pytest.approx(4 * widths[1], abs=0.5)
    assert widths[2] == 0


def test_every_item_has_a_name_and_a_colour():
    assert NAMES.keys() == ITEMS.keys()
    assert {item for members in GROUPS.values() for item in members} == ITEMS.keys() - {"transfer_in"}


def hostile(count=1):
    text = "<script>alert(1)</script>&\"'"
    found = [
        holding(image(1, f"a{number}"), holder=holder(f"app{number}{text}"), resource_tags={text: str(number)})
        for number in range(count)
    ]
    return cost_document(facts(*found), PRICES, "internet", kind="ecrsim", name=text)


def test_names_are_text_on_the_page():
    found = page(hostile())
    assert "<script>" not in found
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found
    assert Reader(found).open == []


def test_long_lists_are_cut_and_say_so():
    document = hostile(MAX_ROWS + 5)
    found = page(document)
    assert len(rows(Reader(found), "Each repository")) == MAX_ROWS
    assert f"The first {MAX_ROWS} of {MAX_ROWS + 5}; the JSON has them all." in found
    assert f"{MAX_ROWS + 5 - MAX_BARS + 1} more" in found
    assert f"{MAX_ROWS + 5 - 20} more" in table(document)


def test_a_bill_of_nothing():
    document = cost_document(facts(), PRICES, "internet", kind="ecrsim", name="all registries")
    assert (document["total"], document["charges"], document["savings"]) == (0, [], [])
    assert "nothing that is tried would save anything" in table(document)
    assert "Nothing was held or done." in page(document)
    assert Reader(page(document)).open == []


@pytest.mark.parametrize(
    ("amount", "expected"),
    [(0, "0.00"), (0.004, "0.004000"), (0.005, "0.01"), (1234.5, "1,234.50"), (0.0000004, "0.000000")],
)
def test_money(amount, expected):
    assert money(amount) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_570, "1.0 MiB"), (3 << 50, "3.0 PiB")],
)
def test_sizes(count, expected):
    assert size(count) == expected
