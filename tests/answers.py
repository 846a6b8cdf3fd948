"""Refusals as boto3 reports them, and how we know what the service says.

    assert refusal(ecr.delete_repository, repositoryName="a/b") == recorded("RepositoryNotFoundException", "The ...")

`recorded`: the sentence was seen in an answer of the real service. `documented`: AWS wrote it down. `inferred`: nobody
was seen to confirm it; it is our best reading.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

ACCOUNT = "000000000000"
REGION = "us-east-1"


class Refusal(NamedTuple):
    """The error's name and its sentence."""

    code: str
    message: str


def recorded(code: str, message: str) -> Refusal:
    return Refusal(code, message)


def documented(code: str, message: str) -> Refusal:
    return Refusal(code, message)


def inferred(code: str, message: str) -> Refusal:
    return Refusal(code, message)


def refused(operation: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
    """The whole answer of a call that fails, with the members of its error shape."""
    with pytest.raises(ClientError) as caught:
        operation(**parameters)
    return caught.value.response


def refusal(operation: Callable[..., Any], **parameters: Any) -> Refusal:
    error = refused(operation, **parameters)["Error"]
    return Refusal(error["Code"], error["Message"])


def constraint(member: str, text: str) -> str:
    """The sentence of an InvalidParameterException."""
    return f"Invalid parameter at '{member}' failed to satisfy constraint: '{text}'"


def repository_not_found(repository: str, account: str = ACCOUNT) -> Refusal:
    return recorded(
        "RepositoryNotFoundException",
        f"The repository with name '{repository}' does not exist in the registry with id '{account}'",
    )


def bad_token() -> Refusal:
    return recorded("InvalidParameterException", constraint("NextToken", "Invalid next token provided"))
