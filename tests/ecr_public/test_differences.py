"""In what ECR Public differs from ECR (ecr-public's model and user guide), a test for each difference."""

import pytest

from ecrsim.contract.models import service
from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal, repository_not_found
from tests.api import authorization, post, refusal_of
from tests.ecr_public.conftest import PUBLIC_APP, alias_of
from tests.principals import client_of, document, know, statement, user
from tests.pushing import NOWHERE, create, described, index_of, numbered, push, put

OTHER = "111111111111"
PUBLIC = service("ecr-public")


def test_a_repository_of_each_kind_may_have_one_name(public, ecr):
    private = ecr.create_repository(repositoryName="app")["repository"]
    created = public.create_repository(repositoryName="app")["repository"]
    assert created["repositoryArn"] == PUBLIC_APP  # documented: no region
    assert created["repositoryUri"] == f"localhost:5100/public/{alias_of(public)}/app"
    assert [each["repositoryArn"] for each in ecr.describe_repositories()["repositories"]] == [private["repositoryArn"]]
    push(public, "app", numbered(1), "v1")
    assert ecr.list_images(repositoryName="app")["imageIds"] == []
    assert [each["imageTags"] for each in public.describe_images(repositoryName="app")["imageDetails"]] == [["v1"]]


@pytest.mark.parametrize(
    ("setting", "begins"),
    [
        ("aws", "public.ecr.aws:5100/{}/app"),  # documented, but for the port
        ("domain", "public.ecr.localhost:5100/{}/app"),
        ("localhost", "localhost:5100/public/{}/app"),
        ("ecr.test:80", "ecr.test:80/public/{}/app"),
    ],
)
def test_the_uri_has_the_alias(public, configure, setting, begins):
    configure(registry_host=setting)
    uri = public.create_repository(repositoryName="app")["repository"]["repositoryUri"]
    assert uri == begins.format(alias_of(public))
    (registry,) = public.describe_registries()["registries"]
    assert uri == f"{registry['registryUri']}/app"


@pytest.mark.parametrize("operation", PUBLIC.operations)
def test_every_operation_is_for_one_region(sim, operation):
    """Recorded of GetAuthorizationToken, inferred of the others."""
    shape = PUBLIC.operations[operation].input
    values = {"repositoryName": "app", "resourceArn": PUBLIC_APP, "tags": [], "tagKeys": [], "policyText": "{}"}
    values |= {"layerDigests": [NOWHERE], "imageIds": [{"imageTag": "a"}], "imageManifest": "{}", "catalogData": {}}
    values |= {"uploadId": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "partFirstByte": 0, "partLastByte": 0}
    values |= {"layerPartBlob": "AA=="}
    far = authorization(region="us-west-2", service="ecr-public")
    body = {name: values[name] for name in shape.required}
    answer = post(sim, operation, body, service="ecr-public", authorization=far)
    assert answer.status == 400
    assert refusal_of(answer) == recorded(
        "UnsupportedCommandException", f"{operation} command is only supported in us-east-1."
    )


class TestAliases:
    """`registryId` of layer operations, PutImage and BatchDeleteImage is an account or an alias (documented)."""

    def test_an_alias_stands_for_the_account(self, client, public):
        create(public, "app")
        alias, far = alias_of(public), client("ecr-public", account=OTHER)
        open_to_all = '{"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Principal": "*", '
        open_to_all += '"Action": "ecr-public:*"}]}'
        public.set_repository_policy(repositoryName="app", policyText=open_to_all)
        place = {"registryId": alias, "repositoryName": "app"}
        for data in numbered(1).blobs.values():
            upload = {**place, "uploadId": far.initiate_layer_upload(**place)["uploadId"]}
            last = {"partFirstByte": 0, "partLastByte": len(data) - 1}
            assert far.upload_layer_part(**upload, **last, layerPartBlob=data)["registryId"] == ACCOUNT
            digest = next(each for each, content in numbered(1).blobs.items() if content == data)
            assert far.complete_layer_upload(**upload, layerDigests=[digest])["registryId"] == ACCOUNT
            found = far.batch_check_layer_availability(**place, layerDigests=[digest])
            assert found["layers"][0]["layerAvailability"] == "AVAILABLE"
        assert put(far, "app", numbered(1), "v1", registryId=alias) == numbered(1).digest
        gone = far.batch_delete_image(**place, imageIds=[{"imageTag": "v1"}])
        assert [each["imageTag"] for each in gone["imageIds"]] == ["v1"]

    @pytest.mark.parametrize(
        ("operation", "more"),
        [
            ("batch_check_layer_availability", {"layerDigests": [NOWHERE]}),
            ("initiate_layer_upload", {}),
            ("put_image", {"imageManifest": "{}"}),
        ],
    )
    def test_one_that_is_nobodys(self, app, operation, more):
        found = refusal(getattr(app, operation), repositoryName="app", registryId="nobody", **more)
        assert found == inferred("RegistryNotFoundException", "The registry with id 'nobody' does not exist")

    def test_one_that_is_nobodys_where_the_error_is_not_declared(self, app):
        images = [{"imageTag": "v1"}]
        found = refusal(app.batch_delete_image, repositoryName="app", registryId="nobody", imageIds=images)
        assert found == repository_not_found("app", "nobody")

    def test_other_operations_take_an_account_only(self, sim, app):
        answer = post(sim, "DescribeImages", {"registryId": "nobody", "repositoryName": "app"}, service="ecr-public")
        assert refusal_of(answer).message == constraint("registryId", "must satisfy regular expression '[0-9]{12}'")


@pytest.mark.parametrize("name", ["a__b", "a--b", "a" * 206, "a/", "A"])
def test_names_have_single_separators_and_205_characters(sim, name):
    answer = post(sim, "CreateRepository", {"repositoryName": name}, service="ecr-public")
    assert refusal_of(answer).code == "InvalidParameterException"


@pytest.mark.parametrize("name", ["a_b", "a-b/c.d", "a" * 205])
def test_other_names_are_good(public, name):
    assert public.create_repository(repositoryName=name)["repository"]["repositoryName"] == name


class TestResourceTags:
    def test_200_fit_into_the_request_and_50_to_a_repository(self, public):
        tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]
        assert refusal(public.create_repository, repositoryName="app", tags=tags) == inferred(
            "TooManyTagsException", "The maximum number of tags that can be applied to a repository is 50"
        )
        public.create_repository(repositoryName="app", tags=tags[:50])
        assert len(public.list_tags_for_resource(resourceArn=PUBLIC_APP)["tags"]) == 50

    def test_a_tag_needs_no_value(self, app):
        app.tag_resource(resourceArn=PUBLIC_APP, tags=[{"Key": "team"}])
        assert app.list_tags_for_resource(resourceArn=PUBLIC_APP)["tags"] == [{"Key": "team", "Value": ""}]

    def test_a_tag_needs_a_key(self, app):
        assert refusal(app.tag_resource, resourceArn=PUBLIC_APP, tags=[{"Value": "blue"}]) == inferred(
            "InvalidTagParameterException", "Invalid tag parameter: a tag must have a key"
        )

    def test_the_arn_of_a_private_repository_is_none(self, app, ecr):
        create(ecr, "app")
        arn = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"
        assert refusal(app.list_tags_for_resource, resourceArn=arn).message == constraint("resourceArn", "Invalid ARN")
        assert refusal(ecr.list_tags_for_resource, resourceArn=PUBLIC_APP).message == constraint(
            "resourceArn", "Invalid ARN"
        )


def test_the_token_is_one_object_without_an_endpoint(sim, public):
    data = public.get_authorization_token()["authorizationData"]
    assert data.keys() == {"authorizationToken", "expiresAt"}
    now = sim.runtime.clock.now() / 1000
    assert 12 * 3600 - 60 < data["expiresAt"].timestamp() - now <= 12 * 3600


def test_a_token_needs_the_right_to_bearer_tokens_as_well(sim, public):
    login, bearer = statement("ecr-public:GetAuthorizationToken"), statement("sts:GetServiceBearerToken")
    # STS names no reason (recorded of its other actions).
    why = " because no identity-based policy allows the ecr-public:GetAuthorizationToken action"
    cases = ((login, "sts:GetServiceBearerToken", ""), (bearer, "ecr-public:GetAuthorizationToken", why))
    for given, lacking, reason in cases:
        know(sim, {"users": [user("dev", document(given))]})
        found = refusal(client_of(sim, "dev", "ecr-public").get_authorization_token)
        assert found == inferred(
            "AccessDeniedException",
            f"User: arn:aws:iam::{ACCOUNT}:user/dev is not authorized to perform: {lacking} on resource: *{reason}",
        )
    know(sim, {"users": [user("dev", document(login, bearer))]})
    assert client_of(sim, "dev", "ecr-public").get_authorization_token()["authorizationData"]


def test_a_repository_with_images_is_deleted_by_force(app):
    push(app, "app", None, "v1")
    assert refusal(app.delete_repository, repositoryName="app").code == "RepositoryNotEmptyException"
    gone = app.delete_repository(repositoryName="app", force=True)["repository"]
    assert gone.keys() == {"repositoryArn", "registryId", "repositoryName", "repositoryUri", "createdAt"}
    assert refusal(app.describe_images, repositoryName="app") == repository_not_found("app")


def test_tags_may_always_move(app):
    push(app, "app", numbered(1), "v1")
    push(app, "app", numbered(2), "v1")
    assert described(app, "app", imageTag="v1")["imageDigest"] == numbered(2).digest


def test_a_listed_image_is_held_by_its_index(app):
    push(app, "app", numbered(1))
    put(app, "app", index_of(numbered(1)), "all")
    (failure,) = app.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": numbered(1).digest}])[
        "failures"
    ]
    assert failure["failureCode"] == "ImageReferencedByManifestList"


def test_details_have_the_members_of_ecr_public(app, ecr):
    push(app, "app", numbered(1), "v1")
    (detail,) = app.describe_images(repositoryName="app")["imageDetails"]
    assert detail.keys() == PUBLIC.shapes["ImageDetail"].members.keys()
    assert detail.keys() < described(_private(ecr), "app", imageTag="v1").keys()


def _private(ecr):
    create(ecr, "app")
    push(ecr, "app", numbered(1), "v1")
    return ecr


def test_policies_name_actions_of_ecr_public(app):
    text = '{"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Principal": "*", "Action": "%s"}]}'
    app.set_repository_policy(repositoryName="app", policyText=text % "ecr-public:PutImage")
    assert "ecr-public:PutImage" in app.get_repository_policy(repositoryName="app")["policyText"]
    found = refusal(app.set_repository_policy, repositoryName="app", policyText=text % "ecr:PutImage")
    assert found == recorded(
        "InvalidParameterException", constraint("PolicyText", "Invalid repository policy provided")
    )


def test_a_policy_that_locks_its_author_out_is_forced_only(sim, app):
    know(sim, {"users": [user("dev", document(statement("ecr-public:*")))]})
    dev = client_of(sim, "dev", "ecr-public")
    text = '{"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Deny", "Principal": "*", '
    text += '"Action": "ecr-public:SetRepositoryPolicy"}]}'
    found = refusal(dev.set_repository_policy, repositoryName="app", policyText=text)
    assert found.message == constraint("PolicyText", "Invalid repository policy provided")
    assert dev.set_repository_policy(repositoryName="app", policyText=text, force=True)["policyText"]


def test_quotas_are_its_own(app, configure):
    configure(quota_public_repositories=1, quota_public_layer_parts=1, quota_layer_part_min=1)
    assert refusal(app.create_repository, repositoryName="two").code == "LimitExceededException"
    upload = {"repositoryName": "app", "uploadId": app.initiate_layer_upload(repositoryName="app")["uploadId"]}
    app.upload_layer_part(**upload, partFirstByte=0, partLastByte=0, layerPartBlob=b"a")
    found = refusal(app.upload_layer_part, **upload, partFirstByte=1, partLastByte=1, layerPartBlob=b"b")
    assert found.code == "LimitExceededException"


def test_the_default_quotas_are_documented(sim):
    config = sim.runtime.config
    assert config.quota_public_repositories == 10_000
    assert config.quota_public_layer_parts == 1_000
    assert config.quota_public_layer_size == 10_000 * 1024 * 1024


def test_the_trail_and_events_name_the_other_service(app, sim):
    [event] = sim.events(type="AWS API Call via CloudTrail")
    assert event["source"] == "aws.ecr-public"
    assert event["detail"]["eventSource"] == "ecr-public.amazonaws.com"
    assert event["detail"]["resources"] == [{"accountId": ACCOUNT, "ARN": PUBLIC_APP}]


def test_nothing_of_a_private_registry_happens_to_it(public, ecr, sim):
    """No template, no replication and no lifecycle policy: ECR Public has none of them."""
    ecr.create_repository_creation_template(prefix="ROOT", appliedFor=["CREATE_ON_PUSH"])
    rules = [{"destinations": [{"region": "eu-west-1", "registryId": ACCOUNT}]}]
    ecr.put_replication_configuration(replicationConfiguration={"rules": rules})
    assert refusal(public.initiate_layer_upload, repositoryName="app") == repository_not_found("app")
    create(public, "app")
    push(public, "app", None, "v1")
    sim.advance(days=2)
    assert sim.client("ecr", region="eu-west-1").describe_repositories()["repositories"] == []
