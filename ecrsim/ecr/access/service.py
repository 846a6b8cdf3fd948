"""Authorization tokens, given to a caller and checked for a request; the policy of a repository, read and kept."""

from __future__ import annotations

from ecrsim.core.durations import SECOND
from ecrsim.core.errors import InvalidParameterException
from ecrsim.core.query import upsert
from ecrsim.core.registry import PUBLIC_REGION, partition
from ecrsim.core.runtime import Call, Runtime
from ecrsim.ecr.access import tokens
from ecrsim.ecr.access.canonical import canonical, pretty
from ecrsim.ecr.access.directory import forget_decisions
from ecrsim.ecr.access.tables import repository_policies
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.iam.grammar import MalformedPolicy, PolicyDocument, PolicyKind, parse, read


def issue_token(call: Call) -> tuple[str, int]:
    """(authorizationToken, expiry in epoch milliseconds) for the caller."""
    runtime = call.runtime
    expires_at = call.now + runtime.config.token_lifetime * SECOND
    caller = call.caller
    token = tokens.Token(caller.account, caller.region, caller.principal, expires_at // SECOND, caller.access_key)
    return tokens.issue(runtime.secret("token"), token), expires_at


def issue_anonymous_token(runtime: Runtime) -> str:
    """A token that is nobody's, for pulls from public registries."""
    expiration = runtime.clock.now() // SECOND + runtime.config.token_lifetime
    return tokens.issue(runtime.secret("token"), tokens.Token("", PUBLIC_REGION, "", expiration))


def check_token(runtime: Runtime, authorization: str | None, now: int) -> tokens.Token | tokens.TokenRefusal:
    return tokens.verify(runtime.secret("token"), authorization, now)


def check_repository_policy(policy_text: str, service: str = "ecr") -> PolicyDocument:
    """Read the policy of a repository of ECR or of ECR Public. InvalidParameterException when it is none."""
    try:
        return read(policy_text, PolicyKind.REPOSITORY, PolicyKind.REPOSITORY.value, service=service)
    except MalformedPolicy:
        raise InvalidParameterException(
            member="PolicyText", constraint="Invalid repository policy provided"
        ) from None  # R


def put_repository_policy(call: Call, repository: Repository, policy_text: str) -> str:
    """Keep a policy that was checked, in place of the one before. Answers the text as ECR rewrites it."""
    text = pretty(canonical(parse(policy_text), partition(repository.registry.region)))
    upsert(call.connection, repository_policies, {"repository_id": repository.id}, {"policy_text": text})
    forget_decisions(call)
    return text


def reconsider(call: Call) -> None:
    """Let every worker decide anew: something that decisions rest on has changed."""
    forget_decisions(call)
