"""TagResource, UntagResource, ListTagsForResource."""

import pytest

from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal, repository_not_found
from tests.api import post, refusal_of
from tests.pushing import create

ARN = f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/app"


@pytest.fixture
def tag(ecr):
    """Tag the repository `app`: `tag(a="1")`."""
    create(ecr)

    def add(**tags):
        ecr.tag_resource(resourceArn=ARN, tags=pairs(**tags))

    return add


def pairs(**tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def shown(ecr, arn=ARN):
    return {entry["Key"]: entry["Value"] for entry in ecr.list_tags_for_resource(resourceArn=arn)["tags"]}


class TestTagging:
    def test_no_tags_are_an_empty_list(self, sim, tag):
        assert post(sim, "ListTagsForResource", {"resourceArn": ARN}).json() == {"tags": []}

    @pytest.mark.documented
    def test_the_answers_of_changes_are_empty(self, sim, tag):
        assert post(sim, "TagResource", {"resourceArn": ARN, "tags": pairs(a="1")}).json() == {}
        assert post(sim, "UntagResource", {"resourceArn": ARN, "tagKeys": ["a"]}).json() == {}

    @pytest.mark.documented
    def test_tags_are_added_or_overwritten_by_key(self, ecr, tag):
        tag(a="1", b="2")
        tag(b="3", c="4")
        assert shown(ecr) == {"a": "1", "b": "3", "c": "4"}

    @pytest.mark.inferred
    def test_they_keep_the_order_in_which_they_were_attached(self, ecr, tag):
        tag(z="1", a="2")
        tag(m="3", z="4")
        assert list(shown(ecr)) == ["z", "a", "m"]

    @pytest.mark.documented
    def test_case_counts(self, ecr, tag):
        tag(team="1", Team="2", TEAM="3")
        assert shown(ecr) == {"team": "1", "Team": "2", "TEAM": "3"}

    def test_a_value_may_be_empty_and_of_any_script(self, ecr, tag):
        tag(a="", b="größe 部門")
        assert shown(ecr) == {"a": "", "b": "größe 部門"}

    def test_untagging_takes_the_keys_that_are_named(self, ecr, tag):
        tag(a="1", b="2", c="3")
        # Inferred: one that is not there is ignored.
        ecr.untag_resource(resourceArn=ARN, tagKeys=["a", "c", "x"])
        assert shown(ecr) == {"b": "2"}

    def test_repositories_do_not_share_tags(self, ecr, tag):
        create(ecr, "other")
        tag(a="1")
        assert shown(ecr, ARN.replace("app", "other")) == {}

    def test_they_go_with_the_repository(self, ecr, tag):
        tag(a="1")
        ecr.delete_repository(repositoryName="app")
        create(ecr)
        assert shown(ecr) == {}


class TestLimits:
    @pytest.mark.documented
    def test_fifty_after_the_change(self, ecr, tag):
        tag(**{f"k{number}": "x" for number in range(50)})
        tag(k0="y", k49="y")
        assert len(shown(ecr)) == 50

        found = refusal(ecr.tag_resource, resourceArn=ARN, tags=pairs(k0="z", new="x"))
        assert found == inferred(
            "TooManyTagsException", "The maximum number of tags that can be applied to a repository is 50"
        )
        # None of the request's tags was applied.
        assert (shown(ecr)["k0"], len(shown(ecr))) == ("y", 50)

    def test_fifty_are_a_setting(self, ecr, tag, configure):
        configure(quota_resource_tags=1)
        tag(a="1")
        assert refusal(ecr.tag_resource, resourceArn=ARN, tags=pairs(b="1")) == inferred(
            "TooManyTagsException", "The maximum number of tags that can be applied to a repository is 1"
        )

    @pytest.mark.parametrize(
        ("tags", "text"),
        [
            (
                pairs(**{"k" * 129: "x"}),
                (
                    "Invalid tag parameter: tag keys can have a maximum length of 128 characters "
                    "and tag values can have a maximum length of 256 characters"
                ),
            ),
            (pairs(**{"aws:x": "x"}), "Tag keys and values must not begin with 'aws:'"),
            (
                pairs(**{"a#": "x"}),
                "Invalid tag parameter: tag keys and values can contain letters, numbers, spaces and + - = . _ : / @",
            ),
            (pairs(a="1") * 2, "Invalid tag parameter: the tag key 'a' is given more than once"),
        ],
    )
    def test_a_bad_tag_leaves_the_good_ones_unapplied(self, ecr, tag, tags, text):
        found = refusal(ecr.tag_resource, resourceArn=ARN, tags=pairs(good="x") + tags)
        assert found == inferred("InvalidTagParameterException", text)
        assert shown(ecr) == {}

    @pytest.mark.parametrize("member", ["Key", "Value"])
    def test_both_halves_are_required(self, sim, tag, member):
        pair = {"Key": "a", "Value": "b"}
        for broken in ({**pair, member: None}, {name: value for name, value in pair.items() if name != member}):
            answer = post(sim, "TagResource", {"resourceArn": ARN, "tags": [pair, broken]})
            assert refusal_of(answer) == recorded(
                "InvalidParameterException", constraint(f"tags.2.member.{member.lower()}", "Member must not be null")
            )


@pytest.mark.parametrize(
    ("operation", "extra"),
    [
        ("tag_resource", {"tags": pairs(a="1")}),
        ("untag_resource", {"tagKeys": ["a"]}),
        ("list_tags_for_resource", {}),
    ],
)
class TestArn:
    @pytest.mark.parametrize(
        "arn",
        [
            "",
            "app",
            f"arn:aws:ecr:us-east-1:{ACCOUNT}:repository/",
            f"arn:aws:ecr:us-east-1:{ACCOUNT}:image/app",
            f"arn:aws:s3:us-east-1:{ACCOUNT}:repository/app",
            f"arn:aws:ecr:us-east-1:{ACCOUNT[1:]}:repository/app",
            f"arn:aws-cn:ecr:us-east-1:{ACCOUNT}:repository/app",
            # Inferred: a region answers for its own repositories alone.
            f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/app",
        ],
    )
    def test_one_that_is_no_repository_s(self, ecr, operation, extra, arn):
        create(ecr)
        assert refusal(getattr(ecr, operation), resourceArn=arn, **extra) == recorded(
            "InvalidParameterException", constraint("resourceArn", "Invalid ARN")
        )

    def test_no_such_repository(self, ecr, operation, extra):
        assert refusal(getattr(ecr, operation), resourceArn=ARN, **extra) == repository_not_found("app")

    def test_the_registry_is_that_of_the_arn(self, client, operation, extra):
        other = client(account="111111111111", region="eu-west-1")
        arn = "arn:aws:ecr:eu-west-1:111111111111:repository/team/app"
        assert refusal(getattr(other, operation), resourceArn=arn, **extra) == repository_not_found(
            "team/app", "111111111111"
        )
