"""Documents of targets and rules: what is refused, what is kept, what is shown."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from ecrsim.core import neighbours
from ecrsim.core.db import properties
from ecrsim.core.outbox import newest
from ecrsim.delivery import targets
from ecrsim.delivery.reach import Reach
from ecrsim.delivery.targets import EventRule, Target, TargetsError, load_targets
from tests.delivery.receivers import new_runtime, push, set_targets, state_of

REACH = Reach(Path("/srv/ecrsim-data"), Path("/srv/ecrsim-data"))


def read(document, reach=REACH):
    return targets.read(document, reach)


FILE = {"name": "log", "type": "file", "path": "events.jsonl"}
HOOK = {"name": "hook", "type": "webhook", "url": "https://127.0.0.1:8443/in?token=abc", "secret": "s3cret"}
BUS = {
    "name": "bus",
    "type": "eventbridge",
    "endpoint_url": "http://127.0.0.1:4566",
    "event_bus": "images",
    "region": "eu-west-1",
    "source": "my.ecr",
    "access_key_id": "AKIA1",
    "secret_access_key": "k3y",
}
QUEUE = {"name": "queue", "type": "sqs", "queue_url": "http://127.0.0.1:4566/000000000000/q"}
RULE = {"name": "pushes", "pattern": {"detail": {"action-type": ["PUSH"]}}, "targets": ["log", "hook"]}


class TestReading:
    def test_every_type(self):
        found = read({"targets": [FILE, HOOK, BUS, {**QUEUE, "from": "beginning"}], "rules": [RULE]})
        assert found.targets[0] == Target("log", "file", {"path": "events.jsonl"})
        assert [target.type for target in found.targets] == ["file", "webhook", "eventbridge", "sqs"]
        assert [target.from_beginning for target in found.targets] == [False, False, False, True]
        assert found.rules == (EventRule("pushes", RULE["pattern"], ("log", "hook")),)

    def test_nothing(self):
        assert read({}) == ((), ())

    def test_a_target_that_no_rule_names_has_no_patterns(self):
        found = read(
            {"targets": [FILE, HOOK, QUEUE], "rules": [RULE, {"pattern": {"source": ["x"]}, "targets": ["log"]}]}
        )
        assert found.patterns("log") == (RULE["pattern"], {"source": ["x"]})
        assert found.patterns("hook") == (RULE["pattern"],)
        assert found.patterns("queue") is None

    @pytest.mark.parametrize(
        ("document", "text"),
        [
            ({"target": []}, "there is no target; targets and rules are what can be set"),
            ({"targets": {}}, "targets is a list of objects"),
            ({"targets": ["log"]}, "targets is a list of objects"),
            ({"rules": {}}, "rules is a list of objects"),
        ],
    )
    def test_a_document_that_is_none(self, document, text):
        with pytest.raises(TargetsError) as caught:
            read(document)
        assert str(caught.value) == text

    @pytest.mark.parametrize(
        ("entry", "text"),
        [
            ({"type": "file"}, "target 2 needs a name of up to 64 letters, digits and ._-, not None"),
            ({**FILE, "name": "a b"}, "target 2 needs a name of up to 64 letters, digits and ._-, not 'a b'"),
            ({**FILE, "name": "a\n"}, "target 2 needs a name of up to 64 letters, digits and ._-, not 'a\\n'"),
            ({**FILE, "name": "first"}, "the target first is there twice"),
            ({**FILE, "type": "kafka"}, "target log: type is one of file, webhook, eventbridge, sqs, not 'kafka'"),
            ({**FILE, "type": ["file"]}, "target log: type is one of file, webhook, eventbridge, sqs, not ['file']"),
            ({**FILE, "from": "start"}, 'target log: from is "now" or "beginning"'),
            ({**FILE, "url": "http://x"}, "target log: a target of type file has no member url"),
            ({**FILE, "pth": "x"}, "target log: a target of type file has no member pth; the nearest is path"),
            ({"name": "log", "typ": "file"}, "target log has no member typ; the nearest is type"),
            ({"name": "log", "file": {"path": "x"}}, "target log has no member file"),
            (
                {**FILE, "type": "files"},
                "target log: type is one of file, webhook, eventbridge, sqs, not 'files'; the nearest is file",
            ),
            ({**FILE, "path": ""}, "target log: path is a text, and not an empty one"),
            ({**FILE, "path": "a\0b"}, "target log: path is the name of a file"),
            ({**FILE, "path": 3}, "target log: path is a text, and not an empty one"),
            *(
                (
                    {**FILE, "path": path},
                    "target log: path leads out of /srv/ecrsim-data: files of targets are there (target_dir)",
                )
                for path in ("/etc/passwd", "../out", "a/../../out", "~/out", ".", "/srv/ecrsim-database/out", "/")
            ),
            *(
                ({**FILE, "path": path}, "target log: path is a file of ecrsim's own")
                for path in (
                    "ecrsim.db",
                    "ecrsim.db-wal",
                    "blobs/sha256/aa/b",
                    "./uploads/x",
                    "tls/ca.key",
                    "admin-token",
                    "store.json",
                    "secret.key",
                    "signer-root.pem",
                    "signer-root.pem.123",
                    "advisories.sqlite",
                )
            ),
            *(
                (
                    {**HOOK, "url": f"http://{host}/latest"},
                    "target hook: url is a link-local or metadata address, which is not called (allow_link_local)",
                )
                for host in (
                    "169.254.169.254",
                    "169.254.0.1:8080",
                    "[fe80::1]",
                    "[fd00:ec2::254]",
                    "100.100.100.200",
                    "[::ffff:169.254.169.254]",
                    "[64:ff9b::a9fe:a9fe]",
                    "[2002:a9fe:a9fe::]",
                )
            ),
            (
                {**QUEUE, "queue_url": "http://169.254.169.254/q"},
                "target queue: queue_url is a link-local or metadata address, which is not called (allow_link_local)",
            ),
            ({"name": "log", "type": "file"}, "target log needs path"),
            ({"name": "q", "type": "sqs"}, "target q needs queue_url"),
            ({**HOOK, "url": "ftp://x"}, "target hook: url is a URL such as http://127.0.0.1:8080/events"),
            ({**HOOK, "url": "http://"}, "target hook: url is a URL such as http://127.0.0.1:8080/events"),
            ({**HOOK, "url": "http://x:99999/"}, "target hook: url is a URL such as http://127.0.0.1:8080/events"),
            ({**HOOK, "url": "http://x/\r\nA: b"}, "target hook: url is a URL such as http://127.0.0.1:8080/events"),
            ({**HOOK, "url": "http://x/a b"}, "target hook: url is a URL such as http://127.0.0.1:8080/events"),
            ({**HOOK, "url": "http://me:pw@x/"}, "target hook: url has no user and no password"),
            ({**BUS, "endpoint_url": "x"}, "target bus: endpoint_url is a URL such as http://127.0.0.1:8080/events"),
            ({**BUS, "region": "Mars"}, "target bus: region is a region's name, such as us-east-1"),
            ({**BUS, "source": "a b"}, "target bus: source is up to 256 letters, digits and ._-/"),
            (
                {**QUEUE, "access_key_id": "AKIA1"},
                "target queue: access_key_id and secret_access_key are given together",
            ),
        ],
    )
    def test_a_target_that_is_none(self, entry, text):
        with pytest.raises(TargetsError) as caught:
            read({"targets": [{**FILE, "name": "first"}, entry]})
        assert str(caught.value) == text

    @pytest.mark.parametrize(
        ("entry", "text"),
        [
            ({**RULE, "name": 1}, "rule 2: a name has up to 64 letters, digits and ._-, not 1"),
            ({**RULE, "name": "first"}, "the rule first is there twice"),
            ({**RULE, "id": 1}, "rule pushes has no member id"),
            ({**RULE, "patern": {}}, "rule pushes has no member patern; the nearest is pattern"),
            ({"targets": ["log"]}, "rule 2: pattern is an object"),
            ({**RULE, "targets": []}, "rule pushes: targets is a list of names of targets"),
            ({**RULE, "targets": "log"}, "rule pushes: targets is a list of names of targets"),
            ({**RULE, "targets": ["bus"]}, "rule pushes: there is no target bus"),
            ({**RULE, "targets": ["logs"]}, "rule pushes: there is no target logs; the nearest is log"),
        ],
    )
    def test_a_rule_that_is_none(self, entry, text):
        with pytest.raises(TargetsError) as caught:
            read({"targets": [FILE, HOOK], "rules": [{**RULE, "name": "first"}, entry]})
        assert str(caught.value) == text

    def test_a_pattern_that_is_none(self):
        with pytest.raises(TargetsError, match=r"^rule pushes: .*sufix") as caught:
            read({"targets": [FILE, HOOK], "rules": [{**RULE, "pattern": {"source": [{"sufix": "x"}]}}]})
        assert isinstance(caught.value, ValueError)

    def test_without_boto3(self, monkeypatch):
        monkeypatch.setattr(neighbours, "find_spec", lambda _: None)
        assert read({"targets": [FILE, HOOK]}).targets
        with pytest.raises(TargetsError, match=r"^target queue: sqs needs boto3, which comes with ecrsim\[boto\]$"):
            read({"targets": [QUEUE]})


def cursor(runtime, name):
    return state_of(runtime, name)["sequence"]


class TestKeeping:
    def test_what_was_put_is_known(self, runtime):
        assert set_targets(runtime, BUS, FILE, HOOK, rules=[RULE]) == {"targets": 3, "rules": 1}
        with runtime.database.read() as connection:
            found = targets.known(connection)
        assert [target.name for target in found.targets] == ["bus", "log", "hook"]
        assert found.targets[0].settings["secret_access_key"] == "k3y"
        assert found.rules == (EventRule("pushes", RULE["pattern"], ("log", "hook")),)

    def test_a_bad_document_changes_nothing(self, runtime):
        set_targets(runtime, FILE)
        with pytest.raises(TargetsError):
            set_targets(runtime, HOOK, {"name": "x"})
        with runtime.database.read() as connection:
            assert [target["name"] for target in targets.state(connection)] == ["log"]

    def test_a_new_target_begins_after_the_newest_event(self, runtime):
        push(runtime, "1", "2")
        set_targets(runtime, FILE, {**HOOK, "from": "beginning"})
        with runtime.database.read() as connection:
            assert (cursor(runtime, "log"), newest(connection)) == (2, 2)
        assert cursor(runtime, "hook") == 0
        assert (state_of(runtime, "log")["pending"], state_of(runtime, "hook")["pending"]) == (0, 2)

    def test_a_name_that_stays_keeps_its_place(self, runtime):
        set_targets(runtime, FILE, HOOK)
        push(runtime, "1", "2")
        set_targets(runtime, {**HOOK, "url": "http://127.0.0.1:1/"}, QUEUE)
        assert (cursor(runtime, "hook"), cursor(runtime, "queue")) == (0, 2)

    def test_a_name_that_comes_again_begins_anew(self, runtime):
        set_targets(runtime, FILE)
        with runtime.database.read() as connection:
            (before,) = targets.known(connection).targets
        push(runtime, "1")
        set_targets(runtime)
        set_targets(runtime, FILE)
        with runtime.database.read() as connection:
            (after,) = targets.known(connection).targets
        assert cursor(runtime, "log") == 1
        assert before.incarnation != after.incarnation

    def test_each_change_is_another_generation(self, runtime):
        seen = set()
        for entries in ((), (FILE,), (FILE,), (HOOK,)):
            with runtime.database.read() as connection:
                seen.add(targets.generation(connection))
            set_targets(runtime, *entries)
        with runtime.database.read() as connection:
            seen.add(targets.generation(connection))
        assert len(seen) == 5

    def test_the_outbox_is_kept_for_the_slowest(self, runtime):
        with runtime.database.read() as connection:
            assert targets.undelivered(connection) is None
        push(runtime, "1")
        set_targets(runtime, FILE)
        push(runtime, "2")
        set_targets(runtime, FILE, HOOK)
        with runtime.database.read() as connection:
            assert targets.undelivered(connection) == 1

    def test_a_reset_forgets_them(self, runtime):
        set_targets(runtime, FILE, rules=[{**RULE, "targets": ["log"]}])
        runtime.reset()
        with runtime.database.read() as connection:
            assert targets.known(connection) == ((), ())
            assert targets.generation(connection) is None
            assert targets.undelivered(connection) is None


class TestShowing:
    def test_no_secret_is_shown(self, runtime):
        set_targets(runtime, BUS, HOOK)
        with runtime.database.read() as connection:
            shown = targets.state(connection)
        text = json.dumps(shown)
        assert "s3cret" not in text
        assert "k3y" not in text
        assert "token" not in text
        assert shown[0]["access_key_id"] == "AKIA1"
        assert shown[1] == {
            "name": "hook",
            "type": "webhook",
            "url": "https://127.0.0.1:8443/in",
            "sequence": 0,
            "pending": 0,
            "attempts": 0,
            "error": None,
            "deliveredAt": None,
            "leftOut": 0,
            "leftOutReason": None,
        }

    def test_who_is_behind(self, runtime):
        set_targets(runtime, FILE)
        push(runtime, "1")
        set_targets(runtime, FILE, HOOK)
        with runtime.database.read() as connection:
            assert [target["name"] for target in targets.behind(connection, 1)] == ["log"]
            assert targets.behind(connection, 0) == []


TOML = """
[[targets]]
name = "log"
type = "file"
path = "events.jsonl"
from = "beginning"

[[rules]]
pattern = {detail = {action-type = ["PUSH"]}}
targets = ["log"]
"""


class TestFiles:
    @pytest.mark.parametrize("content", [TOML, json.dumps({"targets": [FILE], "rules": []})])
    def test_toml_and_json(self, tmp_path, content):
        (tmp_path / "targets").write_text(content)
        runtime = new_runtime(tmp_path / "data", targets=str(tmp_path / "targets"))
        load_targets(runtime)
        assert state_of(runtime, "log")["path"] == "events.jsonl"
        runtime.close()

    def test_the_same_content_is_loaded_once(self, tmp_path):
        file = tmp_path / "targets.toml"
        file.write_text(TOML)
        runtime = new_runtime(tmp_path / "data", targets=str(file))
        load_targets(runtime)
        set_targets(runtime, HOOK)
        load_targets(runtime)
        assert state_of(runtime, "hook")
        file.write_text(TOML + "\n")
        load_targets(runtime)
        assert state_of(runtime, "log")
        runtime.reset()
        load_targets(runtime)
        assert state_of(runtime, "log")
        runtime.close()

    @pytest.mark.parametrize(
        ("content", "text"),
        [
            (b"targets = 3", "targets is a list of objects"),
            (b"{", "it is neither JSON nor TOML: "),
            (b"\xff", "it is neither JSON nor TOML: "),
            (b"= 1", "it is neither JSON nor TOML: "),
        ],
    )
    def test_a_bad_file_is_named(self, tmp_path, content, text):
        file = tmp_path / "targets.toml"
        file.write_bytes(content)
        runtime = new_runtime(tmp_path / "data", targets=str(file))
        with pytest.raises(TargetsError) as caught:
            load_targets(runtime)
        assert str(caught.value).startswith(f"{file}: {text}")
        with runtime.database.read() as connection:
            assert connection.execute(select(properties).where(properties.c.name.like("targets%"))).all() == []
        runtime.close()

    def test_a_missing_file(self, tmp_path):
        runtime = new_runtime(tmp_path / "data", targets=str(tmp_path / "none"))
        with pytest.raises(TargetsError, match="none cannot be read: No such file or directory"):
            load_targets(runtime)
        runtime.close()
