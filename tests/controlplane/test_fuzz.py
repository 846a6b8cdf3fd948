"""Requests that have the form of the model and are garbage otherwise.

Nothing answers 500, nor with an error that the model does not declare for the operation.
"""

import base64
import functools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecrsim.contract.models import Shape, service
from ecrsim.contract.operations import declaration_of, missing
from ecrsim.testing import build_image
from tests.answers import ACCOUNT
from tests.api import post
from tests.pushing import NOWHERE, artifact_of, create, index_of, listed, numbered, push, put

MODEL = service("ecr")
BUILT = [operation for operation in MODEL.operations.values() if operation.name not in missing("ecr")]
#: What the front end answers for any operation.
PROTOCOL = {"SerializationException", "AccessDeniedException"}

IMAGES = [numbered(1), numbered(2), index_of(numbered(1)), artifact_of(numbered(1))]
DIGESTS = [*(image.digest for image in IMAGES), *build_image().blobs, NOWHERE, "sha256:ab", "sha256:", "", "v1"]
MANIFESTS = [image.manifest.decode() for image in [*IMAGES, numbered(3), index_of(numbered(9))]]
#: Stands for the id of an upload that is open.
SOME_ID = "12345678-1234-1234-1234-123456789012"

#: By shape of the model: values that lead somewhere. Whatever is not here is garbage of its type.
PLAUSIBLE = {
    "RepositoryName": ["app", "other", "none", "a/b"],
    "RegistryId": [ACCOUNT, "111111111111"],
    "ImageTag": ["v1", "v2", "multi", "none", ".", "a:b"],
    "ImageDigest": DIGESTS,
    "LayerDigest": DIGESTS,
    "BatchedOperationLayerDigest": DIGESTS,
    "ImageManifest": MANIFESTS,
    "MediaType": [image.media_type for image in IMAGES],
    "UploadId": [SOME_ID],
    "Arn": [f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app", "arn:aws:ecr:eu-west-1:1:repository/app", "x"],
    "PrincipalArn": [f"arn:aws:iam::{ACCOUNT}:role/x", f"arn:aws:iam::{ACCOUNT}:user/y"],
    "KmsKey": ["alias/x", SOME_ID, "arn:aws:kms:us-east-1:1:key/x"],
    "AccountSettingName": ["BLOB_MOUNTING", "REGISTRY_POLICY_SCOPE", "x"],
    "AccountSettingValue": ["ENABLED", "V2", "x"],
    "ImageTagMutabilityExclusionFilterValue": ["*", "v*", "a*b*c*"],
    "NextToken": ["x", base64.b64encode(b"[1,[1]]").decode()],
}
GARBAGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.just("\x00"),
    st.just("x" * 5000),
    st.just(2**63),
    st.just(-1),
)
NUMBER = st.one_of(st.integers(0, 5), st.integers(-(2**63), 2**63 - 1))
SCALARS = {
    "boolean": st.booleans(),
    "blob": st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode()),
    "string": st.text(max_size=20),
    "integer": NUMBER,
    "long": NUMBER,
}


def values(shape: Shape) -> st.SearchStrategy:
    """Nine times of ten what the shape asks for, once what it does not."""
    return st.integers(0, 9).flatmap(lambda number: GARBAGE if number == 9 else fitting(shape))


@functools.cache
def fitting(shape: Shape) -> st.SearchStrategy:
    if shape.type == "structure":
        members = {name: values(member) for name, member in shape.members.items()}
        required = {name: member for name, member in members.items() if name in shape.required}
        optional = {name: member for name, member in members.items() if name not in shape.required}
        return st.fixed_dictionaries(required, optional=optional)
    if shape.member is not None:
        return st.lists(values(shape.member), max_size=4)
    if shape.enum:
        return st.sampled_from(shape.enum)
    if shape.name in PLAUSIBLE:
        return st.sampled_from(PLAUSIBLE[shape.name])
    return SCALARS[shape.type]


@pytest.fixture
def filled(sim, ecr):
    """Two repositories, one of them with images, tags and an index."""
    create(ecr, "other")
    create(ecr, "app")
    for image, tag in zip(IMAGES, ("v1", "v2", "multi", None), strict=True):
        push(ecr, "app", image)
        if tag:
            put(ecr, "app", image, tag)
    return sim


@pytest.fixture
def upload_id(filled, ecr):
    return ecr.initiate_layer_upload(repositoryName="app")["uploadId"]


@pytest.mark.parametrize("operation", BUILT, ids=lambda operation: operation.name)
def test_garbage(filled, upload_id, operation):
    statuses = set()

    @settings(
        max_examples=100,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    @given(fitting(operation.input))
    def attempt(members):
        body = json.dumps(members).replace(SOME_ID, upload_id)
        answer = post(filled, operation.name, body=body.encode())
        statuses.add(answer.status)
        assert answer.status in (200, 400), answer.body
        document = json.loads(answer.body)
        if answer.status == 400:
            assert document["__type"] in {*operation.errors, *PROTOCOL}, document
            assert set(document) <= {
                "message",
                "__type",
                *MODEL.shapes.get(document["__type"], operation.input).members,
            }
            assert document["message"]

    attempt()
    assert 400 in statuses or not operation.input.members


def test_what_is_there_survives_it(filled, ecr):
    """The operations that only read leave everything as it was."""
    before = listed(ecr, "app")
    reads = [each for each in BUILT if declaration_of(each).transaction == "read"]
    for operation in reads:
        post(
            filled, operation.name, {"repositoryName": "app", "imageIds": [{"imageTag": "v1"}], "layerDigests": DIGESTS}
        )
    assert len(reads) >= 14
    assert listed(ecr, "app") == before
