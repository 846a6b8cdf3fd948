"""AWS's partitions: which regions are in each, and what the names of its hosts end in. Pure data.

Held against botocore's own table by a test, which names what is missing when AWS opens another.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Partition(NamedTuple):
    """`name`: the second part of an ARN. `region_prefix`: what the names of its regions begin with."""

    name: str
    region_prefix: str
    dns_suffix: str


#: The last one has every region that no other has.
PARTITIONS = (
    Partition("aws-cn", "cn-", "amazonaws.com.cn"),
    Partition("aws-us-gov", "us-gov-", "amazonaws.com"),
    Partition("aws-iso", "us-iso-", "c2s.ic.gov"),
    Partition("aws-iso-b", "us-isob-", "sc2s.sgov.gov"),
    Partition("aws-iso-e", "eu-isoe-", "cloud.adc-e.uk"),
    Partition("aws-iso-f", "us-isof-", "csp.hci.ic.gov"),
    Partition("aws-eusc", "eusc-", "amazonaws.eu"),
    Partition("aws", "", "amazonaws.com"),
)


@lru_cache(maxsize=1024)
def partition_of(region: str) -> Partition:
    """The partition that a region is in."""
    return next(each for each in PARTITIONS if region.startswith(each.region_prefix))
