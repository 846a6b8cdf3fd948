"""What ecrsim makes is its owner's alone, whatever the umask; what others could read is mended."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecrsim import Ecrsim
from ecrsim.blobs.private import mend
from ecrsim.testing import build_image
from tests.pushing import push


@pytest.fixture(autouse=True)
def _generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def everything(directory: Path) -> dict[str, str]:
    found = {".": oct(stat.S_IMODE(directory.stat().st_mode))}
    for path in directory.rglob("*"):
        found[str(path.relative_to(directory))] = oct(stat.S_IMODE(path.stat().st_mode))
    return found


def fill(directory: Path, **settings: str) -> None:
    with Ecrsim(socket=False, data_dir=str(directory), **settings) as sim:
        ecr = sim.client()
        ecr.create_repository(repositoryName="app")
        push(ecr, "app", build_image(), "v1")
        ecr.initiate_layer_upload(repositoryName="app")
        sim.advance(seconds=1)


@pytest.mark.parametrize("store", ["", "elsewhere"])
def test_all_that_is_made_is_private(tmp_path: Path, store: str):
    settings = {"blob_store": str(tmp_path / "new" / store)} if store else {}
    fill(tmp_path / "new" / "data", **settings)
    modes = everything(tmp_path / "new")
    assert len(modes) > 10
    assert {name: mode for name, mode in modes.items() if mode not in ("0o600", "0o700")} == {}


def test_an_older_directory_is_mended_and_said_so(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    data = tmp_path / "data"
    fill(data)
    (data / "notes.txt").write_text("of the user")
    for path in (data, *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    fill_again = Ecrsim(socket=False, data_dir=str(data))
    with fill_again:
        assert "others on this machine could read" in caplog.text
        assert str(data) in caplog.text
    modes = everything(data)
    assert modes.pop("notes.txt") == "0o644"
    assert {name: mode for name, mode in modes.items() if mode not in ("0o600", "0o700")} == {}
    caplog.clear()
    with Ecrsim(socket=False, data_dir=str(data)):
        assert caplog.text == ""


def test_what_was_there_before_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """`--data-dir .` in a project, whose files and directories are called as ecrsim's are."""
    foreign = ["poetry.lock", "api.key", "blobs/index.html", "tls/site.pem", "uploads/picture.png", "README.md"]
    for name in foreign:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    before = everything(tmp_path)
    fill(tmp_path)
    with Ecrsim(socket=False, data_dir=str(tmp_path)):  # what the first start made is there now
        after = everything(tmp_path)
    assert {name: after.pop(name) for name in before} == before
    assert {name: mode for name, mode in after.items() if mode not in ("0o600", "0o700")} == {}
    assert caplog.text.count("holds other things as well") == 1
    assert "others on this machine could read" not in caplog.text


def test_a_directory_that_all_share_stays_open(tmp_path: Path):
    tmp_path.chmod(0o1777)
    (tmp_path / "ecrsim.db").touch()
    (tmp_path / "ecrsim.dbx").mkdir()
    (tmp_path / "another").touch()
    assert mend(tmp_path, tmp_path, tmp_path / "ecrsim.db") == 1
    assert everything(tmp_path) == {
        ".": "0o1777",
        "ecrsim.db": "0o600",
        "ecrsim.dbx": "0o777",
        "another": "0o666",
    }


def test_links_lead_nowhere(tmp_path: Path):
    """What they point at is not ecrsim's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    data = tmp_path / "data"
    (data / "blobs").mkdir(parents=True)
    (data / "blobs" / "link").symlink_to(outside)
    (data / "tls").symlink_to(outside)
    mend(data, data, data / "ecrsim.db")
    assert everything(outside) == {".": "0o777", "file": "0o666"}
