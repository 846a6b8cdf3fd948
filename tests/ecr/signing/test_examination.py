"""GET /_ecrsim/signatures: which signatures an image has, and whether they hold, in words."""

import argparse
import base64
import json
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from ecrsim.ecr.signing import examination
from ecrsim.remote import signing as remote
from ecrsim.testing import build_image
from tests.ecr.signing.conftest import NOTARY, configure, envelope_of, make_profiles, referrers, rule
from tests.principals import admin
from tests.pushing import OCI_MANIFEST, artifact_of, digest_of, push, push_layer, put


def put_signature(ecr, content: bytes, subject: dict, media_type: str = "application/jose+json") -> str:
    """A signature that somebody pushed himself."""
    layers = [{"mediaType": media_type, "digest": push_layer(ecr, "app", content), "size": len(content)}]
    config = {"mediaType": NOTARY, "digest": push_layer(ecr, "app", b"{}"), "size": 2}
    members = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers, "subject": subject}
    ecr.put_image(repositoryName="app", imageManifest=json.dumps(members))
    return digest_of(json.dumps(members).encode())


def subject_of(image) -> dict:
    return {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}


@pytest.fixture
def image(signed):
    image = build_image()
    push(signed.ecr, "app", image, "v1")
    signed.wait()
    return image


def test_one_that_holds(signed, image):
    (found,) = signed.in_words("app:v1")
    assert (found["kind"], found["holds"]) == ("managed", True)
    assert "signing-profiles/prod/" in found["words"]
    assert found["words"].endswith("on 2026-01-01T00:00:01.000Z, good until 2037-04-01T00:00:01.000Z")


def test_none(signed, image):
    push(signed.ecr, "app", artifact_of(image))
    signed.ecr.delete_signing_configuration()
    push(signed.ecr, "app", build_image(b"another layer"), "plain")
    assert signed.in_words("app:plain") == []


def test_one_that_has_expired(signed):
    make_profiles(signed.sim, {"name": "prod", "signature_validity_period": {"value": 1, "type": "DAYS"}})
    push(signed.ecr, "app", None, "v1")
    signed.wait()
    assert [each["holds"] for each in signed.in_words("app:v1")] == [True]
    signed.sim.advance(days=1)
    (found,) = signed.in_words("app:v1")
    assert not found["holds"]
    assert found["words"].endswith("and has expired on 2026-01-02T00:00:01.000Z")


@pytest.mark.parametrize(("since", "holds"), [("2026-01-01T00:00:01", False), ("2026-01-01T00:00:02", True)])
def test_one_of_a_profile_that_was_revoked(signed, image, client, since, holds):
    """What was signed before the revocation is effective stays good (documented)."""
    signer = client("signer")
    version = signer.get_signing_profile(profileName="prod")["profileVersion"]
    signer.revoke_signing_profile(
        profileName="prod",
        profileVersion=version,
        reason="the key leaked",
        effectiveTime=datetime.fromisoformat(since).replace(tzinfo=UTC),
    )
    (found,) = signed.in_words("app:v1")
    assert found["holds"] is holds
    assert ("was revoked" in found["words"]) is not holds


def test_one_of_another_image(signed, image):
    (managed,) = referrers(signed.ecr, image.digest)
    content = envelope_of(signed.sim, signed.ecr, managed["digest"])
    signed.ecr.delete_signing_configuration()
    other = build_image(b"another layer")
    push(signed.ecr, "app", other, "v2")
    put_signature(signed.ecr, content, subject_of(other))
    (found,) = signed.in_words("app:v2")
    assert not found["holds"]
    assert found["words"].endswith(f"and is of another image: {image.digest}")


@pytest.mark.parametrize("content", [b"{}", b"not JSON", b'{"payload": "", "protected": "", "signature": ""}'])
def test_one_that_cannot_be_read(signed, image, content):
    put_signature(signed.ecr, content, subject_of(image))
    good, bad = signed.in_words("app:v1")
    assert (good["holds"], bad["holds"]) == (True, False)
    assert bad["words"].startswith("no signature that can be read")


def hostile_certificates(root: x509.Certificate) -> dict[str, bytes]:
    """Certificates, as DER, that say the root has issued them: what is wrong → the bytes."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hostile-name")])
    now = datetime.now(UTC)
    good = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now)
        .sign(key, hashes.SHA384())
        .public_bytes(Encoding.DER)
    )
    version, curve = bytes.fromhex("a003020102"), bytes.fromhex("06052b81040022")
    algorithm = bytes.fromhex("06082a8648ce3d040303")
    return {
        "version": good.replace(version, version[:-1] + b"\x05"),
        "name": good.replace(b"hostile-name", b"hostile\xff\xfe\xfdme"),
        "curve": good.replace(curve, curve[:-1] + b"\x7f"),
        "algorithm": good.replace(algorithm, algorithm[:-1] + b"\x55"),
    }


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "before the root"])
@pytest.mark.parametrize("what", ["version", "name", "curve", "algorithm"])
def test_one_whose_certificate_is_hostile(signed, image, what, alone):
    (managed,) = referrers(signed.ecr, image.digest)
    document = json.loads(envelope_of(signed.sim, signed.ecr, managed["digest"]))
    root = document["header"]["x5c"][1]
    issuer = x509.load_der_x509_certificate(base64.b64decode(root))
    hostile = base64.b64encode(hostile_certificates(issuer)[what]).decode()
    document["header"]["x5c"] = [hostile] if alone else [hostile, root]
    put_signature(signed.ecr, json.dumps(document).encode(), subject_of(image))
    good, bad = signed.in_words("app:v1")
    assert good["holds"] is True
    assert not bad["holds"]


@pytest.mark.parametrize("headers", [b"[" * 30_000, b"[1]", b"null", b'{"alg": ' + b"[" * 20_000])
def test_one_whose_headers_are_hostile(signed, image, headers):
    """The chain is ecrsim's, which anybody can copy from a signature."""
    (managed,) = referrers(signed.ecr, image.digest)
    document = json.loads(envelope_of(signed.sim, signed.ecr, managed["digest"]))
    document["protected"] = base64.urlsafe_b64encode(headers).decode().rstrip("=")
    put_signature(signed.ecr, json.dumps(document).encode(), subject_of(image))
    good, bad = signed.in_words("app:v1")
    assert (good["holds"], bad["holds"]) == (True, False)
    assert bad["words"].startswith("no signature that can be read")


def test_what_else_refers_to_the_image_hides_no_signature(signed, monkeypatch):
    monkeypatch.setattr(examination, "MOST", 2)
    image = build_image()
    signed.ecr.delete_signing_configuration()
    push(signed.ecr, "app", image, "v1")
    for number in range(3):
        push(signed.ecr, "app", artifact_of(image, f"application/vnd.example.{number}"))
    push(signed.ecr, "app", artifact_of(image, "application/vnd.dev.sigstore.bundle.v0.3+json"))
    configure(signed.ecr, rule())
    put(signed.ecr, "app", image, "v2")
    signed.wait()
    assert [each["kind"] for each in signed.in_words("app:v1")] == ["managed", "cosign"]
    assert admin(signed.sim, "GET", "signatures?image=app:v1").json()["hasMore"] is False


def test_more_than_are_looked_at_are_said_to_be_there(signed, image, monkeypatch, capsys):
    monkeypatch.setattr(examination, "MOST", 2)
    for content in (b"1", b"2"):
        put_signature(signed.ecr, content, subject_of(image))
    answer = admin(signed.sim, "GET", "signatures?image=app:v1").json()
    assert [each["holds"] for each in answer["signatures"]] == [True, False]
    assert answer["hasMore"] is True
    monkeypatch.setattr(remote, "ask", lambda *_: answer)
    options = argparse.Namespace(image="app:v1", json=False)
    assert remote.verify(signed.sim.runtime.config, options) == 0
    assert "there are more signatures than are looked at" in capsys.readouterr().out


def test_those_of_other_keys_are_named_and_not_judged(signed, image):
    """Whatever their algorithm: here the envelope says ES256, as notation's test certificates do."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "me")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now)
        .sign(key, hashes.SHA256())
    )
    chain = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()]
    content = json.dumps({"header": {"x5c": chain}, "payload": "e30", "protected": "e30", "signature": "AAAA"})
    put_signature(signed.ecr, content.encode(), subject_of(image))
    put_signature(signed.ecr, b"\x84", subject_of(image), "application/cose")
    _, own, cose = signed.in_words("app:v1")
    assert own["holds"] is cose["holds"] is None
    assert "made with a key of others (CN=me)" in own["words"]
    assert "an envelope of the type application/cose" in cose["words"]


def test_those_of_cosign_are_named_and_not_judged(signed, image):
    tag = image.digest.replace(":", "-") + ".sig"
    signed.ecr.delete_signing_configuration()
    push(signed.ecr, "app", build_image(b"a signature"), tag)
    push(signed.ecr, "app", artifact_of(image, "application/vnd.dev.sigstore.bundle.v0.3+json"))
    managed, bundle, tagged = signed.in_words("app:v1")
    assert [each["kind"] for each in (managed, bundle, tagged)] == ["managed", "cosign", "cosign"]
    assert bundle["holds"] is tagged["holds"] is None
    assert tag in tagged["words"]


@pytest.mark.parametrize(
    ("query", "status"), [("image=", 400), ("image=app:nope", 400), ("image=nope", 400), ("picture=app", 400)]
)
def test_what_is_not_there(signed, image, query, status):
    assert admin(signed.sim, "GET", f"signatures?{query}").status == status
