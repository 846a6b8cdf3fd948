"""Errors of pull-through caches: their rules, their credentials, and their upstreams."""

from __future__ import annotations

from ecrsim.core.protocol_errors import ServiceError


class PullThroughCacheRuleAlreadyExistsException(ServiceError):
    """The registry has a rule for that prefix."""

    template = (
        "A pull through cache rule with repository prefix '{prefix}' already exists "
        "in the registry with id '{registry_id}'"  # I
    )


class PullThroughCacheRuleNotFoundException(ServiceError):
    """The registry has no rule for that prefix."""

    template = (
        "The pull through cache rule with repository prefix '{prefix}' does not exist "
        "in the registry with id '{registry_id}'"  # I
    )


class UnsupportedUpstreamRegistryException(ServiceError):
    """ECR knows no upstream at that URL, or wants credentials for it."""


class SecretNotFoundException(ServiceError):
    """There is no secret with that ARN."""

    template = "The secret with ARN '{arn}' does not exist"  # I


class UnableToAccessSecretException(ServiceError):
    """The secret is there and cannot be used."""

    template = "The secret with ARN '{arn}' cannot be accessed: {reason}"  # I


class UnableToDecryptSecretValueException(ServiceError):
    """The secret's key does not open it."""

    template = "The secret with ARN '{arn}' cannot be decrypted"  # I


class UnableToGetUpstreamImageException(ServiceError):
    """The upstream of a pull-through cache gave no image; the text says why."""


class UnableToGetUpstreamLayerException(ServiceError):
    """The upstream of a pull-through cache gave no layer; the text says why."""


class UnableToListUpstreamImageReferrersException(ServiceError):
    """The upstream of a pull-through cache gave no list of referrers; the text says why."""
