"""Authorization tokens: given to a caller, checked for a request."""

from __future__ import annotations

from ecrsim.core.clock import SECOND
from ecrsim.core.runtime import Call, Runtime
from ecrsim.ecr.access import tokens


def issue_token(call: Call) -> tuple[str, int]:
    """(authorizationToken, expiry in epoch milliseconds) for the caller."""
    runtime = call.runtime
    expires_at = call.now + runtime.config.token_lifetime * SECOND
    caller = call.caller
    token = tokens.Token(caller.account, caller.region, caller.principal, expires_at // SECOND, caller.access_key)
    return tokens.issue(runtime.secret("token"), token), expires_at


def check_token(runtime: Runtime, authorization: str | None, now: int) -> tokens.Token | tokens.Refusal:
    return tokens.verify(runtime.secret("token"), authorization, now)
