"""The requests of boto3, for record.py: what it signs, it sends to the recorder."""

from __future__ import annotations

import os
import urllib.request
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["RECORDER_ENDPOINT"]
MANIFEST = os.environ["RECORDER_MANIFEST"]
ROLE = "arn:aws:iam::123456789012:role/deploy"
POLICY = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}'


def client(service: str, kind: str, region: str, path: str = "") -> Any:
    """`kind`: PERMANENT or TEMPORARY, the prefix of the variables that hold the credentials."""
    session = boto3.Session(
        aws_access_key_id=os.environ[f"{kind}_ACCESS_KEY"],
        aws_secret_access_key=os.environ[f"{kind}_SECRET_KEY"],
        aws_session_token=os.environ.get(f"{kind}_SESSION_TOKEN"),
        region_name=region,
    )
    return session.client(service, endpoint_url=ENDPOINT + path, config=Config(retries={"total_max_attempts": 1}))


def send(operation: Any, **arguments: Any) -> None:
    """The recorder denies everything."""
    try:
        operation(**arguments)
    except ClientError:
        return


def send_presigned(sts: Any, headers: dict[str, str]) -> None:
    def add_headers(request: Any, **_: Any) -> None:
        for name, value in headers.items():
            request.headers[name] = value

    sts.meta.events.register("before-sign.sts.GetCallerIdentity", add_headers)
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    try:
        urllib.request.urlopen(urllib.request.Request(url, headers=headers))  # noqa: S310 - the recorder's own address
    except OSError:
        return


def main() -> None:
    ecr = client("ecr", "PERMANENT", "us-east-1")
    send(ecr.get_authorization_token)
    send(ecr.describe_repositories, registryId="123456789012", maxResults=5)
    tags = [{"Key": "Größe", "Value": "✓ ok"}]
    send(ecr.create_repository, repositoryName="team/app", imageTagMutability="IMMUTABLE", tags=tags)
    send(ecr.put_image, repositoryName="team/app", imageManifest=MANIFEST, imageTag="v1")
    send(client("ecr", "PERMANENT", "us-east-1", "/a%20prefix/b").describe_registry)
    send(client("ecr-public", "PERMANENT", "us-east-1").describe_repositories)
    sts = client("sts", "PERMANENT", "us-east-1")
    send(sts.get_caller_identity)
    send(sts.assume_role, RoleArn=ROLE, RoleSessionName="ci", ExternalId="a+b/c=d:e@f", Policy=POLICY)
    send(sts.get_session_token, DurationSeconds=900)
    send_presigned(sts, {})

    ecr = client("ecr", "TEMPORARY", "eu-central-1")
    send(ecr.batch_get_image, repositoryName="team/app", imageIds=[{"imageTag": "v1"}, {"imageTag": "v2"}])
    send(ecr.initiate_layer_upload, repositoryName="team/app")
    part = {"uploadId": "2f3b1c0e-6f0a-4a0e-9d5b-0c1d2e3f4a5b", "partFirstByte": 0, "partLastByte": 255}
    send(ecr.upload_layer_part, repositoryName="team/app", layerPartBlob=bytes(range(256)), **part)
    send(client("ecr", "TEMPORARY", "ap-southeast-2").list_images, repositoryName="team/app")
    sts = client("sts", "TEMPORARY", "eu-central-1")
    send(sts.get_caller_identity)
    send_presigned(sts, {"x-k8s-aws-id": "cluster"})


if __name__ == "__main__":
    main()
