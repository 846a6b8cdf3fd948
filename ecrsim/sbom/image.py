"""What `GET /_ecrsim/bill` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecrsim.ecr.scanning.bill import Bill


@dataclass(frozen=True, slots=True)
class ImageBill:
    """One image, and what it holds."""

    #: As a client would pull it, without a tag: `000000000000.dkr.ecr.us-east-1.amazonaws.com/app`.
    repository_uri: str
    digest: str
    bill: Bill

    @property
    def name(self) -> str:
        return f"{self.repository_uri}@{self.digest}"

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ImageBill:
        """Of the answer."""
        return cls(value["repositoryUri"], value["imageDigest"], Bill.from_json(value["bill"]))
