"""encryptionConfiguration: what it may be, and which key is shown for which that was named."""

import pytest

from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal, refused
from tests.api import post, refusal_of
from tests.keys import encrypted, make_key
from tests.principals import admin
from tests.pushing import create, push

KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
MULTI_REGION = "mrk-1234abcd12ab34cd56ef1234567890ab"
KMS = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/"


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


GOV = "us-gov-west-1"


@pytest.mark.documented
@pytest.mark.parametrize("kind", ["KMS", "KMS_DSSE"])
@pytest.mark.parametrize("form", ["id", "arn", "alias", "alias_arn"])
def test_the_key_s_arn_is_shown_whatever_names_it(sim, client, kind, form):
    place = f"arn:aws-us-gov:kms:{GOV}:{ACCOUNT}"
    arn = make_key(sim, region=GOV, key_id=KEY, alias="alias/mine")
    assert arn == f"{place}:key/{KEY}"
    named = {"id": KEY, "arn": arn, "alias": "alias/mine", "alias_arn": f"{place}:alias/mine"}[form]
    found = configuration(client(region=GOV), encryptionType=kind, kmsKey=named)
    assert found == {"encryptionType": kind, "kmsKey": arn}


@pytest.mark.documented
def test_a_key_of_several_regions_has_an_id_of_its_own(sim, ecr):
    make_key(sim, key_id=MULTI_REGION)
    for number, named in enumerate((MULTI_REGION, KMS + MULTI_REGION)):
        assert key(ecr, f"app{number}", named) == KMS + MULTI_REGION


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "cn-north-1"])
def test_two_layers_are_for_the_regions_of_govcloud(client, region):
    found = refusal(
        client(region=region).create_repository,
        repositoryName="app",
        encryptionConfiguration={"encryptionType": "KMS_DSSE"},
    )
    # Documented is where it is offered; the sentence is our reading.
    assert found == inferred(
        "InvalidParameterException",
        constraint(
            "encryptionConfiguration", "KMS_DSSE encryption type is only available in AWS GovCloud (US) regions"
        ),
    )


def key(ecr, name, kms_key=None):
    members = {} if kms_key is None else {"kmsKey": kms_key}
    return configuration(ecr, name, encryptionType="KMS", **members)["kmsKey"]


@pytest.mark.documented
def test_a_repository_keeps_the_key_that_its_alias_stood_for(sim, ecr):
    one, other = make_key(sim, alias="alias/mine"), make_key(sim)
    assert key(ecr, "aa", "alias/mine") == one
    admin(sim, "PUT", "keys/alias", {"alias": "alias/mine", "key": other})
    assert key(ecr, "bb", "alias/mine") == other
    (before,) = ecr.describe_repositories(repositoryNames=["aa"])["repositories"]
    assert before["encryptionConfiguration"]["kmsKey"] == one


OTHER = "111111111111"


@pytest.mark.documented
def test_a_key_of_another_account_that_is_shared(sim, ecr):
    shared = make_key(sim, account=OTHER, alias="alias/ours", shared_with=[ACCOUNT])
    assert key(ecr, "aa", shared) == shared
    assert key(ecr, "bb", f"arn:aws:kms:us-east-1:{OTHER}:alias/ours") == shared


def test_a_key_of_another_account_that_is_not_shared(sim, ecr):
    answer = refused(ecr.create_repository, repositoryName="app", **encrypted(make_key(sim, account=OTHER)))
    assert (answer["Error"]["Code"], answer["kmsError"]) == ("KmsException", "AccessDeniedException")


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
def test_the_partition_is_that_of_the_region(sim, client):
    make_key(sim, region="cn-north-1", key_id=KEY)
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
        pytest.param(KEY, id="a key that is not there"),
        pytest.param(KMS + KEY, id="the ARN of a key that is not there"),
        pytest.param("alias/mine", id="an alias that is not there"),
    ],
)
def test_what_can_be_no_key(ecr, named):
    answer = refused(ecr.create_repository, repositoryName="app", **encrypted(named))

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
