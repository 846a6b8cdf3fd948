"""What may be said about keys: which configuration a repository can have, which key a text names, what a state allows.

Pure. KMS's own codes and sentences; where it is not said otherwise they are inferred for ECR, which shows them as
`KmsException{message, kmsError}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ecrsim.core.errors import InvalidParameterException, KmsException
from ecrsim.core.registry import Registry, partition

#: The key that AWS manages for ECR, one for each account and region (documented).
AWS_ALIAS = "alias/aws/ecr"
#: Aliases that only AWS makes (documented by KMS).
RESERVED = "alias/aws/"
ENABLED, DISABLED, PENDING_DELETION = "Enabled", "Disabled", "PendingDeletion"
#: What ECR is granted by each of its two grants (documented).
GRANTED = ("GenerateDataKey", "Decrypt")
GRANTS = 2
#: Days between the request to delete a key and its end (documented by KMS).
SHORTEST_WAIT, LONGEST_WAIT = 7, 30

KEY_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|mrk-[0-9a-f]{32}")
ALIAS = re.compile(r"alias/[a-zA-Z0-9/_-]{1,250}")
_ARN = re.compile(
    rf"arn:(?P<partition>aws[a-z0-9-]*):kms:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{{12}}):"
    rf"(key/(?P<key>{KEY_ID.pattern})|(?P<alias>{ALIAS.pattern}))"
)


class NamedKey(NamedTuple):
    """A key as it was named, in whole: by its id, or by an alias where `key_id` is empty."""

    account: str
    region: str
    key_id: str
    alias_name: str

    @property
    def arn(self) -> str:
        """Of the key, or of the alias."""
        return key_arn(self.account, self.region, self.key_id) if self.key_id else self._arn(self.alias_name)

    def _arn(self, resource: str) -> str:
        return f"arn:{partition(self.region)}:kms:{self.region}:{self.account}:{resource}"


def key_arn(account: str, region: str, key_id: str) -> str:
    """`arn:aws:kms:<region>:<account>:key/<id>`."""
    return f"arn:{partition(region)}:kms:{region}:{account}:key/{key_id}"


def named_key(registry: Registry, text: str) -> NamedKey:
    """The key that an id, an ARN, an alias or an alias's ARN names. KmsException for what can be none.

    It is in the region of the repository (documented).
    """
    if text.startswith("arn:"):
        found = _ARN.fullmatch(text)
        if found is None or found["region"] != registry.region or found["partition"] != partition(registry.region):
            raise KmsException(f"Invalid arn {text}", kmsError="NotFoundException")  # I
        return NamedKey(found["account"], registry.region, found["key"] or "", found["alias"] or "")
    if ALIAS.fullmatch(text):
        return NamedKey(registry.account, registry.region, "", text)
    if KEY_ID.fullmatch(text):
        return NamedKey(registry.account, registry.region, text, "")
    raise KmsException(f"Invalid keyId '{text}'", kmsError="NotFoundException")  # I


def check_configuration(registry: Registry, configuration: Mapping[str, str]) -> None:
    """A key goes with KMS only (inferred); KMS_DSSE is for the regions of AWS GovCloud (US) (documented, text I)."""
    kind, constraint = configuration["encryptionType"], ""
    if kind == "AES256" and "kmsKey" in configuration:
        constraint = "KmsKey cannot be specified with AES256 encryption type"
    elif kind == "KMS_DSSE" and partition(registry.region) != "aws-us-gov":
        constraint = "KMS_DSSE encryption type is only available in AWS GovCloud (US) regions"
    if constraint:
        raise InvalidParameterException(member="encryptionConfiguration", constraint=constraint)


def check_state(arn: str, state: str) -> None:
    """KMS's refusals of a key that is not enabled (documented: its table of key states). KmsException."""
    if state == ENABLED:
        return
    if state == DISABLED:
        raise KmsException(f"{arn} is disabled.", kmsError="DisabledException")
    words = {PENDING_DELETION: "pending deletion", "PendingImport": "pending import", "Unavailable": "unavailable"}
    raise KmsException(f"{arn} is {words.get(state, state)}.", kmsError="KMSInvalidStateException")


def not_found(named: NamedKey) -> KmsException:
    """KMS's sentences for a key and an alias that are not there."""
    text = f"Key '{named.arn}' does not exist" if named.key_id else f"Alias {named.arn} is not found."
    return KmsException(text, kmsError="NotFoundException")


def no_grant(arn: str, action: str, registry: Registry) -> KmsException:
    """The grant was revoked or retired, so that ECR may not use the key (inferred)."""
    return KmsException(
        f"{principal_of(registry)} is not authorized to perform: kms:{action} on resource: {arn} because no grant "
        f"allows the kms:{action} action",
        kmsError="AccessDeniedException",
    )


def check_usage(described: Mapping[str, Any]) -> None:
    """A key that signs, or a pair of keys, encrypts no repository (documented). `described`: KMS's KeyMetadata."""
    arn = described.get("Arn", "")
    if described.get("KeyUsage", "ENCRYPT_DECRYPT") != "ENCRYPT_DECRYPT":
        raise KmsException(
            f"{arn} key usage is {described['KeyUsage']} which is not valid for GenerateDataKey.",  # I
            kmsError="InvalidKeyUsageException",
        )
    spec = described.get("KeySpec") or described.get("CustomerMasterKeySpec") or "SYMMETRIC_DEFAULT"
    if spec != "SYMMETRIC_DEFAULT":
        raise KmsException(
            f"{arn} key spec is {spec} which is not valid for GenerateDataKey.",  # I
            kmsError="InvalidKeyUsageException",
        )


def principal_of(registry: Registry) -> str:
    """Who is granted the use of a key, and retires the grant: ECR in the region (documented)."""
    return f"ecr.{registry.region}.amazonaws.com"


def grants_left(repository_name: str, kms_key: str) -> str:
    """What is said of a repository that was deleted while its grants were not retired (documented, verbatim)."""
    return (
        f"The repository [{repository_name}] has been deleted successfully but the grants created by the kmsKey "
        f"[{kms_key}] failed to be retired"
    )


def context(registry: Registry, repository_name: str, object_name: str) -> dict[str, str]:
    """ECR's encryption context (documented); `object_name` stands for what AWS's bucket calls the repository."""
    bucket = f"arn:{partition(registry.region)}:s3:::{registry.region}-starport-manifest-bucket"
    return {"aws:s3:arn": f"{bucket}/{object_name}", "aws:ecr:arn": registry.arn(repository_name)}
