"""The table of rules is run, row by row; and what hangs on a name that each plane makes anew."""

from __future__ import annotations

import pytest

from ecrsim.core.errors import EmptyUploadException, KmsException, ServiceUnavailableException
from ecrsim.core.public_errors import ThrottlingException
from ecrsim.dataplane.errors import _TABLE
from ecrsim.ecr.images.manifest import NotAnImage
from tests.keys import change_key, encrypted, make_key
from tests.planes import rows_images, rows_layers, rows_manifests, rows_tags
from tests.planes.conftest import Planes
from tests.planes.pushing import client, rows
from tests.planes.rows_layers import LAYER
from tests.planes.table import Rule, ask, assert_rule
from tests.pushing import digest_of

TABLE = {"tags": rows_tags, "manifests": rows_manifests, "images": rows_images, "layers": rows_layers}
ROWS = [pytest.param(entry, id=f"{part}: {entry.id}") for part, module in TABLE.items() for entry in module.ROWS]


@pytest.mark.parametrize("entry", ROWS)
def test_rule(planes: Planes, entry: Rule):
    assert_rule(planes, entry)


def test_every_row_has_an_id_of_its_own():
    assert len({entry.id for entry in ROWS}) == len(ROWS)


def test_every_class_that_the_registry_has_a_code_for_is_in_the_table():
    """Empty uploads and keys have tests below; a full disk and the limits of ECR Public have theirs."""
    elsewhere = {
        EmptyUploadException,
        KmsException,
        NotAnImage,  # an InvalidParameterException to the API
        ServiceUnavailableException,
        ThrottlingException,
    }
    answered = {entry.answers.api for module in TABLE.values() for entry in module.ROWS if entry.answers is not None}
    assert {each.__name__ for each in _TABLE} - answered == {each.__name__ for each in elsewhere}


def test_an_upload_without_bytes_is_refused_by_both(planes: Planes):
    """On /v2/ where ECR's rules are kept: the specification has blobs of no bytes."""
    empty = digest_of(b"")
    for plane in planes.apart(strict_ecr=True):
        upload_id = plane.begin("app")
        refused = ask(plane, lambda plane, upload_id=upload_id: plane.complete("app", upload_id, empty))
        assert refused.code in ("EmptyUploadException", "400 BLOB_UPLOAD_INVALID")
        assert refused.message == (
            f"The upload with id '{upload_id}' in the repository with name 'app' in registry "
            "with id '000000000000' cannot be completed because it does not have any parts"
        )  # recorded
        # Inferred: it may still be used.
        plane.append("app", upload_id, 0, LAYER)
        plane.complete("app", upload_id, digest_of(LAYER))


def test_a_part_out_of_order_is_refused_with_the_place_to_go_on_from(planes: Planes):
    api, registry = planes.apart(quota_layer_part_min=1)
    for plane in (api, registry):
        upload_id = plane.begin("app")
        plane.append("app", upload_id, 0, LAYER)
        refused = ask(plane, lambda plane, upload_id=upload_id: plane.append("app", upload_id, 5, LAYER))
        if plane is api:
            assert refused.code == "InvalidLayerPartException"
        else:
            assert refused.code == "416 BLOB_UPLOAD_INVALID"
            assert refused.message == f"First byte of the layer part is 5 instead of {len(LAYER)}"  # recorded
        plane.append("app", upload_id, len(LAYER), LAYER)
        plane.complete("app", upload_id, digest_of(LAYER + LAYER))
    assert rows(api.sim) == rows(registry.sim)


def test_an_upload_of_another_repository_is_not_there(planes: Planes):
    for plane in planes.apart():
        client(plane.sim).create_repository(repositoryName="other")
        upload_id = plane.begin("other")
        plane.append("other", upload_id, 0, LAYER)
        refused = ask(plane, lambda plane, upload_id=upload_id: plane.complete("app", upload_id, digest_of(LAYER)))
        assert refused.code in ("UploadNotFoundException", "404 BLOB_UPLOAD_UNKNOWN")
        assert "the repository with name 'app'" in refused.message
        plane.complete("other", upload_id, digest_of(LAYER))


def test_a_key_that_is_disabled_refuses_both_in_the_same_words(planes: Planes):
    for plane in planes.apart():
        key = make_key(plane.sim)
        client(plane.sim).create_repository(repositoryName="locked", **encrypted(key))
        upload_id = plane.begin("locked")
        change_key(plane.sim, "disable", key)
        for act in (
            lambda plane: plane.begin("locked"),
            lambda plane, of=upload_id: plane.append("locked", of, 0, LAYER),
        ):
            refused = ask(plane, act)
            # The operations are documented; KMS's sentence, and what the registry says, are inferred.
            assert refused.code in ("KmsException", "403 DENIED")
            assert refused.message == f"{key} is disabled."
        change_key(plane.sim, "enable", key)
        plane.append("locked", upload_id, 0, LAYER)
        plane.complete("locked", upload_id, digest_of(LAYER))
