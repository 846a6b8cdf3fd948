"""What an image holds, asked of a running ecrsim: in pages of JSON, and as documents by the command."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from jsonschema import Draft7Validator

from ecrsim import Ecrsim
from ecrsim.cli import main
from ecrsim.ecr.scanning.bill import Bill
from ecrsim.testing import build_image
from tests.ecr.scanning.packages.layering import dpkg, names, tar_of
from tests.principals import admin
from tests.pushing import OCI_INDEX, create, index_of, push, put

OS_RELEASE = b'ID=debian\nVERSION_ID="12"\n'
BASE = gzip.compress(tar_of({"etc/os-release": OS_RELEASE, "var/lib/dpkg/status": dpkg("bash", "curl=8.0-1")}))
APP = gzip.compress(tar_of({"app/node_modules/left-pad/package.json": b'{"name": "left-pad", "version": "1.3.0"}'}))


@pytest.fixture(name="sim", scope="module")
def one_for_all():
    with Ecrsim() as sim:
        yield sim


@pytest.fixture(name="ecr", scope="module")
def a_repository(sim):
    ecr = sim.client("ecr")
    create(ecr, "team/app")
    push(ecr, "team/app", build_image(BASE, APP), "latest")
    push(ecr, "team/app", build_image(b"no tar" * 99), "broken")
    return ecr


def bill_of(sim: Ecrsim, image: str, **query: str):
    asked = "&".join(f"{name}={quote(value)}" for name, value in {"image": image, **query}.items())
    return admin(sim, "GET", f"bill?{asked}")


@pytest.mark.parametrize("image", ["team/app", "team/app:latest", "team/app@DIGEST", "team/app:broken@DIGEST"])
def test_an_image_is_named_as_docker_names_it(sim: Ecrsim, ecr, image: str):
    digest = build_image(BASE, APP).digest
    answer = bill_of(sim, image.replace("DIGEST", digest)).json()
    found = Bill.from_json(answer["bill"])
    assert (answer["imageDigest"], names(found)) == (digest, ["bash", "curl", "left-pad"])
    assert answer["repositoryUri"].endswith("/team/app")


@pytest.mark.parametrize(
    ("image", "status", "message"),
    [
        ("", 400, "image is REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST"),
        ("nobody", 400, "The repository with name 'nobody' does not exist"),
        ("team/app:gone", 400, "imageTag:'gone'} does not exist within the repository"),
        ("team/app:broken", 422, "cannot be read: the layer is no tar, or a broken one"),
    ],
)
def test_what_cannot_be_told_is_said(sim: Ecrsim, ecr, image: str, status: int, message: str):
    answer = bill_of(sim, image)
    assert answer.status == status
    assert message in answer.json()["message"]


def test_of_an_index_one_platform_is_told(sim: Ecrsim, ecr):
    intel, arm = build_image(BASE), build_image(APP)
    listed = [
        {"mediaType": each.media_type, "digest": each.digest, "size": len(each.manifest), "platform": platform}
        for each, platform in (
            (intel, {"os": "linux", "architecture": "amd64"}),
            (arm, {"os": "linux", "architecture": "arm64", "variant": "v8"}),
        )
    ]
    for image in (intel, arm):
        push(ecr, "team/app", image)
    put(ecr, "team/app", index_of(media_type=OCI_INDEX, manifests=listed), "both")
    told = bill_of(sim, "team/app:both", platform="linux/arm64/v8").json()
    assert [each["name"] for each in told["bill"]["packages"]] == ["left-pad"]
    answer = bill_of(sim, "team/app:both")
    assert "'one of linux/amd64, linux/arm64/v8'" in answer.json()["message"]
    put(ecr, "team/app", index_of(media_type=OCI_INDEX, manifests=listed[:1]), "one")
    assert [each["name"] for each in bill_of(sim, "team/app:one").json()["bill"]["packages"]] == ["bash", "curl"]


def test_a_layer_is_read_once_for_bills_and_scans(sim: Ecrsim, ecr):
    alone = build_image(gzip.compress(tar_of({"var/lib/dpkg/status": dpkg("alone")})))
    digest = push(ecr, "team/app", alone)
    first = bill_of(sim, f"team/app@{digest}").json()
    for each in alone.blobs:
        Path(sim.runtime.blobs.path(each)).unlink()
    assert bill_of(sim, f"team/app@{digest}").json()["bill"] == first["bill"]
    assert [each["name"] for each in first["bill"]["packages"]] == ["alone"]


@pytest.fixture
def sbom(sim: Ecrsim, ecr, capsys):
    def sbom(*arguments: str) -> tuple[int, str, str]:
        place = urlsplit(sim.endpoint_url)
        where = ("--host", str(place.hostname), "--port", str(place.port), "--admin-token", sim.runtime.admin_token)
        status = main(["sbom", *arguments, *where])
        return (status, *capsys.readouterr())

    return sbom


def test_the_command_writes_cyclonedx(sbom):
    status, out, _ = sbom("team/app")
    document = json.loads(out)
    assert (status, document["bomFormat"], document["specVersion"]) == (0, "CycloneDX", "1.6")
    assert sorted(each.get("purl", each["name"]) for each in document["components"]) == [
        "debian",
        "pkg:deb/debian/bash@1.0-1?arch=amd64&distro=debian-12",
        "pkg:deb/debian/curl@8.0-1?arch=amd64&distro=debian-12",
        "pkg:npm/left-pad@1.3.0",
    ]
    assert document["metadata"]["component"]["version"] == build_image(BASE, APP).digest


def test_the_command_writes_spdx(sbom):
    status, out, _ = sbom("team/app", "--format", "spdx")
    document = json.loads(out)
    assert (status, document["spdxVersion"]) == (0, "SPDX-2.3")
    assert [each["name"] for each in document["packages"]][1:] == ["bash", "curl", "left-pad"]
    assert not list(Draft7Validator({"required": ["SPDXID", "creationInfo"]}).iter_errors(document))
    assert {each["relationshipType"] for each in document["relationships"]} == {"DESCRIBES", "CONTAINS"}


def test_the_command_says_what_is_wrong(sbom):
    status, out, err = sbom("team/app:broken")
    assert (status, out) == (1, "")
    assert "the layer is no tar, or a broken one" in err
