"""Who reaches /_ecrsim/: programs, and pages of ecrsim's own; never a page of another origin."""

import pytest

HEALTH = ("GET", "/_ecrsim/health")
READY = ("GET", "/_ecrsim/ready")
RESET = ("POST", "/_ecrsim/reset")
everything = pytest.mark.parametrize(("method", "path"), [HEALTH, RESET], ids=["health", "reset"])


@everything
@pytest.mark.parametrize(
    "host",
    [
        "localhost:5100",
        "127.0.0.1:5100",
        "[::1]:5100",
        "10.1.2.3",
        "ecrsim:5100",
        "ecrsim.test",
        "host.docker.internal:5100",
    ],
)
def test_a_program_is_let_in_by_any_name_of_its_own(method, path, host, ask):
    assert ask(method, path, host=host).status == 200


@everything
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost:5100", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://localhost:5100"},
    ],
    ids=["fetch by its own page", "typed by the user", "its own page by https"],
)
def test_a_page_of_its_own_is_let_in(method, path, headers, ask):
    assert ask(method, path, headers).status == 200


@everything
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:5100", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=lambda headers: " ".join(f"{name}={value}" for name, value in headers.items()),
)
def test_a_page_of_another_origin_is_refused(method, path, headers, ask):
    refused = ask(method, path, headers)
    assert (refused.status, refused.json()) == (
        403,
        {"message": "The admin surface is closed to pages of other origins."},
    )


@everything
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example:5100", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://evil.example:5100"},
    ],
    ids=["without a sign", "current browser", "older browser"],
)
@pytest.mark.parametrize(
    "host", ["evil.example:5100", "localhost.evil.example:5100", "127.0.0.1.evil.example:5100", "EVIL.example:5100"]
)
def test_a_page_that_points_its_own_name_here_is_refused(method, path, headers, host, ask):
    """DNS rebinding: the browser believes that ecrsim is of the page's origin."""
    headers = {name: value.replace("evil.example:5100", host) for name, value in headers.items()}
    refused = ask(method, path, headers, host=host)
    assert refused.status == 403
    assert "unless registry_host is set to it" in refused.json()["message"]


@pytest.mark.parametrize("path", ["//_ecrsim/health", "///_ecrsim/health", "/%5fecrsim/health", "/%5Fecrsim%2Fhealth"])
def test_no_spelling_of_the_path_goes_around_the_guard(path, ask):
    assert ask("GET", path).status == 200
    assert ask("GET", path, host="evil.example").status == 403


def test_a_name_that_the_user_set_is_their_own(ask):
    settings = {"registry_host": "ecr.dev.example:8080"}
    assert ask(*HEALTH, host="ecr.dev.example:8080", **settings).status == 200
    assert ask(*HEALTH, host="ecr.dev.example").status == 200
    assert ask(*HEALTH, host="ecr.prod.example:8080").status == 403


def test_the_name_that_it_listens_on_is_its_own(ask):
    assert ask(*RESET, host="ecr.dev.example:5100", listens_on="ecr.dev.example").status == 200
    assert ask(*RESET, host="ecr.prod.example:5100").status == 403


@pytest.mark.parametrize("host", ["[::1", "a b", "", "localhost:port", "x" * 300, "%00", "[zz]:1"])
def test_a_host_that_is_none_is_no_fault(host, ask):
    assert ask(*RESET, {"Host": host}).status < 500


def test_a_token_is_asked_for_except_for_health_and_readiness(ask):
    settings = {"admin_token": "open sesame"}
    refused = ask(*RESET, **settings)
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    for wrong in ("Bearer", "Bearer open", "Basic open sesame", "Bearer öpen", "open"):
        assert ask(*RESET, {"Authorization": wrong}).status == 401
    assert ask(*RESET, {"Authorization": "Bearer open sesame"}).status == 200
    assert (ask(*HEALTH).status, ask(*READY).status) == (200, 200)


def test_a_token_opens_nothing_to_a_page_of_another_origin(ask):
    headers = {"Authorization": "Bearer t", "Origin": "https://evil.example"}
    assert ask(*RESET, headers, admin_token="t").status == 403


def test_switched_off_there_is_nothing_but_health_and_readiness(ask):
    refused = ask(*RESET, admin=False)
    assert (refused.status, refused.json()) == (404, {"message": "The admin surface is switched off."})
    assert (ask(*HEALTH).status, ask(*READY).status) == (200, 200)
    assert ask(*HEALTH, {"Origin": "https://evil.example"}).status == 403


def test_switched_off_the_page_at_the_root_stays(ask):
    assert ask("GET", "/", admin=False).status == 200
