"""Backfills, from their start to their end: each row of the documentation is one here."""

from datetime import timedelta

import pytest

from ecrsim.testing import build_image
from tests.answers import ACCOUNT, constraint, inferred, refusal
from tests.ecr.replication.conftest import EU, OTHER_ACCOUNT, configure_rules, permission, statuses
from tests.ecr.replication.test_rules import ASIA, HOME, MANY, OTHER, rule
from tests.ecr.replication.test_rules import EU as EU_REGISTRY
from tests.pushing import create, entries, index_of, listed, numbered, push, put

IMAGE = build_image(b"a layer")
NOBODY = "00000000-0000-4000-8000-000000000000"


def place(registry):
    return {"region": registry.region, "registryId": registry.account}


def start(client, registry=EU_REGISTRY):
    return client.start_replication_backfill(destination=place(registry))["replicationBackfillId"]


def state(client, number):
    """Status, and how many of how many were copied; None before they are counted."""
    answer = client.describe_replication_backfill_results(replicationBackfillId=number)
    progress = answer.get("progress")
    counts = progress and (progress["completedReplicationCount"], progress["totalReplicationCount"])
    return answer["status"], counts


def results(client, number, **options):
    pages = client.get_paginator("describe_replication_backfill_results").paginate(
        replicationBackfillId=number, **options
    )
    return [
        (each["repositoryName"], each["imageId"].get("imageTag"), each.get("failureCode") or each["status"])
        for page in pages
        for each in page["results"]
    ]


def all_listed(client, name="app"):
    pages = client.get_paginator("list_images").paginate(repositoryName=name)
    return [entry for page in pages for entry in entries(page)]


def fill(client, count, name="app"):
    """So many small images with a tag each, from before any rule."""
    create(client, name)
    images = [numbered(number) for number in range(count)]
    push(client, name, images[0], "v0")
    for number in range(1, count):
        put(client, name, images[number], f"v{number}")
    return images


@pytest.fixture
def before(world):
    """No rules yet."""
    configure_rules(world.home)
    return world


@pytest.mark.documented
class TestWhatItCopies:
    def test_each_tag_counts_and_an_untagged_image_too(self, before):
        create(before.home)
        push(before.home, "app", IMAGE, "v1", "v2", "v3")
        push(before.home, "app", numbered(1))
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        before.sim.advance(minutes=1)
        assert state(before.home, number) == ("COMPLETE", (4, 4))
        assert results(before.home, number) == [("app", tag, "COMPLETE") for tag in ("v1", "v2", "v3", None)]
        assert sorted(listed(before.eu, "app"), key=str) == sorted(listed(before.home, "app"), key=str)
        assert statuses(before.home, "app", imageTag="v1") == {EU: "COMPLETE"}

    def test_what_the_rules_to_that_destination_match_now(self, before):
        for name in ("app", "prod/app", "test/app"):
            create(before.home, name)
            push(before.home, name, IMAGE, "v1")
        configure_rules(before.home, rule(EU_REGISTRY, prefixes=["prod"]), rule(ASIA))
        number = start(before.home)
        configure_rules(before.home, rule(EU_REGISTRY, prefixes=["test"]))
        before.sim.advance(minutes=1)
        assert results(before.home, number) == [("test/app", "v1", "COMPLETE")]

    @pytest.mark.inferred
    def test_no_archived_image(self, before):
        create(before.home)
        push(before.home, "app", IMAGE, "v1")
        before.home.update_image_storage_class(
            repositoryName="app", imageId={"imageTag": "v1"}, targetStorageClass="ARCHIVE"
        )
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        before.sim.advance(minutes=1)
        assert state(before.home, number) == ("COMPLETE", (0, 0))

    def test_an_index_with_its_images(self, before):
        create(before.home)
        push(before.home, "app", IMAGE)
        index = index_of(IMAGE)
        push(before.home, "app", index, "v1")
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        before.sim.advance(minutes=1)
        assert state(before.home, number) == ("COMPLETE", (2, 2))
        assert sorted(listed(before.eu, "app"), key=str) == sorted(listed(before.home, "app"), key=str)

    def test_what_is_gone_meanwhile_has_failed(self, before):
        for name in ("app", "other"):
            create(before.home, name)
            push(before.home, name, IMAGE, "v1", "v2")
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        before.sim.advance(seconds=1)
        before.home.delete_repository(repositoryName="other", force=True)
        before.home.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
        before.sim.advance(minutes=1)
        assert results(before.home, number) == [
            ("app", "v1", "ImageNotFound"),
            ("app", "v2", "COMPLETE"),
            ("other", "v1", "RepositoryNotFound"),
            ("other", "v2", "RepositoryNotFound"),
        ]
        answer = before.home.describe_replication_backfill_results(replicationBackfillId=number)
        assert answer["status"] == "COMPLETE"
        assert answer["progress"] == {
            "totalReplicationCount": 4,
            "completedReplicationCount": 1,
            "failedReplicationCount": 3,
            "failureCodes": ["ImageNotFound", "RepositoryNotFound"],
        }

    @pytest.mark.inferred
    def test_of_an_index_it_says_why_its_images_failed(self, before, configure):
        create(before.home)
        push(before.home, "app", IMAGE)
        push(before.home, "app", index_of(IMAGE), "v1")
        configure_rules(before.home, rule(EU_REGISTRY))
        create(before.eu)
        push(before.eu, "app", numbered(1))
        configure(quota_images=1)
        number = start(before.home)
        before.sim.advance(minutes=1)
        answer = before.home.describe_replication_backfill_results(replicationBackfillId=number)
        assert [(each["failureCode"], each.get("subImageFailureCodes")) for each in answer["results"]] == [
            ("LimitExceeded", None),
            ("LimitExceeded", ["LimitExceeded"]),
        ]

    def test_a_push_that_is_under_way_arrives_with_its_tag(self, world):
        create(world.home)
        push(world.home, "app", IMAGE, "v1")
        start(world.home)
        put(world.home, "app", IMAGE, "v2")
        world.sim.advance(minutes=1)
        assert listed(world.eu, "app") == [(IMAGE.digest, "v1"), (IMAGE.digest, "v2")]


@pytest.mark.documented
class TestItsLife:
    def test_it_is_prepared_goes_on_and_ends(self, before, configure):
        configure(replication_delay=10)
        fill(before.home, 120)
        configure_rules(before.home, rule(EU_REGISTRY))
        answer = before.home.start_replication_backfill(destination=place(EU_REGISTRY))
        number = answer["replicationBackfillId"]
        answer.pop("ResponseMetadata")
        assert answer == {
            "replicationBackfillId": number,
            "registryId": ACCOUNT,
            "destination": place(EU_REGISTRY),
            "status": "PREPARING",
            "startedAt": answer["startedAt"],
        }
        seen = [state(before.home, number)]
        for _ in range(4):
            before.sim.advance(seconds=10)
            seen.append(state(before.home, number))
        assert seen == [
            ("PREPARING", None),
            ("IN_PROGRESS", (0, 120)),
            ("IN_PROGRESS", (50, 120)),
            ("IN_PROGRESS", (100, 120)),
            ("COMPLETE", (120, 120)),
        ]
        answer = before.home.describe_replication_backfill_results(replicationBackfillId=number)
        assert answer["endedAt"] - answer["startedAt"] == timedelta(seconds=40)
        (event,) = before.sim.events(type="ECR Replication Backfill Action")
        assert event["detail"]["status"] == "COMPLETE"
        assert event["detail"]["replication-backfill-id"] == number

    def test_there_are_no_results_before_the_end(self, before):
        fill(before.home, 60)
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        before.sim.advance(seconds=2)
        answer = before.home.describe_replication_backfill_results(replicationBackfillId=number)
        assert answer["status"] == "IN_PROGRESS"
        assert "results" not in answer

    def test_one_that_prepares_stops_at_once(self, before):
        fill(before.home, 1)
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        assert before.home.stop_replication_backfill(replicationBackfillId=number)["status"] == "STOPPED"
        before.sim.advance(days=1)
        assert state(before.home, number) == ("STOPPED", None)
        assert before.eu.describe_repositories()["repositories"] == []

    @pytest.mark.slow
    def test_a_thousand_images_stopped_in_the_middle_and_gone_on_with(self, before):
        """What was under way arrives; a new one copies the rest, and finds the first part there."""
        images = fill(before.home, 1_000)
        configure_rules(before.home, rule(EU_REGISTRY))
        first = start(before.home)
        before.sim.advance(seconds=11)
        assert state(before.home, first) == ("IN_PROGRESS", (500, 1_000))
        assert before.home.stop_replication_backfill(replicationBackfillId=first)["status"] == "STOPPING"
        before.sim.advance(minutes=1)
        assert state(before.home, first) == ("STOPPED", (550, 1_000))
        assert len(results(before.home, first)) == 550
        assert all_listed(before.eu) == [(image.digest, f"v{number}") for number, image in enumerate(images[:550])]
        second = start(before.home)
        before.sim.advance(minutes=1)
        assert state(before.home, second) == ("COMPLETE", (1_000, 1_000))
        assert all_listed(before.eu) == [(image.digest, f"v{number}") for number, image in enumerate(images)]

    def test_too_many_failures_end_it(self, before):
        fill(before.home, 160)
        configure_rules(before.home, rule(OTHER))
        number = start(before.home, OTHER)
        before.sim.advance(minutes=1)
        answer = before.home.describe_replication_backfill_results(replicationBackfillId=number)
        assert (answer["status"], answer["failureCode"]) == ("FAILED", "ReplicationFailureThresholdExceeded")
        assert answer["progress"] == {
            "totalReplicationCount": 160,
            "completedReplicationCount": 0,
            "failedReplicationCount": 100,
            "failureCodes": ["AccessDenied"],
        }
        assert results(before.home, number, resultStatusFilter="FAILED") == [
            ("app", f"v{each}", "AccessDenied") for each in range(100)
        ]
        assert results(before.home, number, resultStatusFilter="COMPLETE") == []

    def test_it_is_forgotten_after_90_days(self, before):
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        before.sim.advance(days=89)
        assert state(before.home, number) == ("COMPLETE", (0, 0))
        before.sim.advance(days=2)
        assert before.home.list_replication_backfills()["backfills"] == []

    @pytest.mark.inferred
    def test_what_breaks_is_tried_again_and_given_up_in_the_end(self, before, monkeypatch):
        def broken(*_arguments):
            raise RuntimeError("broken")

        fill(before.home, 1)
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        monkeypatch.setattr("ecrsim.ecr.replication.jobs.copy", broken)
        before.sim.advance(days=1)
        answer = before.home.describe_replication_backfill_results(replicationBackfillId=number)
        assert (answer["status"], answer["failureCode"]) == ("FAILED", "InternalError")

    def test_another_account_with_permission(self, before):
        fill(before.home, 3)
        other = before.client(region="eu-west-1", account=OTHER_ACCOUNT)
        other.put_registry_policy(policyText=permission("ReplicateImage", "CreateRepository"))
        configure_rules(before.home, rule(OTHER))
        number = start(before.home, OTHER)
        before.sim.advance(minutes=1)
        assert state(before.home, number) == ("COMPLETE", (3, 3))
        assert len(listed(other, "app")) == 3


class TestListing:
    @pytest.mark.inferred
    def test_the_newest_come_first_page_by_page(self, before):
        registries = MANY[1:6]
        regions = [each._replace(region=f"eu-west-{number}") for number, each in enumerate(registries, 1)]
        configure_rules(before.home, rule(*regions))
        numbers = [start(before.home, each) for each in regions]
        pages = list(before.home.get_paginator("list_replication_backfills").paginate(maxResults=2))
        assert [len(page["backfills"]) for page in pages] == [2, 2, 1]
        found = [each for page in pages for each in page["backfills"]]
        assert [each["replicationBackfillId"] for each in found] == numbers[::-1]
        assert {each["status"] for each in found} == {"PREPARING"}
        assert found[0].keys() == {"replicationBackfillId", "destination", "status", "startedAt"}

    @pytest.mark.documented
    def test_results_come_page_by_page(self, before):
        fill(before.home, 7)
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        before.sim.advance(minutes=1)
        first = before.home.describe_replication_backfill_results(replicationBackfillId=number, maxResults=3)
        assert len(first["results"]) == 3
        assert [tag for _, tag, _ in results(before.home, number, PaginationConfig={"PageSize": 3})] == [
            f"v{each}" for each in range(7)
        ]

    @pytest.mark.documented
    def test_the_id_is_taken_in_either_case(self, before):
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        assert state(before.home, number.upper())[0] == "PREPARING"


class TestRefusals:
    def test_a_destination_that_no_rule_names(self, before):
        wanted = inferred(
            "InvalidParameterException",
            constraint("destination", "The destination is not in the replication configuration of the registry"),
        )
        for registry in (EU_REGISTRY, HOME):
            assert refusal(before.home.start_replication_backfill, destination=place(registry)) == wanted

    def test_a_second_one_to_the_same_region(self, before):
        """Whatever the account (documented)."""
        configure_rules(before.home, rule(EU_REGISTRY, OTHER))
        number = start(before.home)
        wanted = inferred(
            "ReplicationBackfillInProgressException",
            "A replication backfill to the destination region 'eu-west-1' is already in progress",
        )
        assert refusal(before.home.start_replication_backfill, destination=place(OTHER)) == wanted
        before.home.stop_replication_backfill(replicationBackfillId=number)
        start(before.home, OTHER)

    def test_an_eleventh(self, before):
        regions = [EU_REGISTRY._replace(region=f"eu-west-{number}") for number in range(1, 12)]
        configure_rules(before.home, rule(*regions))
        for registry in regions[:10]:
            start(before.home, registry)
        assert refusal(before.home.start_replication_backfill, destination=place(regions[10])) == inferred(
            "LimitExceededException",
            "The maximum number of concurrent replication backfills "
            f"in the registry with id '{ACCOUNT}' has been reached",
        )

    def test_an_unknown_one(self, before):
        wanted = inferred(
            "ReplicationBackfillNotFoundException",
            f"The replication backfill with id '{NOBODY}' does not exist in the registry with id '{ACCOUNT}'",
        )
        for operation in (before.home.stop_replication_backfill, before.home.describe_replication_backfill_results):
            assert refusal(operation, replicationBackfillId=NOBODY) == wanted

    def test_one_of_another_registry(self, before):
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        stop = before.eu.stop_replication_backfill
        assert refusal(stop, replicationBackfillId=number).code == "ReplicationBackfillNotFoundException"

    @pytest.mark.documented
    def test_stopping_what_is_stopping_or_has_ended(self, before):
        fill(before.home, 60)
        configure_rules(before.home, rule(EU_REGISTRY))
        number = start(before.home)
        before.sim.advance(seconds=1)
        stop = before.home.stop_replication_backfill
        assert stop(replicationBackfillId=number)["status"] == "STOPPING"
        assert refusal(stop, replicationBackfillId=number) == inferred(
            "ReplicationBackfillInvalidStatusException",
            f"The replication backfill with id '{number}' cannot be stopped in the status STOPPING",
        )
        before.sim.advance(minutes=1)
        assert refusal(stop, replicationBackfillId=number).code == "ReplicationBackfillInvalidStatusException"
