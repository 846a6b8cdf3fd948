"""ListImages, and the pages of it and of DescribeImages: complete, in order, and stable while images come and go."""

import pytest

from tests.answers import bad_token, constraint, inferred, recorded, refusal
from tests.api import post, refusal_of
from tests.pushing import create, entries, listed, numbered, push, put

#: operation → (result list, what identifies an entry)
LISTS = {
    "list_images": ("imageIds", lambda entry: (entry["imageDigest"], entry.get("imageTag"))),
    "describe_images": ("imageDetails", lambda entry: entry["imageDigest"]),
}
operations = pytest.mark.parametrize("operation", LISTS)
EVERY = {"tagStatus": "ANY"}


def shown(operation, answer):
    member, identify = LISTS[operation]
    return [identify(entry) for entry in answer[member]]


@pytest.fixture
def call(ecr, operation):
    return lambda **options: getattr(ecr, operation)(**{"repositoryName": "app", **options})


def pages(ecr, operation, size, **options):
    paginator = ecr.get_paginator(operation).paginate(
        repositoryName="app", PaginationConfig={"PageSize": size}, **options
    )
    return [shown(operation, page) for page in paginator]


def tags_of(number):
    return [f"v{number}-{tag}" for tag in range(number)] if number and number % 2 == 0 else [None]


@pytest.fixture
def images(ecr):
    """Ten images: those with an even number have as many tags as their number says, the others none."""
    create(ecr)
    push(ecr, "app", numbered(0))
    for number in range(1, 10):
        for tag in tags_of(number):
            put(ecr, "app", numbered(number), tag)
    return [numbered(number).digest for number in range(10)]


@pytest.fixture
def everything(images):
    """Every entry of ListImages, in its order."""
    return [(digest, tag) for number, digest in enumerate(images) for tag in tags_of(number)]


class TestListImages:
    @pytest.mark.documented
    def test_an_entry_for_each_tag_and_one_for_an_untagged_image(self, ecr, everything):
        assert listed(ecr, "app") == everything

    @pytest.mark.documented
    @pytest.mark.parametrize(("status", "wanted"), [("TAGGED", True), ("UNTAGGED", False)])
    def test_by_tags(self, ecr, everything, status, wanted):
        expected = [entry for entry in everything if (entry[1] is not None) is wanted]
        assert listed(ecr, "app", filter={"tagStatus": status}) == expected

    @pytest.mark.parametrize(
        ("filter", "everyone"),
        [
            ({}, True),
            ({"tagStatus": "ANY"}, True),
            ({"imageStatus": "ACTIVE"}, True),
            ({"imageStatus": "ANY", "tagStatus": "ANY"}, True),
            ({"imageStatus": "ARCHIVED"}, False),
            ({"imageStatus": "ACTIVATING"}, False),
        ],
    )
    def test_by_status(self, ecr, everything, filter, everyone):
        assert listed(ecr, "app", filter=filter) == (everything if everyone else [])

    def test_an_untagged_entry_has_no_tag_at_all(self, sim, ecr):
        create(ecr)
        digest = push(ecr, "app")
        answer = post(sim, "ListImages", {"repositoryName": "app"}).json()
        assert answer == {"imageIds": [{"imageDigest": digest}]}

    def test_no_images(self, sim, ecr):
        create(ecr)
        assert post(sim, "ListImages", {"repositoryName": "app"}).json() == {"imageIds": []}

    @pytest.mark.documented
    def test_pages_count_entries_and_may_end_inside_of_an_image(self, ecr, everything):
        answer = ecr.list_images(repositoryName="app", maxResults=6)
        assert entries(answer) == everything[:6]
        assert everything[5][0] == everything[6][0]

        rest = ecr.list_images(repositoryName="app", nextToken=answer["nextToken"])
        assert entries(rest) == everything[6:]


@operations
class TestPages:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 9, 10, 11, 25, 1000])
    @pytest.mark.parametrize("filter", [None, {"tagStatus": "TAGGED"}, {"tagStatus": "UNTAGGED", "imageStatus": "ANY"}])
    def test_all_are_shown_once_in_their_order(self, ecr, images, operation, size, filter):
        options = {} if filter is None else {"filter": filter}
        whole = shown(operation, getattr(ecr, operation)(repositoryName="app", **options))
        found = pages(ecr, operation, size, **options)

        assert [entry for page in found for entry in page] == whole
        assert {len(page) for page in found[:-1]} <= {size}
        assert len(found[-1]) > 0

    def test_the_last_page_has_no_token_even_when_it_is_full(self, call, images, operation):
        count = len(shown(operation, call()))
        assert "nextToken" not in call(maxResults=count)
        assert "nextToken" in call(maxResults=count - 1)

    @pytest.mark.documented
    def test_a_page_has_100_by_default(self, ecr, call, operation):
        create(ecr)
        found = [push(ecr, "app", numbered(number)) for number in range(101)]
        first = call()
        assert len(shown(operation, first)) == 100
        (last,) = call(nextToken=first["nextToken"])[LISTS[operation][0]]
        assert last["imageDigest"] == found[100]

    def test_the_size_of_a_page_may_change(self, call, images, operation):
        whole = shown(operation, call())
        token = call(maxResults=3)["nextToken"]
        assert shown(operation, call(maxResults=5, nextToken=token)) == whole[3:8]

    def test_a_token_can_be_used_again(self, call, images, operation):
        token = call(maxResults=3)["nextToken"]
        assert shown(operation, call(nextToken=token)) == shown(operation, call(nextToken=token))

    def test_images_that_come_and_go_displace_nothing(self, ecr, call, images, operation):
        first = call(maxResults=3)
        before = shown(operation, first)
        gone = [images[0], images[4], images[6]]
        ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageDigest": digest} for digest in gone])
        added = push(ecr, "app", numbered(99), "new")
        found = before + shown(operation, call(nextToken=first["nextToken"]))

        assert [entry for entry in found if entry in before] == before
        expected = shown(operation, call())
        assert [entry for entry in found if entry in expected] == expected
        assert {*found} - {*expected} <= {*before}
        assert added in {entry if isinstance(entry, str) else entry[0] for entry in found}

    @pytest.mark.parametrize(
        ("value", "bound"), [(0, "greater than or equal to 1"), (1001, "less than or equal to 1000")]
    )
    def test_bounds_of_a_page(self, sim, images, operation, value, bound):
        name = "".join(part.capitalize() for part in operation.split("_"))
        answer = post(sim, name, {"repositoryName": "app", "maxResults": value})
        assert refusal_of(answer) == recorded(
            "InvalidParameterException", constraint("maxResults", f"Member must have value {bound}")
        )


@operations
class TestTokens:
    @pytest.fixture
    def token(self, call, images):
        return call(maxResults=3, filter=EVERY)["nextToken"]

    def test_it_is_refused_where_it_does_not_belong(self, ecr, call, token, operation):
        create(ecr, "other")
        for number in range(5):
            push(ecr, "other", numbered(number))
        elsewhere = [
            {"repositoryName": "other"},
            {"filter": {"tagStatus": "TAGGED"}},
            {"filter": {"tagStatus": "UNTAGGED"}},
            {"filter": {"imageStatus": "ANY"}},
            {"filter": {"imageStatus": "ARCHIVED"}},
        ]
        for options in elsewhere:
            assert refusal(call, nextToken=token, **options) == bad_token(), options

    def test_a_filter_may_be_spelt_out_or_left_out(self, call, token, operation):
        same = [{}, {"filter": {}}, {"filter": {"imageStatus": "ACTIVE"}}, {"filter": {"tagStatus": "ANY"}}]
        found = [shown(operation, call(nextToken=token, **options)) for options in same]
        assert all(each == found[0] for each in found)

    def test_it_is_of_one_operation(self, ecr, token, operation):
        for other in LISTS:
            if other != operation:
                assert refusal(getattr(ecr, other), repositoryName="app", nextToken=token) == bad_token()

    def test_it_is_of_one_repository_even_when_the_name_stays(self, ecr, call, token, operation):
        ecr.delete_repository(repositoryName="app", force=True)
        create(ecr)
        push(ecr, "app", numbered(1))
        assert refusal(call, nextToken=token) == bad_token()

    @pytest.mark.parametrize(
        "broken", ["", "x", "=", "....", "ä", "WzEsWzFdXQ==", "bnVsbA==", "W10=", "eyJhIjoxfQ==", "A" * 5000]
    )
    def test_a_broken_one(self, call, images, operation, broken):
        assert refusal(call, nextToken=broken) == bad_token()

    def test_without_the_repository_it_does_not_matter(self, call, operation):
        assert refusal(call, repositoryName="none", nextToken="x").code == "RepositoryNotFoundException"


def test_a_tag_that_moves_between_two_pages_is_shown_where_it_is_now(ecr):
    create(ecr)
    one, two, three = (push(ecr, "app", numbered(number), f"v{number}") for number in range(3))
    first = ecr.list_images(repositoryName="app", maxResults=2)
    put(ecr, "app", numbered(2), "v0")

    rest = ecr.list_images(repositoryName="app", nextToken=first["nextToken"])
    assert entries(first) == [(one, "v0"), (two, "v1")]
    assert entries(rest) == [(three, "v2"), (three, "v0")]


def test_an_image_that_is_tagged_between_two_pages(ecr):
    create(ecr)
    one, two = (push(ecr, "app", numbered(number)) for number in range(2))
    first = ecr.list_images(repositoryName="app", maxResults=1)
    put(ecr, "app", numbered(0), "late")

    assert entries(first) == [(one, None)]
    rest = ecr.list_images(repositoryName="app", nextToken=first["nextToken"])
    assert entries(rest) == [(one, "late"), (two, None)]


@pytest.mark.parametrize("member", ["tagStatus", "imageStatus"])
def test_an_unknown_filter(ecr, member):
    create(ecr)
    values = {"tagStatus": "TAGGED, UNTAGGED, ANY", "imageStatus": "ACTIVE, ARCHIVED, ACTIVATING, ANY"}[member]
    assert refusal(ecr.list_images, repositoryName="app", filter={member: "SOME"}) == inferred(
        "InvalidParameterException", constraint(f"filter.{member}", f"Member must satisfy enum value set: [{values}]")
    )
