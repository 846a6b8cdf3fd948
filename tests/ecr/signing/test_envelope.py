"""The bytes of a signature: its manifest, its envelope, its certificates; who can alter what, and is noticed.

What Notary's own verifier says of them is asked in tests/e2e/test_signing.py.
"""

import base64
import hashlib
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from ecrsim import Ecrsim
from ecrsim.core.certificates import pem_of, private_pem_of, unsigned
from ecrsim.core.db import Database
from ecrsim.core.properties import get_property, set_property
from ecrsim.ecr.signing import envelope
from ecrsim.ecr.signing.authority import NAME, NoRoot, open_root
from ecrsim.testing import build_image, call_application
from tests.answers import ACCOUNT, REGION
from tests.ecr.signing.conftest import NOTARY, arn_of, envelope_of, make_profiles, manifest_of, referrers, statuses
from tests.principals import admin
from tests.pushing import push

SECOND = build_image(b"another layer")
EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def _wrong_roots() -> dict[str, bytes]:
    key, other = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "another")]), datetime.now(UTC)
    certificate = pem_of(unsigned(name, name, other.public_key(), now, now).sign(other, hashes.SHA384()))
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    return {
        "empty": b"",
        "text": b"no key",
        "bytes": b"\xff",
        "a key with a password": encrypted + certificate,
        "a key alone": private_pem_of(key),
        "a key and another's certificate": private_pem_of(key) + certificate,
    }


WRONG_ROOTS = _wrong_roots()


@pytest.fixture
def signature(signed):
    """(digest of the image, digest of its signature, its manifest, its envelope)"""
    digest = push(signed.ecr, "app", None, "v1")
    signed.wait()
    (found,) = referrers(signed.ecr, digest)
    content = envelope_of(signed.sim, signed.ecr, found["digest"])
    return digest, found["digest"], manifest_of(signed.ecr, found["digest"]), content


def protected(content: bytes) -> dict:
    text = json.loads(content)["protected"]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


@pytest.mark.documented
class TestManifest:
    """As notation 1.x pushes it (signature-specification.md, "Storage")."""

    def test_config_layer_and_subject(self, signed, signature):
        digest, _, manifest, content = signature
        (image,) = signed.ecr.batch_get_image(repositoryName="app", imageIds=[{"imageDigest": digest}])["images"]
        assert manifest["schemaVersion"] == 2
        assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert manifest["config"] == {"mediaType": NOTARY, "digest": EMPTY, "size": 2}
        layer = {
            "mediaType": "application/jose+json",
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "size": len(content),
        }
        assert manifest["layers"] == [layer]
        assert manifest["subject"] == {
            "mediaType": image["imageManifestMediaType"],
            "digest": digest,
            "size": len(image["imageManifest"].encode()),
        }
        assert "artifactType" not in manifest

    def test_annotations(self, signature):
        _, _, manifest, content = signature
        chain = [hashlib.sha256(base64.b64decode(each)).hexdigest() for each in json.loads(content)["header"]["x5c"]]
        assert manifest["annotations"] == {
            "io.cncf.notary.x509chain.thumbprint#S256": json.dumps(chain, separators=(",", ":")),
            "org.opencontainers.image.created": "2026-01-01T00:00:01Z",
        }

    def test_it_has_no_tag(self, signed, signature):
        (found,) = signed.ecr.describe_images(repositoryName="app", imageIds=[{"imageDigest": signature[1]}])[
            "imageDetails"
        ]
        assert "imageTags" not in found
        assert found["artifactMediaType"] == NOTARY
        assert found["subjectManifestDigest"] == signature[0]


@pytest.mark.documented
class TestEnvelope:
    """signature-envelope-jws.md of the Notary Project."""

    def test_protected_headers(self, signature):
        headers = protected(signature[3])
        profile = headers.pop("com.amazonaws.signer.signingProfileVersion")
        job = headers.pop("com.amazonaws.signer.signingJob")
        assert profile.startswith(arn_of("prod") + "/")
        assert job.startswith(f"arn:aws:signer:{REGION}:{ACCOUNT}:/signing-jobs/")
        assert headers == {
            "alg": "ES384",
            "cty": "application/vnd.cncf.notary.payload.v1+json",
            "crit": [
                "io.cncf.notary.signingScheme",
                "io.cncf.notary.authenticSigningTime",
                "io.cncf.notary.expiry",
            ],
            "io.cncf.notary.signingScheme": "notary.x509.signingAuthority",
            "io.cncf.notary.authenticSigningTime": "2026-01-01T00:00:01Z",
            "io.cncf.notary.expiry": "2037-04-01T00:00:01Z",
        }

    def test_it_is_the_flattened_form_with_the_chain_beside_it(self, signature):
        document = json.loads(signature[3])
        assert document.keys() == {"payload", "protected", "header", "signature"}
        assert document["header"].keys() == {"x5c", "io.cncf.notary.signingAgent"}
        assert len(document["header"]["x5c"]) == 2
        assert not any("=" in document[member] for member in ("payload", "protected", "signature"))

    def test_the_period_of_the_profile(self, signed):
        make_profiles(signed.sim, {"name": "prod", "signature_validity_period": {"value": 5, "type": "DAYS"}})
        digest = push(signed.ecr, "app", SECOND, "v2")
        signed.wait()
        found = signed.open(digest)
        assert found.expires_at is not None
        assert found.expires_at - found.signed_at == 5 * 24 * 3600 * 1000


@pytest.mark.documented
class TestCertificates:
    """signature-specification.md, "Certificate requirements"."""

    def test_of_the_profile(self, signed, signature):
        leaf, root = envelope.read(signature[3]).certificates
        assert leaf.subject.rfc4514_string() == f"CN=prod,OU={ACCOUNT},O=ecrsim,L={REGION},ST=WA,C=US"
        assert isinstance(leaf.public_key().curve, ec.SECP384R1)
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        usage = leaf.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE)
        assert usage.critical
        assert usage.value.digital_signature
        assert not usage.value.key_cert_sign
        extended = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(extended) == [ExtendedKeyUsageOID.CODE_SIGNING]
        leaf.verify_directly_issued_by(root)

    def test_of_the_root(self, signature):
        _, root = envelope.read(signature[3]).certificates
        constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.critical
        assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
        assert root.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
        assert root.issuer == root.subject

    def test_each_version_has_a_key_of_its_own(self, signed, signature):
        make_profiles(signed.sim, {"name": "prod", "signature_validity_period": {"value": 5, "type": "DAYS"}})
        digest = push(signed.ecr, "app", SECOND, "v2")
        signed.wait()
        first, second = envelope.read(signature[3]), signed.open(digest)
        assert first.certificates[1] == second.certificates[1]
        assert first.certificates[0].public_key() != second.certificates[0].public_key()


@pytest.mark.sqlite
class TestKeptSafely:
    """A file is damaged and taken away; where a server has the database, the root is a row of it."""

    @pytest.fixture(autouse=True)
    def _as_it_was(self, sim):
        """Whatever a test leaves in its place."""
        file = sim.runtime.data_dir / NAME
        before = file.read_bytes() if file.exists() else None
        yield
        if file.is_dir():
            file.rmdir()
        if before is not None:
            file.write_bytes(before)
            file.chmod(0o600)
        sim.runtime.memory.pop("signer-root", None)

    def test_the_root_is_its_owner_s_alone_and_stays(self, signed, signature):
        file = signed.sim.runtime.data_dir / NAME
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        before = file.read_bytes()
        signed.sim.reset()
        make_profiles(signed.sim, "prod")
        assert file.read_bytes() == before

    def test_whoever_makes_it_at_the_same_time_has_the_same(self, sim):
        runtime = sim.runtime
        (runtime.data_dir / NAME).unlink(missing_ok=True)
        with ThreadPoolExecutor(4) as threads:
            made = threads.map(lambda _: open_root(runtime.data_dir, runtime.database).pem, range(8))
        assert len(set(made)) == 1
        assert [path.name for path in runtime.data_dir.glob("signer-root*")] == [NAME]

    def test_its_name_is_on_the_disk_as_well(self, sim, monkeypatch):
        runtime, flushed = sim.runtime, []
        monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor)))
        (runtime.data_dir / NAME).unlink(missing_ok=True)
        open_root(runtime.data_dir, runtime.database)
        inodes = [each.st_ino for each in flushed]
        assert inodes == [path.stat().st_ino for path in (runtime.data_dir / NAME, runtime.data_dir)]

    @pytest.mark.parametrize("content", WRONG_ROOTS.values(), ids=WRONG_ROOTS)
    def test_one_that_is_none_is_said_and_nothing_is_signed_until_it_is_back(self, signed, signature, content):
        file = signed.sim.runtime.data_dir / NAME
        before = file.read_bytes()
        file.write_bytes(content)
        signed.sim.runtime.memory.clear()
        revocations = f"{signed.sim.endpoint_url}/signer/revocations.crl"
        assert call_application(signed.sim.app, "GET", revocations, {}, b"").status == 503
        assert admin(signed.sim, "GET", "signatures?image=app:v1").status == 503
        answer = admin(signed.sim, "GET", "signer/root")
        assert answer.status == 503
        assert answer.json()["message"].startswith("The root of signatures cannot be used")
        digest = push(signed.ecr, "app", SECOND, "v2")
        signed.wait(10)
        assert statuses(signed.ecr, imageTag="v2") == {"prod": "IN_PROGRESS"}
        file.write_bytes(before)
        signed.wait(120)
        assert statuses(signed.ecr, imageTag="v2") == {"prod": "COMPLETE"}
        assert len(referrers(signed.ecr, digest)) == 1

    def test_without_one_for_long_an_image_is_not_signed(self, signed, signature):
        file = signed.sim.runtime.data_dir / NAME
        file.unlink()
        file.mkdir()
        signed.sim.runtime.memory.clear()
        push(signed.ecr, "app", SECOND, "v2")
        signed.wait(2 * 3600)
        assert statuses(signed.ecr, imageTag="v2") == {"prod": "INTERNAL_ERROR"}


class TestKeptInTheDatabase:
    def test_machines_that_share_a_database_have_one(self, tmp_path, monkeypatch):
        """Each has a data directory of its own, and the key of the database."""
        monkeypatch.setattr(Database, "is_shared", True)
        with Ecrsim(socket=False, data_dir=str(tmp_path)) as sim:
            database = sim.runtime.database
            with ThreadPoolExecutor(4) as threads:
                roots = set(threads.map(lambda number: open_root(tmp_path / str(number), database).pem, range(8)))
            assert len(roots) == 1
            sim.reset()
            assert {open_root(tmp_path / "ninth", database).pem} == roots
            with database.write() as connection:
                before = get_property(connection, "signer-root")
                set_property(connection, "signer-root", before[:-8] + "AAAAAAA=")
            with pytest.raises(NoRoot, match="the secret of properties signer-root cannot be opened"):
                open_root(tmp_path, database)
        assert not list(tmp_path.rglob("signer-root*"))

    def test_the_keys_of_profiles_are_sealed(self, signed, signature):
        with signed.sim.runtime.database.read() as connection:
            (text,) = connection.exec_driver_sql("SELECT private_key FROM signing_profiles").scalars()
        assert text.startswith("v1.")
        assert "PRIVATE" not in text

    def test_a_key_that_was_altered_is_replaced(self, signed, signature):
        with signed.sim.runtime.database.write() as connection:
            connection.exec_driver_sql("UPDATE signing_profiles SET private_key = 'v1.AAAA'")
        digest = push(signed.ecr, "app", SECOND, "v2")
        signed.wait()
        assert [each["holds"] for each in signed.in_words("app:v2")] == [True]
        assert [each["holds"] for each in signed.in_words("app:v1")] == [True]
        assert signed.open(digest).certificates[0] != envelope.read(signature[3]).certificates[0]


def altered(content: bytes, member: str, change) -> bytes:
    """The envelope with another payload or other headers, under the signature that it had."""
    document = json.loads(content)
    text = document[member]
    value = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    change(value)
    document[member] = base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return json.dumps(document).encode()


class TestReading:
    @pytest.mark.parametrize(
        ("member", "change"),
        [
            ("payload", lambda value: value["targetArtifact"].update(digest=EMPTY)),
            ("protected", lambda value: value.update({"io.cncf.notary.expiry": "2099-01-01T00:00:00Z"})),
            ("protected", lambda value: value.update(alg="ES256")),
            ("protected", lambda value: value.update(alg="none")),
        ],
        ids=["another image", "a later end", "another algorithm", "no algorithm"],
    )
    def test_what_was_altered_is_noticed(self, signature, member, change):
        with pytest.raises(envelope.NotAnEnvelope):
            envelope.read(altered(signature[3], member, change))

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{}",
            b"[]",
            b"null",
            b'"text"',
            b'{"header": {"x5c": []}}',
            b'{"header": {"x5c": ["AAAA"]}}',
            b'{"header": {"x5c": [1]}}',
            b"\xff",
            b"[" * 100_000,
        ],
    )
    def test_what_is_none(self, content):
        with pytest.raises(envelope.NotAnEnvelope):
            envelope.read(content)

    def test_a_chain_of_somebody_else(self, signed, signature):
        found = envelope.read(signature[3])
        leaf, root = found.certificates
        assert envelope.chain_holds([leaf, root], root)
        assert not envelope.chain_holds([leaf], root)
        assert not envelope.chain_holds([root, leaf], leaf)
        assert not envelope.chain_holds([], root)
