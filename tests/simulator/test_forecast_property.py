"""A forecast puts a few images to `plan`; a second one that puts all of them, always, comes to the same."""

from random import Random

import pytest

from ecrsim.core.errors import InvalidParameterException
from ecrsim.ecr.lifecycle import policy as policies
from ecrsim.ecr.lifecycle.engine import explain
from ecrsim.simulator.forecast import foresee
from tests.simulator import second_forecast
from tests.simulator.building import NOW, image, keep, older, push, text_of

ROUNDS = 600
TAGS = ("prod-1", "prod-2", "beta-1", "beta-2", "dev", "latest", "main")
PATTERNS = (("prod*",), ("beta*",), ("*-1",), ("prod*", "beta*"), ("latest",), ("*",))


def random_rules(random):
    rules = []
    for priority in range(1, random.randint(2, 6)):
        action = random.choice(("expire", "expire", "transition"))
        patterns = random.choice(PATTERNS)
        if random.random() < 0.5:
            rules.append(keep(priority, random.randint(1, 6), *patterns, action=action))
        else:
            kind = "sinceImagePulled" if action == "transition" and random.random() < 0.5 else "sinceImagePushed"
            rules.append(older(priority, random.randint(1, 12), *patterns, action=action, count_type=kind))
    if random.random() < 0.5:
        rules.append(older(10, random.randint(1, 8), tag_status="untagged"))
    if random.random() < 0.5:
        last = (keep(11, random.randint(1, 15)), older(11, random.randint(1, 12), action="transition"))
        rules.append(random.choice(last))
    if random.random() < 0.5:
        rules.append(older(12, 90, count_type="sinceImageTransitioned"))
    return rules


def random_policy(random):
    """One that the grammar allows: two rules for the same tags are not."""
    while True:
        try:
            return policies.read(text_of(*random_rules(random)))
        except InvalidParameterException:
            continue


def random_images(random):
    found = []
    free = list(TAGS)
    random.shuffle(free)
    ages = sorted(
        (random.choice((1, 24)) * random.randint(0, 20) / 24 for _ in range(random.randint(0, 25))), reverse=True
    )
    for number, days in enumerate(ages, 1):
        tags = [f"{random.choice(TAGS[:4])}{number}" for _ in range(random.randint(0, 2))]
        if free and random.random() < 0.3:
            tags.append(free.pop())
        digests = [each.image_digest for each in found]
        found.append(
            image(
                number,
                *tags,
                days=days,
                size=random.randint(0, 9),
                pulled=random.choice((None, days / 2)),
                archived=random.choice((None, None, None, 85.0)),
                restored=random.choice((None, None, days / 3)),
                subject=random.choice((*digests, "sha256:gone")) if random.random() < 0.2 else None,
                references=tuple(random.sample(digests, min(2, len(digests)))) if random.random() < 0.2 else (),
            )
        )
    return [each._replace(storage_class=None) if random.random() < 0.05 else each for each in found]


def random_pushes(random, days):
    times = sorted(random.randint(0, days * 4) / 4 for _ in range(random.randint(0, 2 * days)))
    return [push(day, *random.sample(TAGS, random.randint(0, 2)), size=random.randint(0, 9)) for day in times]


@pytest.mark.parametrize("part", range(4))
def test_few_images_give_the_decisions_of_all(part):
    acted = set()
    for seed in range(part * ROUNDS, (part + 1) * ROUNDS):
        random = Random(seed)  # noqa: S311
        days, runs = random.choice((1, 5, 14)), random.choice((1, 1, 3))
        images, policy, pushes = random_images(random), random_policy(random), random_pushes(random, days)
        found = foresee(images, policy, NOW, days, pushes, runs)
        departures, stocks = second_forecast.foresee(images, policy, NOW, days, pushes, runs)
        got = [(each.day, each.image.id, each.action, each.rule_priority) for each in found.departures]
        assert got == departures, seed
        assert [day.stock for day in found.days] == stocks, seed
        acted |= {(each.action, each.rule_priority is None) for each in found.departures}
    assert acted == {("EXPIRE", False), ("EXPIRE", True), ("TRANSITION", False), ("TRANSITION", True)}


def test_the_sentences_of_the_first_run_are_those_of_the_engine():
    told = 0
    for seed in range(ROUNDS):
        random = Random(seed)  # noqa: S311
        images, policy = random_images(random), random_policy(random)
        for each in foresee(images, policy, NOW, 1).departures:
            steps = explain(images, policy, NOW, each.image.image_digest)
            assert each.sentence == steps[-1 if each.rule_priority is None else _place(policy, each)].sentence(), seed
            told += 1
    assert told > ROUNDS


def _place(policy, departure):
    return [rule.rule_priority for rule in policy.rules].index(departure.rule_priority)
