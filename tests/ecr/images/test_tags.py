"""What DescribeImages and ListImages say of tags; where tags go is told in `tests/planes/rows_tags.py`."""

from datetime import timedelta

import pytest

from ecrsim.testing import build_image
from tests.pushing import create, described, listed, numbered, push, put


@pytest.fixture
def two(ecr):
    """Two images, the first with the tag `v1`."""
    create(ecr)
    return push(ecr, "app", numbered(1), "v1"), push(ecr, "app", numbered(2))


@pytest.mark.recorded
def test_a_further_tag_does_not_change_when_it_was_pushed(sim, ecr, two):
    before = described(ecr, "app", imageDigest=two[0])["imagePushedAt"]
    sim.advance(days=3)
    put(ecr, "app", numbered(1), "v2")

    assert described(ecr, "app", imageDigest=two[0])["imagePushedAt"] == before


@pytest.mark.documented
def test_an_image_that_lost_its_last_tag_is_untagged(ecr, two):
    put(ecr, "app", numbered(2), "v1")

    assert listed(ecr, "app") == [(two[0], None), (two[1], "v1")]
    assert "imageTags" not in described(ecr, "app", imageDigest=two[0])
    assert [digest for digest, _ in listed(ecr, "app", filter={"tagStatus": "UNTAGGED"})] == [two[0]]


@pytest.mark.inferred
def test_tags_have_the_order_in_which_they_were_attached(ecr, two):
    for tag in ("z", "a", "m"):
        put(ecr, "app", numbered(1), tag)
    put(ecr, "app", numbered(2), "z")
    put(ecr, "app", numbered(1), "z")

    assert described(ecr, "app", imageTag="v1")["imageTags"] == ["v1", "a", "m", "z"]


@pytest.mark.documented
def test_each_push_has_its_own_time(sim, ecr):
    create(ecr)
    push(ecr, "app", numbered(1), "v1")
    sim.advance(hours=5)
    push(ecr, "app", numbered(2), "v2")

    first, second = (described(ecr, "app", imageTag=tag)["imagePushedAt"] for tag in ("v1", "v2"))
    assert timedelta(hours=5) <= second - first < timedelta(hours=5, minutes=1)


def test_an_image_that_was_deleted_is_pushed_anew(sim, ecr):
    create(ecr)
    image = build_image()
    push(ecr, "app", image, "v1")
    before = described(ecr, "app", imageTag="v1")["imagePushedAt"]
    ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    sim.advance(days=1)
    push(ecr, "app", image, "v2")

    assert described(ecr, "app", imageTag="v2")["imagePushedAt"] - before >= timedelta(days=1)
    assert listed(ecr, "app") == [(image.digest, "v2")]
