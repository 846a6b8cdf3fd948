"""What lies in `deploy/`: by the schemas of compose, Kubernetes and haproxy, and by ecrsim's own settings."""

import contextlib
import copy
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from ecrsim.config import Config, variable
from ecrsim.core.db import Database
from ecrsim.core.sealing import Seal
from tests.faults.client import Client, Gone
from tests.faults.serving import Serving, clean_environment
from tests.pushing import digest_of

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
#: The release of Kubernetes whose schemas are meant.
KUBERNETES = "1.33"
MANIFESTS = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
SETTINGS = {variable(name) for name in Config.__dataclass_fields__}


def documents(file):
    return [each for each in yaml.safe_load_all(file.read_text("utf-8")) if each is not None]


def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def check_compose(document):
    schema = json.loads((ROOT / "fixtures" / "schemas" / "compose-spec.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)


def check_manifest(document):
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_compose_file_is_one():
    check_compose(compose())


def test_a_compose_file_that_is_none_is_seen():
    document = compose()
    document["services"]["node1"]["stop_grace"] = "60s"
    with pytest.raises(jsonschema.ValidationError):
        check_compose(document)


@pytest.mark.parametrize("file", MANIFESTS, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_each_manifest_is_one_of_kubernetes(file):
    found = documents(file)
    assert found
    for document in found:
        check_manifest(document)


def test_a_manifest_that_is_none_is_seen():
    [deployment] = [each for each in documents(DEPLOY / "kubernetes" / "ecrsim.yaml") if each["kind"] == "Deployment"]
    misspelt = copy.deepcopy(deployment)
    misspelt["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        check_manifest(misspelt)


def test_each_setting_is_one_of_ecrsims():
    files = [DEPLOY / "compose.yaml", *MANIFESTS]
    named = {name for file in files for name in re.findall(r"\bECRSIM_[A-Z0-9_]+\b", file.read_text("utf-8"))}
    assert {"ECRSIM_DATABASE_URL", "ECRSIM_BLOB_STORE", "ECRSIM_DRAIN_DELAY"} <= named
    assert named - SETTINGS == set()


def test_what_is_named_is_there():
    """Services, volumes and secrets of the compose file; config maps, secrets and services of the manifests."""
    document = compose()
    for name, service in document["services"].items():
        assert set(service.get("depends_on", ())) <= document["services"].keys(), name
        assert set(service.get("secrets", ())) <= document["secrets"].keys(), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith(".") else source in document["volumes"], name
    every = [each for file in MANIFESTS for each in documents(file)]
    names = {(each["kind"], each["metadata"]["name"]) for each in every}
    text = json.dumps(every)
    for kind, pattern in (
        ("ConfigMap", r'"configMapRef": {"name": "([^"]*)"'),
        ("Secret", r'"secretRef": {"name": "([^"]*)"|"secretName": "([^"]*)"|"secretKeyRef": {"name": "([^"]*)"'),
    ):
        found = {name for match in re.finditer(pattern, text) for name in match.groups() if name}
        assert found, kind
        assert {(kind, name) for name in found} <= names
    hosts = re.findall(r"server node\d (node\d):5100", (DEPLOY / "haproxy.cfg").read_text())
    assert hosts == [name for name in document["services"] if name.startswith("node")]


def test_the_secrets_that_are_made_are_good_and_stay(tmp_path):
    for name in ("secrets", ".gitignore"):
        shutil.copy(DEPLOY / name, tmp_path / name)
    for _ in range(2):
        subprocess.run([tmp_path / "secrets"], check=True)
        key = (tmp_path / "secret.key").read_text()
        assert re.fullmatch("[0-9a-f]{64}", key)
    lines = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    wanted = set(re.findall(r"\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text()))
    assert lines.keys() == wanted
    assert len(set(lines.values())) == len(wanted)
    database = Database(f"sqlite:///{tmp_path / 'ecrsim.db'}", seal=Seal(tmp_path / "secret.key"))
    database.open()
    database.close()
    assert (tmp_path / "secret.key").read_text() == key
    ignored = (tmp_path / ".gitignore").read_text().split()
    assert set(ignored) == {"secret.key", ".env"}


@pytest.fixture
def haproxy():
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if found is None:
        assert not os.environ.get("E2E_REQUIRE_CLIENTS"), "haproxy is missing"
        pytest.skip("haproxy is not installed")
    return found


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ready(port):
    """A client of the balancer, once that has found a node."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        client = Client(f"http://127.0.0.1:{port}", timeout=10)
        with contextlib.suppress(Gone):
            if client.send("GET", "/_ecrsim/health").status == 200:
                return client
        client.close()
        time.sleep(0.1)
    raise AssertionError("haproxy finds no node")


def with_nodes(text, port, ports):
    """The configuration with these addresses in place of those of compose.yaml."""
    text = text.replace("bind :5100", f"bind 127.0.0.1:{port}").replace("maxconn 20000", "maxconn 200")
    head, _, _ = text.partition("    server node1")
    return head + "".join(f"    server node{number} 127.0.0.1:{each}\n" for number, each in enumerate(ports, 1))


@pytest.mark.slow
def test_haproxy_sends_each_request_to_a_node_that_takes_it(haproxy, tmp_path):
    """An upload goes on at whichever node is asked, and one that is told to stop leaves no request unanswered."""
    settings = {"trusted_proxies": 1, "drain_delay": 4, "quota_layer_part_min": 1}
    nodes = [
        Serving(tmp_path / "data", workers=1, log=tmp_path / f"node{number}.log", **settings) for number in range(2)
    ]
    port = free_port()
    file = tmp_path / "haproxy.cfg"
    file.write_text(with_nodes((DEPLOY / "haproxy.cfg").read_text(), port, [node.port for node in nodes]))
    subprocess.run([haproxy, "-c", "-f", file], check=True, capture_output=True)
    balancer = subprocess.Popen([haproxy, "-db", "-f", file], env=clean_environment())
    try:
        client = ready(port)
        client.api("CreateRepository", repositoryName="app")
        parts = [os.urandom(1000) for _ in range(20)]
        place = client.registry("POST", "app/blobs/uploads/").headers["Location"]
        for number, part in enumerate(parts):
            if number == 10:
                nodes[0].process.send_signal(signal.SIGTERM)
            # A connection for each: haproxy chooses a node anew.
            with_one = Client(f"http://127.0.0.1:{port}")
            answer = with_one.registry("PATCH", place, part)
            assert answer.status == 202, answer
            place = answer.headers["Location"]
            with_one.close()
            time.sleep(0.3)
        digest = digest_of(b"".join(parts))
        assert client.registry("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}").status == 201
        assert client.registry("GET", f"app/blobs/{digest}").body == b"".join(parts)
        nodes[0].process.wait(30)
        client.close()
    finally:
        balancer.terminate()
        balancer.wait()
        for node in nodes:
            node.kill()
