"""The requests that real clients signed (fixtures/signatures), and what can be altered about them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ecrsim.iam.signatures import KnownKey, Parts
from tests.architecture.source import ROOT


class Recorded(NamedTuple):
    """`received`: epoch milliseconds. `operation`: `sts.AssumeRole`, with `, presigned` where it is a URL."""

    client: str
    operation: str
    received: int
    parts: Parts

    @property
    def is_presigned(self) -> bool:
        return "X-Amz-Signature" in self.parts.query

    @property
    def is_temporary(self) -> bool:
        return "x-amz-security-token" in self.parts.headers or "X-Amz-Security-Token" in self.parts.query

    @property
    def target(self) -> str:
        return self.parts.path + (f"?{self.parts.query}" if self.parts.query else "")

    def __str__(self) -> str:
        token = " with a token" if self.is_temporary else ""
        return f"{self.client} {self.operation}{token} to {self.parts.path}"


FILES = sorted((ROOT / "fixtures" / "signatures").glob("*.json"))
DOCUMENTS = {path.stem: json.loads(path.read_text("utf-8")) for path in FILES}
KEYS = {
    each["access_key"]: KnownKey(each["secret"], each.get("session_token"))
    for document in DOCUMENTS.values()
    for each in document["credentials"]
}


def recorded() -> list[Recorded]:
    found = []
    for client, document in DOCUMENTS.items():
        for each in document["requests"]:
            path, _, query = each["target"].partition("?")
            headers = {name.lower(): value for name, value in each["headers"]}
            parts = Parts(each["method"], path, query, headers, base64.b64decode(each["body"]))
            found.append(Recorded(client, each["name"], each["received"], parts))
    return found


def with_header(parts: Parts, name: str, value: str | None) -> Parts:
    """None takes it away."""
    headers = {key: each for key, each in parts.headers.items() if key != name}
    return parts._replace(headers=headers if value is None else {**headers, name: value})


def in_signature(parts: Parts, pattern: str, replacement: str) -> Parts:
    """Alter the Authorization header, or the query of a presigned URL. Slashes are `%2F` there."""
    if "authorization" in parts.headers:
        altered = re.sub(pattern, replacement, parts.headers["authorization"], count=1)
        assert altered != parts.headers["authorization"]
        return with_header(parts, "authorization", altered)
    altered = re.sub(pattern.replace("/", "%2F"), replacement.replace("/", "%2F"), parts.query, count=1)
    assert altered != parts.query
    return parts._replace(query=altered)


def later(parts: Parts) -> Parts:
    """The date of the signature one second on, the day of the scope left alone."""

    def next_second(match: re.Match[str]) -> str:
        return f"{match[1]}{(int(match[2]) + 1) % 60:02d}Z"

    pattern = r"(\d{8}T\d{4})(\d\d)Z"
    if "x-amz-date" in parts.headers:
        return with_header(parts, "x-amz-date", re.sub(pattern, next_second, parts.headers["x-amz-date"]))
    return parts._replace(query=re.sub(pattern, next_second, parts.query))


def signed_header(parts: Parts) -> str:
    """One that every recorded request signs, and that is more than a name of the server where there is one."""
    return "host" if "authorization" not in parts.headers else "content-type"


#: What → how. Each must leave a request that can be read, and that nobody signed.
ALTERATIONS: Mapping[str, Callable[[Parts], Parts]] = {
    "a header": lambda parts: with_header(parts, signed_header(parts), "application/x-amz-json-1.0"),
    "a header is gone": lambda parts: with_header(parts, signed_header(parts), None),
    "the host": lambda parts: with_header(parts, "host", "127.0.0.1:1"),
    "the method": lambda parts: parts._replace(method="PUT"),
    "the path": lambda parts: parts._replace(path=f"{parts.path}x"),
    "the query": lambda parts: parts._replace(query=f"{parts.query}&a=b" if parts.query else "a=b"),
    "the body": lambda parts: parts._replace(body=parts.body + b" "),
    "the date": later,
    "the region": lambda parts: in_signature(parts, r"/[a-z]+-[a-z]+-\d/", "/us-west-2/"),
    "the key": lambda parts: in_signature(parts, r"[A-Z]{4}IOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"),
    "the signature": lambda parts: in_signature(parts, r"Signature=[0-9a-f]{8}", "Signature=01234567"),
}
