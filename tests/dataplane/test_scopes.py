"""Which registry a request means: by its host, by the prefix of its path, by its token; and what each style prints."""

from __future__ import annotations

from typing import Any

import pytest

from ecrsim import Ecrsim
from tests.dataplane.wire import World

FAR = "eu-west-1"


@pytest.fixture
def everywhere(world: World) -> World:
    """Repositories that tell by their name where they are."""
    world.repository("home")
    world.api("CreateRepository", region=FAR, repositoryName="far")
    world.api("CreateRepository", region="cn-north-1", repositoryName="china")
    return world


def found(world: World, name: str, **how: Any) -> bool:
    answer = world.ask("GET", f"/v2/{name}/tags/list", **how)
    assert answer.status == 200 or answer.json()["errors"][0]["code"] == "NAME_UNKNOWN", answer
    return answer.status == 200


@pytest.mark.parametrize(
    "host",
    [
        "{account}.dkr.ecr.eu-west-1.amazonaws.com",
        "{account}.dkr.ecr.eu-west-1.amazonaws.com:5100",
        "{account}.dkr.ecr.eu-west-1.localhost:5100",
        "{account}.dkr.ecr-fips.eu-west-1.amazonaws.com",
        "{account}.dkr-ecr.eu-west-1.on.aws",
        "{account}.dkr-ecr-fips.eu-west-1.on.aws:443",
        "{account}.DKR.ECR.EU-WEST-1.AMAZONAWS.COM",
        "{account}.dkr.ecr.eu-west-1.amazonaws.eu",
        "{account}.dkr.ecr.eu-west-1.some.proxy.example",
    ],
)
def test_the_host_names_the_registry(everywhere: World, host: str):
    named = host.format(account=everywhere.account)
    assert found(everywhere, "far", host=named)
    assert not found(everywhere, "home", host=named)


def test_hosts_of_china_have_a_suffix_of_their_own(everywhere: World):
    for suffix in ("dkr.ecr.cn-north-1.amazonaws.com.cn", "dkr-ecr.cn-north-1.on.amazonwebservices.com.cn"):
        assert found(everywhere, "china", host=f"{everywhere.account}.{suffix}")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:5100",
        "127.0.0.1:5100",
        "[::1]:5100",
        "registry:5100",
        "host.docker.internal:5100",
        "example.com",
        "12345.dkr.ecr.eu-west-1.amazonaws.com",
        "dkr.ecr.eu-west-1.amazonaws.com",
        "api.ecr.eu-west-1.amazonaws.com",
    ],
)
def test_every_other_host_leaves_it_to_the_token(everywhere: World, host: str):
    assert found(everywhere, "home", host=host)
    assert not found(everywhere, "far", host=host)


def test_the_token_has_the_region_that_it_was_asked_for_in(everywhere: World):
    everywhere.token = everywhere.log_in(region=FAR)
    assert found(everywhere, "far")
    assert not found(everywhere, "home")


def test_the_path_names_the_registry(everywhere: World):
    assert found(everywhere, f"{everywhere.account}/{FAR}/far")
    assert found(everywhere, f"{everywhere.account}/us-east-1/home")
    assert not found(everywhere, f"{everywhere.account}/{FAR}/home")


def test_the_host_has_the_last_word(everywhere: World):
    """With a registry's own host the path is nothing but a name."""
    host = f"{everywhere.account}.dkr.ecr.us-east-1.localhost"
    assert not found(everywhere, f"{everywhere.account}/{FAR}/far", host=host)
    everywhere.repository(f"{everywhere.account}/{FAR}/far")
    assert found(everywhere, f"{everywhere.account}/{FAR}/far", host=host)


@pytest.mark.parametrize(
    "namespace",
    [
        "{account}.dkr.ecr.eu-west-1.amazonaws.com",
        "{account}.dkr.ecr.eu-west-1.amazonaws.com:443",
        "{account}.dkr-ecr.eu-west-1.on.aws",
        "{account}.dkr.ecr.EU-WEST-1.amazonaws.com",
    ],
)
def test_a_mirror_is_told_the_registry_that_it_stands_for(everywhere: World, namespace: str):
    """containerd and BuildKit add `ns` to what they ask a mirror for."""
    ns = namespace.format(account=everywhere.account)
    assert everywhere.ask("GET", f"/v2/far/tags/list?ns={ns}").status == 200
    assert everywhere.ask("GET", f"/v2/home/tags/list?ns={ns}").status == 404


@pytest.mark.parametrize("namespace", ["docker.io", "", "localhost:5100", "x.dkr.ecr.eu-west-1.amazonaws.com"])
def test_a_mirror_of_something_else_leaves_it_to_the_token(everywhere: World, namespace: str):
    assert everywhere.ask("GET", f"/v2/home/tags/list?ns={namespace}").status == 200


def test_host_and_prefix_come_before_the_namespace(everywhere: World):
    ns = f"{everywhere.account}.dkr.ecr.{FAR}.amazonaws.com"
    host = f"{everywhere.account}.dkr.ecr.us-east-1.localhost"
    assert everywhere.ask("GET", f"/v2/home/tags/list?ns={ns}", host=host).status == 200
    assert everywhere.ask("GET", f"/v2/{everywhere.account}/us-east-1/home/tags/list?ns={ns}").status == 200


def test_a_foreign_account_in_the_namespace_is_denied(everywhere: World):
    other = World(everywhere.sim)
    answer = everywhere.ask("GET", f"/v2/app/tags/list?ns={other.account}.dkr.ecr.us-east-1.amazonaws.com")
    assert (answer.status, answer.json()["errors"][0]["code"]) == (403, "DENIED")


def test_urls_in_answers_keep_the_namespace(everywhere: World):
    """containerd adds `ns` to the first request of an upload, and takes the Location as it is."""
    ns = f"{everywhere.account}.dkr.ecr.{FAR}.amazonaws.com"
    layer = everywhere.values["layer"]
    begun = everywhere.ask("POST", f"/v2/far/blobs/uploads/?ns={ns}")
    location = begun.headers["Location"]
    assert everywhere.ask("PATCH", location, body=b"0123456789").status == 202
    finished = everywhere.ask("PUT", f"{location}&digest={layer}", body=b"abcdef")
    assert (finished.status, everywhere.ask("HEAD", finished.headers["Location"]).status) == (201, 200)

    manifest = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    for tag in ("a", "b"):
        put = everywhere.ask("PUT", f"/v2/far/manifests/{tag}?ns={ns}", body=manifest)
        assert everywhere.ask("GET", put.headers["Location"]).body == manifest
    link = everywhere.ask("GET", f"/v2/far/tags/list?n=1&ns={ns}").headers["Link"]
    assert everywhere.ask("GET", link[1 : link.index(">")]).json()["tags"] == ["b"]
    catalog = everywhere.ask("GET", f"/v2/_catalog?ns={ns}")
    assert catalog.json() == {"repositories": ["far"]}


@pytest.mark.parametrize(
    "name",
    [
        "12345/eu-west-1/far",
        "{account}/Europe/far",
        "{account}/eu_west/far",
        "{account}/far",
        "{account}x/eu-west-1/far",
    ],
)
def test_what_only_looks_like_a_prefix_is_a_name(everywhere: World, name: str):
    named = name.format(account=everywhere.account)
    answer = everywhere.ask("GET", f"/v2/{named}/tags/list")
    code = answer.json()["errors"][0]["code"]
    assert code == ("NAME_INVALID" if "E" in name else "NAME_UNKNOWN")


def test_a_foreign_account_in_the_path_is_denied(everywhere: World):
    other = World(everywhere.sim)
    answer = everywhere.ask("GET", f"/v2/{other.account}/us-east-1/app/tags/list")
    assert (answer.status, answer.json()["errors"][0]["code"]) == (403, "DENIED")


def test_urls_in_answers_keep_the_prefix(everywhere: World):
    name = f"{everywhere.account}/{FAR}/far"
    begun = everywhere.ask("POST", f"/v2/{name}/blobs/uploads/")
    location = begun.headers["Location"]
    assert location.startswith(f"/v2/{name}/blobs/uploads/")
    everywhere.values["upload"] = location
    finished = everywhere.ask("PUT", f"{location}?digest={everywhere.values['layer']}", body=b"0123456789abcdef")
    assert finished.headers["Location"] == f"/v2/{name}/blobs/{everywhere.values['layer']}"
    assert everywhere.ask("HEAD", finished.headers["Location"]).status == 200
    # The same layer by another way of naming the registry.
    host = f"{everywhere.account}.dkr.ecr.{FAR}.localhost"
    assert everywhere.ask("HEAD", f"/v2/far/blobs/{everywhere.values['layer']}", host=host).status == 200


def test_the_catalog_is_that_of_the_registry(everywhere: World):
    assert everywhere.ask("GET", "/v2/_catalog").json() == {"repositories": ["app", "home"]}
    host = f"{everywhere.account}.dkr.ecr.{FAR}.amazonaws.com"
    assert everywhere.ask("GET", "/v2/_catalog", host=host).json() == {"repositories": ["far"]}


def test_the_challenge_names_the_host_that_was_asked(world: World):
    for host in ("localhost:5100", f"{world.account}.dkr.ecr.us-east-1.amazonaws.com", "[::1]:5100"):
        answer = world.ask("GET", "/v2/", {"Authorization": ""}, host=host)
        assert answer.headers["WWW-Authenticate"] == f'Basic realm="http://{host}/",service="ecr.amazonaws.com"'


ACCOUNT, OTHER = "000000000000", "123456789012"
STYLES = {
    "localhost": (
        ("localhost:5100/app", "http://localhost:5100"),
        (f"localhost:5100/{OTHER}/us-east-1/app", "http://localhost:5100"),
        (f"localhost:5100/{ACCOUNT}/eu-west-1/app", "http://localhost:5100"),
    ),
    "domain": (
        (f"{ACCOUNT}.dkr.ecr.us-east-1.localhost:5100/app", f"http://{ACCOUNT}.dkr.ecr.us-east-1.localhost:5100"),
        (f"{OTHER}.dkr.ecr.us-east-1.localhost:5100/app", f"http://{OTHER}.dkr.ecr.us-east-1.localhost:5100"),
        (f"{ACCOUNT}.dkr.ecr.eu-west-1.localhost:5100/app", f"http://{ACCOUNT}.dkr.ecr.eu-west-1.localhost:5100"),
    ),
    "aws": (
        (
            f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com:5100/app",
            f"https://{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com:5100",
        ),
        (f"{OTHER}.dkr.ecr.us-east-1.amazonaws.com:5100/app", f"https://{OTHER}.dkr.ecr.us-east-1.amazonaws.com:5100"),
        (
            f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com:5100/app",
            f"https://{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com:5100",
        ),
    ),
    "ecr.example:9000": (
        ("ecr.example:9000/app", "http://ecr.example:9000"),
        (f"ecr.example:9000/{OTHER}/us-east-1/app", "http://ecr.example:9000"),
        (f"ecr.example:9000/{ACCOUNT}/eu-west-1/app", "http://ecr.example:9000"),
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_every_style_names_repository_and_registry(style: str):
    with Ecrsim(socket=False, registry_host=style) as sim:
        scopes = ((ACCOUNT, "us-east-1"), (OTHER, "us-east-1"), (ACCOUNT, "eu-west-1"))
        said = []
        for account, region in scopes:
            client = sim.client("ecr", account=account, region=region)
            uri = client.create_repository(repositoryName="app")["repository"]["repositoryUri"]
            (listed,) = client.describe_repositories()["repositories"]
            assert listed["repositoryUri"] == uri
            (data,) = client.get_authorization_token()["authorizationData"]
            said.append((uri, data["proxyEndpoint"]))
            # What was printed leads back to the repository.
            authority, _, name = uri.partition("/")
            world = World.__new__(World)
            world.sim, world.token = sim, data["authorizationToken"]
            assert world.ask("GET", f"/v2/{name}/tags/list", host=authority).status == 200
        assert tuple(said) == STYLES[style]


def test_the_port_of_https_is_left_out():
    with Ecrsim(socket=False, registry_host="aws", port=443) as sim:
        uri = sim.client("ecr").create_repository(repositoryName="app")["repository"]["repositoryUri"]
        assert uri == f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/app"
        china = sim.client("ecr", region="cn-north-1").create_repository(repositoryName="app")["repository"]
        assert china["repositoryUri"] == f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn/app"
