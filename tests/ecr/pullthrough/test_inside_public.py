"""ECR Public as the upstream of a cache, both in this ecrsim."""

import pytest

from ecrsim.testing import build_image
from tests.core.upstream.servers import Registry
from tests.ecr.pullthrough.caching import error_of
from tests.ecr_public.conftest import alias_of
from tests.pushing import artifact_of, push

IMAGE, OTHER = build_image(b"a layer"), build_image(b"another")


@pytest.fixture
def found(cache):
    """A cache of public.ecr.aws, and a public repository `app` of another account."""
    cached = cache(Registry({}))
    public = cached.sim.client("ecr-public", account="111111111111")
    public.create_repository(repositoryName="app")
    push(public, "app", IMAGE, "v1")
    cached.name = "public.ecr.aws"
    cached.rule()
    cached.public, cached.path = public, f"cache/{alias_of(public)}/app"
    return cached


def pull(found, reference="v1"):
    return found.pull(reference, found.path)


@pytest.mark.parametrize("reference", ["v1", IMAGE.digest])
def test_an_image_comes_from_the_public_repository(found, reference):
    answer = pull(found, reference)
    assert (answer.status, answer.body) == (200, IMAGE.manifest)
    for digest, data in IMAGE.blobs.items():
        assert found.ask("GET", f"/v2/{found.path}/blobs/{digest}").body == data
    assert found.names() == [found.path]


def test_a_tag_that_moves_moves_after_a_day(found):
    assert pull(found).body == IMAGE.manifest
    push(found.public, "app", OTHER, "v1")
    assert pull(found).body == IMAGE.manifest
    found.sim.advance(hours=25)
    assert pull(found).body == OTHER.manifest


def test_referrers_come_too(found):
    push(found.public, "app", artifact_of(IMAGE))
    assert pull(found).status == 200
    answer = found.ask("GET", f"/v2/{found.path}/referrers/{IMAGE.digest}").json()
    assert [each["digest"] for each in answer["manifests"]] == [artifact_of(IMAGE).digest]


@pytest.mark.parametrize("path", ["cache/nobody/app", "cache/{alias}/nothing", "cache/app"])
def test_what_is_not_there(found, path):
    found.path = path.format(alias=alias_of(found.public))
    assert error_of(pull(found))[0] == 404


def test_an_image_that_is_not_there(found):
    assert error_of(pull(found, "v2"))[:2] == (404, "MANIFEST_UNKNOWN")
