"""What a tag is, and why an image id of a batch call fails."""

import pytest

from ecrsim.ecr.images import rules

HERE, THERE = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("image_id", "expected"),
    [
        pytest.param({}, rules.MISSING, id="neither tag nor digest"),
        pytest.param({"imageDigest": HERE}, None, id="a digest"),
        pytest.param({"imageTag": "v1"}, None, id="a tag"),
        pytest.param({"imageDigest": HERE, "imageTag": "v1"}, None, id="both"),
        pytest.param({"imageDigest": ""}, rules.BAD_DIGEST, id="an empty digest is one that is malformed"),
        pytest.param({"imageDigest": "v1"}, rules.BAD_DIGEST, id="a tag in the place of the digest"),
        pytest.param({"imageDigest": "sha256:xyz"}, rules.BAD_DIGEST, id="a digest without hex"),
        pytest.param({"imageDigest": HERE + "\n"}, rules.BAD_DIGEST, id="a digest and a newline"),
        pytest.param({"imageDigest": "md5:00"}, None, id="any digest of the right form"),
        pytest.param({"imageTag": ""}, rules.BAD_TAG, id="an empty tag"),
        pytest.param({"imageTag": "a:b"}, rules.BAD_TAG, id="a colon in the tag"),
        pytest.param({"imageTag": "a b"}, rules.BAD_TAG, id="a space in the tag"),
        pytest.param({"imageTag": "v1\n"}, rules.BAD_TAG, id="a tag and a newline"),
        pytest.param({"imageTag": "ä"}, rules.BAD_TAG, id="a letter that is not ASCII"),
        pytest.param({"imageTag": "-.A_9"}, None, id="every sign that a tag may have, in any place"),
        pytest.param({"imageDigest": "x", "imageTag": "a:b"}, rules.BAD_DIGEST, id="the digest is looked at first"),
    ],
)
def test_malformed(image_id, expected):
    assert rules.malformed(image_id) is expected


@pytest.mark.parametrize(
    ("image_id", "found", "expected"),
    [
        pytest.param({"imageDigest": HERE}, HERE, None, id="the digest is there"),
        pytest.param({"imageDigest": HERE}, None, rules.NOT_FOUND, id="the digest is unknown"),
        pytest.param({"imageTag": "v1"}, HERE, None, id="the tag is there"),
        pytest.param({"imageTag": "v1"}, None, rules.NOT_FOUND, id="the tag is unknown"),
        pytest.param({"imageDigest": HERE, "imageTag": "v1"}, HERE, None, id="the tag is that of the digest"),
        pytest.param({"imageDigest": HERE, "imageTag": "v1"}, THERE, rules.MISMATCH, id="the tag is another's"),
        pytest.param({"imageDigest": HERE, "imageTag": "v1"}, None, rules.NOT_FOUND, id="an unknown tag comes first"),
    ],
)
def test_unmatched(image_id, found, expected):
    assert rules.unmatched(image_id, found) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", True),
        ("_x", True),
        ("v1.0-rc_2", True),
        ("a" * 128, True),
        ("a" * 129, True),
        ("a" * 300, True),
        ("a" * 301, False),
        ("", False),
        (".a", True),
        ("-a", True),
        ("a/b", False),
        ("a\n", False),
        ("é", False),
    ],
)
def test_a_tag_is_what_put_image_takes_on_either_plane(text, expected):
    assert (rules.tag_fault(text) is None) is expected
