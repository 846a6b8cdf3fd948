"""POST /: targets, content types, bodies, and what every answer carries."""

import json
import re

import pytest

from ecrsim.contract import operations
from ecrsim.contract.models import SERVICES, service
from ecrsim.contract.operations import missing
from ecrsim.controlplane import endpoint
from ecrsim.core.errors import ServiceUnavailableException
from tests.answers import Refusal, inferred, recorded
from tests.api import CONTENT_TYPE, post, refusal_of

REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TARGET = "AmazonEC2ContainerRegistry_V20150921"


@pytest.fixture
def without_one(monkeypatch):
    """As a release of which a new model has an operation more: PutSigningConfiguration is not built."""
    monkeypatch.delitem(operations._declared, service("ecr").operations["PutSigningConfiguration"])


class TestAnswer:
    def test_headers(self, sim):
        answer = post(sim, "DescribeRegistry")

        assert answer.status == 200
        assert answer.headers["Content-Type"] == CONTENT_TYPE
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert REQUEST_ID.fullmatch(answer.headers["x-amzn-RequestId"])

    @pytest.mark.parametrize(
        ("status", "options"),
        [
            (200, {}),
            (400, {"x_amz_target": None}),
            (400, {"authorization": None}),
            (400, {"body": b"{"}),
            (413, {"body": b" " * (33 * 1024 * 1024)}),
            (501, {"x_amz_target": f"{TARGET}.PutSigningConfiguration"}),
        ],
    )
    @pytest.mark.usefixtures("without_one")
    def test_every_answer_has_a_request_id_of_its_own(self, sim, status, options):
        answers = [post(sim, "DescribeRegistry", **options) for _ in range(2)]

        assert {answer.status for answer in answers} == {status}
        assert len({answer.headers["x-amzn-RequestId"] for answer in answers}) == 2
        assert {answer.headers["Content-Type"] for answer in answers} == {CONTENT_TYPE}
        assert all(answer.headers["Content-Length"] == str(len(answer.body)) for answer in answers)

    @pytest.mark.recorded
    def test_an_error_has_its_bare_name_and_a_message_in_lower_case(self, sim):
        answer = post(sim, "ListImages", {"repositoryName": "app"})
        assert answer.status == 400
        assert list(answer.json()) == ["__type", "message"]
        assert answer.json()["__type"] == "RepositoryNotFoundException"

    def test_what_nobody_foresaw_is_the_model_s_one_fault_and_logged(self, sim, monkeypatch, caplog):
        monkeypatch.setattr(endpoint, "shape", lambda *_: {}["surprise"])
        answer = post(sim, "DescribeRegistry")

        assert answer.status == 500
        assert refusal_of(answer) == Refusal("ServerException", "An internal error has occurred.")
        assert answer.headers["x-amzn-RequestId"] in caplog.text
        assert "surprise" in caplog.text
        assert b"surprise" not in answer.body

    def test_a_fault_of_the_disk_is_503(self, sim, monkeypatch):
        def fail(*_):
            raise ServiceUnavailableException("The database cannot be used: disk is full. Nothing was stored.")

        monkeypatch.setattr(endpoint, "shape", fail)
        answer = post(sim, "DescribeRegistry")
        assert (answer.status, refusal_of(answer).code) == (503, "ServiceUnavailableException")


class TestTarget:
    @pytest.mark.parametrize(
        "target",
        [
            f"{TARGET}.MakeCoffee",
            f"{TARGET}.describeRegistry",
            f"{TARGET}.",
            f"{TARGET}DescribeRegistry",
            "DescribeRegistry",
            f"{TARGET}.DescribeRegistry.",
            f" {TARGET}.DescribeRegistry",
            "AmazonEC2ContainerRegistry_V20150922.DescribeRegistry",
            # An operation of the other service.
            "SpencerFrontendService.PutImageScanningConfiguration",
            "DynamoDB_20120810.ListTables",
            "x" * 5000,
        ],
    )
    def test_an_unknown_one(self, sim, target):
        answer = post(sim, "", x_amz_target=target)
        assert (answer.status, refusal_of(answer).code) == (400, "UnknownOperationException")
        assert target[:200] in refusal_of(answer).message
        assert len(answer.body) < 400

    @pytest.mark.parametrize("target", [None, ""])
    def test_none(self, sim, target):
        answer = post(sim, "", x_amz_target=target)
        assert answer.status == 400
        assert refusal_of(answer) == inferred("UnknownOperationException", "The request has no X-Amz-Target header.")

    def test_it_comes_before_the_signature(self, sim):
        assert refusal_of(post(sim, "MakeCoffee", authorization=None)).code == "UnknownOperationException"


class TestContentType:
    @pytest.mark.parametrize(
        "content_type",
        [
            CONTENT_TYPE,
            f"{CONTENT_TYPE}; charset=utf-8",
            f"{CONTENT_TYPE};charset=UTF-8",
            CONTENT_TYPE.upper(),
        ],
    )
    def test_what_is_taken(self, sim, content_type):
        assert post(sim, "DescribeRegistry", content_type=content_type).status == 200

    @pytest.mark.recorded
    @pytest.mark.parametrize(
        "content_type",
        [None, "", "application/json", "text/plain", "application/x-amz-json-1.0", "application/x-amz-json-2"],
    )
    def test_what_is_not(self, sim, content_type):
        answer = post(sim, "DescribeRegistry", content_type=content_type)
        assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")


class TestBody:
    @pytest.mark.parametrize("body", [b"", b"{}", b" {} ", b'{"other": [1, {"deep": null}]}'])
    def test_an_operation_without_members_takes_what_it_ignores(self, sim, body):
        assert post(sim, "DescribeRegistry", body=body).status == 200

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"}",
            b"[]",
            b"null",
            b"5",
            b'"x"',
            b"{} {}",
            b"{'repositoryName': 'app'}",
            b'{"repositoryName": "app",}',
            b'{"repositoryName": NaN}',
            b"\xff\xfe{}",
            b"\xef\xbb\xbf{}",
            b"{}\x00",
            b'{"repositoryName": "\xed\xa0\x80"}',
            rb'{"repositoryName": "\ud800"}',
            b'{"a":' * 100_000,
            b'{"repositoryName":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
            b'{"unknown":' + b"[" * 200 + b"]" * 200 + b"}",
            b'{"repositoryName": "app", "repositoryName": "other", "x": []}',
        ],
    )
    def test_what_is_no_input(self, sim, body):
        answer = post(sim, "ListImages", body=body)
        assert (answer.status, refusal_of(answer).code) == (400, "SerializationException")

    @pytest.mark.parametrize(
        ("operation", "members"),
        [
            ("ListImages", {"repositoryName": 5}),
            ("ListImages", {"repositoryName": ["app"]}),
            ("ListImages", {"repositoryName": "app", "maxResults": "5"}),
            ("ListImages", {"repositoryName": "app", "maxResults": 1.5}),
            ("ListImages", {"repositoryName": "app", "maxResults": 10**30}),
            ("ListImages", {"repositoryName": "app", "filter": []}),
            ("BatchGetImage", {"repositoryName": "app", "imageIds": {"imageTag": "v1"}}),
            ("BatchGetImage", {"repositoryName": "app", "imageIds": ["v1"]}),
            ("DeleteRepository", {"repositoryName": "app", "force": "true"}),
            (
                "UploadLayerPart",
                {
                    "repositoryName": "app",
                    "uploadId": "12345678-1234-1234-1234-123456789012",
                    "partFirstByte": 0,
                    "partLastByte": 0,
                    "layerPartBlob": "no base64!",
                },
            ),
        ],
    )
    def test_a_member_of_another_type(self, sim, operation, members):
        answer = post(sim, operation, members)
        assert (answer.status, refusal_of(answer).code) == (400, "SerializationException")

    def test_null_is_absent(self, sim):
        assert post(sim, "DescribeRepositories", {"repositoryNames": None, "maxResults": None}).status == 200

    def test_one_over_the_limit(self, sim, configure):
        configure(max_body=20)
        assert post(sim, "DescribeRegistry", body=b" " * 18 + b"{}").status == 200

        answer = post(sim, "DescribeRegistry", body=b" " * 19 + b"{}")
        assert answer.status == 413
        assert refusal_of(answer) == inferred(
            "RequestEntityTooLargeException", "The request body is longer than 20 bytes."
        )

    def test_one_over_the_limit_that_does_not_say_how_long_it_is(self, sim, configure):
        configure(max_body=20)
        answer = post(sim, "DescribeRegistry", body=b" " * 100, content_length="", transfer_encoding="chunked")
        assert answer.status == 413

    @pytest.mark.documented
    def test_the_largest_layer_part_fits(self, sim):
        body = json.dumps({"layerPartBlob": "A" * (20_971_520 // 3 * 4)}).encode()
        assert refusal_of(post(sim, "UploadLayerPart", body=body)).code == "InvalidParameterException"


OPERATIONS = [(name, operation) for name in SERVICES for operation in service(name).operations]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_operation_of_the_models_is_built(sim, name, operation):
    assert post(sim, operation, service=name).status != 501
    assert missing(name) == []


@pytest.mark.usefixtures("without_one")
class TestNotBuilt:
    def test_it_is_named(self, sim):
        answer = post(sim, "PutSigningConfiguration")
        assert answer.status == 501
        assert refusal_of(answer) == Refusal(
            "NotImplementedException", "ecrsim does not implement the operation PutSigningConfiguration yet."
        )
        assert missing("ecr") == ["PutSigningConfiguration"]

    def test_the_signature_is_looked_at_first(self, sim):
        answer = post(sim, "PutSigningConfiguration", authorization=None)
        assert refusal_of(answer) == recorded("MissingAuthenticationTokenException", "Missing Authentication Token")


def test_the_operations_that_this_release_answers(sim):
    answers = {name: post(sim, name) for name in service("ecr").operations}
    assert {answer.status for answer in answers.values()} <= {200, 400}
    assert len(answers) == 62
