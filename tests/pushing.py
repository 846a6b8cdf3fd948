"""Pushing through the API, as a client that does without docker."""

import hashlib
import json
from typing import Any

from ecrsim.testing import BuiltImage, build_image

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


#: The digest of something that nobody pushes.
NOWHERE = digest_of(b"nowhere")


def create(ecr: Any, repository: str = "app", **options: Any) -> str:
    ecr.create_repository(repositoryName=repository, **options)
    return repository


def push_layer(ecr: Any, repository: str, data: bytes) -> str:
    """Upload a layer in one part, unless it is there. Answers its digest."""
    digest = digest_of(data)
    place = {"repositoryName": repository}
    found = ecr.batch_check_layer_availability(**place, layerDigests=[digest])["layers"]
    if found[0]["layerAvailability"] == "UNAVAILABLE":
        place["uploadId"] = ecr.initiate_layer_upload(**place)["uploadId"]
        ecr.upload_layer_part(**place, partFirstByte=0, partLastByte=len(data) - 1, layerPartBlob=data)
        ecr.complete_layer_upload(**place, layerDigests=[digest])
    return digest


def put(ecr: Any, repository: str, image: BuiltImage, tag: str | None = None, **options: Any) -> str:
    """PutImage alone. Answers the image's digest."""
    if tag is not None:
        options["imageTag"] = tag
    answer = ecr.put_image(repositoryName=repository, imageManifest=image.manifest.decode(), **options)
    return answer["image"]["imageId"]["imageDigest"]


def push(ecr: Any, repository: str, image: BuiltImage | None = None, *tags: str) -> str:
    """An image with its layers and tags. Answers its digest."""
    image = image or build_image()
    for data in image.blobs.values():
        push_layer(ecr, repository, data)
    for tag in tags or (None,):
        put(ecr, repository, image, tag)
    return image.digest


def numbered(number: int, **options: Any) -> BuiltImage:
    """One of many small images that differ in an annotation alone, so that they share their blobs."""
    return build_image(annotations={"number": str(number)}, **options)


def index_of(*images: BuiltImage, media_type: str = OCI_INDEX, **members: Any) -> BuiltImage:
    """An index, or a Docker manifest list, of these images."""
    listed = [{"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)} for image in images]
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": listed, **members}
    manifest = json.dumps(document).encode()
    return BuiltImage(manifest, media_type, digest_of(manifest), {})


def artifact_of(subject: BuiltImage | str, artifact_type: str | None = "application/vnd.example.sbom", **members: Any):
    """An OCI 1.1 artifact about a subject, with the layer of two bytes that ECR asks of it."""
    digest, size = (subject, 2) if isinstance(subject, str) else (subject.digest, len(subject.manifest))
    if artifact_type is not None:
        members["artifactType"] = artifact_type
    return build_image(
        b"{}",
        config=b"{}",
        config_media_type=EMPTY,
        layer_media_type=EMPTY,
        subject={"mediaType": OCI_MANIFEST, "digest": digest, "size": size},
        **members,
    )


def entries(answer: dict[str, Any], member: str = "imageIds") -> list[tuple[str, str | None]]:
    """(digest, tag or None) of each entry of an answer's list, in its order."""
    return [(entry["imageDigest"], entry.get("imageTag")) for entry in answer[member]]


def listed(ecr: Any, repository: str, **options: Any) -> list[tuple[str, str | None]]:
    return entries(ecr.list_images(repositoryName=repository, **options))


def described(ecr: Any, repository: str, **image_id: str) -> dict[str, Any]:
    """The one detail of an image."""
    (detail,) = ecr.describe_images(repositoryName=repository, imageIds=[image_id])["imageDetails"]
    return detail
