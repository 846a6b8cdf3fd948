"""What storage costs, worked out by hand."""

import pytest

from ecrsim.simulator.prices import PUBLISHED, Prices, PricesError, Tier, load_prices
from tests.simulator.building import GB

PRICES = Prices(
    as_of="2026-01-01",
    currency="USD",
    region="",
    days_per_month=30,
    bytes_per_gb=GB,
    standard=(Tier(None, 0.10, "documented"),),
    archive=(Tier(100, 0.10, "recorded"), Tier(200, 0.05, "recorded"), Tier(None, 0.01, "recorded")),
    retrieval_per_gb=0.03,
    archive_minimum_days=90,
)


@pytest.mark.parametrize(
    ("active", "archived", "a_month"),
    [
        (0, 0, 0),
        (10, 0, 1.00),
        (0, 50, 5.00),
        (0, 100, 10.00),
        (0, 150, 10 + 2.5),
        (0, 300, 10 + 5 + 1),
        (1000, 150, 100 + 12.5),
    ],
)
def test_a_day_costs_the_thirtieth_part_of_its_month(active, archived, a_month):
    assert PRICES.of_a_day(active * GB, archived * GB) == pytest.approx(a_month / 30)


def test_the_archive_is_cheaper_only_above_its_first_tier():
    assert [PRICES.is_archive_cheaper(size * GB) for size in (0, 50, 100, 101)] == [False, False, False, True]


def test_the_published_table():
    """Held so that a change of a price is seen; where each is from stands in the table."""
    found = load_prices()
    assert found.as_of == "2026-03-22"
    assert found.standard == (Tier(None, 0.10, "documented"),)
    assert found.archive == (Tier(153_600, 0.10, "recorded"), Tier(None, 0.07, "recorded"))
    assert (found.retrieval_per_gb, found.archive_minimum_days) == (0.03, 90)
    # 1 TiB in the standard class for 30.4167 days, which is a month.
    assert found.of_a_day(1024 * GB, 0) * 30.4167 == pytest.approx(102.40)
    assert not found.is_archive_cheaper(150 * 1024 * GB)
    assert found.is_archive_cheaper(151 * 1024 * GB)


def changed(tmp_path, old, new):
    text = PUBLISHED.read_text("utf-8")
    assert old in text
    path = tmp_path / "prices.toml"
    path.write_text(text.replace(old, new), "utf-8")
    return path


def test_a_table_of_the_users_own(tmp_path):
    found = load_prices(changed(tmp_path, 'currency = "USD"', 'currency = "EUR"'))
    assert found == load_prices()._replace(currency="EUR")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('as_of = "2026-03-22"', "", "as_of is missing"),
        ("[[standard]]", "[[other]]", "standard is missing"),
        ("up_to_gb = 153600", "", "archive is a list of tiers whose up_to_gb ascends, and the last of which has none"),
        ("bytes_per_gb = 1073741824", "bytes_per_gb = 0", "bytes_per_gb is to be more than 0"),
        ("price_per_gb_month = 0.07", 'price_per_gb_month = "low"', "could not convert string to float: 'low'"),
        ("price_per_gb_month = 0.07", "price_per_gb_month = -1", "a price of archive is below 0"),
        ("[[archive]]", "[archive]", "Cannot declare ('archive',) twice"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path, old, new, complaint):
    path = changed(tmp_path, old, new)
    with pytest.raises(PricesError) as caught:
        load_prices(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(PricesError, match="No such file"):
        load_prices(tmp_path / "none.toml")
