"""Errors of the registry protocol: one table from the service's classes to OCI's codes, and one renderer."""

from __future__ import annotations

import orjson

from ecrsim.core import errors
from ecrsim.core.errors import ServiceError
from ecrsim.core.misses import Unfetched
from ecrsim.core.public_errors import ThrottlingException
from ecrsim.core.web import RETRY_LATER, Answer, Headers
from ecrsim.ecr.images.manifest import NotAnImage


class RegistryError(Exception):
    """An answer that only the registry protocol knows."""

    def __init__(self, status: int, code: str, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or []


#: Class → status, code. Statuses marked I are inferred (docs/fidelity.md); codes are recorded unless the class is.
_TABLE: dict[type[ServiceError], tuple[int, str]] = {
    errors.RepositoryNotFoundException: (404, "NAME_UNKNOWN"),
    errors.InvalidParameterException: (405, "UNSUPPORTED"),
    NotAnImage: (400, "MANIFEST_INVALID"),  # code I
    errors.ImageTagAlreadyExistsException: (400, "TAG_INVALID"),  # status I
    errors.LayersNotFoundException: (404, "BLOB_UPLOAD_UNKNOWN"),  # status I
    errors.ReferencedImagesNotFoundException: (404, "MANIFEST_BLOB_UNKNOWN"),  # status I
    errors.ImageDigestDoesNotMatchException: (400, "MANIFEST_INVALID"),  # status I
    errors.InvalidLayerException: (400, "BLOB_UPLOAD_INVALID"),
    errors.EmptyUploadException: (400, "BLOB_UPLOAD_INVALID"),
    errors.LayerPartTooSmallException: (400, "BLOB_UPLOAD_INVALID"),
    errors.UploadNotFoundException: (404, "BLOB_UPLOAD_UNKNOWN"),  # I
    errors.LayerInaccessibleException: (404, "UNKNOWN"),  # I
    errors.AccessDeniedException: (403, "DENIED"),
    errors.KmsException: (403, "DENIED"),  # I
    errors.LimitExceededException: (403, "DENIED"),
    ThrottlingException: (429, "TOOMANYREQUESTS"),
    errors.ServiceUnavailableException: (503, "UNAVAILABLE"),  # ecrsim's own
}


def from_service(error: ServiceError) -> RegistryError:
    """The registry's words for an error of the service. A class that is not in the table is UNKNOWN."""
    status, code = _TABLE.get(type(error), (error.status, "UNKNOWN"))
    return RegistryError(status, code, error.message, [RETRY_LATER] if status == 503 else None)


def render(error: RegistryError) -> Answer:
    body = orjson.dumps({"errors": [{"code": error.code, "message": error.message}]})
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *error.headers]
    return Answer(error.status, headers, body)


def manifest_unknown() -> RegistryError:
    return RegistryError(404, "MANIFEST_UNKNOWN", "Requested image not found")  # R


#: Why an upstream gave nothing → status, code. Recorded are the first two, the others are inferred.
_UNFETCHED = {
    "denied": (403, "DENIED"),
    "busy": (429, "TOOMANYREQUESTS"),
    "unavailable": (503, "UNAVAILABLE"),
    "invalid": (502, "UNAVAILABLE"),
    "unreached": (403, "DENIED"),
}


def not_fetched(unfetched: Unfetched) -> RegistryError:
    """The error of a pull that found nothing here or upstream."""
    if unfetched.kind == "missing":
        return manifest_unknown()
    if isinstance(unfetched.error, errors.KmsException):
        # It is not the upstream: the key here cannot be used, whether something of the cache is there already or not.
        return from_service(unfetched.error)
    headers = [] if unfetched.retry_after is None else [("Retry-After", str(max(1, round(unfetched.retry_after))))]
    status, code = _UNFETCHED[unfetched.kind]
    return RegistryError(status, code, unfetched.error.message, headers)


def inaccessible() -> RegistryError:
    """An archived image (recorded)."""
    return RegistryError(404, "UNKNOWN", "The requested image is in an inaccessible state. Please restore if needed")


def blob_unknown(layer_digest: str, repository_name: str, registry_id: str) -> RegistryError:
    return RegistryError(
        404,
        "BLOB_UNKNOWN",
        f"The layer with digest '{layer_digest}' does not exist within the repository "
        f"with name '{repository_name}' in the registry with id '{registry_id}'",  # R, of the API
    )


def digest_invalid(text: str) -> RegistryError:
    return RegistryError(400, "DIGEST_INVALID", f"'{text[:200]}' is not a sha256 or sha512 digest")
