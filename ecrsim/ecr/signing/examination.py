"""Which signatures an image has, and whether they hold: by ecrsim's own root, list of revoked certificates and clock.

Notation judges what it made, and cosign what it made; of those it is said that they are there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
from cryptography.x509.oid import NameOID

from ecrsim.blobs.base import BlobStoreError
from ecrsim.core.clock import iso
from ecrsim.core.runtime import Call
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
)
from ecrsim.ecr.signing.making import ARTIFACT_TYPE

#: Referrers that are looked at.
_MOST = 500
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


def examine(call: Call, repository: Repository, image: Image) -> list[FoundSignature]:
    """The signatures of an image, those that refer to it before those that a tag names, each the oldest first."""
    root, revoked = keys.root_of(call.runtime), keys.revoked(call)
    target = SignedDescriptor(image.image_manifest_media_type, image.image_digest, len(manifest_of(call, image)))
    found = []
    rows, _ = page_of_referrers(call, repository, image.image_digest, None, "ANY", 0, _MOST)
    for row in rows:
        kind = row.artifact_type or ""
        if kind == ARTIFACT_TYPE:
            found.append(_notary(call, repository, row.image_digest, target, root, revoked))
        elif kind.startswith(_COSIGN_TYPES):
            words = f"cosign's, of the type {kind}: `cosign verify` judges it"
            found.append(FoundSignature(row.image_digest, "cosign", None, words))
    for end, what in _COSIGN_TAGS.items():
        tag = image.image_digest.replace(":", "-") + end
        tagged = image_by_tag(call, repository, tag)
        if tagged is not None:
            words = f"{what} of cosign's, under the tag {tag}: `cosign verify` judges it"
            found.append(FoundSignature(tagged.image_digest, "cosign", None, words))
    return found


def _notary(
    call: Call, repository: Repository, digest: str, target: SignedDescriptor, root: Root, revoked: list[Revoked]
) -> FoundSignature:
    try:
        kind, content = _content(call, repository, digest)
        if kind != MEDIA_TYPE:
            words = f"an envelope of the type {kind}, which ecrsim does not make: `notation verify` judges it"
            return FoundSignature(digest, "notation", None, words)
        certificates = certificates_of(content)
        if not chain_holds(certificates, root.certificate):
            who = certificates[0].subject.rfc4514_string()
            words = f"made with a key of others ({who}): `notation verify` judges it, with their certificate"
            return FoundSignature(digest, "notation", None, words)
        envelope = read(content)
    except NotAnEnvelope as error:
        return FoundSignature(digest, "notation", False, f"no signature that can be read: {error}")
    fault = _fault(envelope, target, revoked, call.now)
    words = f"made by the signing profile {_profile(envelope)} on {iso(envelope.signed_at)}"
    if fault is not None:
        return FoundSignature(digest, "managed", False, f"{words}, and {fault}")
    end = "for ever" if envelope.expires_at is None else f"until {iso(envelope.expires_at)}"
    return FoundSignature(digest, "managed", True, f"{words}, good {end}")


def _content(call: Call, repository: Repository, digest: str) -> tuple[str, bytes]:
    """The media type of the envelope, and its bytes. NotAnEnvelope when it is not to be had."""
    image = image_by_digest(call, repository, digest)
    if image is None:
        raise NotAnEnvelope("it was deleted meanwhile")
    try:
        (layer,) = orjson.loads(manifest_of(call, image))["layers"]
        if layer["size"] > _LONGEST:
            raise NotAnEnvelope("it is too long")
        with call.runtime.blobs.open(layer["digest"]) as blob:
            return str(layer.get("mediaType")), blob.read(_LONGEST)
    except (KeyError, TypeError, ValueError) as error:
        raise error if isinstance(error, NotAnEnvelope) else NotAnEnvelope("it has not one layer") from None
    except BlobStoreError:
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
