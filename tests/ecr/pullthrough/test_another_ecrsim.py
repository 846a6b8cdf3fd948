"""Another ecrsim as the ECR behind a rule: who asks it, by which role."""

import json

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import build_image
from tests.answers import ACCOUNT, REGION
from tests.core.upstream.servers import Registry
from tests.ecr.pullthrough.caching import error_of
from tests.principals import document, know, statement
from tests.pushing import push

IMAGE = build_image(b"a layer")
FAR = "111111111111"
NAME = f"{FAR}.dkr.ecr.{REGION}.amazonaws.com"
ROLE, ROOT = f"arn:aws:iam::{ACCOUNT}:role/cache", f"arn:aws:iam::{ACCOUNT}:root"


@pytest.fixture
def start(cache, stack):
    """A cache before another ecrsim, in which `principal` may pull."""

    def make(principal, roles=(), **settings):
        other = stack.enter_context(Ecrsim(**settings))
        know(other, {"roles": list(roles)})
        ecr = other.client("ecr", account=FAR)
        ecr.create_repository(repositoryName="library/app")
        push(ecr, "library/app", IMAGE, "v1")
        actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        allowed = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions}
        text = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        ecr.set_repository_policy(repositoryName="library/app", policyText=text)
        found = cache(Registry({}), upstream=(f"{NAME}={other.endpoint_url}",))
        found.name = NAME
        found.rule(customRoleArn=ROLE)
        return found

    return make


def test_the_role_is_assumed_there(start):
    rights = statement("ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    service = {"Service": "pullthroughcache.ecr.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": service, "Action": "sts:AssumeRole"}
    role = {"name": "cache", "trust": document(trust), "policies": [document(rights)]}
    assert start(ROLE, [role], open_assume_role=True).whole("v1") == IMAGE.blobs


def test_one_that_is_not_known_there_too(start):
    assert start(ROOT, open_assume_role=True).whole("v1") == IMAGE.blobs


def test_where_it_may_not_be_assumed_the_root_user_asks(start):
    assert start(ROOT).whole("v1") == IMAGE.blobs


def test_and_is_denied_what_the_role_alone_may(start):
    assert error_of(start(ROLE).pull("v1"))[:2] == (403, "DENIED")
