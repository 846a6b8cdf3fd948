"""What is a digest, for ECR and for OCI."""

import hashlib

import pytest

from ecrsim.core.digest import algorithm_of, digest_of, is_ecr_digest, is_oci_digest

SHA256 = "sha256:" + "a" * 64
SHA512 = "sha512:" + "0" * 128


@pytest.mark.parametrize(
    ("text", "for_ecr", "for_oci"),
    [
        pytest.param(SHA256, True, True, id="sha256"),
        pytest.param(SHA512, True, True, id="sha512"),
        pytest.param(SHA256.upper(), True, False, id="capitals: ECR looks at the form alone"),
        pytest.param("sha256:" + "A" * 64, True, False, id="capital hex"),
        pytest.param("sha256:abc", True, False, id="too short"),
        pytest.param(SHA256 + "0", True, False, id="too long"),
        pytest.param("md5:" + "a" * 32, True, False, id="an algorithm that OCI does not register"),
        pytest.param("a-b_c+d.e:0f", True, False, id="every sign that an algorithm may have"),
        pytest.param("sha512:" + "a" * 64, True, False, id="the length of another algorithm"),
        pytest.param("", False, False, id="nothing"),
        pytest.param("sha256", False, False, id="an algorithm alone"),
        pytest.param("sha256:", False, False, id="no hex"),
        pytest.param(":" + "a" * 64, False, False, id="no algorithm"),
        pytest.param("sha256:xyz", False, False, id="no hex digits"),
        pytest.param(SHA256 + "\n", False, False, id="a newline at the end"),
        pytest.param(" " + SHA256, False, False, id="a space in front"),
        pytest.param("sha256:" + "a" * 32 + ":" + "a" * 32, False, False, id="two colons"),
        pytest.param("sha256:" + "\u0661" * 64, False, False, id="digits of another script"),
        pytest.param("sha/256:" + "a" * 64, False, False, id="a slash"),
    ],
)
def test_forms(text, for_ecr, for_oci):
    assert (is_ecr_digest(text), is_oci_digest(text)) == (for_ecr, for_oci)


def test_a_digest_is_made_of_the_bytes():
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_of(b"x", "sha512") == f"sha512:{hashlib.sha512(b'x').hexdigest()}"


def test_the_algorithm_stands_before_the_colon():
    assert algorithm_of(SHA512) == "sha512"
