"""`ecrsim serve` as a process: how it starts, what it says when it cannot, how it stops, and what survives a kill."""

import contextlib
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from tests.e2e import images
from tests.e2e.connection import Connection, Uploads
from tests.e2e.server import ServerProcess

LINUX_ONLY = "the processes of a server are found in /proc"


@pytest.fixture
def start(tmp_path):
    """Start a server that the test itself stops; one that it did not stop is killed."""
    started = []

    def begin(*options, port=0, **environ):
        started.append(ServerProcess(tmp_path / "served", *options, port=port, **environ))
        return started[-1]

    yield begin
    for server in started:
        if server.process.poll() is None:
            server.kill()


def serve(*options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`ecrsim serve` that is expected to end by itself."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ECRSIM_")}
    command = [sys.executable, "-m", "ecrsim", "serve", *options]
    return subprocess.run(command, env=inherited | environ, capture_output=True, text=True, timeout=30, check=False)


def wait_for_end(process_id: int) -> None:
    """Until the process has ended. It may have done so already."""
    try:
        descriptor = os.pidfd_open(process_id)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 20)[0], f"process {process_id} does not end"
    finally:
        os.close(descriptor)


def is_open(port: int, address: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((address, port), timeout=5).close()
    except OSError:
        return False
    return True


# Starting


def test_one_line_says_that_it_is_ready(start):
    server = start()
    assert requests.get(f"{server.url}/_ecrsim/health", timeout=10).json()["status"] == "ok"
    assert server.stop() == 0
    assert server.lines.get(timeout=10) is None
    assert server.log.read_text() == ""


def test_an_ephemeral_one_says_where_its_token_is(start):
    """Commands find it by the port as well; those in another container are told the directory."""
    server = start("--ephemeral", "--auth", "strict")
    told = re.search(r"ecrsim: the token of the admin surface is found by (--data-dir) (\S+)\n", server.log.read_text())
    command = [sys.executable, "-m", "ecrsim", "clock", "--port", str(server.port)]
    assert subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    assert subprocess.run([*command, *told.groups()], capture_output=True, check=False, timeout=30).returncode == 0


def test_a_port_in_use_is_refused(server, tmp_path):
    taken = serve("--port", str(server.port), "--data-dir", str(tmp_path / "data"))
    assert (taken.returncode, taken.stdout) == (1, "")
    assert taken.stderr == (
        f"ecrsim: cannot listen on 127.0.0.1 port {server.port}: Address already in use; "
        "choose another with --port, or ask `ecrsim doctor` who is there\n"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "nowhere.invalid"])
def test_an_address_of_another_machine_is_refused(host, tmp_path):
    refused = serve("--host", host, "--port", "0", "--data-dir", str(tmp_path / "data"))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"ecrsim: cannot listen on {host} port 0: ")
    assert refused.stderr.endswith("; choose an address or a name of this machine with --host\n")


def test_a_port_of_https_in_use_is_refused(server, tmp_path):
    options = ("--port", "0", "--tls", "--tls-port", str(server.port))
    taken = serve(*options, "--data-dir", str(tmp_path / "data"))
    assert (taken.returncode, taken.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1 port {server.port}: Address already in use" in taken.stderr
    assert "choose another with --tls-port" in taken.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("bad", ["a file", "below a file", "a strange database"])
def test_a_data_directory_that_cannot_be_is_refused(tmp_path, bad, workers):
    data = tmp_path / "data"
    if bad == "a strange database":
        data.mkdir()
        (data / "ecrsim.db").write_text("this is a diary " * 1000)
    else:
        data.write_text("occupied")
        data = data / "below" if bad == "below a file" else data
    refused = serve("--port", "0", "--data-dir", str(data), "--workers", workers)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"ecrsim: cannot start in {data}: ")
    assert "Traceback" not in refused.stderr


def test_a_certificate_that_is_none_is_refused(tmp_path):
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("no certificate")
    options = ("--tls-port", "0", "--tls-cert", str(nothing), "--tls-key", str(nothing))
    refused = serve("--port", "0", "--data-dir", str(tmp_path / "data"), *options)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"ecrsim: tls-cert {nothing} and tls-key {nothing}: " in refused.stderr


def test_ephemeral_leaves_nothing_behind(start, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    server = start("--ephemeral", TMPDIR=str(temporary))
    server.client().create_repository(repositoryName="gone")
    assert list(temporary.rglob("ecrsim.db"))
    assert server.stop() == 0
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "served" / "data").exists()


def test_https_takes_a_free_port_and_says_which(start):
    server = start("--tls", "--tls-port", "0")
    found = re.search(r"HTTPS on port (\d+)", server.log.read_text())
    assert found is not None
    authority = server.folder / "data" / "tls" / "ca.pem"
    assert requests.get(f"https://localhost:{found[1]}/v2/", verify=str(authority), timeout=10).status_code == 401
    assert server.stop() == 0


# Stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_finished(start, number):
    """An upload that is half sent and a pull that is half read, by each door, while others sit idle."""
    server = start()
    server.client().create_repository(repositoryName="e2e/flight")
    uploads = Uploads(server, "e2e/flight")
    content = os.urandom(8_000_000)
    uploads.finish(uploads.begin(), content, content, 0)
    doors = ["127.0.0.1", *(["::1"] if is_open(server.port, "::1") else [])]
    with contextlib.ExitStack() as opened:
        idle, pulling, pushing = ([opened.enter_context(Connection(server, door)) for door in doors] for _ in range(3))
        for connection in idle:
            assert connection.ask("GET", "/v2/").status == 200
        for connection in pulling:
            connection.begin("GET", f"/v2/e2e/flight/blobs/{images.digest(content)}")
            assert connection.socket.recv(15, socket.MSG_PEEK | socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
        for connection in pushing:
            # Asking first shows that the server has the request in hand when the signal comes.
            path = f"{uploads.begin()}?digest={images.digest(content)}"
            connection.begin("PUT", path, ("Content-Length", len(content)), ("Expect", "100-continue"))
            assert connection.reply().status == 100
            connection.send(content[: len(content) // 2])

        if number == signal.SIGINT:
            os.killpg(server.process.pid, number)  # as Ctrl-C does: the workers get it, too
        else:
            server.process.send_signal(number)
        for connection in idle:
            assert connection.ended()
        assert not is_open(server.port)
        for connection in pushing:
            connection.send(content[len(content) // 2 :])
            assert connection.reply().status == 201
        for connection in pulling:
            assert connection.reply().body == content
    assert server.process.wait(20) == 0


def test_ctrl_c_ends_it_at_once(start):
    server = start("--workers", "2")
    os.killpg(server.process.pid, signal.SIGINT)
    assert server.process.wait(10) == 0
    assert server.log.read_text() == ""


def test_a_signal_while_it_starts_ends_it_at_once(tmp_path):
    """Also one that comes when the workers exist and have not yet set their own handlers."""
    if sys.platform != "linux":
        pytest.skip(LINUX_ONLY)
    command = [sys.executable, "-m", "ecrsim", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        worker: list[str] = []
        while not worker and process.poll() is None:
            worker = children.read_text().split()
        process.terminate()
        assert process.wait(10) == 0
    wait_for_end(int(worker[0]))


# Workers


def test_two_workers_serve_one_truth(launch):
    """What one worker has stored, every worker gives at once; each request comes by a connection of its own."""
    server = launch("--workers", "2")
    if sys.platform == "linux":
        assert len(server.workers()) == 2
    server.client().create_repository(repositoryName="e2e/two")
    failures: list[str] = []

    def push_and_pull(number: int) -> None:
        uploads = Uploads(server, "e2e/two")
        uploads.session.headers["Connection"] = "close"
        try:
            for turn in range(8):
                image = images.build_image(f"pushed by {number}, turn {turn}")
                location = uploads.begin()
                first = uploads.session.patch(server.url + location, data=image.layer[:50], timeout=20)
                assert first.headers["Range"] == "0-49"
                uploads.finish(location, image.layer[50:], image.layer, 50)
                uploads.finish(uploads.begin(), image.config, image.config, 0)
                url = f"{server.url}/v2/e2e/two/manifests/tag-{number}"
                pushed = uploads.session.put(
                    url, data=image.manifest, headers={"Content-Type": images.MANIFEST}, timeout=20
                )
                assert pushed.status_code == 201, pushed.text
                assert uploads.session.get(url, timeout=20).content == image.manifest
        except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(repr(error))

    threads = [threading.Thread(target=push_and_pull, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    details = server.client().describe_images(repositoryName="e2e/two")["imageDetails"]
    assert sorted(detail["imageTags"] for detail in details if "imageTags" in detail) == [
        [f"tag-{number}"] for number in range(4)
    ]


def test_a_worker_that_is_killed_is_replaced(start):
    """Time and again: what was up is not in a loop of failing starts."""
    if sys.platform != "linux":
        pytest.skip(LINUX_ONLY)
    server = start()
    server.client().create_repository(repositoryName="e2e/kept")
    for _ in range(3):
        [worker] = server.workers()
        os.kill(worker, signal.SIGKILL)
        wait_for_end(worker)
        while not is_open(server.port):
            assert server.process.poll() is None
        assert server.client().describe_repositories()["repositories"][0]["repositoryName"] == "e2e/kept"
        assert server.workers() != [worker]
    assert server.stop() == 0


def test_workers_that_cannot_start_again_end_the_server(start):
    if sys.platform != "linux":
        pytest.skip(LINUX_ONLY)
    server = start()
    [worker] = server.workers()
    uploads = server.folder / "data" / "uploads"
    uploads.rmdir()
    uploads.write_text("in the way")
    os.kill(worker, signal.SIGKILL)
    assert server.process.wait(20) == 1
    assert f"ecrsim: cannot start in {server.folder / 'data'}: " in server.log.read_text()


def test_workers_leave_when_their_parent_is_killed(start):
    if sys.platform != "linux":
        pytest.skip(LINUX_ONLY)
    server = start("--workers", "2")
    server.client().create_repository(repositoryName="e2e/kept")
    workers = server.workers()
    server.process.kill()
    assert server.process.wait(10) == -signal.SIGKILL
    for worker in workers:
        wait_for_end(worker)
    assert not is_open(server.port)
    again = start(port=server.port)
    assert again.client().describe_repositories()["repositories"][0]["repositoryName"] == "e2e/kept"
    assert again.stop() == 0


@pytest.mark.parametrize("options", [("--ephemeral",), ()])
def test_commands_find_the_token_by_the_port(tmp_path: Path, options: tuple[str, ...]):
    """Also where the data directory is one that nobody could name; and when the server has ended, there is no note."""
    (tmp_path / "run").mkdir(mode=0o700)
    notes = {"TMPDIR": str(tmp_path / "run")}
    server = ServerProcess(tmp_path / "server", "--auth", "strict", *options, **notes)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ECRSIM_", "AWS_"))}
        return subprocess.run(
            [sys.executable, "-m", "ecrsim", *words, "--port", str(server.port)],
            env=inherited | notes | {"XDG_DATA_HOME": str(tmp_path / "none")},
            text=True, capture_output=True, check=False, timeout=60,
        )  # fmt: skip

    try:
        [note] = (tmp_path / "run" / f"ecrsim-{os.geteuid()}").iterdir()
        assert (note.name, stat.S_IMODE(note.stat().st_mode)) == (str(server.port), 0o600)
        shown = run("clock")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert len(run("token").stdout.strip()) == 64
        assert "commands can ask this ecrsim, with its token" in run("doctor").stdout
        note.parent.chmod(0o755)  # somebody else may have put it there
        assert run("clock").returncode == 1
        note.parent.chmod(0o700)
    finally:
        assert server.stop() == 0
    assert not note.exists()
