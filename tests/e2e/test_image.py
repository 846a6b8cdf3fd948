"""The container image: built by the Dockerfile of the checkout, healthy by its HEALTHCHECK, asked by `docker exec`.

The Dockerfile's FROM cannot be pulled where only package mirrors are reached, so its name is given to a Debian that
debootstrap makes, with the Python of that release. pip installs within the build as it does here: its settings and
certificates are handed on.
"""

import itertools
import json
import os
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from tests.e2e.clients import ROOT, SEARCH_PATH, Client, require

pytestmark = pytest.mark.slow

#: The Debian whose Python is the one that the Dockerfile asks for.
RELEASES = {"3.11": "bookworm", "3.13": "trixie"}
PACKAGES = "python3,python3-pip,ca-certificates"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
NAME = "ecrsim-under-test"
#: Events of a container are told by its name, also those of one that is gone.
CONTAINERS = itertools.count(1)


def base_name():
    """What FROM says, and the version in it."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    version = re.search(r"^ARG PYTHON=(\S+)$", text, re.MULTILINE)[1]
    names = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    assert names == {"python:${PYTHON}-slim"}
    return f"python:{version}-slim", version


def pip_settings():
    """The variables that pip is set by on this machine; its certificates are those of the base."""
    found = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    found.pop("PIP_FIND_LINKS", None)  # a folder of this machine
    return found | {"PIP_CERT": CERTIFICATES, "PIP_BREAK_SYSTEM_PACKAGES": "1"}


@pytest.fixture(scope="module")
def engine(docker_host, tmp_path_factory) -> Client:
    home = tmp_path_factory.mktemp("home")
    environ = {"PATH": SEARCH_PATH, "HOME": str(home), "DOCKER_HOST": docker_host, "DOCKER_BUILDKIT": "0"}
    return Client((require("docker"),), environ)


@pytest.fixture(scope="module")
def base(engine, tmp_path_factory):
    """An image of the name that FROM says. It is left alone where there is one."""
    name, version = base_name()
    if engine.attempt("image", "inspect", name).status == 0:
        yield name
        return
    if os.geteuid() != 0:
        pytest.skip(f"there is no image {name}, and only root can make one with debootstrap")
    program, tree = require("debootstrap"), tmp_path_factory.mktemp("debian")
    command = [program, "--variant=minbase", f"--include={PACKAGES}", RELEASES[version], str(tree)]
    subprocess.run(command, check=True, timeout=900, stdout=subprocess.DEVNULL)
    (tree / "usr/bin/python").symlink_to("python3")
    (tree / CERTIFICATES[1:]).write_bytes(Path(CERTIFICATES).read_bytes())
    settings = [word for name, value in pip_settings().items() for word in ("--change", f"ENV {name}={value}")]
    with subprocess.Popen(["tar", "-C", str(tree), "-c", "."], stdout=subprocess.PIPE) as packed:
        imported = ["docker", "import", *settings, "-", name]
        subprocess.run(imported, stdin=packed.stdout, env=dict(engine.environ), check=True, timeout=300)
    yield name
    engine.attempt("image", "rm", "--force", name)


@pytest.fixture(scope="module")
def image(engine, base):
    """Built as README says; the network of the machine, since a private daemon has no other."""
    engine("build", "--network", "host", "--tag", NAME, ".", cwd=ROOT, timeout=900)
    yield NAME
    engine.attempt("image", "rm", "--force", NAME)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


@pytest.fixture
def run(engine, image):
    """A container of these settings, with ports of its own: its name, its port and `ask("ecrsim", "token")` within."""
    running = []

    def start(**settings):
        name, port = f"{NAME}-{os.getpid()}-{next(CONTAINERS)}", free_port()
        variables = {"ECRSIM_PORT": port, "ECRSIM_TLS_PORT": free_port(), **settings}
        options = [word for each, value in variables.items() for word in ("--env", f"{each}={value}")]
        engine("run", "--detach", "--name", name, "--network", "host", *options, image)
        running.append(name)

        def ask(*command):
            return engine.attempt("exec", name, *command)

        return name, port, ask

    yield start
    for name in running:
        engine.attempt("rm", "--force", "--volumes", name)


def becomes_healthy(engine, name):
    """Whether the daemon tells so within a minute, which is several checks."""
    events = [*engine.program, "events", "--since", "10m", "--filter", f"container={name}"]
    status = "health_status: "
    with subprocess.Popen(events, env=dict(engine.environ), stdout=subprocess.PIPE, text=True) as told:
        late = threading.Timer(90, told.terminate)
        late.start()
        try:
            return next((status + "healthy" in line for line in told.stdout if status in line), False)
        finally:
            late.cancel()
            told.terminate()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ECRSIM_ADMIN": "0"},
        {"ECRSIM_AUTH": "strict", "ECRSIM_WORKERS": "2"},
        {"ECRSIM_TLS": "1", "ECRSIM_ADMIN_TOKEN": "open sesame"},
        {"ECRSIM_HOST": "127.0.0.1", "ECRSIM_EPHEMERAL": "1"},
    ],
    ids=lambda settings: " ".join(f"{name}={value}" for name, value in settings.items()) or "none",
)
def test_a_container_becomes_healthy_and_its_commands_find_it(settings, engine, run):
    name, port, ask = run(**settings)
    assert becomes_healthy(engine, name), engine.attempt("logs", name).text
    findings = ask("ecrsim", "doctor")
    assert findings.stdout.splitlines()[0].endswith(f" answers on port {port}"), findings.text
    assert findings.status == 0, findings.text
    turned = ask("ecrsim", "advance", "1d")
    if settings.get("ECRSIM_ADMIN") == "0":
        assert turned.text == "ecrsim: The admin surface is switched off.\n"
    else:
        assert turned.status == 0, turned.text
    if "ECRSIM_EPHEMERAL" not in settings:
        token = ask("ecrsim", "token")
        assert token.status == 0, token.text
        assert token.stdout.strip() == settings.get("ECRSIM_ADMIN_TOKEN", token.stdout.strip())
        assert len(token.stdout.strip()) >= 11


def test_targets_of_aws_can_be_set(run):
    """They need boto3, which the image has."""
    _, port, ask = run()
    assert ask("ecrsim", "wait").status == 0
    targets = '{"targets": [{"name": "q", "type": "sqs", "queue_url": "http://127.0.0.1:1/000000000000/q"}]}'
    put = (
        "import urllib.request as u; print(u.urlopen(u.Request("
        f"'http://127.0.0.1:{port}/_ecrsim/targets', b'{targets}', method='PUT')).read().decode())"
    )
    answer = ask("python", "-c", put)
    assert json.loads(answer.stdout or "null") == {"rules": 0, "targets": 1}, answer.text
