"""Copies for a region that another ecrsim has, or any registry: sent over a real socket, by the registry protocol."""

import json

import pytest

from ecrsim.blobs.base import BlobDamaged, BlobNotFound
from ecrsim.config import Texts
from ecrsim.core.neighbours import Neighbour, NeighbourError
from ecrsim.core.upstream import pushing
from ecrsim.core.upstream.failures import UpstreamDenied
from ecrsim.ecr.pullthrough import credentials
from ecrsim.testing import build_image
from tests.answers import ACCOUNT
from tests.ecr.lifecycle.policies import policy
from tests.ecr.lifecycle.policies import rule as lifecycle_rule
from tests.ecr.replication.conftest import EU, configure_rules, permission, statuses
from tests.ecr.replication.test_copies import PULLERS, pull, repository
from tests.ecr.replication.test_rules import EU as EU_REGISTRY
from tests.ecr.replication.test_rules import OTHER, rule
from tests.pushing import artifact_of, create, described, index_of, listed, numbered, push, put

# Each test starts a second ecrsim.
pytestmark = pytest.mark.slow

IMAGE = build_image(b"a layer")
#: What a push needs.
PUSHING = (
    "BatchCheckLayerAvailability",
    "InitiateLayerUpload",
    "UploadLayerPart",
    "CompleteLayerUpload",
    "PutImage",
    "BatchGetImage",
    "GetDownloadUrlForLayer",
)


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


@pytest.mark.parametrize("error", [BlobNotFound("sha256:…"), BlobDamaged("a frame")], ids=["lost", "damaged"])
def test_a_layer_that_cannot_be_read_here_fails_the_copy(here, there, monkeypatch, error):
    def fail(*_):
        raise error

    push(here.home, "app", IMAGE, "v1")
    monkeypatch.setattr(here.sim.runtime.blobs, "open", fail)
    here.arrive()
    assert statuses(here.home, "app", imageTag="v1") == {EU: "LayersNotFound"}
    assert listed(there, "app") == []


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


KEEP_ONE = policy(lifecycle_rule(keep=1))
ROLE = f"arn:aws:iam::{ACCOUNT}:role/templates"


def make_template(there, prefix="ROOT", **members):
    there.create_repository_creation_template(prefix=prefix, appliedFor=["REPLICATION"], **members)


class TestTheRepositoryThere:
    @pytest.mark.documented
    def test_the_template_there_says_how_it_is_made(self, here, there):
        tags = [{"Key": "team", "Value": "a"}]
        for number in range(3):
            make_template(there, f"p{number}")
        make_template(
            there,
            imageTagMutability="IMMUTABLE",
            repositoryPolicy=PULLERS,
            lifecyclePolicy=KEEP_ONE,
            resourceTags=tags,
            encryptionConfiguration={"encryptionType": "KMS"},
            customRoleArn=ROLE,
        )
        push(here.home, "app", IMAGE, "v1")
        here.arrive()
        found = repository(there)
        assert (found["imageTagMutability"], found["encryptionConfiguration"]["encryptionType"]) == ("IMMUTABLE", "KMS")
        assert there.list_tags_for_resource(resourceArn=found["repositoryArn"])["tags"] == tags
        assert there.get_repository_policy(repositoryName="app")
        kept = there.get_lifecycle_policy(repositoryName="app")["lifecyclePolicyText"]
        assert json.loads(kept) == json.loads(KEEP_ONE)
        assert listed(there, "app") == [(IMAGE.digest, "v1")]

    @pytest.mark.documented
    def test_one_of_another_reason_does_not_count(self, here, there):
        there.create_repository_creation_template(
            prefix="ROOT", appliedFor=["CREATE_ON_PUSH", "PULL_THROUGH_CACHE"], repositoryPolicy=PULLERS
        )
        configure_rules(here.home, rule(EU_REGISTRY))
        push(here.home, "app", IMAGE, "v1")
        here.arrive()
        assert listed(there, "app") == [(IMAGE.digest, "v1")]

    @pytest.mark.documented
    def test_one_without_its_role_makes_none(self, here, there):
        make_template(there, resourceTags=[{"Key": "a", "Value": "b"}])
        push(here.home, "app", IMAGE, "v1")
        here.arrive()
        assert statuses(here.home, "app", imageTag="v1") == {EU: "RepositoryNotFound"}
        assert there.describe_repositories()["repositories"] == []

    @pytest.mark.inferred
    def test_what_cannot_be_set_makes_none(self, here, there, monkeypatch):
        """All that the template says, or no repository."""
        make_template(there, lifecyclePolicy=KEEP_ONE)
        call = Neighbour.call

        def refuse(self, operation, **parameters):
            if operation == "put_lifecycle_policy":
                raise NeighbourError("refused", "AccessDeniedException")
            return call(self, operation, **parameters)

        monkeypatch.setattr(Neighbour, "call", refuse)
        push(here.home, "app", IMAGE, "v1")
        here.arrive()
        assert statuses(here.home, "app", imageTag="v1") == {EU: "AccessDenied"}
        assert there.describe_repositories()["repositories"] == []

    @pytest.mark.documented
    def test_one_that_is_there_is_left_as_it_is(self, here, there):
        make_template(there, imageTagMutability="IMMUTABLE")
        create(there)
        push(here.home, "app", IMAGE, "v1")
        here.arrive()
        assert repository(there)["imageTagMutability"] == "MUTABLE"

    @pytest.mark.inferred
    def test_that_of_another_account_is_made_where_its_policy_allows_that(self, here, second):
        configure_rules(here.home, rule(OTHER))
        other = second.client(region="eu-west-1", account=OTHER.account)
        allowed = ["CreateRepository", *PUSHING]
        other.put_registry_policy(policyText=permission(*allowed))
        push(here.home, "app", IMAGE, "v1")
        here.arrive()
        assert statuses(here.home, "app", imageTag="v1") == {(OTHER.account, "eu-west-1"): "COMPLETE"}
        assert listed(other, "app") == [(IMAGE.digest, "v1")]


#: BLOB_MOUNTING of the source's registry and of the destination's → whether the second copy's layers are sent.
MOUNTING = {
    ("ENABLED", "ENABLED"): False,
    ("ENABLED", "DISABLED"): True,
    ("DISABLED", "ENABLED"): True,
    ("DISABLED", "DISABLED"): True,
}


@pytest.mark.documented
@pytest.mark.parametrize(("settings", "is_sent"), MOUNTING.items(), ids=map(str, MOUNTING))
def test_layers_are_mounted_where_both_registries_say_so(here, there, monkeypatch, settings, is_sent):
    for client, value in zip((here.home, there), settings, strict=True):
        client.put_account_setting(name="BLOB_MOUNTING", value=value)
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    create(here.home, "other")
    push(here.home, "other", IMAGE, "v1")
    asked = watch(monkeypatch)
    here.arrive()
    assert listed(there, "other") == [(IMAGE.digest, "v1")]
    assert pull(there, "other", imageTag="v1") == IMAGE.manifest
    assert ("PATCH" in [method for method, _ in asked]) is is_sent
    is_asked = settings[0] == "ENABLED"
    assert any("mount=" in path and "from=app" in path for _, path in asked) is is_asked


def test_layers_that_are_there_are_not_sent(here, there, monkeypatch):
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    asked = watch(monkeypatch)
    # Another image of the same layers.
    push(here.home, "app", build_image(b"a layer", annotations={"number": "2"}), "v2")
    here.arrive()
    assert [tag for _, tag in listed(there, "app")] == ["v1", "v2"]
    assert {method for method, _ in asked} == {"HEAD", "PUT"}


def watch(monkeypatch):
    """Methods and paths that are asked for from now on."""
    asked, ask = [], pushing.UpstreamRegistry.ask

    def watched(self, method, path, *arguments, **options):
        asked.append((method, path))
        return ask(self, method, path, *arguments, **options)

    monkeypatch.setattr(pushing.UpstreamRegistry, "ask", watched)
    return asked


def test_a_login_is_used_again_until_it_is_refused(here, there, monkeypatch):
    """The other side may have another secret by now: it then wants another password."""
    given = []
    of_ecr = credentials.of_ecr
    monkeypatch.setattr(credentials, "of_ecr", lambda *arguments: given.append(1) or of_ecr(*arguments))
    for number in range(3):
        push(here.home, "app", numbered(number), f"v{number}")
        here.arrive()
    assert len(given) == 1
    ask = pushing.UpstreamRegistry.ask

    def refuse(self, *arguments, **options):
        # What asks anonymously whether there is a registry is denied as ever.
        if len(given) == 1:
            raise UpstreamDenied("the password is good no more")
        return ask(self, *arguments, **options)

    monkeypatch.setattr(pushing.UpstreamRegistry, "ask", refuse)
    push(here.home, "app", numbered(3), "v3")
    here.arrive()
    assert statuses(here.home, "app", imageTag="v3") == {EU: "COMPLETE"}
    assert len(given) == 2


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


def archive(client):
    """The image, which is there."""
    client.update_image_storage_class(
        repositoryName="app", imageId={"imageDigest": IMAGE.digest}, targetStorageClass="ARCHIVE"
    )


def restore(client):
    client.update_image_storage_class(
        repositoryName="app", imageId={"imageDigest": IMAGE.digest}, targetStorageClass="STANDARD"
    )


#: What is done here after the copy was archived there → its status there. A push restores it at once (documented).
RESTORED = {
    "nothing": (lambda _: None, "ARCHIVED"),
    "a push of another tag": (lambda home: push(home, "app", IMAGE, "v2"), "ACTIVE"),
    "a push of an index that lists it": (lambda home: push(home, "app", index_of(IMAGE), "all"), "ACTIVE"),
    "archived here as well, and restored": (lambda home: (archive(home), restore(home)), "ACTIVE"),
    "archived here": (archive, "ARCHIVED"),
    "a backfill": (
        lambda home: home.start_replication_backfill(destination={"region": "eu-west-1", "registryId": ACCOUNT}),
        "ACTIVE",
    ),
}


@pytest.mark.documented
@pytest.mark.parametrize(("act", "status"), RESTORED.values(), ids=RESTORED)
def test_an_archived_copy_is_restored_by_what_brings_it_again(here, there, act, status):
    push(here.home, "app", IMAGE, "v1")
    here.arrive()
    archive(there)
    act(here.home)
    here.sim.advance(hours=1)
    assert described(there, "app", imageDigest=IMAGE.digest)["imageStatus"] == status
    if status == "ACTIVE":
        assert pull(there, "app", imageTag="v1") == IMAGE.manifest


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
