"""The bill of an ecrsim, through the API, both planes and a turned clock.

Prices here are for bytes and months of thirty days, so that quantities are bytes: an image's layers, times the part of
the month that they were there.
"""

import json
import threading
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.scanning.advisories import open_advisories
from ecrsim.testing import build_image, call_application
from tests.answers import ACCOUNT
from tests.ecr.replication.conftest import OTHER_ACCOUNT, configure_rules
from tests.ecr.replication.test_rules import EU as EU_REGISTRY
from tests.ecr.replication.test_rules import rule as replication_rule
from tests.ecr.scanning.scanned import CONTINUOUS, OPENSSL, know, old_openssl
from tests.ecr.signing.conftest import configure as configure_signing
from tests.ecr.signing.conftest import make_profiles
from tests.ecr.signing.conftest import rule as signing_rule
from tests.ecr_public.conftest import alias_of
from tests.principals import admin
from tests.pushing import create, push

PRICES = {"bytes_per_gb": 1, "days_per_month": 30}
BASE, ONE, TWO = b"b" * 4000, b"1" * 1000, b"2" * 500
#: Of the config that each image has.
CONFIG = 78
PUBLIC = "https://public.ecr.aws"
ARCHIVE, STANDARD = "ARCHIVE", "STANDARD"


@pytest.fixture
def app(sim: Ecrsim, ecr: Any) -> Any:
    """The clock stands at the last instant of a day, so that a day of the past is a whole one."""
    sim.freeze("2025-12-31T23:59:59.999Z")
    create(ecr)
    return ecr


def bill(sim: Ecrsim, days: int = 30, **query: str) -> dict[str, Any]:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    answer = admin(sim, "POST", f"cost?days={days}{more}", PRICES)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


def quantities(sim: Ecrsim, days: int = 30, **query: str) -> dict[str, Any]:
    """Each item's quantity; storage as bytes times days."""
    found = {each["item"]: each["quantity"] for each in bill(sim, days, **query)["charges"]}
    months = {"standard", "archive", "archive_minimum", "public_storage"}
    return {
        item: pytest.approx(amount * 30 if item in months else amount, rel=1e-6, abs=0.2)
        for item, amount in found.items()
    }


def store(ecr: Any, tag: str, storage_class: str) -> None:
    ecr.update_image_storage_class(repositoryName="app", imageId={"imageTag": tag}, targetStorageClass=storage_class)


def delete(ecr: Any, *tags: str) -> None:
    wanted = [{"imageTag": tag} for tag in tags]
    assert ecr.batch_delete_image(repositoryName="app", imageIds=wanted)["failures"] == []


def test_storage_goes_with_the_clock(sim, app):
    push(app, "app", build_image(BASE, ONE), "v1")
    assert quantities(sim) == {}
    sim.advance(days=10)
    assert quantities(sim) == {"standard": 10 * (4000 + 1000 + CONFIG)}
    sim.advance(days=10)
    assert quantities(sim) == {"standard": 20 * (4000 + 1000 + CONFIG)}
    assert quantities(sim, days=5) == {"standard": 5 * (4000 + 1000 + CONFIG)}
    assert bill(sim)["monthly"]["charges"][0]["quantity"] == 4000 + 1000 + CONFIG


def test_a_layer_of_two_images_is_stored_once_however_they_go(sim, app):
    push(app, "app", build_image(BASE, ONE), "v1")
    sim.advance(days=4)
    push(app, "app", build_image(BASE, TWO), "v2")
    sim.advance(days=4)
    expected = 8 * (4000 + CONFIG + 1000) + 4 * 500
    assert quantities(sim) == {"standard": expected}
    delete(app, "v1")
    assert quantities(sim) == {"standard": expected}
    sim.advance(days=2)
    expected += 2 * (4000 + CONFIG + 500)
    assert quantities(sim) == {"standard": expected}
    delete(app, "v2")
    sim.advance(days=7)
    assert quantities(sim) == {"standard": expected}
    assert bill(sim)["tagPrefixes"][0]["tagPrefix"] == "(earlier)"


def test_it_is_the_same_when_the_newest_goes_first(sim, app):
    push(app, "app", build_image(BASE, ONE), "v1")
    sim.advance(days=4)
    push(app, "app", build_image(BASE, TWO), "v2")
    sim.advance(days=4)
    delete(app, "v2", "v1")
    assert quantities(sim) == {"standard": 8 * (4000 + CONFIG + 1000) + 4 * 500}


@pytest.mark.documented
def test_an_archived_image_that_is_deleted_early_is_billed_for_90_days(sim, app):
    size = 4000 + 1000 + CONFIG
    push(app, "app", build_image(BASE, ONE), "v1")
    sim.advance(days=3)
    store(app, "v1", ARCHIVE)
    sim.advance(days=5)
    assert quantities(sim) == {"standard": 3 * size, "archive": 5 * size}
    delete(app, "v1")
    assert quantities(sim) == {"standard": 3 * size, "archive": 5 * size, "archive_minimum": 85 * size}
    sim.advance(days=100)
    assert quantities(sim) == {}
    assert quantities(sim, days=366)["archive_minimum"] == 85 * size


def test_after_90_days_nothing_is_left_to_pay(sim, app):
    push(app, "app", build_image(BASE), "v1")
    store(app, "v1", ARCHIVE)
    sim.advance(days=91)
    delete(app, "v1")
    assert quantities(sim, days=366) == {"archive": 91 * (4000 + CONFIG)}


def test_what_others_hold_does_not_go_early(sim, app):
    """The base is in the standard class all the time, as another image names it."""
    push(app, "app", build_image(BASE, ONE), "v1")
    push(app, "app", build_image(BASE, TWO), "v2")
    sim.advance(days=2)
    store(app, "v1", ARCHIVE)
    sim.advance(days=3)
    delete(app, "v1")
    assert quantities(sim) == {
        "standard": 5 * (4000 + CONFIG + 500) + 2 * 1000,
        "archive": 3 * 1000,
        "archive_minimum": 87 * 1000,
    }


def test_a_restore_is_paid_for_and_ends_the_archive(sim, app):
    size = 4000 + CONFIG
    push(app, "app", build_image(BASE), "v1")
    sim.advance(days=1)
    store(app, "v1", ARCHIVE)
    sim.advance(days=2)
    store(app, "v1", STANDARD)
    sim.advance(days=4)
    found = quantities(sim)
    # The restore took some seconds, in which it was in the archive yet.
    assert found.pop("standard") == pytest.approx(5 * size, rel=1e-3)
    assert found.pop("archive") == pytest.approx(2 * size, rel=1e-3)
    assert found == {"archive_retrieval": size}


def test_a_push_that_restores_an_image_is_no_retrieval(sim, app):
    push(app, "app", build_image(BASE), "v1")
    store(app, "v1", ARCHIVE)
    sim.advance(days=2)
    push(app, "app", build_image(BASE), "v1")
    sim.advance(days=1)
    assert quantities(sim) == {"archive": 2 * (4000 + CONFIG), "standard": 4000 + CONFIG}


def test_a_lifecycle_policy_leaves_records_as_well(sim, app):
    rule = {
        "rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1},
        "action": {"type": "expire"},
    }
    push(app, "app", build_image(BASE, ONE), "v1")
    sim.advance(days=4)
    push(app, "app", build_image(BASE, TWO), "v2")
    app.put_lifecycle_policy(repositoryName="app", lifecyclePolicyText=json.dumps({"rules": [rule]}))
    sim.advance(days=6)
    assert [each["imageTags"] for each in app.describe_images(repositoryName="app")["imageDetails"]] == [["v2"]]
    # It first runs a day after it was put.
    assert quantities(sim) == {"standard": 10 * (4000 + CONFIG) + 5 * 1000 + 6 * 500}


def test_a_repository_that_is_deleted_is_billed_for_what_it_held(sim, app):
    push(app, "app", build_image(BASE, ONE), "v1")
    push(app, "app", build_image(BASE, TWO), "v2")
    sim.advance(days=2)
    store(app, "v1", ARCHIVE)
    sim.advance(days=3)
    app.delete_repository(repositoryName="app", force=True)
    sim.advance(days=1)
    assert quantities(sim) == {
        "standard": 5 * (4000 + CONFIG + 500) + 2 * 1000,
        "archive": 3 * 1000,
        "archive_minimum": 87 * 1000,
    }
    [found] = bill(sim)["repositories"]
    assert (found["repositoryName"], found["isThere"], found["images"]) == ("app", False, 0)


# --- what is done -----------------------------------------------------------------------------------------------------


def get(sim: Ecrsim, path: str, **headers: str) -> Any:
    secret = sim.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    given = {"Authorization": f"Basic {secret}", **headers}
    return call_application(sim.app, "GET", f"{sim.endpoint_url}{path}", given)


def test_pulls_by_the_registry_protocol(sim, app, configure):
    image = build_image(BASE)
    push(app, "app", image, "v1")
    assert quantities(sim) == {}
    for reference in ("v1", image.digest):
        assert get(sim, f"/v2/app/manifests/{reference}").status == 200
    expected = 2 * len(image.manifest)
    digest = list(image.blobs)[1]
    assert len(get(sim, f"/v2/app/blobs/{digest}").body) == 4000
    assert len(get(sim, f"/v2/app/blobs/{digest}", Range="bytes=0-99").body) == 100
    assert get(sim, f"/v2/app/blobs/{digest}", Range="bytes=9000-").status == 416
    assert get(sim, f"/v2/app/blobs/{digest[:-4]}0000").status == 404
    expected += 4100
    assert quantities(sim) == {"transfer_internet": expected}
    configure(blob_redirect=True)
    assert get(sim, f"/v2/app/blobs/{digest}").status == 307
    expected += 4000
    assert quantities(sim, pullsFrom="same-region") == {"transfer_same_region": expected}
    assert quantities(sim, pullsFrom="cross-region") == {"transfer_cross_region": expected}
    sim.advance(days=30)
    assert "transfer_internet" not in quantities(sim)


def test_a_head_is_no_pull(sim, app):
    image = build_image(BASE)
    push(app, "app", image, "v1")
    secret = app.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    for path in ("manifests/v1", f"blobs/{list(image.blobs)[1]}"):
        url = f"{sim.endpoint_url}/v2/app/{path}"
        assert call_application(sim.app, "HEAD", url, {"Authorization": f"Basic {secret}"}).status == 200
    assert quantities(sim) == {}


def test_who_asks_for_a_layers_url_takes_the_layer(sim, app):
    image = build_image(BASE)
    push(app, "app", image, "v1")
    app.get_download_url_for_layer(repositoryName="app", layerDigest=list(image.blobs)[1])
    assert quantities(sim) == {"transfer_internet": 4000}


def test_copies_are_billed_at_their_source_once_a_layer(sim, app, client):
    other = client(account=OTHER_ACCOUNT)
    other.put_registry_policy(policyText=json.dumps(_LET_IN))
    neighbour = EU_REGISTRY._replace(account=OTHER_ACCOUNT, region="us-east-1")
    configure_rules(app, replication_rule(EU_REGISTRY, neighbour))
    push(app, "app", build_image(BASE, ONE), "v1")
    sim.advance(seconds=10)
    push(app, "app", build_image(BASE, TWO), "v2")
    sim.advance(seconds=10)
    sent = 4000 + CONFIG + 1000 + 500
    found = bill(sim)
    assert {(each["item"], each["region"], each["gigabytes"]) for each in found["transfer"]} == {
        ("transfer_cross_region", "us-east-1", sent),
        ("transfer_same_region", "us-east-1", sent),
    }
    places = {(each["registryId"], each["region"]): each["standardBytes"] for each in found["repositories"]}
    assert places == dict.fromkeys([(ACCOUNT, "us-east-1"), (ACCOUNT, "eu-west-1"), (OTHER_ACCOUNT, "us-east-1")], sent)
    only = bill(sim, region="eu-west-1")
    assert [each["region"] for each in only["repositories"]] == ["eu-west-1"]
    assert only["transfer"] == []


_LET_IN = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "Replicate",
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": ["ecr:CreateRepository", "ecr:ReplicateImage"],
            "Resource": "*",
        }
    ],
}


def test_basic_scans_cost_nothing_and_enhanced_ones_once_more_each_time(sim, app):
    try:
        know(sim, OPENSSL)
        app.put_image_scanning_configuration(repositoryName="app", imageScanningConfiguration={"scanOnPush": True})
        push(app, "app", old_openssl(), "v1")
        sim.advance(seconds=10)
        assert quantities(sim) == {"standard": pytest.approx(0, abs=1), "scan_basic": 1}
        app.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
        sim.advance(days=1)
        found = quantities(sim)
        assert (found["scan_basic"], found["scan_enhanced_initial"]) == (1, 1)
        assert "scan_enhanced_rescan" not in found
        know(sim, OPENSSL | {"modified": "2026-01-01T00:00:00Z"})
        sim.advance(days=2)
        found = quantities(sim)
        assert (found["scan_enhanced_initial"], found["scan_enhanced_rescan"]) == (1, 1)
        amounts = {each["item"]: each["amount"] for each in bill(sim)["charges"]}
        assert [amounts[f"scan_{name}"] for name in ("basic", "enhanced_initial", "enhanced_rescan")] == [0, 0.09, 0.01]
    finally:
        open_advisories(sim.runtime).remove("test")


def test_signatures_are_counted_where_they_were_made(sim, app):
    make_profiles(sim, "prod")
    configure_signing(app, signing_rule("prod"), signing_rule("unknown"))
    push(app, "app", build_image(BASE), "v1")
    sim.advance(seconds=10)
    found = {each["item"]: each for each in bill(sim)["charges"]}["signature"]
    assert (found["quantity"], found["amount"], found["isKnown"]) == (1, 0, False)
    assert "The price of signature is not known" in "".join(bill(sim)["notes"])


def test_keys_of_customers_are_paid_for_and_aws_own_is_not(sim, app):
    create(app, "own", encryptionConfiguration={"encryptionType": "KMS"})
    assert admin(sim, "POST", "keys", {"alias": "alias/mine"}).status == 200
    sim.advance(days=20)
    for name in ("one", "other"):
        create(app, name, encryptionConfiguration={"encryptionType": "KMS", "kmsKey": "alias/mine"})
    sim.advance(days=10)
    found = {each["item"]: each["quantity"] for each in bill(sim)["charges"]}
    assert found["kms_key"] == pytest.approx(10 / 30, rel=1e-3)
    # What KMS is asked when repositories are made is counted on its own.
    assert found.keys() <= {"kms_key", "kms_request"}
    assert bill(sim)["monthly"]["charges"][0]["quantity"] == 1


def test_a_pull_writes_nothing_itself(sim, app, monkeypatch):
    """Its bytes are written a moment later, by the batch that writes times of pulls."""
    image = build_image(BASE)
    push(app, "app", image, "v1")
    get(sim, "/v2/app/manifests/v1")
    sim.runtime.batch.flush()
    here, writers = threading.current_thread(), []
    write = sim.runtime.database.write

    def watched(*arguments: Any, **members: Any) -> Any:
        writers.append(threading.current_thread() is here)
        return write(*arguments, **members)

    monkeypatch.setattr(sim.runtime.database, "write", watched)
    for path in ("manifests/v1", f"blobs/{list(image.blobs)[1]}"):
        assert get(sim, f"/v2/app/{path}").status == 200
    assert True not in writers
    sim.runtime.batch.flush()
    assert True in writers


# --- ECR Public -------------------------------------------------------------------------------------------------------


def test_public_repositories(sim, app, client):
    public = client("ecr-public")
    image = build_image(BASE)
    create(public, "shown")
    push(public, "shown", image, "v1")
    sim.advance(days=10)
    path = f"/v2/{alias_of(public)}/shown/blobs/{list(image.blobs)[1]}"
    password = public.get_authorization_token()["authorizationData"]["authorizationToken"]
    for headers in ({}, {"Authorization": f"Basic {password}"}):
        given = call_application(sim.app, "GET", f"{PUBLIC}/token/?service=public.ecr.aws&scope=aws", headers).json()
        bearer = {"Authorization": f"Bearer {given['token']}"}
        assert call_application(sim.app, "GET", f"{PUBLIC}{path}", bearer).status == 200
    assert quantities(sim) == {
        "public_storage": 10 * (4000 + CONFIG),
        "public_transfer_anonymous": 4000,
        "public_transfer_authenticated": 4000,
    }


# --- the route --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("days=0", "days is from 1 to 366"),
        ("days=367", "days is from 1 to 366"),
        ("days=x", "days is a whole number"),
        ("pullsFrom=home", "pullsFrom is one of internet, same-region, cross-region"),
        ("freeTier=1", "freeTier is true or false"),
        ("day=1", "there is no parameter day; the nearest is days"),
    ],
)
def test_a_question_that_makes_no_sense(sim, query, message):
    answer = admin(sim, "GET", f"cost?{query}")
    assert (answer.status, answer.json()["message"]) == (400, message)


def test_prices_that_make_no_sense(sim):
    answer = admin(sim, "POST", "cost", {"signature": {"prize": 1}})
    assert (answer.status, answer.json()["message"]) == (
        400,
        "the body: there is no member of signature prize; the nearest is price",
    )


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
    ],
)
def test_a_browser_is_given_a_page(sim, app, accept, kind):
    push(app, "app", build_image(BASE), "v1")
    headers = {"Authorization": f"Bearer {sim.runtime.admin_token}", **({"Accept": accept} if accept else {})}
    answer = call_application(sim.app, "GET", f"{sim.endpoint_url}/_ecrsim/cost", headers)
    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    if kind.startswith("text"):
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
        assert b"<h1>What all registries costs</h1>" in answer.body
