"""What the documentation says besides of copies, their statuses and backfills: bounds, and what has no part in it."""

import json

import pytest

from ecrsim.core.partitions import partition_of
from ecrsim.testing import build_image
from tests.answers import ACCOUNT, bad_token, refusal
from tests.api import post, refusal_of
from tests.ecr.replication.conftest import EU, OTHER_ACCOUNT, configure_rules, permission, statuses
from tests.ecr.replication.test_backfills import NOBODY, place, start
from tests.ecr.replication.test_copies import names, pull, repository
from tests.ecr.replication.test_rules import EU as EU_REGISTRY
from tests.ecr.replication.test_rules import MANY, OTHER, rule
from tests.keys import make_key
from tests.pushing import create, index_of, listed, push

IMAGE, SECOND = build_image(b"a layer"), build_image(b"another layer")
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/12345678-1234-1234-1234-123456789012"
FAR_KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/12345678-1234-1234-1234-123456789012"


# --- the configuration: what the model lets be, and what it does not --------------------------------------------------

#: Filters that may be (documented by the pattern), and the name of a repository that each is for.
FILTERS = {
    "ab": "ab/c",
    "a-": "a-b",
    "a.": "a.b",
    "a_": "a_b",
    "team/": "team/app",
    "a/b/c-d": "a/b/c-d.e",
    "a" * 256: "a" * 256,
}


@pytest.mark.documented
@pytest.mark.parametrize(("prefix", "name"), FILTERS.items(), ids=lambda text: text[:12])
def test_filters_that_may_be(world, prefix, name):
    configure_rules(world.home, rule(EU_REGISTRY, prefixes=[prefix]))
    create(world.home, name)
    push(world.home, name, IMAGE, "v1")
    world.arrive()
    assert names(world.eu) == [name]


DESTINATION = {"region": "eu-west-1", "registryId": ACCOUNT}
FILTER = {"filter": "prod", "filterType": "PREFIX_MATCH"}
#: Requests that break the model.
MALFORMED = {
    "no configuration": {},
    "no rules": {"replicationConfiguration": {}},
    "no destinations": {"replicationConfiguration": {"rules": [{}]}},
    "no region": {"replicationConfiguration": {"rules": [{"destinations": [{"registryId": ACCOUNT}]}]}},
    "no account": {"replicationConfiguration": {"rules": [{"destinations": [{"region": "eu-west-1"}]}]}},
    "a region of 26": {"replicationConfiguration": {"rules": [{"destinations": [DESTINATION | {"region": "a" * 26}]}]}},
    "a region of one": {"replicationConfiguration": {"rules": [{"destinations": [DESTINATION | {"region": "a"}]}]}},
    "eleven digits": {
        "replicationConfiguration": {"rules": [{"destinations": [DESTINATION | {"registryId": "1" * 11}]}]}
    },
    "a filter of one": {
        "replicationConfiguration": {
            "rules": [{"destinations": [DESTINATION], "repositoryFilters": [FILTER | {"filter": "a"}]}]
        }
    },
    "a filter of 257": {
        "replicationConfiguration": {
            "rules": [{"destinations": [DESTINATION], "repositoryFilters": [FILTER | {"filter": "a" * 257}]}]
        }
    },
    "a filter without its type": {
        "replicationConfiguration": {
            "rules": [{"destinations": [DESTINATION], "repositoryFilters": [{"filter": "ab"}]}]
        }
    },
    "deletions that are not said to be on or off": {
        "replicationConfiguration": {"rules": [{"destinations": [DESTINATION], "deleteReplication": {}}]}
    },
}


@pytest.mark.documented
@pytest.mark.parametrize("members", MALFORMED.values(), ids=MALFORMED)
def test_configurations_that_break_the_model(sim, ecr, members):
    answer = post(sim, "PutReplicationConfiguration", members)
    assert (answer.status, refusal_of(answer).code) == (400, "InvalidParameterException")
    assert ecr.describe_registry()["replicationConfiguration"] == {"rules": []}


@pytest.mark.documented
def test_a_hundred_destinations_of_twenty_five(ecr):
    rules = [rule(*MANY[:25] * 4)]
    answer = ecr.put_replication_configuration(replicationConfiguration={"rules": rules})
    assert answer["replicationConfiguration"] == {"rules": rules}


# --- what the destination is like -------------------------------------------------------------------------------------

#: Encryption of the source → of the destination, which was made before or by a template; None: by nobody before.
ENCRYPTIONS = {
    "KMS to one that is not": ({"encryptionType": "KMS", "kmsKey": KEY}, {"encryptionType": "AES256"}),
    "one that is not to KMS": ({"encryptionType": "AES256"}, {"encryptionType": "KMS", "kmsKey": FAR_KEY}),
    "KMS to KMS, each with its key": (
        {"encryptionType": "KMS", "kmsKey": KEY},
        {"encryptionType": "KMS", "kmsKey": FAR_KEY},
    ),
}


@pytest.mark.documented
@pytest.mark.parametrize("is_by_template", [False, True])
@pytest.mark.parametrize(("source", "destination"), ENCRYPTIONS.values(), ids=ENCRYPTIONS)
def test_the_destination_encrypts_in_its_own_way(world, source, destination, is_by_template):
    for region in ("us-east-1", "eu-west-1"):
        make_key(world.sim, region=region, key_id=KEY.rpartition("/")[2])
    create(world.home, encryptionConfiguration=source)
    if is_by_template:
        role = f"arn:aws:iam::{ACCOUNT}:role/templates"
        world.eu.create_repository_creation_template(
            prefix="ROOT", appliedFor=["REPLICATION"], encryptionConfiguration=destination, customRoleArn=role
        )
    else:
        create(world.eu, encryptionConfiguration=destination)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()
    assert repository(world.eu)["encryptionConfiguration"] == destination
    assert pull(world.eu, "app", imageTag="v1") == IMAGE.manifest


@pytest.mark.documented
@pytest.mark.parametrize("there", ["ENABLED", "DISABLED"])
@pytest.mark.parametrize("here", ["ENABLED", "DISABLED"])
def test_mounting_decides_nothing_within_one_store(world, here, there):
    """Where ECR would mount it shares the layer; where it would not, it copies it: nobody sees the difference."""
    world.home.put_account_setting(name="BLOB_MOUNTING", value=here)
    world.eu.put_account_setting(name="BLOB_MOUNTING", value=there)
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()
    assert pull(world.eu, "app", imageTag="v1") == IMAGE.manifest


@pytest.mark.documented
@pytest.mark.parametrize("region", ["af-south-1", "ap-east-1", "eu-south-1", "me-south-1"])
def test_regions_need_no_opting_in(world, region):
    """A difference: ECR copies to a region only where both accounts have opted in to it."""
    assert partition_of(region).name == "aws"
    configure_rules(world.home, rule(EU_REGISTRY._replace(region=region)))
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()
    assert statuses(world.home, "app", imageTag="v1") == {(ACCOUNT, region): "COMPLETE"}


@pytest.mark.documented
def test_the_children_of_an_index_are_restored_where_they_were_archived(world):
    create(world.home)
    push(world.home, "app", IMAGE)
    world.arrive()
    image = {"repositoryName": "app", "imageId": {"imageDigest": IMAGE.digest}}
    world.eu.update_image_storage_class(**image, targetStorageClass="ARCHIVE")
    index = index_of(IMAGE)
    push(world.home, "app", index, "v1")
    world.arrive()
    assert pull(world.eu, "app", imageTag="v1") == index.manifest
    assert pull(world.eu, "app", imageDigest=IMAGE.digest) == IMAGE.manifest


@pytest.mark.documented
def test_a_chain_of_accounts_ends_at_the_first(world):
    """From one account to another, whose rules lead back and on."""
    other = world.client(region="eu-west-1", account=OTHER_ACCOUNT)
    other.put_registry_policy(policyText=permission("ReplicateImage", "CreateRepository"))
    configure_rules(world.home, rule(OTHER))
    configure_rules(other, rule(EU_REGISTRY))
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.sim.advance(days=1)
    assert listed(other, "app") == [(IMAGE.digest, "v1")]
    assert names(world.eu) == []


@pytest.mark.inferred
def test_a_permission_is_asked_for_when_the_copy_arrives(world):
    """ECR may still finish what is under way (documented); here it is denied."""
    configure_rules(world.home, rule(OTHER))
    other = world.client(region="eu-west-1", account=OTHER_ACCOUNT)
    other.put_registry_policy(policyText=permission("ReplicateImage", "CreateRepository"))
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    other.delete_registry_policy()
    world.arrive()
    assert statuses(world.home, "app", imageTag="v1") == {(OTHER_ACCOUNT, "eu-west-1"): "AccessDenied"}
    assert names(other) == []


# --- statuses ---------------------------------------------------------------------------------------------------------


@pytest.mark.documented
def test_a_status_has_an_entry_for_each_destination_and_says_why_it_failed(world):
    configure_rules(world.home, rule(EU_REGISTRY, OTHER))
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()
    answer = world.home.describe_image_replication_status(
        registryId=ACCOUNT, repositoryName="app", imageId={"imageDigest": IMAGE.digest}
    )
    assert answer["imageId"] == {"imageDigest": IMAGE.digest}
    assert answer["replicationStatuses"] == [
        {"region": "eu-west-1", "registryId": ACCOUNT, "status": "COMPLETE"},
        {"region": "eu-west-1", "registryId": OTHER_ACCOUNT, "status": "FAILED", "failureCode": "AccessDenied"},
    ]


@pytest.mark.documented
def test_a_failed_copy_is_tried_again_by_the_next_push(world):
    configure_rules(world.home, rule(OTHER))
    other = world.client(region="eu-west-1", account=OTHER_ACCOUNT)
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()
    other.put_registry_policy(policyText=permission("ReplicateImage", "CreateRepository"))
    push(world.home, "app", IMAGE, "v2")
    world.arrive()
    assert statuses(world.home, "app", imageTag="v1") == {(OTHER_ACCOUNT, "eu-west-1"): "COMPLETE"}


# --- backfills --------------------------------------------------------------------------------------------------------

#: Requests of backfills that break the model.
BROKEN_BACKFILLS = {
    "StartReplicationBackfill": [
        {},
        {"destination": {"region": "eu-west-1"}},
        {"destination": {"registryId": ACCOUNT}},
        {"destination": {"region": "Europe!", "registryId": ACCOUNT}},
        {"destination": {"region": "eu-west-1", "registryId": "me"}},
        {"destination": DESTINATION, "registryId": "me"},
    ],
    "StopReplicationBackfill": [{}, {"replicationBackfillId": "no id"}],
    "ListReplicationBackfills": [{"maxResults": 0}, {"maxResults": 51}],
    "DescribeReplicationBackfillResults": [
        {},
        {"replicationBackfillId": "no id"},
        {"replicationBackfillId": NOBODY, "maxResults": 0},
        {"replicationBackfillId": NOBODY, "maxResults": 1001},
        {"replicationBackfillId": NOBODY, "resultStatusFilter": "STOPPED"},
    ],
}


@pytest.mark.documented
@pytest.mark.parametrize(
    ("operation", "members"),
    [(name, members) for name, each in BROKEN_BACKFILLS.items() for members in each],
    ids=json.dumps,
)
def test_backfills_that_break_the_model(sim, operation, members):
    answer = post(sim, operation, members)
    assert (answer.status, refusal_of(answer).code) == (400, "InvalidParameterException")


@pytest.mark.documented
def test_a_page_of_backfills_has_25_unless_told(world):
    regions = [EU_REGISTRY._replace(region=f"eu-west-{number}") for number in range(1, 11)]
    configure_rules(world.home, rule(*regions))
    for _ in range(3):
        for region in regions:
            start(world.home, region)
        world.sim.advance(minutes=1)
    first = world.home.list_replication_backfills()
    assert len(first["backfills"]) == 25
    rest = world.home.list_replication_backfills(nextToken=first["nextToken"], maxResults=50)
    assert (len(rest["backfills"]), "nextToken" in rest) == (5, False)
    assert refusal(world.eu.list_replication_backfills, nextToken=first["nextToken"]) == bad_token()


@pytest.mark.documented
def test_the_list_says_how_each_stands(world):
    """The progress of one that was stopped while it prepared is never known; an end has its time."""
    configure_rules(world.home, rule(EU_REGISTRY, OTHER))
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    world.arrive()
    stopped = start(world.home)
    world.home.stop_replication_backfill(replicationBackfillId=stopped)
    done = start(world.home)
    world.sim.advance(minutes=1)
    last, first = world.home.list_replication_backfills()["backfills"]
    assert (first["replicationBackfillId"], first["status"]) == (stopped, "STOPPED")
    assert (last["replicationBackfillId"], last["status"]) == (done, "COMPLETE")
    assert "progress" not in first
    assert last["progress"] == {
        "totalReplicationCount": 1,
        "completedReplicationCount": 1,
        "failedReplicationCount": 0,
        "failureCodes": [],
    }
    assert {"startedAt", "endedAt"} <= first.keys() & last.keys()
    assert last["destination"] == place(EU_REGISTRY)


@pytest.mark.documented
def test_another_one_may_begin_where_one_has_ended(world):
    first = start(world.home)
    world.sim.advance(minutes=1)
    assert start(world.home) != first


@pytest.mark.documented
def test_a_denied_backfill_is_on_the_trail_of_the_destination(world):
    configure_rules(world.home)
    create(world.home)
    push(world.home, "app", IMAGE, "v1")
    configure_rules(world.home, rule(OTHER))
    start(world.home, OTHER)
    world.sim.advance(minutes=1)
    (denied,) = [each for each in world.sim.events() if each["detail"].get("errorCode") == "AccessDenied"]
    assert (denied["account"], denied["region"]) == (OTHER_ACCOUNT, "eu-west-1")
    assert "AWSServiceRoleForECRReplication" in denied["detail"]["errorMessage"]
    assert statuses(world.home, "app", imageTag="v1") == {(OTHER_ACCOUNT, "eu-west-1"): "AccessDenied"}


@pytest.mark.documented
def test_only_of_an_index_it_says_why_images_failed(world):
    configure_rules(world.home)
    create(world.home)
    push(world.home, "app", SECOND, "v1")
    configure_rules(world.home, rule(OTHER))
    number = start(world.home, OTHER)
    world.sim.advance(minutes=1)
    (result,) = world.home.describe_replication_backfill_results(replicationBackfillId=number)["results"]
    assert result == {
        "repositoryName": "app",
        "imageId": {"imageDigest": SECOND.digest, "imageTag": "v1"},
        "status": "FAILED",
        "failureCode": "AccessDenied",
    }
    assert EU not in statuses(world.home, "app", imageTag="v1")
