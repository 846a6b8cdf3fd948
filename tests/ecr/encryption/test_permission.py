"""The rights on a key that making and deleting a repository take (documented), and the sentences of their denials."""

import pytest

from tests.answers import ACCOUNT, refused
from tests.keys import encrypted, make_key, shown_key
from tests.principals import client_of, document, know, statement, user
from tests.pushing import create, push

NEEDED = ("kms:DescribeKey", "kms:CreateGrant", "kms:RetireGrant")


def knowing(sim, *actions, resource="*"):
    """A client of a user who may do all of ECR, and these."""
    rights = [statement("ecr:*")] + ([statement(*actions, resource=resource)] if actions else [])
    know(sim, {"users": [user("ann", document(*rights))]})
    return client_of(sim, "ann")


@pytest.fixture
def key(sim):
    return make_key(sim, alias="alias/mine")


@pytest.mark.documented
@pytest.mark.parametrize("lacking", ["kms:DescribeKey", "kms:CreateGrant"])
@pytest.mark.parametrize("named", ["arn", "alias"])
def test_who_makes_a_repository_needs_two(sim, key, lacking, named):
    ann = knowing(sim, *(set(NEEDED) - {lacking}))
    answer = refused(ann.create_repository, repositoryName="app", **encrypted(key if named == "arn" else "alias/mine"))
    assert (answer["Error"]["Code"], answer["kmsError"]) == ("KmsException", "AccessDeniedException")
    assert answer["Error"]["Message"] == (
        f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: {lacking} on resource: {key} "
        f"because no identity-based policy allows the {lacking} action"
    )
    assert ann.describe_repositories()["repositories"] == []
    assert shown_key(sim, key)["grants"] == []


@pytest.mark.documented
def test_and_with_them_it_is_made_used_and_deleted(sim, key):
    ann = knowing(sim, *NEEDED, resource=key)
    create(ann, **encrypted(key))
    push(ann, "app", None, "v1")
    ann.delete_repository(repositoryName="app", force=True)
    assert ann.describe_repositories()["repositories"] == []


@pytest.mark.documented
def test_pushing_and_pulling_take_no_right_on_the_key(sim, ecr, key):
    create(ecr, **encrypted(key))
    ann = knowing(sim)
    push(ann, "app", None, "v1")
    assert ann.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["failures"] == []


@pytest.mark.documented
@pytest.mark.parametrize("options", [None, encrypted()], ids=["a customer's key", "aws/ecr"])
def test_who_deletes_one_needs_the_third_and_it_is_deleted_all_the_same(sim, ecr, key, options):
    create(ecr, **(options or encrypted(key)))
    ann = knowing(sim, "kms:DescribeKey", "kms:CreateGrant")
    answer = refused(ann.delete_repository, repositoryName="app")
    assert (answer["Error"]["Code"], answer["kmsError"]) == ("KmsException", "AccessDeniedException")
    assert "has been deleted successfully but the grants created by the kmsKey" in answer["Error"]["Message"]
    assert ecr.describe_repositories()["repositories"] == []


@pytest.mark.documented
def test_aws_s_own_key_takes_none_to_make_a_repository(sim, ecr):
    create(knowing(sim), **encrypted())
    (made,) = ecr.describe_repositories()["repositories"]
    assert made["encryptionConfiguration"]["encryptionType"] == "KMS"


@pytest.mark.documented
def test_what_is_made_by_a_template_is_not_asked_of_who_pushes(sim, ecr, key):
    ecr.create_repository_creation_template(
        prefix="prod",
        appliedFor=["CREATE_ON_PUSH"],
        customRoleArn=f"arn:aws:iam::{ACCOUNT}:role/templates",
        **encrypted(key),
    )
    ann = knowing(sim)
    assert ann.initiate_layer_upload(repositoryName="prod/app")["uploadId"]
    (found,) = ecr.describe_repositories()["repositories"]
    assert found["encryptionConfiguration"]["kmsKey"] == key


def test_a_denial_is_on_record(sim, key):
    ann = knowing(sim)
    refused(ann.create_repository, repositoryName="app", **encrypted(key))
    denied = [each for each in sim.audit() if not each["isAllowed"]] if hasattr(sim, "audit") else None
    assert denied is None or denied[-1]["action"] == "kms:DescribeKey"
