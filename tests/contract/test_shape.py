"""Results on the wire: what is picked from what, how values look, and what a wrong result does."""

import dataclasses
import json
import logging
import types
from typing import NamedTuple

import pytest
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, create_engine, select

from ecrsim.contract import shape as shape_module
from ecrsim.contract.models import service
from ecrsim.contract.shape import ShapeMismatch, error_body, shape
from ecrsim.core.errors import (
    InvalidLayerPartException,
    KmsException,
    RepositoryNotFoundException,
    ServerException,
    UnknownOperationException,
)
from tests.contract.modelled import OPERATIONS, operation_id

ECR = service("ecr").operations
DESCRIBE = ECR["DescribeImages"]
DIGEST = "sha256:" + "a" * 64


class NamedImage(NamedTuple):
    id: int
    image_pushed_at: int
    image_status: str
    image_digest: str


def shaped(operation, result):
    return json.loads(shape(operation, result))


def first_image(image):
    return shaped(DESCRIBE, {"imageDetails": [image]})["imageDetails"][0]


# --- Picking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        {"imageDigest": DIGEST, "imageStatus": "ACTIVE", "imagePushedAt": 1500},
        {"image_digest": DIGEST, "image_status": "ACTIVE", "image_pushed_at": 1500},
        {"image_digest": DIGEST, "imageStatus": "ACTIVE", "image_pushed_at": 1500, "artifactMediaType": None},
        types.MappingProxyType({"imageDigest": DIGEST, "image_status": "ACTIVE", "image_pushed_at": 1500, "id": 7}),
        types.SimpleNamespace(image_digest=DIGEST, image_status="ACTIVE", image_pushed_at=1500, id=7),
        NamedImage(7, 1500, "ACTIVE", DIGEST),
        dataclasses.make_dataclass("Image", ["image_digest", "image_status", "image_pushed_at", "image_tags"])(
            DIGEST, "ACTIVE", 1500, None
        ),
    ],
    ids=["wire keys", "snake keys", "both", "mapping", "object", "named tuple", "dataclass"],
)
def test_members_are_picked_from_anything_that_holds_them(image):
    assert first_image(image) == {"imageDigest": DIGEST, "imageStatus": "ACTIVE", "imagePushedAt": 1.5}


@pytest.fixture
def rows():
    engine = create_engine("sqlite://")
    table = Table(
        "images",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("image_digest", String),
        Column("image_pushed_at", BigInteger),
        Column("artifact_media_type", String),
    )
    with engine.begin() as connection:
        table.metadata.create_all(connection)
        connection.execute(
            table.insert(),
            [
                {"image_digest": f"sha256:{n}", "image_pushed_at": n, "artifact_media_type": "a/b" if n == 1 else None}
                for n in range(3)
            ],
        )
        yield lambda *columns: connection.execute(
            select(*(table.c[name] for name in columns)).order_by(table.c.id)
        ).all()
    engine.dispose()


def test_rows_are_picked_from_and_may_have_more_columns(rows):
    page = rows("id", "image_digest", "image_pushed_at", "artifact_media_type")

    assert shaped(DESCRIBE, {"imageDetails": page}) == {
        "imageDetails": [
            {"imageDigest": "sha256:0", "imagePushedAt": 0.0},
            {"imageDigest": "sha256:1", "imagePushedAt": 0.001, "artifactMediaType": "a/b"},
            {"imageDigest": "sha256:2", "imagePushedAt": 0.002},
        ]
    }


def test_rows_of_different_queries_may_stand_in_one_list(rows):
    one = rows("image_digest", "artifact_media_type", "image_pushed_at")
    other = rows("image_pushed_at", "image_digest", "artifact_media_type")

    details = shaped(DESCRIBE, {"imageDetails": [one[0], other[1], one[2], other[2]]})["imageDetails"]

    assert [detail["imageDigest"] for detail in details] == ["sha256:0", "sha256:1", "sha256:2", "sha256:2"]


def test_a_row_mapping_is_a_mapping(rows):
    assert first_image(rows("id", "image_digest")[1]._mapping) == {"imageDigest": "sha256:1"}


def test_a_row_inside_a_structure():
    image = NamedImage(7, 1500, "ACTIVE", DIGEST)

    assert shaped(ECR["DescribeImageScanFindings"], {"imageId": image}) == {"imageId": {"imageDigest": DIGEST}}


# --- Values -----------------------------------------------------------------------------------------------------------


def test_none_is_absent_and_empty_is_not():
    assert shaped(DESCRIBE, {"imageDetails": [], "nextToken": None}) == {"imageDetails": []}
    assert first_image({"imageTags": []}) == {"imageTags": []}
    assert first_image({"artifactMediaType": ""}) == {"artifactMediaType": ""}


def test_no_result_is_an_empty_object():
    assert shape(ECR["TagResource"], None) == b"{}"
    assert shape(ECR["TagResource"], {}) == b"{}"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (1787109743563, b"1787109743.563"),
        (1565128275000, b"1565128275.0"),
        (1565128275100, b"1565128275.1"),
        (1565128275010, b"1565128275.01"),
        (0, b"0.0"),
        (1, b"0.001"),
    ],
)
def test_timestamps_are_floats_of_seconds(milliseconds, text):
    assert shape(DESCRIBE, {"imageDetails": [{"imagePushedAt": milliseconds}]}) == (
        b'{"imageDetails":[{"imagePushedAt":' + text + b"}]}"
    )


def test_every_millisecond_of_a_second_has_at_most_three_decimals():
    for milliseconds in range(1787109743000, 1787109744000):
        text = shape(DESCRIBE, {"imageDetails": [{"imagePushedAt": milliseconds}]}).decode()
        decimals = text.partition(".")[2].rstrip("]}")
        assert 1 <= len(decimals) <= 3
        assert f"{decimals:0<3}" == f"{milliseconds % 1000:03}"


def test_booleans_may_come_from_sqlite():
    def configuration(value):
        return shape(ECR["PutImageScanningConfiguration"], {"imageScanningConfiguration": {"scanOnPush": value}})

    assert configuration(True) == configuration(1) == b'{"imageScanningConfiguration":{"scanOnPush":true}}'
    assert configuration(False) == configuration(0) == b'{"imageScanningConfiguration":{"scanOnPush":false}}'


def test_maps_and_numbers():
    referrer = {"digest": DIGEST, "size": 2**40, "annotations": {"a": "b", "none": None}}
    assert shaped(ECR["ListImageReferrers"], {"referrers": (referrer,)}) == {
        "referrers": [{"digest": DIGEST, "size": 2**40, "annotations": {"a": "b"}}]
    }
    findings = {"enhancedFindings": [{"score": 5}], "findingSeverityCounts": {"HIGH": 3}}
    assert shape(ECR["DescribeImageScanFindings"], {"imageScanFindings": findings}) == (
        b'{"imageScanFindings":{"enhancedFindings":[{"score":5.0}],"findingSeverityCounts":{"HIGH":3}}}'
    )


def test_text_goes_out_as_utf8():
    assert shape(ECR["GetAccountSetting"], {"name": 'ä\n"', "value": "\0"}) == (
        '{"name":"ä\\n\\"","value":"\\u0000"}'.encode()
    )


def test_blobs_go_out_as_base64():
    # No output of the two models has one today; the type belongs to the protocol all the same.
    blob = service("ecr").shapes["LayerPartBlob"]

    assert shape_module._converter(blob, True)(b"\xff\xef\0") == "/+8A"
    assert shape_module._converter(blob, False)(b"") == ""


@pytest.mark.parametrize("operation", OPERATIONS, ids=operation_id)
@pytest.mark.parametrize("strict", [True, False])
def test_every_output_can_be_filled_in_full(operation, strict, monkeypatch):
    monkeypatch.setattr(shape_module, "STRICT", strict)

    def value_of(shape, snake_keys):
        if shape.type == "structure":
            return {
                (shape_module.snake(name) if snake_keys else name): value_of(member, snake_keys)
                for name, member in shape.members.items()
            }
        if shape.member is not None:
            return [value_of(shape.member, snake_keys)]
        if shape.type == "map":
            return {"k": value_of(shape.value, snake_keys)}
        if shape.enum:
            return shape.enum[-1]
        return {"string": "s", "boolean": True, "double": 1.5, "timestamp": 1500}.get(shape.type, 7)

    def on_the_wire(shape, value):
        if shape.type == "structure":
            return {name: on_the_wire(member, value[name]) for name, member in shape.members.items()}
        if shape.member is not None:
            return [on_the_wire(shape.member, item) for item in value]
        return 1.5 if shape.type == "timestamp" else value

    expected = on_the_wire(operation.output, value_of(operation.output, False))
    assert shaped(operation, value_of(operation.output, False)) == expected
    assert shaped(operation, value_of(operation.output, True)) == expected


# --- Wrong results ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        {"imageDigests": DIGEST},
        {"image_size": 1},
        {"imageDigest": 5},
        {"imageDigest": b"sha256:"},
        {"imageSizeInBytes": "5"},
        {"imageSizeInBytes": True},
        {"imageSizeInBytes": 1.5},
        {"imagePushedAt": 1787109743.563},
        {"imagePushedAt": "2026-01-01"},
        {"imageStatus": "active"},
        {"imageTags": "latest"},
        {"imageTags": {"latest": 1}},
        {"imageTags": [None]},
        {"imageScanStatus": "COMPLETE"},
        {"imageScanStatus": ("COMPLETE", None)},
        {"imageScanStatus": []},
        "image",
        ("123456789012", DIGEST),
    ],
)
def test_a_result_that_the_model_cannot_express_fails_in_tests(image):
    with pytest.raises(ShapeMismatch):
        shape(DESCRIBE, {"imageDetails": [image]})


def test_a_flag_is_not_any_number():
    with pytest.raises(ShapeMismatch, match="ScanOnPushFlag is a boolean; the result has 2"):
        shape(ECR["PutImageScanningConfiguration"], {"imageScanningConfiguration": {"scanOnPush": 2}})


def test_a_result_that_is_no_map_where_there_must_be_one():
    with pytest.raises(ShapeMismatch, match="Annotations is a map"):
        shape(ECR["ListImageReferrers"], {"referrers": [{"annotations": [("a", "b")]}]})


def test_the_mismatch_says_where_and_what():
    with pytest.raises(ShapeMismatch, match="ImageDetail has no member imageSize"):
        shape(DESCRIBE, {"imageDetails": [{"imageSize": 1}]})


def test_an_unmodelled_member_is_left_out_and_logged_once_when_it_serves(monkeypatch, caplog):
    monkeypatch.setattr(shape_module, "STRICT", False)
    monkeypatch.setattr(shape_module, "_logged", set())
    result = {"imageDetails": [{"imageDigest": DIGEST, "imageSize": 1}] * 3}

    with caplog.at_level(logging.WARNING, logger="ecrsim.contract.shape"):
        assert shaped(DESCRIBE, result) == {"imageDetails": [{"imageDigest": DIGEST}] * 3}

    assert [record.getMessage() for record in caplog.records] == [
        "a result has the member imageSize, which ImageDetail lacks; it is left out"
    ]


# --- Errors -----------------------------------------------------------------------------------------------------------


def test_an_error_is_its_name_and_its_sentence():
    error = RepositoryNotFoundException(repository_name="app", registry_id="123456789012")

    assert error_body(error) == (
        b'{"__type":"RepositoryNotFoundException","message":"The repository with name \'app\' does not exist '
        b"in the registry with id '123456789012'\"}"
    )


def test_an_error_carries_the_members_of_its_shape():
    error = InvalidLayerPartException(
        registryId="123456789012", repositoryName="app", uploadId="u", lastValidByteReceived=9
    )
    assert json.loads(error_body(error)) == {
        "__type": "InvalidLayerPartException",
        "message": error.message,
        "registryId": "123456789012",
        "repositoryName": "app",
        "uploadId": "u",
        "lastValidByteReceived": 9,
    }
    assert json.loads(error_body(KmsException("m", kmsError="NotFoundException")))["kmsError"] == "NotFoundException"


def test_an_error_without_a_sentence_has_an_empty_one():
    assert error_body(ServerException("")) == b'{"__type":"ServerException","message":""}'
    assert json.loads(error_body(UnknownOperationException("ä")))["message"] == "ä"
