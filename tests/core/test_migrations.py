"""A data directory of an earlier version becomes one of this version, and loses nothing."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import select, update

from ecrsim.core import jobs, outbox
from ecrsim.core.belonging import of_registry
from ecrsim.core.db import Database, properties
from ecrsim.core.registry import Registry
from ecrsim.ecr import load_capabilities
from ecrsim.ecr.access.tables import registry_policies
from ecrsim.ecr.images.tables import pull_time_update_exclusions
from ecrsim.ecr.registries.tables import account_settings
from ecrsim.ecr.templates.tables import creation_templates
from ecrsim.records import audit

load_capabilities()

#: The tables of versions 2 and 4 (templates) that are others now, as those versions made them.
VERSION_2 = """
CREATE TABLE account_settings (registry_id VARCHAR(12) NOT NULL, region VARCHAR NOT NULL, name VARCHAR(64) NOT NULL,
    value TEXT NOT NULL, PRIMARY KEY (registry_id, region, name));
CREATE TABLE registry_policies (registry_id VARCHAR(12) NOT NULL, region VARCHAR NOT NULL, policy_text TEXT NOT NULL,
    PRIMARY KEY (registry_id, region));
CREATE TABLE pull_time_update_exclusions (registry_id VARCHAR(12) NOT NULL, region VARCHAR NOT NULL,
    principal_arn VARCHAR(200) NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (registry_id, region, principal_arn));
CREATE TABLE events (sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, at BIGINT NOT NULL,
    event_id VARCHAR(36) NOT NULL, type TEXT NOT NULL, registry_id VARCHAR(12) NOT NULL, region TEXT NOT NULL,
    repository_name TEXT, facts TEXT NOT NULL, trail TEXT);
CREATE TABLE jobs (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, run_at BIGINT NOT NULL, kind VARCHAR NOT NULL,
    "key" VARCHAR NOT NULL, registry_id VARCHAR(12) NOT NULL, region VARCHAR NOT NULL, payload TEXT NOT NULL,
    state VARCHAR(7) NOT NULL, attempts INTEGER NOT NULL, error TEXT, ran_at BIGINT, due_at BIGINT NOT NULL);
CREATE TABLE audit (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, at BIGINT NOT NULL, plane VARCHAR(8) NOT NULL,
    principal TEXT NOT NULL, account VARCHAR(12) NOT NULL, region VARCHAR NOT NULL, action TEXT NOT NULL,
    resource TEXT NOT NULL, is_allowed BOOLEAN NOT NULL, reason TEXT NOT NULL, request_id VARCHAR(36) NOT NULL,
    source TEXT NOT NULL, error TEXT);
CREATE TABLE creation_templates (registry_id VARCHAR(12) NOT NULL, region VARCHAR NOT NULL,
    prefix VARCHAR(256) NOT NULL, applied_for TEXT NOT NULL, description TEXT,
    encryption_configuration TEXT NOT NULL, resource_tags TEXT,
    image_tag_mutability VARCHAR NOT NULL, image_tag_mutability_exclusion_filters TEXT, repository_policy TEXT,
    lifecycle_policy TEXT, custom_role_arn TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
    PRIMARY KEY (registry_id, region, prefix));
INSERT INTO account_settings VALUES ('000000000000', 'us-east-1', 'BLOB_MOUNTING', 'ENABLED');
INSERT INTO registry_policies VALUES ('000000000000', 'us-east-1', '{}');
INSERT INTO pull_time_update_exclusions VALUES ('000000000000', 'us-east-1', 'arn', 7);
INSERT INTO creation_templates VALUES ('000000000000', 'us-east-1', 'team', '["CREATE_ON_PUSH"]', 'd', '{}', NULL,
    'IMMUTABLE', NULL, NULL, NULL, NULL, 1, 2);
INSERT INTO events VALUES (5, 1, 'e', 'ImagePushed', '000000000000', 'us-east-1', 'app', '{"a": 1}', NULL);
INSERT INTO jobs VALUES (6, 1, 'note', 'k', '000000000000', 'us-east-1', '{"b": 2}', 'PENDING', 0, NULL, NULL, 1);
INSERT INTO audit VALUES (7, 1, 'api', 'p', '000000000000', 'us-east-1', 'a', 'r', 1, 'because', 'i', 's', NULL);
"""
CHANGED = (
    "account_settings",
    "registry_policies",
    "pull_time_update_exclusions",
    "creation_templates",
    "events",
    "jobs",
    "audit",
)
HERE = Registry("000000000000", "us-east-1")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ecrsim.db"


@pytest.fixture
def version_2(path):
    database = Database(f"sqlite:///{path}")
    database.open()
    with database.write() as connection:
        connection.execute(update(properties).where(properties.c.name == "schema_version").values(value="2"))
    database.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("".join(f"DROP TABLE {name};" for name in CHANGED) + VERSION_2)
    return path


@pytest.fixture
def migrated(version_2):
    database = Database(f"sqlite:///{version_2}")
    database.open()
    yield database
    database.close()


def columns(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        return {
            name: [tuple(row[1:]) for row in connection.execute(f"PRAGMA table_info({name})")]
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }


def test_tables_are_what_a_new_database_has(migrated, version_2, tmp_path):
    fresh = Database(f"sqlite:///{tmp_path / 'fresh.db'}")
    fresh.open()
    fresh.close()
    assert columns(version_2) == columns(tmp_path / "fresh.db")


def test_rows_belong_to_the_private_registry(migrated):
    with migrated.read() as connection:
        place = HERE._asdict()
        for table in (account_settings, registry_policies, pull_time_update_exclusions, creation_templates):
            assert len(connection.execute(select(table).where(of_registry(table)), place).all()) == 1
            assert connection.execute(select(table).where(of_registry(table)), {**place, "kind": "public"}).all() == []
        [event] = outbox.page(connection, 0, 10)
        assert (event.sequence, event.registry, event.facts) == (5, HERE, {"a": 1})
        [job] = jobs.page(connection, 0, 10)
        assert (job.id, job.registry, job.payload) == (6, HERE, {"b": 2})
        [row] = audit.page(connection, 0, 0, 10)
        assert (row.id, row.kind, row.reason) == (7, "private", "because")


def test_what_version_2_lacked_is_made(version_2):
    with closing(sqlite3.connect(version_2)) as connection, connection:
        connection.execute("DROP TABLE jobs")
        connection.execute("DROP TABLE registry_policies")
    database = Database(f"sqlite:///{version_2}")
    database.open()
    database.close()
    assert {"jobs", "registry_policies"} <= columns(version_2).keys()
