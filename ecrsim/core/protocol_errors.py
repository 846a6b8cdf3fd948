"""The base of all errors, and what AWS's front end or ecrsim itself answers before an operation is reached.

Everybody else finds them in `core/errors.py`. Provenance is marked as there.
"""

from __future__ import annotations

from typing import Any, ClassVar


class ServiceError(Exception):
    """An answer that is an error. `members` are the error shape's members besides the message."""

    status: ClassVar[int] = 400
    template: ClassVar[str] = ""
    #: Template values that are members of the error shape as well, in wire names.
    extra_members: ClassVar[tuple[str, ...]] = ()

    def __init__(self, message: str | None = None, **values: Any) -> None:
        self.message = message if message is not None else self.template.format(**values)
        self.members = {name: values[name] for name in self.extra_members if values.get(name) is not None}
        super().__init__(self.message)

    @property
    def code(self) -> str:
        """The wire name of the error: `RepositoryNotFoundException`."""
        return type(self).__name__


class ServerException(ServiceError):
    """The one fault of the model."""

    status = 500


# --- Protocol errors: what the AWS front end answers before an operation is reached -----------------------------------


class UnknownOperationException(ServiceError):
    """The target header names no operation of the service."""


class SerializationException(ServiceError):
    """The body is not JSON, or a member has the wrong JSON type."""


class RequestEntityTooLargeException(ServiceError):
    """The body is over the limit of the front end."""

    status = 413


class RequestTimeoutException(ServiceError):
    """ecrsim's own: the body came too slowly."""

    status = 408


class RequestHeaderFieldsTooLargeException(ServiceError):
    """ecrsim's own: the headers are over the limit of the front end."""

    status = 431


class NotImplementedException(ServiceError):
    """ecrsim's own: the operation exists in the model and is not built yet."""

    status = 501
    template = "ecrsim does not implement the operation {operation} yet."


class ServiceUnavailableException(ServiceError):
    """ecrsim's own: the disk is full or read-only, or the database cannot be written. Nothing was stored.

    `is_undone`: the database undid the work for the sake of others, or was lost before it was asked to commit. To do it
    again may succeed.
    """

    status = 503

    def __init__(self, message: str | None = None, *, is_undone: bool = False) -> None:
        super().__init__(message)
        self.is_undone = is_undone


class MissingAuthenticationTokenException(ServiceError):
    """No signature on a request that needs one."""

    template = "Missing Authentication Token"  # R


class IncompleteSignatureException(ServiceError):
    """The Authorization header is there and cannot be read."""


class UnrecognizedClientException(ServiceError):
    """The access key is unknown."""

    template = "The security token included in the request is invalid."  # R


class InvalidSignatureException(ServiceError):
    """The signature is not what the holder of the key would have made, or is of another time."""


class ExpiredTokenException(ServiceError):
    """The key is a session's, and the session has ended."""

    template = "The security token included in the request is expired"  # R


class AccessDeniedException(ServiceError):
    """The principal may not do that; the sentence says which policy decided (`iam/decision.py`)."""
