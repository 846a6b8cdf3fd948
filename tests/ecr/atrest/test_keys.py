"""The key of a repository: while it cannot be used nothing is read or written, and all is well when it is back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ecrsim import Ecrsim
from ecrsim.ecr.images import fsck as checking
from ecrsim.testing import build_image, push_image
from tests.answers import refused
from tests.ecr.atrest.conftest import IMAGE, LAYER, LAYER_DIGEST, MARK, blob_files, registry
from tests.keys import change_key, encrypted, make_key, revoke_all
from tests.pushing import create


@pytest.fixture
def key(sealed: Ecrsim, ecr: Any) -> str:
    arn = make_key(sealed)
    create(ecr, "app", **encrypted(arn))
    return arn


def kms_error(operation: Any, **parameters: Any) -> str:
    answer = refused(operation, **parameters)
    assert answer["Error"]["Code"] == "KmsException"
    return answer["kmsError"]


@pytest.mark.documented
def test_a_key_that_is_disabled_in_the_middle_of_a_push(sealed: Ecrsim, ecr: Any, key: str):
    place = {"repositoryName": "app"}
    upload = place | {"uploadId": ecr.initiate_layer_upload(**place)["uploadId"]}
    half = 6 << 20
    data = LAYER * (2 * half // len(LAYER) + 1)
    first = {"partFirstByte": 0, "partLastByte": half - 1, "layerPartBlob": data[:half]}
    rest = {"partFirstByte": half, "partLastByte": len(data) - 1, "layerPartBlob": data[half:]}
    image = build_image(data)
    digest = list(image.blobs)[1]
    ecr.upload_layer_part(**upload, **first)
    change_key(sealed, "disable", key)
    assert kms_error(ecr.upload_layer_part, **upload, **rest) == "DisabledException"
    assert kms_error(ecr.complete_layer_upload, **upload, layerDigests=[digest]) == "DisabledException"
    assert kms_error(ecr.initiate_layer_upload, **place) == "DisabledException"
    assert registry(sealed, "POST", "/v2/app/blobs/uploads/").status >= 400
    change_key(sealed, "enable", key)
    assert ecr.upload_layer_part(**upload, **rest)["lastByteReceived"] == len(data) - 1
    assert ecr.complete_layer_upload(**upload, layerDigests=[digest])["layerDigest"] == digest
    push_image(ecr, "app", image, "v1")
    assert registry(sealed, "GET", f"/v2/app/blobs/{digest}").read() == data


@pytest.mark.documented
@pytest.mark.parametrize("way", ["disabled", "no grant"])
def test_a_key_that_is_lost_in_the_middle_of_a_pull(sealed: Ecrsim, ecr: Any, key: str, way: str):
    push_image(ecr, "app", IMAGE, "v1")
    ids = {"repositoryName": "app", "imageIds": [{"imageTag": "v1"}]}
    url = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=LAYER_DIGEST)["downloadUrl"]
    path = url.removeprefix(sealed.endpoint_url)
    if way == "disabled":
        change_key(sealed, "disable", key)
    else:
        revoke_all(sealed, key)
    (failure,) = ecr.batch_get_image(**ids)["failures"]
    assert failure["failureCode"] == "KmsError"
    for asked in ("manifests/v1", f"blobs/{LAYER_DIGEST}"):
        assert 400 <= registry(sealed, "GET", f"/v2/app/{asked}").status < 500
    assert registry(sealed, "GET", path).status == (400 if way == "disabled" else 403)
    found = checking.fsck(sealed.runtime, repair=True)
    assert {trouble.is_repaired for trouble in found.troubles} == {False}
    assert all("its key cannot be used" in trouble.text for trouble in found.troubles)
    if way == "disabled":
        change_key(sealed, "enable", key)
        assert ecr.batch_get_image(**ids)["images"][0]["imageManifest"].encode() == IMAGE.manifest
        assert registry(sealed, "GET", f"/v2/app/blobs/{LAYER_DIGEST}").read() == LAYER
        assert registry(sealed, "GET", path).read() == LAYER
        assert checking.fsck(sealed.runtime, repair=False).is_sound


def test_a_repository_is_read_by_its_own_grant(sealed: Ecrsim, ecr: Any, key: str, data_dir: Path):
    """Two repositories of one key share their bytes, and not the right to read them."""
    push_image(ecr, "app", IMAGE, "v1")
    revoke_all(sealed, key)
    create(ecr, "other", **encrypted(key))
    push_image(ecr, "other", IMAGE, "v1")
    assert registry(sealed, "GET", f"/v2/other/blobs/{LAYER_DIGEST}").read() == LAYER
    assert registry(sealed, "GET", f"/v2/app/blobs/{LAYER_DIGEST}").status >= 400
    assert len(blob_files(data_dir)) == 2, "nobody could open the key of the first space any more"


def test_what_was_stored_before_a_rotation_stays_readable(sealed: Ecrsim, ecr: Any, key: str, data_dir: Path):
    push_image(ecr, "app", IMAGE, "v1")
    change_key(sealed, "rotate", key)
    push_image(ecr, "app", build_image(LAYER, annotations={"after": MARK.decode()}), "v2")
    create(ecr, "other", **encrypted(key))
    push_image(ecr, "other", IMAGE, "v1")
    for name in ("app", "other"):
        assert registry(sealed, "GET", f"/v2/{name}/blobs/{LAYER_DIGEST}").read() == LAYER
        assert registry(sealed, "GET", f"/v2/{name}/manifests/v1").read() == IMAGE.manifest
    assert len(blob_files(data_dir)) == 1
