"""encryptionConfiguration: which key is shown for which that was named."""

import pytest

from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal, refused
from tests.api import post, refusal_of
from tests.pushing import create, push

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
MULTI_REGION = "mrk-1234abcd12ab34cd56ef1234567890ab"
KMS = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/"
OTHER_ACCOUNT = "arn:aws:kms:us-east-1:111111111111:key/"


def configuration(ecr, name="app", **members):
    created = ecr.create_repository(repositoryName=name, encryptionConfiguration=members)["repository"]
    (described,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    assert described["encryptionConfiguration"] == created["encryptionConfiguration"]
    return created["encryptionConfiguration"]


@pytest.mark.documented
def test_aes256_is_the_default_and_has_no_key(ecr):
    create(ecr)
    (repository,) = ecr.describe_repositories()["repositories"]
    assert repository["encryptionConfiguration"] == {"encryptionType": "AES256"}
    assert configuration(ecr, "other", encryptionType="AES256") == {"encryptionType": "AES256"}


@pytest.mark.documented
@pytest.mark.parametrize("kind", ["KMS", "KMS_DSSE"])
@pytest.mark.parametrize(
    ("named", "shown"),
    [
        pytest.param(KEY, KMS + KEY, id="a key's id"),
        pytest.param(MULTI_REGION, KMS + MULTI_REGION, id="the id of a key of several regions"),
        pytest.param(KMS + KEY, KMS + KEY, id="a key's ARN"),
        pytest.param(KMS + MULTI_REGION, KMS + MULTI_REGION, id="the ARN of a key of several regions"),
        pytest.param(OTHER_ACCOUNT + KEY, OTHER_ACCOUNT + KEY, id="a key of another account"),
    ],
)
def test_the_key_s_arn_is_shown(ecr, kind, named, shown):
    assert configuration(ecr, encryptionType=kind, kmsKey=named) == {"encryptionType": kind, "kmsKey": shown}


def key(ecr, name, kms_key=None):
    members = {} if kms_key is None else {"kmsKey": kms_key}
    return configuration(ecr, name, encryptionType="KMS", **members)["kmsKey"]


@pytest.mark.documented
def test_an_alias_is_shown_as_the_key_that_it_stands_for(ecr):
    by_name, by_arn = key(ecr, "aa", "alias/mine"), key(ecr, "bb", f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/mine")

    assert by_name.startswith(KMS)
    assert len(by_name) == len(KMS + KEY)
    assert by_name == by_arn
    assert key(ecr, "cc", "alias/other") != by_name


def test_an_alias_of_another_account_stands_for_a_key_there(ecr):
    theirs = key(ecr, "aa", "arn:aws:kms:us-east-1:111111111111:alias/mine")
    assert theirs.startswith(OTHER_ACCOUNT)
    assert theirs.removeprefix(OTHER_ACCOUNT) != key(ecr, "bb", "alias/mine").removeprefix(KMS)


@pytest.mark.documented
def test_without_a_key_it_is_the_account_s_own_for_ecr(ecr, client):
    default = key(ecr, "aa")

    assert default.startswith(KMS)
    assert key(ecr, "bb") == default
    assert key(ecr, "cc", "alias/aws/ecr") == default
    assert key(ecr, "dd", f"arn:aws:kms:us-east-1:{ACCOUNT}:alias/aws/ecr") == default
    others = [key(client(account="111111111111"), "aa"), key(client(region="eu-west-1"), "aa")]
    assert len({default.split("/")[1], *(other.split("/")[1] for other in others)}) == 3


@pytest.mark.documented
def test_the_partition_is_that_of_the_region(client):
    assert key(client(region="cn-north-1"), "aa", KEY) == f"arn:aws-cn:kms:cn-north-1:{ACCOUNT}:key/{KEY}"


@pytest.mark.parametrize(
    "named",
    [
        pytest.param("mykey", id="a word"),
        pytest.param(KEY + "0", id="an id that is too long"),
        pytest.param("mrk-12", id="a short id"),
        pytest.param("arn:aws:kms:us-east-1", id="a cut ARN"),
        pytest.param(KMS + "mykey", id="an ARN of no id"),
        pytest.param(f"arn:aws:kms:us-east-1:{ACCOUNT}:grant/{KEY}", id="an ARN of something else"),
        pytest.param(f"arn:aws:s3:us-east-1:{ACCOUNT}:key/{KEY}", id="an ARN of another service"),
        # Documented: the key must be of the repository's region.
        pytest.param(f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/{KEY}", id="a key of another region"),
        pytest.param(f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/mine", id="an alias of another region"),
    ],
)
def test_what_can_be_no_key(ecr, named):
    answer = refused(
        ecr.create_repository,
        repositoryName="app",
        encryptionConfiguration={"encryptionType": "KMS", "kmsKey": named},
    )

    assert answer["Error"]["Code"] == "KmsException"
    # The error shape has one member besides the message.
    assert answer["kmsError"] == "NotFoundException"
    assert ecr.describe_repositories()["repositories"] == []


def test_aes256_has_no_key(ecr):
    found = refusal(
        ecr.create_repository,
        repositoryName="app",
        encryptionConfiguration={"encryptionType": "AES256", "kmsKey": KEY},
    )
    assert found == inferred(
        "InvalidParameterException",
        constraint("encryptionConfiguration", "KmsKey cannot be specified with AES256 encryption type"),
    )


@pytest.mark.parametrize(
    ("members", "member", "text"),
    [
        ({}, "encryptionType", "Member must not be null"),
        ({"encryptionType": "ROT13"}, "encryptionType", "Member must satisfy enum value set: [AES256, KMS, KMS_DSSE]"),
        ({"encryptionType": "KMS", "kmsKey": ""}, "kmsKey", "Member must have length greater than or equal to 1"),
        (
            {"encryptionType": "KMS", "kmsKey": "x" * 2049},
            "kmsKey",
            "Member must have length less than or equal to 2048",
        ),
    ],
)
def test_the_model_s_own_bounds(sim, members, member, text):
    answer = post(sim, "CreateRepository", {"repositoryName": "app", "encryptionConfiguration": members})
    assert refusal_of(answer) == recorded(
        "InvalidParameterException", constraint(f"encryptionConfiguration.{member}", text)
    )


def test_an_encrypted_repository_takes_images(ecr):
    create(ecr, encryptionConfiguration={"encryptionType": "KMS"})
    digest = push(ecr, "app", None, "v1")
    (image,) = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
    assert image["imageId"]["imageDigest"] == digest
