"""The token: who is asked for it, by mode, by what is asked and by where the request comes from."""

import json
import stat
import threading

import pytest

from ecrsim import Ecrsim
from ecrsim.config import load
from ecrsim.core.admintoken import FILE, known_token, made_token
from ecrsim.testing import call_application

LOOPBACK, NEIGHBOUR = "127.0.0.1", "172.17.0.1"
#: Everything of the surface, with a body that would do: what only concerns ecrsim, and what reaches beyond it.
WITHIN = [
    ("GET", "/_ecrsim/clock", None),
    ("PUT", "/_ecrsim/clock", {"mode": "real"}),
    ("POST", "/_ecrsim/clock/advance", {"seconds": 1}),
    ("GET", "/_ecrsim/jobs", None),
    ("POST", "/_ecrsim/jobs/run", {}),
    ("GET", "/_ecrsim/events", None),
    ("GET", "/_ecrsim/audit", None),
    ("GET", "/_ecrsim/targets", None),
    ("GET", "/_ecrsim/upstreams", None),
    ("GET", "/_ecrsim/advisories", None),
    ("PUT", "/_ecrsim/advisories", {"records": []}),
    ("POST", "/_ecrsim/targets/settle", {}),
    ("POST", "/_ecrsim/explain",
     {"principal": "arn:aws:iam::000000000000:root", "action": "ecr:ListImages", "resource": "*"}),
    ("GET", "/_ecrsim/public-aliases", None),
    ("PUT", "/_ecrsim/public-aliases", {"name": "acme"}),
    ("GET", "/_ecrsim/signing-profiles", None),
    ("PUT", "/_ecrsim/signing-profiles", {"signing_profiles": []}),
    ("POST", "/_ecrsim/signing-profiles", {"name": "prod"}),
    ("GET", "/_ecrsim/signer/root", None),
    ("GET", "/_ecrsim/cost", None),
    ("POST", "/_ecrsim/cost", {}),
    ("GET", "/_ecrsim/keys", None),
    ("POST", "/_ecrsim/keys", {}),
    ("POST", "/_ecrsim/reset", None),
]  # fmt: skip
BEYOND = [
    ("PUT", "/_ecrsim/targets", {"targets": [{"name": "log", "type": "file", "path": "events.jsonl"}]}),
    ("PUT", "/_ecrsim/principals", {"users": []}),
    ("PUT", "/_ecrsim/upstreams", {"quay.io": "http://127.0.0.1:1"}),
]
#: What concerns a key, and finds none here.
OF_KEYS = [
    ("POST", "/_ecrsim/keys/<action>", {}),
    ("PUT", "/_ecrsim/keys/alias", {}),
    ("DELETE", "/_ecrsim/keys/alias", {}),
]
#: What concerns an image, and finds none here.
OF_IMAGES = [
    ("GET", "/_ecrsim/bill", None),
    ("GET", "/_ecrsim/signatures", None),
    ("POST", "/_ecrsim/scan", {}),
    ("GET", "/_ecrsim/scan-findings", None),
    ("PUT", "/_ecrsim/scan-findings", {}),
    ("DELETE", "/_ecrsim/scan-findings", None),
]
PROXIED = {"X-Forwarded-For": "127.0.0.1"}


def asked(sim, row, headers=None, peer=LOOPBACK):
    method, path, document = row
    body = b"" if document is None else json.dumps(document).encode()
    return call_application(sim.app, method, f"http://localhost:5100{path}", headers or {}, body, peer=peer).status


def bearer(sim):
    return {"Authorization": f"Bearer {sim.runtime.admin_token}"}


@pytest.fixture(scope="module")
def sims():
    with (
        Ecrsim(socket=False) as free,
        Ecrsim(socket=False, auth="strict") as strict,
    ):
        yield {"open": free, "strict": strict}


@pytest.mark.parametrize("row", [*WITHIN, *BEYOND], ids=lambda row: f"{row[0]} {row[1]}")
class TestEach:
    def test_strict_asks_for_it_wherever_the_request_comes_from(self, sims, row):
        sim = sims["strict"]
        assert asked(sim, row) == 401
        assert asked(sim, row, peer=NEIGHBOUR) == 401
        assert asked(sim, row, {"Authorization": "Bearer wrong"}) == 401
        assert asked(sim, row, bearer(sim), peer=NEIGHBOUR) == 200

    def test_open_asks_a_neighbour_for_what_reaches_beyond(self, sims, row):
        sim = sims["open"]
        beyond = 401 if row in BEYOND else 200
        assert asked(sim, row) == 200
        assert asked(sim, row, peer="::1") == 200
        assert asked(sim, row, peer=NEIGHBOUR) == beyond
        assert asked(sim, row, bearer(sim), peer=NEIGHBOUR) == 200
        # A header makes nobody a neighbour of himself; one that a proxy writes takes trust away.
        assert asked(sim, row, PROXIED, peer=NEIGHBOUR) == beyond
        assert asked(sim, row, PROXIED) == beyond


@pytest.mark.parametrize("row", [*OF_IMAGES, *OF_KEYS], ids=lambda row: f"{row[0]} {row[1]}")
def test_images_and_keys_are_behind_it_as_well(sims, row):
    assert asked(sims["strict"], row) == 401
    assert asked(sims["strict"], row, bearer(sims["strict"])) in (400, 404)
    assert asked(sims["open"], row, peer=NEIGHBOUR) in (400, 404)


def test_every_route_is_one_of_these(sims):
    assert asked(sims["open"], WITHIN[0]) == 200  # Flask is loaded by the first request
    rules = [
        (method, rule.rule)
        for rule in sims["open"].app._flask().__self__.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    ]
    known = {row[:2] for row in (*WITHIN, *BEYOND, *OF_IMAGES, *OF_KEYS)} | {
        ("GET", path)
        for path in (
            "/",
            "/gallery/",
            "/gallery/<alias>/<path:name>",
            "/images/<text>",
            "/logo/<registry>/<logo_id>.png",
            "/repositories/<text>",
            "/_ecrsim/health",
            "/_ecrsim/ready",
            "/_ecrsim/events/stream",
            "/_ecrsim/lifecycle/images",
            "/_ecrsim/policy/minimal",
        )
    }
    assert set(rules) == known


@pytest.mark.parametrize("mode", ["open", "strict"])
def test_health_is_open_and_says_nothing_secret(sims, mode):
    sim = sims[mode]
    answer = call_application(sim.app, "GET", "http://localhost/_ecrsim/health", peer=NEIGHBOUR)
    assert answer.status == 200
    assert sim.runtime.admin_token.encode() not in answer.body
    assert str(sim.runtime.data_dir).encode() not in answer.body


class TestFile:
    def test_it_is_the_owners_alone_and_stays(self, tmp_path):
        token = made_token(tmp_path)
        assert len(token) == 64
        assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
        assert made_token(tmp_path) == token
        assert [each.name for each in tmp_path.iterdir()] == [FILE]

    def test_one_that_others_can_read_is_closed_again(self, tmp_path):
        (tmp_path / FILE).write_text("kept\n")
        (tmp_path / FILE).chmod(0o644)
        assert made_token(tmp_path) == "kept"
        assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600

    def test_an_empty_one_is_none(self, tmp_path):
        (tmp_path / FILE).touch()
        token = made_token(tmp_path)
        assert token
        assert made_token(tmp_path) == token

    def test_workers_that_start_at_once_agree(self, tmp_path):
        found, together = [], threading.Barrier(8)

        def start():
            together.wait()
            found.append(made_token(tmp_path))

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1

    @pytest.mark.parametrize(
        ("settings", "known"),
        [
            ({}, True),
            ({"host": "0.0.0.0"}, True),  # noqa: S104 - to ask, not to listen
            ({"host": "::1"}, True),
            ({"host": "localhost"}, True),
            ({"host": "ecr.example"}, False),
            ({"host": "10.0.0.1"}, False),
            ({"host": "127.0.0.1.evil.example"}, False),
        ],
    )
    def test_it_is_told_to_nobody_elsewhere(self, tmp_path, settings, known):
        token = made_token(tmp_path)
        config = load({"data_dir": str(tmp_path), **settings}, environ={})
        assert known_token(config) == (token if known else None)

    def test_a_setting_comes_first(self, tmp_path):
        made_token(tmp_path)
        given = {"data_dir": str(tmp_path), "admin_token": "given", "host": "10.0.0.1"}
        assert known_token(load(given, environ={})) == "given"
        with Ecrsim(socket=False, data_dir=str(tmp_path / "other"), admin_token="given") as sim:
            assert sim.runtime.admin_token == "given"
            assert not (tmp_path / "other" / FILE).exists()
