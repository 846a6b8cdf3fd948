"""Digests as ECR and OCI write them: `algorithm:encoded`."""

from __future__ import annotations

import hashlib
import re

#: Digests that pass where ECR looks at the form alone (documented in the model as LayerDigest; recorded in failures).
ECR_DIGEST = re.compile(r"[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")
#: The same, as ECR prints it.
ECR_DIGEST_TEXT = "[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+"
#: The registered algorithms of the OCI image specification, lower-case hex only.
OCI_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")


def is_ecr_digest(text: str) -> bool:
    return ECR_DIGEST.fullmatch(text) is not None


def is_oci_digest(text: str) -> bool:
    return OCI_DIGEST.fullmatch(text) is not None


def algorithm_of(digest: str) -> str:
    return digest.partition(":")[0]


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
