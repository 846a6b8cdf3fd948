"""Settings that touch one another, in pairs, and every command that asks a server: all of them agree where it is.

The rows are generated: as few as make each pair of values meet. A row is given by variables, as to a container, and
the image's HEALTHCHECK is one of the commands.
"""

import itertools
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ecrsim import __version__
from tests.e2e.clients import ROOT

VALUES = {
    "host": ("127.0.0.1", "0.0.0.0", "::1", "::", "localhost"),  # noqa: S104 - that is what a container listens on
    "admin": ("1", "0"),
    "admin_token": ("", "open sesame"),
    "auth": ("open", "strict"),
    "tls": ("0", "1"),
    "ephemeral": ("0", "1"),
    "workers": ("1", "2"),
    "account": ("", "123456789012"),
    "clock": ("", "frozen@2026-01-31"),
}
ASKING = (("clock",), ("advance", "1d"), ("events",), ("reset",), ("clock", "freeze"))
#: Printed by a server on any address.
READY = re.compile(r"ecrsim ready: http://\S+:\d+")


def pairs_of(row):
    return set(itertools.combinations(row.items(), 2))


def covering():
    """Rows in which each two values of different settings meet: the one that adds most pairs is the next."""
    names = list(VALUES)
    missing = {
        ((one, left), (other, right))
        for one, other in itertools.combinations(names, 2)
        for left in VALUES[one]
        for right in VALUES[other]
    }
    while missing:
        row = dict(min(missing))
        for name in names:
            if name not in row:
                row[name] = max(
                    VALUES[name],
                    key=lambda value, name=name: len(pairs_in_order(row | {name: value}) & missing),
                )
        row = {name: row[name] for name in names}
        missing -= pairs_of(row)
        yield row


def pairs_in_order(row):
    return pairs_of({name: row[name] for name in VALUES if name in row})


ROWS = list(covering())


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


def healthcheck():
    """The command of the image, with its program."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    return json.loads(re.search(r"^HEALTHCHECK .*?CMD (\[.*\])$", text, re.MULTILINE)[1])


def test_the_rows_are_few_and_every_pair_is_in_one():
    assert len(ROWS) <= 16
    assert len(set().union(*map(pairs_of, ROWS))) == sum(
        len(left) * len(right) for left, right in itertools.combinations(VALUES.values(), 2)
    )


@pytest.fixture
def serve(tmp_path):
    """A server with these settings as variables, and how to run a command with the same."""
    running = []

    def start(row):
        given = {f"ECRSIM_{name.upper()}": value for name, value in row.items() if value}
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("ECRSIM_", "AWS_"))}
        environ |= given | {
            "ECRSIM_PORT": str(free_port()),
            "ECRSIM_TLS_PORT": str(free_port()),
            "ECRSIM_DATA_DIR": str(tmp_path / "data"),
            "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "ecrsim", "serve"], env=environ, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert READY.match(process.stdout.readline())

        def run(*command):
            return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)

        return environ, run

    yield start
    for process in running:
        process.terminate()
        status = process.wait(60)
        process.stdout.close()
        assert status == 0


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    "row", ROWS, ids=lambda row: " ".join(f"{name}={value}" for name, value in row.items() if value)
)
def test_every_command_finds_the_server(row, serve):
    if ":" in row["host"] and not has_ipv6():
        pytest.skip("this machine has no ::1")
    environ, run = serve(row)
    assert run(*healthcheck()).returncode == 0
    waited = run("ecrsim", "wait")
    assert (waited.returncode, waited.stderr) == (0, "")
    assert waited.stdout.startswith(f"ecrsim {__version__} answers on http://")

    findings = run("ecrsim", "doctor").stdout.splitlines()
    assert findings[0] == f"ok    ecrsim {__version__} answers on port {environ['ECRSIM_PORT']}"
    if row["tls"] == "1":
        assert f"ok    HTTPS answers on port {environ['ECRSIM_TLS_PORT']}" in findings

    url = dict(re.findall(r"^export (\w+)='?([^'\n]*)", run("ecrsim", "env").stdout, re.MULTILINE))[
        "AWS_ENDPOINT_URL_ECR"
    ]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{url}/v2/", timeout=10)  # noqa: S310 - of loopback

    for command in ASKING:
        done = run("ecrsim", *command)
        if row["admin"] == "0":
            assert (done.returncode, done.stderr) == (1, "ecrsim: The admin surface is switched off.\n"), command
        else:
            assert (done.returncode, done.stderr) == (0, ""), command
