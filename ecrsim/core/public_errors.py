"""The errors that ECR Public alone has, with the marks of `core/errors.py`."""

from __future__ import annotations

from ecrsim.core.protocol_errors import ServiceError


class UnsupportedCommandException(ServiceError):
    """ECR Public was asked in another region than its own. Recorded of GetAuthorizationToken."""

    template = "{operation} command is only supported in us-east-1."  # R


class ThrottlingException(ServiceError):
    """More requests, or bytes, than a limit lets pass. AWS's front end says so; no operation declares it."""


class RegistryNotFoundException(ServiceError):
    """No registry has that alias."""

    template = "The registry with id '{registry_id}' does not exist"  # I


class RepositoryCatalogDataNotFoundException(ServiceError):
    """Nobody has put catalog data for the repository."""

    template = (
        "Catalog data does not exist for the repository with name '{repository_name}' "
        "in the registry with id '{registry_id}'"  # I
    )
