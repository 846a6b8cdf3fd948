"""Signing profiles, as AWS Signer has them: made, versioned, cancelled, revoked; or given all at once in a document.

A profile that is changed has a new version with a key of its own. What a version was is never changed, since signatures
name it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, update

from ecrsim.core import ids
from ecrsim.core.given_files import refuse_doubles
from ecrsim.core.query import Addition, Change, Query
from ecrsim.core.registry import REGION
from ecrsim.ecr.access.directory import DirectoryError, section
from ecrsim.ecr.signing.rules import NAME, PLATFORM, VALIDITY, ProfileName, is_validity, principals
from ecrsim.ecr.signing.tables import signing_profiles
from ecrsim.iam.grammar import MalformedPolicy, PolicyDocument, PolicyKind, read

_MEMBERS = ("name", "account", "region", "platform_id", "signature_validity_period", "shared_with", "tags")
#: Characters of a version (documented: ten letters and digits).
_VERSION = 10
_PRINCIPAL = re.compile(r"arn:aws(-[a-z]+)*:(iam|sts)::")
#: Characters of a region, which a certificate and an ARN have room for.
_LONGEST_REGION = 63


class ProfileRefused(Exception):
    """What was asked for cannot be done to the profile; the text says why."""


class SigningProfile(NamedTuple):
    """A version of a profile: a row of `signing_profiles`."""

    number: int
    arn: str
    profile_version: str
    account: str
    region: str
    profile_name: str
    platform_id: str
    signature_validity_period: dict[str, Any]
    tags: dict[str, str]
    shared_with: list[str]
    status: str
    status_reason: str | None
    revocation_effective_from: int | None
    revoked_at: int | None
    revoked_by: str | None
    private_key: str | None

    @property
    def version_arn(self) -> str:
        return f"{self.arn}/{self.profile_version}"


class WantedProfile(NamedTuple):
    """What a profile is to be. None is what it was before, and what AWS has for one that is new."""

    name: ProfileName
    platform_id: str = PLATFORM
    signature_validity_period: Mapping[str, Any] | None = None
    tags: Mapping[str, str] | None = None
    shared_with: Sequence[str] | None = None


_COLUMNS = [signing_profiles.c[name] for name in SigningProfile._fields]
_OF_ARN = signing_profiles.c.arn == bindparam("arn")
_CURRENT = Query(select(*_COLUMNS).where(_OF_ARN).order_by(signing_profiles.c.number.desc()).limit(1), SigningProfile)
_VERSIONED = Query(
    select(*_COLUMNS).where(_OF_ARN, signing_profiles.c.profile_version == bindparam("version")), SigningProfile
)
_NEWEST = signing_profiles.c.number.in_(select(func.max(signing_profiles.c.number)).group_by(signing_profiles.c.arn))
_PAGE = Query(
    select(*_COLUMNS)
    .where(
        _NEWEST,
        signing_profiles.c.account == bindparam("owner"),
        signing_profiles.c.region == bindparam("place"),
        signing_profiles.c.profile_name > bindparam("after"),
    )
    .order_by(signing_profiles.c.profile_name),
    SigningProfile,
)
_ALL = Query(select(*_COLUMNS).where(_NEWEST).order_by(signing_profiles.c.arn), SigningProfile)
_INSERT = Addition(
    signing_profiles, *(name for name in SigningProfile._fields if name != "number"), identity=signing_profiles.c.number
)
_CANCEL = Change(
    update(signing_profiles)
    .where(signing_profiles.c.number == bindparam("which"))
    .values(status="Canceled", status_reason=bindparam("why"))
)
#: What was revoked stays so.
_FORGET = Change(delete(signing_profiles).where(_OF_ARN, signing_profiles.c.status != "Revoked"))
_REVOKE = Change(
    update(signing_profiles)
    .where(signing_profiles.c.number == bindparam("which"))
    .values(
        status="Revoked",
        status_reason=bindparam("why"),
        revocation_effective_from=bindparam("since"),
        revoked_at=bindparam("now"),
        revoked_by=bindparam("by"),
    )
)
_SET_KEY = Change(
    update(signing_profiles)
    .where(signing_profiles.c.number == bindparam("which"))
    .values(private_key=bindparam("sealed"))
)


def current(connection: Connection, arn: str) -> SigningProfile | None:
    """The newest version, which is what the profile is now; None when there is no such profile."""
    return _CURRENT.first(connection, arn=arn)


def of_version(connection: Connection, arn: str, profile_version: str) -> SigningProfile | None:
    return _VERSIONED.first(connection, arn=arn, version=profile_version)


def everywhere(connection: Connection) -> list[SigningProfile]:
    """All that there are, by ARN."""
    return _ALL.all(connection)


def page(connection: Connection, account: str, region: str, after: str) -> list[SigningProfile]:
    """Those of an account and region whose names come after `after`, by name."""
    return _PAGE.all(connection, owner=account, place=region, after=after)


def put(connection: Connection, wanted: WantedProfile) -> SigningProfile:
    """Make the profile, or a new version of it (inferred). ProfileRefused for the name of one that is over."""
    arn = wanted.name.arn
    known = current(connection, arn)
    if known is not None and known.status != "Active":
        # Documented: the name of a profile that was cancelled cannot be used again.
        raise ProfileRefused(f"The signing profile {wanted.name.profile_name} is {known.status.lower()}.")
    values = {
        "arn": arn,
        "profile_version": ids.new_uuid().replace("-", "")[:_VERSION],
        **wanted.name._asdict(),
        **_described(wanted, known),
        "status": "Active",
        **dict.fromkeys(("status_reason", "revocation_effective_from", "revoked_at", "revoked_by", "private_key")),
    }
    return SigningProfile(number=_INSERT.add(connection, **values), **values)


def _described(wanted: WantedProfile, known: SigningProfile | None) -> dict[str, Any]:
    """All that is to be said of the profile, as columns."""
    period, tags, shared = wanted.signature_validity_period, wanted.tags, wanted.shared_with
    if known is not None:
        period = known.signature_validity_period if period is None else period
        tags = known.tags if tags is None else tags
        shared = known.shared_with if shared is None else shared
    return {
        "platform_id": wanted.platform_id,
        "signature_validity_period": dict(VALIDITY if period is None else period),
        "tags": dict(tags or {}),
        "shared_with": list(shared or ()),
    }


def cancel(connection: Connection, profile: SigningProfile) -> None:
    """It signs no more; what it signed stays good (documented). ProfileRefused for one that was revoked."""
    if profile.status == "Revoked":
        raise ProfileRefused(f"The signing profile {profile.profile_name} is revoked.")
    _CANCEL.run(connection, which=profile.number, why="The signing profile was canceled.")


def revoke(connection: Connection, profile: SigningProfile, reason: str, since: int, now: int, by: str) -> None:
    """The version signs no more, and what it signed since then is good no more (documented).

    A revocation cannot be undone: one from later on leaves an earlier one as it is (inferred).
    """
    before = profile.revocation_effective_from
    if before is not None and before <= since:
        return
    _REVOKE.run(connection, which=profile.number, why=reason, since=since, now=now, by=by)


def set_key(connection: Connection, profile: SigningProfile, sealed: str) -> None:
    _SET_KEY.run(connection, which=profile.number, sealed=sealed)


# --- the document -----------------------------------------------------------------------------------------------------


@section("signing_profiles", _MEMBERS)
def replace_all(connection: Connection, entries: Sequence[Mapping[str, Any]], account: str, region: str) -> int:
    """Make the entries the profiles that there are. DirectoryError when one is wrong.

    One that is there already and is described the same keeps its version, and so its key. One that is over stays so and
    keeps its name, in the document or not; versions that were revoked stay with their certificates, which the list of
    those revoked names. Returns how many the document has.
    """
    wanted = [_wanted(entry, account, region) for entry in entries]
    refuse_doubles("signing profile", (each.name.arn for each in wanted), DirectoryError)
    named = {each.name.arn for each in wanted}
    for known in everywhere(connection):
        if known.status == "Active" and known.arn not in named:
            _FORGET.run(connection, arn=known.arn)
    for each in wanted:
        found = current(connection, each.name.arn)
        if found is None or (found.status == "Active" and _differs(found, each)):
            put(connection, each)
    return len(wanted)


def _differs(known: SigningProfile, wanted: WantedProfile) -> bool:
    return any(getattr(known, name) != value for name, value in _described(wanted, known).items())


def name_in(entry: Mapping[str, Any], account: str, region: str) -> ProfileName:
    """The `name` of an entry, with its `account` and `region` or those given. DirectoryError."""
    name = entry.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise DirectoryError(f"a signing profile needs a name of 2 to 64 letters, digits and _, not {name!r}")
    owner, place = entry.get("account", account), entry.get("region", region)
    if not isinstance(owner, str) or not _is_account(owner):
        raise DirectoryError(f"signing profile {name}: account is twelve digits")
    # The region that ecrsim was started for is one, however it is called.
    if place != region and (not isinstance(place, str) or len(place) > _LONGEST_REGION or not REGION.fullmatch(place)):
        raise DirectoryError(f"signing profile {name}: region is a text such as us-east-1")
    return ProfileName(owner, place, name)


def _wanted(entry: Mapping[str, Any], account: str, region: str) -> WantedProfile:
    name = name_in(entry, account, region)
    where = f"signing profile {name.profile_name}"
    validity = entry.get("signature_validity_period", VALIDITY)
    if (
        not isinstance(validity, Mapping)
        or validity.keys() != {"value", "type"}
        or not is_validity(validity["value"], validity["type"])
    ):
        raise DirectoryError(
            f"{where}: signature_validity_period is an object of value and type (DAYS, MONTHS, YEARS), "
            "135 months at most"
        )
    platform = entry.get("platform_id", PLATFORM)
    shared, tags = entry.get("shared_with", []), entry.get("tags", {})
    if not isinstance(platform, str):
        raise DirectoryError(f"{where}: platform_id is a text")
    if not isinstance(shared, list) or not all(isinstance(text, str) and _is_principal(text) for text in shared):
        raise DirectoryError(f"{where}: shared_with is a list of accounts and of ARNs of principals")
    if not isinstance(tags, Mapping) or not all(isinstance(text, str) for pair in tags.items() for text in pair):
        raise DirectoryError(f"{where}: tags is an object of texts")
    try:
        policy_of(shared)
    except MalformedPolicy as error:
        raise DirectoryError(f"{where}: shared_with is a list of accounts and of ARNs of principals: {error}") from None
    return WantedProfile(name, platform, validity, tags, shared)


def policy_of(shared_with: Sequence[str]) -> PolicyDocument | None:
    """The policy of a profile that is shared, None for one that is not. MalformedPolicy for what is no principal."""
    shared = principals(shared_with)
    return None if shared is None else read(shared, PolicyKind.REPOSITORY, "signing profile", service="signer")


def _is_account(text: str) -> bool:
    return len(text) == 12 and text.isascii() and text.isdigit()


def _is_principal(text: str) -> bool:
    return _is_account(text) or _PRINCIPAL.match(text) is not None
