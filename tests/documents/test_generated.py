"""The generated parts of the documents are as scripts/docs makes them."""

import importlib.util
import re
import subprocess
import sys

import pytest

from ecrsim import Ecrsim
from ecrsim.config import Config
from ecrsim.core.clock import utc_now
from ecrsim.ecr.signing.keys import root_of
from ecrsim.tls import Authority
from tests.documents.markdown import DOCUMENTS, ROOT, read

SCRIPT = ROOT / "scripts" / "generated_docs.py"


@pytest.fixture
def script():
    specification = importlib.util.spec_from_file_location("generated_docs", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_no_document_is_out_of_date():
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_marked_part_is_made_and_every_part_that_is_made_stands_somewhere(script):
    marked = {name for path in DOCUMENTS for name in re.findall(r"<!-- generated: (\w+) -->", read(path))}
    assert marked == script.PARTS.keys()
    assert {str(path.relative_to(ROOT)) for path in DOCUMENTS if "<!-- generated: " in read(path)} == set(
        script.DOCUMENTS
    )


def test_what_is_out_of_date_is_named_and_written_anew(script, tmp_path, monkeypatch, capsys):
    (tmp_path / "docs").mkdir()
    document = tmp_path / "docs" / "one.md"
    document.write_text("before\n<!-- generated: status -->\nof last year\n<!-- end -->\nafter\n")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "DOCUMENTS", ("docs/one.md",))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["docs", *arguments])
        return script.main(), capsys.readouterr().out

    assert run("--check") == (1, "docs/one.md is out of date: run scripts/docs\n")
    assert "of last year" in document.read_text()
    assert run() == (0, "docs/one.md is written anew\n")
    assert document.read_text() == f"before\n<!-- generated: status -->\n{script.status()}\n<!-- end -->\nafter\n"
    assert run("--check") == (0, "")


def test_the_table_of_settings_has_each_setting_once_with_its_group(script):
    grouped = [name for _, names in script._groups() for name in names]
    assert grouped == list(Config.__dataclass_fields__)
    table = script.settings()
    assert "| `--port` | `ECRSIM_PORT` | `5100` | port for the API" in table
    assert "| - | `ECRSIM_GC_INTERVAL` | `600` (10 min) | " in table
    assert "| - | `ECRSIM_TOKEN_LIFETIME` | `43200` (12 h) | " in table
    assert "| - | `ECRSIM_QUOTA_LAYER_SIZE` | `54525952000` (52,000 MiB) | bytes per layer |" in table
    assert "| `--tls` | `ECRSIM_TLS` | off | " in table


def test_the_lists_of_what_is_inferred_are_not_empty(script):
    assert "| `UploadNotFoundException` | The upload with id '{upload_id}'" in script.sentences()
    assert "| `LayersNotFoundException` | 404 | `BLOB_UPLOAD_UNKNOWN` | status |" in script.statuses()
    assert "`RepositoryNotFoundException`" not in script.sentences() + script.statuses()


def test_the_admin_surface_is_described_route_by_route(script):
    rows = script.admin().splitlines()[2:]
    assert "| `POST /_ecrsim/reset` | Forget every repository" in "\n".join(rows)
    assert [row for row in rows if re.search(r"\| *\|$", row)] == []


def test_every_file_of_a_data_directory_is_described(script, tmp_path):
    with Ecrsim(data_dir=tmp_path, jobs="worker") as sim:
        sim.push("app", "v1")
        sim.advance(days=1)
        sim.reset()
        Authority(tmp_path / "tls", utc_now())
        root_of(sim.runtime)
    described = {name.rstrip("/") for names in script.FILES for name in names}
    found = {path.name for path in tmp_path.iterdir()}
    assert found - described == set()
    # What is not there is a lock of `ecrsim serve`, is made when it is needed, or goes at a clean stop.
    assert described - found <= {name for name in described if name.startswith("ecrsim.db-")} | {
        "admin-token",
        "damaged",
    }
