"""What becomes of small repositories, worked out by hand."""

import pytest

from ecrsim.ecr.lifecycle.engine import plan
from ecrsim.simulator.forecast import RuleTally, Stock, foresee
from tests.simulator.building import DAY, HOUR, NOW, image, keep, older, policy, push


def gone(forecast):
    """(day, image number, action, rule) of each departure."""
    return [(each.day, each.image.id, each.action, each.rule_priority) for each in forecast.departures]


@pytest.mark.parametrize(
    ("images", "rules", "pushes", "expected"),
    [
        pytest.param(
            [image(1, days=3), image(2, days=1)],
            [older(1, 2)],
            [],
            # Exactly 2 days are not more than 2 days: the second one goes on the run after.
            [(1, 1, "EXPIRE", 1), (3, 2, "EXPIRE", 1)],
            id="by age, strictly",
        ),
        pytest.param(
            [image(1, "a", days=3), image(2, "b", days=2), image(3, "c", days=1)],
            [keep(1, 2)],
            [push(0.5, "d"), push(2, "e")],
            # The push of day 2.0 is there when the run of day 3 begins.
            [(1, 1, "EXPIRE", 1), (2, 2, "EXPIRE", 1), (3, 3, "EXPIRE", 1)],
            id="by count, as pushes come",
        ),
        pytest.param(
            [image(1, "latest", days=1), image(2, "v1", "latest-1", days=1)],
            [older(1, 2, tag_status="untagged")],
            [push(0.5, "latest"), push(1.5, "v1")],
            # The first loses its only tag on day 1 and is 2 days old on day 2; the second one keeps another tag.
            [(3, 1, "EXPIRE", 1)],
            id="tags move",
        ),
        pytest.param(
            [image(1, "a", days=10)],
            [older(1, 5, action="transition"), older(2, 90, count_type="sinceImageTransitioned")],
            [],
            # Archived on day 1; on day 92 that is 91 days ago.
            [(1, 1, "TRANSITION", 1), (92, 1, "EXPIRE", 2)],
            id="archived, then expired",
        ),
        pytest.param(
            [
                image(1, "child", days=9, digest="sha256:c"),
                image(2, "index", days=8, references=("sha256:c",)),
            ],
            [older(1, 5)],
            [],
            # What the index lists goes in the run after it.
            [(1, 2, "EXPIRE", 1), (2, 1, "EXPIRE", 1)],
            id="an index protects",
        ),
        pytest.param(
            [image(1, "a", days=9, digest="sha256:s"), image(2, days=1, subject="sha256:s")],
            [older(1, 5)],
            [],
            [(1, 1, "EXPIRE", 1), (2, 2, "EXPIRE", None)],
            id="a referrer follows",
        ),
        pytest.param(
            [image(1, "a", days=100, storage_class=None)],
            [older(1, 3)],
            [],
            # Restored 20 minutes after the first run, which is the time that counts: older than 3 days on day 5.
            [(5, 1, "EXPIRE", 1)],
            id="being restored",
        ),
        pytest.param([], [keep(1, 1)], [], [], id="an empty repository"),
    ],
)
def test_what_goes_when(images, rules, pushes, expected):
    assert gone(foresee(images, policy(*rules), NOW, 100, pushes)) == expected


def test_the_first_run_is_the_plan_of_now():
    images = [image(number, f"v{number}", days=20 - number) for number in range(1, 11)]
    rules = policy(keep(1, 3, "v*"))
    first = foresee(images, rules, NOW, 1).departures
    assert [(each.image, each.action, each.rule_priority) for each in first] == plan(images, rules, NOW)
    assert len(first) == 7


def test_the_repository_at_the_end_of_each_day():
    images = [image(1, "a", days=9, size=10), image(2, "b", days=2, size=20), image(3, "c", days=1, archived=1, size=5)]
    rules = policy(older(1, 8, "a"), keep(2, 9))
    days = foresee(images, rules, NOW, 2, [push(0.25, "d", size=7), push(1, "e", size=7), push(1.5, "f", size=7)]).days
    assert [(day.number, day.at, day.pushed) for day in days] == [(1, NOW, 2), (2, NOW + DAY, 1)]
    assert days[0].tallies == (RuleTally(1, "EXPIRE", 1, 10),)
    assert days[1].tallies == ()
    assert [day.stock for day in days] == [Stock(3, 34, 1, 5), Stock(4, 41, 1, 5)]
    assert [day.without_policy for day in days] == [Stock(4, 44, 1, 5), Stock(5, 51, 1, 5)]


def test_several_runs_a_day():
    found = foresee([image(1, days=1), image(2, days=0.8)], policy(older(1, 1)), NOW, 2, runs_per_day=4)
    # 24 hours old at 0:00 of day 1, so more than that at 6:00; the other one is 19.2 hours old, and 25.2 at 6:00.
    assert [(each.day, each.at - NOW) for each in found.departures] == [(1, 6 * HOUR), (1, 6 * HOUR)]


def test_what_was_pushed_in_the_forecast_is_marked():
    found = foresee([image(1, "a", days=1)], policy(keep(1, 1)), NOW, 3, [push(0.5, "b"), push(1.5, "c")])
    assert [(each.image.image_tags, each.is_foreseen) for each in found.departures] == [(("a",), False), (("b",), True)]


def test_what_each_rule_had_to_do_with():
    images = [image(1, "prod-1", days=5), image(2, "prod-2", days=4), image(3, "dev-1", days=3)]
    rules = policy(older(1, 30, "prod*"), older(2, 2, "prod-1"), keep(3, 1, "release*"), keep(4, 9))
    matches = foresee(images, rules, NOW, 2, [push(0.5, "prod-3")]).matches
    assert [(each.matching_now, each.matched, each.claimed_first, each.hidden_by) for each in matches] == [
        (2, 3, 3, {}),
        (1, 1, 0, {1: 1}),
        (0, 0, 0, {}),
        (3, 4, 1, {1: 3}),
    ]


def test_an_image_counts_once_for_a_rule_however_often_its_tags_move():
    rules = policy(keep(1, 99))
    pushes = [push(day, "latest", "main") for day in (0.5, 1.5, 2.5)]
    (match,) = foresee([image(1, "latest", "main", days=1)], rules, NOW, 3, pushes).matches
    assert match.matched == 4


def test_the_day_on_which_nothing_is_left():
    images = [image(1, days=3), image(2, days=1)]
    assert foresee(images, policy(older(1, 2)), NOW, 5).emptied_on == 3
    assert foresee(images, policy(older(1, 2)), NOW, 4, [push(1.5)]).emptied_on is None
    archived = foresee(images, policy(older(1, 2, action="transition")), NOW, 5)
    assert (archived.emptied_on, archived.all_archived_on) == (None, 3)
