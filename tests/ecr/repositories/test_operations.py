"""Create, describe and delete repositories."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.answers import ACCOUNT, bad_token, constraint, inferred, recorded, refusal, repository_not_found
from tests.api import post, refusal_of
from tests.pushing import create, listed, numbered, push


def names(answer):
    return [repository["repositoryName"] for repository in answer["repositories"]]


def already_exists(name):
    return recorded(
        "RepositoryAlreadyExistsException",
        f"The repository with name '{name}' already exists in the registry with id '{ACCOUNT}'",
    )


class TestCreate:
    @pytest.mark.documented
    def test_the_answer_of_a_plain_create(self, ecr):
        repository = ecr.create_repository(repositoryName="team/app")["repository"]
        created_at = repository.pop("createdAt")

        assert abs(datetime.now(UTC) - created_at) < timedelta(seconds=30)
        assert repository == {
            "repositoryArn": f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/team/app",
            "registryId": ACCOUNT,
            "repositoryName": "team/app",
            "repositoryUri": "localhost:5100/team/app",
            "imageTagMutability": "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": False},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        }

    @pytest.mark.recorded
    def test_the_time_of_creation_is_a_number_with_milliseconds(self, sim):
        body = post(sim, "CreateRepository", {"repositoryName": "app"}).body.decode()

        assert re.search(r'"createdAt":[0-9]{10}\.[0-9]{1,3},', body)

    def test_every_option_at_once(self, ecr):
        filters = [{"filterType": "WILDCARD", "filter": name} for name in ("z*", "a*")]
        repository = ecr.create_repository(
            repositoryName="app",
            registryId=ACCOUNT,
            tags=[{"Key": "team", "Value": "x"}],
            imageTagMutability="IMMUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=filters,
            imageScanningConfiguration={"scanOnPush": True},
            encryptionConfiguration={"encryptionType": "KMS"},
        )["repository"]

        assert repository["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        assert repository["imageTagMutabilityExclusionFilters"] == filters
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
        assert repository["encryptionConfiguration"]["encryptionType"] == "KMS"
        # Documented: resource tags are shown by ListTagsForResource alone.
        assert "tags" not in repository
        assert ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"] == [
            {"Key": "team", "Value": "x"}
        ]
        assert ecr.describe_repositories()["repositories"] == [repository]

    @pytest.mark.parametrize("name", ["ab", "a" * 256, "0a", "a--b", "a__b", "a.b_c-d", "a/b/c/d", "a---b/c__d"])
    def test_names_that_the_model_allows(self, ecr, name):
        ecr.create_repository(repositoryName=name)
        assert names(ecr.describe_repositories(repositoryNames=[name])) == [name]

    @pytest.mark.parametrize(
        "name", ["a___b", "a..b", "a._b", "-a", "a-", "/ab", "ab/", "a//b", "Ab", "a b", "ab\n", "äb", "a:b"]
    )
    def test_names_that_it_does_not(self, ecr, name):
        pattern = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
        assert refusal(ecr.create_repository, repositoryName=name) == recorded(
            "InvalidParameterException",
            constraint("repositoryName", f"must satisfy regular expression '{pattern}'"),
        )

    def test_it_is_not_idempotent(self, ecr):
        create(ecr, "team/app")
        assert refusal(ecr.create_repository, repositoryName="team/app") == already_exists("team/app")

    def test_a_name_is_free_again_after_its_repository_is_gone(self, ecr):
        create(ecr)
        push(ecr, "app", None, "v1")
        ecr.delete_repository(repositoryName="app", force=True)
        create(ecr)

        assert listed(ecr, "app") == []
        layers = ecr.batch_check_layer_availability(repositoryName="app", layerDigests=list(numbered(0).blobs))[
            "layers"
        ]
        assert {layer["layerAvailability"] for layer in layers} == {"UNAVAILABLE"}

    @pytest.mark.documented
    def test_without_its_tags_it_is_not_created(self, ecr):
        bad = [{"Key": "good", "Value": "x"}, {"Key": "aws:bad", "Value": "x"}]
        assert refusal(ecr.create_repository, repositoryName="app", tags=bad).code == "InvalidTagParameterException"
        too_many = [{"Key": f"k{number}", "Value": "x"} for number in range(51)]
        assert refusal(ecr.create_repository, repositoryName="app", tags=too_many).code == "TooManyTagsException"

        assert names(ecr.describe_repositories()) == []

    def test_what_is_wrong_with_the_request_comes_before_what_is_there(self, ecr):
        create(ecr)
        found = refusal(ecr.create_repository, repositoryName="app", imageTagMutability="MUTABLE_WITH_EXCLUSION")
        assert found.code == "InvalidParameterException"

    def test_the_quota(self, ecr, configure):
        configure(quota_repositories=2)
        create(ecr, "one")
        create(ecr, "two")

        assert refusal(ecr.create_repository, repositoryName="three") == inferred(
            "LimitExceededException",
            f"The maximum number of repositories in the registry with id '{ACCOUNT}' has been reached",
        )
        # One that exists is said to exist.
        assert refusal(ecr.create_repository, repositoryName="two") == already_exists("two")

        ecr.delete_repository(repositoryName="one")
        create(ecr, "three")


class TestUri:
    @pytest.mark.parametrize(
        ("registry_host", "own", "other"),
        [
            ("localhost", "localhost:5100/team/app", "localhost:5100/111111111111/eu-west-1/team/app"),
            (
                "domain",
                f"{ACCOUNT}.dkr.ecr.us-east-1.localhost:5100/team/app",
                "111111111111.dkr.ecr.eu-west-1.localhost:5100/team/app",
            ),
            (
                "aws",
                f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com:5100/team/app",
                "111111111111.dkr.ecr.eu-west-1.amazonaws.com:5100/team/app",
            ),
            ("registry", "registry/team/app", "registry/111111111111/eu-west-1/team/app"),
            ("ecr.test:80", "ecr.test:80/team/app", "ecr.test:80/111111111111/eu-west-1/team/app"),
        ],
    )
    def test_it_follows_the_setting(self, client, configure, registry_host, own, other):
        configure(registry_host=registry_host)
        for each, expected in ((client(), own), (client(account="111111111111", region="eu-west-1"), other)):
            create(each, "team/app")
            assert each.describe_repositories()["repositories"][0]["repositoryUri"] == expected
            (named,) = each.describe_repositories(repositoryNames=["team/app"])["repositories"]
            assert named["repositoryUri"] == expected

    @pytest.mark.documented
    def test_on_the_port_of_https_it_is_ecr_s_own(self, sim, ecr, configure):
        configure(registry_host="aws")
        sim.runtime.port, port = 443, sim.runtime.port
        repository = ecr.create_repository(repositoryName="app")["repository"]
        sim.runtime.port = port

        assert repository["repositoryUri"] == f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/app"

    @pytest.mark.documented
    def test_china_has_a_domain_of_its_own(self, client, configure):
        configure(registry_host="aws")
        repository = client(region="cn-north-1").create_repository(repositoryName="app")["repository"]

        assert repository["repositoryUri"] == f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn:5100/app"
        assert repository["repositoryArn"] == f"arn:aws-cn:ecr:cn-north-1:{ACCOUNT}:repository/app"


class TestDescribe:
    def test_no_repositories(self, sim):
        assert post(sim, "DescribeRepositories").json() == {"repositories": []}

    @pytest.mark.inferred
    def test_they_come_by_name(self, ecr):
        for name in ("b", "a/b", "a-b", "ab", "a", "0"):
            create(ecr, f"r{name}")
        assert names(ecr.describe_repositories()) == ["r0", "ra", "ra-b", "ra/b", "rab", "rb"]

    @pytest.mark.inferred
    def test_named_ones_come_in_the_order_of_the_request_and_once(self, ecr):
        for name in ("aa", "bb", "cc"):
            create(ecr, name)
        assert names(ecr.describe_repositories(repositoryNames=["cc", "aa", "cc"])) == ["cc", "aa"]

    def test_one_that_is_missing_fails_the_whole_call(self, ecr):
        create(ecr, "aa")
        found = refusal(ecr.describe_repositories, repositoryNames=["aa", "zz", "yy"])
        # Inferred: the first in the order of the request.
        assert found == repository_not_found("zz")

    @pytest.mark.documented
    def test_both_ways_show_the_same(self, ecr):
        create(
            ecr,
            "aa",
            imageTagMutability="MUTABLE_WITH_EXCLUSION",
            imageTagMutabilityExclusionFilters=[{"filterType": "WILDCARD", "filter": "a*"}],
            encryptionConfiguration={"encryptionType": "KMS"},
        )
        create(ecr, "bb", imageScanningConfiguration={"scanOnPush": True})

        listed_ones = ecr.describe_repositories()["repositories"]
        assert listed_ones == ecr.describe_repositories(repositoryNames=["aa", "bb"])["repositories"]

    @pytest.mark.parametrize("names", [[], ["aa"] * 101])
    def test_bounds_of_the_names(self, sim, names):
        bound = "greater than or equal to 1" if not names else "less than or equal to 100"
        answer = post(sim, "DescribeRepositories", {"repositoryNames": names})
        assert refusal_of(answer) == recorded(
            "InvalidParameterException", constraint("repositoryNames", f"Member must have length {bound}")
        )

    @pytest.mark.parametrize(("member", "value"), [("maxResults", 5), ("nextToken", "x")])
    def test_names_have_no_pages(self, ecr, member, value):
        create(ecr, "aa")
        found = refusal(ecr.describe_repositories, repositoryNames=["aa"], **{member: value})
        assert found == inferred(
            "InvalidParameterException", constraint(member, f"{member} cannot be specified with repositoryNames")
        )


class TestPages:
    @pytest.fixture
    def seven(self, ecr):
        return [create(ecr, f"r{number}") for number in range(7)]

    @pytest.mark.parametrize("size", [1, 3, 6, 7, 1000])
    def test_all_are_shown_once(self, ecr, seven, size):
        pages = list(ecr.get_paginator("describe_repositories").paginate(PaginationConfig={"PageSize": size}))

        assert [name for page in pages for name in names(page)] == seven
        assert {len(page["repositories"]) for page in pages[:-1]} <= {size}
        assert {name for page in pages for name in page} <= {"repositories", "nextToken", "ResponseMetadata"}
        assert "nextToken" not in pages[-1]

    @pytest.mark.documented
    def test_a_page_has_100_by_default(self, ecr):
        for number in range(101):
            create(ecr, f"r{number:03}")
        first = ecr.describe_repositories()
        assert len(first["repositories"]) == 100
        assert names(ecr.describe_repositories(nextToken=first["nextToken"])) == ["r100"]

    def test_pages_stay_in_order_while_repositories_come_and_go(self, ecr, seven):
        first = ecr.describe_repositories(maxResults=3)
        for name in ("r1", "r2", "r4"):
            ecr.delete_repository(repositoryName=name)
        create(ecr, "r0a")
        create(ecr, "r5a")
        rest = ecr.describe_repositories(nextToken=first["nextToken"])

        assert names(first) == ["r0", "r1", "r2"]
        assert names(rest) == ["r3", "r5", "r5a", "r6"]

    def test_the_size_of_a_page_may_change(self, ecr, seven):
        first = ecr.describe_repositories(maxResults=2)
        assert names(ecr.describe_repositories(maxResults=4, nextToken=first["nextToken"])) == ["r2", "r3", "r4", "r5"]

    @pytest.mark.parametrize(
        ("value", "bound"), [(0, "greater than or equal to 1"), (1001, "less than or equal to 1000")]
    )
    def test_bounds_of_a_page(self, sim, value, bound):
        answer = post(sim, "DescribeRepositories", {"maxResults": value})
        assert refusal_of(answer) == recorded(
            "InvalidParameterException", constraint("maxResults", f"Member must have value {bound}")
        )

    @pytest.mark.parametrize("token", ["", "nonsense", "WzEsWyJyMSJdXQ=="])
    def test_a_token_that_is_none(self, ecr, seven, token):
        assert refusal(ecr.describe_repositories, nextToken=token) == bad_token()

    def test_a_token_of_another_operation(self, ecr, seven):
        for number in range(2):
            push(ecr, "r1", numbered(number))
        token = ecr.describe_images(repositoryName="r1", maxResults=1)["nextToken"]
        assert refusal(ecr.describe_repositories, nextToken=token) == bad_token()


class TestDelete:
    @pytest.mark.inferred
    def test_the_answer_is_the_repository_as_it_was(self, ecr):
        create(ecr, imageTagMutability="IMMUTABLE")
        (before,) = ecr.describe_repositories()["repositories"]

        assert ecr.delete_repository(repositoryName="app")["repository"] == before
        assert names(ecr.describe_repositories()) == []

    def test_a_second_time_it_is_gone(self, ecr):
        create(ecr)
        ecr.delete_repository(repositoryName="app")
        assert refusal(ecr.delete_repository, repositoryName="app", force=True) == repository_not_found("app")

    @pytest.mark.parametrize("tags", [["v1"], []])
    @pytest.mark.parametrize("force", [{}, {"force": False}])
    def test_images_keep_it(self, ecr, tags, force):
        create(ecr)
        push(ecr, "app", None, *tags)

        assert refusal(ecr.delete_repository, repositoryName="app", **force) == recorded(
            "RepositoryNotEmptyException",
            f"The repository with name 'app' in registry with id '{ACCOUNT}' "
            "cannot be deleted because it still contains images",
        )
        assert len(listed(ecr, "app")) == 1

    def test_force_takes_them_along(self, ecr):
        create(ecr)
        push(ecr, "app", None, "v1", "v2")
        create(ecr, "other")
        push(ecr, "other", None, "v1")
        ecr.delete_repository(repositoryName="app", force=True)

        assert refusal(ecr.list_images, repositoryName="app") == repository_not_found("app")
        assert len(listed(ecr, "other")) == 1

    def test_layers_and_open_uploads_are_no_images(self, ecr):
        create(ecr)
        upload = {"repositoryName": "app", "uploadId": ecr.initiate_layer_upload(repositoryName="app")["uploadId"]}
        ecr.delete_repository(repositoryName="app")
        create(ecr)

        found = refusal(ecr.upload_layer_part, **upload, partFirstByte=0, partLastByte=0, layerPartBlob=b"x")
        assert found.code == "UploadNotFoundException"

    def test_its_images_gone_it_can_be_deleted(self, ecr):
        create(ecr)
        digest = push(ecr, "app", None, "v1")
        ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": digest}])

        assert ecr.delete_repository(repositoryName="app")["repository"]["repositoryName"] == "app"


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("delete_repository", {}),
        ("describe_images", {}),
        ("list_images", {}),
        ("batch_get_image", {"imageIds": [{}]}),
        ("batch_delete_image", {"imageIds": [{}]}),
        ("put_image", {"imageManifest": "no manifest"}),
        ("list_image_referrers", {"subjectId": {"imageDigest": "sha256:ab"}}),
        ("batch_check_layer_availability", {"layerDigests": [""]}),
        ("initiate_layer_upload", {}),
        ("get_download_url_for_layer", {"layerDigest": "sha256:ab"}),
        ("put_image_tag_mutability", {"imageTagMutability": "MUTABLE_WITH_EXCLUSION"}),
    ],
)
def test_without_the_repository_nothing_else_is_looked_at(ecr, operation, parameters):
    found = refusal(getattr(ecr, operation), repositoryName="no/such", registryId=ACCOUNT, **parameters)
    assert found == repository_not_found("no/such")
