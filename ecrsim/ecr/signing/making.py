"""Making a signature: who may, the envelope, its bytes as layers, and its manifest as an image.

The manifest is as notation 1.x pushes it (Notary Project, signature-specification.md, "Storage"): a config of the
artifact's type, one layer, and the image as its subject. It has no tag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ecrsim.core import ids
from ecrsim.core.digest import digest_of
from ecrsim.core.partitions import partition_of
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.service import blobs_of
from ecrsim.ecr.images.pushing import PushRules, put_image
from ecrsim.ecr.layers.service import complete_upload, initiate_upload, open_upload, promise_layer
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.signing import envelope
from ecrsim.ecr.signing.envelope import SignedDescriptor
from ecrsim.ecr.signing.keys import credentials, root_of
from ecrsim.ecr.signing.profiles import SigningProfile
from ecrsim.ecr.signing.rules import expires_at

ARTIFACT_TYPE = "application/vnd.cncf.notary.signature"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_THUMBPRINT = "io.cncf.notary.x509chain.thumbprint#S256"
_CONFIG = b"{}"


class MadeSignature(NamedTuple):
    """A signature that is yet to be put into the repository, which has its layers already."""

    manifest: bytes
    digest: str


def make(call: Call, repository: Repository, profile: SigningProfile, target: SignedDescriptor) -> MadeSignature:
    """Sign with the profile and store the bytes. No transaction is open before or afterwards.

    LimitExceededException and others of a layer upload; RepositoryNotFoundException. SigningRefused, RootDamaged.
    """
    # Where machines share a database, the root is made in a transaction of its own.
    root_of(call.runtime)
    with call.writing():
        key, chain = credentials(call, profile)
    job = f"arn:{partition_of(profile.region).name}:signer:{profile.region}:{profile.account}:/signing-jobs/"
    attributes = {
        envelope.VERSION_ATTRIBUTE: profile.version_arn,
        envelope.JOB_ATTRIBUTE: job + ids.new_uuid(),
    }
    end = expires_at(call.now, profile.signature_validity_period)
    content = envelope.make(target, key, chain, call.now, end, attributes)
    for data in (_CONFIG, content):
        _store(call, repository, data)
    manifest = _manifest(target, content, chain, envelope.seconds(call.now))
    return MadeSignature(manifest, digest_of(manifest))


def put(call: Call, repository: Repository, signature: MadeSignature) -> None:
    """Make it an image of the repository, in a write transaction. Errors as of `put_image`."""
    push_rules = PushRules(repeatable=True, layers_required=True)
    put_image(
        call, repository, signature.manifest, _MANIFEST_TYPE, (), signature.digest,
        push_rules=push_rules, origin="signing",
    )  # fmt: skip


def _store(call: Call, repository: Repository, data: bytes) -> None:
    """Bytes as a layer of the repository."""
    digest = digest_of(data)
    with call.reading():
        is_there = promise_layer(call, repository, digest) is not None
    if is_there:
        return
    with call.writing():
        upload_id = initiate_upload(call, repository)
    open_upload(call, repository, upload_id)
    blobs_of(call, repository).append_bytes(upload_id, data)
    complete_upload(call, repository, upload_id, digest, len(data))


def _manifest(target: SignedDescriptor, content: bytes, chain: Sequence[x509.Certificate], created: str) -> bytes:
    thumbprints = [hashlib.sha256(each.public_bytes(Encoding.DER)).hexdigest() for each in chain]
    return orjson.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": SignedDescriptor(ARTIFACT_TYPE, digest_of(_CONFIG), len(_CONFIG)).as_json(),
            "layers": [SignedDescriptor(envelope.MEDIA_TYPE, digest_of(content), len(content)).as_json()],
            "subject": target.as_json(),
            "annotations": {
                _THUMBPRINT: orjson.dumps(thumbprints).decode(),
                "org.opencontainers.image.created": created,
            },
        }
    )
