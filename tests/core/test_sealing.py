"""Secrets at rest: a stolen copy of the database gives none away, and an older one is sealed when it is opened."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ecrsim import Ecrsim
from ecrsim.cli import main
from ecrsim.core.columns import Json
from ecrsim.core.db import SchemaMismatch
from ecrsim.core.sealing import KeyMismatch, Seal
from ecrsim.delivery import targets
from ecrsim.delivery.reach import Reach
from ecrsim.ecr.access import directory
from ecrsim.testing import call_application
from tests.principals import signed_client

SECRETS = ["the-secret-of-a-user", "the-secret-of-a-webhook", "the-token-in-a-url", "the-key-of-a-queue"]
PRINCIPALS = {"users": [{"name": "dev", "access_keys": [{"id": "AKIADEVELOPER", "secret": SECRETS[0]}]}]}
TARGETS = {
    "targets": [
        {"name": "hook", "type": "webhook", "url": f"http://127.0.0.1:9/{SECRETS[2]}", "secret": SECRETS[1]},
        {
            "name": "queue",
            "type": "sqs",
            "queue_url": "http://127.0.0.1:9/000000000000/q",
            "access_key_id": "AKIAQUEUE",
            "secret_access_key": SECRETS[3],
        },
    ]
}


def opened(data: Path) -> Ecrsim:
    return Ecrsim(socket=False, data_dir=str(data))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    found = tmp_path / "data"
    with opened(found) as sim, sim.runtime.database.write() as connection:
        directory.replace_all(connection, PRINCIPALS, "000000000000", "us-east-1")
        targets.replace_all(connection, TARGETS, Reach.of(sim.runtime.config, sim.runtime.data_dir))
    return found


def secrets_of(sim: Ecrsim) -> list[str]:
    """What those who need the secrets are given."""
    with sim.runtime.database.read() as connection:
        key = directory.find_key(connection, "AKIADEVELOPER")
        hook, queue = targets.known(connection).targets
    assert key is not None
    return [key.secret, hook.settings["secret"], hook.settings["url"], queue.settings["secret_access_key"]]


def bytes_of(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in data.glob("ecrsim.db*"))


WANTED = [SECRETS[0], SECRETS[1], f"http://127.0.0.1:9/{SECRETS[2]}", SECRETS[3]]


def test_the_database_has_no_secret_and_gives_them_to_who_has_the_key(data: Path):
    with opened(data) as sim:
        assert secrets_of(sim) == WANTED
        token = sim.client().get_authorization_token()["authorizationData"][0]["authorizationToken"]
        session = sim.client("sts").get_session_token()["Credentials"]
        own = [sim.runtime.secret("token").hex(), sim.runtime.secret("download").hex()]
    stored = bytes_of(data)
    assert [secret for secret in [*SECRETS, session["SecretAccessKey"], *own] if secret.encode() in stored] == []
    assert (data / "secret.key").stat().st_mode & 0o777 == 0o600
    with opened(data) as sim:
        headers = {"Authorization": f"Basic {token}"}
        assert call_application(sim.app, "GET", "http://localhost/v2/", headers).status == 200


def test_a_sealed_text_is_good_in_its_place_alone(tmp_path: Path):
    seal = Seal(tmp_path / "secret.key")
    with closing(sqlite3.connect(":memory:")):
        seal._key = bytes(32)
    sealed = seal.sealed("text", "access_keys", "one")
    assert seal.opened(sealed, "access_keys", "one") == "text"
    assert sealed != seal.sealed("text", "access_keys", "one")
    for place in (("access_keys", "two"), ("targets", "one"), ("access_keys",)):
        with pytest.raises(ValueError, match="cannot be opened"):
            seal.opened(sealed, *place)


def as_version_3(data: Path, sim_secrets: dict[str, str]) -> None:
    """As the release before left it: secrets in the clear, its own keys in the database, no key file."""
    with opened(data) as sim, sim.runtime.database.read() as connection:
        document = targets.known(connection)
    with closing(sqlite3.connect(data / "ecrsim.db")) as database:
        database.execute("UPDATE access_keys SET secret = ?", (SECRETS[0],))
        for target in document.targets:
            text = Json().process_bind_param(target.settings, None)  # type: ignore[arg-type]
            database.execute("UPDATE targets SET settings = ? WHERE name = ?", (text, target.name))
        database.execute("DELETE FROM properties WHERE name = 'secret:key-id'")
        database.executemany("INSERT INTO properties VALUES (?, ?)", sim_secrets.items())
        database.execute("DROP INDEX jobs_by_lane")
        database.execute("ALTER TABLE jobs DROP COLUMN lane")
        database.execute("UPDATE properties SET value = '3' WHERE name = 'schema_version'")
        database.commit()
    (data / "secret.key").unlink()


@pytest.mark.sqlite
def test_an_older_database_is_sealed_once_and_keeps_its_logins(data: Path):
    own = {"secret:token": "ab" * 32, "secret:download": "cd" * 32}
    as_version_3(data, own)
    assert SECRETS[0].encode() in bytes_of(data)
    for _ in range(2):
        with opened(data) as sim:
            assert secrets_of(sim) == WANTED
            assert sim.runtime.secret("token") == b"\xab" * 32
            assert sim.runtime.secret("download") == b"\xcd" * 32
        stored = bytes_of(data)
        assert [secret for secret in [*SECRETS, *own.values()] if secret.encode() in stored] == []


# --- a key that is not there ------------------------------------------------------------------------------------------


def lost(file: Path) -> None:
    file.unlink()


def of_another(file: Path) -> None:
    file.write_text("ab" * 32)


def spoilt(file: Path) -> None:
    file.write_text("no key")


@pytest.mark.parametrize("spoil", [lost, of_another, spoilt])
def test_without_its_key_a_database_is_refused(data: Path, spoil: Any):
    spoil(data / "secret.key")
    with pytest.raises(SchemaMismatch, match=r"secret\.key"):
        opened(data).start()
    assert (data / "secret.key").exists() == (spoil is not lost), "no other key takes its place"


@pytest.mark.parametrize("spoil", [lost, of_another])
def test_what_cannot_be_opened_any_more_is_forgotten_on_purpose(data: Path, spoil: Any):
    with opened(data) as sim:
        sim.client().create_repository(repositoryName="app")
        assert main(["store", "forget-secrets", "--data-dir", str(data)]) == 1, "it is in use"
    spoil(data / "secret.key")
    assert main(["store", "forget-secrets", "--data-dir", str(data)]) == 0
    with opened(data) as sim:
        assert len(sim.client().describe_repositories()["repositories"]) == 1
        with sim.runtime.database.read() as connection:
            assert directory.find_key(connection, "AKIADEVELOPER") is None
            assert targets.known(connection).targets == ()


def test_two_that_make_the_key_at_once_have_the_same(tmp_path: Path):
    seals = [Seal(tmp_path / "secret.key") for _ in range(2)]
    assert seals[0]._make() == seals[1]._make()
    (tmp_path / "secret.key").write_text("ab")
    with pytest.raises(KeyMismatch, match="64 hexadecimal digits"):
        seals[0]._read()


# --- a secret that was altered ----------------------------------------------------------------------------------------


@pytest.mark.sqlite
@pytest.mark.parametrize("text", ["", "v1.", "v1.AAAA", "v1.!", "the-secret-in-the-clear", None])
def test_a_secret_that_was_altered_opens_nothing_and_fails_nothing(data: Path, text: str | None):
    """None: one of another place. Its key is no unknown one, which would be root's; its target gets nothing."""
    with opened(data) as sim:
        runtime = sim.runtime
        with runtime.database.write() as connection:
            sealed = runtime.seal.sealed("x", "another", "place") if text is None else text
            connection.exec_driver_sql("UPDATE access_keys SET secret = ?", (sealed,))
            connection.exec_driver_sql(
                "UPDATE targets SET settings = json_set(settings, '$.secret', ?) WHERE name = 'hook'", (sealed,)
            )
            connection.exec_driver_sql("INSERT INTO properties VALUES ('secret:download', ?)", (sealed,))
        signed = signed_client(sim, "ecr", "AKIADEVELOPER", SECRETS[0])
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            signed.describe_repositories()
        answer = call_application(sim.app, "GET", "http://localhost/_ecrsim/targets")
        assert answer.status == 200
        hook, queue = json.loads(answer.body)["targets"]
        assert ("altered" in hook["error"], queue["error"]) == (True, None)
        with runtime.database.read() as connection:
            assert [target.name for target in targets.known(connection).targets] == ["queue"]
        assert runtime.secret("download") == runtime.seal.derived("download")


def test_the_name_of_a_new_key_is_on_the_disk_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    with opened(tmp_path):
        assert flushed[:2] == [path.stat().st_ino for path in (tmp_path / "secret.key", tmp_path)]
