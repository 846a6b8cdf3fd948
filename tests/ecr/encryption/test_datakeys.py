"""Data keys of the ring: made, opened, rotated, and closed with their key."""

import pytest
from sqlalchemy import update

from ecrsim.core.errors import KmsException
from ecrsim.core.runtime import root_caller
from ecrsim.ecr.encryption import datakeys
from ecrsim.ecr.encryption.memory import KeyMemory, memory_of
from ecrsim.ecr.encryption.tables import kms_key_materials
from ecrsim.ecr.repositories import protection
from ecrsim.ecr.repositories.service import get_repository
from tests.answers import ACCOUNT, REGION
from tests.keys import change_key, encrypted, make_key, revoke_all
from tests.pushing import create


@pytest.fixture
def key(sim):
    sim.freeze("2026-01-01T00:00:00Z")
    return make_key(sim)


@pytest.fixture
def calling(sim):
    return lambda: sim.runtime.call(root_caller(ACCOUNT, REGION))


def repository_of(call, name="app"):
    return get_repository(call, call.caller.registry, name)


def generate(calling, name="app"):
    with calling() as call:
        return datakeys.generate(call, repository_of(call, name))


def opened(calling, wrapped, name="app"):
    with calling() as call:
        return datakeys.open_data_key(call, repository_of(call, name), wrapped)


def forget(sim):
    """As in another worker."""
    sim.runtime.memory["encryption"] = KeyMemory()


KINDS = {"AES256": {}, "aws/ecr": encrypted()}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_a_data_key_is_opened_again(sim, ecr, calling, options):
    create(ecr, **options)
    made = generate(calling)
    assert len(made.plaintext) == 32
    assert made.plaintext.hex() not in made.wrapped
    assert made.wrapped.isascii()
    forget(sim)
    assert opened(calling, made.wrapped) == made.plaintext
    assert generate(calling).plaintext != made.plaintext


def test_each_repository_opens_its_own_alone(sim, ecr, calling, key):
    create(ecr, **encrypted(key))
    create(ecr, "other", **encrypted(key))
    made = generate(calling)
    with pytest.raises(KmsException) as caught:
        opened(calling, made.wrapped, "other")
    assert caught.value.members == {"kmsError": "InvalidCiphertextException"}


@pytest.mark.parametrize("place", [0, 3, 10, -5])
def test_an_altered_text_opens_nothing(sim, ecr, calling, key, place):
    create(ecr, **encrypted(key))
    wrapped = generate(calling).wrapped
    altered = bytearray(wrapped.encode())
    altered[place] = ord("A") if altered[place] != ord("A") else ord("B")
    with pytest.raises(KmsException) as caught:
        opened(calling, altered.decode())
    assert caught.value.members == {"kmsError": "InvalidCiphertextException"}


@pytest.mark.documented
def test_after_a_rotation_old_data_keys_open_and_new_ones_need_the_new_material(sim, ecr, calling, key):
    create(ecr, **encrypted(key))
    old = generate(calling)
    change_key(sim, "rotate", key)
    new = generate(calling)
    forget(sim)
    assert opened(calling, old.wrapped) == old.plaintext
    assert opened(calling, new.wrapped) == new.plaintext
    assert old.wrapped.split(".")[1] != new.wrapped.split(".")[1]


@pytest.mark.documented
@pytest.mark.parametrize("is_remembered", [True, False])
def test_a_disabled_key_closes_at_once_and_opens_again(sim, ecr, calling, key, is_remembered):
    create(ecr, **encrypted(key))
    made = generate(calling)
    if not is_remembered:
        forget(sim)
    change_key(sim, "disable", key)
    for use in (lambda: opened(calling, made.wrapped), lambda: generate(calling)):
        with pytest.raises(KmsException, match="is disabled") as caught:
            use()
        assert caught.value.members == {"kmsError": "DisabledException"}
    change_key(sim, "enable", key)
    assert opened(calling, made.wrapped) == made.plaintext


@pytest.mark.documented
def test_a_deleted_key_is_closed_for_good(sim, ecr, calling, key):
    create(ecr, **encrypted(key))
    made = generate(calling)
    change_key(sim, "schedule-deletion", key, days=7)
    sim.advance(days=8)
    # Another key of the same id opens nothing of it.
    make_key(sim, key_id=key.rpartition("/")[2])
    forget(sim)
    with pytest.raises(KmsException) as caught:
        opened(calling, made.wrapped)
    assert caught.value.members == {"kmsError": "InvalidCiphertextException"}


@pytest.mark.documented
def test_without_a_grant_nothing_is_opened(sim, ecr, calling, key):
    create(ecr, **encrypted(key))
    made = generate(calling)
    revoke_all(sim, key)
    with pytest.raises(KmsException) as caught:
        opened(calling, made.wrapped)
    assert caught.value.members == {"kmsError": "AccessDeniedException"}


def test_what_waits_gives_the_same(sim, ecr, calling, key):
    create(ecr, **encrypted(key))
    with calling() as call:
        repository = repository_of(call)
    made = datakeys.generate_now(sim.runtime, repository)
    assert datakeys.open_now(sim.runtime, repository, made.wrapped) == made.plaintext
    assert opened(calling, made.wrapped) == made.plaintext


def test_what_may_share_bytes(sim, ecr, calling, key, client):
    create(ecr, "one", **encrypted(key))
    create(ecr, "two", **encrypted(key))
    create(ecr, "own", **encrypted())
    create(ecr, "plain")
    with calling() as call:
        found = {name: datakeys.sharing(repository_of(call, name)) for name in ("one", "two", "own", "plain")}
    assert found["one"] == found["two"]
    assert len(set(found.values())) == 3


def test_the_seam_offers_them(sim, ecr, calling):
    keeper = protection.keeper()
    assert keeper is not None
    create(ecr)
    with calling() as call:
        repository = repository_of(call)
        made = keeper.generate(call, repository)
        assert keeper.opened(call, repository, made.wrapped) == made.plaintext


def test_the_material_of_a_key_is_nowhere_in_the_clear(sim, ecr, calling, key):
    create(ecr, **encrypted(key))
    made = generate(calling)
    with calling() as call:
        rows = call.connection.exec_driver_sql("SELECT material FROM kms_key_materials").all()
        everything = "\n".join(row[0] for row in rows)
    assert made.plaintext.hex() not in everything
    assert all(row[0].startswith("v1.") for row in rows)


def test_after_the_seal_was_given_up_old_data_keys_stay_closed_and_new_ones_are_made(sim, ecr, calling, key):
    """`ecrsim store forget-secrets`: whoever lost `secret.key` has lost what was encrypted with it."""
    create(ecr, **encrypted(key))
    old = generate(calling)
    with sim.runtime.database.write() as connection:
        sealed = sim.runtime.seal.sealed("x", "another", "place")
        connection.execute(update(kms_key_materials).values(material=sealed))
    forget(sim)
    with pytest.raises(KmsException) as caught:
        opened(calling, old.wrapped)
    assert caught.value.members == {"kmsError": "InvalidCiphertextException"}
    new = generate(calling)
    forget(sim)
    assert opened(calling, new.wrapped) == new.plaintext


def test_a_process_remembers_only_so_much():
    memory = KeyMemory()
    for number in range(1_200):
        memory.remember_opened(number, b"k" * 32)
        memory.remember_allowed(number)
    assert memory.opened(0, is_lasting=True) is None
    assert memory.opened(1_199, is_lasting=True) == b"k" * 32
    assert memory.is_allowed(1_199)
    assert not memory.is_allowed(0)


def test_a_reset_forgets_them(sim, ecr, calling):
    create(ecr)
    generate(calling)
    before = memory_of(sim.runtime)
    sim.reset()
    assert memory_of(sim.runtime) is not before
