"""The output of the AWS CLI, in all the forms that it comes in."""

import json
from datetime import UTC, datetime

import pytest

from ecrsim.described import UnreadableError, described, policy_text, read_images, read_repositories


def detail(number=1, **members):
    return {
        "registryId": "123456789012",
        "repositoryName": "app",
        "imageDigest": f"sha256:{number}",
        "imagePushedAt": 1_700_000_000 + number,
        "imageSizeInBytes": number,
        **members,
    }


def page(*details):
    return {"imageDetails": list(details)}


ONE, TWO = detail(1), detail(2)


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(page(ONE, TWO)),
        json.dumps(page(TWO, ONE), indent=4),
        json.dumps(page(ONE)) + "\n" + json.dumps(page(TWO)) + "\n",
        json.dumps(page(ONE)) + json.dumps(page(TWO)),
        json.dumps([ONE, TWO]),
        json.dumps([page(ONE), page(TWO)]),
        json.dumps(ONE) + "\n" + json.dumps(TWO),
        json.dumps({**page(ONE), "nextToken": "x"}) + ",\r\n" + json.dumps(page(TWO, ONE)),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_pages_and_lists_one_or_many(content, encoding):
    images = read_images(content.encode(encoding)).images
    assert [(image.id, image.image_digest) for image in images] == [(1, "sha256:1"), (2, "sha256:2")]


@pytest.mark.parametrize("content", [b"", b"  \n", b'{"imageDetails": []}', b"[]"])
def test_nothing(content):
    assert read_images(content).images == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (1738000000.123, 1_738_000_000_123),
        (1738000000, 1_738_000_000_000),
        ("2025-01-27T17:46:40.123000+00:00", 1_738_000_000_123),
        ("2025-01-27T18:46:40.123000+01:00", 1_738_000_000_123),
        ("2025-01-27T17:46:40Z", 1_738_000_000_000),
        ("2025-01-27T17:46:40", 1_738_000_000_000),
    ],
)
def test_times_of_both_versions_of_the_cli(written, expected):
    (image,) = read_images(json.dumps(page(detail(imagePushedAt=written))).encode()).images
    assert image.image_pushed_at == expected


def test_every_member_that_a_policy_asks_of():
    content = json.dumps(
        page(
            detail(
                7,
                imageTags=["a", "b"],
                imageStatus="ARCHIVED",
                lastRecordedPullTime=1,
                lastArchivedAt=2,
                lastActivatedAt=3.5,
                subjectManifestDigest="sha256:s",
            )
        )
    )
    (image,) = read_images(content.encode()).images
    assert image == (
        1,
        "sha256:7",
        ("a", "b"),
        1_700_000_007_000,
        "ARCHIVE",
        7,
        1000,
        2000,
        3500,
        "sha256:s",
        (),
    )


@pytest.mark.parametrize(
    ("status", "expected"), [("ACTIVE", "STANDARD"), ("ARCHIVED", "ARCHIVE"), ("ACTIVATING", None)]
)
def test_the_status_is_a_storage_class(status, expected):
    (image,) = read_images(json.dumps(detail(imageStatus=status)).encode()).images
    assert image.storage_class == expected


def test_boto3_gives_datetimes():
    moment = datetime(2025, 1, 27, 17, 46, 40, 123_000, UTC)
    assert described([detail(imagePushedAt=moment)]).images[0].image_pushed_at == 1_738_000_000_123


def test_images_come_in_the_order_of_their_pushes_and_those_of_one_instant_as_listed():
    listed = [detail(3), detail(1), detail(2, imagePushedAt=1_700_000_001), detail(0)]
    assert [image.image_digest for image in described(listed).images] == [f"sha256:{n}" for n in (0, 1, 2, 3)]


def test_indexes_are_counted():
    index = detail(1, imageManifestMediaType="application/vnd.oci.image.index.v1+json")
    assert read_images(json.dumps([index, TWO]).encode()).index_count == 1


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"IMAGEDETAILS\tsha256:1", "this is not JSON: line 1: Expecting value"),
        (b'{"imageDetails": [\n{"imageDigest": }]}', "this is not JSON: line 2: Expecting value"),
        (b'{"imageDetails": []} junk', "this is not JSON: line 1: Expecting value"),
        (b'{"repositories": []}', "this is not the output of describe-images: there is no imageDetails in it"),
        (b"7", "this is not the output of describe-images: there is no imageDetails in it"),
        (b'{"imageDetails": [{}]}', "this is not the output of describe-images: there is no imageDetails in it"),
        (b'[{"imageDigest": 5}]', "image 1 has no imageDigest"),
        (b'[{"imageDigest": "sha256:1"}]', "image sha256:1 has no imagePushedAt"),
        (json.dumps(detail(imagePushedAt="soon")).encode(), "imagePushedAt of sha256:1 is 'soon', and not a time"),
        (json.dumps(detail(imagePushedAt=True)).encode(), "imagePushedAt of sha256:1 is True, and not a time"),
        (
            json.dumps(detail(imagePushedAt=10**12)).encode(),
            "imagePushedAt of sha256:1 is 1000000000000, and not a time",
        ),
        (
            json.dumps(detail(imageSizeInBytes="5")).encode(),
            "imageSizeInBytes of sha256:1 is '5', and not a number of bytes",
        ),
        (json.dumps(detail(imageTags="v1")).encode(), "imageTags of sha256:1 is not a list of tags"),
        (
            json.dumps(detail(imageStatus="GONE")).encode(),
            "imageStatus of sha256:1 is 'GONE', and not ACTIVE, ARCHIVED, ACTIVATING",
        ),
        (
            json.dumps([ONE, detail(2, repositoryName="other")]).encode(),
            "the images are of 2 repositories; a lifecycle policy is for one",
        ),
        (b"\xff\xfe\x00", "this is not text"),
        (b"[" * 100_000, "this is not JSON: line 1: "),
    ],
)
def test_what_is_wrong_is_said(content, complaint):
    with pytest.raises(UnreadableError) as caught:
        read_images(content)
    assert str(caught.value).startswith(complaint)


POLICY = '{"rules": []}'


@pytest.mark.parametrize(
    "content",
    [POLICY.encode(), POLICY.encode("utf-16"), json.dumps({"lifecyclePolicyText": POLICY, "registryId": "1"}).encode()],
)
def test_a_policy_or_the_answer_that_has_it(content):
    assert policy_text(content) == POLICY


def test_what_is_no_policy_is_for_the_policy_to_refuse():
    assert policy_text(b"nonsense") == "nonsense"


ARN = "arn:aws:ecr:eu-west-1:123456789012:repository/app"


def repositories(*found):
    return [(each.repository_name, [image.image_digest for image in each.images]) for each in found]


def test_repositories_of_one_output_or_of_several():
    other = detail(1, repositoryName="other")
    one = read_repositories([json.dumps(page(ONE, other, TWO)).encode()])
    several = read_repositories(json.dumps(page(each)).encode() for each in (TWO, other, ONE, ONE))
    assert repositories(*one) == repositories(*several) == [("app", ["sha256:1", "sha256:2"]), ("other", ["sha256:1"])]


def test_what_other_commands_say_of_a_repository():
    about = {"registryId": "123456789012", "repositoryName": "app", "repositoryArn": ARN}
    tags = {"ResourceTagMappingList": [{"ResourceARN": ARN, "Tags": [{"Key": "team", "Value": "a"}]}]}
    policy = {"registryId": "123456789012", "repositoryName": "app", "lifecyclePolicyText": "{}"}
    for documents in ((page(ONE), {"repositories": [about]}, tags, policy), (policy, tags, page(ONE))):
        [found] = read_repositories([" ".join(map(json.dumps, documents)).encode()])
        assert found.resource_tags == {"team": "a"}
        assert found.policy_text == "{}"
        assert found.detail == (about if len(documents) == 4 else {})


def test_a_name_that_two_regions_have_gives_no_tags_without_the_arn():
    entries = [
        {"ResourceARN": ARN.replace("eu-west-1", region), "Tags": [{"Key": "team", "Value": region}]}
        for region in ("eu-west-1", "us-east-1")
    ]
    [found] = read_repositories(
        [json.dumps(page(ONE)).encode() + json.dumps({"ResourceTagMappingList": entries}).encode()]
    )
    assert found.resource_tags == {}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"repositories": [{}]}, "there is an entry without repositoryName"),
        ({"repositories": [7]}, "there is an entry without repositoryName"),
        (page({"imageDigest": "sha256:1"}), "there is an entry without repositoryName"),
        (page({"imageDigest": 7}), "an image has no imageDigest"),
        ({"ResourceTagMappingList": [{}]}, "an entry of ResourceTagMappingList has no ResourceARN or no Tags"),
        ({"tags": []}, "this is not the output of describe-images: there is no imageDetails in it"),
    ],
)
def test_what_is_no_output_of_these_commands(document, complaint):
    with pytest.raises(UnreadableError, match=complaint):
        read_repositories([json.dumps(document).encode()])
