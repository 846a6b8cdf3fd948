"""Aliases of public registries: the default one, and those that AWS's console gives."""

import json
import re

import pytest

from ecrsim.ecr.registries import aliases
from tests.answers import ACCOUNT
from tests.ecr_public.conftest import alias_of
from tests.principals import admin
from tests.pushing import create

OTHER = "111111111111"


def ask(sim, **body):
    return admin(sim, "PUT", "public-aliases", body)


def shown(public):
    (registry,) = public.describe_registries()["registries"]
    return [
        (each["name"], each["status"], each["primaryRegistryAlias"], each["defaultRegistryAlias"])
        for each in registry["aliases"]
    ]


@pytest.mark.inferred
def test_a_registry_without_repositories_has_none(public):
    (registry,) = public.describe_registries()["registries"]
    assert (registry["aliases"], registry["registryUri"]) == ([], "")
    assert registry["registryArn"] == f"arn:aws:ecr-public::{ACCOUNT}:registry/{ACCOUNT}"


@pytest.mark.documented
def test_the_first_repository_brings_the_default_one(public):
    create(public, "app")
    ((name, *rest),) = shown(public)
    assert rest == ["ACTIVE", True, True]
    assert re.fullmatch("([a-z][0-9]){4}", name)  # inferred from names that were seen
    create(public, "another")
    public.delete_repository(repositoryName="app")
    assert shown(public) == [(name, *rest)]


def test_each_account_has_its_own(client, public):
    create(public, "app")
    far = client("ecr-public", account=OTHER)
    create(far, "app")
    assert alias_of(far) != alias_of(public)


def test_an_alias_that_is_taken_is_not_given_twice(public, client, monkeypatch):
    monkeypatch.setattr(aliases, "_default_name", lambda _, attempt: f"a1b2c3d{attempt}")
    create(public, "app")
    far = client("ecr-public", account=OTHER)
    create(far, "app")
    assert (alias_of(public), alias_of(far)) == ("a1b2c3d0", "a1b2c3d1")


def test_a_custom_one_stands_in_the_uris(sim, public):
    create(public, "app")
    default = alias_of(public)
    assert ask(sim, name="acme").status == 200
    assert shown(public) == [(default, "ACTIVE", False, True), ("acme", "ACTIVE", True, False)]
    (repository,) = public.describe_repositories()["repositories"]
    assert repository["repositoryUri"] == "localhost:5100/public/acme/app"
    for each in (default, "acme"):
        assert public.initiate_layer_upload(registryId=each, repositoryName="app")["uploadId"]


def test_another_may_stay_the_primary_one(sim, public):
    create(public, "app")
    default = alias_of(public)
    ask(sim, name="acme", primary=False)
    assert shown(public) == [(default, "ACTIVE", True, True), ("acme", "ACTIVE", False, False)]


@pytest.mark.parametrize("status", ["PENDING", "REJECTED"])
def test_one_that_was_not_approved_leads_nowhere(sim, public, status):
    create(public, "app")
    default = alias_of(public)
    ask(sim, name="acme")
    ask(sim, name="acme", status=status)
    assert shown(public) == [(default, "ACTIVE", True, True), ("acme", status, False, False)]
    with pytest.raises(public.exceptions.RegistryNotFoundException):
        public.initiate_layer_upload(registryId="acme", repositoryName="app")


def test_it_can_come_before_the_first_repository(sim, public):
    ask(sim, name="acme")
    create(public, "app")
    (default, acme) = shown(public)
    assert (default[1:], acme) == (("ACTIVE", False, True), ("acme", "ACTIVE", True, False))


def test_an_account_may_be_verified(sim, public):
    ask(sim, name="acme", verified=True)
    assert public.describe_registries()["registries"][0]["verified"] is True
    public.put_registry_catalog_data(displayName="Acme")
    assert public.describe_registries()["registries"][0]["verified"] is True


def test_they_are_listed(sim, client):
    ask(sim, name="acme")
    ask(sim, name="other", account=OTHER, status="PENDING")
    assert admin(sim, "GET", "public-aliases").json() == {
        "aliases": [
            {"name": "acme", "account": ACCOUNT, "status": "ACTIVE", "primary": True, "default": False},
            {"name": "other", "account": OTHER, "status": "PENDING", "primary": False, "default": False},
        ]
    }


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "name and status are texts"),
        ({"name": "A"}, "an alias has 2 to 50"),
        ({"name": "a" * 51}, "an alias has 2 to 50"),
        ({"name": "a__b"}, "an alias has 2 to 50"),
        ({"name": "1ab"}, "an alias has 2 to 50"),
        ({"name": "acme", "status": "MAYBE"}, "the status of an alias is ACTIVE, PENDING, REJECTED"),
        ({"name": "acme", "account": "1"}, "account is a text of 12 digits"),
        ({"name": "acme", "primary": "yes"}, "primary and verified are true or false"),
        ({"name": "acme", "status": "PENDING", "primary": True}, "the primary alias is an ACTIVE one"),
        ({"name": "taken"}, "taken is an alias of another account, 111111111111"),
        ({"nam": "acme"}, "there is no member nam; the nearest is name"),
    ],
    ids=json.dumps,
)
def test_what_cannot_be_is_refused(sim, public, body, why):
    ask(sim, name="taken", account=OTHER)
    answer = admin(sim, "PUT", "public-aliases", body)
    assert answer.status == 400
    assert why in answer.json()["message"]
    assert len(admin(sim, "GET", "public-aliases").json()["aliases"]) == 1


def test_the_default_one_stays(sim, public):
    create(public, "app")
    name = alias_of(public)
    answer = ask(sim, name=name, status="REJECTED")
    assert answer.status == 400
    assert answer.json()["message"] == f"{name} is the default alias of its registry, which is always ACTIVE"
    assert shown(public) == [(name, "ACTIVE", True, True)]
