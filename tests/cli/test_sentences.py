"""What the commands say when something is not as it was meant: one sentence, which tells what to do."""

import contextlib
import os
import pty
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ecrsim import Ecrsim, __version__


class Stranger(BaseHTTPRequestHandler):
    def do_GET(self):
        status, content = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def stranger(status, content):
    """The port of an HTTP server that is no ecrsim."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        server.answer = (status, content)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


COMMANDS = [
    ("clock",),
    ("advance", "1d"),
    ("reset",),
    ("events",),
    ("wait", "--timeout", "0"),
    ("explain", "--principal", "arn:aws:iam::000000000000:root", "--action", "ecr:PutImage", "--resource", "*"),
    ("policy", "minimal", "--principal", "arn:aws:iam::000000000000:root"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("status", "content"),
    [(200, b"<h1>It works!</h1>"), (404, b"not here"), (404, b'{"error": 1}'), (500, b"")],
    ids=["a page", "404", "JSON of its own", "500"],
)
def test_a_stranger_is_no_ecrsim(command, status, content, run):
    with stranger(status, content) as port:
        refused = run(*command, "--port", str(port))
    assert (refused.status, refused.out) == (1, "")
    assert f"127.0.0.1 port {port} is no ecrsim: say where it is with --host and --port" in refused.err
    assert refused.err.count("\n") == 1


def test_what_does_not_speak_http_is_no_ecrsim(run):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        refused = run("clock", "--port", str(listening.getsockname()[1]))
        thread.join()
    assert "is no ecrsim: say where it is with --host and --port" in refused.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_refused_connection_says_how_to_start_one(command, run):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        refused = run(*command, "--port", str(port))
    assert (refused.status, refused.out) == (1, "")
    assert (
        f"no ecrsim answers on 127.0.0.1 port {port} (Connection refused): start one with "
        f"`ecrsim serve --port {port}`, or say where it is with --host and --port"
    ) in refused.err
    assert refused.err.count("\n") == 1


def test_a_missing_token_says_where_to_put_it(run):
    with Ecrsim(admin_token="open sesame") as sim:
        refused = run("clock", "--port", str(sim.runtime.port))
    assert refused.status == 1
    assert "ECRSIM_ADMIN_TOKEN" in refused.err


def test_a_misspelt_variable_is_named_on_standard_error(run, monkeypatch):
    monkeypatch.setenv("ECRSIM_REGON", "eu-west-1")
    told = run("env")
    assert told.status == 0
    assert told.err == "ecrsim: ECRSIM_REGON is no setting and has no effect; the nearest is ECRSIM_REGION\n"
    assert "ecrsim:" not in told.out


@pytest.mark.parametrize(
    ("options", "variables", "is_said"),
    [
        (("--ephemeral",), {}, True),
        ((), {"ECRSIM_EPHEMERAL": "1"}, True),
        ((), {}, False),
    ],
    ids=["typed", "by variable", "without"],
)
def test_a_data_directory_that_has_no_effect_is_told(options, variables, is_said, run, monkeypatch, tmp_path):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # It goes no further than to the port.
        told = run("serve", "--data-dir", str(tmp_path), "--port", str(taken.getsockname()[1]), *options)
    sentence = "ecrsim: --data-dir has no effect with --ephemeral: leave one of the two out\n"
    assert (sentence in told.err) is is_said


@pytest.mark.parametrize("grace", ["1d", "24h", "86400", "0"])
def test_grace_is_a_time_or_seconds(grace, run, tmp_path):
    told = run("gc", "--data-dir", str(tmp_path), "--grace", grace)
    assert (told.status, "there is no database" in told.err) == (1, True)


@pytest.mark.parametrize("grace", ["1y", "-1", "", "1.5"])
def test_grace_that_is_none_says_what_one_is(grace, run):
    told = run("gc", f"--grace={grace}")
    assert told.status == 2
    assert "is not a time such as 14d, 12h, 90s" in told.err


def test_a_reader_that_has_seen_enough_is_no_fault():
    command = f"set -o pipefail; {sys.executable} -m ecrsim coverage | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


# --- wait -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"admin": False}, {"admin_token": "open sesame"}], ids=str)
def test_wait_is_over_when_it_answers(settings, run):
    with Ecrsim(**settings) as sim:
        told = run("wait", "--timeout", "30", "--port", str(sim.runtime.port))
        assert told == (0, f"ecrsim {__version__} answers on http://127.0.0.1:{sim.runtime.port}\n", "")


def test_wait_waits_for_one_that_is_yet_to_start(run):
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    # Its first question may come too early, and then it asks again.
    started = []
    thread = threading.Thread(target=lambda: started.append(Ecrsim(port=port).start()))
    thread.start()
    told = run("wait", "--timeout", "1m", "--port", str(port))
    thread.join()
    started[0].stop()
    assert told.status == 0


def test_wait_gives_up_and_says_why(run):
    with stranger(200, b"hello") as port:
        told = run("wait", "--timeout", "0", "--port", str(port))
    assert (told.status, told.out) == (1, "")
    assert "is no ecrsim" in told.err
    assert "(waited 0 s)" in told.err


def test_wait_cannot_know_a_port_that_is_any_free_one(run):
    assert "ready line" in run("wait", "--port", "0").err


# --- reset ------------------------------------------------------------------------------------------------------------


def at_a_terminal(arguments, typed):
    """Exit status and what stood on the terminal of `ecrsim`."""
    ours, theirs = pty.openpty()
    try:
        command = [sys.executable, "-m", "ecrsim", *arguments]
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        os.write(ours, typed.encode())
        status = process.wait(60)
        shown = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 4096):
                shown += piece
        return status, shown.decode()
    finally:
        os.close(ours)


@pytest.mark.parametrize(
    ("options", "typed", "is_gone"),
    [((), "y\n", True), ((), "yes\n", True), ((), "n\n", False), ((), "\n", False), (("--yes",), "", True)],
    ids=["y", "yes", "n", "return", "--yes"],
)
def test_reset_asks_who_sits_at_a_terminal(options, typed, is_gone):
    with Ecrsim() as sim:
        sim.client().create_repository(repositoryName="app")
        status, shown = at_a_terminal(["reset", "--port", str(sim.runtime.port), *options], typed)
        assert (sim.client().describe_repositories()["repositories"] == []) is is_gone
    assert ("Forget every repository" in shown) is (not options)
    assert (status, "nothing was forgotten" in shown) == (0 if is_gone else 1, not is_gone)


# --- completion -------------------------------------------------------------------------------------------------------


def completed(words):
    """What bash proposes for the last of the words."""
    script = subprocess.run(
        [sys.executable, "-m", "ecrsim", "completion", "bash"], capture_output=True, text=True, check=True
    ).stdout
    ask = f"""
COMP_WORDS=({" ".join(repr(word) for word in words)}) COMP_CWORD={len(words) - 1}
$(complete -p ecrsim | sed 's/.*-F \\([^ ]*\\) .*/\\1/') ecrsim {words[-1]!r} {words[-2]!r}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "proposed"),
    [
        (["ecrsim", ""], {"serve", "env", "clock", "completion", "lifecycle"}),
        (["ecrsim", "clock", ""], {"show", "freeze", "real"}),
        (["ecrsim", "serve", "--reg"], {"--region", "--registry-host"}),
        (["ecrsim", "serve", "--auth", ""], {"open", "strict"}),
        (["ecrsim", "completion", ""], {"bash", "zsh", "fish"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_completes(words, proposed):
    assert completed(words) >= proposed


@pytest.mark.parametrize(("shell", "words"), [("zsh", "#compdef ecrsim"), ("fish", "complete -c ecrsim")])
def test_the_script_of_another_shell(shell, words, run):
    told = run("completion", shell)
    assert (told.status, words in told.out, told.err) == (0, True, "")
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=told.out, text=True, check=True, timeout=60)
