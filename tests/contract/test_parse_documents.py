"""What is not a JSON object of the right kind is a SerializationException, and nothing makes the reader fall over."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.contract.models import service
from ecrsim.contract.parse import MAX_DEPTH, parse
from ecrsim.core.errors import SerializationException, ServiceError

ECR = service("ecr").operations
LIST_TAGS = ECR["ListTagsForResource"]
DESCRIBE = ECR["DescribeImages"]
GET = ECR["BatchGetImage"]


def refusal(body, operation=DESCRIBE):
    with pytest.raises(SerializationException) as caught:
        parse(operation, body)
    assert caught.value.code == "SerializationException"
    assert caught.value.status == 400
    return caught.value.message


def test_an_empty_body_is_an_empty_object():
    assert parse(ECR["DescribeRepositories"], b"") == {}
    assert parse(ECR["DescribeRepositories"], b"{}") == {}
    assert parse(ECR["DescribeRepositories"], b" \r\n\t{ } ") == {}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"}",
        b" ",
        b"{]",
        b"{'repositoryName': 'a'}",
        b'{"repositoryName": "app",}',
        b'{"repositoryName": "app"} {}',
        b'{"repositoryName": "app", "maxResults": NaN}',
        b'{"repositoryName": "app", "maxResults": Infinity}',
        b'{"repositoryName": "app", "maxResults": 1e999}',
        b'{"repositoryName": "app", "maxResults": 01}',
        b'{"repositoryName": "app\xff"}',
        b'{"repositoryName": "\xed\xa0\x80"}',
        b'{"repositoryName": "\\ud800"}',
        b'{"repositoryName": "a\nb"}',
        b'\xef\xbb\xbf{"repositoryName": "app"}',
        '{"repositoryName": "app"}'.encode("utf-16"),
        b"repositoryName=app",
        b"\x00",
    ],
)
def test_broken_json(body):
    assert refusal(body).startswith("The request body is not valid JSON: ")


@pytest.mark.parametrize("body", [b"[]", b'"{}"', b"null", b"true", b"1", b'[{"repositoryName": "app"}]'])
def test_json_that_is_no_object(body):
    assert refusal(body) == "The request body is not a JSON object."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "NUMBER_VALUE can not be converted to a String at 'repositoryName'"),
        (True, "TRUE_VALUE can not be converted to a String at 'repositoryName'"),
        ([], "Start of list found where not expected at 'repositoryName'"),
        ({}, "Start of structure or map found where not expected at 'repositoryName'"),
    ],
)
def test_a_wrong_type_says_what_was_found(value, text):
    assert refusal(json.dumps({"repositoryName": value}).encode()) == text


def test_a_wrong_type_is_named_by_its_path():
    body = {"repositoryName": "app", "imageIds": [{"imageTag": "a"}, {"imageTag": 1}]}

    assert refusal(json.dumps(body).encode(), GET) == (
        "NUMBER_VALUE can not be converted to a String at 'imageIds.2.member.imageTag'"
    )


@pytest.mark.parametrize("number", ["1.0", "1e2", "9223372036854775808", "18446744073709551616", "1" * 300])
def test_a_number_that_is_no_integer_of_64_bits(number):
    body = f'{{"repositoryName": "app", "maxResults": {number}}}'

    assert refusal(body.encode()) == "NUMBER_VALUE can not be converted to an Integer at 'maxResults'"


@pytest.mark.parametrize("depth", [100, 1000, 100_000])
@pytest.mark.parametrize(
    "form", [('{"x":', "}", "1"), ("[", "]", "1"), ('{"x":[', "]}", "1"), ('{"unknown":[', "]}", ""), ("[", "", "")]
)
def test_deep_nesting_is_refused_at_any_depth(form, depth):
    opening, closing, inner = form
    deep = opening * depth + inner + closing * depth

    assert "nested more than" in (message := refusal(f'{{"repositoryName":"app","x":{deep}}}'.encode())) or (
        "not valid JSON" in message
    )


def test_the_depth_is_bounded_in_members_that_are_ignored():
    def body(levels):
        return f'{{"resourceArn": "arn", "unknown": {"[" * (levels - 1)}{"]" * (levels - 1)}}}'.encode()

    assert parse(LIST_TAGS, body(MAX_DEPTH)) == {"resource_arn": "arn"}
    assert refusal(body(MAX_DEPTH + 1), LIST_TAGS) == "The request body is nested more than 64 levels deep."


@pytest.mark.parametrize(
    "body",
    [
        b'{"repositoryName":"one","repositoryName":"two"}',
        b'{"repositoryName":"one" , "repositoryName" \t:\n"two"}',
        b'{"repositoryName":"one","repositoryNam\\u0065":"two"}',
        b'{"repositoryName":"app","filter":{"tagStatus":"ANY","tagStatus":"TAGGED"}}',
        b'{"repositoryName":"app","imageIds":[{"imageTag":"a","imageTag":"b"}]}',
        b'{"repositoryName":"app","unknown":{"a":{"b":1,"b":2}}}',
        b'{"repositoryName":"app","unknown":"\\\\","unknown":"\\\\\\":"}',
        b'{"repositoryName":"app","x":{"x":[{"y":1},{"y":1,"y":1}]}}',
        b'{"":"","":""}',
    ],
)
def test_a_key_that_stands_twice(body):
    assert refusal(body) == "The request body has the same key twice in one object."


@pytest.mark.parametrize(
    "unknown",
    [
        'repositoryName":',
        '":":":":',
        "\\",
        '\\"',
        '\\\\":',
        "::::",
        '"repositoryName": "app", "repositoryName": "app"',
        {"repositoryName": "app", "filter": {"filter": [{"repositoryName": 1}, {"repositoryName": 2}]}},
        [{"a": 1}, {"a": 2}],
        {"\\": 1, '"': 2, ":": 3, '":': 4, "": 5},
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (" ,\n", " :\t")])
def test_what_only_looks_like_the_same_key_twice(unknown, separators):
    body = {"repositoryName": "app", "unknown": unknown}

    assert parse(DESCRIBE, json.dumps(body, separators=separators).encode()) == {"repository_name": "app"}


def test_members_that_the_model_lacks_are_ignored_on_every_level():
    body = {
        "repositoryName": "app",
        "Unknown": [1.5, None, {"x": True}],
        "imageIds": [{"imageTag": "a", "imageTags": 5}],
        "filter": {"tagStatus": "ANY", "more": None},
    }

    assert parse(DESCRIBE, json.dumps(body).encode()) == {
        "repository_name": "app",
        "image_ids": [{"imageTag": "a"}],
        "filter": {"tagStatus": "ANY"},
    }


def test_null_inside_a_structure_is_absent_too():
    body = {"repositoryName": "app", "imageIds": [{"imageTag": "a", "imageDigest": None}]}

    assert parse(GET, json.dumps(body).encode())["image_ids"] == [{"imageTag": "a"}]


def test_structures_inside_keep_wire_names():
    body = {"resourceArn": "arn", "tags": [{"Key": "a", "Value": ""}]}

    assert parse(ECR["TagResource"], json.dumps(body).encode()) == {
        "resource_arn": "arn",
        "tags": [{"Key": "a", "Value": ""}],
    }


def test_member_names_are_case_sensitive():
    with pytest.raises(ServiceError, match="'repositoryName' failed to satisfy constraint: 'must not be null'"):
        parse(DESCRIBE, b'{"RepositoryName": "app"}')


@pytest.mark.parametrize(("text", "blob"), [("", b""), ("AA==", b"\0"), ("AAA=", b"\0\0"), ("/+8A", b"\xff\xef\0")])
def test_blobs_are_decoded(text, blob):
    body = {"repositoryName": "app", "uploadId": "0aA1bB2c-0000-1111-2222-333344445555"}
    body.update(partFirstByte=0, partLastByte=0, layerPartBlob=text)

    assert parse(ECR["UploadLayerPart"], json.dumps(body).encode())["layer_part_blob"] == blob


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_arguments_or_an_error_of_the_service(body):
    with contextlib.suppress(ServiceError):
        assert isinstance(parse(DESCRIBE, body), dict)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
_members = st.sampled_from([*DESCRIBE.input.members, "imageTag", "imageDigest", "tagStatus", "x"])


@settings(deadline=None, max_examples=30)
@given(
    st.dictionaries(
        _members, _values | st.dictionaries(_members, _values) | st.lists(st.dictionaries(_members, _values))
    )
)
def test_any_json_is_arguments_or_an_error_of_the_service(document):
    with contextlib.suppress(ServiceError):
        assert isinstance(parse(DESCRIBE, json.dumps(document).encode()), dict)
