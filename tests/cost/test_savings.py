"""Proposals, with what they save worked out by hand: 0.10 a gigabyte and month (documented)."""

import json

import pytest

from ecrsim.cost.prices import Rate, Tier
from ecrsim.cost.savings import savings
from ecrsim.ecr.lifecycle.policy import read
from tests.cost.holding import GB, PRICES, archived, facts, holder, holding, image

CHEAP_ARCHIVE = PRICES._replace(rates={**PRICES.rates, "archive": Rate((Tier(None, 0.01, "given"),))})


def proposed(*holdings, prices=PRICES, **members):
    return [
        (each.kind, each.sentence, pytest.approx(each.monthly, abs=1e-6), each.images, each.size // GB)
        for each in savings(facts(*holdings, **members), prices)
    ]


def test_images_without_tags_are_expired_fourteen_days_after_their_push():
    found = proposed(holding(image(1, day=-20), image(2, day=-13), image(3, "prod-1", day=-20)))
    assert found == [("expire", "expire images without tags 14 days after their push", 0.10, 1, 1)]


def test_the_newest_ten_of_a_prefix_are_kept():
    images = [image(number, f"prod-{number}", day=-30 + number) for number in range(1, 13)]
    found = proposed(holding(*images, image(20, "latest", day=-1)))
    assert found == [("expire", "keep the newest 10 images tagged prod*", 0.20, 2, 2)]


def test_where_no_prefix_has_as_many_the_newest_ten_of_all_are_kept():
    images = [image(number, f"{number:040x}"[:40].replace("0", "a", 1), day=-30 + number) for number in range(1, 13)]
    assert proposed(holding(*images)) == [("expire", "keep the newest 10 images", 0.20, 2, 2)]


def test_a_layer_that_others_name_is_not_freed():
    layers = {1: [("base", 8), ("a", 1)], 2: [("base", 8), ("b", 1)]}
    [found] = proposed(holding(image(1, day=-20), image(2, "prod", day=-1), layers=layers))
    assert found[2:] == (0.10, 1, 1)


def test_what_an_index_lists_is_not_expired():
    listing = image(2, "prod", day=-20)._replace(references=("sha256:1",))
    assert proposed(holding(image(1, day=-20), listing)) == []


def test_what_the_repositorys_own_policy_expires_is_not_proposed_again():
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"},
    }
    images = image(1, day=-22), image(2, day=-21), image(3, day=-20)
    policy_text = json.dumps({"rules": [rule]})
    [found] = savings(facts(holding(*images, policy_text=policy_text)), PRICES)
    assert (found.images, found.monthly, found.note[:10]) == (1, pytest.approx(0.10), "It is coun")
    assert savings(facts(holding(*images)), PRICES)[0].images == 3


def test_the_archive_is_told_of_where_it_saves_nothing():
    [found] = savings(facts(holding(image(1, "prod", day=-100), image(2, "prod", day=-89))), PRICES)
    assert (found.kind, found.monthly, found.images) == ("archive", 0, 1)
    assert found.note.startswith("So much costs as much in the archive as outside of it; restoring costs 0.03 USD a GB")


def test_the_archive_saves_the_difference_of_the_prices():
    pulled = image(2, "prod", day=-100)._replace(last_recorded_pull_time=image(0, day=-1).image_pushed_at)
    [found] = savings(facts(holding(image(1, "prod", day=-100), pulled)), CHEAP_ARCHIVE)
    assert (found.kind, found.images, found.monthly) == ("archive", 1, pytest.approx(0.09))


def test_layers_of_several_repositories_are_billed_in_each():
    def three(name, *others):
        return holding(image(1, "prod"), layers={1: [("base", 5), *others]}, holder=holder(name))

    elsewhere = three("c")._replace(holder=holder("c", region="eu-west-1"))
    [found] = savings(facts(three("a", ("x", 1)), three("b"), elsewhere), PRICES)
    assert (found.kind, found.monthly, found.size, found.images) == ("duplicates", pytest.approx(0.50), 5 * GB, 0)
    assert [each.repository_name for each in found.holders] == ["a", "b"]


def test_of_a_duplicate_in_both_classes_the_one_that_can_be_pulled_stays():
    one = holding(archived(1, "prod"), layers={1: [("base", 5)]}, holder=holder("a"))
    other = holding(image(1, "prod"), layers={1: [("base", 5)]}, holder=holder("b"))
    [found] = savings(facts(one, other), CHEAP_ARCHIVE)
    assert found.monthly == pytest.approx(0.05)


def test_what_saves_most_comes_first_and_each_policy_is_one_that_ecr_takes():
    images = [image(number, f"prod-{number}", day=-130 + number) for number in range(1, 14)]
    found = savings(facts(holding(*images, image(20, day=-20))), CHEAP_ARCHIVE)
    assert [each.kind for each in found] == ["archive", "expire", "expire"]
    assert [each.monthly for each in found] == sorted((each.monthly for each in found), reverse=True)
    for each in found:
        assert read(json.dumps(each.policy)).rules


def test_public_repositories_have_no_lifecycle_policies():
    assert proposed(holding(image(1, day=-20), holder=holder(kind="public"))) == []
