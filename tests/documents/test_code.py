"""The code in the documents does what it says: Python is run, command lines and settings are tried."""

import json
import re
import shlex
import subprocess
import sys
import tomllib

import pytest
import yaml

from ecrsim import Ecrsim
from ecrsim.cli import make_parser
from ecrsim.config import Config, load, variable
from ecrsim.cost.price_file import load_prices, prices_with
from ecrsim.ecr.lifecycle import policy
from tests.documents.markdown import DOCUMENTS, ROOT, blocks

#: Pages whose programs and tests run by themselves.
RUN = ("docs/testing-with-ecrsim.md", "docs/time.md", "docs/events.md", "docs/lifecycle.md", "docs/templates.md")


def each(*languages):
    return pytest.mark.parametrize("block", blocks(*languages), ids=str)


def assert_runs(*command, cwd):
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [block for block in blocks("python") if block.document in RUN],
    ids=str,
)
def test_python_of_these_pages_runs(block, tmp_path):
    """A block with test functions is a test file, the others are programs."""
    name = "test_block.py" if "def test_" in block.text else "block.py"
    (tmp_path / name).write_text(block.text)
    if name == "block.py":
        assert_runs(name, cwd=tmp_path)
    else:
        assert_runs("-m", "pytest", "-p", "no:cacheprovider", "-rs", name, cwd=tmp_path)


def test_python_of_the_readme_runs_against_a_server(tmp_path):
    [block] = [block for block in blocks("python") if block.document == "README.md"]
    assert "http://localhost:5100" in block.text
    with Ecrsim() as sim:
        sim.client().create_repository(repositoryName="app")
        (tmp_path / "readme.py").write_text(block.text.replace("http://localhost:5100", sim.endpoint_url))
        assert_runs("readme.py", cwd=tmp_path)


@each("toml")
def test_toml_is_toml_and_settings_are_settings(block, tmp_path):
    document = tomllib.loads(block.text)
    if block.document == "docs/cost.md":
        assert prices_with(block.document, block.text.encode()) != load_prices()
    elif not {"registry", "host", "server", "users", "roles", "targets"} & document.keys():
        (tmp_path / "settings.toml").write_text(block.text)
        assert isinstance(load(environ={}, file=str(tmp_path / "settings.toml")), Config)


@each("json")
def test_json_is_json(block):
    document = json.loads(block.text)
    if any("selection" in rule for rule in document.get("rules", [])):
        assert policy.read(block.text).rules


@each("yaml")
def test_yaml_is_yaml_with_settings_that_can_be(block):
    document = yaml.safe_load(block.text)
    for service in document.get("services", document.get("jobs", {})).values():
        given = {name: str(value) for name, value in service.get("environment", {}).items()}
        assert isinstance(load(environ=given), Config)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_variable_that_is_named_is_a_setting(path):
    known = {variable(name) for name in (*Config.__dataclass_fields__, "config")}
    assert set(re.findall(r"\bECRSIM_[A-Z][A-Z_]*\b", path.read_text("utf-8"))) - known == set()


def test_the_settings_that_the_readme_proposes_are_options_of_serve():
    section = (ROOT / "README.md").read_text("utf-8").partition("## Settings")[2].partition("\n## ")[0]
    proposals = re.findall(r"`(--[^`]+)`", section)
    assert len(proposals) >= 7
    for proposal in proposals:
        make_parser().parse_args(["serve", *shlex.split(proposal)])


def command_lines(text):
    """The simple commands of a shell text, as words."""
    joined = re.sub(r"\\\n", " ", text)
    for line in joined.splitlines():
        for part in re.split(r"\$\(|\)|\||;|&&?|>", line):
            words = shlex.split(part, comments=True) if part.count('"') % 2 == 0 else shlex.split(part.replace('"', ""))
            if words:
                yield words


@each("sh")
def test_commands_of_ours_are_there_and_take_these_options(block):
    parser = make_parser()
    for words in command_lines(block.text):
        program = words[0].rpartition("/")[2]
        if program == "ecrsim":
            parser.parse_args(words[1:])
        elif words[0].startswith("scripts/"):
            assert (ROOT / words[0]).is_file()


def test_commands_in_running_text_take_their_options(capsys):
    parser = make_parser()
    commands = [
        command.partition("|")[0]
        for path in DOCUMENTS
        for command in re.findall(r"`(ecrsim [a-z][^`]*)`", path.read_text("utf-8"))
        if not command.startswith("ecrsim ready:")
    ]
    assert len(commands) > 10
    for command in commands:
        try:
            parser.parse_args(shlex.split(command)[1:])
        except SystemExit:
            # A command may be named without what it cannot do without.
            assert "the following arguments are required" in capsys.readouterr().err, command


def test_every_block_says_what_language_it_is():
    unknown = [str(block) for block in blocks("") if "$ " in block.text or "import " in block.text]
    assert unknown == []
