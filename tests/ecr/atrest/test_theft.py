"""A stolen data directory, without the keys, shows nothing of what was stored."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.blobs.identity import StoreMismatch
from ecrsim.config import ConfigError, load
from ecrsim.ecr.atrest import carrying
from ecrsim.ecr.images import fsck as checking
from ecrsim.ecr.layers.removals import removal
from ecrsim.testing import build_image, push_image
from tests.ecr.atrest.conftest import IMAGE, LAYER, LAYER_DIGEST, MARK, blob_files, pushed_by_registry, registry, shows
from tests.keys import encrypted
from tests.pushing import create


def test_no_file_shows_a_byte_of_a_layer_or_a_manifest(sealed: Ecrsim, ecr: Any, data_dir: Path):
    for name, options in {"app": {}, "keyed": encrypted()}.items():
        create(ecr, name, **options)
        push_image(ecr, name, IMAGE, "api")
        pushed_by_registry(sealed, name, build_image(MARK + LAYER, annotations={"more": MARK.decode()}), "registry")
    referrer = build_image(
        LAYER,
        subject={"mediaType": IMAGE.media_type, "digest": IMAGE.digest, "size": len(IMAGE.manifest)},
        annotations={"of": MARK.decode()},
    )
    push_image(ecr, "app", referrer)
    # Uploads that are not finished, by either plane.
    upload = ecr.initiate_layer_upload(repositoryName="app")["uploadId"]
    ecr.upload_layer_part(
        repositoryName="app", uploadId=upload, partFirstByte=0, partLastByte=len(LAYER) - 1, layerPartBlob=LAYER
    )
    location = registry(sealed, "POST", "/v2/keyed/blobs/uploads/").headers["Location"]
    assert registry(sealed, "PATCH", location, LAYER).status == 202
    # A copy in another region, which has a key of its own.
    place = {"destinations": [{"region": "eu-west-1", "registryId": "000000000000"}]}
    ecr.put_replication_configuration(replicationConfiguration={"rules": [place]})
    push_image(ecr, "app", build_image(LAYER[1:], annotations={"copied": MARK.decode()}), "copied")
    sealed.advance(minutes=5)
    assert sealed.client("ecr", region="eu-west-1").describe_images(repositoryName="app")["imageDetails"]
    assert (data_dir / "ecrsim.db-wal").exists()
    assert shows(data_dir) == []
    # What is looked for would be found, were it there.
    (data_dir / "left").write_bytes(LAYER)
    assert shows(data_dir) == ["left"]


def test_everything_is_read_as_it_was_pushed_also_after_a_restart(sealed: Ecrsim, ecr: Any, data_dir: Path):
    for name, options in {"app": {}, "keyed": encrypted()}.items():
        create(ecr, name, **options)
        push_image(ecr, name, IMAGE, "v1")
    sealed.stop()
    with Ecrsim(data_dir=str(data_dir), encrypt=True) as again:
        client = again.client("ecr")
        for name in ("app", "keyed"):
            (image,) = client.batch_get_image(repositoryName=name, imageIds=[{"imageTag": "v1"}])["images"]
            assert image["imageManifest"].encode() == IMAGE.manifest
            assert registry(again, "GET", f"/v2/{name}/manifests/v1").read() == IMAGE.manifest
            assert registry(again, "GET", f"/v2/{name}/blobs/{LAYER_DIGEST}").read() == LAYER
            part = registry(again, "GET", f"/v2/{name}/blobs/{LAYER_DIGEST}", Range="bytes=300000-600000")
            assert (part.status, part.read()) == (206, LAYER[300000:600001])
            url = client.get_download_url_for_layer(repositoryName=name, layerDigest=LAYER_DIGEST)["downloadUrl"]
            with urllib.request.urlopen(url) as answer:  # noqa: S310 - of the server of this test
                assert answer.read() == LAYER


def test_annotations_of_referrers_are_shown_as_they_are(sealed: Ecrsim, ecr: Any):
    create(ecr)
    push_image(ecr, "app", IMAGE, "v1")
    subject = {"mediaType": IMAGE.media_type, "digest": IMAGE.digest, "size": len(IMAGE.manifest)}
    push_image(ecr, "app", build_image(subject=subject, annotations={"of": MARK.decode()}))
    (shown,) = ecr.list_image_referrers(repositoryName="app", subjectId={"imageDigest": IMAGE.digest})["referrers"]
    (listed,) = json.loads(registry(sealed, "GET", f"/v2/app/referrers/{IMAGE.digest}").read())["manifests"]
    assert shown["annotations"] == listed["annotations"] == {"of": MARK.decode()}


def test_an_event_has_the_manifest_that_was_put(sealed: Ecrsim, ecr: Any):
    create(ecr)
    push_image(ecr, "app", IMAGE, "v1")
    calls = [each for each in sealed.events() if MARK.decode() in json.dumps(each)]
    assert calls, "CloudTrail records what PutImage was given"


def test_repositories_share_bytes_where_they_have_the_same_key(sealed: Ecrsim, ecr: Any, data_dir: Path):
    expected = 0
    for name, options, is_new in (
        ("one", {}, True),
        ("two", {}, False),
        ("three", encrypted(), True),
        ("four", encrypted(), False),
    ):
        create(ecr, name, **options)
        push_image(ecr, name, IMAGE, "v1")
        expected += is_new
        assert len(blob_files(data_dir)) == expected
    assert len({path.read_bytes() for path in blob_files(data_dir)}) == 2


@pytest.mark.parametrize(("to", "status"), [("two", 201), ("three", 202)])
@pytest.mark.documented
def test_a_layer_is_mounted_between_repositories_of_the_same_key_alone(sealed: Ecrsim, ecr: Any, to: str, status: int):
    for name, options in {"one": {}, "two": {}, "three": encrypted()}.items():
        create(ecr, name, **options)
    push_image(ecr, "one", IMAGE, "v1")
    answer = registry(sealed, "POST", f"/v2/{to}/blobs/uploads/?mount={LAYER_DIGEST}&from=one")
    assert answer.status == status
    if status == 201:
        assert registry(sealed, "GET", f"/v2/{to}/blobs/{LAYER_DIGEST}").read() == LAYER


def test_a_copy_in_another_region_is_encrypted_anew_and_is_whole(sealed: Ecrsim, ecr: Any, data_dir: Path):
    place = {"destinations": [{"region": "eu-west-1", "registryId": "000000000000"}]}
    ecr.put_replication_configuration(replicationConfiguration={"rules": [place]})
    create(ecr)
    push_image(ecr, "app", IMAGE, "v1")
    sealed.advance(minutes=5)
    there = sealed.client("ecr", region="eu-west-1")
    (image,) = there.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
    assert image["imageManifest"].encode() == IMAGE.manifest
    url = there.get_download_url_for_layer(repositoryName="app", layerDigest=LAYER_DIGEST)["downloadUrl"]
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - of the server of this test
        assert answer.read() == LAYER
    assert len(blob_files(data_dir)) == 2


def replicated(sim: Ecrsim, ecr: Any) -> Any:
    """A client of another region, which images of `app` are copied to."""
    place = {"destinations": [{"region": "eu-west-1", "registryId": "000000000000"}]}
    ecr.put_replication_configuration(replicationConfiguration={"rules": [place]})
    create(ecr)
    return sim.client("ecr", region="eu-west-1")


def test_a_layer_that_a_collection_takes_before_its_row_is_copied_again(
    sealed: Ecrsim, ecr: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    """A collection that has let the layer go in the other region deletes it, however new it is."""
    carry, taken = carrying.carry, []

    def carry_for_a_collection(*given: Any) -> None:
        carry(*given)
        if not taken:
            names = [name for name, _, _ in sealed.runtime.blobs.blobs()]
            with removal(sealed.runtime, names) as going:
                taken.extend(going)
                assert all(sealed.runtime.blobs.delete(name) for name in going)

    monkeypatch.setattr(carrying, "carry", carry_for_a_collection)
    there = replicated(sealed, ecr)
    push_image(ecr, "app", IMAGE, "v1")
    sealed.advance(minutes=5)
    assert len(taken) == 2, "the layer and the config of the copy, which no row named yet"
    assert there.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
    assert len(blob_files(data_dir)) == 2
    assert checking.fsck(sealed.runtime, repair=False).is_sound


def test_a_damaged_layer_is_not_copied_and_the_copy_says_so(sealed: Ecrsim, ecr: Any, data_dir: Path):
    there = replicated(sealed, ecr)
    push_image(ecr, "app", IMAGE, "v1")
    (file,) = blob_files(data_dir)
    file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
    sealed.advance(minutes=5)
    status = ecr.describe_image_replication_status(repositoryName="app", imageId={"imageTag": "v1"})
    assert [each["status"] for each in status["replicationStatuses"]] == ["FAILED"]
    assert there.list_images(repositoryName="app")["imageIds"] == []


# The directory and the setting


@pytest.mark.parametrize("begun", [True, False])
def test_a_directory_is_opened_as_it_was_begun(data_dir: Path, begun: bool):
    with Ecrsim(data_dir=str(data_dir), encrypt=begun, socket=False) as sim:
        create(sim.client("ecr"))
        push_image(sim.client("ecr"), "app", IMAGE, "v1")
    with pytest.raises(StoreMismatch, match="is encrypted: say so" if begun else "is not encrypted"):
        Ecrsim(data_dir=str(data_dir), encrypt=not begun, socket=False).start()
    with Ecrsim(data_dir=str(data_dir), encrypt=begun, socket=False) as sim:
        assert sim.client("ecr").describe_images(repositoryName="app")["imageDetails"]


def test_a_directory_without_images_may_change_its_mind(data_dir: Path):
    for encrypt in (False, True, False, True):
        with Ecrsim(data_dir=str(data_dir), encrypt=encrypt, socket=False) as sim:
            if not sim.client("ecr").describe_repositories()["repositories"]:
                create(sim.client("ecr"))
    with Ecrsim(data_dir=str(data_dir), encrypt=True, socket=False) as sim:
        push_image(sim.client("ecr"), "app", IMAGE, "v1")
    assert shows(data_dir) == []


def test_the_secret_key_may_be_kept_elsewhere(data_dir: Path, tmp_path: Path):
    key = tmp_path / "safe" / "secret.key"
    settings = {"data_dir": str(data_dir), "encrypt": True, "socket": False, "secret_key_file": str(key)}
    with Ecrsim(**settings) as sim:
        create(sim.client("ecr"))
        push_image(sim.client("ecr"), "app", IMAGE, "v1")
    assert key.stat().st_mode & 0o777 == 0o600
    assert not list(data_dir.rglob("*secret*"))
    with Ecrsim(**settings) as sim:
        (image,) = sim.client("ecr").batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
        assert image["imageManifest"].encode() == IMAGE.manifest


BUCKET = {"blob_store": "s3://bucket/prefix", "s3_aws_access_key_id": "a", "s3_aws_secret_access_key": "b"}


@pytest.mark.parametrize("settings", [BUCKET, {"scanner": "trivy"}, {"scanner": "grype"}])
def test_what_cannot_be_encrypted_is_refused(settings: dict[str, str]):
    with pytest.raises(ConfigError, match="encrypt"):
        load({"encrypt": True, **settings}, environ={})
