"""Deletions that follow, and those that do not: each row of the documentation is one here."""

from collections.abc import Callable

import pytest

from ecrsim.testing import build_image
from tests.ecr.lifecycle.policies import policy
from tests.ecr.lifecycle.policies import rule as lifecycle_rule
from tests.ecr.replication.conftest import OTHER_ACCOUNT, configure_rules, permission
from tests.ecr.replication.test_rules import ASIA, HOME, OTHER, rule
from tests.ecr.replication.test_rules import EU as EU_REGISTRY
from tests.pushing import create, index_of, listed, push, put

IMAGE, SECOND = build_image(b"a layer"), build_image(b"another layer")
BOTH = [(IMAGE.digest, "v1"), (IMAGE.digest, "v2")]


def delete(client, **image_id):
    answer = client.batch_delete_image(repositoryName="app", imageIds=[image_id])
    assert answer["failures"] == []


def expire(client):
    """A lifecycle policy that keeps nothing of this tag."""
    rules = [lifecycle_rule(1, prefixes=["v"], days=1)]
    client.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=policy(*rules))


#: What happens to the source, an image with the tags v1 and v2 → what is left of its copy in the end.
DELETIONS: dict[str, tuple[Callable, list]] = {
    "one of several tags": (lambda ecr: delete(ecr, imageTag="v1"), BOTH[1:]),
    "all tags, one by one": (lambda ecr: (delete(ecr, imageTag="v1"), delete(ecr, imageTag="v2")), []),
    "by digest": (lambda ecr: delete(ecr, imageDigest=IMAGE.digest), []),
    "by a lifecycle policy": (expire, []),
    "with its repository (inferred)": (lambda ecr: ecr.delete_repository(repositoryName="app", force=True), BOTH),
    "archived": (
        lambda ecr: ecr.update_image_storage_class(
            repositoryName="app", imageId={"imageDigest": IMAGE.digest}, targetStorageClass="ARCHIVE"
        ),
        BOTH,
    ),
    "deleted and pushed again": (
        lambda ecr: (delete(ecr, imageDigest=IMAGE.digest), put(ecr, "app", IMAGE, "v1"), put(ecr, "app", IMAGE, "v2")),
        BOTH,
    ),
    "a tag deleted and set again": (lambda ecr: (delete(ecr, imageTag="v2"), put(ecr, "app", IMAGE, "v2")), BOTH),
    "a tag that moved": (lambda ecr: push(ecr, "app", SECOND, "v2"), [BOTH[0], (SECOND.digest, "v2")]),
}


@pytest.fixture
def copied(world):
    """An image with two tags, and its copy."""
    configure_rules(world.home, rule(EU_REGISTRY, deletes=True))
    create(world.home)
    push(world.home, "app", IMAGE, "v1", "v2")
    world.arrive()
    assert listed(world.eu, "app") == BOTH
    return world


@pytest.mark.documented
@pytest.mark.parametrize(("act", "left"), DELETIONS.values(), ids=DELETIONS)
def test_what_follows(copied, act, left):
    act(copied.home)
    copied.sim.advance(days=3)
    assert sorted(listed(copied.eu, "app")) == sorted(left)


@pytest.mark.documented
@pytest.mark.parametrize("how", [rule(EU_REGISTRY), rule(EU_REGISTRY, deletes=False)])
def test_nothing_follows_unless_a_rule_says_so(copied, how):
    configure_rules(copied.home, how)
    delete(copied.home, imageDigest=IMAGE.digest)
    copied.sim.advance(days=1)
    assert listed(copied.eu, "app") == BOTH


@pytest.mark.documented
def test_the_copy_goes_with_tags_of_its_own(copied):
    """With the image, "that digest and all its tags" go."""
    put(copied.eu, "app", IMAGE, "mine")
    delete(copied.home, imageDigest=IMAGE.digest)
    copied.arrive()
    assert listed(copied.eu, "app") == []


@pytest.mark.inferred
def test_a_copy_that_loses_its_last_tag_stays(copied):
    delete(copied.eu, imageTag="v2")
    delete(copied.home, imageTag="v1")
    copied.arrive()
    assert listed(copied.eu, "app") == [(IMAGE.digest, None)]


@pytest.mark.inferred
def test_a_tag_that_is_another_image_s_there_stays(copied):
    push(copied.eu, "app", SECOND, "v1")
    delete(copied.home, imageTag="v1")
    copied.arrive()
    assert sorted(listed(copied.eu, "app")) == sorted([(IMAGE.digest, "v2"), (SECOND.digest, "v1")])


@pytest.mark.inferred
def test_a_deletion_goes_no_further(copied):
    configure_rules(copied.eu, rule(ASIA, deletes=True))
    asia = copied.client(region="ap-south-1")
    create(asia)
    push(asia, "app", IMAGE, "v1")
    delete(copied.home, imageDigest=IMAGE.digest)
    copied.sim.advance(days=1)
    assert listed(copied.eu, "app") == []
    assert listed(asia, "app") == [(IMAGE.digest, "v1")]


@pytest.mark.inferred
def test_two_registries_that_copy_to_each_other_come_to_rest(copied):
    configure_rules(copied.eu, rule(HOME, deletes=True))
    delete(copied.home, imageDigest=IMAGE.digest)
    push(copied.home, "app", IMAGE, "v1")
    copied.sim.advance(days=1)
    assert listed(copied.home, "app") == listed(copied.eu, "app") == [(IMAGE.digest, "v1")]


@pytest.mark.inferred
def test_another_account_has_to_allow_it(world):
    configure_rules(world.home, rule(OTHER, deletes=True))
    other = world.client(region="eu-west-1", account=OTHER_ACCOUNT)
    other.put_registry_policy(policyText=permission("ReplicateImage", "CreateRepository"))
    create(world.home)
    push(world.home, "app", IMAGE, "v1", "v2")
    world.arrive()
    other.delete_registry_policy()
    delete(world.home, imageTag="v1")
    world.arrive()
    assert listed(other, "app") == BOTH
    assert world.sim.events()[-1]["detail"]["errorCode"] == "AccessDenied"


@pytest.mark.inferred
def test_what_an_index_there_holds_waits_for_it(copied):
    """The deletion is tried again, and is done once the index is gone."""
    index = index_of(IMAGE)
    push(copied.eu, "app", index, "mine")
    delete(copied.home, imageDigest=IMAGE.digest)
    copied.arrive()
    assert (IMAGE.digest, "v1") in listed(copied.eu, "app")
    delete(copied.eu, imageTag="mine")
    copied.sim.advance(hours=1)
    assert listed(copied.eu, "app") == []


@pytest.mark.documented
def test_the_outbox_tells_of_it(copied):
    before = len(copied.sim.events())
    delete(copied.home, imageTag="v1")
    copied.arrive()
    told = [each for each in copied.sim.events()[before:] if each["detail"].get("action-type") == "DELETE"]
    assert [(each["region"], each["detail"]["image-tag"]) for each in told] == [
        ("us-east-1", "v1"),
        ("eu-west-1", "v1"),
    ]
