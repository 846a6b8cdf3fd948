"""The vendored models: complete, free of documentation, named without ambiguity, read without botocore."""

import keyword
import subprocess
import sys

import pytest
from botocore import xform_name

from ecrsim.contract.models import SERVICES, service, snake
from tests.contract.modelled import OPERATIONS

MODELS = [service(name) for name in SERVICES]
NAMES = sorted(
    {name for model in MODELS for shape in model.shapes.values() for name in shape.members}
    | {operation.name for operation in OPERATIONS}
)


def test_the_models_have_all_operations():
    assert [len(model.operations) for model in MODELS] == [62, 23]
    assert [model.target_prefix for model in MODELS] == [
        "AmazonEC2ContainerRegistry_V20150921",
        "SpencerFrontendService",
    ]


def test_a_model_is_loaded_once():
    assert service("ecr") is service("ecr")


def test_an_unknown_service_is_an_error():
    with pytest.raises(KeyError):
        service("../ecr")


def test_an_operation_knows_its_shapes_errors_and_pages():
    operation = service("ecr").operations["DescribeImages"]

    assert (operation.function, operation.service) == ("describe_images", "ecr")
    assert list(operation.input.members) == [
        "registryId", "repositoryName", "imageIds", "nextToken", "maxResults", "filter",
    ]  # fmt: skip
    assert operation.input.required == ("repositoryName",)
    assert operation.output.members["imageDetails"].member.members["imageTags"].member.max == 300
    assert operation.errors == (
        "ServerException",
        "InvalidParameterException",
        "RepositoryNotFoundException",
        "ImageNotFoundException",
    )
    assert operation.pagination["result_key"] == "imageDetails"


def test_only_the_server_is_ever_at_fault():
    for model in MODELS:
        assert [shape.name for shape in model.shapes.values() if shape.fault] == ["ServerException"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("imageTagMutability", "image_tag_mutability"),
        ("registryId", "registry_id"),
        ("repositoryUri", "repository_uri"),
        ("kmsKey", "kms_key"),
        ("uploadId", "upload_id"),
        ("Key", "key"),
        ("PutImage", "put_image"),
        ("GetDownloadUrlForLayer", "get_download_url_for_layer"),
    ],
)
def test_snake(name, expected):
    assert snake(name) == expected


def test_snake_is_the_rule_of_botocore_for_all_names():
    assert {name: snake(name) for name in NAMES} == {name: xform_name(name) for name in NAMES}


def test_snake_keeps_the_members_of_a_shape_apart():
    for model in MODELS:
        for shape in model.shapes.values():
            assert len({snake(name) for name in shape.members}) == len(shape.members), shape.name


def test_snake_can_be_undone_but_for_the_first_letter():
    assert len({snake(name) for name in NAMES}) == len({name[0].lower() + name[1:] for name in NAMES})


def test_every_argument_is_a_name_in_python():
    arguments = {snake(name) for operation in OPERATIONS for name in operation.input.members}

    assert [name for name in arguments if keyword.iskeyword(name) or not name.isidentifier()] == []


def test_the_contract_needs_no_botocore_to_be_imported():
    program = (
        "import sys, ecrsim.contract.parse, ecrsim.contract.shape, ecrsim.contract.operations as operations\n"
        "operations.resolve_target('SpencerFrontendService.PutImage')\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('botocore', 'boto3', 'flask')])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"
