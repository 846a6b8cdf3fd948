"""Copies for a region that another ecrsim has, or any registry: sent over a real socket, by the registry protocol."""

import pytest

from ecrsim import Ecrsim
from ecrsim.config import Texts
from ecrsim.core.upstream import pushing
from ecrsim.testing import build_image
from tests.answers import ACCOUNT
from tests.ecr.replication.conftest import EU, configure_rules, statuses
from tests.ecr.replication.test_copies import pull
from tests.ecr.replication.test_rules import EU as EU_REGISTRY
from tests.ecr.replication.test_rules import OTHER, rule
from tests.pushing import artifact_of, create, index_of, listed, numbered, push, put

IMAGE = build_image(b"a layer")


@pytest.fixture(scope="module")
def second():
    """Another ecrsim with a socket."""
    with Ecrsim() as there:
        yield there


@pytest.fixture
def there(second):
    second.reset()
    return second.client(region="eu-west-1")


@pytest.fixture
def here(world, configure, second, there):
    """A registry whose copies for eu-west-1 go to the other ecrsim."""
    configure(region_endpoint=Texts([f"eu-west-1={second.endpoint_url}"]))
    create(world.home)
    return world


def test_an_image_arrives_with_layers_and_tags(here, there):
    push(here.home, "app", IMAGE, "v1", "v2")
    here.arrive()
    assert statuses(here.home, "app", imageTag="v1") == {EU: "COMPLETE"}
    assert sorted(listed(there, "app")) == [(IMAGE.digest, "v1"), (IMAGE.digest, "v2")]
    assert pull(there, "app", imageTag="v1") == IMAGE.manifest
    assert here.eu.describe_repositories()["repositories"] == []
    found = here.sim.events(type="ECR Replication Action")
    assert [(each["region"], each["detail"]["result"], each["detail"]["image-tag"]) for each in found] == [
        ("eu-west-1", "SUCCESS", "v1"),
        ("eu-west-1", "SUCCESS", "v2"),
    ]


def test_an_index_with_its_images_and_a_referrer(here, there):
    push(here.home, "app", IMAGE)
    push(here.home, "app", index_of(IMAGE), "v1")
    push(here.home, "app", artifact_of(IMAGE))
    here.arrive()
    assert sorted(listed(there, "app"), key=str) == sorted(listed(here.home, "app"), key=str)


def test_an_image_without_a_tag(here, there):
    push(here.home, "app", IMAGE)
    here.arrive()
    assert listed(there, "app") == [(IMAGE.digest, None)]


def test_an_immutable_tag_there_stays(here, there):
    create(there, imageTagMutability="IMMUTABLE")
    push(there, "app", numbered(1), "v1")
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    assert statuses(here.home, "app", imageTag="v1") == {EU: "COMPLETE"}
    assert sorted(listed(there, "app"), key=str) == sorted([(numbered(1).digest, "v1"), (IMAGE.digest, None)], key=str)


def test_a_layer_goes_in_chunks(here, there, monkeypatch):
    monkeypatch.setattr(pushing, "CHUNK", 1000)
    image = build_image(bytes(range(256)) * 20)
    push(here.home, "app", image, "v1")
    here.arrive()
    assert pull(there, "app", imageTag="v1") == image.manifest
    assert statuses(here.home, "app", imageTag="v1") == {EU: "COMPLETE"}


def test_what_breaks_off_is_gone_on_with(here, there, second, monkeypatch):
    """A chunk that arrived, and whose answer got lost: the other side is asked how far it came."""
    monkeypatch.setattr(pushing, "CHUNK", 1000)
    ask = pushing.UpstreamRegistry.ask
    patches = []

    def lossy(self, method, *arguments, **options):
        if method == "PATCH":
            patches.append(arguments[2]["Content-Range"])
            if len(patches) == 2:
                with ask(self, method, *arguments, **options):
                    pass
                raise pushing.UpstreamUnavailable("the answer got lost")
        return ask(self, method, *arguments, **options)

    monkeypatch.setattr(pushing.UpstreamRegistry, "ask", lossy)
    image = build_image(bytes(range(250)) * 12, config=b"{}")
    push(here.home, "app", image, "v1")
    here.arrive()
    assert pull(there, "app", imageTag="v1") == image.manifest
    # Of 3,000 bytes no chunk was sent twice.
    assert [each for each in patches if each != "0-1"] == ["0-999", "1000-1999", "2000-2999"]


def test_another_account_there_has_to_allow_it(here, second):
    configure_rules(here.home, rule(OTHER))
    other = second.client(region="eu-west-1", account=OTHER.account)
    create(other)
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    assert statuses(here.home, "app", imageTag="v1") == {(OTHER.account, "eu-west-1"): "AccessDenied"}
    assert listed(other, "app") == []


def test_deletions_follow(here, there):
    configure_rules(here.home, rule(EU_REGISTRY, deletes=True))
    push(here.home, "app", IMAGE, "v1", "v2")
    here.arrive()
    here.home.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    here.arrive()
    assert listed(there, "app") == [(IMAGE.digest, "v2")]
    here.home.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v2"}])
    here.arrive()
    assert listed(there, "app") == []


def test_a_backfill_goes_there_too(here, there):
    configure_rules(here.home)
    for number in range(12):
        push(here.home, "app", numbered(number), f"v{number}")
    configure_rules(here.home, rule(EU_REGISTRY))
    place = {"region": "eu-west-1", "registryId": ACCOUNT}
    number = here.home.start_replication_backfill(destination=place)["replicationBackfillId"]
    here.sim.advance(minutes=1)
    answer = here.home.describe_replication_backfill_results(replicationBackfillId=number)
    assert (answer["status"], answer["progress"]["completedReplicationCount"]) == ("COMPLETE", 12)
    assert sorted(listed(there, "app")) == sorted(listed(here.home, "app"))
    assert statuses(here.home, "app", imageTag="v0") == {EU: "COMPLETE"}


def test_a_site_that_is_down_is_tried_again_until_it_is_given_up(here, there, configure, second):
    configure(region_endpoint=Texts(["eu-west-1=http://127.0.0.1:9"]))
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    assert statuses(here.home, "app", imageTag="v1") == {EU: "IN_PROGRESS"}
    put(here.home, "app", IMAGE, "v2")
    configure(region_endpoint=Texts([f"eu-west-1={second.endpoint_url}"]))
    here.sim.advance(minutes=1)
    assert statuses(here.home, "app", imageTag="v1") == {EU: "COMPLETE"}
    assert sorted(listed(there, "app")) == [(IMAGE.digest, "v1"), (IMAGE.digest, "v2")]
    configure(region_endpoint=Texts(["eu-west-1=http://127.0.0.1:9"]))
    push(here.home, "app", numbered(1), "v3")
    here.sim.advance(days=1)
    assert statuses(here.home, "app", imageTag="v3") == {EU: "InternalError"}


def test_no_transaction_is_open_while_it_is_sent(here, there, monkeypatch):
    """A write from elsewhere goes through in the middle of it."""
    ask = pushing.UpstreamRegistry.ask
    done = []

    def slow(self, *arguments, **options):
        with here.sim.runtime.database.write():
            done.append(arguments[0])
        return ask(self, *arguments, **options)

    monkeypatch.setattr(pushing.UpstreamRegistry, "ask", slow)
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    assert statuses(here.home, "app", imageTag="v1") == {EU: "COMPLETE"}
    assert {"HEAD", "POST", "PATCH", "PUT"} <= set(done)
