"""The credentials of a rule: from a file, or from Secrets Manager, which is a neighbour. Never kept.

A secret is JSON, `{"username": …, "accessToken": …}` (documented).
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from ecrsim.core.errors import (
    InvalidParameterException,
    SecretNotFoundException,
    ServiceError,
    UnableToAccessSecretException,
    UnableToDecryptSecretValueException,
)
from ecrsim.core.neighbours import Access, Neighbour, NeighbourError
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime
from ecrsim.core.upstream.failures import UpstreamDenied, UpstreamUnavailable
from ecrsim.core.upstream.login import Credentials
from ecrsim.ecr.pullthrough.rules import Rule, ecr_upstream

#: What Secrets Manager puts behind the name.
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")
#: The name of a session of a rule's role (inferred).
_SESSION = "ecr-pull-through-cache"


def check(runtime: Runtime, registry: Registry, rule: Rule) -> None:
    """What Create and Update ask of a secret: SecretNotFound-, UnableToAccessSecret- and …DecryptSecretValueException.

    Where ecrsim was told of no place that has secrets, it looks nowhere.
    """
    if rule.credential_arn is None:
        return
    _, _, _, region, account, *_ = rule.credential_arn.split(":")
    if (account, region) != (registry.account, registry.region):
        # The secret is of the registry's own account and region (documented; the sentence is inferred).
        raise InvalidParameterException(member="credentialArn", constraint="Invalid ARN")
    if runtime.config.secrets or runtime.config.secretsmanager_endpoint:
        _secret(runtime, rule.credential_arn)


def of_rule(runtime: Runtime, registry: Registry, rule: Rule, base: str) -> Credentials | None:
    """What to log in to the upstream with; `base` is where it is asked. UpstreamDenied, UpstreamUnavailable."""
    if rule.credential_arn is not None:
        if not runtime.config.secrets and not runtime.config.secretsmanager_endpoint:
            raise UpstreamDenied(
                f"the secret {rule.credential_arn} cannot be read: say where secrets are, with --secrets FILE or "
                "--secretsmanager-endpoint URL"
            )
        try:
            return _secret(runtime, rule.credential_arn)
        except ServiceError as error:
            raise UpstreamDenied(error.message) from None
    upstream = ecr_upstream(rule.upstream_registry_url)
    if upstream is None:
        return None
    return of_ecr(registry, base, upstream[1], rule.upstream_registry_url, rule.custom_role_arn)


def of_region(runtime: Runtime, region: str) -> Credentials | None:
    """What the file of secrets has for the site of a region (`region_endpoint`), under the region's name."""
    if not runtime.config.secrets:
        return None
    found = _of_file(runtime.config.secrets, f"arn:aws:secretsmanager:{region}::secret:{region}")
    return Credentials(found["username"], found["accessToken"]) if found else None


def of_ecr(registry: Registry, base: str, region: str, name: str, role: str | None = None) -> Credentials:
    """The password that the other ECR gives: AWS to boto3's own keys, another ecrsim to the key of this account.

    `role` is assumed at the STS of another ecrsim. Where that lets nobody assume it, the account's root user asks.
    """
    is_aws = base == f"https://{name}"
    access = Access(region) if is_aws else Access(region, base, registry.account, "ecrsim")
    if role and not is_aws:
        access = _assumed(access, role) or access
    neighbour = Neighbour("ecr", access)
    try:
        (given,) = neighbour.call("get_authorization_token")["authorizationData"]
        username, _, password = base64.b64decode(given["authorizationToken"]).decode().partition(":")
    except NeighbourError as error:
        kind = UpstreamDenied if error.code else UpstreamUnavailable
        raise kind(f"{base} gives no authorization token: {error}") from error
    except (ValueError, KeyError) as error:
        raise UpstreamDenied(f"{base} gives no authorization token that can be read") from error
    finally:
        neighbour.close()
    return Credentials(username, password)


def _assumed(access: Access, role: str) -> Access | None:
    """The keys of a session of the role; None when STS refuses it. UpstreamUnavailable."""
    neighbour = Neighbour("sts", access)
    try:
        given = neighbour.call("assume_role", RoleArn=role, RoleSessionName=_SESSION)["Credentials"]
    except NeighbourError as error:
        if not error.code:
            raise UpstreamUnavailable(f"the role {role} cannot be assumed: {error}") from error
        return None
    finally:
        neighbour.close()
    return access._replace(
        access_key_id=given["AccessKeyId"],
        secret_access_key=given["SecretAccessKey"],
        session_token=given["SessionToken"],
    )


def _secret(runtime: Runtime, arn: str) -> Credentials:
    found = _of_file(runtime.config.secrets, arn) if runtime.config.secrets else _of_manager(runtime, arn)
    if found is None:
        raise SecretNotFoundException(arn=arn)
    username, token = found.get("username"), found.get("accessToken")
    if not isinstance(username, str) or not isinstance(token, str) or not username or not token:
        raise UnableToAccessSecretException(arn=arn, reason="it has no username and accessToken")
    return Credentials(username, token)


def _of_file(file: str, arn: str) -> dict[str, Any] | None:
    """The secret in the file: by ARN, by name, or by the name without what Secrets Manager adds."""
    try:
        content = Path(file).read_bytes()
        is_json = content.lstrip().startswith(b"{")
        document = json.loads(content) if is_json else tomllib.loads(content.decode())
    except (OSError, ValueError, RecursionError):
        raise UnableToAccessSecretException(arn=arn, reason="the file of secrets cannot be read") from None
    name = arn.split(":", 6)[6]
    for key in (arn, name, _SUFFIX.sub("", name)):
        found = document.get(key) if isinstance(document, dict) else None
        if isinstance(found, dict):
            return found
    return None


def _of_manager(runtime: Runtime, arn: str) -> dict[str, Any] | None:
    region = arn.split(":")[3]
    neighbour = Neighbour("secretsmanager", Access(region, runtime.config.secretsmanager_endpoint))
    try:
        answer = neighbour.call("get_secret_value", SecretId=arn)
    except NeighbourError as error:
        if error.code == "ResourceNotFoundException":
            return None
        if error.code in ("DecryptionFailure", "DecryptionFailureException"):
            raise UnableToDecryptSecretValueException(arn=arn) from error
        raise UnableToAccessSecretException(arn=arn, reason=str(error)) from error
    finally:
        neighbour.close()
    try:
        document = json.loads(answer.get("SecretString") or "")
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else {}
