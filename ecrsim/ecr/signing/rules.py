"""Which profiles sign an image, until when, and why they do not. Pure.

Documented: each rule names a profile and filters of repository names, in which `*` is any run of characters; a rule
without filters is for all repositories; an image has one status for each profile. Inferred: a filter without `*` is an
exact name.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import MAXYEAR, UTC, datetime
from typing import Any, NamedTuple

from ecrsim.core.durations import DAY
from ecrsim.core.errors import InvalidParameterException, ServiceError, ServiceUnavailableException
from ecrsim.core.glob import matches
from ecrsim.core.partitions import partition_of
from ecrsim.core.registry import Registry

Rules = Sequence[Mapping[str, Any]]

#: Where the list of revoked certificates is. Below no plane: whoever verifies has no credentials.
LIST_PATH = "/signer/revocations.crl"
#: What ECR signs with (documented).
PLATFORM = "Notation-OCI-SHA384-ECDSA"
#: How long a signature of that platform is good when its profile says nothing, and at most (documented).
VALIDITY = {"value": 135, "type": "MONTHS"}
MOST_MONTHS = 135
#: Days after which there is none to be had: 135 months.
_MOST_DAYS = 4109
#: The end of the year 9999.
_LAST = 253_402_300_799_000

#: Seconds after a refusal at which it is tried again (inferred; recorded is that a permission which is given
#: afterwards lets the signature come late).
TRIED_AGAIN = (60, 300, 1800)

_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):signer:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
    r":/signing-profiles/(?P<name>[a-zA-Z0-9_]{2,64})"
)
NAME = re.compile(r"[a-zA-Z0-9_]{2,64}")


class ProfileName(NamedTuple):
    """A profile's place and name."""

    account: str
    region: str
    profile_name: str

    @property
    def arn(self) -> str:
        partition = partition_of(self.region).name
        return f"arn:{partition}:signer:{self.region}:{self.account}:/signing-profiles/{self.profile_name}"


def name_of(arn: str) -> ProfileName | None:
    """None for what is no profile's ARN, or names another partition than the region's."""
    match = _ARN.fullmatch(arn)
    if match is None or match["partition"] != partition_of(match["region"]).name:
        return None
    return ProfileName(match["account"], match["region"], match["name"])


def check(rules: Rules, registry: Registry) -> None:
    """InvalidParameterException for a profile of another region (documented; the sentence is inferred).

    Whether there is the profile, and of which platform, is not looked at (recorded of the platform).
    """
    for rule in rules:
        name = name_of(rule["signingProfileArn"])
        if name is None or name.region != registry.region:
            raise InvalidParameterException(
                member="signingConfiguration",
                constraint=f"Signing profile must be in the same region as the registry: {rule['signingProfileArn']}",
            )


def profiles(rules: Rules, repository_name: str) -> list[str]:
    """ARNs of the profiles that sign what is pushed to the repository, each once, in the order of the rules."""
    return list(dict.fromkeys(rule["signingProfileArn"] for rule in rules if _is_for(rule, repository_name)))


def _is_for(rule: Mapping[str, Any], repository_name: str) -> bool:
    filters = rule.get("repositoryFilters")
    return filters is None or any(matches(each["filter"], repository_name) for each in filters)


# --- how long a signature is good -------------------------------------------------------------------------------------


def is_validity(value: Any, kind: Any) -> bool:
    """Whether a validity period is one that the platform has: a day to 135 months (documented)."""
    if type(value) is not int or value < 1:
        return False
    most = {"DAYS": _MOST_DAYS, "MONTHS": MOST_MONTHS, "YEARS": MOST_MONTHS // 12}
    return isinstance(kind, str) and kind in most and value <= most[kind]


def expires_at(now: int, validity: Mapping[str, Any]) -> int:
    """When a signature of now ends, in epoch milliseconds. A month ends on its own last day at the latest.

    The clock may be turned to where a calendar has no such day any more: the last one is the end then.
    """
    value, kind = validity["value"], validity["type"]
    if kind == "DAYS":
        return min(now + int(value) * DAY, _LAST)
    months = int(value) * (12 if kind == "YEARS" else 1)
    begin = datetime.fromtimestamp(now / 1000, UTC)
    count = begin.year * 12 + begin.month - 1 + months
    year, month = count // 12, count % 12 + 1
    if year > MAXYEAR:
        return _LAST
    end = begin.replace(year=year, month=month, day=min(begin.day, calendar.monthrange(year, month)[1]))
    return int(end.timestamp() * 1000)


# --- why there is no signature ----------------------------------------------------------------------------------------


class SigningFailure(NamedTuple):
    """Why an image was not signed. ACCESS_DENIED is recorded, the other codes and all reasons are inferred."""

    code: str
    reason: str

    @property
    def is_tried_again(self) -> bool:
        return self.code == "ACCESS_DENIED"


class SigningRefused(Exception):
    """The profile signs no more, as `failure` says."""

    def __init__(self, failure: SigningFailure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class RootDamaged(ServiceUnavailableException):
    """The root of signatures is there and is none: that does not pass until somebody puts the right one back."""


def refusal(arn: str, status: str | None, platform_id: str | None) -> SigningFailure | None:
    """Why the profile does not sign; None when it does. `status` is None where there is no such profile."""
    if status is None:
        return SigningFailure("SIGNING_PROFILE_NOT_FOUND", f"The signing profile {arn} does not exist.")
    if status != "Active":
        return SigningFailure("SIGNING_PROFILE_NOT_ACTIVE", f"The signing profile {arn} is {status.lower()}.")
    if platform_id != PLATFORM:
        return SigningFailure("UNSUPPORTED_PLATFORM", f"The platform of the signing profile {arn} is not {PLATFORM}.")
    return None


def failure_of(error: ServiceError) -> SigningFailure:
    """`LimitExceededException` is LIMIT_EXCEEDED."""
    name = error.code.removesuffix("Exception")
    return SigningFailure(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper(), error.message)


def next_try(tried: int) -> int | None:
    """Seconds until the next try after so many that were refused; None when there is none."""
    return TRIED_AGAIN[tried - 1] if tried <= len(TRIED_AGAIN) else None


def principals(shared_with: Iterable[str]) -> dict[str, Any] | None:
    """The policy of a profile that other accounts or principals may sign with; None when it is nobody's but its own."""
    names = list(shared_with)
    if not names:
        return None
    allowed = {"Effect": "Allow", "Principal": {"AWS": names}, "Action": ["signer:SignPayload"]}
    return {"Version": "2012-10-17", "Statement": [allowed]}
