"""A registry that signs what is pushed, and what its signatures look like."""

import json
from typing import Any, NamedTuple

import orjson
import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.signing import envelope
from tests.answers import ACCOUNT, REGION
from tests.principals import admin
from tests.pushing import create

NOTARY = "application/vnd.cncf.notary.signature"


def arn_of(name: str, account: str = ACCOUNT, region: str = REGION) -> str:
    return f"arn:aws:signer:{region}:{account}:/signing-profiles/{name}"


def rule(name: str = "prod", *filters: str, **place: str) -> dict[str, Any]:
    """A rule for a profile, with filters of repositories or for all."""
    given: dict[str, Any] = {"signingProfileArn": arn_of(name, **place)}
    if filters:
        given["repositoryFilters"] = [{"filter": each, "filterType": "WILDCARD_MATCH"} for each in filters]
    return given


def configure(ecr: Any, *rules: dict[str, Any]) -> None:
    ecr.put_signing_configuration(signingConfiguration={"rules": list(rules)})


def make_profiles(sim: Ecrsim, *profiles: Any) -> None:
    """Make these the profiles that there are; a text is a name."""
    given = [{"name": each} if isinstance(each, str) else each for each in profiles]
    answer = admin(sim, "PUT", "signing-profiles", {"signing_profiles": given})
    assert answer.status == 200, answer.body


def statuses(ecr: Any, name: str = "app", **image_id: str) -> dict[str, str]:
    """Name of a profile → status of its signature, or why it failed."""
    answer = ecr.describe_image_signing_status(repositoryName=name, imageId=image_id or {"imageTag": "v1"})
    return {
        each["signingProfileArn"].rpartition("/")[2]: each.get("failureCode") or each["status"]
        for each in answer["signingStatuses"]
    }


def referrers(ecr: Any, digest: str, name: str = "app") -> list[dict[str, Any]]:
    """The signatures of an image, oldest first."""
    answer = ecr.list_image_referrers(
        repositoryName=name, subjectId={"imageDigest": digest}, filter={"artifactTypes": [NOTARY]}
    )
    return answer["referrers"]


def manifest_of(ecr: Any, digest: str, name: str = "app") -> dict[str, Any]:
    (image,) = ecr.batch_get_image(repositoryName=name, imageIds=[{"imageDigest": digest}])["images"]
    return json.loads(image["imageManifest"])


def envelope_of(sim: Ecrsim, ecr: Any, digest: str, name: str = "app") -> bytes:
    """The bytes of the envelope of a signature."""
    (layer,) = manifest_of(ecr, digest, name)["layers"]
    with sim.runtime.blobs.open(layer["digest"]) as blob:
        return blob.read()


class Signed(NamedTuple):
    """The world of the tests: the clock stands still, `prod` signs what is pushed to any repository."""

    sim: Ecrsim
    ecr: Any

    def wait(self, seconds: int = 1) -> None:
        self.sim.advance(seconds=seconds)

    def open(self, digest: str, name: str = "app") -> envelope.Envelope:
        """The only signature of an image."""
        (found,) = referrers(self.ecr, digest, name)
        return envelope.read(envelope_of(self.sim, self.ecr, found["digest"], name))

    def in_words(self, image: str) -> list[dict[str, Any]]:
        answer = admin(self.sim, "GET", f"signatures?image={image}")
        assert answer.status == 200, answer.body
        return orjson.loads(answer.body)["signatures"]


@pytest.fixture
def signed(sim, ecr) -> Signed:
    sim.freeze("2026-01-01T00:00:00Z")
    make_profiles(sim, "prod")
    configure(ecr, rule())
    create(ecr)
    return Signed(sim, ecr)
