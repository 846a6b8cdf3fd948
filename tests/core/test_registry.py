"""ARNs, with botocore as the judge of partitions."""

import json
from pathlib import Path

import boto3
import botocore
import pytest

from ecrsim.core.partitions import PARTITIONS, partition_of
from ecrsim.core.registry import PUBLIC_REGION, Registry, parse_arn, partition, root_arn

ARN = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"


@pytest.fixture(scope="module")
def session():
    return boto3.Session()


def test_every_region_is_in_the_partition_that_botocore_puts_it(session):
    regions = [
        (region, name)
        for name in session.get_available_partitions()
        for region in session.get_available_regions("ecr", name)
    ]
    assert len(regions) > 30
    assert {region: partition(region) for region, _ in regions} == dict(regions)


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("us-east-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"),
        ("us-isof-south-1", "aws-iso-f"),
        ("eusc-de-east-1", "aws-eusc"),
        ("nowhere-1", "aws"),
    ],
)
def test_partitions(region, expected):
    assert partition(region) == expected


def test_a_repository_s_arn_can_be_read_back():
    registry = Registry("123456789012", "cn-north-1")
    arn = registry.arn("team/app")

    assert arn == "arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/app"
    assert parse_arn(arn) == (registry, "team/app")


def test_a_public_repository_s_arn_has_no_region():
    registry = Registry("123456789012", PUBLIC_REGION, "public")

    assert registry.arn("team/app") == "arn:aws:ecr-public::123456789012:repository/team/app"
    assert parse_arn(registry.arn("team/app")) == (registry, "team/app")
    assert Registry.of_service("ecr-public", "123456789012", "eu-west-1") == registry


@pytest.mark.parametrize(
    ("service", "action", "source", "host"),
    [
        ("ecr", "ecr:PutImage", "ecr.amazonaws.com", "123456789012.dkr.ecr.us-east-1.amazonaws.com"),
        ("ecr-public", "ecr-public:PutImage", "ecr-public.amazonaws.com", "public.ecr.aws"),
    ],
)
def test_a_registry_makes_the_names_of_its_service(service, action, source, host):
    registry = Registry.of_service(service, "123456789012", "us-east-1")

    assert registry.service == service
    assert registry.action("PutImage") == action
    assert registry.event_source == source
    assert registry.host == host
    assert registry.resource(None) == "*"
    assert registry.resource("app") == registry.arn("app")


@pytest.mark.parametrize(
    "arn",
    [
        pytest.param("", id="nothing"),
        pytest.param("team/app", id="a name"),
        pytest.param(ARN.removesuffix("team/app"), id="no name"),
        pytest.param(ARN.replace("repository/", "repo/"), id="another resource"),
        pytest.param(ARN.replace(":ecr:", ":ecr-public:"), id="another service"),
        pytest.param(ARN.replace("123456789012", "12345678901"), id="eleven digits"),
        pytest.param(ARN.replace("123456789012", "1234567890123"), id="thirteen digits"),
        pytest.param(ARN.replace("123456789012", "\u0661" * 12), id="digits of another script"),
        pytest.param(ARN.replace("123456789012", ""), id="no account"),
        pytest.param(ARN.replace("us-east-1", ""), id="no region"),
        pytest.param(ARN.replace("us-east-1", "cn-north-1"), id="a region of another partition"),
        pytest.param(ARN.replace("arn:aws:", "arn:aws-cn:"), id="a partition without the region"),
        pytest.param(ARN.replace("arn:aws:", "arn:gcp:"), id="no partition"),
        pytest.param(" " + ARN, id="a space in front"),
        pytest.param(ARN.upper(), id="capitals"),
    ],
)
def test_what_is_no_repository_s_arn(arn):
    assert parse_arn(arn) is None


def test_a_root_s_arn_has_no_region():
    assert root_arn("123456789012", "us-gov-west-1") == "arn:aws-us-gov:iam::123456789012:root"


def test_a_registry_is_private_unless_it_says_otherwise():
    assert Registry("123456789012", "us-east-1") == ("123456789012", "us-east-1", "private")


def test_the_table_of_partitions_is_botocore_s():
    """Names, suffixes and regions; a partition that AWS opens is missing here until somebody adds it."""
    data = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text())["partitions"]
    assert {each.name: each.dns_suffix for each in PARTITIONS} == {
        each["id"]: each["outputs"]["dnsSuffix"] for each in data
    }
    for each in data:
        for region in each["regions"]:
            if not region.endswith("-global"):
                assert partition_of(region).name == each["id"], region


@pytest.mark.parametrize(
    ("region", "suffix"),
    [
        ("eu-central-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
        ("us-gov-west-1", "amazonaws.com"),
        ("eusc-de-east-1", "amazonaws.eu"),
        ("us-iso-east-1", "c2s.ic.gov"),
        ("us-isob-east-1", "sc2s.sgov.gov"),
        ("eu-isoe-west-1", "cloud.adc-e.uk"),
        ("us-isof-south-1", "csp.hci.ic.gov"),
    ],
)
def test_the_host_of_a_registry_ends_as_its_partition_s_hosts_do(region, suffix):
    assert Registry("123456789012", region).host == f"123456789012.dkr.ecr.{region}.{suffix}"
