"""What is written down about keys: KMS's own records of grants, and how often KMS was asked."""

import pytest

from ecrsim.core.runtime import root_caller
from ecrsim.records import tally
from tests.answers import ACCOUNT, REGION
from tests.ecr.encryption.conftest import ARN
from tests.keys import encrypted, make_key, shown_key
from tests.pushing import create, push

REPOSITORY = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/app"


@pytest.mark.documented
def test_a_repository_with_a_key_leaves_two_records_of_kms(sim, ecr):
    """As the user guide shows one, in members and values."""
    key = make_key(sim)
    create(ecr, **encrypted(key))
    events = sim.events(type="AWS API Call via CloudTrail")
    assert [event["source"] for event in events] == ["aws.kms", "aws.kms", "aws.ecr"]
    records = [event["detail"] for event in events]
    grants = [each for each in records if each["eventName"] == "CreateGrant"]
    shown = {each["grantId"] for each in shown_key(sim, key)["grants"]}
    assert {each["responseElements"]["grantId"] for each in grants} == shown
    assert len(grants) == 2
    for each in grants:
        assert each["eventSource"] == "kms.amazonaws.com"
        assert each["userIdentity"]["invokedBy"] == "AWS Internal"
        assert each["sourceIPAddress"] == "127.0.0.1"
        assert each["requestParameters"] == {
            "keyId": key.rpartition("/")[2],
            "granteePrincipal": f"ecr.{REGION}.amazonaws.com",
            "operations": ["GenerateDataKey", "Decrypt"],
            "retiringPrincipal": f"ecr.{REGION}.amazonaws.com",
            "constraints": {"encryptionContextSubset": {"aws:ecr:arn": REPOSITORY}},
        }
        assert each["readOnly"] is False
        assert each["resources"] == [{"accountId": ACCOUNT, "type": "AWS::KMS::Key", "ARN": key}]
        assert each["eventType"] == "AwsApiCall"
    (made,) = [each for each in records if each["eventName"] == "CreateRepository"]
    assert made["resources"] == [{"accountId": ACCOUNT, "ARN": REPOSITORY}]


def counted(sim):
    with sim.runtime.call(root_caller(ACCOUNT, REGION)) as call:
        tally.write_notes(call)
        return sum(row.times for row in tally.since(call, 0) if row.measure == tally.KMS_REQUEST)


def test_requests_to_a_kms_are_counted(sim, ecr, scripted):
    create(ecr, **encrypted(ARN))
    push(ecr, "app", None, "v1")
    ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    ecr.delete_repository(repositoryName="app", force=True)
    assert counted(sim) == scripted.asked.total() == 10


def test_what_the_ring_stands_for_is_counted_as_well(sim, ecr):
    create(ecr)
    push(ecr, "app", None, "v1")
    assert counted(sim) == 0
    create(ecr, "other", **encrypted(make_key(sim)))
    # DescribeKey and two CreateGrant.
    assert counted(sim) == 3
    ecr.initiate_layer_upload(repositoryName="other")
    assert counted(sim) == 4
    ecr.delete_repository(repositoryName="other")
    assert counted(sim) == 6
