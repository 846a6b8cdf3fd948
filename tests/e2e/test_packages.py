"""The packages of images, judged against syft: the lists are equal, but for what docs/scanning.md names."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import sys
from pathlib import Path

import pytest
from packageurl import PackageURL

from ecrsim.ecr.scanning.packages import bill_of, read_layer
from ecrsim.sbom.purls import purl_of
from ecrsim.testing import BuiltImage, build_image
from tests.e2e.clients import Client, clean_environ, require
from tests.e2e.package_images import IMAGES, alpine, distroless
from tests.pushing import index_of, push, put

#: Catalogers of syft that read lock files, which it does not do of images unless it is told to.
LOCKS = ("javascript-lock", "ruby-gemfile", "rust-cargo-lock", "php-composer-lock")
QUIET = {"SYFT_CHECK_FOR_APP_UPDATE": "false", "SYFT_REGISTRY_INSECURE_USE_HTTP": "true"}
#: Catalogers whose packages are of other kinds, as docs/scanning.md says.
OTHER_KINDS = {"binary-classifier-cataloger", "pe-binary-package-cataloger", "java-jvm-cataloger"}

Found = set[tuple[str, str, str, str, str]]


def found_by(purl: PackageURL, path: str) -> tuple[str, str, str, str, str]:
    return purl.type, purl.namespace or "", purl.name, purl.version or "", path


@pytest.fixture
def syft(tmp_path) -> Client:
    return Client((require("syft"),), clean_environ(tmp_path / "home") | QUIET)


def syft_list(syft: Client, source: str, *options: str) -> Found:
    """What syft finds, by package URL and the file that it found it in."""
    chosen = ",".join(f"+{each}-cataloger" for each in LOCKS)
    told = json.loads(syft("scan", source, "-q", "-o", "json", "--select-catalogers", chosen, *options, timeout=300))
    found: Found = set()
    for artifact in told["artifacts"]:
        if artifact["foundBy"] in OTHER_KINDS or artifact["version"] in ("", "UNKNOWN") or not artifact["purl"]:
            continue
        places = artifact["locations"]
        first = [each for each in places if each.get("annotations", {}).get("evidence") == "primary"] or places
        found |= {found_by(PackageURL.from_string(artifact["purl"]), each["path"].lstrip("/")) for each in first}
    return found


def our_list(layers: list[bytes]) -> Found:
    read = [read_layer(io.BytesIO(each), "", f"sha256:{number}") for number, each in enumerate(layers)]
    bill = bill_of(read)
    assert bill.unread == ()
    return {found_by(PackageURL.from_string(str(purl_of(each, bill.system))), each.path) for each in bill.packages}


def layout_of(folder: Path, image: BuiltImage) -> str:
    """An OCI image layout with this image."""
    (folder / "blobs/sha256").mkdir(parents=True)
    for content in (*image.blobs.values(), image.manifest):
        (folder / "blobs/sha256" / hashlib.sha256(content).hexdigest()).write_bytes(content)
    listed = {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [listed]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return f"oci-dir:{folder}"


#: The one that syft tells otherwise, by the name of the image: as docs/scanning.md says.
NAMED = {"Ruby, PHP, .NET": {("nuget", "", "app", "1.0.0", "3/app/app.deps.json")}}
#: At least so many packages are in each; an image that was made wrong would be equal, too.
LEAST = {"Debian": 3, "Python": 3, "Node": 100, "Go": 30, "Rust": 40, "Java": 4, "Ruby, PHP, .NET": 14}


@pytest.mark.parametrize("name", IMAGES)
def test_the_list_is_that_of_syft(name: str, syft: Client, tmp_path: Path):
    (tmp_path / "image").mkdir()
    layers = IMAGES[name](tmp_path / "image")
    ours = our_list(layers)
    theirs = syft_list(syft, layout_of(tmp_path / "layout", build_image(*layers))) - NAMED.get(name, set())
    assert sorted(ours - theirs) == []
    assert sorted(theirs - ours) == []
    assert len(ours) >= LEAST.get(name, 2)


def test_each_platform_of_a_pushed_index_has_its_own(server, create_repository, tmp_path: Path):
    """syft pulls from ecrsim; `ecrsim sbom` asks it."""
    repository = create_repository("packages")
    ecr = server.client()
    made = {"amd64": distroless(tmp_path), "arm64": alpine(tmp_path)}
    listed = []
    for architecture, layers in made.items():
        platform = {"os": "linux", "architecture": architecture}
        unpacked = [f"sha256:{hashlib.sha256(gzip.decompress(each)).hexdigest()}" for each in layers]
        config = {**platform, "rootfs": {"type": "layers", "diff_ids": unpacked}}
        image = build_image(*layers, config=json.dumps(config).encode())
        push(ecr, repository, image)
        listed.append(
            {"mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest), "platform": platform}
        )
    put(ecr, repository, index_of(manifests=listed), "both")
    login = {
        "SYFT_REGISTRY_AUTH_AUTHORITY": server.registry,
        "SYFT_REGISTRY_AUTH_USERNAME": "AWS",
        "SYFT_REGISTRY_AUTH_PASSWORD": server.password(),
    }
    syft = Client((require("syft"),), clean_environ(tmp_path / "home") | QUIET | login)
    sbom = Client((sys.executable, "-m", "ecrsim", "sbom", "--port", str(server.port)), dict(os.environ))
    told = {}
    for architecture in made:
        platform = ("--platform", f"linux/{architecture}")
        theirs = syft_list(syft, f"registry:{server.registry}/{repository}:both", *platform)
        components = json.loads(sbom(f"{repository}:both", *platform))["components"]
        ours = {found_by(PackageURL.from_string(each["purl"]), "")[:4] for each in components if "purl" in each}
        assert ours == {each[:4] for each in theirs}
        told[architecture] = {each[0] for each in theirs}
    assert told == {"amd64": {"deb"}, "arm64": {"apk"}}
