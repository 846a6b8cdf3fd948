"""Who may do what, on both planes: every operation and route asks, and the answer is AWS's sentence."""

import json
import threading

import pytest
from botocore.exceptions import ClientError

from ecrsim import Ecrsim
from ecrsim.contract.models import service
from ecrsim.contract.operations import missing
from ecrsim.dataplane.routes import CATALOG, PING, ROUTES
from ecrsim.testing import build_image, call_application
from tests.answers import ACCOUNT, recorded, refusal
from tests.principals import (
    REGISTRY,
    client_of,
    denied,
    document,
    know,
    registry,
    registry_denial,
    statement,
    token_of,
    user,
)

DEV = f"arn:aws:iam::{ACCOUNT}:user/dev"
FAR = "arn:aws:iam::111111111111:user/far"
APP = f"{REGISTRY}:repository/app"
LOGIN = statement("ecr:GetAuthorizationToken")
DIGEST = "sha256:" + "0" * 64
UPLOAD = "12345678-1234-1234-1234-123456789012"
NO_RESOURCE = "no resource-based policy allows"
DENY_IDENTITY = "with an explicit deny in an identity-based policy"
DENY_RESOURCE = "with an explicit deny in a resource-based policy"

IN_APP = {"repositoryName": "app"}
#: What each operation is called with, and on what it asks: a repository or `*`. The action is the operation's own name
#: but for the last.
OPERATIONS = {
    "BatchCheckLayerAvailability": ({**IN_APP, "layerDigests": [DIGEST]}, "app"),
    "BatchDeleteImage": ({**IN_APP, "imageIds": [{"imageTag": "a"}, {"imageTag": "b"}]}, "app"),
    "BatchGetImage": ({**IN_APP, "imageIds": [{"imageTag": "a"}, {"imageTag": "b"}]}, "app"),
    "CompleteLayerUpload": ({**IN_APP, "uploadId": UPLOAD, "layerDigests": [DIGEST]}, "app"),
    "CreateRepository": (IN_APP, "app"),
    "DeleteLifecyclePolicy": (IN_APP, "app"),
    "DeleteRegistryPolicy": ({}, "*"),
    "DeleteRepository": (IN_APP, "app"),
    "DeleteRepositoryPolicy": (IN_APP, "app"),
    "DeregisterPullTimeUpdateExclusion": ({"principalArn": f"arn:aws:iam::{ACCOUNT}:role/r"}, "*"),
    "DescribeImages": (IN_APP, "app"),
    "DescribeRegistry": ({}, "*"),
    "DescribeRepositories": ({}, "*repositories"),
    "CreateRepositoryCreationTemplate": ({"prefix": "prod", "appliedFor": []}, "*"),
    "UpdateRepositoryCreationTemplate": ({"prefix": "prod"}, "*"),
    "DeleteRepositoryCreationTemplate": ({"prefix": "prod"}, "*"),
    "DescribeRepositoryCreationTemplates": ({}, "*"),
    "CreatePullThroughCacheRule": ({"ecrRepositoryPrefix": "quay", "upstreamRegistryUrl": "quay.io"}, "*"),
    "UpdatePullThroughCacheRule": ({"ecrRepositoryPrefix": "quay", "customRoleArn": "r"}, "*"),
    "DeletePullThroughCacheRule": ({"ecrRepositoryPrefix": "quay"}, "*"),
    "DescribePullThroughCacheRules": ({}, "*"),
    "ValidatePullThroughCacheRule": ({"ecrRepositoryPrefix": "quay"}, "*"),
    "PutSigningConfiguration": ({"signingConfiguration": {"rules": []}}, "*"),
    "GetSigningConfiguration": ({}, "*"),
    "DeleteSigningConfiguration": ({}, "*"),
    "DescribeImageSigningStatus": ({**IN_APP, "imageId": {"imageDigest": DIGEST}}, "app"),
    "PutReplicationConfiguration": ({"replicationConfiguration": {"rules": []}}, "*"),
    "DescribeImageReplicationStatus": ({**IN_APP, "imageId": {"imageDigest": DIGEST}}, "app"),
    "StartReplicationBackfill": ({"destination": {"region": "eu-west-1", "registryId": ACCOUNT}}, "*"),
    "StopReplicationBackfill": ({"replicationBackfillId": UPLOAD}, "*"),
    "ListReplicationBackfills": ({}, "*"),
    "DescribeReplicationBackfillResults": ({"replicationBackfillId": UPLOAD}, "*"),
    "GetAccountSetting": ({"name": "BLOB_MOUNTING"}, "*"),
    "GetAuthorizationToken": ({}, "*"),
    "GetDownloadUrlForLayer": ({**IN_APP, "layerDigest": DIGEST}, "app"),
    "GetLifecyclePolicy": (IN_APP, "app"),
    "GetLifecyclePolicyPreview": (IN_APP, "app"),
    "GetRegistryPolicy": ({}, "*"),
    "GetRepositoryPolicy": (IN_APP, "app"),
    "InitiateLayerUpload": (IN_APP, "app"),
    "ListImages": (IN_APP, "app"),
    "ListPullTimeUpdateExclusions": ({}, "*"),
    "ListTagsForResource": ({"resourceArn": APP}, "app"),
    "PutAccountSetting": ({"name": "BLOB_MOUNTING", "value": "ENABLED"}, "*"),
    "PutImage": ({**IN_APP, "imageManifest": "{}"}, "app"),
    "PutImageScanningConfiguration": ({**IN_APP, "imageScanningConfiguration": {}}, "app"),
    "PutImageTagMutability": ({**IN_APP, "imageTagMutability": "MUTABLE"}, "app"),
    "PutRegistryScanningConfiguration": ({}, "*"),
    "GetRegistryScanningConfiguration": ({}, "*"),
    "BatchGetRepositoryScanningConfiguration": ({"repositoryNames": ["app"]}, "app"),
    "StartImageScan": ({**IN_APP, "imageId": {"imageDigest": DIGEST}}, "app"),
    "DescribeImageScanFindings": ({**IN_APP, "imageId": {"imageDigest": DIGEST}}, "app"),
    "PutLifecyclePolicy": ({**IN_APP, "lifecyclePolicyText": "x" * 100}, "app"),
    "PutRegistryPolicy": ({"policyText": "{}"}, "*"),
    "RegisterPullTimeUpdateExclusion": ({"principalArn": f"arn:aws:iam::{ACCOUNT}:role/r"}, "*"),
    "SetRepositoryPolicy": ({**IN_APP, "policyText": "{}"}, "app"),
    "StartLifecyclePolicyPreview": (IN_APP, "app"),
    "TagResource": ({"resourceArn": APP, "tags": [{"Key": "a", "Value": "b"}]}, "app"),
    "UntagResource": ({"resourceArn": APP, "tagKeys": ["a"]}, "app"),
    "UpdateImageStorageClass": ({**IN_APP, "imageId": {"imageDigest": DIGEST}, "targetStorageClass": "ARCHIVE"}, "app"),
    "UploadLayerPart": (
        {**IN_APP, "uploadId": UPLOAD, "partFirstByte": 0, "partLastByte": 0, "layerPartBlob": b"x"},
        "app",
    ),
    "ListImageReferrers": ({**IN_APP, "subjectId": {"imageDigest": DIGEST}}, "app"),
}
#: Method and path, and the action that is asked for on `app`.
REQUESTS = {
    "HEAD /v2/app/blobs/" + DIGEST: "BatchCheckLayerAvailability",
    "GET /v2/app/blobs/" + DIGEST: "GetDownloadUrlForLayer",
    "DELETE /v2/app/blobs/" + DIGEST: "BatchDeleteImage",
    "POST /v2/app/blobs/uploads/": "InitiateLayerUpload",
    f"GET /v2/app/blobs/uploads/{UPLOAD}": "UploadLayerPart",
    f"PATCH /v2/app/blobs/uploads/{UPLOAD}": "UploadLayerPart",
    f"PUT /v2/app/blobs/uploads/{UPLOAD}": "CompleteLayerUpload",
    f"DELETE /v2/app/blobs/uploads/{UPLOAD}": "UploadLayerPart",
    "HEAD /v2/app/manifests/v1": "BatchGetImage",
    "GET /v2/app/manifests/v1": "BatchGetImage",
    "PUT /v2/app/manifests/v1": "PutImage",
    "DELETE /v2/app/manifests/v1": "BatchDeleteImage",
    "GET /v2/app/tags/list": "ListImages",
    f"GET /v2/app/referrers/{DIGEST}": "BatchGetImage",
    "GET /v2/_catalog": "DescribeRepositories",
}
PUSH = (
    "BatchCheckLayerAvailability",
    "InitiateLayerUpload",
    "UploadLayerPart",
    "CompleteLayerUpload",
    "PutImage",
)
PULL = ("BatchGetImage", "GetDownloadUrlForLayer")
LAYER, IMAGE = b"a layer", build_image(b"a layer")


def snake(name):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def dev(sim, *statements, **more):
    """The client of a user who may do that, and no more."""
    know(sim, {"users": [user("dev", document(*statements), **more) if statements else user("dev", **more)]})
    return client_of(sim, "dev")


def code_of(call):
    """The code of the error, None without one."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def ecr(*names):
    return [f"ecr:{name}" for name in names]


def push(sim, token, repository="app"):
    """As docker does it. Statuses of the requests, the last one's answer at the end."""
    answers = []
    for digest, data in IMAGE.blobs.items():
        answers.append(registry(sim, token, "HEAD", f"/v2/{repository}/blobs/{digest}"))
        if answers[-1].status == 403:
            return answers
        answers.append(registry(sim, token, "POST", f"/v2/{repository}/blobs/uploads/"))
        if answers[-1].status != 202:
            return answers
        place = answers[-1].headers["Location"]
        answers.append(registry(sim, token, "PATCH", place, data))
        if answers[-1].status != 202:
            return answers
        answers.append(registry(sim, token, "PUT", f"{place}?digest={digest}"))
        if answers[-1].status != 201:
            return answers
    path = f"/v2/{repository}/manifests/v1"
    answers.append(registry(sim, token, "PUT", path, IMAGE.manifest, content_type=IMAGE.media_type))
    return answers


@pytest.fixture
def app(ecr):
    ecr.create_repository(repositoryName="app")
    return ecr


class TestSweep:
    def test_every_operation_that_is_built_is_in_the_table(self):
        built = set(service("ecr").operations) - set(missing("ecr"))
        assert set(OPERATIONS) == built

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_who_has_no_policy_is_denied(self, sim, app, operation):
        parameters, resource = OPERATIONS[operation]
        action = {"ListImageReferrers": "BatchGetImage"}.get(operation, operation)
        arn = f"{REGISTRY}:repository/*" if resource == "*repositories" else resource
        found = refusal(getattr(dev(sim), snake(operation)), **parameters)
        assert found == recorded("AccessDeniedException", denied(DEV, action, arn))

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_that_action_alone_is_enough(self, sim, app, operation):
        parameters, resource = OPERATIONS[operation]
        action = {"ListImageReferrers": "BatchGetImage"}.get(operation, operation)
        where = {"app": APP, "*": "*", "*repositories": f"{REGISTRY}:repository/*"}[resource]
        client = dev(sim, statement(f"ecr:{action}", resource=where))
        assert code_of(lambda: getattr(client, snake(operation))(**parameters)) != "AccessDeniedException"

    def test_every_route_of_the_registry_is_in_the_table(self):
        routes = {(method, pattern.pattern) for pattern, methods in ROUTES for method in methods}
        named = set()
        for request in REQUESTS:
            method, path = request.split(" ")
            pattern = next((pattern for pattern, _ in ROUTES if pattern.fullmatch(path)), None)
            if pattern is not None:
                named.add((method, pattern.pattern))
        assert named == routes
        assert set(CATALOG) == {"GET"}
        assert [route.actions for route in PING.values()] == [(), ()]

    @pytest.mark.parametrize("request_line", REQUESTS)
    def test_who_may_only_log_in_is_denied_on_every_route(self, sim, app, request_line):
        method, path = request_line.split(" ")
        answer = registry(sim, token_of(dev(sim, LOGIN)), method, path)
        assert answer.status == 403
        if method != "HEAD":
            where = f"{REGISTRY}:repository/*" if path == "/v2/_catalog" else "app"
            assert registry_denial(answer) == denied(DEV, REQUESTS[request_line], where)

    @pytest.mark.parametrize("request_line", REQUESTS)
    def test_that_action_alone_is_enough_on_the_registry(self, sim, app, request_line):
        method, path = request_line.split(" ")
        client = dev(sim, LOGIN, statement(f"ecr:{REQUESTS[request_line]}", resource=f"{REGISTRY}:repository/*"))
        assert registry(sim, token_of(client), method, path).status != 403

    def test_the_ping_wants_a_token_and_nothing_else(self, sim):
        assert registry(sim, token_of(dev(sim, LOGIN)), "GET", "/v2/").status == 200


class TestSpecialCases:
    def test_tags_on_create_want_the_right_to_tag(self, sim):
        client = dev(sim, statement("ecr:CreateRepository"))
        client.create_repository(repositoryName="app")
        tags = [{"Key": "team", "Value": "blue"}]
        found = refusal(client.create_repository, repositoryName="tagged", tags=tags)
        assert found.message == denied(DEV, "TagResource", "tagged")
        dev(sim, statement("ecr:CreateRepository", "ecr:TagResource")).create_repository(
            repositoryName="tagged", tags=tags
        )

    def test_tags_of_the_request_and_of_the_resource_are_conditions(self, sim):
        want = {"StringEquals": {"aws:RequestTag/team": "blue"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}
        client = dev(
            sim,
            statement("ecr:CreateRepository", "ecr:TagResource", Condition=want),
            statement("ecr:DescribeImages", Condition={"StringEquals": {"ecr:ResourceTag/team": "blue"}}),
            statement("ecr:ListImages", Condition={"StringEquals": {"aws:ResourceTag/team": "red"}}),
        )
        blue, more = {"Key": "team", "Value": "blue"}, {"Key": "cost", "Value": "1"}
        client.create_repository(repositoryName="app", tags=[blue])
        client.describe_images(repositoryName="app")
        for call in (
            lambda: client.list_images(repositoryName="app"),
            lambda: client.create_repository(repositoryName="two"),
            lambda: client.create_repository(repositoryName="two", tags=[blue, more]),
            lambda: client.tag_resource(resourceArn=APP, tags=[{"Key": "team", "Value": "red"}]),
        ):
            assert refusal(call).code == "AccessDeniedException"

    def test_a_tag_that_is_set_counts_at_once(self, sim, app):
        client = dev(sim, statement("ecr:ListImages", Condition={"StringEquals": {"ecr:ResourceTag/team": "blue"}}))
        assert refusal(client.list_images, repositoryName="app").code == "AccessDeniedException"
        app.tag_resource(resourceArn=APP, tags=[{"Key": "team", "Value": "blue"}])
        client.list_images(repositoryName="app")
        app.untag_resource(resourceArn=APP, tagKeys=["team"])
        assert refusal(client.list_images, repositoryName="app").code == "AccessDeniedException"

    def test_the_setting_is_a_condition(self, sim):
        client = dev(
            sim, statement("ecr:GetAccountSetting", Condition={"StringEquals": {"ecr:AccountSetting": "BLOB_MOUNTING"}})
        )
        client.get_account_setting(name="BLOB_MOUNTING")
        assert refusal(client.get_account_setting, name="BASIC_SCAN_TYPE_VERSION").code == "AccessDeniedException"

    def test_repositories_that_are_named_are_asked_for_one_by_one(self, sim, app):
        app.create_repository(repositoryName="other")
        client = dev(sim, statement("ecr:DescribeRepositories", resource=APP))
        assert len(client.describe_repositories(repositoryNames=["app"])["repositories"]) == 1
        for names in (["app", "other"], ["other"]):
            found = refusal(client.describe_repositories, repositoryNames=names)
            assert found.message == denied(DEV, "DescribeRepositories", "other")
        everything = refusal(client.describe_repositories)
        assert everything.message == denied(DEV, "DescribeRepositories", f"{REGISTRY}:repository/*")

    def test_a_mount_wants_rights_on_both_repositories(self, sim, app, configure):
        configure(blob_mounting=True)
        app.create_repository(repositoryName="base")
        assert push(sim, token_of(app), "base")[-1].status == 201
        layer = next(iter(IMAGE.blobs))
        path = f"/v2/app/blobs/uploads/?mount={layer}&from=base"
        here = statement("ecr:InitiateLayerUpload", resource=APP)
        there = statement("ecr:GetDownloadUrlForLayer", resource=f"{REGISTRY}:repository/base")
        answer = registry(sim, token_of(dev(sim, LOGIN, here)), "POST", path)
        assert registry_denial(answer) == denied(DEV, "GetDownloadUrlForLayer", "base")
        answer = registry(sim, token_of(dev(sim, LOGIN, there)), "POST", path)
        assert registry_denial(answer) == denied(DEV, "InitiateLayerUpload", "app")
        assert registry(sim, token_of(dev(sim, LOGIN, here, there)), "POST", path).status == 201

    def test_a_mount_does_not_tell_what_is_elsewhere(self, sim, app, configure):
        configure(blob_mounting=True)
        token = token_of(dev(sim, LOGIN, statement("ecr:InitiateLayerUpload", resource=APP)))
        answer = registry(sim, token, "POST", f"/v2/app/blobs/uploads/?mount={DIGEST}&from=nowhere")
        assert registry_denial(answer) == denied(DEV, "GetDownloadUrlForLayer", "nowhere")

    def test_a_layer_in_one_request_wants_all_three_rights(self, sim, app):
        digest, data = next(iter(IMAGE.blobs.items()))
        rights = ["InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload"]
        for left_out in rights:
            kept = ecr(*(right for right in rights if right != left_out))
            token = token_of(dev(sim, LOGIN, statement(*kept)))
            answer = registry(sim, token, "POST", f"/v2/app/blobs/uploads/?digest={digest}", data)
            assert registry_denial(answer) == denied(DEV, left_out, "app")

    @pytest.mark.inferred
    def test_a_repository_made_by_a_push_wants_the_rights_of_the_push_alone(self, sim, client):
        """The service reference lists CreateRepository for pulls through a cache, and not for pushes."""
        client().create_repository_creation_template(prefix="team", appliedFor=["CREATE_ON_PUSH"])
        token = token_of(dev(sim, LOGIN, statement(*ecr(*PUSH), resource=f"{REGISTRY}:repository/team/*")))
        denial = registry_denial(registry(sim, token, "POST", "/v2/other/app/blobs/uploads/"))
        assert denial == denied(DEV, "InitiateLayerUpload", "other/app")
        assert push(sim, token, "team/app")[-1].status == 201

    def test_a_mount_that_is_denied_leaves_no_repository(self, sim, client):
        client().create_repository_creation_template(prefix="team", appliedFor=["CREATE_ON_PUSH"])
        client().put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
        token = token_of(dev(sim, LOGIN, statement("ecr:InitiateLayerUpload")))
        answer = registry(sim, token, "POST", f"/v2/team/app/blobs/uploads/?mount={DIGEST}&from=nowhere")
        assert registry_denial(answer) == denied(DEV, "GetDownloadUrlForLayer", "nowhere")
        assert client().describe_repositories()["repositories"] == []


class TestPushAndPull:
    def test_the_minimum_is_enough(self, sim, app):
        token = token_of(dev(sim, LOGIN, statement(*ecr(*PUSH), resource=APP)))
        assert push(sim, token)[-1].status == 201
        token = token_of(dev(sim, LOGIN, statement(*ecr(*PULL), resource=APP)))
        assert registry(sim, token, "GET", "/v2/app/manifests/v1").status == 200
        assert registry(sim, token, "GET", f"/v2/app/blobs/{next(iter(IMAGE.blobs))}").status == 200

    @pytest.mark.parametrize("left_out", PUSH)
    def test_each_action_of_a_push_is_needed(self, sim, app, left_out):
        kept = ecr(*(action for action in PUSH if action != left_out))
        answer = push(sim, token_of(dev(sim, LOGIN, statement(*kept, resource=APP))))[-1]
        assert answer.status == 403
        if left_out != "BatchCheckLayerAvailability":  # HEAD has no body
            assert registry_denial(answer) == denied(DEV, left_out, "app")

    def test_without_a_login_there_is_no_token(self, sim, app):
        found = refusal(dev(sim, statement(*ecr(*PUSH))).get_authorization_token)
        assert found.message == denied(DEV, "GetAuthorizationToken", "*")

    def test_a_login_never_comes_from_a_policy_of_the_registry(self, sim, app):
        app.put_registry_policy(policyText=json.dumps(document(statement("ecr:*", Principal={"AWS": DEV}))))
        found = refusal(dev(sim).get_authorization_token)
        assert found.message == denied(DEV, "GetAuthorizationToken", "*")

    def test_an_explicit_deny_binds_both_planes(self, sim, app):
        deny = statement("ecr:BatchGetImage", effect="Deny", resource=APP)
        client = dev(sim, statement("ecr:*"), deny)
        expected = denied(DEV, "BatchGetImage", "app", DENY_IDENTITY)
        assert refusal(client.batch_get_image, repositoryName="app", imageIds=[{"imageTag": "v1"}]).message == expected
        assert registry_denial(registry(sim, token_of(client), "GET", "/v2/app/manifests/v1")) == expected

    def test_so_does_one_of_the_repository_s_policy_even_for_root(self, sim, app):
        token = token_of(app)
        deny = statement("ecr:PutImage", "ecr:InitiateLayerUpload", effect="Deny", Principal="*")
        app.set_repository_policy(repositoryName="app", policyText=json.dumps(document(deny)))
        root = f"arn:aws:iam::{ACCOUNT}:root"
        expected = denied(root, "InitiateLayerUpload", "app", DENY_RESOURCE)
        assert refusal(app.initiate_layer_upload, repositoryName="app").message == expected
        assert registry_denial(push(sim, token)[-1]) == expected
        app.delete_repository_policy(repositoryName="app")
        assert push(sim, token)[-1].status == 201

    def test_in_one_account_either_policy_is_enough(self, sim, app):
        token = token_of(dev(sim, LOGIN))
        assert registry(sim, token, "GET", "/v2/app/tags/list").status == 403
        allow = document(statement("ecr:ListImages", Principal={"AWS": DEV}))
        app.set_repository_policy(repositoryName="app", policyText=json.dumps(allow))
        assert registry(sim, token, "GET", "/v2/app/tags/list").status == 200
        client_of(sim, "dev").list_images(repositoryName="app")


class TestTokens:
    """A token carries its principal's rights as they are at each request, not as they were at login."""

    def test_a_right_that_is_taken_away(self, sim, app):
        token = token_of(dev(sim, LOGIN, statement("ecr:ListImages")))
        assert registry(sim, token, "GET", "/v2/app/tags/list").status == 200
        dev(sim, LOGIN)
        answer = registry(sim, token, "GET", "/v2/app/tags/list")
        assert registry_denial(answer) == denied(DEV, "ListImages", "app")
        dev(sim, LOGIN, statement("ecr:ListImages"))
        assert registry(sim, token, "GET", "/v2/app/tags/list").status == 200

    def test_a_principal_that_is_no_more(self, sim, app):
        token = token_of(dev(sim, LOGIN, statement("ecr:*")))
        know(sim, {})
        answer = registry(sim, token, "GET", "/v2/app/tags/list")
        assert registry_denial(answer) == denied(DEV, "ListImages", "app")

    def test_root_has_them_all(self, sim, app):
        assert push(sim, token_of(app))[-1].status == 201


class TestOtherAccounts:
    PULL = document(statement(*ecr("ListImages", *PULL), Principal={"AWS": "arn:aws:iam::111111111111:root"}))
    PATH = f"/v2/{ACCOUNT}/us-east-1/app/tags/list"

    @pytest.fixture
    def far(self, sim, app):
        def make(*statements):
            know(sim, {"users": [user("far", document(*statements), account="111111111111")]})
            return client_of(sim, "far")

        return make

    def both(self, sim, client):
        """The denials of either plane, None where it is allowed."""
        token = token_of(client)
        answer = registry(sim, token, "GET", self.PATH)
        try:
            client.list_images(registryId=ACCOUNT, repositoryName="app")
            api = None
        except client.exceptions.ClientError as error:
            api = error.response["Error"]["Message"]
        assert (None if answer.status == 200 else registry_denial(answer)) == api
        return api

    def test_both_sides_have_to_allow(self, sim, app, far):
        everything = statement("ecr:*")
        assert self.both(sim, far(everything)) == denied(FAR, "ListImages", "app", NO_RESOURCE)
        app.set_repository_policy(repositoryName="app", policyText=json.dumps(self.PULL))
        assert self.both(sim, far(everything)) is None
        assert self.both(sim, far(LOGIN)) == denied(FAR, "ListImages", "app")
        app.delete_repository_policy(repositoryName="app")
        assert self.both(sim, far(everything)) == denied(FAR, "ListImages", "app", NO_RESOURCE)

    def test_the_registry_s_policy_is_as_good(self, sim, app, far):
        allow = statement("ecr:ListImages", resource=f"{REGISTRY}:repository/*", Principal={"AWS": "111111111111"})
        app.put_registry_policy(policyText=json.dumps(document(allow)))
        assert self.both(sim, far(statement("ecr:*"))) is None
        app.delete_registry_policy()
        assert self.both(sim, far(statement("ecr:*"))) == denied(FAR, "ListImages", "app", NO_RESOURCE)

    def test_a_deny_of_the_registry_s_policy_beats_the_repository_s(self, sim, app, far):
        app.set_repository_policy(repositoryName="app", policyText=json.dumps(self.PULL))
        deny = statement("ecr:ListImages", effect="Deny", Principal="*")
        app.put_registry_policy(policyText=json.dumps(document(deny)))
        assert self.both(sim, far(statement("ecr:*"))) == denied(FAR, "ListImages", "app", DENY_RESOURCE)

    def test_a_pull_and_no_push(self, sim, app, client, far):
        assert push(sim, token_of(app))[-1].status == 201
        app.set_repository_policy(repositoryName="app", policyText=json.dumps(self.PULL))
        token = token_of(far(LOGIN, statement(*ecr(*PULL, *PUSH))))
        path = f"/v2/{ACCOUNT}/us-east-1/app"
        assert registry(sim, token, "GET", f"{path}/manifests/v1").body == IMAGE.manifest
        assert registry(sim, token, "GET", f"{path}/blobs/{next(iter(IMAGE.blobs))}").status == 200
        answer = registry(sim, token, "POST", f"{path}/blobs/uploads/")
        assert registry_denial(answer) == denied(FAR, "InitiateLayerUpload", "app", NO_RESOURCE)

    def test_what_is_there_and_what_is_not_look_the_same(self, sim, far):
        client = far(statement("ecr:*"))
        said = {
            refusal(client.list_images, registryId=ACCOUNT, repositoryName=name).message.replace(name, "?")
            for name in ("app", "nothing")
        }
        assert len(said) == 1


class TestMemory:
    """What is remembered of one request does not outlive a change."""

    @pytest.mark.parametrize(
        "hurries",
        # Where reads wait for a server, they are never on the loop.
        [False, pytest.param(True, marks=pytest.mark.sqlite)],
        ids=["a thread that may wait", "the loop"],
    )
    def test_two_processes_over_one_data_directory(self, tmp_path, hurries):
        settings = {"socket": False, "data_dir": str(tmp_path)}
        with Ecrsim(**settings) as one, Ecrsim(**settings) as two:
            if hurries:
                two.runtime.database.never_wait_in(threading.get_ident())
            root = one.client("ecr")
            root.create_repository(repositoryName="app")
            know(one, {"users": [user("dev", document(LOGIN, statement("ecr:ListImages")))]})
            there = client_of(two, "dev")
            token = token_of(there)
            there.list_images(repositoryName="app")
            assert registry(two, token, "GET", "/v2/app/tags/list").status == 200

            deny = document(statement("ecr:ListImages", effect="Deny", Principal="*"))
            root.set_repository_policy(repositoryName="app", policyText=json.dumps(deny))
            expected = denied(DEV, "ListImages", "app", DENY_RESOURCE)
            assert refusal(there.list_images, repositoryName="app").message == expected
            assert registry_denial(registry(two, token, "GET", "/v2/app/tags/list")) == expected

            root.delete_repository_policy(repositoryName="app")
            there.list_images(repositoryName="app")
            know(one, {"users": [user("dev")]})
            assert refusal(there.list_images, repositoryName="app").message == denied(DEV, "ListImages", "app")
            two.runtime.database.never_wait_in(0)  # to be closed

    def test_a_repository_that_is_made_anew_has_no_rights_left(self, sim, app):
        client = dev(sim)
        allow = document(statement("ecr:ListImages", Principal={"AWS": DEV}))
        app.set_repository_policy(repositoryName="app", policyText=json.dumps(allow))
        client.list_images(repositoryName="app")
        app.delete_repository(repositoryName="app")
        app.create_repository(repositoryName="app")
        assert refusal(client.list_images, repositoryName="app").code == "AccessDeniedException"

    def test_the_time_of_day_is_not_remembered(self, sim, app):
        until = "2999-01-01T00:00:00Z"
        client = dev(sim, statement("ecr:ListImages", Condition={"DateLessThan": {"aws:CurrentTime": until}}))
        client.list_images(repositoryName="app")
        sim.advance(days=365 * 1000)
        assert refusal(client.list_images, repositoryName="app").code == "AccessDeniedException"


def test_the_source_address_is_a_condition(sim, app):
    client = dev(sim, statement("ecr:ListImages", Condition={"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}))
    client.list_images(repositoryName="app")
    client = dev(sim, statement("ecr:ListImages", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    assert refusal(client.list_images, repositoryName="app").message == denied(DEV, "ListImages", "app")


def test_a_forwarded_address_counts_where_it_is_believed(sim, app, configure):
    token = token_of(
        dev(sim, LOGIN, statement("ecr:ListImages", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    )
    url = f"{sim.endpoint_url}/v2/app/tags/list"
    headers = {"Authorization": f"Basic {token}", "X-Forwarded-For": "10.1.2.3, 127.0.0.1"}
    assert call_application(sim.app, "GET", url, headers).status == 403
    configure(trusted_proxies=2)
    assert call_application(sim.app, "GET", url, headers).status == 200
    # What stands before the entries of the proxies, the client wrote.
    configure(trusted_proxies=1)
    assert call_application(sim.app, "GET", url, headers).status == 403
    assert call_application(sim.app, "GET", url, {**headers, "X-Forwarded-For": "127.0.0.1, 10.1.2.3"}).status == 200
    for forged in ("10.1.2.3, nobody", "nobody", "", "10.1.2.3,", "10.1.2.3, 10.1.2.3.4"):
        assert call_application(sim.app, "GET", url, {**headers, "X-Forwarded-For": forged}).status == 403


def test_only_the_connection_is_secure(sim, app, configure):
    never_in_clear = statement("ecr:*", Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})
    token = token_of(dev(sim, LOGIN, statement("ecr:*")))
    dev(sim, LOGIN, statement("ecr:*"), never_in_clear)
    headers = {"Authorization": f"Basic {token}"}

    def status(url, **more):
        return call_application(sim.app, "GET", f"{url}/v2/app/tags/list", headers | more).status

    tls_port = sim.runtime.tls_port
    configure(tls=True)
    assert status(f"http://localhost:{tls_port}") == 403  # a host that names the port of HTTPS
    assert status("http://localhost", **{"X-Forwarded-Proto": "https"}) == 403
    assert status("https://localhost") == 200
    configure(tls=False, trusted_proxies=1)
    assert status("http://localhost", **{"X-Forwarded-Proto": "https"}) == 200
    assert status("http://localhost", **{"X-Forwarded-Proto": "https, http"}) == 403
    assert status("http://localhost", **{"X-Forwarded-Proto": "ftp"}) == 403
