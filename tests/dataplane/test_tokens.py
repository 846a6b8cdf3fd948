"""Authorization tokens on /v2/: what is accepted, for how long, and with which words everything else is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.testing import Response
from tests.dataplane.wire import World, shared_sim

EXPIRED = "Your authorization token has expired. Reauthenticate and try again."  # recorded


def ping(world: World, authorization: str, path: str = "/v2/") -> Response:
    return world.ask("GET", path, {"Authorization": authorization})


def password_of(world: World) -> str:
    user, _, password = base64.b64decode(world.token).decode().partition(":")
    assert user == "AWS"
    return password


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def repacked(world: World, **changes: Any) -> str:
    """The token with other members in its envelope, as somebody would who has no key."""
    envelope = json.loads(base64.b64decode(password_of(world)))
    return basic("AWS", base64.b64encode(json.dumps(envelope | changes).encode()).decode())


def claims_of(world: World, **changes: Any) -> str:
    payload = json.loads(base64.b64decode(json.loads(base64.b64decode(password_of(world)))["payload"]))
    return base64.b64encode(json.dumps(payload | changes).encode()).decode()


def test_the_token_is_used_as_it_comes(world: World):
    assert ping(world, f"Basic {world.token}").status == 200
    assert ping(world, f"basic {world.token}").status == 200  # schemes know no case (RFC 9110 11.1)
    assert ping(world, basic("AWS", password_of(world))).status == 200


def test_the_password_has_the_form_that_clients_rely_on(world: World):
    """SAM splits at the colon and expects two parts; the credential helper decodes it (both recorded)."""
    password = password_of(world)
    assert ":" not in password
    envelope = json.loads(base64.b64decode(password, validate=True))
    assert list(envelope) == ["payload", "datakey", "version", "type", "expiration"]
    assert (envelope["version"], envelope["type"]) == ("2", "DATA_KEY")
    assert password.startswith("eyJwYXlsb2FkIjoi")


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("", id="nothing"),
        pytest.param("Basic", id="a scheme alone"),
        pytest.param("Basic !!!", id="no base64"),
        pytest.param("Bearer {token}", id="another scheme"),
        pytest.param("Digest username=AWS", id="a scheme that nobody offered"),
        pytest.param("{token}", id="no scheme"),
        pytest.param(basic("AWS", ""), id="no password"),
        pytest.param(basic("AWS", "secret"), id="a password that is no token"),
        pytest.param(basic("", "secret"), id="no user"),
        pytest.param("Basic " + base64.b64encode(b"AWS").decode(), id="no colon"),
        pytest.param("Basic " + base64.b64encode(b"AWS:\xff\xfe").decode(), id="no UTF-8"),
    ],
)
def test_what_is_no_token_is_not_looked_at(world: World, authorization: str):
    answer = ping(world, authorization.format(token=world.token))
    assert (answer.status, answer.body) == (401, b"Not Authorized\n")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="http://localhost/",service="ecr.amazonaws.com"'


@pytest.mark.parametrize("user", ["aws", "root", "AWS ", "123456789012"])
def test_the_user_is_aws(world: World, user: str):
    """Inferred: the real status for another user is not known."""
    assert ping(world, basic(user, password_of(world))).status == 401


@pytest.mark.parametrize("cut", [1, 5, 100])
def test_a_token_that_is_cut_is_a_bad_request(world: World, cut: int):
    """What docker login shows for a password with a line end or a part missing (recorded)."""
    answer = ping(world, basic("AWS", password_of(world)[:-cut]))
    assert answer.status == 400
    assert ping(world, basic("AWS", password_of(world) + "\n")).status == 400


def test_an_altered_token_is_refused(world: World):
    foreign = World(world.sim)
    seal = json.loads(base64.b64decode(password_of(world)))["datakey"]
    later = json.loads(base64.b64decode(password_of(world)))["expiration"] + 1
    altered = {
        "later": repacked(world, expiration=later),
        "of another account": repacked(world, payload=claims_of(world, account=foreign.account)),
        "of another principal": repacked(world, payload=claims_of(world, principal="arn:aws:iam::1:user/x")),
        "without a seal": repacked(world, datakey=""),
        "with a seal cut short": repacked(world, datakey=seal[:-4]),
        "with no text as its seal": repacked(world, datakey=None),
    }
    statuses = {what: ping(world, authorization).status for what, authorization in altered.items()}
    assert set(statuses.values()) == {401}, statuses
    # Members that are not sealed change nothing.
    assert ping(world, repacked(world, version="9")).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"expiration": "soon"},
        {"expiration": True},
        {"expiration": None},
        {"payload": 5},
        {"payload": None},
    ],
    ids=str,
)
def test_an_envelope_of_other_types_is_refused(world: World, changes: dict[str, Any]):
    assert ping(world, repacked(world, **changes)).status in (400, 401)


@pytest.fixture
def own_world() -> Any:
    """A world whose clock may be turned."""
    with Ecrsim(socket=False) as sim:
        yield World(sim)


def test_a_token_is_good_for_twelve_hours(own_world: World):
    world, old = own_world, own_world.token
    world.sim.advance(hours=12, seconds=-2)
    assert ping(world, f"Basic {old}").status == 200
    world.sim.advance(seconds=3)
    answer = ping(world, f"Basic {old}")
    assert answer.status == 403
    assert answer.json() == {"errors": [{"code": "DENIED", "message": EXPIRED}]}
    assert ping(world, f"Basic {world.log_in()}").status == 200
    assert ping(world, f"Basic {old}").status == 403


def test_a_token_that_expires_is_refused_on_every_route(own_world: World):
    own_world.sim.advance(hours=13)
    for method, path in (
        ("GET", "/v2/app/tags/list"),
        ("POST", "/v2/app/blobs/uploads/"),
        ("PUT", "/v2/app/manifests/v1"),
    ):
        answer = own_world.ask(method, path, body=b"{}" if method == "PUT" else b"")
        assert answer.json()["errors"][0]["code"] == "DENIED"
        assert answer.status == 403


def test_the_lifetime_is_a_setting():
    with Ecrsim(socket=False, token_lifetime=60) as sim:
        world = World(sim)
        sim.advance(seconds=61)
        assert ping(world, f"Basic {world.token}").status == 403


def test_a_token_of_another_ecrsim_is_worth_nothing(world: World):
    with Ecrsim(socket=False) as other:
        assert ping(world, f"Basic {World(other).token}").status == 401


def test_a_token_outlives_a_restart(tmp_path: Any):
    with Ecrsim(socket=False, data_dir=str(tmp_path)) as sim:
        world = World(sim)
    with Ecrsim(socket=False, data_dir=str(tmp_path)) as sim:
        world.sim = sim
        assert ping(world, f"Basic {world.token}", "/v2/app/tags/list").json() == {"name": "app", "tags": []}


def test_a_token_outlives_a_reset(own_world: World):
    own_world.sim.reset()
    assert ping(own_world, f"Basic {own_world.token}").status == 200


def test_a_token_opens_its_own_account_only(world: World):
    other = World(world.sim)
    host = f"{world.account}.dkr.ecr.us-east-1.localhost"
    answer = other.ask("GET", "/v2/app/tags/list", host=host)
    assert answer.status == 403
    (error,) = answer.json()["errors"]
    assert error["code"] == "DENIED"
    assert error["message"].startswith(
        f"User: arn:aws:iam::{other.account}:root is not authorized to perform: ecr:ListImages on resource: "
        f"arn:aws:ecr:us-east-1:{world.account}:repository/app because no "
    )
    assert world.ask("GET", "/v2/app/tags/list", host=host).status == 200


def test_a_token_is_good_in_every_region(world: World):
    world.api("CreateRepository", region="eu-west-1", repositoryName="far")
    answer = world.ask("GET", "/v2/far/tags/list", host=f"{world.account}.dkr.ecr.eu-west-1.amazonaws.com")
    assert answer.json() == {"name": "far", "tags": []}


def test_one_entry_for_each_registry_that_is_named(world: World):
    """`registryIds` is deprecated and works (documented); the token is the caller's each time."""
    data = world.api("GetAuthorizationToken", registryIds=["123456789012", world.account])["authorizationData"]
    assert len(data) == 2
    for entry in data:
        assert ping(world, f"Basic {entry['authorizationToken']}", "/v2/app/tags/list").status == 200


def test_a_large_body_without_credentials_is_refused_and_not_stored(world: World):
    before = list(shared_sim(()).runtime.blobs.uploads())
    answer = world.ask("POST", "/v2/app/blobs/uploads/?digest={layer}", {"Authorization": ""}, b"x" * (1 << 20))
    assert answer.status == 401
    assert list(shared_sim(()).runtime.blobs.uploads()) == before
