"""Policy documents: what is read, what is refused and why, and the form in which ECR gives one back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecrsim.ecr.access.canonical import pretty
from ecrsim.iam.grammar import MAX_RAW_TEXT, MAX_TEXT, MalformedPolicy, PolicyKind, Principals, read

OWN = "111122223333"
SESSION = f"arn:aws:sts::{OWN}:assumed-role/a"
APP = f"arn:aws:ecr:us-east-1:{OWN}:repository/app"
IAMS = [PolicyKind.IDENTITY, PolicyKind.BOUNDARY, PolicyKind.SESSION]

ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "ecr:PutImage", "Resource": "*"}
GRANT: dict[str, Any] = {"Effect": "Allow", "Principal": "*", "Action": "ecr:PutImage"}
LEND: dict[str, Any] = GRANT | {"Resource": "*"}
TRUST: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": OWN}, "Action": "sts:AssumeRole"}
GOOD = {PolicyKind.IDENTITY: ALLOW, PolicyKind.BOUNDARY: ALLOW, PolicyKind.SESSION: ALLOW,
 PolicyKind.REPOSITORY: GRANT, PolicyKind.REGISTRY: LEND,
        PolicyKind.TRUST: TRUST}  # fmt: skip


#: It spares somebody, and so has to deny.
SPARE: dict[str, Any] = {"Effect": "Allow", "NotPrincipal": {"AWS": OWN}, "Action": "ecr:PutImage"}


def without(statement: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in statement.items() if key not in names}


def policy(*statements: Any, **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements), **more}


@pytest.mark.parametrize("kind", PolicyKind, ids=lambda kind: kind.value)
def test_a_policy_of_each_kind_is_read_from_text_and_from_values(kind: PolicyKind):
    wanted = policy(GOOD[kind])
    document = read(json.dumps(wanted), kind, "mine")
    assert (document.kind, document.name) == (kind, "mine")
    assert document == read(wanted, kind, "mine")
    (statement,) = document.statements
    assert (statement.number, statement.sid, statement.allows) == (1, None, True)
    assert statement.source == GOOD[kind]


def test_the_elements_of_a_statement():
    document = read(
        policy(
            {
                "Sid": "One",
                "Effect": "Deny",
                "NotAction": ["ecr:Get*", "ecr:List*"],
                "NotResource": APP,
                "Condition": {"Bool": {"aws:SecureTransport": False}, "NumericLessThan": {"aws:Number": [1, 2.5]}},
            },
            ALLOW,
        ),
        PolicyKind.IDENTITY,
        "mine",
    )
    first, second = document.statements
    assert (first.sid, first.allows, first.actions, first.not_actions) == (
        "One",
        False,
        None,
        ("ecr:Get*", "ecr:List*"),
    )
    assert (first.resources, first.not_resources, first.principals) == (None, (APP,), None)
    assert [(each.operator, each.key, each.values) for each in first.conditions] == [
        ("bool", "aws:securetransport", ("false",)),
        ("numericlessthan", "aws:number", ("1", "2.5")),
    ]
    assert (first.label, second.label, second.number) == ("statement 1 (One)", "statement 2", 2)


def test_principals_are_sorted_by_kind():
    names = {"AWS": [OWN, "*"], "Service": "codebuild.amazonaws.com", "Federated": ["cognito-identity.amazonaws.com"]}
    (statement,) = read(policy(GRANT | {"Principal": names}), PolicyKind.REPOSITORY, "").statements
    assert statement.principals == Principals(
        True, (OWN,), ("codebuild.amazonaws.com",), ("cognito-identity.amazonaws.com",)
    )


def test_one_statement_need_not_be_a_list():
    assert len(read({"Statement": GRANT}, PolicyKind.REPOSITORY, "").statements) == 1


#: (what is accepted, kind, the statement).
ACCEPTED = [
    ("a repository's policy without a resource", PolicyKind.REPOSITORY, GRANT),
    ("a repository's policy with a star", PolicyKind.REPOSITORY, LEND),
    ("a repository's policy with its ARN", PolicyKind.REPOSITORY, GRANT | {"Resource": [APP]}),
    ("a Sid with spaces and signs", PolicyKind.REPOSITORY, GRANT | {"Sid": "Allow: pull & push (all)"}),
    ("all actions of ECR", PolicyKind.REPOSITORY, GRANT | {"Action": "ecr:*"}),
    ("all actions", PolicyKind.REPOSITORY, GRANT | {"Action": "*"}),
    ("actions in any case", PolicyKind.REPOSITORY, GRANT | {"Action": "ECR:putimage"}),
    ("any action of ECR for a registry", PolicyKind.REGISTRY, LEND | {"Action": "ecr:DeleteRepository"}),
    ("a user", PolicyKind.REPOSITORY, GRANT | {"Principal": {"AWS": f"arn:aws:iam::{OWN}:user/team/ann@example.com"}}),
    ("a role with a path", PolicyKind.REPOSITORY, GRANT | {"Principal": {"AWS": f"arn:aws:iam::{OWN}:role/ci/pusher"}}),
    ("a session", PolicyKind.REPOSITORY, GRANT | {"Principal": {"AWS": f"{SESSION}/b=c"}}),
    ("a federated user",
     PolicyKind.REPOSITORY, GRANT | {"Principal": {"AWS": f"arn:aws:sts::{OWN}:federated-user/ann"}}),
    ("another partition", PolicyKind.REPOSITORY, GRANT | {"Principal": {"AWS": f"arn:aws-cn:iam::{OWN}:root"}}),
    ("all but somebody", PolicyKind.REPOSITORY, SPARE | {"Effect": "Deny"}),
    ("a provider",
     PolicyKind.TRUST, TRUST | {"Principal": {"Federated": f"arn:aws:iam::{OWN}:oidc-provider/token.example"}}),
    ("an empty Sid", PolicyKind.TRUST, TRUST | {"Sid": ""}),
    ("no conditions", PolicyKind.IDENTITY, ALLOW | {"Condition": {}}),
    ("a condition without values",
     PolicyKind.IDENTITY, ALLOW | {"Condition": {"StringEquals": {"aws:SourceVpce": []}}}),
    ("a subject of a provider",
     PolicyKind.TRUST, TRUST | {"Condition": {"StringEquals": {"token.example/x:sub": "a"}}}),
    ("another service's resource", PolicyKind.IDENTITY, ALLOW | {"Action": "s3:*", "Resource": "arn:aws:s3:::b/*"}),
    ("an ARN that ends early", PolicyKind.IDENTITY, ALLOW | {"Resource": "arn:aws:ecr:us-east-1:*"}),
    ("any partition", PolicyKind.IDENTITY, ALLOW | {"Resource": f"arn:*:ecr:*:{OWN}:repository/*"}),
    ("a variable in the resource", PolicyKind.IDENTITY, ALLOW | {"Resource": f"{APP}/${{aws:username}}"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "statement"), [case[1:] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_what_is_accepted(kind: PolicyKind, statement: dict[str, Any]):
    assert read(policy(statement), kind, "").statements[0].source == statement


@pytest.mark.parametrize("version", ["2008-10-17", "2012-10-17"])
def test_the_versions_of_the_language(version: str):
    document = read({"Version": version, "Statement": [ALLOW]}, PolicyKind.IDENTITY, "")
    assert document.statements[0].has_variables is (version == "2012-10-17")


def test_without_a_version_it_is_the_old_one():
    assert not read({"Statement": [ALLOW]}, PolicyKind.IDENTITY, "").statements[0].has_variables


@pytest.mark.parametrize("kind", [PolicyKind.REPOSITORY, PolicyKind.REGISTRY], ids=lambda kind: kind.value)
def test_ecr_takes_a_sid_twice(kind: PolicyKind):
    statement = GOOD[kind] | {"Sid": "x"}
    assert len(read(policy(statement, statement), kind, "").statements) == 2


def test_the_public_service_has_its_own_actions():
    statement = GRANT | {"Action": "ecr-public:PutImage"}
    assert read(policy(statement), PolicyKind.REPOSITORY, "", service="ecr-public").statements
    with pytest.raises(MalformedPolicy, match=r"is not an action of ecr$"):
        read(policy(statement), PolicyKind.REPOSITORY, "")
    with pytest.raises(MalformedPolicy, match="is not an action of ecr-public"):
        read(policy(GRANT), PolicyKind.REPOSITORY, "", service="ecr-public")


#: (kind, the whole document, the reason).
REFUSED = [
    (PolicyKind.IDENTITY, "", "the policy is not JSON"),
    (PolicyKind.IDENTITY, "{", "the policy is not JSON"),
    (PolicyKind.IDENTITY, "[]", "the policy is not a JSON object"),
    (PolicyKind.IDENTITY, '"x"', "the policy is not a JSON object"),
    (PolicyKind.IDENTITY, '{"Statement": NaN}', "the policy is not JSON: NaN"),
    (PolicyKind.IDENTITY, '{"Statement": [], "Statement": []}', "names an element twice"),
    (PolicyKind.IDENTITY, '{"Statement": [{"Effect": "Deny", "Effect": "Allow"}]}', "names an element twice"),
    (PolicyKind.IDENTITY, "[" * 9000, "nested too deeply"),
    (PolicyKind.IDENTITY, '{"Statement": ' + "[" * 4000 + "]" * 4000 + "}", "nested too deeply"),
    (PolicyKind.IDENTITY, '{"Statement": "\\ud800"}', "not what JSON can say"),
    (PolicyKind.IDENTITY, '{"Statement": 1e999}', "not what JSON can say"),
    (PolicyKind.IDENTITY, {"Statement": {1, 2}}, "not what JSON can say"),
    (PolicyKind.IDENTITY, {}, "the policy has no Statement"),
    (PolicyKind.IDENTITY, policy(), "the policy has no Statement"),
    (PolicyKind.IDENTITY, {"Statement": "x"}, "the policy has no Statement"),
    (PolicyKind.IDENTITY, policy(ALLOW, Statements=[]), "a policy has no element Statements"),
    (PolicyKind.IDENTITY, {"Version": "2020-01-01", "Statement": [ALLOW]}, "Version is 2008-10-17 or 2012-10-17"),
    (PolicyKind.IDENTITY, {"Version": ["2012-10-17"], "Statement": [ALLOW]}, "Version is"),
    (PolicyKind.IDENTITY, policy("x"), "statement 1: it is not an object"),
    (PolicyKind.IDENTITY, policy(ALLOW, ALLOW | {"Actions": "*"}), "statement 2: there is no element Actions"),
    (PolicyKind.IDENTITY, policy({"Effect": "Allow"}), "statement 1: it needs either Action or NotAction"),
    (PolicyKind.IDENTITY, policy(without(ALLOW, "Effect")), "Effect is Allow or Deny"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Effect": "allow"}), "Effect is Allow or Deny"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Effect": ["Allow"]}), "Effect is Allow or Deny"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"NotAction": "*"}), "it needs either Action or NotAction"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"NotResource": "*"}), "it needs either Resource or NotResource"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Action": []}), "Action is a text or a list of texts"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Action": [1]}), "Action is a text or a list of texts"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Action": ""}), "Action is a text or a list of texts"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Action": {"a": 1}}), "Action is a text or a list of texts"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Action": "PutImage"}), "PutImage is not an action"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Action": "e*:PutImage"}), "is not an action"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Action": "ecr:Put Image"}), "is not an action"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Resource": "app"}), "app is not an ARN"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Resource": "arn:aws:ecr:us-east-1"}), "is not an ARN"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Resource": f"arn:aws:*:us-east-1:{OWN}:x"}), "does not name its service"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Resource": "arn:aws:ecr:us-east-1:${aws:PrincipalAccount}:repository/app"}),
     "a variable before its fifth colon"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Sid": "with space"}), "Sid is made of letters and digits"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Sid": 1}), "Sid is made of letters and digits"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Sid": "a"}, ALLOW | {"Sid": "a"}), "two statements have the same Sid"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Condition": None}), "Condition is an object"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Condition": {"StringEquals": "a"}}), "StringEquals is an object of keys"),
    (PolicyKind.IDENTITY,
     policy(ALLOW | {"Condition": {"StringSame": {"aws:x": "a"}}}), "1: there is no condition operator"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Condition": {"StringEquals": {"aws:x": {}}}}), "the values of aws:x"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Condition": {"StringEquals": {"aws:x": [None]}}}), "the values of aws:x"),
    (PolicyKind.IDENTITY, policy(ALLOW | {"Condition": {"StringEquals": {"aws:x": "a", "AWS:X": "b"}}}), "a key twice"),
    (PolicyKind.REPOSITORY, policy(ALLOW), "it needs a Principal or a NotPrincipal"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"NotPrincipal": "*"}), "it needs a Principal or a NotPrincipal"),
    (PolicyKind.REPOSITORY, policy({"Effect": "Allow"}), "it needs either Action or NotAction"),
    (PolicyKind.REPOSITORY, policy(SPARE), "Deny statements"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Action": "s3:GetObject"}), "s3:GetObject is not an action of ecr"),
    (PolicyKind.REPOSITORY, policy(without(GRANT, "Action") | {"NotAction": "s3:*"}), "is not an action of ecr"),
    (PolicyKind.REPOSITORY,
     policy(GRANT | {"Action": ["*", "ecr:getAuthorizationToken"]}), "identity-based policies only"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Resource": "arn:aws:s3:::bucket"}), "is not a resource of ecr"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": OWN}), "the principal is \\* or an object"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {}}), "the principal is \\* or an object"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {"AWS": []}}), "Principal is a text or a list of texts"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {"CanonicalUser": "79a5"}}), "of the kind CanonicalUser"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {"AWS": f"arn:aws:iam::{OWN}:*"}}), "is not a principal"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {"AWS": f"arn:aws:iam::{OWN}:role/*"}}), "is not a principal"),
    (PolicyKind.REPOSITORY,
     policy(GRANT | {"Principal": {"AWS": f"arn:aws:iam::{OWN}:group/dev"}}), "is not a principal"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {"AWS": f"{SESSION}/*"}}), "is not a principal"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {"AWS": SESSION}}), "is not a principal"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {"AWS": "1234"}}), "1234 is not a principal"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {"AWS": "AIDACKCEVSQ6C2EXAMPLE"}}), "is not a principal"),
    (PolicyKind.REPOSITORY, policy(GRANT | {"Principal": {"Service": "*.amazonaws.com"}}), "is not a principal"),
    (PolicyKind.REGISTRY, policy(GRANT), "it needs either Resource or NotResource"),
    (PolicyKind.REGISTRY, policy(ALLOW), "it needs a Principal"),
    (PolicyKind.REGISTRY, policy(LEND | {"Action": "ecr:GetAuthorizationToken"}), "identity-based policies only"),
    (PolicyKind.TRUST, policy(TRUST | {"Resource": "*"}), "a role trust policy names no resource"),
    (PolicyKind.TRUST, policy(without(TRUST, "Principal")), "it needs a Principal"),
    (PolicyKind.TRUST, policy(SPARE | {"Effect": "Deny", "Action": "sts:*"}), "NotPrincipal stands"),
    (PolicyKind.TRUST, policy(TRUST | {"Sid": "a b"}), "Sid is made of letters and digits"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "document", "reason"), REFUSED)
def test_a_malformed_policy_is_refused_with_its_reason(kind: PolicyKind, document: Any, reason: str):
    with pytest.raises(MalformedPolicy, match=reason):
        read(document, kind, "")


@pytest.mark.parametrize("kind", IAMS, ids=lambda kind: kind.value)
@pytest.mark.parametrize("element", ["Principal", "NotPrincipal"])
def test_a_policy_of_an_identity_names_no_principal(kind: PolicyKind, element: str):
    with pytest.raises(MalformedPolicy, match=f"names no {element}"):
        read(policy(ALLOW | {element: "*"}), kind, "")


def sized(kind: PolicyKind, size: int) -> str:
    """A policy of that many characters, none of them white space."""
    statement = GOOD[kind] | {"Condition": {"StringEquals": {"aws:x": ""}}}
    text = json.dumps(policy(statement), separators=(",", ":"))
    return text.replace('"aws:x":""', f'"aws:x":"{"x" * (size - len(text))}"')


@pytest.mark.parametrize("kind", PolicyKind, ids=lambda kind: kind.value)
def test_a_policy_has_10240_characters_at_most(kind: PolicyKind):
    assert len(sized(kind, MAX_TEXT)) == MAX_TEXT == 10_240
    assert read(sized(kind, MAX_TEXT), kind, "")
    with pytest.raises(MalformedPolicy, match="longer than 10240 characters"):
        read(sized(kind, MAX_TEXT + 1), kind, "")
    with pytest.raises(MalformedPolicy, match="longer than 10240 characters"):
        read(json.loads(sized(kind, MAX_TEXT + 1)), kind, "")


def test_white_space_counts_for_ecr_and_not_for_iam():
    spaces = " " * MAX_TEXT
    assert read(json.dumps(policy(ALLOW)) + spaces, PolicyKind.IDENTITY, "")
    with pytest.raises(MalformedPolicy, match="longer than"):
        read(json.dumps(policy(GRANT)) + spaces, PolicyKind.REPOSITORY, "")
    with pytest.raises(MalformedPolicy, match="longer than"):
        read(json.dumps(policy(ALLOW)) + " " * MAX_RAW_TEXT, PolicyKind.IDENTITY, "")


def test_the_recorded_form():
    """From the service model's example of GetRepositoryPolicy, with the indentation of the real service."""
    assert pretty(
        {
            "Version": "2008-10-17",
            "Statement": [
                {
                    "Sid": "new statement",
                    "Effect": "Allow",
                    "Principal": {"AWS": "arn:aws:iam::012345678901:role/CodeDeployDemo"},
                    "Action": ["ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
                }
            ],
        }
    ) == (
        '{\n  "Version" : "2008-10-17",\n  "Statement" : [ {\n    "Sid" : "new statement",\n'
        '    "Effect" : "Allow",\n    "Principal" : {\n'
        '      "AWS" : "arn:aws:iam::012345678901:role/CodeDeployDemo"\n    },\n'
        '    "Action" : [ "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage" ]\n  } ]\n}'
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{ }"),
        ([], "[ ]"),
        ([[]], "[ [ ] ]"),
        ({"a": {}}, '{\n  "a" : { }\n}'),
        ([{"a": 1}, {"b": True}], '[ {\n  "a" : 1\n}, {\n  "b" : true\n} ]'),
        ({"a": [{"b": [None, 1.5]}]}, '{\n  "a" : [ {\n    "b" : [ null, 1.5 ]\n  } ]\n}'),
        ({"ü": 'a"b\\c\n\u001f/é'}, '{\n  "ü" : "a\\"b\\\\c\\n\\u001F/é"\n}'),
    ],
)
def test_the_form_of_jackson(value: Any, text: str):
    assert pretty(value) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(values)
def test_the_pretty_form_says_the_same(value: Any):
    assert json.loads(pretty(value)) == value


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.sampled_from(list(PolicyKind)),
    st.dictionaries(
        st.sampled_from(["Sid", "Effect", "Action", "NotAction", "Resource", "Principal", "Condition", "x"]),
        values | st.sampled_from(["Allow", "Deny", "*", "ecr:*", {"AWS": "*"}, {"StringEquals": {"aws:x": "a"}}]),
    ),
)
def test_whatever_comes_is_read_or_refused(kind: PolicyKind, statement: dict[str, Any]):
    refusal = None
    try:
        assert read(policy(statement), kind, "").statements[0].source == statement
    except MalformedPolicy as error:
        refusal = str(error)
    assert refusal != ""
