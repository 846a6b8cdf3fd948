"""The JSON API without boto3, for requests that boto3 would not send."""

import json
from typing import Any

from ecrsim import Ecrsim
from ecrsim.testing import Response, call_application
from tests.answers import ACCOUNT, REGION, Refusal

TARGETS = {"ecr": "AmazonEC2ContainerRegistry_V20150921", "ecr-public": "SpencerFrontendService"}
CONTENT_TYPE = "application/x-amz-json-1.1"


def authorization(access_key: str = ACCOUNT, region: str = REGION, service: str = "ecr") -> str:
    """The header of a signed request. Who signs is read, the signature itself is not checked."""
    credential = f"{access_key}/20260102/{region}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"


def post(
    sim: Ecrsim,
    operation: str,
    members: dict[str, Any] | None = None,
    *,
    body: bytes | None = None,
    service: str = "ecr",
    query: str = "",
    **headers: str | None,
) -> Response:
    """Send `members` as JSON, or `body` as it is. A header given as None is not sent: `authorization=None`."""
    sent = {
        "content_type": CONTENT_TYPE,
        "x_amz_target": f"{TARGETS[service]}.{operation}",
        "authorization": authorization(service=service),
        "x_amz_date": "20260102T030405Z",
        **headers,
    }
    content = json.dumps(members or {}).encode() if body is None else body
    given = {name.replace("_", "-"): value for name, value in sent.items() if value is not None}
    return call_application(sim.app, "POST", f"{sim.endpoint_url}/{query}", given, content)


def refusal_of(response: Response) -> Refusal:
    document = response.json()
    return Refusal(document["__type"], document["message"])
