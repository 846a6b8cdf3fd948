"""Signing profiles of documents: of the principals, and of PUT /_ecrsim/signing-profiles."""

import json

import pytest

from ecrsim import Ecrsim
from tests.answers import ACCOUNT
from tests.ecr.signing.conftest import arn_of, configure, make_profiles, rule, statuses
from tests.principals import admin, know, user
from tests.pushing import create, push

SIX = {"value": 6, "type": "MONTHS"}


def profiles(sim):
    return {each["arn"]: each for each in admin(sim, "GET", "signing-profiles").json()["signing_profiles"]}


def versions(sim):
    return {each["name"]: each["profileVersion"] for each in profiles(sim).values()}


class TestPut:
    def test_what_was_left_out_is_as_in_aws(self, sim):
        make_profiles(sim, "prod")
        found = profiles(sim)[arn_of("prod")]
        assert found["platform_id"] == "Notation-OCI-SHA384-ECDSA"
        assert found["signature_validity_period"] == {"value": 135, "type": "MONTHS"}
        assert (found["account"], found["region"], found["status"]) == (ACCOUNT, "us-east-1", "Active")

    def test_all_that_may_be_said(self, sim):
        given = {
            "name": "prod",
            "account": "111111111111",
            "region": "eu-west-1",
            "platform_id": "AWSLambda-SHA384-ECDSA",
            "signature_validity_period": SIX,
            "shared_with": [ACCOUNT],
            "tags": {"team": "web"},
        }
        make_profiles(sim, given)
        found = profiles(sim)[arn_of("prod", "111111111111", "eu-west-1")]
        assert {name: found[name] for name in given} == given

    def test_these_are_all_that_there_are(self, sim):
        make_profiles(sim, "one", "two")
        make_profiles(sim, "two", "three")
        assert set(versions(sim)) == {"two", "three"}

    def test_one_that_stays_as_it_was_keeps_its_version(self, sim):
        make_profiles(sim, "one", "two")
        before = versions(sim)
        make_profiles(sim, "one", {"name": "two", "signature_validity_period": SIX})
        assert versions(sim)["one"] == before["one"]
        assert versions(sim)["two"] != before["two"]

    @pytest.mark.documented
    def test_one_that_is_over_stays_so_and_keeps_its_name(self, sim, client):
        make_profiles(sim, "prod")
        client("signer").cancel_signing_profile(profileName="prod")
        make_profiles(sim, "prod")
        assert profiles(sim)[arn_of("prod")]["status"] == "Canceled"
        make_profiles(sim)
        make_profiles(sim, "prod")
        assert profiles(sim)[arn_of("prod")]["status"] == "Canceled"

    @pytest.mark.parametrize(
        ("document", "sentence"),
        [
            ({}, "signing_profiles is the list of all profiles that there are to be"),
            ({"signing_profile": []}, "there is no member signing_profile; the nearest is signing_profiles"),
            ({"signing_profiles": {}}, "signing_profiles is a list of objects"),
            ({"signing_profiles": [{}]}, "a signing profile needs a name of 2 to 64 letters, digits and _, not None"),
            ({"signing_profiles": [{"name": "a"}]}, "a signing profile needs a name of 2 to 64"),
            ({"signing_profiles": [{"name": "a-b"}]}, "a signing profile needs a name of 2 to 64"),
            ({"signing_profiles": [{"name": "ab", "owner": "x"}]}, "has no member owner"),
            ({"signing_profiles": [{"name": "ab"}, {"name": "ab"}]}, "is there twice"),
            ({"signing_profiles": [{"name": "ab", "account": "1"}]}, "account is twelve digits"),
            ({"signing_profiles": [{"name": "ab", "region": 1}]}, "region is a text"),
            *(
                ({"signing_profiles": [{"name": "ab", "region": region}]}, "region is a text such as us-east-1")
                for region in ("", "\n", "us-east-1\n", "Nowhere", "us-" + "x" * 61, [], None)
            ),
            ({"signing_profiles": [{"name": "ab", "platform_id": 1}]}, "platform_id is a text"),
            ({"signing_profiles": [{"name": "ab", "shared_with": ["x"]}]}, "shared_with is a list of accounts"),
            *(
                ({"signing_profiles": [{"name": "ab", "shared_with": [text]}]}, "shared_with is a list of accounts")
                for text in ("arn:aws:iam::foo", "arn:aws:sts::", f"arn:awsx:iam::{ACCOUNT}:root", "arn:aws:iam::*")
            ),
            ({"signing_profiles": [{"name": "ab", "tags": ["x"]}]}, "tags is an object of texts"),
            (
                {"signing_profiles": [{"name": "ab", "signature_validity_period": {"value": 136, "type": "MONTHS"}}]},
                "135 months at most",
            ),
            *(
                (
                    {"signing_profiles": [{"name": "ab", "signature_validity_period": {"value": 1, "type": kind}}]},
                    "135 months at most",
                )
                for kind in ([], {}, None)
            ),
            ({"signing_profiles": [{"name": "ab", "signature_validity_period": 5}]}, "135 months at most"),
        ],
    )
    def test_what_is_wrong_is_said_and_changes_nothing(self, sim, document, sentence):
        make_profiles(sim, "prod")
        before = versions(sim)
        answer = admin(sim, "PUT", "signing-profiles", document)
        assert answer.status == 400
        assert sentence in answer.json()["message"]
        assert versions(sim) == before


class TestPrincipals:
    def test_the_document_has_them_beside_users(self, sim):
        assert know(sim, {"users": [user("dev")], "signing_profiles": [{"name": "prod"}]}) == {
            "users": 1,
            "roles": 0,
            "identity_providers": 0,
            "signing_profiles": 1,
        }
        assert set(versions(sim)) == {"prod"}

    def test_a_document_without_them_leaves_them_alone(self, sim):
        make_profiles(sim, "prod")
        know(sim, {"users": [user("dev")]})
        assert set(versions(sim)) == {"prod"}

    def test_one_that_is_wrong_changes_nobody(self, sim):
        know(sim, {"users": [user("dev")], "signing_profiles": [{"name": "prod"}]})
        answer = admin(sim, "PUT", "principals", {"users": [], "signing_profiles": [{"name": "x"}]})
        assert answer.status == 400
        assert set(versions(sim)) == {"prod"}

    def test_of_a_file_from_the_start_and_after_a_reset(self, tmp_path):
        file = tmp_path / "principals.json"
        file.write_text(json.dumps({"signing_profiles": [{"name": "prod"}]}))
        with Ecrsim(socket=False, principals=str(file)) as sim:
            sim.reset()
            ecr = sim.client()
            create(ecr)
            configure(ecr, rule())
            push(ecr, "app", None, "v1")
            sim.advance(seconds=1)
            assert statuses(ecr) == {"prod": "COMPLETE"}


class TestCreate:
    def test_one_more(self, sim):
        make_profiles(sim, "one")
        answer = admin(sim, "POST", "signing-profiles", {"name": "two"})
        assert answer.json()["arn"] == arn_of("two")
        assert set(versions(sim)) == {"one", "two"}

    def test_again_is_a_new_version(self, sim):
        first = admin(sim, "POST", "signing-profiles", {"name": "prod"}).json()
        second = admin(sim, "POST", "signing-profiles", {"name": "prod"}).json()
        assert first["arn"] == second["arn"]
        assert first["profileVersion"] != second["profileVersion"]

    def test_again_it_keeps_what_was_said_of_it(self, sim, client):
        more = {"signature_validity_period": SIX, "shared_with": ["111111111111"], "tags": {"team": "web"}}
        make_profiles(sim, {"name": "prod", **more})
        found = admin(sim, "POST", "signing-profiles", {"name": "prod"}).json()
        assert {name: found[name] for name in more} == more
        client("signer").put_signing_profile(profileName="prod", platformId="Notation-OCI-SHA384-ECDSA")
        assert profiles(sim)[arn_of("prod")]["shared_with"] == ["111111111111"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"name": "x"},
            {"name": "a b"},
            {"names": "ab"},
            {"name": ["ab"]},
            {"name": "ab", "account": "1"},
            {"name": "ab", "account": {"a": 1}},
            {"name": "ab", "region": "\n"},
            {"name": "ab", "region": 1},
        ],
    )
    def test_what_is_wrong(self, sim, body):
        assert admin(sim, "POST", "signing-profiles", body).status == 400
        assert profiles(sim) == {}
