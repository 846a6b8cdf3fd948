"""Who signed an API request: the access key names the account, the scope of the signature the region."""

from __future__ import annotations

import re
from urllib.parse import unquote

from ecrsim.config import Config
from ecrsim.core.errors import (
    IncompleteSignatureException,
    MissingAuthenticationTokenException,
    UnrecognizedClientException,
)
from ecrsim.core.runtime import Caller, root_caller
from ecrsim.core.web import Request

_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256\s.*?Credential=([^/,\s]+)/([0-9]{8})/([^/,\s]*)/([^/,\s]+)/aws4_request")
_SCOPE = re.compile(r"([^/]+)/([0-9]{8})/([^/]*)/([^/]+)/aws4_request")
_PARAMETER = re.compile(r"(Credential|Signature|SignedHeaders)=([^,\s]*)")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")


def caller_of(config: Config, request: Request) -> Caller:
    """The caller of a signed request, by header or by presigned query."""
    access_key, region = _signed(request)
    if not _REGION.fullmatch(region):
        region = config.region
    if _ACCOUNT.fullmatch(access_key):
        return root_caller(access_key, region, access_key)
    if config.auth == "strict":
        raise UnrecognizedClientException
    return root_caller(config.account, region, access_key)


def _signed(request: Request) -> tuple[str, str]:
    """(access key, region)."""
    authorization = request.header("AUTHORIZATION")
    if authorization:
        match = _CREDENTIAL.match(authorization)
        if match is None:
            raise IncompleteSignatureException(_complaint(request, authorization))
        return match[1], match[3]
    scope = request.parameter("X-Amz-Credential")
    match = _SCOPE.fullmatch(unquote(scope)) if scope else None
    if match is None:
        raise MissingAuthenticationTokenException
    return match[1], match[3]


def _complaint(request: Request, authorization: str) -> str:
    """What is wrong with an Authorization header, in the front end's own words (recorded)."""
    parameters = dict(_PARAMETER.findall(authorization))
    if "Credential" in parameters:
        return (
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{parameters['Credential']}'"
        )
    sentences = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if name not in parameters
    ]
    if not (request.header("X_AMZ_DATE") or request.header("DATE")):
        sentences.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    return " ".join([*sentences, f"Authorization={authorization}"])
