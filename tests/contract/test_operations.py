"""Declaring operations, and finding them."""

import pytest

from ecrsim.contract import operations
from ecrsim.contract.models import service
from ecrsim.core.errors import UnknownOperationException
from tests.contract.modelled import OPERATIONS


@pytest.fixture(autouse=True)
def _nothing_declared(monkeypatch):
    monkeypatch.setattr(operations, "_declared", {})


def test_a_function_is_found_under_the_name_of_its_operation():
    @operations.operation("PutImage", transaction="write")
    def put_image(call):
        return {}

    assert operations.registered("ecr", "PutImage").function is put_image
    assert operations.declaration_of(service("ecr").operations["PutImage"]).function is put_image
    assert operations.registered("ecr-public", "PutImage") is None


def test_the_services_are_apart():
    @operations.operation("PutImage", transaction="write", service="ecr-public")
    def put_public_image(call):
        return {}

    assert operations.registered("ecr-public", "PutImage").function is put_public_image
    assert operations.registered("ecr", "PutImage") is None


@pytest.mark.parametrize(
    ("name", "service_name"),
    [("PutImages", "ecr"), ("put_image", "ecr"), ("DescribeRegistries", "ecr"), ("PutImage", "s3")],
)
def test_a_name_that_the_model_lacks_is_an_error(name, service_name):
    with pytest.raises(LookupError, match=f"the model has no operation {name} of {service_name}"):
        operations.operation(name, transaction="read", service=service_name)
    with pytest.raises(LookupError):
        operations.registered(service_name, name)


def test_a_second_function_is_an_error_that_names_both():
    @operations.operation("PutImage", transaction="write")
    def first(call):
        return {}

    with pytest.raises(LookupError, match=r"ecr PutImage is declared twice: .*first, .*second"):

        @operations.operation("PutImage", transaction="write")
        def second(call):
            return {}

    assert operations.registered("ecr", "PutImage").function is first


def test_a_write_is_on_the_trail_unless_it_says_otherwise_and_nothing_else_is():
    for name, options in {
        "PutImage": {"transaction": "write"},
        "InitiateLayerUpload": {"transaction": "write", "on_trail": False},
        "UploadLayerPart": {"transaction": "own"},
        "ListImages": {"transaction": "read"},
    }.items():
        operations.operation(name, **options)(dict)
    on_trail = {each.operation.name for each in operations._declared.values() if each.on_trail}
    assert on_trail == {"PutImage"}

    for transaction in ("read", "own"):
        with pytest.raises(ValueError, match="ecr GetLifecyclePolicy is on the trail without a write transaction"):
            operations.operation("GetLifecyclePolicy", transaction=transaction, on_trail=True)


def test_missing_lists_what_has_no_function_in_model_order():
    everything = list(service("ecr-public").operations)
    assert operations.missing("ecr-public") == everything

    @operations.operation("PutImage", transaction="write", service="ecr-public")
    def put_image(call):
        return {}

    assert operations.missing("ecr-public") == [name for name in everything if name != "PutImage"]
    assert len(operations.missing("ecr")) == 62


def test_a_target_names_its_operation():
    for operation in OPERATIONS:
        prefix = service(operation.service).target_prefix
        assert operations.resolve_target(f"{prefix}.{operation.name}") is operation


@pytest.mark.parametrize(
    "target",
    [
        "AmazonEC2ContainerRegistry_V20150921.PutImages",
        "AmazonEC2ContainerRegistry_V20150921.putimage",
        "AmazonEC2ContainerRegistry_V20150921",
        "AmazonEC2ContainerRegistry_V20150921.",
        ".PutImage",
        "PutImage",
        "SpencerFrontendService.ListImages",
        "DynamoDB_20120810.ListTables",
        " AmazonEC2ContainerRegistry_V20150921.PutImage",
        "x" * 100_000,
        "{0}",
    ],
)
def test_an_unknown_target(target):
    with pytest.raises(UnknownOperationException) as caught:
        operations.resolve_target(target)

    assert target[:200] in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("target", [None, ""])
def test_no_target(target):
    with pytest.raises(UnknownOperationException, match="no X-Amz-Target header"):
        operations.resolve_target(target)
