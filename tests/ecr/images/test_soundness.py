"""fsck and the scrub: what is damaged is found, said, and comes back by a push."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.cli import main
from ecrsim.config import with_values
from ecrsim.core.runtime import Runtime
from ecrsim.ecr.images.fsck import fsck
from ecrsim.ecr.images.scrub import ScrubStopped, report, scrub, state
from ecrsim.ecr.layers import soundness
from ecrsim.testing import build_image, call_application
from tests import engine
from tests.pushing import push, push_layer

ONE = build_image(b"a layer of one", config=b'{"image":1}')
TWO = build_image(b"a layer of two", config=b'{"image":2}')
UNUSED = b"a layer that no image names"
PLACE = "000000000000/us-east-1/app"


def layer_of(image: Any) -> str:
    return str(json.loads(image.manifest)["layers"][0]["digest"])


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Ecrsim]:
    """One with two images, one of which has two tags, and a layer that no image names."""
    with Ecrsim(socket=False, data_dir=str(tmp_path / "data"), scrub_rate=1 << 40) as sim:
        ecr = sim.client()
        ecr.create_repository(repositoryName="app")
        push(ecr, "app", ONE, "v1", "latest")
        push(ecr, "app", TWO)
        push_layer(ecr, "app", UNUSED)
        yield sim


def file_of(sim: Ecrsim, digest: str) -> Path:
    path = sim.runtime.blobs.path(digest)
    assert path is not None
    return Path(path)


def rot(path: Path) -> None:
    """As a disk does it: the size stays, the time stays."""
    data = bytearray(path.read_bytes())
    data[3] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lose(path: Path) -> None:
    path.unlink()


DAMAGES = {"damaged": rot, "damaged, short": cut, "missing": lose}
every_damage = pytest.mark.parametrize(("name", "damage"), DAMAGES.items(), ids=DAMAGES)


def command(sim: Ecrsim, *options: str) -> int:
    return main(["fsck", "--data-dir", str(sim.runtime.data_dir), *options])


# --- fsck -------------------------------------------------------------------------------------------------------------


def test_what_is_sound_is_said_to_be_so(sim: Ecrsim, capsys: pytest.CaptureFixture[str]):
    assert command(sim) == 0
    size = sum(len(data) for image in (ONE, TWO) for data in image.blobs.values()) + len(UNUSED)
    assert capsys.readouterr().out == f"read 5 blobs ({size} bytes) and 2 images: all is sound\n"


@every_damage
def test_what_is_wrong_is_said_with_what_it_means(
    sim: Ecrsim, name: str, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
):
    damage(file_of(sim, layer_of(ONE)))
    damage(file_of(sim, layer_of(TWO)))
    before = {path: path.read_bytes() for path in (sim.runtime.data_dir / "blobs").rglob("*") if path.is_file()}
    assert command(sim) == 3
    lines = capsys.readouterr().out.splitlines()
    word = name.partition(",")[0]
    for image, names in ((ONE, [f"{PLACE}:v1", f"{PLACE}:latest"]), (TWO, [f"{PLACE}@{TWO.digest}"])):
        at = next(number for number, line in enumerate(lines) if layer_of(image) in line)
        assert lines[at].startswith(f"WRONG   layer {layer_of(image)} is {word}: ")
        assert lines[at + 1 : at + 1 + len(names)] == [f"        cannot be pulled: {each}" for each in names]
    assert lines[-1].endswith("2 things are wrong")
    after = {path: path.read_bytes() for path in (sim.runtime.data_dir / "blobs").rglob("*") if path.is_file()}
    assert after == before, "looking changes nothing"


@every_damage
def test_repair_lets_a_push_bring_it_back(sim: Ecrsim, name: str, damage: Callable[[Path], None]):
    digest = layer_of(ONE)
    damage(file_of(sim, digest))
    assert command(sim, "--repair") == 3, "the image cannot be pulled yet"
    assert sim.runtime.blobs.stat(digest) is None
    aside = sim.runtime.data_dir / "damaged" / digest.replace(":", "-")
    assert aside.exists() == (damage is not lose)
    # A client finds it missing, and so pushes it.
    push(sim.client(), "app", build_image(b"a layer of one", config=b'{"image":1}', annotations={"a": "b"}), "v3")
    assert command(sim, "--repair") == 0
    assert report(sim.runtime) == {"checkedAt": None, "missing": 0, "damaged": 0}
    with sim.runtime.blobs.open(digest) as blob:
        assert blob.read() == b"a layer of one"


@every_damage
def test_a_layer_that_no_image_names_is_let_go(sim: Ecrsim, name: str, damage: Callable[[Path], None]):
    digest = hashlib.sha256(UNUSED).hexdigest()
    damage(file_of(sim, f"sha256:{digest}"))
    assert command(sim) == 3
    assert command(sim, "--repair") == 0
    assert command(sim, "--repair") == 0
    assert command(sim) == 0


def alter(sim: Ecrsim, statement: str) -> None:
    """As whoever comes by another way than ecrsim."""
    if engine.ENGINE != "sqlite":
        with sim.runtime.database.write() as connection:
            connection.exec_driver_sql(statement)
        return
    with closing(sqlite3.connect(sim.runtime.data_dir / "ecrsim.db")) as database:
        database.execute(statement)
        database.commit()


def test_a_row_that_contradicts_sound_bytes_is_set_right(sim: Ecrsim, capsys: pytest.CaptureFixture[str]):
    alter(sim, "UPDATE layers SET layer_size = 1")
    assert command(sim) == 3
    assert "the database has it otherwise" in capsys.readouterr().out
    assert command(sim, "--repair") == 0
    assert command(sim) == 0


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("UPDATE image_manifests SET manifest = x'7b7d'", "the manifest of image"),
        ("DELETE FROM image_manifests", "the manifest of image"),
        ("DELETE FROM layers", "is missing in the repository of images that name it"),
        ("UPDATE image_tags SET image_id = 99", "the database is damaged: a row of image_tags"),
    ],
)
def test_a_damaged_database_is_seen(sim: Ecrsim, statement: str, sentence: str, capsys: pytest.CaptureFixture[str]):
    alter(sim, statement)
    assert command(sim) == 3
    assert sentence in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_no_end(sim: Ecrsim, monkeypatch: pytest.MonkeyPatch):
    """A bad sector: the rest is read all the same."""
    wrong, opened = layer_of(ONE), sim.runtime.blobs.open

    class Unreadable:
        def __init__(self, blob: Any) -> None:
            self._blob = blob

        def read(self, size: int) -> bytes:
            raise OSError(5, "Input/output error")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._blob, name)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self._blob.close()

    monkeypatch.setattr(
        sim.runtime.blobs, "open", lambda digest: Unreadable(opened(digest)) if digest == wrong else opened(digest)
    )
    [trouble] = fsck(sim.runtime, repair=False).troubles
    assert f"layer {wrong} is unreadable" in trouble.text
    assert trouble.images == (f"{PLACE}:v1", f"{PLACE}:latest")


# --- the scrub --------------------------------------------------------------------------------------------------------


def events(sim: Ecrsim) -> list[dict[str, Any]]:
    return sim.events(type="ecrsim Layer Damaged")


@every_damage
def test_the_scrub_tells_in_health_doctor_and_an_event(
    sim: Ecrsim, name: str, damage: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
):
    digest, word = layer_of(ONE), name.partition(",")[0]
    sim.client().create_repository(repositoryName="other")
    push(sim.client(), "other", ONE, "v1")
    assert scrub(sim.runtime) == 0
    sound = json.loads(call_application(sim.app, "GET", "http://localhost/_ecrsim/health").body)["layers"]
    assert (sound["missing"], sound["damaged"], sound["checkedAt"] is None) == (0, 0, False)
    damage(file_of(sim, digest))
    sim.runtime.config = with_values(sim.runtime.config, scrub_interval=0)
    for found in (1, 1):
        assert scrub(sim.runtime) == found
        health = json.loads(call_application(sim.app, "GET", "http://localhost/_ecrsim/health").body)
        assert health["layers"][word] == 1
        assert [(event["source"], event["detail"]) for event in events(sim)] == [
            ("ecrsim", {"repository-name": repository, "layer-digest": digest, "problem": word})
            for repository in ("app", "other")
        ], "told once"
    main(["doctor", "--data-dir", str(sim.runtime.data_dir), "--port", "0"])
    assert "FAIL  1 layers are missing or damaged" in capsys.readouterr().out
    push_layer(sim.client(), "app", b"a layer of one")
    assert scrub(sim.runtime) == 0
    assert report(sim.runtime)["missing"] == report(sim.runtime)["damaged"] == 0
    damage(file_of(sim, digest))
    scrub(sim.runtime)
    assert len(events(sim)) == 4, "told again of new damage"


def test_the_scrub_rests_between_two_readings(sim: Ecrsim):
    assert scrub(sim.runtime) == 0
    assert scrub(sim.runtime) is None


def test_the_scrub_goes_on_where_it_was_stopped(sim: Ecrsim, monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []
    whole = soundness.examine

    def examine(runtime: Runtime, digest: str, pace: soundness.Pace, *, aside: bool) -> str | None:
        if len(seen) == 3:
            raise ScrubStopped
        seen.append(digest)
        return whole(runtime, digest, pace, aside=aside)

    monkeypatch.setattr("ecrsim.ecr.images.scrub._PAGE", 2)
    with monkeypatch.context() as patch:
        patch.setattr(soundness, "examine", examine)
        with pytest.raises(ScrubStopped):
            scrub(sim.runtime)
    with sim.runtime.database.read() as connection:
        assert state(connection).cursor == sorted(seen)[1]
    monkeypatch.setattr(
        soundness, "examine", lambda *given, **named: (seen.append(given[1]), whole(*given, **named))[1]
    )
    assert scrub(sim.runtime) == 0
    assert len(seen) == 3 + 3, "the third was read again, the first two were not"


def test_the_scrub_stops_at_once(sim: Ecrsim):
    sim.runtime.stopping.set()
    with pytest.raises(ScrubStopped):
        scrub(sim.runtime)


def test_a_push_in_between_is_not_moved_away(sim: Ecrsim, monkeypatch: pytest.MonkeyPatch):
    """Damaged when it was read, right by now: what is there is asked for once more before it is moved."""
    digest = layer_of(ONE)
    rot(file_of(sim, digest))
    judged = soundness.problem_of

    def push_meanwhile(blob: Any, name: str, pace: soundness.Pace = soundness.at_once) -> str | None:
        found = judged(blob, name, pace)
        if found is not None:
            push_layer_whole(sim, b"a layer of one")
        return found

    monkeypatch.setattr(soundness, "problem_of", push_meanwhile)
    assert scrub(sim.runtime) == 0
    with sim.runtime.blobs.open(digest) as blob:
        assert blob.read() == b"a layer of one"


def push_layer_whole(sim: Ecrsim, data: bytes) -> None:
    ecr = sim.client()
    place = {"repositoryName": "app", "uploadId": ecr.initiate_layer_upload(repositoryName="app")["uploadId"]}
    ecr.upload_layer_part(**place, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    with pytest.raises(ecr.exceptions.LayerAlreadyExistsException):
        ecr.complete_layer_upload(**place, layerDigests=[digest])
