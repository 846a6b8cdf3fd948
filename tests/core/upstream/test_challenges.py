"""WWW-Authenticate, as registries write it and as nobody should."""

import pytest

from ecrsim.core.upstream.challenges import parse

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"'
ROWS = {
    "docker hub": (
        [HUB],
        [
            (
                "bearer",
                {
                    "realm": "https://auth.docker.io/token",
                    "service": "registry.docker.io",
                    "scope": "repository:library/alpine:pull",
                },
            )
        ],
    ),
    "ECR": (
        ['Basic realm="https://1.dkr.ecr.us-east-1.amazonaws.com/",service="ecr.amazonaws.com"'],
        [("basic", {"realm": "https://1.dkr.ecr.us-east-1.amazonaws.com/", "service": "ecr.amazonaws.com"})],
    ),
    "spaces, case, no quotes": (["BEARER  Realm = x , SERVICE=y"], [("bearer", {"realm": "x", "service": "y"})]),
    "a quote inside": (['Basic realm="a \\"b\\" c"'], [("basic", {"realm": 'a "b" c'})]),
    "a comma inside": (['Bearer scope="a:pull,push"'], [("bearer", {"scope": "a:pull,push"})]),
    "two in one header": (
        ['Basic realm="a", Bearer realm="b"'],
        [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})],
    ),
    "two headers": (['Bearer realm="b"', "Negotiate"], [("bearer", {"realm": "b"}), ("negotiate", {})]),
    "the first of two of one name": (["Bearer realm=a,realm=b"], [("bearer", {"realm": "a"})]),
    "nothing": ([""], []),
    "no header": ([], []),
    "not one at all": (["=,=,="], []),
    "an open quote": (['Bearer realm="x'], [("bearer", {})]),
}


@pytest.mark.parametrize(("headers", "wanted"), ROWS.values(), ids=ROWS)
def test_what_is_asked_for(headers, wanted):
    assert [(found.scheme, dict(found.parameters)) for found in parse(headers)] == wanted


@pytest.mark.parametrize("text", ["a " * 500_000, 'Bearer realm="' + "\\" * 500_000, "Bearer " + "a=b," * 200_000])
def test_a_header_without_end_is_read_quickly(text):
    assert len(parse([text])) <= 8192
