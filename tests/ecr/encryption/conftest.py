"""A KMS that says what it is told to."""

from collections import Counter
from typing import Any

import pytest

from ecrsim.core.neighbours import NeighbourError
from ecrsim.ecr.encryption import kms

ARN = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"


class Scripted:
    """A KMS that counts, and refuses what it is told to: operation → code."""

    def __init__(self) -> None:
        self.arn = ARN
        self.asked: Counter[str] = Counter()
        self.refuses: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.parameters: list[tuple[str, dict[str, Any]]] = []

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        self.asked[operation] += 1
        self.parameters.append((operation, parameters))
        if operation in self.refuses:
            code = self.refuses[operation]
            raise NeighbourError(f"{code}: it is so" if code else "nobody answers", code)
        number = self.asked[operation]
        answers: dict[str, dict[str, Any]] = {
            "describe_key": {"KeyMetadata": {"Arn": self.arn, "KeyState": "Enabled"}},
            "create_grant": {"GrantId": f"grant{number}", "GrantToken": "x"},
            "generate_data_key": {"Plaintext": b"p" * 32, "CiphertextBlob": b"c"},
            "decrypt": {"Plaintext": b"p" * 32},
        }
        return answers.get(operation, {})

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def scripted(monkeypatch, configure, sim):
    found = Scripted()
    sim.runtime.memory.pop("kms-clients", None)
    monkeypatch.setattr(kms, "Neighbour", lambda _service, _access: found)
    configure(kms_endpoint="http://127.0.0.1:9")
    yield found
    sim.runtime.memory.pop("kms-clients", None)
