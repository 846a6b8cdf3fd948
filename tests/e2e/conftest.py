"""Fixtures of the end-to-end tests: a server process, repositories in it, and every client logged in to it."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import daemon
from tests.e2e.clients import Client, clean_environ, require
from tests.e2e.server import REGION, ServerProcess


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Where E2E_REQUIRE_CLIENTS is set, as in .ci/run, a skipped test is a failed one."""
    report = yield
    if report.skipped and os.environ.get("E2E_REQUIRE_CLIENTS") == "1":
        report.outcome = "failed"
        report.longrepr = f"E2E_REQUIRE_CLIENTS is set, and this was skipped: {call.excinfo.value}"
    return report


@pytest.fixture(scope="session")
def launch(tmp_path_factory) -> Iterator[Callable[..., ServerProcess]]:
    """Start a server with further options; whatever still runs at the end is stopped, and has to exit with 0."""
    running: list[ServerProcess] = []

    def start(*options: str, folder: Path | None = None, port: int = 0) -> ServerProcess:
        server = ServerProcess(folder or tmp_path_factory.mktemp("serve"), *options, port=port)
        running.append(server)
        return server

    yield start
    statuses = [(server.options, server.stop()) for server in running]
    assert all(status == 0 for _, status in statuses), statuses


@pytest.fixture(scope="session")
def server(launch) -> ServerProcess:
    """The server that most tests share; each test has repositories of its own."""
    return launch()


@pytest.fixture(scope="session")
def repository_names() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def create_repository(server, repository_names) -> Callable[..., str]:
    """Create a repository with options of CreateRepository; answers its name."""

    def create(stem: str = "app", **options: object) -> str:
        name = f"e2e/{stem}-{next(repository_names)}"
        uri = server.client().create_repository(repositoryName=name, **options)["repository"]["repositoryUri"]
        assert uri == f"{server.registry}/{name}"
        return name

    return create


@pytest.fixture
def home(tmp_path) -> dict[str, str]:
    """The environment of this test's clients, with an empty home."""
    return clean_environ(tmp_path / "home")


@pytest.fixture
def aws(server, home) -> Client:
    environ = {
        **home,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Client((require("aws"), "--endpoint-url", server.url), environ)


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    require("docker")
    host = daemon.answering_host()
    if host is not None:
        yield host
        return
    private = daemon.start_private_daemon()
    yield private.host
    private.stop()


@pytest.fixture
def docker(docker_host, home, server) -> Iterator[Client]:
    """The docker command, not logged in; images that a test tagged for the server are removed afterwards."""
    # The builder without BuildKit is part of every daemon; BuildKit's front end is a plugin that may be missing.
    client = Client((require("docker"),), {**home, "DOCKER_HOST": docker_host, "DOCKER_BUILDKIT": "0"})
    yield client
    images = client("image", "ls", "--format", "{{.Repository}}:{{.Tag}}@{{.ID}}").split()
    for image in images:
        name, _, image_id = image.partition("@")
        if name.startswith(f"{server.registry}/"):
            client.attempt("image", "rm", "--force", image_id)


@pytest.fixture
def docker_logged_in(docker, server) -> Client:
    docker("login", "--username", "AWS", "--password-stdin", server.registry, stdin=server.password())
    return docker


@pytest.fixture
def containers_environ(home, tmp_path) -> dict[str, str]:
    """What skopeo, podman and buildah need besides a home: storage that works anywhere, and a signature policy."""
    config = Path(home["HOME"]) / ".config" / "containers"
    config.mkdir(parents=True)
    (config / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    storage = config / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/storage"\nrunroot = "{tmp_path}/run"\n')
    return {
        **home,
        "REGISTRY_AUTH_FILE": str(config / "auth.json"),
        "CONTAINERS_STORAGE_CONF": str(storage),
        "BUILDAH_ISOLATION": "chroot",
    }


def containers_client(name: str, environ: dict[str, str], server: ServerProcess) -> Client:
    client = Client((require(name),), environ)
    options = ("--tls-verify=false", "--username", "AWS", "--password-stdin")
    client("login", *options, server.registry, stdin=server.password())
    return client


@pytest.fixture
def skopeo(containers_environ, server) -> Client:
    return containers_client("skopeo", containers_environ, server)


@pytest.fixture
def podman(containers_environ, server) -> Iterator[Client]:
    client = containers_client("podman", containers_environ, server)
    yield client
    client.attempt("image", "rm", "--all", "--force")


@pytest.fixture
def buildah(containers_environ, server) -> Iterator[Client]:
    client = containers_client("buildah", containers_environ, server)
    yield client
    client.attempt("rm", "--all")
    client.attempt("rmi", "--all", "--force")


@pytest.fixture
def crane(home, server) -> Client:
    client = Client((require("crane"),), home)
    client("auth", "login", server.registry, "--username", "AWS", "--password-stdin", stdin=server.password())
    return client


@pytest.fixture
def oras(home, server) -> Client:
    client = Client((require("oras"),), home)
    client("login", server.registry, "--username", "AWS", "--password-stdin", stdin=server.password())
    return client


@pytest.fixture
def regctl(home, server) -> Client:
    client = Client((require("regctl"),), home)
    # Without the check, which asks /v2/ and takes the 401 before the login for a fault.
    client("registry", "set", server.registry, "--tls", "disabled", "--skip-check")
    client("registry", "login", server.registry, "--user", "AWS", "--pass-stdin", stdin=server.password())
    return client


@pytest.fixture
def curl(home) -> Client:
    return Client((require("curl"), "--silent", "--show-error", "--max-time", "60"), home)


def pytest_terminal_summary(terminalreporter):
    """One line for each run of the conformance suite, passed or not: its counts are the result that people ask for."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            counts = dict(report.user_properties).get("conformance")
            if counts and report.when == "call":
                numbers = ", ".join(f"{count} {name}" for name, count in counts.items())
                terminalreporter.write_line(f"OCI conformance suite {report.nodeid.partition('[')[2][:-1]}: {numbers}")
