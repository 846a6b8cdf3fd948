"""What ecrsim signs, before Notary's own verifier; and what notation and cosign sign themselves, beside it.

`notary` is notation-go, the library of the command `notation`, with its trust store and policy (`notary/main.go`).
"""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.e2e import images
from tests.e2e.clients import Client, Finished, clean_environ, require
from tests.e2e.server import ACCOUNT, REGION, ServerProcess
from tests.pushing import push_layer

NOTARY = "application/vnd.cncf.notary.signature"
PLATFORM = "Notation-OCI-SHA384-ECDSA"
FAR = "eu-west-1"
#: Of keys that are made for a test.
NO_PASSWORD = {"COSIGN_PASSWORD": ""}


def arn_of(name: str, region: str = REGION) -> str:
    return f"arn:aws:signer:{region}:{ACCOUNT}:/signing-profiles/{name}"


@dataclass(frozen=True)
class Registry:
    """An ecrsim that signs whatever is pushed to it with the profile `prod`."""

    server: ServerProcess
    ecr: Any
    signer: Any

    def repository(self, name: str) -> str:
        """Make it; what clients call it."""
        self.ecr.create_repository(repositoryName=name)
        return f"{self.server.registry}/{name}"

    def push(self, name: str, text: str, tag: str = "v1") -> images.Image:
        """By the API."""
        image = images.build_image(text)
        for content in (image.config, image.layer):
            push_layer(self.ecr, name, content)
        self.ecr.put_image(repositoryName=name, imageManifest=image.manifest.decode(), imageTag=tag)
        return image

    def settle(self, seconds: int = 2) -> None:
        """Let the signatures be made that are due by then."""
        turned = requests.post(f"{self.server.url}/_ecrsim/clock/advance", json={"seconds": seconds}, timeout=60)
        turned.raise_for_status()

    def signatures(self, name: str, digest: str) -> list[str]:
        answer = self.ecr.list_image_referrers(
            repositoryName=name, subjectId={"imageDigest": digest}, filter={"artifactTypes": [NOTARY]}
        )
        return [each["digest"] for each in answer["referrers"]]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of ecrsim, asked of this server."""
        place = ("--port", str(self.server.port), "--data-dir", str(self.server.folder / "data"))
        command = [sys.executable, "-m", "ecrsim", *words, *place]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def signing(server: ServerProcess, **profile: Any) -> Registry:
    registry = Registry(server, server.client(), server.client("signer"))
    registry.signer.put_signing_profile(profileName="prod", platformId=PLATFORM, **profile)
    rules = [{"signingProfileArn": arn_of("prod")}]
    registry.ecr.put_signing_configuration(signingConfiguration={"rules": rules})
    return registry


@pytest.fixture(scope="module")
def registry(launch) -> Registry:
    return signing(launch())


@dataclass(frozen=True)
class Notary:
    """The verifier, with a directory of settings that a command of ecrsim wrote."""

    client: Client
    settings: Path

    def verify(self, reference: str) -> str:
        """The digest that it took."""
        return self.client("verify", reference, str(self.settings)).strip()

    def refuses(self, reference: str) -> str:
        return self.client.refuses("verify", reference, str(self.settings))


@pytest.fixture
def notary_for(tmp_path) -> Callable[..., Notary]:
    def make(registry: Registry, *options: str) -> Notary:
        settings = tmp_path / "notation"
        written = registry.run("signer", "trust-store", str(settings), *options)
        assert written.returncode == 0, written.stderr
        environ = clean_environ(tmp_path / "home") | {"NOTARY_PASSWORD": registry.server.password()}
        return Notary(Client((require("notary"),), environ), settings)

    return make


@pytest.fixture
def notary(registry, notary_for) -> Notary:
    return notary_for(registry)


# --- accepted ---------------------------------------------------------------------------------------------------------


def test_an_image_of_put_image(registry, notary):
    reference = registry.repository("api")
    image = registry.push("api", "by PutImage")
    registry.settle()
    assert notary.verify(f"{reference}:v1") == image.digest


def test_an_image_that_docker_pushed(registry, notary, docker, tmp_path):
    reference = registry.repository("docker")
    password = registry.server.password()
    docker("login", "--username", "AWS", "--password-stdin", registry.server.registry, stdin=password)
    context = images.write_context(tmp_path / "context", "signed")
    docker("build", f"--tag={reference}:v1", str(context))
    docker("push", f"{reference}:v1")
    docker("image", "rm", "--force", f"{reference}:v1")
    registry.settle()
    [detail] = [
        each for each in registry.ecr.describe_images(repositoryName="docker")["imageDetails"] if "imageTags" in each
    ]
    assert detail["imageManifestMediaType"] == images.DOCKER_MANIFEST
    assert notary.verify(f"{reference}:v1") == detail["imageDigest"]


def test_an_index_and_an_image_that_it_lists(registry, notary):
    reference = registry.repository("index")
    child = registry.push("index", "one of them", "amd64")
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": images.INDEX,
            "manifests": [images.descriptor(images.MANIFEST, child.manifest)],
        }
    )
    registry.ecr.put_image(repositoryName="index", imageManifest=index, imageTag="all")
    registry.settle()
    assert notary.verify(f"{reference}:all") == images.digest(index.encode())
    assert notary.verify(f"{reference}@{child.digest}") == child.digest


def test_an_artifact_that_oras_pushed(registry, notary, home, tmp_path):
    reference = registry.repository("artifact")
    oras = Client((require("oras"),), home)
    password = registry.server.password()
    oras("login", registry.server.registry, "--username", "AWS", "--password-stdin", stdin=password)
    (tmp_path / "notes.txt").write_text("an artifact")
    kind = ("--artifact-type", "application/vnd.example.notes")
    oras("push", f"{reference}:v1", *kind, "notes.txt:text/plain", cwd=tmp_path)
    registry.settle()
    [detail] = [
        each for each in registry.ecr.describe_images(repositoryName="artifact")["imageDetails"] if "imageTags" in each
    ]
    assert notary.verify(f"{reference}:v1") == detail["imageDigest"]


def test_a_copy_in_another_region(registry, notary):
    rules = [{"destinations": [{"registryId": ACCOUNT, "region": FAR}]}]
    registry.ecr.put_replication_configuration(replicationConfiguration={"rules": rules})
    registry.repository("copied")
    image = registry.push("copied", "here and there")
    registry.settle(10)
    registry.ecr.put_replication_configuration(replicationConfiguration={"rules": []})
    assert notary.verify(f"{registry.server.registry}/{ACCOUNT}/{FAR}/copied:v1") == image.digest


def test_one_that_was_archived_and_is_back(registry, notary):
    reference = registry.repository("archived")
    image = registry.push("archived", "away for a while")
    registry.settle()
    (signature,) = registry.signatures("archived", image.digest)
    for storage_class in ("ARCHIVE", "STANDARD"):
        for digest in (image.digest, signature):
            registry.ecr.update_image_storage_class(
                repositoryName="archived", imageId={"imageDigest": digest}, targetStorageClass=storage_class
            )
    registry.settle(600)
    assert notary.verify(f"{reference}:v1") == image.digest


def test_a_policy_that_names_the_profile(registry, notary_for):
    reference = registry.repository("named")
    image = registry.push("named", "by name")
    registry.settle()
    assert notary_for(registry, "--profile", "prod").verify(f"{reference}:v1") == image.digest


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_policy_that_names_another_profile(registry, notary_for):
    reference = registry.repository("unnamed")
    registry.push("unnamed", "by another name")
    registry.settle()
    assert "does not match the X.509 trusted identities" in notary_for(registry, "--profile", "dev").refuses(
        f"{reference}:v1"
    )


def test_an_image_without_a_signature(registry, notary):
    reference = registry.repository("plain")
    registry.push("plain", "before it is signed")
    said = notary.refuses(f"{reference}:v1")
    registry.settle()
    assert "no signature is associated" in said


def another_signature(registry: Registry, name: str, change: Callable[[dict[str, Any]], None]) -> str:
    """Put the envelope of one image, changed, beside another that has none. Answers the other's digest."""
    signed = registry.push(name, "signed", "signed")
    registry.settle()
    (signature,) = registry.signatures(name, signed.digest)
    ids = [{"imageDigest": signature}]
    (found,) = registry.ecr.batch_get_image(repositoryName=name, imageIds=ids)["images"]
    (layer,) = json.loads(found["imageManifest"])["layers"]
    place = {"repositoryName": name, "layerDigest": layer["digest"]}
    url = registry.ecr.get_download_url_for_layer(**place)["downloadUrl"]
    envelope = requests.get(url, timeout=30).json()
    change(envelope)
    content = json.dumps(envelope).encode()
    rules = registry.ecr.delete_signing_configuration()["signingConfiguration"]
    other = registry.push(name, "not signed", "other")
    registry.ecr.put_signing_configuration(signingConfiguration=rules)
    push_layer(registry.ecr, name, content)
    push_layer(registry.ecr, name, b"{}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": images.MANIFEST,
        "config": images.descriptor(NOTARY, b"{}"),
        "layers": [images.descriptor("application/jose+json", content)],
        "subject": images.descriptor(images.MANIFEST, other.manifest),
    }
    registry.ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest))
    return other.digest


def with_payload(envelope: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    text = envelope["payload"]
    payload = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    change(payload["targetArtifact"])
    envelope["payload"] = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")


def test_a_signature_of_another_image(registry, notary):
    reference = registry.repository("borrowed")
    other = another_signature(registry, "borrowed", lambda _: None)
    assert "signature verification failed" in notary.refuses(f"{reference}@{other}")


def test_a_signature_that_was_altered(registry, notary):
    reference = registry.repository("altered")
    change = {"digest": "sha256:" + 64 * "0"}
    other = another_signature(
        registry, "altered", lambda envelope: with_payload(envelope, lambda target: target.update(change))
    )
    said = notary.refuses(f"{reference}@{other}")
    assert "verification error" in said
    assert "does not hold" in registry.run("verify", f"altered@{other}").stdout


def test_a_tag_that_was_moved_to_another_image(registry, notary):
    reference = registry.repository("moved")
    first = registry.push("moved", "signed")
    registry.settle()
    assert notary.verify(f"{reference}:v1") == first.digest
    registry.push("moved", "not signed yet")
    assert "no signature is associated" in notary.refuses(f"{reference}:v1")
    registry.settle()


def test_what_a_profile_signed_since_it_is_revoked(launch, notary_for):
    registry = signing(launch())
    notary = notary_for(registry)
    reference = registry.repository("app")
    registry.push("app", "before", "before")
    registry.settle()
    registry.settle(60)
    registry.push("app", "since", "since")
    registry.settle()
    for tag in ("before", "since"):
        notary.verify(f"{reference}:{tag}")
    now = requests.get(f"{registry.server.url}/_ecrsim/clock", timeout=30).json()["now"]
    profile = registry.signer.get_signing_profile(profileName="prod")
    registry.signer.revoke_signing_profile(
        profileName="prod",
        profileVersion=profile["profileVersion"],
        reason="the key leaked",
        effectiveTime=datetime.fromisoformat(now) - timedelta(seconds=30),
    )
    notary.verify(f"{reference}:before")
    said = notary.refuses(f"{reference}:since")
    assert "revoked" in said
    assert registry.run("verify", "app:before").returncode == 0
    assert registry.run("verify", "app:since").returncode == 3


@pytest.mark.parametrize(("period", "is_over"), [({"value": 1, "type": "DAYS"}, True), (None, False)])
def test_a_signature_whose_time_is_over(launch, notary_for, period, is_over):
    """Notation goes by the real time, ecrsim by its own: it signs in a past in which nothing was over yet."""
    registry = signing(
        launch("--clock", "frozen@2024-01-01T00:00:00Z"), **({"signatureValidityPeriod": period} if period else {})
    )
    notary = notary_for(registry)
    reference = registry.repository("app")
    image = registry.push("app", "long ago")
    registry.settle()
    if is_over:
        assert "digital signature has expired on" in notary.refuses(f"{reference}:v1")
    else:
        assert notary.verify(f"{reference}:v1") == image.digest
    assert registry.run("verify", "app:v1").returncode == 0


# --- signatures of others ---------------------------------------------------------------------------------------------


def own_key(folder: Path) -> tuple[Path, Path]:
    """A key with a certificate that is signed by itself, as `notation cert generate-test` makes them."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = ((NameOID.COUNTRY_NAME, "US"), (NameOID.STATE_OR_PROVINCE_NAME, "WA"), (NameOID.ORGANIZATION_NAME, "Me"))
    name = x509.Name([x509.NameAttribute(oid, text) for oid, text in (*parts, (NameOID.COMMON_NAME, "me"))])
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key_file, certificate_file = folder / "own.key", folder / "own.pem"
    form = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    certificate_file.write_bytes(certificate.public_bytes(pem))
    return key_file, certificate_file


def test_notation_with_a_key_of_one_s_own(registry, notary, tmp_path):
    reference = registry.repository("own")
    image = registry.push("own", "signed twice")
    registry.settle()
    key, certificate = own_key(tmp_path)
    assert notary.client("sign", f"{reference}:v1", str(key), str(certificate)).strip() == image.digest
    registry.settle()
    assert len(registry.signatures("own", image.digest)) == 2
    assert notary.verify(f"{reference}:v1") == image.digest

    store = notary.settings / "truststore" / "x509" / "ca" / "me"
    store.mkdir(parents=True)
    (store / "own.pem").write_bytes(certificate.read_bytes())
    policy = json.loads((notary.settings / "trustpolicy.json").read_text())
    policy["trustPolicies"][0]["trustStores"] = ["ca:me"]
    (notary.settings / "trustpolicy.json").write_text(json.dumps(policy))
    assert notary.verify(f"{reference}:v1") == image.digest

    status = registry.ecr.describe_image_signing_status(repositoryName="own", imageId={"imageTag": "v1"})
    assert [each["status"] for each in status["signingStatuses"]] == ["COMPLETE"]
    said = registry.run("verify", "own:v1").stdout
    assert "made with a key of others (CN=me,O=Me,ST=WA,C=US)" in said
    assert "1 of 2 signatures hold" in said


@pytest.fixture(params=["cosign2", "cosign3"])
def cosign(request, registry, tmp_path) -> Client:
    client = Client((require(request.param),), clean_environ(tmp_path / "home") | NO_PASSWORD)
    password = registry.server.password()
    client("login", registry.server.registry, "--username", "AWS", "--password", password)
    client("generate-key-pair", cwd=tmp_path)
    return client


def cosign_signs(cosign: Client, folder: Path, reference: str, *options: str) -> str:
    """With a key alone: no transparency log, no certificate, nothing of the network."""
    if cosign.program[0].endswith("cosign3"):
        options = ("--use-signing-config=false", *options)
    quiet = ("--tlog-upload=false", "--yes")
    return cosign("sign", "--key", str(folder / "cosign.key"), *quiet, *options, reference, cwd=folder)


def cosign_verifies(cosign: Client, key: Path, reference: str) -> Finished:
    return cosign.attempt("verify", "--key", str(key), "--insecure-ignore-tlog=true", reference)


def test_cosign_signs_and_verifies_beside_the_managed_signature(registry, notary, cosign, tmp_path):
    generation = Path(cosign.program[0]).name
    reference = registry.repository(generation)
    image = registry.push(generation, f"signed by {generation}")
    registry.settle()
    managed = registry.signatures(generation, image.digest)
    named = f"{reference}@{image.digest}"
    cosign_signs(cosign, tmp_path, named)
    registry.settle()

    done = cosign_verifies(cosign, tmp_path / "cosign.pub", named)
    assert done.status == 0, done.text
    assert image.digest in done.stdout

    assert registry.signatures(generation, image.digest) == managed
    assert notary.verify(named) == image.digest
    status = registry.ecr.describe_image_signing_status(
        repositoryName=generation, imageId={"imageDigest": image.digest}
    )
    assert [each["status"] for each in status["signingStatuses"]] == ["COMPLETE"]
    said = registry.run("verify", f"{generation}@{image.digest}").stdout
    assert "1 of 2 signatures hold" in said
    if generation == "cosign2":
        assert f"under the tag {image.digest.replace(':', '-')}.sig" in said
    else:
        assert "of the type application/vnd.dev.sigstore.bundle.v0.3+json" in said


def test_cosign_refuses_another_key_and_another_image(registry, cosign, tmp_path):
    generation = Path(cosign.program[0]).name
    name = f"{generation}-refuses"
    reference = registry.repository(name)
    signed, other = registry.push(name, "signed", "signed"), registry.push(name, "not signed", "other")
    cosign_signs(cosign, tmp_path, f"{reference}@{signed.digest}")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    cosign("generate-key-pair", cwd=elsewhere)
    assert cosign_verifies(cosign, elsewhere / "cosign.pub", f"{reference}@{signed.digest}").status != 0
    assert cosign_verifies(cosign, tmp_path / "cosign.pub", f"{reference}@{other.digest}").status != 0
    registry.settle()


def test_cosign_2_signs_as_a_referrer(registry, tmp_path):
    cosign = Client(
        (require("cosign2"),), clean_environ(tmp_path / "home") | NO_PASSWORD | {"COSIGN_EXPERIMENTAL": "1"}
    )
    password = registry.server.password()
    cosign("login", registry.server.registry, "--username", "AWS", "--password", password)
    cosign("generate-key-pair", cwd=tmp_path)
    reference = registry.repository("referring")
    image = registry.push("referring", "referred to")
    registry.settle()
    named = f"{reference}@{image.digest}"
    cosign_signs(cosign, tmp_path, named, "--registry-referrers-mode=oci-1-1")
    key = str(tmp_path / "cosign.pub")
    cosign("verify", "--key", key, "--insecure-ignore-tlog=true", "--experimental-oci11", named)
    answer = registry.ecr.list_image_referrers(repositoryName="referring", subjectId={"imageDigest": image.digest})
    kinds = [each["artifactType"] for each in answer["referrers"]]
    assert kinds[0] == NOTARY
    assert len(kinds) == 2
    assert kinds[1].startswith("application/vnd.dev.cosign.")


# --- the command lines ------------------------------------------------------------------------------------------------


def test_the_aws_command_line_makes_a_profile_and_a_rule(launch, home):
    server = launch()
    environ = {
        **home,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    aws = Client((require("aws"), "--endpoint-url", server.url, "--output", "json"), environ)
    signer, ecr = ("signer", "--profile-name", "prod"), ("ecr", "--repository-name", "app")
    made = json.loads(aws("signer", "put-signing-profile", *signer[1:], "--platform-id", PLATFORM))
    assert made["arn"] == arn_of("prod")
    rules = json.dumps({"rules": [{"signingProfileArn": made["arn"]}]})
    aws("ecr", "put-signing-configuration", "--signing-configuration", rules)
    aws("ecr", "create-repository", *ecr[1:])
    registry = Registry(server, server.client(), server.client("signer"))
    registry.push("app", "from the command line")
    registry.settle()
    status = json.loads(aws("ecr", "describe-image-signing-status", *ecr[1:], "--image-id", "imageTag=v1"))
    assert status["signingStatuses"] == [{"signingProfileArn": made["arn"], "status": "COMPLETE"}]
    listed = json.loads(aws("signer", "list-signing-profiles"))["profiles"]
    assert [each["profileName"] for each in listed] == ["prod"]
    version = json.loads(aws("signer", "get-signing-profile", *signer[1:]))["profileVersion"]
    revoked = ("--profile-version", version, "--reason", "leaked", "--effective-time", "2020-01-01T00:00:00Z")
    aws("signer", "revoke-signing-profile", *signer[1:], *revoked)
    assert json.loads(aws("signer", "get-signing-profile", *signer[1:]))["status"] == "Revoked"
    assert json.loads(aws("ecr", "get-signing-configuration"))["signingConfiguration"] == json.loads(rules)
    aws("ecr", "delete-signing-configuration")
    assert "SigningConfigurationNotFoundException" in aws.refuses("ecr", "get-signing-configuration")
    assert "does not hold" in registry.run("verify", f"{server.registry}/app:v1").stdout


def test_the_commands_of_ecrsim(launch, tmp_path):
    server = launch()
    registry = Registry(server, server.client(), server.client("signer"))
    made = registry.run("signer", "create", "prod")
    assert (made.returncode, made.stdout) == (0, f"{arn_of('prod')}\n")
    assert registry.run("signer", "create", "a b").returncode == 1
    assert registry.run("signer", "list").stdout.startswith(f"{arn_of('prod')} Active ")

    settings = tmp_path / "notation"
    assert registry.run("signer", "trust-store", str(settings)).returncode == 0
    assert registry.run("signer", "trust-store", str(settings)).returncode == 0
    mine = settings / "trustpolicy.json"
    mine.write_text("{}")
    refused = registry.run("signer", "trust-store", str(settings))
    assert refused.returncode == 1
    assert "is another trust policy; --force puts this one in its place" in refused.stderr
    assert mine.read_text() == "{}"
    assert registry.run("signer", "trust-store", str(settings), "--force").returncode == 0
    assert json.loads(mine.read_text())["version"] == "1.0"

    registry.repository("app")
    registry.push("app", "nobody signs it")
    said = registry.run("verify", "app:v1")
    assert said.returncode == 3
    assert said.stdout.splitlines()[-1] == "no signatures"
    assert registry.run("verify", "app:nope").returncode == 1
    assert json.loads(registry.run("verify", "app:v1", "--json").stdout)["signatures"] == []
