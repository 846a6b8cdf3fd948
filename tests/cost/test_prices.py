"""What storage costs, worked out by hand."""

import pytest

from ecrsim.cost.price_file import PUBLISHED, PricesError, load_prices
from ecrsim.cost.prices import ITEMS, Prices, Tier
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
    ("content", "complaint"),
    [
        ("[[other]]", "there is no price other"),
        ("[signatur]\nprice = 1", "there is no price signatur; the nearest is signature"),
        ("[signature]\ncost = 1", "there is no member of signature cost"),
        ("[signature]\nprovenance = 'given'", "price is missing"),
        ("[signature]\nprice = inf", "a price of signature is not from 0 to 1e+15"),
        ("signature = 1", "signature is a table with its price"),
        (
            "[[archive]]\nprice_per_gb_month = 1\n[[archive]]\nprice_per_gb_month = 1",
            "archive is a list of tiers whose up_to_gb ascends, and the last of which has none",
        ),
        (
            "[transfer_internet]\ntiers = [{up_to = 1, price = 1}]",
            "transfer_internet is a list of tiers whose up_to ascends, and the last of which has none",
        ),
        ("bytes_per_gb = 0", "bytes_per_gb is to be more than 0"),
        ("[[standard]]\nprice_per_gb_month = 'low'", "could not convert string to float: 'low'"),
        ("[[archive]]\nprice_per_gb_month = -1", "a price of archive is not from 0 to 1e+15"),
        ("[[archive]]\nprice_per_gb_month = nan", "a price of archive is not from 0 to 1e+15"),
        ("bytes_per_gb = inf", "bytes_per_gb is not from 0 to 1e+15"),
        ("bytes_per_gb = 1e-300", "bytes_per_gb is to be more than 0"),
        ("days_per_month = nan", "days_per_month is not from 0 to 1e+15"),
        (f"[signature]\nprice = 1{'0' * 400}", "a price of signature is not from 0 to 1e+15"),
        ("[signature]\nprice = 1\nper = nan", "per of signature is not from 0 to 1e+15"),
        ("[signature]\nprice = 1\nper = 0", "per of signature is to be more than 0"),
        ("[signature]\nprice = 1\nfree = -1", "free of signature is not from 0 to 1e+15"),
        ("[archive_minimum]\ndays = -1", "days of archive_minimum is not from 0 to 1e+15"),
        ("[free_tier]\nstandard_gb_month = -1", "standard_gb_month of free_tier is not from 0 to 1e+15"),
        ("[[archive]]\n[archive]", "Cannot declare ('archive',) twice"),
        ('{"signature": ', "Expecting value"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path, content, complaint):
    path = tmp_path / "prices.toml"
    path.write_text(content, "utf-8")
    with pytest.raises(PricesError) as caught:
        load_prices(path)
    assert str(caught.value).startswith(f"{path}: {complaint}")


@pytest.mark.parametrize(
    "content", ["[signature]\nprice = 0.5\n", '\n{"signature": {"price": 0.5}}'], ids=["TOML", "JSON"]
)
def test_what_a_table_leaves_out_is_as_published(tmp_path, content):
    path = tmp_path / "prices"
    path.write_text(content, "utf-8")
    found, published = load_prices(path), load_prices()
    assert (found.rate("signature").is_known, published.rate("signature").is_known) == (True, False)
    assert found.of("signature", 4, 1) == 2
    assert found._replace(rates={}) == published._replace(rates={})
    assert {item for item in ITEMS if found.rate(item) != published.rate(item)} == {"signature"}


#: Item, units in a month, amount, and how the price is known. Each worked out by hand; sources in prices.toml.
OF_A_MONTH = [
    ("standard", 10, 1.0, "documented"),
    ("archive", 153_600 + 100, 15_360 + 7, "recorded"),
    ("archive_minimum", 10, 1.0, "documented"),
    ("archive_retrieval", 10, 0.30, "recorded"),
    ("transfer_in", 1000, 0, "recorded"),
    ("transfer_same_region", 1000, 0, "recorded"),
    ("transfer_cross_region", 100, 2.0, "inferred"),
    ("transfer_internet", 1, 0, "recorded"),
    ("transfer_internet", 101, 9.0, "recorded"),
    ("transfer_internet", 1 + 10_240 + 100, 921.6 + 8.5, "recorded"),
    ("transfer_internet", 1 + 51_200 + 100, 921.6 + 40_960 * 0.085 + 7, "recorded"),
    ("transfer_internet", 1 + 153_600 + 100, 921.6 + 40_960 * 0.085 + 102_400 * 0.07 + 5, "recorded"),
    ("scan_basic", 1000, 0, "recorded"),
    ("scan_enhanced_initial", 10, 0.90, "recorded"),
    ("scan_enhanced_rescan", 10, 0.10, "recorded"),
    ("signature", 1000, 0, "unknown"),
    ("kms_key", 2, 2.0, "inferred"),
    ("kms_request", 25_000, 0.075, "recorded"),
    ("kms_dsse", 1000, 0, "unknown"),
    ("public_storage", 50, 0, "recorded"),
    ("public_storage", 60, 1.0, "recorded"),
    ("public_transfer_anonymous", 400, 0, "documented"),
    ("public_transfer_authenticated", 5120, 0, "inferred"),
    ("public_transfer_authenticated", 5220, 9.0, "inferred"),
    ("public_transfer_aws", 100_000, 0, "documented"),
]


@pytest.mark.parametrize(("item", "units", "amount", "provenance"), OF_A_MONTH)
def test_what_a_month_of_an_item_costs(item, units, amount, provenance):
    prices = load_prices()
    assert prices.of(item, units, 1) == pytest.approx(amount)
    # Two months of twice as much have each tier and what is free twice.
    assert prices.of(item, 2 * units, 2) == pytest.approx(2 * amount)
    assert prices.rate(item).provenance == provenance


def test_every_item_is_worked_out():
    assert {item for item, *_ in OF_A_MONTH} == ITEMS.keys()


def test_what_is_unknown_says_so_and_what_is_known_says_from_whom():
    rates = {item: load_prices().rate(item) for item in ITEMS}
    assert {item for item, rate in rates.items() if not rate.is_known} == {"signature", "kms_dsse"}
    assert {item for item, rate in rates.items() if rate.is_known and not rate.source} == {"archive_minimum"}
    assert {item for item, rate in rates.items() if rate.alternatives} == {"transfer_cross_region", "transfer_internet"}


def test_the_free_tier_is_taken_off_for_new_customers_alone():
    prices = load_prices()
    assert prices.of("standard", 0.5, 1) == pytest.approx(0.05)
    assert prices._replace(is_new_customer=True).of("standard", 500 / 1024, 1) == 0


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(PricesError, match="No such file"):
        load_prices(tmp_path / "none.toml")
