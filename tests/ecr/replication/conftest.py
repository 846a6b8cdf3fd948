"""Registries that copies go to, and the rules that say so."""

import json
from typing import Any, NamedTuple

import pytest

from ecrsim import Ecrsim
from ecrsim.config import Texts
from tests.answers import ACCOUNT, REGION
from tests.ecr.replication.test_rules import EU as EU_REGISTRY
from tests.ecr.replication.test_rules import rule
from tests.pushing import create

OTHER_ACCOUNT = "111111111111"


def permission(*actions: str, source: str = ACCOUNT, **members: Any) -> str:
    """A registry policy that lets another account replicate into the registry."""
    statement = {
        "Sid": "Replicate",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{source}:root"},
        "Action": [f"ecr:{action}" for action in actions],
        "Resource": "*",
        **members,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def configure_rules(ecr: Any, *rules: dict[str, Any]) -> None:
    ecr.put_replication_configuration(replicationConfiguration={"rules": list(rules)})


def statuses(ecr: Any, name: str, **image_id: str) -> dict[tuple[str, str], str]:
    """(account, region) of each destination → the status of the copy, or why it failed."""
    answer = ecr.describe_image_replication_status(repositoryName=name, imageId=image_id)
    return {
        (each["registryId"], each["region"]): each.get("failureCode") or each["status"]
        for each in answer["replicationStatuses"]
    }


class World(NamedTuple):
    """The clock stands still; `home` copies to `eu`, and to nobody else unless a test says so."""

    sim: Any
    home: Any
    eu: Any
    client: Any

    def arrive(self) -> None:
        """Let all copies arrive that are under way."""
        self.sim.advance(seconds=self.sim.runtime.config.replication_delay)


@pytest.fixture
def world(sim, client):
    sim.freeze("2026-01-01T00:00:00Z")
    home = client()
    configure_rules(home, rule(EU_REGISTRY))
    return World(sim, home, client(region="eu-west-1"), client)


# --- another site -----------------------------------------------------------------------------------------------------


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


HOME = (ACCOUNT, REGION)
EU = (ACCOUNT, "eu-west-1")
