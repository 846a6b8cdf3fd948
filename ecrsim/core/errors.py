"""The errors of the service: one class per error shape, named after it, with ECR's own sentence as its template.

Both planes answer with the same classes. The JSON API renders the class name and the message; the registry protocol
maps the class to an OCI code in `dataplane/errors.py`. A template's provenance stands beside it: R recorded from the
real service, D documented, I inferred (see docs/fidelity.md).
"""

from __future__ import annotations

from ecrsim.core.cache_errors import (
    PullThroughCacheRuleAlreadyExistsException,
    PullThroughCacheRuleNotFoundException,
    SecretNotFoundException,
    UnableToAccessSecretException,
    UnableToDecryptSecretValueException,
    UnableToGetUpstreamImageException,
    UnableToGetUpstreamLayerException,
    UnableToListUpstreamImageReferrersException,
    UnsupportedUpstreamRegistryException,
)
from ecrsim.core.protocol_errors import (
    AccessDeniedException,
    ExpiredTokenException,
    IncompleteSignatureException,
    InvalidSignatureException,
    MissingAuthenticationTokenException,
    NotImplementedException,
    RequestEntityTooLargeException,
    RequestHeaderFieldsTooLargeException,
    RequestTimeoutException,
    SerializationException,
    ServerException,
    ServiceError,
    ServiceUnavailableException,
    UnknownOperationException,
    UnrecognizedClientException,
)

__all__ = [
    "AccessDeniedException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "NotImplementedException",
    "PullThroughCacheRuleAlreadyExistsException",
    "PullThroughCacheRuleNotFoundException",
    "RequestEntityTooLargeException",
    "RequestHeaderFieldsTooLargeException",
    "RequestTimeoutException",
    "SecretNotFoundException",
    "SerializationException",
    "ServerException",
    "ServiceError",
    "ServiceUnavailableException",
    "UnableToAccessSecretException",
    "UnableToDecryptSecretValueException",
    "UnableToGetUpstreamImageException",
    "UnableToGetUpstreamLayerException",
    "UnableToListUpstreamImageReferrersException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "UnsupportedUpstreamRegistryException",
]


class InvalidParameterException(ServiceError):
    """A member breaks a constraint. `member` is spelt as ECR spells it in the sentence."""

    template = "Invalid parameter at '{member}' failed to satisfy constraint: '{constraint}'"  # R


class ValidationException(ServiceError):
    """A cross-field rule of a newer operation is broken."""


class LimitExceededException(ServiceError):
    """A quota is reached."""


class KmsException(ServiceError):
    """A key cannot be used. `kmsError` is KMS's own code."""

    extra_members = ("kmsError",)


# --- Repositories -----------------------------------------------------------------------------------------------------


class RepositoryNotFoundException(ServiceError):
    """No such repository in that registry."""

    template = (
        "The repository with name '{repository_name}' does not exist in the registry with id '{registry_id}'"  # R
    )


class RepositoryAlreadyExistsException(ServiceError):
    """CreateRepository is not idempotent."""

    template = (
        "The repository with name '{repository_name}' already exists in the registry with id '{registry_id}'"  # R
    )


class RepositoryNotEmptyException(ServiceError):
    """Images are left and `force` was not given. "in registry", without "the", is ECR's."""

    template = (
        "The repository with name '{repository_name}' in registry with id '{registry_id}' "
        "cannot be deleted because it still contains images"  # R
    )


class InvalidTagParameterException(ServiceError):
    """A resource tag breaks the rules of length, characters or prefix."""


class TooManyTagsException(ServiceError):
    """More than 50 resource tags."""

    template = "The maximum number of tags that can be applied to a repository is {limit}"  # I


class RepositoryPolicyNotFoundException(ServiceError):
    """The repository has no policy."""

    template = (
        "Repository policy does not exist for the repository with name '{repository_name}' "
        "in the registry with id '{registry_id}'"  # R
    )


class LifecyclePolicyPreviewNotFoundException(ServiceError):
    """No preview was ever started for the repository."""

    template = (
        "Lifecycle policy preview does not exist for the repository with name '{repository_name}' "
        "in the registry with id '{registry_id}'"  # I
    )


class LifecyclePolicyPreviewInProgressException(ServiceError):
    """A preview is under way already."""

    template = (
        "Lifecycle policy preview is in progress for the repository with name '{repository_name}' "
        "in the registry with id '{registry_id}'"  # I
    )


class LifecyclePolicyNotFoundException(ServiceError):
    """The repository has no lifecycle policy."""

    template = (
        "Lifecycle policy does not exist for the repository with name '{repository_name}' "
        "in the registry with id '{registry_id}'"  # R
    )


class RegistryPolicyNotFoundException(ServiceError):
    """The registry has no policy."""

    template = "Registry policy does not exist in the registry with id '{registry_id}'"  # R


class SigningConfigurationNotFoundException(ServiceError):
    """Nothing was configured for signing in the registry, or it was deleted."""

    template = "Signing configuration does not exist in the registry with id '{registry_id}'"  # I


class TemplateAlreadyExistsException(ServiceError):
    """The registry has a creation template with that prefix."""

    template = "The template with prefix '{prefix}' already exists in the registry with id '{registry_id}'"  # I


class TemplateNotFoundException(ServiceError):
    """The registry has no creation template with that prefix."""

    template = "The template with prefix '{prefix}' does not exist in the registry with id '{registry_id}'"  # I


class ReplicationBackfillNotFoundException(ServiceError):
    """The registry has no backfill with that id; it may have ended more than 90 days ago."""

    template = (
        "The replication backfill with id '{replication_backfill_id}' does not exist "
        "in the registry with id '{registry_id}'"  # I
    )


class ReplicationBackfillInProgressException(ServiceError):
    """Another backfill to the same region has not ended."""

    template = "A replication backfill to the destination region '{region}' is already in progress"  # I


class ReplicationBackfillInvalidStatusException(ServiceError):
    """Only a backfill that is PREPARING or IN_PROGRESS can be stopped."""

    template = (
        "The replication backfill with id '{replication_backfill_id}' cannot be stopped in the status {status}"  # I
    )


class ExclusionAlreadyExistsException(ServiceError):
    """The principal is on the exclusion list already."""

    template = (
        "The pull time update exclusion for principal '{principal_arn}' already exists "
        "in the registry with id '{registry_id}'"  # I
    )


class ExclusionNotFoundException(ServiceError):
    """The principal is not on the exclusion list."""

    template = (
        "The pull time update exclusion for principal '{principal_arn}' does not exist "
        "in the registry with id '{registry_id}'"  # I
    )


# --- Layers -----------------------------------------------------------------------------------------------------------


class UploadNotFoundException(ServiceError):
    """No such upload in that repository: never begun, finished, cancelled or expired."""

    template = (
        "The upload with id '{upload_id}' in the repository with name '{repository_name}' "
        "in registry with id '{registry_id}' does not exist"  # I
    )


class EmptyUploadException(ServiceError):
    """An upload is completed that never received a byte."""

    template = (
        "The upload with id '{upload_id}' in the repository with name '{repository_name}' "
        "in registry with id '{registry_id}' cannot be completed because it does not have any parts"  # R
    )


class InvalidLayerPartException(ServiceError):
    """The part does not follow the bytes that are there."""

    template = (
        "Invalid layer part upload for upload with id '{uploadId}' in the repository with name '{repositoryName}' "
        "in the registry with id '{registryId}'"  # I
    )
    extra_members = ("registryId", "repositoryName", "uploadId", "lastValidByteReceived")


class InvalidLayerException(ServiceError):
    """The bytes have another digest than any that was named."""

    template = "None of the provided layer digests match the calculated layer digest"  # R


class LayerPartTooSmallException(ServiceError):
    """A part other than the last is below 5 MiB."""

    template = "All layer parts except the last part should be at least 5MB"  # R


class LayerAlreadyExistsException(ServiceError):
    """The repository has that layer. AWS's own client takes it for success."""

    template = (
        "The layer with digest '{layer_digest}' already exists in the repository with name '{repository_name}' "
        "in registry with id '{registry_id}'"  # I
    )


class LayerInaccessibleException(ServiceError):
    """The layer is there, and no image that can be pulled uses it."""

    template = (
        "The layer with digest '{layer_digest}' is inaccessible in the repository with name '{repository_name}' "
        "in the registry with id '{registry_id}'"  # I
    )


class LayersNotFoundException(ServiceError):
    """Layers that a manifest needs, or the layer to download, are not in the repository."""

    template = (
        "Layers with digests '[{digests}]' required for pushing image into repository with name '{repository_name}' "
        "in the registry with id '{registry_id}' do not exist"  # R
    )


# --- Images -----------------------------------------------------------------------------------------------------------


class ImageNotFoundException(ServiceError):
    """No such image. The half that was not asked for is the word null inside quotes."""

    template = (
        "The image with imageId {{imageDigest:'{image_digest}', imageTag:'{image_tag}'}} does not exist within the "
        "repository with name '{repository_name}' in the registry with id '{registry_id}'"  # R
    )


class ImageAlreadyExistsException(ServiceError):
    """That digest has that tag already."""

    template = (
        "Image with digest '{image_digest}' and tag '{image_tag}' already exists in the repository "
        "with name '{repository_name}' in registry with id '{registry_id}'"  # R
    )


class ImageTagAlreadyExistsException(ServiceError):
    """The tag may not move."""

    template = (
        "The image tag '{image_tag}' already exists in the '{repository_name}' repository "
        "and cannot be overwritten because the tag is immutable."  # R
    )


class ImageDigestDoesNotMatchException(ServiceError):
    """The digest that was given is not that of the bytes."""

    template = (
        "The image with digest '{image_digest}' in repository '{repository_name}' and registry ID '{registry_id}' "
        "does not match the image digest that Amazon ECR has calculated."  # R
    )


class ImageStorageClassUpdateNotSupportedException(ServiceError):
    """From the status that the image has, that storage class cannot be asked for."""

    template = (
        "The storage class of the image with imageId {{imageDigest:'{image_digest}', imageTag:'{image_tag}'}} "
        "in the repository with name '{repository_name}' in the registry with id '{registry_id}' "
        "cannot be updated from {image_status} to {target_storage_class}"  # I
    )


class ImageArchivedException(ServiceError):
    """An archived image cannot be scanned."""

    template = (
        "The image with imageId {{imageDigest:'{image_digest}', imageTag:'{image_tag}'}} in the repository with name "
        "'{repository_name}' in the registry with id '{registry_id}' is archived and cannot be scanned"  # I
    )


class UnsupportedImageTypeException(ServiceError):
    """An index, a chart, a signature: only images are scanned."""

    template = (
        "An artifact with media type '{media_type}' cannot be scanned. "
        "For more information, see the Amazon ECR documentation."  # R
    )


class ScanNotFoundException(ServiceError):
    """The image was never scanned, by the scan type that its registry has now."""

    template = (
        "Image scan does not exist for the image with '{{imageDigest:'{image_digest}', imageTag:'{image_tag}'}}' "
        "in the repository with name '{repository_name}' in the registry with id '{registry_id}'"  # R
    )


class ReferencedImagesNotFoundException(ServiceError):
    """Images that an index lists are not in the repository."""

    template = (
        "Images with digests '[{digests}]' required for pushing image into repository with name '{repository_name}' "
        "in the registry with id '{registry_id}' do not exist"  # R
    )
