"""What the API says to pages of other origins in a browser, for the origins that `cors_origins` names. Pure.

ECR answers preflights to anybody, since its requests are signed. Here any key is let in, so nobody is named by default:
a page of a stranger could otherwise push. Lists and their order are those of AWS's front end (inferred).
"""

from __future__ import annotations

from collections.abc import Collection

from ecrsim.core.web import Headers

_METHODS = "GET,POST,OPTIONS"
_ALLOWED = (
    "authorization,content-type,date,amz-sdk-invocation-id,amz-sdk-request,x-amz-content-sha256,x-amz-date,"
    "x-amz-security-token,x-amz-target,x-amz-user-agent"
)
_EXPOSED = "x-amzn-requestid,x-amzn-errortype,x-amzn-errormessage,date"
#: Seconds for which a browser remembers the answer to a preflight: two days.
_MAX_AGE = "172800"


def origins_of(setting: str) -> tuple[str, ...]:
    """`http://localhost:3000, https://app.example` as a tuple; `*` names every origin."""
    return tuple(origin.strip() for origin in setting.split(",") if origin.strip())


def headers(origin: str | None, allowed: Collection[str]) -> Headers:
    """The headers that an answer to a page of that origin needs; none when the setting does not name it."""
    if origin is None or not {origin, "*"} & set(allowed):
        return []
    if "*" in allowed:
        return [("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", _EXPOSED)]
    return [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", _EXPOSED),
        ("Vary", "Origin"),
    ]


def preflight(origin: str | None, allowed: Collection[str]) -> Headers:
    """The headers of an answer to OPTIONS; nothing when the origin is not named."""
    shared = headers(origin, allowed)
    if not shared:
        return []
    return [
        *shared,
        ("Access-Control-Allow-Methods", _METHODS),
        ("Access-Control-Allow-Headers", _ALLOWED),
        ("Access-Control-Max-Age", _MAX_AGE),
        ("Content-Length", "0"),
    ]
