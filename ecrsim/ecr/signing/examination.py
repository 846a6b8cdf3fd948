"""Which signatures an image has, and whether they hold: by ecrsim's own root, list of revoked certificates and clock.

Notation judges what it made, and cosign what it made; of those it is said that they are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from cryptography.x509.oid import NameOID

from ecrsim.blobs.base import BlobDamaged, BlobNotFound, BlobStore
from ecrsim.core.clock import iso
from ecrsim.core.runtime import Call
from ecrsim.ecr.atrest.service import blobs_of
from ecrsim.ecr.images.listing import page_of_referrers
from ecrsim.ecr.images.lookup import image_by_digest, image_by_tag, manifest_of
from ecrsim.ecr.images.rows import Image
from ecrsim.ecr.repositories.tables import Repository
from ecrsim.ecr.signing import keys
from ecrsim.ecr.signing.authority import Revoked, Root, serial_of
from ecrsim.ecr.signing.envelope import (
    MEDIA_TYPE,
    Envelope,
    NotAnEnvelope,
    SignedDescriptor,
    certificates_of,
    chain_holds,
    read,
    signer_of,
)
from ecrsim.ecr.signing.making import ARTIFACT_TYPE

#: Signatures that are looked at, of the Notary Project and of cosign each.
MOST = 500
#: Bytes of an envelope that is read; Notation takes 32 MiB, and signatures have some thousand.
_LONGEST = 1 << 20
#: What cosign's artifact types begin with, and how its tags end.
_COSIGN_TYPES = ("application/vnd.dev.sigstore.", "application/vnd.dev.cosign.")
_COSIGN_TAGS = {".sig": "a signature", ".att": "an attestation"}


class FoundSignature(NamedTuple):
    """A signature. `holds` is None where others have to judge it."""

    #: Of the signature, which is an image itself.
    image_digest: str
    #: managed, notation or cosign
    kind: str
    holds: bool | None
    words: str

    def as_json(self) -> dict[str, Any]:
        return {"imageDigest": self.image_digest, "kind": self.kind, "holds": self.holds, "words": self.words}


class StoredEnvelope(NamedTuple):
    """Where the envelope of a Notary Project signature is; or why there is none to be read."""

    image_digest: str
    media_type: str
    layer_digest: str
    fault: str | None = None


class Evidence(NamedTuple):
    """All that is to be known of an image's signatures before they are judged."""

    target: SignedDescriptor
    envelopes: list[StoredEnvelope]
    of_cosign: list[FoundSignature]
    revoked: list[Revoked]
    #: Whether there are more than are looked at.
    has_more: bool
    #: Where the envelopes are.
    blobs: BlobStore


def gather(call: Call, repository: Repository, image: Image) -> Evidence:
    """Look for the signatures of an image, in a read transaction. What else refers to it hides none of them."""
    notary, has_more = _referrers(call, repository, image, types=[ARTIFACT_TYPE])
    cosign, cosign_has_more = _referrers(call, repository, image, beginnings=_COSIGN_TYPES)
    found = [
        FoundSignature(digest, "cosign", None, f"cosign's, of the type {kind}: `cosign verify` judges it")
        for digest, kind in cosign
    ]
    for end, what in _COSIGN_TAGS.items():
        tag = image.image_digest.replace(":", "-") + end
        tagged = image_by_tag(call, repository, tag)
        if tagged is not None:
            words = f"{what} of cosign's, under the tag {tag}: `cosign verify` judges it"
            found.append(FoundSignature(tagged.image_digest, "cosign", None, words))
    return Evidence(
        SignedDescriptor(image.image_manifest_media_type, image.image_digest, len(manifest_of(call, image))),
        [_stored(call, repository, digest) for digest, _ in notary],
        found,
        keys.revoked(call),
        has_more or cosign_has_more,
        blobs_of(call, repository),
    )


def judge(call: Call, evidence: Evidence) -> list[FoundSignature]:
    """Those of the Notary Project before cosign's, each the oldest first. No transaction is to be open.

    ServiceUnavailableException when the root cannot be used.
    """
    root = keys.root_of(call.runtime)
    return [_notary(call, each, evidence, root) for each in evidence.envelopes] + evidence.of_cosign


def _referrers(
    call: Call,
    repository: Repository,
    image: Image,
    types: list[str] | None = None,
    beginnings: Sequence[str] = (),
) -> tuple[list[tuple[str, str]], bool]:
    """Digests and artifact types, and whether there are more: a page may be a short one."""
    found: list[tuple[str, str]] = []
    after, has_more = 0, True
    while has_more and len(found) < MOST:
        rows, has_more = page_of_referrers(
            call, repository, image.image_digest, types, "ANY", after, MOST - len(found), beginnings=beginnings
        )
        found += [(row.image_digest, row.artifact_type) for row in rows]
        after = rows[-1].id if rows else after
    return found, has_more


def _stored(call: Call, repository: Repository, digest: str) -> StoredEnvelope:
    image = image_by_digest(call, repository, digest)
    if image is None:
        return StoredEnvelope(digest, "", "", "it was deleted meanwhile")
    try:
        (layer,) = orjson.loads(manifest_of(call, image))["layers"]
        fault = "it is too long" if layer["size"] > _LONGEST else None
        return StoredEnvelope(digest, str(layer.get("mediaType")), layer["digest"], fault)
    except (KeyError, TypeError, ValueError, AttributeError):
        return StoredEnvelope(digest, "", "", "it has not one layer")


def _notary(call: Call, stored: StoredEnvelope, evidence: Evidence, root: Root) -> FoundSignature:
    digest = stored.image_digest
    try:
        content = _content(evidence, stored)
        if stored.media_type != MEDIA_TYPE:
            kind = stored.media_type
            words = f"an envelope of the type {kind}, which ecrsim does not make: `notation verify` judges it"
            return FoundSignature(digest, "notation", None, words)
        certificates = certificates_of(content)
        if not chain_holds(certificates, root.certificate):
            who = signer_of(certificates)
            words = f"made with a key of others ({who}): `notation verify` judges it, with their certificate"
            return FoundSignature(digest, "notation", None, words)
        envelope = read(content)
    except NotAnEnvelope as error:
        return FoundSignature(digest, "notation", False, f"no signature that can be read: {error}")
    fault = _fault(envelope, evidence.target, evidence.revoked, call.now)
    words = f"made by the signing profile {_profile(envelope)} on {iso(envelope.signed_at)}"
    if fault is not None:
        return FoundSignature(digest, "managed", False, f"{words}, and {fault}")
    end = "for ever" if envelope.expires_at is None else f"until {iso(envelope.expires_at)}"
    return FoundSignature(digest, "managed", True, f"{words}, good {end}")


def _content(evidence: Evidence, stored: StoredEnvelope) -> bytes:
    """The bytes of the envelope. NotAnEnvelope when they are not to be had."""
    if stored.fault is not None:
        raise NotAnEnvelope(stored.fault)
    try:
        with evidence.blobs.open(stored.layer_digest) as blob:
            return blob.read(_LONGEST)
    except (BlobNotFound, BlobDamaged):
        raise NotAnEnvelope("its layer is missing") from None


def _fault(envelope: Envelope, target: SignedDescriptor, revoked: list[Revoked], now: int) -> str | None:
    if envelope.target != target:
        return f"is of another image: {envelope.target.digest}"
    if envelope.expires_at is not None and envelope.expires_at <= now:
        return f"has expired on {iso(envelope.expires_at)}"
    serial = serial_of(envelope.certificates[0])
    for each in revoked:
        if each.serial_number == serial and envelope.signed_at >= each.since:
            return f"the profile was revoked, since {iso(each.since)}"
    return None


def _profile(envelope: Envelope) -> str:
    names = envelope.certificates[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return envelope.profile_version_arn or (str(names[0].value) if names else "without a name")
