"""May this principal do that? One way to ask, for both planes."""

from __future__ import annotations

from ecrsim.core.arn import Registry, repository_arn
from ecrsim.core.clock import SECOND
from ecrsim.core.errors import AccessDeniedException
from ecrsim.core.runtime import Call, Caller, Runtime
from ecrsim.ecr.access import tokens


def authorize(caller: Caller, action: str, registry: Registry, repository_name: str | None = None) -> None:
    """AccessDeniedException with AWS's sentence when it may not.

    Within its own account a principal may do everything; another account's registry is closed to it, since no policy
    can be stored yet that would open it.
    """
    if registry.account != caller.account:
        resource = "*" if repository_name is None else repository_arn(registry, repository_name)
        raise AccessDeniedException(
            principal=caller.principal, action=f"ecr:{action}", resource=resource, policy_type="resource-based"
        )


def issue_token(call: Call) -> tuple[str, int]:
    """(authorizationToken, expiry in epoch milliseconds) for the caller."""
    runtime = call.runtime
    expires_at = call.now + runtime.config.token_lifetime * SECOND
    caller = call.caller
    token = tokens.Token(caller.account, caller.region, caller.principal, expires_at // SECOND)
    return tokens.issue(runtime.secret("token"), token), expires_at


def check_token(runtime: Runtime, authorization: str | None, now: int) -> tokens.Token | tokens.Refusal:
    return tokens.verify(runtime.secret("token"), authorization, now)
