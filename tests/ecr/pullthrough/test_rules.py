"""Which rule governs a name, what stands for it upstream, and when it is looked up again."""

import pytest

from ecrsim.ecr.pullthrough.rules import REST, TAG_IS_FRESH, Rule, ecr_upstream, governing, is_due, kind_of


def rule(prefix, upstream="ROOT"):
    return Rule(prefix, "quay.io", "quay", upstream, None, None, 0, 0)


#: Prefix here, prefix there, name, name there (documented, all).
NAMES = [
    ("ecr-public", "ROOT", "ecr-public/my-app/image1", "my-app/image1"),
    ("ROOT", "ROOT", "my-app/image1", "my-app/image1"),
    ("team-a", "team-a", "team-a/myapp/image1", "team-a/myapp/image1"),
    ("my-app", "upstream-app", "my-app/image1", "upstream-app/image1"),
    ("a/b", "ROOT", "a/b/c", "c"),
]


@pytest.mark.documented
@pytest.mark.parametrize(("prefix", "upstream", "name", "wanted"), NAMES)
def test_the_name_of_the_upstream(prefix, upstream, name, wanted):
    assert rule(prefix, upstream).upstream_name(name) == wanted


@pytest.mark.parametrize(
    ("prefixes", "name", "wanted"),
    [
        (["a"], "a/x", "a"),
        (["a"], "a", None),
        (["a"], "ab/x", None),
        (["ROOT"], "x", "ROOT"),
        (["ROOT", "a"], "a/x", "a"),
        (["a", "ROOT"], "a/x", "a"),
        (["ROOT", "a"], "b/x", "ROOT"),
        (["a", "a/b"], "a/b/x", "a/b"),
        (["a/b", "a"], "a/b/x", "a/b"),
        (["a/b", "a"], "a/c", "a"),
        ([], "a/x", None),
    ],
)
def test_the_rule_that_governs_a_name(prefixes, name, wanted):
    found = governing([rule(prefix) for prefix in prefixes], name)
    assert (found and found.ecr_repository_prefix) == wanted


@pytest.mark.documented
@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("public.ecr.aws", "ecr-public"),
        ("registry.k8s.io", "k8s"),
        ("quay.io", "quay"),
        ("registry-1.docker.io", "docker-hub"),
        ("ghcr.io", "github-container-registry"),
        ("registry.gitlab.com", "gitlab-container-registry"),
        ("mine.azurecr.io", "azure-container-registry"),
        ("cgr.dev", "chainguard"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("docker.io", None),
        ("https://quay.io", None),
        ("quay.io/", None),
        (".azurecr.io", None),
        ("12345678901.dkr.ecr.eu-west-1.amazonaws.com", None),
        ("evil.test/quay.io", None),
        ("", None),
    ],
)
def test_the_kind_of_an_upstream(url, kind):
    assert kind_of(url) == kind


def test_where_an_ecr_is():
    assert ecr_upstream("123456789012.dkr.ecr.eu-west-1.amazonaws.com") == ("123456789012", "eu-west-1")
    assert ecr_upstream("quay.io") is None


@pytest.mark.parametrize(
    ("age", "has_answered", "due"),
    [
        (None, True, True),
        (0, True, False),
        (TAG_IS_FRESH - 1, True, False),
        (TAG_IS_FRESH, True, True),
        (REST - 1, False, False),
        (REST, False, True),
        (-1, True, True),
    ],
)
def test_when_a_tag_is_looked_up_again(age, has_answered, due):
    now = 10**12
    assert is_due(now, None if age is None else now - age, TAG_IS_FRESH, has_answered=has_answered) is due
