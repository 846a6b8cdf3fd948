"""PutImageTagMutability. What the modes make of later pushes is told in `tests/planes/rows_tags.py`."""

import pytest

from tests.answers import ACCOUNT, constraint, inferred, recorded, refusal, repository_not_found
from tests.api import post, refusal_of
from tests.pushing import create

MEMBER = "imageTagMutabilityExclusionFilters"


def wildcards(*patterns):
    return [{"filterType": "WILDCARD", "filter": pattern} for pattern in patterns]


def shown(ecr):
    (repository,) = ecr.describe_repositories(repositoryNames=["app"])["repositories"]
    return repository["imageTagMutability"], repository.get(MEMBER)


class TestPut:
    @pytest.mark.documented
    @pytest.mark.parametrize("mode", ["MUTABLE", "IMMUTABLE"])
    def test_a_plain_mode(self, ecr, mode):
        create(ecr)
        answer = ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability=mode)
        answer.pop("ResponseMetadata")

        assert answer == {"registryId": ACCOUNT, "repositoryName": "app", "imageTagMutability": mode}
        assert shown(ecr) == (mode, None)

    @pytest.mark.documented
    @pytest.mark.parametrize("mode", ["MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"])
    def test_a_mode_with_filters_shows_them(self, ecr, mode):
        create(ecr)
        filters = wildcards("z*", "a*", "a*")
        answer = ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability=mode, **{MEMBER: filters})

        # Inferred: in the order of the request, doubles included.
        assert answer[MEMBER] == filters
        assert shown(ecr) == (mode, filters)

    @pytest.mark.inferred
    def test_filters_are_replaced_as_a_whole_and_go_with_the_mode(self, ecr):
        create(ecr, imageTagMutability="MUTABLE_WITH_EXCLUSION", **{MEMBER: wildcards("a", "b")})
        change = {"repositoryName": "app", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}
        ecr.put_image_tag_mutability(**change, **{MEMBER: wildcards("c")})
        assert shown(ecr) == ("IMMUTABLE_WITH_EXCLUSION", wildcards("c"))

        ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability="IMMUTABLE")
        assert shown(ecr) == ("IMMUTABLE", None)

    def test_it_is_idempotent(self, ecr):
        create(ecr)
        for _ in range(2):
            ecr.put_image_tag_mutability(repositoryName="app", imageTagMutability="IMMUTABLE")
        assert shown(ecr) == ("IMMUTABLE", None)

    def test_no_repository(self, ecr):
        found = refusal(ecr.put_image_tag_mutability, repositoryName="app", imageTagMutability="MUTABLE")
        assert found == repository_not_found("app")


@pytest.mark.parametrize("operation", ["CreateRepository", "PutImageTagMutability"])
class TestRefused:
    @pytest.fixture
    def attempt(self, sim, ecr, operation):
        """Both operations refuse alike, and leave everything as it was."""
        if operation == "PutImageTagMutability":
            create(ecr)

        def send(**members):
            answer = refusal_of(post(sim, operation, {"repositoryName": "app", **members}))
            repositories = ecr.describe_repositories()["repositories"]
            assert [repository["imageTagMutability"] for repository in repositories] in ([], ["MUTABLE"])
            return answer

        return send

    @pytest.mark.parametrize("mode", ["MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"])
    def test_a_mode_that_needs_filters(self, attempt, mode):
        assert attempt(imageTagMutability=mode) == recorded(
            "InvalidParameterException",
            constraint(
                MEMBER,
                f"ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as {mode}",
            ),
        )

    @pytest.mark.parametrize("mode", ["MUTABLE", "IMMUTABLE"])
    def test_a_mode_that_has_none(self, attempt, mode):
        assert attempt(imageTagMutability=mode, **{MEMBER: wildcards("a")}) == recorded(
            "InvalidParameterException",
            constraint(
                MEMBER, f"ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set to {mode}"
            ),
        )

    def test_more_than_two_wildcards(self, attempt):
        found = attempt(imageTagMutability="MUTABLE_WITH_EXCLUSION", **{MEMBER: wildcards("a*b*c*")})
        assert found == inferred(
            "InvalidParameterException",
            constraint(MEMBER, "Image tag mutability exclusion filter can contain a maximum of 2 wildcards"),
        )

    @pytest.mark.parametrize(
        ("filters", "member", "text"),
        [
            ([], MEMBER, "Member must have length greater than or equal to 1"),
            (wildcards(*"abcdef"), MEMBER, "Member must have length less than or equal to 5"),
            (
                [{"filterType": "REGEX", "filter": "a"}],
                f"{MEMBER}.1.member.filterType",
                "Member must satisfy enum value set: [WILDCARD]",
            ),
            (
                wildcards("a b"),
                f"{MEMBER}.1.member.filter",
                "Member must satisfy regular expression pattern: ^[0-9a-zA-Z._*-]{1,128}$",
            ),
            (wildcards(""), f"{MEMBER}.1.member.filter", "Member must have length greater than or equal to 1"),
            (
                wildcards("a" * 129),
                f"{MEMBER}.1.member.filter",
                "Member must have length less than or equal to 128",
            ),
            ([{"filter": "a"}], f"{MEMBER}.1.member.filterType", "Member must not be null"),
        ],
    )
    def test_the_model_s_own_bounds(self, attempt, filters, member, text):
        found = attempt(imageTagMutability="MUTABLE_WITH_EXCLUSION", **{MEMBER: filters})
        assert found == inferred("InvalidParameterException", constraint(member, text))

    def test_an_unknown_mode(self, attempt):
        assert attempt(imageTagMutability="SOLID") == recorded(
            "InvalidParameterException",
            constraint(
                "imageTagMutability",
                "Member must satisfy enum value set: "
                "[IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]",
            ),
        )


def test_filters_without_a_mode_mean_a_repository_that_is_mutable(ecr):
    found = refusal(ecr.create_repository, repositoryName="app", **{MEMBER: wildcards("a")})
    assert found == inferred(
        "InvalidParameterException",
        constraint(
            MEMBER, "ImageTagMutabilityExclusionFilters are not allowed when imageTagMutability is set to MUTABLE"
        ),
    )
