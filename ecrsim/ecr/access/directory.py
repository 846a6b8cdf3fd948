"""The principals that are known, and their keys: read from a document, kept in the database, looked up by key.

A document replaces all that was known before. Secrets come in and are compared with; nothing here gives them out again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from ecrsim.core import ids
from ecrsim.core.durations import SECOND
from ecrsim.core.errors import ServiceUnavailableException, UnrecognizedClientException
from ecrsim.core.given_files import refuse_doubles
from ecrsim.core.properties import get_property, set_property
from ecrsim.core.query import Query
from ecrsim.core.registry import partition
from ecrsim.core.runtime import Call
from ecrsim.core.sealing import SecretDamaged, seal_of
from ecrsim.ecr.access.tables import access_keys, identity_providers, principals
from ecrsim.iam.grammar import MalformedPolicy, PolicyDocument, PolicyKind, read
from ecrsim.iam.managed import managed_policy
from ecrsim.iam.webidentity import read_keys
from ecrsim.spelling import hint

log = logging.getLogger("ecrsim.access")

_NAME = re.compile(r"[\w+=,.@-]{1,64}")
_PATH = re.compile(r"/(?:[\w+=,.@-]+/)*")
_ACCOUNT = re.compile(r"\d{12}")
_KEY_ID = re.compile(r"[A-Za-z0-9]{4,128}")
_MEMBERS = {
    "users": {"name", "path", "account", "policies", "boundary", "tags", "access_keys"},
    "roles": {"name", "path", "account", "policies", "boundary", "tags", "trust", "max_session_duration"},
    "identity_providers": {"issuer", "account", "audiences", "keys"},
}


#: What is known of the entries of a section: all of them at once, with the default account and region.
Section = Callable[[Connection, Sequence[Mapping[str, Any]], str, str], int]
_sections: dict[str, Section] = {}


class DirectoryError(ValueError):
    """The document describes no principals; the text says where it is wrong."""


def section(name: str, members: Iterable[str]) -> Callable[[Section], Section]:
    """Declare a list of the document that a later capability reads: it makes the entries those that there are.

    They have these members and no others. The function runs in the transaction of the principals, raises
    DirectoryError, and answers how many there are. Without the list in a document nothing of it changes.
    """

    def register(function: Section) -> Section:
        _MEMBERS[name], _sections[name] = set(members), function
        return function

    return register


def replace_section(connection: Connection, name: str, document: Mapping[str, Any], account: str, region: str) -> int:
    """Make the entries of one list those that there are, and leave the rest of what is known alone. DirectoryError."""
    return _sections[name](connection, _entries(document, name), account, region)


class AccessKey(NamedTuple):
    """An access key. Of a session, `session_arn` and what follows are set."""

    access_key_id: str
    secret: str
    owner: str
    session_token: str | None
    session_arn: str | None
    session_policies: list[dict[str, Any]] | None
    session_tags: dict[str, str] | None
    expires_at: int | None


_KEY = Query(
    select(
        access_keys.c.access_key_id,
        access_keys.c.secret,
        access_keys.c.owner,
        access_keys.c.session_token,
        access_keys.c.session_arn,
        access_keys.c.session_policies,
        access_keys.c.session_tags,
        access_keys.c.expires_at,
    ).where(access_keys.c.access_key_id == bindparam("access_key_id")),
    AccessKey,
)


def find_key(connection: Connection, access_key_id: str) -> AccessKey | None:
    """None when nobody has the key. UnrecognizedClientException when its secret in the database was altered.

    That is no unknown key, which the open mode takes for root's.
    """
    key = _KEY.first(connection, access_key_id=access_key_id)
    if key is None:
        return None
    try:
        secret = seal_of(connection).opened(key.secret, "access_keys", access_key_id)
    except SecretDamaged as error:
        log.error("%s; give the principals anew", error)  # noqa: TRY400 - what happened is no fault of the code
        raise UnrecognizedClientException from error
    return key._replace(secret=secret)


def find_principal(connection: Connection, arn: str) -> Any:
    """The row of a user or role, None when there is none."""
    return connection.execute(select(principals).where(principals.c.arn == arn)).one_or_none()


def known_arns(connection: Connection) -> set[str]:
    """Of all users and roles."""
    return set(connection.execute(select(principals.c.arn)).scalars())


def find_provider(connection: Connection, issuer: str) -> Any:
    return connection.execute(select(identity_providers).where(identity_providers.c.issuer == issuer)).one_or_none()


# --- what was last changed --------------------------------------------------------------------------------------------

_GENERATION = "access:generation"


def generation(connection: Connection) -> str | None:
    """A text that is another one after each change of principals, keys or policies; None before the first."""
    return get_property(connection, _GENERATION)


def forget_decisions(call: Call) -> None:
    """Say that principals, keys or policies have changed: what was decided before is decided anew."""
    renew_generation(call.connection)


def renew_generation(connection: Connection) -> None:
    set_property(connection, _GENERATION, ids.new_uuid())


# --- writing ----------------------------------------------------------------------------------------------------------


def replace_all(connection: Connection, document: Mapping[str, Any], account: str, region: str) -> dict[str, int]:
    """Make the document's principals, keys and identity providers the known ones. DirectoryError when it is wrong.

    `account` is that of entries that name none. Sessions go on, with the rights that their user or role has now, and
    end when it is gone (documented: a session outlives the key that it came from). Returns how many of each there are.
    """
    unknown = set(document) - set(_MEMBERS)
    if unknown:
        raise DirectoryError(f"there is no {min(unknown)}; {', '.join(_MEMBERS)} are what can be known")
    rows: list[dict[str, Any]] = []
    keys: list[dict[str, Any]] = []
    for user in _entries(document, "users"):
        row = _principal(user, "user", account, region)
        rows.append(row)
        keys.extend(_keys(user, row["arn"]))
    rows.extend(_principal(role, "role", account, region) for role in _entries(document, "roles"))
    providers = [_provider(entry, account, region) for entry in _entries(document, "identity_providers")]
    refuse_doubles("principal", (row["arn"] for row in rows), DirectoryError)
    refuse_doubles("access key", (key["access_key_id"] for key in keys), DirectoryError)
    refuse_doubles("issuer", (provider["issuer"] for provider in providers), DirectoryError)
    for table, content in ((principals, rows), (identity_providers, providers)):
        connection.execute(delete(table))
        if content:
            connection.execute(insert(table), content)
    _end_keys(connection, [key["access_key_id"] for key in keys])
    if keys:
        seal = seal_of(connection)
        connection.execute(
            insert(access_keys),
            [key | {"secret": seal.sealed(key["secret"], "access_keys", key["access_key_id"])} for key in keys],
        )
    others = {name: replace_section(connection, name, document, account, region)
              for name in _sections if name in document}  # fmt: skip
    renew_generation(connection)
    return {"users": len(_entries(document, "users")), "roles": len(rows) - len(_entries(document, "users")),
            "identity_providers": len(providers), **others}  # fmt: skip


def _end_keys(connection: Connection, replaced: list[str]) -> None:
    """Forget the long-lived keys, those that are `replaced`, and sessions of whom nobody knows any more."""
    owner = access_keys.c.owner
    is_orphan = owner.not_in(select(principals.c.arn)) & owner.not_like("arn:%:root")
    is_replaced = access_keys.c.access_key_id.in_(replaced)
    connection.execute(delete(access_keys).where(access_keys.c.session_token.is_(None) | is_orphan | is_replaced))


def _entries(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    entries = document.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise DirectoryError(f"{name} is a list of objects")
    for entry in entries:
        for member in entry:
            if member not in _MEMBERS[name]:
                raise DirectoryError(f"an entry of {name} has no member {member}{hint(member, _MEMBERS[name])}")
    return entries


def _principal(entry: Mapping[str, Any], kind: str, account: str, region: str) -> dict[str, Any]:
    name, path = entry.get("name"), entry.get("path", "/")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DirectoryError(f"a {kind} needs a name of letters, digits and _+=,.@-, not {name!r}")
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise DirectoryError(f"{kind} {name}: a path begins and ends with a slash")
    owner = _account(entry, account)
    where = f"{kind} {name}"
    lifetime = entry.get("max_session_duration", 3600)
    if type(lifetime) is not int or not 900 <= lifetime <= 43_200:
        raise DirectoryError(f"{where}: max_session_duration is 900 to 43200 seconds")
    if kind == "role" and "trust" not in entry:
        raise DirectoryError(f"{where} needs a trust policy")
    return {
        "arn": f"arn:{partition(region)}:iam::{owner}:{kind}{path}{name}",
        "account": owner,
        "kind": kind,
        "name": name,
        "policies": [
            _attached(policy, number, where) for number, policy in enumerate(_list(entry, "policies", where), 1)
        ],
        "boundary": _limit(entry, where),
        "trust": _checked(entry["trust"], PolicyKind.TRUST, f"{where}: trust policy") if kind == "role" else None,
        "tags": _tags(entry.get("tags", {}), where),
        "max_session": lifetime,
    }


def _attached(policy: Any, number: int, where: str) -> dict[str, Any]:
    """A managed policy by name or ARN, `{"name": …, "document": …}`, or a document."""
    if isinstance(policy, str) and not policy.lstrip().startswith("{"):
        managed = managed_policy(policy)
        if managed is None:
            raise DirectoryError(f"{where}: there is no managed policy {policy}")
        return {"name": policy, "document": None}
    if isinstance(policy, Mapping) and "document" in policy:
        name = str(policy.get("name") or f"policy {number}")
        return {"name": name, "document": _checked(policy["document"], PolicyKind.IDENTITY, f"{where}: {name}")}
    return {"name": f"policy {number}", "document": _checked(policy, PolicyKind.IDENTITY, f"{where}: policy {number}")}


def _limit(entry: Mapping[str, Any], where: str) -> dict[str, Any] | None:
    boundary = entry.get("boundary")
    if boundary is None:
        return None
    if isinstance(boundary, str) and not boundary.lstrip().startswith("{"):
        if managed_policy(boundary, PolicyKind.BOUNDARY) is None:
            raise DirectoryError(f"{where}: there is no managed policy {boundary}")
        return {"name": boundary, "document": None}
    return {"name": "boundary", "document": _checked(boundary, PolicyKind.BOUNDARY, f"{where}: boundary")}


def _checked(policy: Any, kind: PolicyKind, name: str) -> Any:
    try:
        read(policy, kind, name)
    except MalformedPolicy as error:
        raise DirectoryError(f"{name}: {error}") from None
    return policy


def _keys(user: Mapping[str, Any], owner: str) -> Iterable[dict[str, Any]]:
    for key in _list(user, "access_keys", owner):
        identity, secret = (key.get("id"), key.get("secret")) if isinstance(key, Mapping) else (None, None)
        if not isinstance(identity, str) or not _KEY_ID.fullmatch(identity) or _ACCOUNT.fullmatch(identity):
            raise DirectoryError(
                f"{owner}: an access key needs an id of letters and digits that is not an account's number"
            )
        if not isinstance(secret, str) or not secret:
            raise DirectoryError(f"{owner}: access key {identity} needs a secret")
        yield {"access_key_id": identity, "secret": secret, "owner": owner}


def _provider(entry: Mapping[str, Any], account: str, region: str) -> dict[str, Any]:
    issuer, audiences, keys = entry.get("issuer"), entry.get("audiences", ["sts.amazonaws.com"]), entry.get("keys")
    if not isinstance(issuer, str) or not issuer.startswith(("https://", "http://")):
        raise DirectoryError("an identity provider needs an issuer, a URL")
    if not isinstance(audiences, list) or not audiences or not all(isinstance(text, str) for text in audiences):
        raise DirectoryError(f"{issuer}: audiences is a list of texts")
    try:
        read_keys(keys)  # type: ignore[arg-type]  # whatever it is, what cannot be read is refused here
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise DirectoryError(f"{issuer}: keys is a JSON Web Key Set or a PEM text: {error}") from None
    host = issuer.partition("://")[2].rstrip("/")
    arn = f"arn:{partition(region)}:iam::{_account(entry, account)}:oidc-provider/{host}"
    return {"arn": arn, "issuer": issuer, "audiences": audiences, "keys": keys}


def _account(entry: Mapping[str, Any], account: str) -> str:
    owner = str(entry.get("account", account))
    if not _ACCOUNT.fullmatch(owner):
        raise DirectoryError(f"an account is 12 digits, not {owner}")
    return owner


def _list(entry: Mapping[str, Any], name: str, where: str) -> list[Any]:
    value = entry.get(name, [])
    if not isinstance(value, list):
        raise DirectoryError(f"{where}: {name} is a list")
    return value


def _tags(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise DirectoryError(f"{where}: tags is an object of texts")
    return dict(value)


# --- sessions ---------------------------------------------------------------------------------------------------------


#: Keys and sessions, beyond which none is begun. One that is not over yet is never forgotten instead: the open mode
#: takes a key that nobody knows for root's.
MOST_KEYS = 100_000
_COUNT = select(func.count()).select_from(access_keys)


class Session(NamedTuple):
    """Temporary credentials, to be handed out once."""

    access_key_id: str
    secret: str
    session_token: str
    expires_at: int


def begin_session(
    call: Call, owner: str, session_arn: str | None, seconds: int, policies: list[dict[str, Any]], tags: dict[str, str]
) -> Session:
    """A key that goes by `session_arn` (None: by its owner's ARN) until it expires. Runs in a write transaction."""
    if (call.connection.execute(_COUNT).scalar() or 0) >= MOST_KEYS:
        raise ServiceUnavailableException(f"There are {MOST_KEYS} keys and sessions already; wait until some end.")
    if not has_keys(call.connection):
        forget_decisions(call)  # from now on there are keys to look for
    token = ids.new_secret().hex() + ids.new_secret().hex()
    session = Session(
        f"ASIA{ids.new_uuid().replace('-', '')[:16].upper()}",
        ids.new_secret().hex()[:40],
        token,
        call.now + seconds * SECOND,
    )
    call.connection.execute(
        insert(access_keys).values(
            access_key_id=session.access_key_id,
            secret=seal_of(call.connection).sealed(session.secret, "access_keys", session.access_key_id),
            owner=owner,
            session_token=token,
            session_arn=session_arn,
            session_policies=policies or None,
            session_tags=tags or None,
            expires_at=session.expires_at,
        )
    )
    return session


def has_keys(connection: Connection) -> bool:
    """True when any key is known at all."""
    return connection.execute(select(access_keys.c.access_key_id).limit(1)).first() is not None


def end_sessions(connection: Connection, before: int) -> int:
    """Forget the keys of sessions that ended before then (epoch milliseconds). Returns how many."""
    return connection.execute(delete(access_keys).where(access_keys.c.expires_at <= before)).rowcount


def session_limit(policies: list[dict[str, Any]]) -> PolicyDocument | None:
    """The session policies as one document: an allow of any of them counts."""
    documents = documents_of(policies, PolicyKind.SESSION)
    if len(documents) < 2:
        return documents[0] if documents else None
    statements = [statement for document in documents for statement in document.statements]
    numbered = (statement._replace(number=number) for number, statement in enumerate(statements, 1))
    return PolicyDocument(PolicyKind.SESSION, "session policies", tuple(numbered))


def documents_of(policies: list[dict[str, Any]], kind: PolicyKind) -> tuple[PolicyDocument, ...]:
    """Read what `replace_all` has checked."""
    found = []
    for policy in policies:
        managed = managed_policy(policy["name"], kind) if policy["document"] is None else None
        found.append(managed or read(policy["document"], kind, policy["name"]))
    return tuple(found)
