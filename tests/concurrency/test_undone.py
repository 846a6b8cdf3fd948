"""Uploads whose transactions are undone by the database: they are done again, and bytes that came are not."""

import contextlib
import hashlib
from collections import Counter

import pytest

from ecrsim.core.errors import ServiceUnavailableException
from ecrsim.testing import call_application
from tests.principals import admin

LAYER = b"a layer" * 1000
DIGEST = f"sha256:{hashlib.sha256(LAYER).hexdigest()}"


@pytest.fixture
def undone(sim, monkeypatch):
    """Transactions of these scopes are undone at their end, each as often as is said."""
    sim.client().create_repository(repositoryName="app")
    write, times = sim.runtime.database.write, Counter()

    @contextlib.contextmanager
    def undoing(scope=""):
        with write(scope) as connection:
            yield connection
            kind = scope.partition("/")[0]
            if times[kind]:
                times[kind] -= 1
                raise ServiceUnavailableException("Nothing was stored.", is_undone=True)

    monkeypatch.setattr(sim.runtime.database, "write", undoing)
    return times


def test_parts_of_the_api_come_once(sim, undone):
    ecr = sim.client()
    undone["private"] = 1
    upload_id = ecr.initiate_layer_upload(repositoryName="app")["uploadId"]
    part = {"repositoryName": "app", "uploadId": upload_id, "layerPartBlob": LAYER}
    undone["upload"] = 2
    answer = ecr.upload_layer_part(partFirstByte=0, partLastByte=len(LAYER) - 1, **part)
    assert answer["lastByteReceived"] == len(LAYER) - 1
    undone["private"] = 2
    done = ecr.complete_layer_upload(repositoryName="app", uploadId=upload_id, layerDigests=[DIGEST])
    assert (done["layerDigest"], undone["upload"], undone["private"]) == (DIGEST, 0, 0)


def test_bodies_of_the_registry_protocol_come_once(sim, undone):
    token = sim.client().get_authorization_token()["authorizationData"][0]["authorizationToken"]

    def ask(method, path, body=b""):
        headers = {"Authorization": f"Basic {token}", "Content-Length": str(len(body))}
        return call_application(sim.app, method, f"{sim.endpoint_url}{path}", headers, body)

    undone["private"] = 2
    begun = ask("POST", "/v2/app/blobs/uploads/")
    assert begun.status == 202
    place = begun.headers["Location"]
    assert ask("PATCH", place, LAYER[:10]).headers["Range"] == "0-9"
    undone["private"] = 1
    assert ask("PUT", f"{place}?digest={DIGEST}", LAYER[10:]).status == 201
    assert undone["private"] == 0


def test_so_are_requests_of_other_services(sim, undone):
    undone[""] = 2
    assert sim.client("sts").get_session_token()["Credentials"]
    undone[""] = 2
    sim.client("signer").put_signing_profile(profileName="prod", platformId="Notation-OCI-SHA384-ECDSA")
    assert undone[""] == 0
    asked = {entry["action"] for entry in admin(sim, "GET", "audit").json()["records"]}
    assert {"sts:GetSessionToken", "signer:PutSigningProfile"} <= asked


def test_what_stays_undone_is_unavailable_and_its_body_is_asked_for_no_more(sim, undone, monkeypatch):
    monkeypatch.setattr("ecrsim.core.misses.PAUSES", (0.0, 0.0))
    ecr = sim.client()
    upload_id = ecr.initiate_layer_upload(repositoryName="app")["uploadId"]
    undone["upload"] = 3
    part = {"repositoryName": "app", "uploadId": upload_id, "layerPartBlob": LAYER}
    with pytest.raises(ecr.exceptions.ClientError, match="ServiceUnavailable"):
        ecr.upload_layer_part(partFirstByte=0, partLastByte=len(LAYER) - 1, **part)
