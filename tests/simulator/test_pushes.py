"""The pushes to come, from those that were."""

import pytest

from ecrsim.simulator.pushes import family_of, history_of, pushes_to_come
from tests.simulator.building import DAY, NOW, image, push


def come(images, days=1, per_day=None):
    history = history_of(images, NOW)
    found = pushes_to_come(images, history, NOW, days, history.per_day if per_day is None else per_day)
    return [((each.at - NOW) / DAY, each.image_tags) for each in found]


@pytest.mark.parametrize(
    ("tag", "family"),
    [
        ("latest", "latest"),
        ("prod-12", "prod-#"),
        ("1.4.2", "1.4.#"),
        ("v2", "v#"),
        ("v1.2-rc3", "v1.2-rc#"),
        ("3f2a1bc", "@"),
        ("main-3f2a1bc9", "main-@"),
        ("build-7-3f2a1bc", "build-#-@"),
        ("20261124", "#"),
        ("deadbeef", "deadbeef"),
        ("a" * 40, "@"),
        ("x86", "x#"),
        ("arm64-main", "arm#-main"),
    ],
)
def test_the_family_of_a_tag(tag, family):
    assert family_of(tag) == family


@pytest.mark.parametrize(
    ("ages", "per_day", "span"),
    [
        ([40, 29, 20, 10], 0.1, 30),  # 3 in 30 days
        ([10, 5], 0.2, 10),  # 2 in the 10 days that there are
        ([0.5, 0.25], 2.0, 1),  # at least a day
        ([400, 390], 0.0, 30),
        ([], 0.0, 30),
    ],
)
def test_the_rate_of_the_last_30_days(ages, per_day, span):
    history = history_of([image(number, days=days) for number, days in enumerate(ages, 1)], NOW)
    assert history.per_day == pytest.approx(per_day)
    assert (history.pushed_to - history.pushed_from) / DAY == span


def test_they_are_spread_over_the_day_and_take_turns():
    images = [image(1, "prod-11", days=10), image(2, "dev-7", days=5), image(3, "prod-12", days=4)]
    assert come(images, 2, per_day=2) == [
        (0.5, ("prod-13",)),
        (1.0, ("dev-8",)),
        (1.5, ("prod-14",)),
        (2.0, ("prod-15",)),
    ]


def test_numbers_go_on_after_the_highest_and_keep_their_width():
    images = [image(1, "r-0099", days=50), image(2, "r-0007", days=1)]
    assert come(images, 2, per_day=1) == [(1.0, ("r-0100",)), (2.0, ("r-0101",))]


def test_hashes_are_others_each_time_and_the_same_in_each_forecast():
    images = [image(1, "main-3f2a1bc", days=1)]
    (_, (first,)), (_, (second,)) = come(images, 2, per_day=1)
    assert first != second
    assert first.startswith("main-")
    assert family_of(first) == "main-@"
    assert come(images, 2, per_day=1) == come(images, 2, per_day=1)


def test_what_has_no_tag_took_one_that_moved():
    images = [image(1, days=3), image(2, days=2), image(3, "latest", days=1)]
    assert {tags for _, tags in come(images, 3, per_day=1)} == {("latest",)}
    assert {tags for _, tags in come(images[:2], 2, per_day=1)} == {()}


def test_an_index_and_what_it_lists_are_one_push():
    images = [
        image(1, days=2, size=30, digest="sha256:a"),
        image(2, days=2, size=50, digest="sha256:b"),
        image(3, "v1", days=2, size=50, references=("sha256:a", "sha256:b")),
        image(4, days=1, size=1, subject="sha256:a"),
    ]
    history = history_of(images, NOW)
    assert (history.pushes, history.median_size, history.shapes) == (1, 130, (("v#",),))


def test_the_size_is_the_median():
    images = [image(number, days=number, size=size) for number, size in enumerate((5, 900, 7), 1)]
    assert {each.image_size_in_bytes for each in pushes_to_come(images, history_of(images, NOW), NOW, 1, 5)} == {7}


def test_without_a_past_nothing_is_known_of_the_future():
    assert come([], 10, per_day=5) == []


def test_a_rate_that_is_given_takes_the_shapes_of_the_last_pushes():
    assert come([image(1, "v1", days=100)], 1, per_day=1) == [(1.0, ("v2",))]
    assert come([image(1, "v1", days=1)], 30, per_day=0) == []


def test_a_push_is_of_its_time():
    assert push(0.5, "a").at == NOW + DAY // 2
