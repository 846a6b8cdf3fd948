"""`ecrsim doctor` in set-ups that are broken in one way each."""

import http.server
import json
import os
import socket
import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest

from ecrsim import Ecrsim

DEFAULT_CIDRS = ["127.0.0.0/8", "::1/128"]


@pytest.fixture(autouse=True)
def programs(monkeypatch, tmp_path):
    """The PATH of the test: a folder that is empty until `install_docker` puts a docker there."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def install_docker(programs):
    def install(answer, status=0):
        script = programs / "docker"
        script.write_text(f"#!/bin/sh\necho '{answer}'\nexit {status}\n")
        script.chmod(0o755)

    return install


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def doctor(run, free_port, tmp_path):
    """Findings as verdict → texts, and the exit status; on a free port with a data directory to come."""

    def doctor(*arguments):
        given = ["--port", str(free_port)] if "--port" not in arguments else []
        given += ["--data-dir", str(tmp_path / "data")] if "--data-dir" not in arguments else []
        done = run("doctor", *given, *arguments)
        assert done.err == ""
        findings = {"ok": [], "warn": [], "FAIL": []}
        for line in done.out.splitlines():
            verdict, text = line.split(maxsplit=1)
            findings[verdict].append(text)
        assert done.status == (1 if findings["FAIL"] else 0)
        return findings

    return doctor


@contextmanager
def serving(handler):
    """Somebody else's server on a port of its own."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield str(server.server_port)
        server.shutdown()
        thread.join()


def answering(status, body):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


class Raw(http.server.BaseHTTPRequestHandler):
    """Speaks first, and not HTTP."""

    def handle(self):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


# --- ports ------------------------------------------------------------------------------------------------------------


def test_a_new_set_up_is_all_right(doctor, free_port, tmp_path):
    found = doctor()
    assert found["FAIL"] == []
    assert f"port {free_port} is free; ecrsim is not running there" in found["ok"]
    assert f"data directory {tmp_path}/data has no database yet; the first start makes it" in found["ok"]
    assert not (tmp_path / "data").exists()


def test_a_running_ecrsim_is_recognized_also_behind_a_proxy(doctor, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Ecrsim() as sim:
        found = doctor("--port", str(sim.runtime.port))
    assert f"ecrsim 0.1.0 answers on port {sim.runtime.port}" in found["ok"]


@pytest.mark.parametrize(
    "handler",
    [answering(404, b"{}"), answering(200, b"<html>"), answering(200, b"[]"), answering(200, b"{}"), Raw],
    ids=["not found", "html", "a list", "no version", "not http"],
)
def test_a_port_of_another_program_is_no_port_for_ecrsim(handler, doctor):
    with serving(handler) as port:
        [complaint] = doctor("--port", port)["FAIL"]
    assert complaint.startswith(f"port {port} is taken by something that is not ecrsim")
    assert complaint.endswith("choose another with --port")


def test_a_port_that_nobody_answers_on_may_be_taken_all_the_same(doctor):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        [complaint] = doctor("--port", port)["FAIL"]
    assert complaint == f"127.0.0.1 port {port} cannot be used: Address already in use; choose another with --port"


def test_an_address_that_is_not_of_this_machine_cannot_be_listened_on(doctor, free_port, monkeypatch):
    monkeypatch.setattr("ecrsim.doctor._health", lambda _: None)
    [complaint] = doctor("--host", "192.0.2.1")["FAIL"]
    assert complaint.startswith(f"192.0.2.1 port {free_port} cannot be used: ")


def test_any_free_port_is_free(doctor):
    assert "any free port will be taken" in doctor("--port", "0")["ok"]


def test_a_running_ecrsim_without_https_is_told_apart(doctor, free_port):
    with Ecrsim() as sim:
        found = doctor("--port", str(sim.runtime.port), "--tls", "--tls-port", str(free_port))
    assert found["FAIL"] == [f"ecrsim runs without HTTPS on port {free_port}; start it with --tls"]


def test_the_port_of_https_has_to_be_free_too(doctor):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        [complaint] = doctor("--tls", "--tls-port", str(other.getsockname()[1]))["FAIL"]
    assert complaint.endswith("cannot be used: Address already in use; choose another with --tls-port")


# --- the data directory -----------------------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path):
    """A data directory that ecrsim made."""
    with Ecrsim(socket=False, data_dir=str(tmp_path / "data")):
        pass
    return tmp_path / "data"


def complaints_about_data(found):
    return [text for text in found["FAIL"] if "data" in text]


def test_a_data_directory_is_tried_out(doctor, data):
    assert f"data directory {data} can be read and written" in doctor()["ok"]


def test_a_file_in_the_place_of_the_data_directory_is_seen(doctor, tmp_path):
    (tmp_path / "data").write_text("")
    for directory in (tmp_path / "data", tmp_path / "data" / "below"):
        [complaint] = complaints_about_data(doctor("--data-dir", str(directory)))
        assert complaint == f"data directory {directory}: {tmp_path}/data is a file; choose another with --data-dir"


@pytest.fixture
def unprivileged():
    """Not root for the time of the test: nothing is unwritable for root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_directory_that_cannot_be_written_is_seen(doctor, unprivileged):
    [complaint] = complaints_about_data(doctor("--data-dir", "/ecrsim/data"))
    assert complaint == "data directory /ecrsim/data: / cannot be written; choose another with --data-dir"


def test_a_directory_that_may_not_be_looked_into_is_seen(doctor, tmp_path, unprivileged):
    # The folders of a root's tests are root's own.
    directory = tmp_path / "data" if os.getuid() == 0 else "/root/ecrsim"
    [complaint] = complaints_about_data(doctor("--data-dir", str(directory)))
    assert complaint.endswith("cannot be written; choose another with --data-dir")


def test_a_database_of_another_version_is_seen(doctor, data):
    with closing(sqlite3.connect(data / "ecrsim.db")) as database, database:
        database.execute("UPDATE properties SET value = '7' WHERE name = 'schema_version'")
    database.close()
    [complaint] = complaints_about_data(doctor())
    assert "the database has schema version 7" in complaint
    assert "begin with an empty data directory" in complaint


def test_a_database_of_another_program_is_seen(doctor, data):
    for file in data.glob("ecrsim.db*"):
        file.unlink()
    with closing(sqlite3.connect(data / "ecrsim.db")) as database, database:
        database.execute("CREATE TABLE cookies (name)")
    database.close()
    assert complaints_about_data(doctor()) == [f"data directory {data}: the database is not one of ecrsim's"]


def test_a_file_that_is_no_database_is_seen(doctor, data):
    (data / "ecrsim.db").write_bytes(b"a text, and a long one: " * 100)
    [complaint] = doctor()["FAIL"]
    assert complaint == f"data directory {data}: the file is not a database"


def test_a_blob_store_that_is_a_file_is_seen(doctor, data, tmp_path):
    (tmp_path / "blobs").write_text("")
    [complaint] = doctor("--blob-store", str(tmp_path / "blobs"))["FAIL"]
    assert complaint.startswith(f"data directory {data}: ")


def test_little_space_is_worth_a_warning(doctor, monkeypatch):
    usage = type("Usage", (), {"free": 200_000_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert "only 0.2 GiB are free for layers" in doctor()["warn"]


# --- names ------------------------------------------------------------------------------------------------------------

AWS_NAME = "000000000000.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture
def hosts(monkeypatch):
    """A resolver that knows these names, and localhost."""
    known = {"localhost": ["127.0.0.1", "::1"]}

    def resolve(name, port, *_, **__):
        if name not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, port or 0)) for address in known[name]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


def test_localhost_leads_to_this_machine(doctor, hosts):
    assert "the name localhost leads to this machine (127.0.0.1, ::1)" in doctor()["ok"]


@pytest.mark.parametrize(
    ("style", "name"),
    [
        ("domain", "123456789012.dkr.ecr.eu-west-1.localhost"),
        ("aws", "123456789012.dkr.ecr.eu-west-1.amazonaws.com"),
        ("registry.test:8080", "registry.test"),
    ],
)
def test_a_name_that_does_not_resolve_is_seen(style, name, doctor, hosts):
    [complaint] = doctor("--registry-host", style, "--account", "123456789012", "--region", "eu-west-1")["FAIL"]
    hint = f"add '127.0.0.1 {name}' to the hosts file, or use --registry-host localhost"
    assert complaint == f"the name {name} does not resolve; {hint}"
    hosts[name] = ["127.0.0.1"]
    assert doctor("--registry-host", style, "--account", "123456789012", "--region", "eu-west-1")["FAIL"] == []


def test_a_name_that_leads_to_aws_is_seen(doctor, hosts):
    hosts[AWS_NAME] = ["192.0.2.10"]
    [complaint] = doctor("--registry-host", "aws")["FAIL"]
    assert complaint.startswith(f"the name {AWS_NAME} leads to 192.0.2.10, which is AWS's own registry")


def test_a_name_that_leads_elsewhere_is_worth_a_warning(doctor, hosts):
    hosts["registry.test"] = ["192.0.2.10"]
    warnings = doctor("--registry-host", "registry.test:8080")["warn"]
    assert "the name registry.test leads to 192.0.2.10, which is not this machine's loopback" in warnings


# --- docker -----------------------------------------------------------------------------------------------------------


def registry_config(networks=DEFAULT_CIDRS, **indexes):
    entries = {name.replace("_", ":"): {"Secure": secure} for name, secure in indexes.items()}
    return json.dumps({"InsecureRegistryCIDRs": networks, "IndexConfigs": {"docker.io": {"Secure": True}, **entries}})


def test_no_docker_is_worth_a_warning(doctor):
    assert "there is no docker on this machine; other clients work as well" in doctor()["warn"]


@pytest.mark.parametrize(("answer", "status"), [("", 1), ("null", 1), ("not json", 0), ("[]", 0)])
def test_a_docker_that_does_not_answer_is_worth_a_warning(answer, status, doctor, install_docker):
    install_docker(answer, status)
    assert "docker does not answer: is its daemon running, and may you use it?" in doctor()["warn"]


def test_docker_speaks_plain_http_to_the_loopback(doctor, install_docker, free_port):
    install_docker(registry_config())
    assert f"docker does not insist on trusted HTTPS for localhost:{free_port}" in doctor()["ok"]


def test_a_docker_that_insists_on_https_is_seen(doctor, install_docker, free_port):
    install_docker(registry_config(networks=[]))
    hint = f'add "insecure-registries": ["localhost:{free_port}"] to its daemon.json, or use --tls'
    assert doctor()["FAIL"] == [f"docker insists on HTTPS for localhost:{free_port}; {hint}"]


def test_with_tls_docker_only_has_to_trust_the_authority(doctor, install_docker, free_port):
    install_docker(registry_config(networks=[]))
    found = doctor("--tls")
    assert found["FAIL"] == []
    assert any("ecrsim tls ca | sudo tee /etc/docker/certs.d/" in text for text in found["warn"])


@pytest.mark.parametrize(("networks", "entry"), [(["192.0.2.0/24"], None), ([], False)], ids=["by network", "by name"])
def test_docker_is_told_of_an_insecure_registry_by_network_or_by_name(networks, entry, doctor, hosts, install_docker):
    hosts["registry.test"] = ["192.0.2.10"]
    indexes = {} if entry is None else {"registry.test_8080": entry}
    install_docker(registry_config(networks, **indexes))
    assert (
        "docker does not insist on trusted HTTPS for registry.test:8080"
        in doctor("--registry-host", "registry.test:8080")["ok"]
    )


def test_a_registry_that_docker_holds_for_secure_is_seen(doctor, hosts, install_docker):
    hosts["registry.test"] = ["192.0.2.10"]
    install_docker(registry_config(["192.0.2.0/24"], **{"registry.test_8080": True}))
    [complaint] = doctor("--registry-host", "registry.test:8080")["FAIL"]
    assert complaint.startswith("docker insists on HTTPS for registry.test:8080")
