"""What the author of a policy is warned of."""

import pytest

from ecrsim.cost.price_file import load_prices
from ecrsim.simulator.forecast import foresee
from ecrsim.simulator.hints import hints
from ecrsim.simulator.pushes import history_of
from tests.simulator.building import NOW, image, keep, older, policy, push, rule

TB = 1 << 40
PLENTY = [image(number, f"v{number}", days=10 - number / 10) for number in range(1, 9)]
HIDDEN = ("warning", "rule-hidden", 2)


def warn(images, *rules, days=10, pushes=(), index_count=0, per_day=None):
    forecast = foresee(images, policy(*rules), NOW, days, pushes)
    history = history_of(images, NOW)
    return hints(
        images,
        forecast,
        history,
        load_prices(),
        per_day=history.per_day if per_day is None else per_day,
        index_count=index_count,
        are_references_known=not index_count,
    )


def kinds(*arguments, **options):
    return [(hint.level, hint.kind, hint.rule_priority) for hint in warn(*arguments, **options)]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param([keep(1, 5)], [], id="nothing to say"),
        pytest.param([keep(1, 5, "prod*"), keep(2, 5)], [("warning", "rule-never-matches", 1)], id="never matches"),
        pytest.param([keep(1, 9, "v*"), keep(2, 5)], [HIDDEN, ("note", "rule-acts-on-nothing", 1)], id="hidden"),
        pytest.param([older(1, 90)], [("note", "rule-acts-on-nothing", 1)], id="acts on nothing"),
        pytest.param([older(1, 5)], [("danger", "deletes-every-image", None)], id="deletes all"),
        pytest.param(
            [older(1, 5, action="transition")],
            [("danger", "archives-every-image", None), ("warning", "archive-saves-nothing", None)],
            id="archives all",
        ),
    ],
)
def test_rules_and_what_they_do_to_plain_images(rules, expected):
    assert kinds(PLENTY, *rules) == expected


def test_a_rule_that_is_hidden_names_those_that_come_before():
    images = [image(1, "prod-1", "blue", days=9), image(2, "dev-1", "blue", days=8), image(3, "dev-2", days=1)]
    found = warn(images, keep(1, 5, "prod*"), keep(2, 5, "dev*"), older(3, 5, "blue"))
    (hidden,) = [hint for hint in found if hint.kind == "rule-hidden"]
    assert hidden.sentence == (
        "rule 3 never acts: all that it matches is claimed before, by rule 1 (1 image) and rule 2 (1 image)"
    )


def test_a_rule_that_matches_what_is_pushed_later_is_not_useless():
    assert kinds(PLENTY, keep(1, 1, "new*"), keep(2, 5), pushes=[push(1, "new-1"), push(2, "new-2")]) == []


def test_a_rule_for_the_archive_matches_what_is_archived_on_the_way():
    found = kinds(PLENTY, keep(1, 5, action="transition"), older(2, 90, count_type="sinceImageTransitioned"))
    assert ("note", "rule-acts-on-nothing", 2) in found
    assert ("warning", "rule-never-matches", 2) in kinds(
        PLENTY, keep(1, 5), older(2, 90, count_type="sinceImageTransitioned")
    )


@pytest.mark.parametrize(
    ("action", "kind", "verb"),
    [("expire", "deletes-last-pulled-image", "expired"), ("transition", "archives-last-pulled-image", "archived")],
)
def test_the_image_that_was_pulled_last(action, kind, verb):
    images = [
        image(1, "old", days=99, pulled=0.5, digest="sha256:0123456789abcdef"),
        image(2, "new", days=1, pulled=3),
        image(3, "newer", days=1),
    ]
    found = [hint for hint in warn(images, older(1, 30, action=action)) if hint.level == "danger"]
    assert [(hint.kind, hint.rule_priority, hint.image_digests) for hint in found] == [
        (kind, 1, ("sha256:0123456789abcdef",))
    ]
    assert found[0].sentence == (
        f"the image that was pulled last, sha256:0123456789ab (old), is {verb} on day 1 by rule 1"
    )
    assert [hint for hint in warn(images, keep(1, 2, "new*", action=action)) if hint.level == "danger"] == []


def test_images_pulled_within_30_days():
    images = [image(1, "a", days=99, pulled=29), image(2, "b", days=98, pulled=31), image(3, "c", days=97, pulled=20)]
    images.append(image(4, "d", days=1, pulled=1))
    (found,) = [hint for hint in warn(images, older(1, 30)) if hint.kind == "recently-pulled"]
    assert found.image_digests == (images[0].image_digest, images[2].image_digest)
    assert found.sentence.startswith("2 images pulled within the last 30 days are expired by rule 1: sha256:")
    assert found.sentence.endswith("(a) on day 1 and others")


def test_children_of_an_index_are_not_known_from_describe_images():
    (found,) = warn(PLENTY, keep(1, 5), index_count=2)
    assert (found.level, found.kind) == ("note", "index-children-unknown")
    assert found.sentence.startswith("2 indexes are there.")


def test_pulls_to_come_are_not_foreseen():
    images = [image(1, "a", days=50, pulled=8), image(2, "b", days=1)]
    found = kinds(images, rule(1, "any", "sinceImagePulled", 10, "transition"))
    assert ("note", "pulls-not-foreseen", None) in found
    assert ("note", "pulls-not-foreseen", None) not in kinds(PLENTY, keep(1, 5, action="transition"))


def test_the_archive_pays_above_150_tb():
    images = [image(number, f"v{number}", days=9, size=TB) for number in range(1, 162)]
    kind = ("warning", "archive-saves-nothing", None)
    assert kind in kinds(images, keep(1, 11, action="transition"))
    assert kind not in kinds(images, keep(1, 10, action="transition"))


def test_repositories_of_which_little_is_known():
    assert kinds([], keep(1, 5)) == [("warning", "rule-never-matches", 1), ("note", "no-images", None)]
    old = [image(1, "v1", days=99)]
    assert ("note", "no-pushes", None) in kinds(old, keep(1, 5))
    assert ("note", "no-pushes", None) not in kinds(old, keep(1, 5), per_day=2.0)
