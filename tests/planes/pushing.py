"""Two ways into ecrsim, driven alike: the JSON API through boto3, and the registry protocol on the wire.

Both run in process, over an ecrsim each, with the clock stopped at the same instant: what differs between the databases
afterwards differs because of the plane.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from botocore.exceptions import ClientError
from sqlalchemy import select

from ecrsim import Ecrsim
from ecrsim.core import outbox
from ecrsim.core.columns import metadata
from ecrsim.testing import Response, call_application
from tests.planes.catalogue import Fixture
from tests.pushing import digest_of

ACCOUNT = "000000000000"
#: 2026-01-02T03:04:05.678Z
INSTANT = 1_767_323_045_678


@cache
def client(sim: Ecrsim, account: str = ACCOUNT) -> Any:
    """Making a boto3 client takes a hundred times as long as calling it."""
    return sim.client("ecr", account=account)


class Refused(Exception):
    """The plane's answer is an error. `code` is the error class, or the status and OCI code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class Plane(Protocol):
    """One plane of one ecrsim. Every verb raises Refused when the answer is an error."""

    name: str
    sim: Ecrsim

    def has_layer(self, repository: str, digest: str) -> bool: ...

    def push_layer(self, repository: str, data: bytes, digest: str | None = None) -> None: ...

    def push_manifest(
        self, repository: str, manifest: bytes, media_type: str | None, tag: str | None, digest: str | None = None
    ) -> str: ...

    def pull(self, repository: str, reference: str) -> tuple[bytes, str]: ...

    def delete(self, repository: str, reference: str) -> None: ...

    def begin(self, repository: str) -> str: ...

    def append(self, repository: str, upload_id: str, first: int, data: bytes) -> None: ...

    def complete(self, repository: str, upload_id: str, digest: str) -> None: ...


class ApiPlane:
    """PutImage, UploadLayerPart and their kin, through boto3."""

    name = "api"

    def __init__(self, sim: Ecrsim, account: str = ACCOUNT) -> None:
        self.sim = sim
        self.client = client(sim, account)
        self.registry_id = sim.runtime.config.account

    def _call(self, operation: str, **members: Any) -> Any:
        given = {name: value for name, value in members.items() if value is not None}
        try:
            return getattr(self.client, operation)(registryId=self.registry_id, **given)
        except ClientError as error:
            raise Refused(error.response["Error"]["Code"], error.response["Error"]["Message"]) from None

    def has_layer(self, repository: str, digest: str) -> bool:
        (layer,) = self._call("batch_check_layer_availability", repositoryName=repository, layerDigests=[digest])[
            "layers"
        ]
        return bool(layer["layerAvailability"] == "AVAILABLE")

    def push_layer(self, repository: str, data: bytes, digest: str | None = None) -> None:
        upload_id = self.begin(repository)
        self.append(repository, upload_id, 0, data)
        self.complete(repository, upload_id, digest or digest_of(data))

    def begin(self, repository: str) -> str:
        return str(self._call("initiate_layer_upload", repositoryName=repository)["uploadId"])

    def append(self, repository: str, upload_id: str, first: int, data: bytes) -> None:
        self._call(
            "upload_layer_part",
            repositoryName=repository,
            uploadId=upload_id,
            partFirstByte=first,
            partLastByte=first + len(data) - 1,
            layerPartBlob=data,
        )

    def complete(self, repository: str, upload_id: str, digest: str) -> None:
        self._call("complete_layer_upload", repositoryName=repository, uploadId=upload_id, layerDigests=[digest])

    def push_manifest(
        self, repository: str, manifest: bytes, media_type: str | None, tag: str | None, digest: str | None = None
    ) -> str:
        answer = self._call(
            "put_image",
            repositoryName=repository,
            imageManifest=manifest.decode(),
            imageManifestMediaType=media_type,
            imageTag=tag,
            imageDigest=digest,
        )
        return str(answer["image"]["imageId"]["imageDigest"])

    def pull(self, repository: str, reference: str) -> tuple[bytes, str]:
        answer = self._call("batch_get_image", repositoryName=repository, imageIds=[_image_id(reference)])
        for failure in answer["failures"]:
            raise Refused(failure["failureCode"], failure["failureReason"])
        image = answer["images"][0]
        return image["imageManifest"].encode(), image["imageManifestMediaType"]

    def delete(self, repository: str, reference: str) -> None:
        answer = self._call("batch_delete_image", repositoryName=repository, imageIds=[_image_id(reference)])
        for failure in answer["failures"]:
            raise Refused(failure["failureCode"], failure["failureReason"])


def _image_id(reference: str) -> dict[str, str]:
    return {"imageDigest": reference} if ":" in reference else {"imageTag": reference}


class RegistryPlane:
    """/v2/, as a registry client speaks to it."""

    name = "registry"

    def __init__(self, sim: Ecrsim, account: str = ACCOUNT) -> None:
        self.sim = sim
        (token,) = client(sim, account).get_authorization_token()["authorizationData"]
        self._headers = {"Authorization": f"Basic {token['authorizationToken']}"}
        # A token of another account has another home: its holder names the registry by host.
        config = sim.runtime.config
        foreign = account != config.account
        self._host = f"{config.account}.dkr.ecr.{config.region}.localhost" if foreign else "localhost"

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        """The answer, whatever it is."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return call_application(self.sim.app, method, f"http://{self._host}{path}", self._headers | given, body)

    def _call(self, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
        answer = self.call(method, path, body, **headers)
        if answer.status >= 400:
            (error,) = json.loads(answer.body)["errors"]
            raise Refused(f"{answer.status} {error['code']}", error["message"])
        return answer

    def get(self, path: str) -> Response:
        return self._call("GET", path)

    def has_layer(self, repository: str, digest: str) -> bool:
        return self.call("HEAD", f"/v2/{repository}/blobs/{digest}").status == 200

    def push_layer(self, repository: str, data: bytes, digest: str | None = None) -> None:
        upload_id = self.begin(repository)
        self.append(repository, upload_id, 0, data)
        self.complete(repository, upload_id, digest or digest_of(data))

    def begin(self, repository: str) -> str:
        return self._call("POST", f"/v2/{repository}/blobs/uploads/").headers["Docker-Upload-UUID"]

    def append(self, repository: str, upload_id: str, first: int, data: bytes) -> None:
        span = f"{first}-{first + len(data) - 1}"
        self._call("PATCH", f"/v2/{repository}/blobs/uploads/{upload_id}", data, Content_Range=span)

    def complete(self, repository: str, upload_id: str, digest: str) -> None:
        self._call("PUT", f"/v2/{repository}/blobs/uploads/{upload_id}?{urlencode({'digest': digest})}")

    def push_manifest(
        self, repository: str, manifest: bytes, media_type: str | None, tag: str | None, digest: str | None = None
    ) -> str:
        reference = quote(tag, safe="") if tag else digest or digest_of(manifest)
        if digest is not None and tag is not None:
            reference = f"{digest}?{urlencode({'tag': tag})}"
        headers = {} if media_type is None else {"Content_Type": media_type}
        answer = self._call("PUT", f"/v2/{repository}/manifests/{reference}", manifest, **headers)
        return answer.headers["Docker-Content-Digest"]

    def pull(self, repository: str, reference: str) -> tuple[bytes, str]:
        answer = self._call("GET", f"/v2/{repository}/manifests/{reference}")
        return answer.body, answer.headers["Content-Type"]

    def delete(self, repository: str, reference: str) -> None:
        self._call("DELETE", f"/v2/{repository}/manifests/{reference}")


def push(plane: Plane, repository: str, fixture: Fixture, tag: str | None = None) -> str:
    """The layers that are missing, then the manifest. What it lists has to be there."""
    for digest, data in fixture.layers.items():
        if not plane.has_layer(repository, digest):
            plane.push_layer(repository, data, digest)
    return plane.push_manifest(repository, fixture.manifest, fixture.told_type, tag, fixture.expected_digest)


#: What differs between two databases although nothing does that a user could see. Everything else is compared.
MAY_DIFFER = {
    "properties": "keys of tokens and URLs, random and made on first use; opening checks the schema version",
    "audit": "each request asks for what it does, and the planes have different requests",
    "deliveries": "how far each target has come, which goes on beside the test",
    "events": "each is named at random, and has on its trail the request as its plane has it; `facts` is compared",
}


def rows(sim: Ecrsim) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables but those of `MAY_DIFFER`."""
    sim.runtime.batch.flush()
    found = {}
    with sim.runtime.database.read() as connection:
        for table in metadata.sorted_tables:
            if table.name not in MAY_DIFFER:
                query = select(table).order_by(*table.primary_key.columns)
                found[table.name] = [dict(row._mapping) for row in connection.execute(query)]
        found["facts"] = [
            {"at": event.at, "type": event.type, "repository_name": event.repository_name, **event.facts}
            for event in outbox.page(connection, 0, 1_000_000)
            if event.type != "ApiCalled"
        ]
    return found
