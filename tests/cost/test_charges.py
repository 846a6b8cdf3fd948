"""Bills worked out by hand: storage by days and classes, what is gone, what was done, keys, and how a bill is divided.

Prices are those of the dated table, whose provenance tests/cost/test_prices.py holds, with months of 30 days.
"""

import pytest

from ecrsim.core.durations import DAY
from ecrsim.cost.charges import bill_of, storage_of, transfers
from ecrsim.cost.facts import Past, StorageSpan, Tallied, Window
from ecrsim.cost.prefixes import EARLIER
from tests.cost.holding import GB, NOW, PRICES, archived, facts, holder, holding, image

TODAY = NOW // DAY - 1


def billed(*holdings, prices=PRICES, pulls_from="internet", **members):
    return bill_of(facts(*holdings, **members), prices, pulls_from)


def quantities(bill):
    return {charge.item: pytest.approx(charge.quantity, abs=1e-6) for charge in bill.charges}


@pytest.mark.parametrize(
    ("images", "layers", "expected"),
    [
        pytest.param([image(1)], None, {"standard": 1}, id="a gigabyte for a month"),
        pytest.param([image(1, day=-300)], None, {"standard": 1}, id="no more than the window"),
        pytest.param([image(1, day=-15)], None, {"standard": 0.5}, id="from its push on"),
        pytest.param([image(1, day=-0.5)], None, {"standard": 0.5 / 30}, id="half of the last day"),
        pytest.param([image(1, day=1)], None, {}, id="pushed after the clock was set back: nothing"),
        pytest.param(
            [image(1, day=-30), image(2, day=-15)],
            {1: [("base", 4), ("a", 1)], 2: [("base", 4), ("b", 1)]},
            {"standard": 4 + 1 + 0.5},
            id="a layer of two images once, from the first push on",
        ),
        pytest.param([archived(1, since=-15)], None, {"archive": 0.5}, id="from its archival on"),
        pytest.param(
            [image(1, day=-60)._replace(last_activated_at=NOW - 6 * DAY, last_archived_at=NOW - 40 * DAY)],
            None,
            {"standard": 0.2},
            id="restored: in the standard class from then on",
        ),
        pytest.param(
            [archived(1)._replace(storage_class=None)], None, {"archive": 1}, id="being restored: in the archive yet"
        ),
        pytest.param(
            [archived(1, since=-20), image(2, day=-30)],
            {1: [("base", 4), ("a", 1)], 2: [("base", 4)]},
            {"standard": 4, "archive": 20 / 30},
            id="what an image that can be pulled names is not in the archive",
        ),
        pytest.param(
            [archived(1, since=-30), image(2, day=-15)],
            {1: [("base", 4)], 2: [("base", 4)]},
            {"standard": 2, "archive": 2},
            id="and is out of it from that one's push on",
        ),
    ],
)
def test_gigabyte_months(images, layers, expected):
    assert quantities(billed(holding(*images, layers=layers))) == pytest.approx(expected)


def past(storage_class, since, until, ended_by="delete"):
    return Past(holder(), StorageSpan(storage_class, round(NOW + since * DAY), round(NOW + until * DAY), GB, ended_by))


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        pytest.param(past("STANDARD", -20, -5), {"standard": 0.5}, id="for as long as it was there"),
        pytest.param(past("STANDARD", -90, -15), {"standard": 0.5}, id="in the window"),
        pytest.param(past("STANDARD", -90, -45), {}, id="before the window"),
        pytest.param(past("STANDARD", -20, -5, ""), {"standard": 0.5}, id="and it went on for others"),
        pytest.param(
            past("ARCHIVE", -20, -5), {"archive": 0.5, "archive_minimum": 75 / 30}, id="early: the rest of 90 days"
        ),
        pytest.param(past("ARCHIVE", -95, -5), {"archive": 25 / 30}, id="after exactly 90 days: no rest"),
        pytest.param(past("ARCHIVE", -50, -40), {}, id="the rest is billed on the day of the deletion"),
        pytest.param(past("ARCHIVE", -20, -5, "restore"), {"archive": 0.5}, id="restored early: no rest"),
        pytest.param(past("ARCHIVE", -20, -5, ""), {"archive": 0.5}, id="others have it: no rest"),
    ],
)
def test_what_is_gone(span, expected):
    bill = billed(past=[span])
    assert quantities(bill) == pytest.approx(expected)
    assert {usage.prefix for usage in bill.usages} <= {EARLIER}


def test_an_early_restore_is_billed_where_the_prices_say_so():
    bill = billed(past=[past("ARCHIVE", -20, -5, "restore")], prices=PRICES._replace(archive_ended_by=("restore",)))
    assert quantities(bill) == {"archive": 0.5, "archive_minimum": 75 / 30}
    assert bill.total == pytest.approx(0.05 + 0.25)


def done(measure, destination="", times=1, size=0, **of):
    return Tallied(holder(**of), TODAY, measure, destination, times, size)


@pytest.mark.parametrize(
    ("tallied", "pulls_from", "item", "quantity"),
    [
        (done("pull", size=3 * GB), "internet", "transfer_internet", 3),
        (done("pull", size=3 * GB), "same-region", "transfer_same_region", 3),
        (done("pull", size=3 * GB), "cross-region", "transfer_cross_region", 3),
        (done("pull", "us-east-1", size=GB), "internet", "transfer_same_region", 1),
        (done("pull", "eu-west-1", size=GB), "internet", "transfer_cross_region", 1),
        (done("replication", "eu-west-1", size=GB), "same-region", "transfer_cross_region", 1),
        (done("replication", "us-east-1", size=GB), "internet", "transfer_same_region", 1),
        (done("pull", size=GB, kind="public"), "internet", "public_transfer_authenticated", 1),
        (done("anonymous-pull", size=GB, kind="public"), "internet", "public_transfer_anonymous", 1),
        (done("anonymous-pull", size=GB, kind="public"), "same-region", "public_transfer_aws", 1),
        (done("pull", "eu-west-1", size=GB, kind="public"), "internet", "public_transfer_aws", 1),
        (done("restore", size=2 * GB), "internet", "archive_retrieval", 2),
        (done("basic-scan", times=4), "internet", "scan_basic", 4),
        (done("enhanced-scan", times=4), "internet", "scan_enhanced_initial", 4),
        (done("enhanced-rescan", times=4), "internet", "scan_enhanced_rescan", 4),
        (done("signature", times=4), "internet", "signature", 4),
        (done("kms-request", times=4), "internet", "kms_request", 4),
    ],
)
def test_what_was_done(tallied, pulls_from, item, quantity):
    bill = billed(tallied=[tallied], pulls_from=pulls_from)
    assert quantities(bill) == {item: quantity}
    assert transfers(bill.usages) == ({(item, tallied.holder): quantity} if "transfer" in item else {})


def test_what_was_done_on_other_days_is_not_billed():
    window = Window.of_days(NOW, 30)
    assert (len(window.days), window.days[-1]) == (30, NOW // DAY)
    days = [window.days.start - 1, window.days.start, window.days[-1], window.days.stop]
    bill = billed(tallied=[done("signature")._replace(day=day) for day in days], window=window)
    assert quantities(bill) == {"signature": 2}


KEY, OTHER = ("arn:aws:kms:us-east-1:111122223333:key/" + name for name in ("one", "other"))


@pytest.mark.parametrize(
    ("keys", "quantity"),
    [
        pytest.param([{"kms_key": KEY}], 1, id="a key for a month"),
        pytest.param([{"kms_key": KEY}, {"kms_key": KEY}], 1, id="two repositories share one"),
        pytest.param([{"kms_key": KEY}, {"kms_key": OTHER}], 2, id="two keys"),
        pytest.param([{"kms_key": KEY, "created_at": NOW - 15 * DAY}], 0.5, id="from the repository on"),
        pytest.param([{"kms_key": KEY, "created_at": None}], 1, id="a repository of which that is not known"),
        pytest.param([{"kms_key": KEY, "is_key_managed": True}], 0, id="AWS's own is free"),
        pytest.param([{"encryption_type": "AES256"}], 0, id="no key"),
    ],
)
def test_keys(keys, quantity):
    named = [
        holding(holder=holder(f"app{number}"), **{"encryption_type": "KMS", **members})
        for number, members in enumerate(keys)
    ]
    bill = billed(*named)
    assert quantities(bill).get("kms_key", 0) == quantity
    assert len(set(bill.by(lambda usage: usage.holder).values())) <= 1


def test_double_encryption_has_a_price_that_is_not_known():
    bill = billed(holding(image(1), encryption_type="KMS_DSSE", kms_key=KEY))
    found = {charge.item: charge for charge in bill.charges}
    assert found["kms_dsse"][1:] == (pytest.approx(1), 0, False)
    assert bill.total == pytest.approx(0.10 + 1.00)


def test_public_storage_is_free_up_to_50_gigabytes_and_has_no_classes():
    public = holding(image(1), layers={1: [("a", 60)]}, holder=holder(kind="public"))
    bill = billed(public)
    assert [charge[:3] for charge in bill.charges] == [
        ("public_storage", pytest.approx(60, abs=1e-5), pytest.approx(1.0, abs=1e-5))
    ]
    assert bill.rent.amount == pytest.approx(1.0)


def test_a_bill_is_divided_by_quantities_and_adds_up():
    """What is free and the tiers hold for both repositories together."""
    one = holding(image(1, "prod-1"), image(2, "prod-2", day=-15), image(3, day=-15), holder=holder("one"))
    other = holding(archived(1, "v1", since=-15), holder=holder("other"))
    bill = billed(
        one, other, tallied=[done("pull", size=11 * GB, name="one"), done("pull", size=10 * GB, name="other")]
    )
    assert bill.total == pytest.approx(2 * 0.10 + 0.05 + 20 * 0.09, abs=1e-5)
    assert sum(bill.amounts) == pytest.approx(bill.total)
    by_repository = bill.by(lambda usage: usage.holder.repository_name)
    assert by_repository["one"] == pytest.approx(0.20 + 20 * 0.09 * 11 / 21, abs=1e-5)
    assert list(by_repository) == ["one", "other"]
    named = storage_of(bill)
    assert bill.by(named) == {
        "prod*": pytest.approx(0.15, abs=1e-5),
        "(untagged)": pytest.approx(0.05, abs=1e-5),
        "v*": pytest.approx(0.05, abs=1e-5),
    }
    by_day = bill.by(lambda usage: usage.day if usage.item == "standard" else None)
    assert [by_day[day] for day in (TODAY - 29, TODAY)] == [
        pytest.approx(0.10 / 30, abs=1e-6),
        pytest.approx(0.30 / 30, abs=1e-6),
    ]


def test_a_shared_layer_is_divided_among_the_images_that_name_it():
    layers = {1: [("base", 3)], 2: [("base", 3)], 3: [("base", 3)]}
    bill = billed(holding(image(1, "prod-1"), image(2, "prod-2"), image(3, "dev-1"), layers=layers))
    assert bill.by(storage_of(bill)) == {"prod*": pytest.approx(0.20, abs=1e-5), "dev*": pytest.approx(0.10, abs=1e-5)}


def test_a_month_of_what_is_held_now_does_not_look_back():
    bill = billed(
        holding(image(1, day=-0.001), archived(2, since=-1), kms_key=KEY, encryption_type="KMS"),
        past=[past("STANDARD", -20, -5)],
    )
    assert [charge[:3] for charge in bill.rent.charges] == [
        ("standard", 1, pytest.approx(0.10)),
        ("archive", 1, pytest.approx(0.10)),
        ("kms_key", 1, pytest.approx(1.0)),
    ]


def test_a_window_without_time_costs_nothing():
    assert billed(holding(image(1)), window=Window(NOW, NOW)).total == 0
