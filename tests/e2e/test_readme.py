"""The README, typed: what a newcomer does from the first line to the last, in shells that know nothing else.

Only the port is another one, so that it meets no ecrsim of the machine's, and the virtual environment is that of the
checkout. A command that goes on for ever is started in the background, or stopped when it has begun.
"""

import queue
import re
import signal
import socket
import subprocess
import threading

import pytest

from tests.documents.markdown import ROOT, blocks
from tests.e2e.clients import SEARCH_PATH, clean_environ, require

#: Blocks of commands about something else: another way to start, and the tests.
ELSEWHERE = ("docker run -d", "scripts/test")
PAGE = (ROOT / "README.md").read_text("utf-8")


def section(title):
    """Its blocks, in order."""
    begin = PAGE.index(f"\n## {title}\n")
    end = PAGE.find("\n## ", begin + 1)
    lines = [PAGE.count("\n", 0, place) for place in (begin, end)]
    return [block for block in blocks("sh", "json", "toml", "python") if is_within(block, *lines)]


def is_within(block, first, last):
    return block.document == "README.md" and first < block.number <= last


class Newcomer:
    """Somebody in a checkout, with an empty home, who types into one shell or another."""

    def __init__(self, folder, docker_host, port):
        self.port = port
        self.folder = folder / "checkout"
        self.folder.mkdir()
        (self.folder / ".venv").symlink_to(ROOT / ".venv")
        self.environ = clean_environ(folder / "home") | {
            "PATH": SEARCH_PATH,
            "DOCKER_HOST": docker_host,
            "DOCKER_BUILDKIT": "0",
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "ECRSIM_PORT": str(port),
            "XDG_DATA_HOME": str(folder / "share"),
        }
        self.server = None

    def types(self, text, prelude=""):
        """What the commands print. The first that fails is the end."""
        # `ecrsim events --follow` goes on until Ctrl-C.
        text = re.sub(r"^(ecrsim events --follow)$", r"timeout 5 \1 || [ $? = 124 ]", text, flags=re.MULTILINE)
        script = f"set -eo pipefail\n{prelude}\n{text}".replace("localhost:5100", f"localhost:{self.port}")
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == 0, f"{script}\n--- printed\n{done.stdout}\n--- and\n{done.stderr}"
        return done.stdout

    def starts(self, line):
        """`scripts/start …`, until its ready line."""
        self.stops()
        words = line.split()
        assert words[0] == "scripts/start"
        self.server = subprocess.Popen(
            [str(ROOT / words[0]), *words[1:]],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        lines = queue.Queue()
        stdout = self.server.stdout
        threading.Thread(target=lambda: [lines.put(each) for each in stdout], daemon=True).start()
        assert lines.get(timeout=120) == f"ecrsim ready: http://127.0.0.1:{self.port}\n"

    def stops(self):
        """Ctrl-C."""
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            assert self.server.wait(60) == 0
            self.server.stdout.close()
            self.server = None


@pytest.fixture
def newcomer(tmp_path, docker_host):
    require("aws")
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    newcomer = Newcomer(tmp_path, docker_host, port)
    yield newcomer
    newcomer.stops()


def test_the_readme_is_typed_from_the_first_line_to_the_last(newcomer):
    first = section("Start it")[0].text
    newcomer.starts(first)
    push, python = section("Your first push")
    prelude = "\n".join(push.text.splitlines()[:2])
    assert f"localhost:{newcomer.port}/app" in newcomer.types(push.text)

    script = newcomer.folder / "readme.py"
    script.write_text(python.text.replace("localhost:5100", f"localhost:{newcomer.port}"))
    assert newcomer.types("python readme.py", prelude) == f"localhost:{newcomer.port}/app\n"

    principals, start, assume, policy, explain = section("Access")
    (newcomer.folder / "principals.toml").write_text(principals.text)
    (newcomer.folder / "repository-policy.json").write_text(policy.text)
    newcomer.types(
        "aws ecr set-repository-policy --repository-name app --policy-text file://repository-policy.json", prelude
    )
    newcomer.starts(start.text)
    assert '"imageTag": "v1"' in newcomer.types(assume.text, prelude)
    # 3: it is denied, and the page asks why.
    why, least = re.split(r"\n(?=ecrsim policy)", explain.text)
    assert "denied" in newcomer.types(f"{why} || [ $? = 3 ]", prelude)
    assert "ecr:ListImages" in newcomer.types(least, prelude)

    newcomer.starts(first)
    lifecycle, simulate, set_policy, follow = section("Time")
    (newcomer.folder / "policy.json").write_text(lifecycle.text)
    assert re.search(r"^[1-9]\d* expired, 0 archived", newcomer.types(simulate.text, prelude), re.MULTILINE)
    assert '"imageDetails": []' in newcomer.types(set_policy.text, prelude)
    newcomer.types(follow.text, prelude)

    (cost,) = section("Cost")
    held, printed = newcomer.types(cost.text, prelude).split("standard input: ")
    assert re.search(r"^storage +[\d.e-]+ +GB-month", held, re.MULTILINE)
    assert "describe-images knows no layers" in printed


def test_every_file_that_a_command_reads_is_shown():
    for path in re.findall(r"(?:file://|--(?:policy|principals) )([\w.-]+\.(?:json|toml))", PAGE):
        assert f"`{path}`:" in PAGE, path


def test_what_is_typed_elsewhere_is_known_to_be_so():
    """Every block of commands is typed above, or is of those that are left out on purpose."""
    typed = [block for title in ("Your first push", "Access", "Time", "Cost") for block in section(title)]
    rest = [block for block in section("Start it") if block.language == "sh"][1:]
    assert [any(word in block.text for word in ELSEWHERE) for block in rest] == [True] * len(rest)
    shown = {block.number for block in blocks("sh") if block.document == "README.md"}
    assert shown <= {block.number for block in (*typed, *section("Start it"))}
