"""Images for the benchmark: as many unique manifests as asked for, over a small set of layers pushed beforehand.

Each manifest has four layers, one from each of four sets, chosen by the digits of the image's number. So no two
images have the same list of layers: moto names an image by its layer digests, and would take equal lists for one
image.
"""

import base64
import hashlib
import json
from typing import Any

from benchmark.figures import BenchError
from benchmark.wire import DOCKER_MANIFEST, Api

POSITIONS = 4
LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class ImageSet:
    """Manifests number 0 to `width ** 4 - 1`, and the layers that they refer to."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode()
        self.layers = [
            [f"layer {position}.{digit} ".encode() * 100 for digit in range(width)] for position in range(POSITIONS)
        ]
        self._descriptors = [
            [{"mediaType": LAYER_TYPE, "size": len(layer), "digest": digest_of(layer)} for layer in layers]
            for layers in self.layers
        ]

    def manifest(self, number: int) -> str:
        if number >= self.width**POSITIONS:
            raise ValueError(f"image {number} of a set that holds {self.width**POSITIONS}")
        layers = []
        for position in range(POSITIONS):
            number, digit = divmod(number, self.width)
            layers.append(self._descriptors[position][digit])
        config = {"mediaType": CONFIG_TYPE, "size": len(self.config), "digest": digest_of(self.config)}
        return json.dumps({"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": layers})

    def put_image(self, repository: str, number: int) -> dict[str, Any]:
        """The members of the PutImage call for one image, tagged `v<number>`."""
        return {
            "repositoryName": repository,
            "imageManifest": self.manifest(number),
            "imageManifestMediaType": DOCKER_MANIFEST,
            "imageTag": f"v{number}",
        }

    def blobs(self) -> list[bytes]:
        return [self.config, *(layer for layers in self.layers for layer in layers)]

    def create_repository(self, api: Api, repository: str) -> None:
        """A repository that holds every layer and no image."""
        api.call("CreateRepository", repositoryName=repository)
        for blob in self.blobs():
            upload = api.call("InitiateLayerUpload", repositoryName=repository)["uploadId"]
            api.call(
                "UploadLayerPart",
                repositoryName=repository,
                uploadId=upload,
                partFirstByte=0,
                partLastByte=len(blob) - 1,
                layerPartBlob=base64.b64encode(blob).decode(),
            )
            answer = api.call(
                "CompleteLayerUpload", repositoryName=repository, uploadId=upload, layerDigests=[digest_of(blob)]
            )
            if answer.get("layerDigest") != digest_of(blob):
                raise BenchError(f"CompleteLayerUpload answered {answer}")
