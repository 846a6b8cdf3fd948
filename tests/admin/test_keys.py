"""The key ring by the admin surface: what a key goes through, and what is refused."""

import pytest

from ecrsim.core.clock import iso
from tests.answers import ACCOUNT
from tests.keys import change_key, encrypted, make_key, shown_key
from tests.principals import admin
from tests.pushing import create

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY}"


def test_a_key_as_it_is_shown(sim):
    sim.freeze("2026-01-01T00:00:00Z")
    arn = make_key(sim, key_id=KEY, alias="alias/mine", description="for the tests", shared_with=["111111111111"])
    assert shown_key(sim, arn) == {
        "arn": ARN,
        "keyId": KEY,
        "account": ACCOUNT,
        "region": "us-east-1",
        "manager": "CUSTOMER",
        "description": "for the tests",
        "state": "Enabled",
        "aliases": ["alias/mine"],
        "rotations": 0,
        "shared_with": ["111111111111"],
        "createdAt": iso(sim.runtime.clock.now()),
        "deletionAt": None,
        "grants": [],
    }


@pytest.mark.documented
def test_the_states_of_a_key(sim):
    """KMS: a key whose deletion is cancelled is disabled."""
    sim.freeze("2026-01-01T00:00:00Z")
    arn = make_key(sim)
    assert change_key(sim, "disable", arn)["state"] == "Disabled"
    assert change_key(sim, "enable", arn)["state"] == "Enabled"
    leaving = change_key(sim, "schedule-deletion", arn, days=7)
    assert (leaving["state"], leaving["deletionAt"]) == ("PendingDeletion", "2026-01-08T00:00:00.000Z")
    sim.advance(days=6)
    kept = change_key(sim, "cancel-deletion", arn)
    assert (kept["state"], kept["deletionAt"]) == ("Disabled", None)
    sim.advance(days=30)
    assert shown_key(sim, arn)["state"] == "Disabled"


def test_a_key_goes_when_its_time_has_come(sim):
    sim.freeze("2026-01-01T00:00:00Z")
    arn = make_key(sim, alias="alias/mine")
    change_key(sim, "schedule-deletion", arn, days=7)
    assert [each.job.kind for each in sim.advance(days=7)] == ["delete-key"]
    assert admin(sim, "GET", "keys").json()["keys"] == []
    # Its name is free again.
    other = make_key(sim, alias="alias/mine")
    assert shown_key(sim, other)["aliases"] == ["alias/mine"]


def test_the_keys_of_aws_are_shown_and_left_alone(sim, ecr):
    create(ecr, **encrypted())
    (key,) = admin(sim, "GET", "keys").json()["keys"]
    assert (key["manager"], key["aliases"]) == ("AWS", ["alias/aws/ecr"])
    assert admin(sim, "POST", "keys/disable", {"key": key["arn"]}).status == 400


def test_the_key_of_s3_is_shown_to_nobody(sim, ecr):
    create(ecr)
    assert admin(sim, "GET", "keys").json()["keys"] == []


REFUSED = {
    "an id that is none": ("POST", "keys", {"key_id": "mine"}, "no key id"),
    "an id that there is": ("POST", "keys", {"key_id": KEY}, "already"),
    "an alias of AWS's": ("POST", "keys", {"alias": "alias/aws/mine"}, "no alias"),
    "an alias that is none": ("POST", "keys", {"alias": "mine"}, "no alias"),
    "shared with nobody": ("POST", "keys", {"shared_with": ["somebody"]}, "principals"),
    "shared with a text": ("POST", "keys", {"shared_with": "111111111111"}, "list"),
    "no account": ("POST", "keys", {"account": "12"}, "12 digits"),
    "no region": ("POST", "keys", {"region": "Mars"}, "region"),
    "a member that is misspelt": ("POST", "keys", {"aliass": "alias/a"}, "aliass"),
    "a key that is not there": ("POST", "keys/disable", {"key": "alias/nobody"}, "there is no key"),
    "a key that can be none": ("POST", "keys/disable", {"key": "x"}, "Invalid keyId"),
    "a wait that is too short": ("POST", "keys/schedule-deletion", {"key": KEY, "days": 6}, "7 to 30 days"),
    "a wait that is too long": ("POST", "keys/schedule-deletion", {"key": KEY, "days": 31}, "7 to 30 days"),
    "a wait that is no number": ("POST", "keys/schedule-deletion", {"key": KEY, "days": "7"}, "whole number"),
    "to keep what stays": ("POST", "keys/cancel-deletion", {"key": KEY}, "not pending deletion"),
    "a grant that is not there": ("POST", "keys/revoke-grant", {"key": KEY, "grant": "x"}, "no grant"),
    "an alias that is not there": ("DELETE", "keys/alias", {"alias": "alias/nobody"}, "there is no"),
    "to forget AWS's alias": ("DELETE", "keys/alias", {"alias": "alias/aws/ecr"}, "AWS's"),
}


@pytest.mark.parametrize(("method", "path", "body", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(sim, method, path, body, why):
    make_key(sim, key_id=KEY)
    answer = admin(sim, method, path, body)
    assert answer.status == 400
    assert why in answer.json()["message"]
    assert len(admin(sim, "GET", "keys").json()["keys"]) == 1


@pytest.mark.parametrize("action", ["disable", "enable", "rotate", "schedule-deletion"])
def test_a_key_that_is_leaving_is_only_kept_or_gone(sim, action):
    arn = make_key(sim)
    change_key(sim, "schedule-deletion", arn, days=7)
    answer = admin(sim, "POST", f"keys/{action}", {"key": arn})
    assert (answer.status, answer.json()["message"]) == (400, f"{arn} is pending deletion.")


def test_what_cannot_be_done_with_a_key(sim):
    assert admin(sim, "POST", "keys/paint", {"key": KEY}).status == 404
