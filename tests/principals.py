"""Users and roles for tests, and clients that sign with their keys."""

import json
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from ecrsim import Ecrsim
from ecrsim.testing import Response, _Raw, call_application
from tests.answers import ACCOUNT, REGION

REGISTRY = f"arn:aws:ecr:{REGION}:{ACCOUNT}"


def admin(sim: Ecrsim, method: str, path: str, body: Any = None) -> Response:
    """An answer of the admin surface to somebody who has its token."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {sim.runtime.admin_token}"}
    return call_application(sim.app, method, f"{sim.endpoint_url}/_ecrsim/{path}", headers, content)


def know(sim: Ecrsim, document: Any) -> Any:
    """Make these the principals that are known."""
    answer = admin(sim, "PUT", "principals", document)
    assert answer.status == 200, answer.body
    return answer.json()


def statement(*actions: str, effect: str = "Allow", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": list(actions), "Resource": resource, **more}


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def user(name: str, *policies: Any, **more: Any) -> dict[str, Any]:
    """A user with the key `AKIA<NAME>`, whose secret is `secret of <name>`."""
    keys = [{"id": f"AKIA{name.upper()}", "secret": f"secret of {name}"}]
    return {"name": name, "policies": list(policies), "access_keys": keys, **more}


def client_of(sim: Ecrsim, name: str, service: str = "ecr", **more: Any) -> Any:
    return signed_client(sim, service, f"AKIA{name.upper()}", f"secret of {name}", **more)


def client_of_session(sim: Ecrsim, answer: dict[str, Any], service: str = "ecr") -> Any:
    """A client with the credentials that STS answered."""
    given = answer["Credentials"]
    return signed_client(sim, service, given["AccessKeyId"], given["SecretAccessKey"], token=given["SessionToken"])


def signed_client(
    sim: Ecrsim, service: str, key: str, secret: str, *, token: str | None = None, region: str = REGION
) -> Any:
    """A boto3 client that calls the application in this process, with these credentials."""
    client = boto3.client(
        service,
        endpoint_url=sim.endpoint_url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}),
    )

    def send(request: Any, **_: Any) -> AWSResponse:
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else bytes(body)
        answer = call_application(sim.app, request.method, request.url, dict(request.headers.items()), content)
        return AWSResponse(request.url, answer.status, answer.headers, _Raw(answer.body))

    client.meta.events.register(f"before-send.{service}", send)
    return client


def token_of(client: Any) -> str:
    return str(client.get_authorization_token()["authorizationData"][0]["authorizationToken"])


def registry(sim: Ecrsim, token: str, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
    """An answer of /v2/."""
    given = {"Authorization": f"Basic {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return call_application(sim.app, method, f"{sim.endpoint_url}{path}", given, body)


def registry_denial(answer: Response) -> str:
    """The sentence of a 403 DENIED."""
    assert answer.status == 403, answer
    (error,) = answer.json()["errors"]
    assert error["code"] == "DENIED"
    return str(error["message"])


def denied(principal: str, action: str, resource: str, why: str = "no identity-based policy allows") -> str:
    """AWS's sentence. `resource`: an ARN, or the name of a repository of the default registry."""
    arn = resource if resource == "*" or resource.startswith("arn:") else f"{REGISTRY}:repository/{resource}"
    end = f"because {why} the ecr:{action} action" if why.startswith("no ") else why
    return f"User: {principal} is not authorized to perform: ecr:{action} on resource: {arn} {end}"
