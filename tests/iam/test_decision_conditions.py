"""Decisions by conditions and policy variables: what the request has counts, not only who asks for what."""

from __future__ import annotations

from typing import Any

import pytest

from ecrsim.iam.decision import Reason, decide
from tests.iam.decisions import (
    ALLOWING,
    OTHER,
    OTHER_USER,
    OWN,
    REGION,
    ROLE,
    ROLE_ARN,
    USER,
    Row,
    allow,
    deny,
    forbid,
    grant,
    row,
)

YES, DENIED, NO = Reason.ALLOWED, Reason.EXPLICIT_DENY, Reason.NO_IDENTITY


def when(operator: str, key: str, value: Any, action: str = "ecr:*") -> dict[str, Any]:
    return allow(action, Condition={operator: {key: value}})


def never(operator: str, key: str, value: Any) -> list[dict[str, Any]]:
    return [allow("*"), deny("ecr:*", Condition={operator: {key: value}})]


OFFICE = {"aws:SourceIp": "203.0.113.7"}
BLUE = {"aws:ResourceTag/team": "blue"}

WHERE_FROM = [
    row("an address of the range", "D", YES, identity=when("IpAddress", "aws:SourceIp", "203.0.113.0/24"),
        context=OFFICE),
    row("an address outside the range", "D", NO, identity=when("IpAddress", "aws:SourceIp", "198.51.100.0/24"),
        context=OFFICE),
    row("one of two ranges", "D", YES, context=OFFICE,
        identity=when("IpAddress", "aws:SourceIp", ["198.51.100.0/24", "203.0.113.7"])),
    row("a deny for all other addresses spares those", "D", YES, context=OFFICE,
        identity=never("NotIpAddress", "aws:SourceIp", ["203.0.113.0/24", "2001:db8::/32"])),
    row("a deny for all other addresses", "D", DENIED, context={"aws:SourceIp": "192.0.2.1"},
        identity=never("NotIpAddress", "aws:SourceIp", ["203.0.113.0/24", "2001:db8::/32"])),
    row("an IPv6 address of the range", "D", YES, context={"aws:SourceIp": "2001:db8:1::7"},
        identity=when("IpAddress", "aws:SourceIp", "2001:DB8:1::/48")),
    row("without an address there is no match", "D", NO, identity=when("IpAddress", "aws:SourceIp", "0.0.0.0/0")),
    row("a repository that is open to one network", "D", Reason.NO_RESOURCE, who=OTHER_USER, identity=allow("*"),
        repository=grant("ecr:*", "*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), context=OFFICE),
    row("plain HTTP is denied", "D", DENIED, identity=never("Bool", "aws:SecureTransport", "false"),
        context={"aws:SecureTransport": "false"}),
    row("HTTPS is not", "D", YES, identity=never("Bool", "aws:SecureTransport", "false"),
        context={"aws:SecureTransport": "true"}),
    row("a boolean of JSON is one as well", "D", DENIED, identity=never("Bool", "aws:SecureTransport", False),
        context={"aws:SecureTransport": "false"}),
    row("only through one endpoint", "D", DENIED, identity=never("StringNotEquals", "aws:SourceVpce", "vpce-1"),
        context=OFFICE),
]  # fmt: skip

WHEN = [
    row("before a date", "D", YES, identity=when("DateLessThan", "aws:CurrentTime", "2026-07-01T00:00:00Z"),
        context={"aws:CurrentTime": "2026-06-30T23:59:59Z"}),
    row("at the date is not before it", "D", NO, identity=when("DateLessThan", "aws:CurrentTime", "2026-07-01"),
        context={"aws:CurrentTime": "2026-07-01T00:00:00Z"}),
    row("at the date is at or before it", "D", YES,
        identity=when("DateLessThanEquals", "aws:CurrentTime", "2026-07-01"),
        context={"aws:CurrentTime": "2026-07-01T00:00:00Z"}),
    row("zones are looked at", "D", YES,
        identity=when("DateEquals", "aws:CurrentTime", "2026-07-01T02:00:00+02:00"),
        context={"aws:CurrentTime": "2026-07-01T00:00:00Z"}),
    row("seconds since the epoch", "D", YES, identity=when("DateGreaterThan", "aws:CurrentTime", 1782863999),
        context={"aws:CurrentTime": "2026-07-01T00:00:00Z"}),
    row("the epoch key as a number", "D", YES, identity=when("NumericGreaterThanEquals", "aws:EpochTime", "1782864000"),
        context={"aws:EpochTime": "1782864000"}),
    row("long-lived keys have no issue time", "D", DENIED, identity=never("Null", "aws:TokenIssueTime", "true")),
    row("temporary keys have one", "D", YES, identity=never("Null", "aws:TokenIssueTime", "true"),
        context={"aws:TokenIssueTime": "2026-07-01T00:00:00Z"}),
]  # fmt: skip

TAGS = [
    row("the repository's tag", "D", YES, identity=when("StringEquals", "aws:ResourceTag/team", "blue"), context=BLUE),
    row("the repository's tag under ECR's own key", "D", YES, context={"ecr:ResourceTag/team": "blue"},
        identity=when("StringEquals", "ecr:ResourceTag/team", "blue")),
    row("case does not matter in keys", "D", YES, identity=when("StringEquals", "AWS:resourcetag/TEAM", "blue"),
        context=BLUE),
    row("case matters in values", "D", NO, identity=when("StringEquals", "aws:ResourceTag/team", "Blue"), context=BLUE),
    row("or it does not", "D", YES, identity=when("StringEqualsIgnoreCase", "aws:ResourceTag/team", "BLUE"),
        context=BLUE),
    row("a star under StringEquals is a star", "D", NO, identity=when("StringEquals", "aws:ResourceTag/team", "b*"),
        context=BLUE),
    row("a star under StringLike is a wildcard", "D", YES, identity=when("StringLike", "aws:ResourceTag/team", "b*"),
        context=BLUE),
    row("a repository without the tag", "D", NO, identity=when("StringEquals", "aws:ResourceTag/team", "blue")),
    row("a negated operator fits where the tag is missing", "D", DENIED,
        identity=never("StringNotEquals", "aws:ResourceTag/team", "blue")),
    row("a negated operator with several values is NOR", "D", YES, context=BLUE,
        identity=never("StringNotEquals", "aws:ResourceTag/team", ["red", "blue"])),
    row("IfExists lets the missing tag pass", "D", YES,
        identity=when("StringEqualsIfExists", "aws:ResourceTag/team", "blue")),
    row("IfExists looks at a tag that is there", "D", NO, context={"aws:ResourceTag/team": "red"},
        identity=when("StringEqualsIfExists", "aws:ResourceTag/team", "blue")),
    row("IfExists does not soften a negated deny", "D", DENIED,
        identity=never("StringNotEqualsIfExists", "aws:ResourceTag/team", "blue")),
    row("two keys under one operator must both fit", "D", NO, context=BLUE,
        identity=allow("ecr:*", Condition={
            "StringEquals": {"aws:ResourceTag/team": "blue", "aws:ResourceTag/env": "x"},
        })),
    row("two operators must both fit", "D", NO, context=BLUE | OFFICE,
        identity=allow("ecr:*", Condition={
            "StringEquals": {"aws:ResourceTag/team": "blue"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"},
        })),
    row("two operators that both fit", "D", YES, context=BLUE | OFFICE,
        identity=allow("ecr:*", Condition={
            "StringEquals": {"aws:ResourceTag/team": "blue"}, "IpAddress": {"aws:SourceIp": "203.0.113.0/24"},
        })),
    row("a tag that the request must bring", "D", DENIED, action="ecr:CreateRepository",
        identity=never("Null", "aws:RequestTag/owner", True), context={"aws:TagKeys": ["team"]}),
    row("only tags of the list: all are on it", "D", YES, action="ecr:TagResource",
        identity=when("ForAllValues:StringEquals", "aws:TagKeys", ["team", "env", "owner"]),
        context={"aws:TagKeys": ["team", "env"]}),
    row("only tags of the list: one is not", "D", NO, action="ecr:TagResource",
        identity=when("ForAllValues:StringEquals", "aws:TagKeys", ["team", "env"]),
        context={"aws:TagKeys": ["team", "cost"]}),
    row("only tags of the list: there are none", "D", YES, action="ecr:CreateRepository",
        identity=when("ForAllValues:StringEquals", "aws:TagKeys", ["team"])),
    row("any tag of the list: one is on it", "D", DENIED, action="ecr:TagResource",
        identity=never("ForAnyValue:StringLike", "aws:TagKeys", "aws:*"), context={"aws:TagKeys": ["team", "aws:x"]}),
    row("any tag of the list: there are none", "D", YES, action="ecr:TagResource",
        identity=never("ForAnyValue:StringLike", "aws:TagKeys", "*")),
    row("the setting that is written", "D", NO, action="ecr:PutAccountSetting", on="*",
        identity=when("StringEquals", "ecr:AccountSetting", "BLOB_MOUNTING"),
        context={"ecr:AccountSetting": "REGISTRY_POLICY_SCOPE"}),
]  # fmt: skip

WHO = [
    row("a role by its ARN, whatever the session", "D", YES, who=ROLE, context={"aws:PrincipalArn": ROLE_ARN},
        repository=grant("ecr:*", "*", Condition={"ArnEquals": {"aws:PrincipalArn": ROLE_ARN}})),
    row("all roles of a path", "D", YES, who=ROLE, context={"aws:PrincipalArn": ROLE_ARN},
        repository=grant("ecr:*", "*", Condition={"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{OWN}:role/ci/*"}})),
    row("everyone under a condition is not limited by a session policy", "D", YES, who=ROLE, session=allow("s3:*"),
        context={"aws:PrincipalArn": ROLE_ARN},
        repository=grant("ecr:*", "*", Condition={"ArnEquals": {"aws:PrincipalArn": ROLE_ARN}})),
    row("a deny for all but one, in the way that AWS recommends", "D", YES, identity=allow("*"),
        context={"aws:PrincipalArn": USER.arn},
        repository=forbid("ecr:*", "*", Condition={"ArnNotEquals": {"aws:PrincipalArn": USER.arn}})),
    row("the same deny, for another", "D", DENIED, who=ROLE, identity=allow("*"),
        context={"aws:PrincipalArn": ROLE_ARN},
        repository=forbid("ecr:*", "*", Condition={"ArnNotEquals": {"aws:PrincipalArn": USER.arn}})),
    row("an organization by its id", "D", YES, who=OTHER_USER, identity=allow("*"),
        context={"aws:PrincipalOrgID": "o-1"},
        repository=grant("ecr:*", "*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})),
    row("another organization", "D", Reason.NO_RESOURCE, who=OTHER_USER, identity=allow("*"),
        context={"aws:PrincipalOrgID": "o-2"},
        repository=grant("ecr:*", OTHER, Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})),
    row("a boundary with a condition", "D", Reason.NO_BOUNDARY, identity=allow("*"), context=OFFICE,
        boundary=when("IpAddress", "aws:SourceIp", "10.0.0.0/8")),
    row("a session policy with a condition", "D", YES, who=ROLE, identity=allow("*"), context=OFFICE,
        session=when("IpAddress", "aws:SourceIp", "203.0.113.0/24")),
]  # fmt: skip

OWN_PREFIX = f"{REGION}:repository/${{aws:PrincipalTag/team}}/*"

VARIABLES = [
    row("a variable in the resource", "D", YES, identity=allow("ecr:*", OWN_PREFIX),
        context={"aws:PrincipalTag/team": "team"}),
    row("a variable of another value", "D", NO, identity=allow("ecr:*", OWN_PREFIX),
        context={"aws:PrincipalTag/team": "red"}),
    row("a variable without a value", "D", NO, identity=allow("ecr:*", OWN_PREFIX)),
    row("a variable with a default", "D", YES,
        identity=allow("ecr:*", f"{REGION}:repository/${{aws:PrincipalTag/team, 'team'}}/*")),
    row("a default that is not needed", "D", NO, context={"aws:PrincipalTag/team": "red"},
        identity=allow("ecr:*", f"{REGION}:repository/${{aws:PrincipalTag/team, 'team'}}/*")),
    row("a star in the value is no wildcard", "I", NO, identity=allow("ecr:*", OWN_PREFIX),
        context={"aws:PrincipalTag/team": "*"}),
    row("variables came with the version of 2012", "D", NO, version="2008-10-17",
        identity=allow("ecr:*", OWN_PREFIX), context={"aws:PrincipalTag/team": "team"}),
    row("a variable in a condition", "D", YES,
        identity=when("StringEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}"),
        context=BLUE | {"aws:PrincipalTag/team": "blue"}),
    row("a variable in a condition, of another value", "D", NO,
        identity=when("StringEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}"),
        context=BLUE | {"aws:PrincipalTag/team": "red"}),
    row("a deny with a variable that has no value is invalid", "D", YES,
        identity=never("StringNotEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}"), context=BLUE),
    row("a deny with a variable that has one", "D", DENIED,
        identity=never("StringNotEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}"),
        context=BLUE | {"aws:PrincipalTag/team": "red"}),
    row("NotResource with a variable that has no value is invalid", "I", YES,
        identity=[allow("*"), deny("ecr:*", None, NotResource=OWN_PREFIX)]),
    row("a variable in the policy of a repository", "D", YES, repository=grant(
        "ecr:*", "*", Condition={"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}}),
        context=BLUE | {"aws:PrincipalTag/team": "blue"}),
]  # fmt: skip

ROWS: list[Row] = [*WHERE_FROM, *WHEN, *TAGS, *WHO, *VARIABLES]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.sentence)
def test_conditions_decide(row: Row):
    decision = decide(row.request, row.policies)
    assert decision.reason is row.expected
    assert decision.allowed is (row.expected in ALLOWING)
