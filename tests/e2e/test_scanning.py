"""docker builds and pushes images, ecrsim finds what is vulnerable in them; by the AWS command line, and by events."""

from __future__ import annotations

import base64
import json
import random
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from ecrsim.testing import build_image, push_image
from tests.delivery.receivers import wait_until
from tests.e2e.clients import Client, require
from tests.e2e.receivers import Moto, settle
from tests.e2e.server import ServerProcess
from tests.ecr.scanning.osv import affecting, record
from tests.ecr.scanning.scanned import CONTINUOUS, RULE, debian, findings, names, paragraph

OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
OLD, FIXED = "3.0.11-1~deb12u1", "3.0.15-1~deb12u1"
OPENSSL = record(
    "CVE-2023-5363",
    affecting("Debian:12", "openssl", ("introduced", "0"), ("fixed", "3.0.11-1~deb12u2")),
    database_specific={"severity": "medium"},
)
COBRA = record("GO-2030-0001", affecting("Go", "github.com/spf13/cobra", ("introduced", "0"), type="SEMVER"))
TARGETS = {
    "targets": [{"name": "queue", "type": "sqs"}],
    "rules": [{"pattern": {"source": ["aws.ecr"], "detail-type": ["ECR Image Scan"]}, "targets": ["queue"]}],
}


@pytest.fixture(scope="module")
def own(launch) -> ServerProcess:
    """A server whose registries may be configured."""
    return launch()


@pytest.fixture
def ecr(own, request):
    """An account of the test's own, so that its configuration concerns nobody else."""
    account = f"{zlib.crc32(request.node.name.encode()):012}"
    return own.client(account=account), account


@pytest.fixture
def docker(docker_host, home) -> Client:
    return Client((require("docker"),), {**home, "DOCKER_HOST": docker_host, "DOCKER_BUILDKIT": "0"})


class Machine:
    """A root directory in which dpkg installs packages, and docker makes images of."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = folder / "root"
        (self.root / "var/lib/dpkg").mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        (self.root / "etc").mkdir()
        (self.root / "etc/os-release").write_text(OS_RELEASE)

    def install(self, name: str, version: str) -> None:
        """A package of that name and version, made and installed by Debian's own tools."""
        source = self._folder / f"{name}-{version}"
        (source / "DEBIAN").mkdir(parents=True)
        (source / f"usr/share/doc/{name}").mkdir(parents=True)
        (source / f"usr/share/doc/{name}/README").write_text(version)
        control = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "a <a@example.com>"}
        lines = [f"{key}: {value}\n" for key, value in control.items()]
        (source / "DEBIAN/control").write_text("".join(lines) + "Description: for a test\n")
        package = self._folder / f"{name}-{version}.deb"
        _run(require("dpkg-deb"), "--root-owner-group", "--build", source, package)
        options = ("--force-not-root", "--force-architecture", "--force-depends")
        _run(require("dpkg"), f"--root={self.root}", *options, "--install", package)

    def build(self, docker: Client, image: str, base: str = "scratch") -> None:
        """`docker build` of everything that is installed, on `base`."""
        context = self._folder / "context"
        shutil.rmtree(context, ignore_errors=True)
        context.mkdir()
        with tarfile.open(context / "root.tar", "w") as tar:
            tar.add(self.root, arcname=".")
        (context / "Dockerfile").write_text(f"FROM {base}\nADD root.tar /\n")
        docker("build", "--quiet", "--tag", image, str(context))


def _run(*command: object) -> None:
    subprocess.run([str(each) for each in command], check=True, capture_output=True)


@pytest.fixture
def machine(tmp_path) -> Machine:
    return Machine(tmp_path / "machine")


@pytest.fixture
def built(docker) -> Iterator[list[str]]:
    """Images that are removed afterwards."""
    found: list[str] = []
    yield found
    for image in reversed(found):
        docker.attempt("image", "rm", "--force", image)


def put_advisories(own: ServerProcess, *records: object) -> None:
    answer = requests.put(f"{own.url}/_ecrsim/advisories", json={"records": list(records)}, timeout=30)
    assert answer.status_code == 200, answer.text


def has_status(client, tag: str, *wanted: str) -> bool:
    place = {"repositoryName": "app", "imageId": {"imageTag": tag}}
    return client.describe_image_scan_findings(**place)["imageScanStatus"]["status"] in wanted


def wait_for(client, tag: str, *wanted: str) -> None:
    wait_until(lambda: has_status(client, tag, *wanted), 60)


def pushed(own, docker, ecr, built, machine, tag: str, base: str = "scratch") -> str:
    client, account = ecr
    image = f"{own.registry}/{account}/us-east-1/app:{tag}"
    machine.build(docker, image, base)
    built.append(image)
    docker("login", "--username", "AWS", "--password-stdin", own.registry, stdin=own.password(account))
    docker("push", image)
    wait_for(client, tag, "COMPLETE", "FAILED", "ACTIVE", "UNSUPPORTED_IMAGE")
    return image


def test_an_old_openssl_is_found_and_gone_when_it_is_upgraded(own, docker, ecr, built, machine):
    client, _ = ecr
    put_advisories(own, OPENSSL)
    client.create_repository(repositoryName="app")
    client.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
    machine.install("openssl", OLD)
    machine.install("bash", "5.2-1")
    old = pushed(own, docker, ecr, built, machine, "old")
    found = findings(client, tag="old")["imageScanFindings"]
    (finding,) = [each for each in found["findings"] if each["name"] == "CVE-2023-5363"]
    attributes = {each["key"]: each["value"] for each in finding["attributes"]}
    assert (attributes["package_name"], attributes["package_version"]) == ("openssl", OLD)
    machine.install("openssl", FIXED)
    pushed(own, docker, ecr, built, machine, "new", base=old)
    answer = findings(client, tag="new")
    assert answer["imageScanStatus"]["status"] == "COMPLETE"
    assert "CVE-2023-5363" not in names(answer)


def test_a_program_in_go_with_a_vulnerable_module(own, docker, ecr, built, machine):
    client, _ = ecr
    put_advisories(own, COBRA)
    client.create_repository(repositoryName="app")
    client.put_registry_scanning_configuration(scanType="ENHANCED", rules=[RULE])
    (machine.root / "usr/bin").mkdir(parents=True)
    shutil.copy(require("crane"), machine.root / "usr/bin/crane")
    pushed(own, docker, ecr, built, machine, "v1")
    found = findings(client, tag="v1")["imageScanFindings"]["enhancedFindings"]
    (finding,) = [each for each in found if each["packageVulnerabilityDetails"]["vulnerabilityId"] == "GO-2030-0001"]
    (package,) = finding["packageVulnerabilityDetails"]["vulnerablePackages"]
    assert (package["name"], package["packageManager"]) == ("github.com/spf13/cobra", "GOBINARY")
    assert package["filePath"] == "usr/bin/crane"


def test_a_continuous_finding_appears_after_an_import(own, docker, ecr, built, machine, tmp_path):
    client, _ = ecr
    client.create_repository(repositoryName="app")
    client.put_registry_scanning_configuration(scanType="ENHANCED", rules=[CONTINUOUS])
    machine.install("hello", "1.0-1")
    pushed(own, docker, ecr, built, machine, "v1")
    assert has_status(client, "v1", "ACTIVE")
    assert names(findings(client, tag="v1")) == []
    export = tmp_path / "hello.json"
    export.write_text(json.dumps(record("CVE-2030-0002", affecting("Debian:12", "hello", ("introduced", "0")))))
    command = [sys.executable, "-m", "ecrsim", "advisories", "import", str(export)]
    _run(*command, "--data-dir", own.folder / "data", "--port", str(own.port))
    wait_until(lambda: names(findings(client, tag="v1")) == ["CVE-2030-0002"], 60)
    (finding,) = findings(client, tag="v1")["imageScanFindings"]["enhancedFindings"]
    assert (finding["status"], finding["title"]) == ("ACTIVE", "CVE-2030-0002 - hello")


def test_the_end_of_a_scan_arrives_at_a_queue_of_sqs(launch, docker, built, machine):
    moto = Moto()
    try:
        server = launch()
        queue = moto.queue("scans")
        targets = json.loads(json.dumps(TARGETS))
        targets["targets"][0] |= {"queue_url": queue, "endpoint_url": moto.url}
        assert requests.put(f"{server.url}/_ecrsim/targets", json=targets, timeout=30).status_code == 200
        put_advisories(server, OPENSSL)
        client = server.client(account="000000000000")
        client.create_repository(repositoryName="app")
        client.put_registry_scanning_configuration(scanType="BASIC", rules=[RULE])
        machine.install("openssl", OLD)
        pushed(server, docker, (client, "000000000000"), built, machine, "v1")
        settle(server.url)
        (message,) = moto.read(queue)
        event = json.loads(message["Body"])
        assert event["detail-type"] == "ECR Image Scan"
        assert event["detail"]["scan-status"] == "COMPLETE"
        found = findings(client, tag="v1")
        assert "CVE-2023-5363" in names(found)
        assert event["detail"]["finding-severity-counts"] == found["imageScanFindings"]["findingSeverityCounts"]
        assert event["detail"]["image-tags"] == ["v1"]
    finally:
        moto.stop()


def test_the_aws_command_line_scans_waits_and_shows(own, docker, ecr, built, machine, home):
    _, account = ecr
    keys = {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    environ = {**home, **keys, "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true"}
    program = Client((require("aws"), "--endpoint-url", own.url, "ecr"), environ)

    def aws(*arguments: str) -> dict:
        return json.loads(program(*arguments, "--output", "json") or "{}")

    put_advisories(own, OPENSSL)
    image = ("--repository-name", "app", "--image-id", "imageTag=v1")
    aws("create-repository", "--repository-name", "app")
    put = aws("put-registry-scanning-configuration", "--scan-type", "BASIC", "--rules", json.dumps([RULE]))
    assert put["registryScanningConfiguration"] == {"scanType": "BASIC", "rules": [RULE]}
    assert aws("get-registry-scanning-configuration")["scanningConfiguration"]["rules"] == [RULE]
    of_app = aws("batch-get-repository-scanning-configuration", "--repository-names", "app", "none")
    assert of_app["scanningConfigurations"][0]["scanFrequency"] == "SCAN_ON_PUSH"
    assert of_app["failures"][0]["failureCode"] == "REPOSITORY_NOT_FOUND"
    option = ("--image-scanning-configuration", "scanOnPush=true")
    assert aws("put-image-scanning-configuration", "--repository-name", "app", *option)["repositoryName"] == "app"
    machine.install("openssl", OLD)
    pushed(own, docker, ecr, built, machine, "v1")
    assert "The scan quota per image has been exceeded" in program.refuses("start-image-scan", *image)
    turned = requests.post(f"{own.url}/_ecrsim/clock/advance", json={"days": 1}, timeout=60)
    assert turned.status_code == 200
    assert aws("start-image-scan", *image)["imageScanStatus"] == {"status": "IN_PROGRESS"}
    requests.post(f"{own.url}/_ecrsim/clock/advance", json={"seconds": 5}, timeout=60)
    program("wait", "image-scan-complete", *image)
    shown = aws("describe-image-scan-findings", *image)
    assert shown["imageScanStatus"]["status"] == "COMPLETE"
    assert "CVE-2023-5363" in [each["name"] for each in shown["imageScanFindings"]["findings"]]
    assert shown["registryId"] == account


def big_layer(number: int) -> bytes:
    """Some 24 MB of a system: 3,000 files besides the packages, hard to compress."""
    chance = random.Random(number)  # noqa: S311 - the same bytes each time
    files = {f"usr/lib/file{each}": chance.randbytes(8_000) for each in range(3_000)}
    packages = [paragraph(f"package{each}", f"1.{number}-1") for each in range(300)]
    return debian(*packages, paragraph("openssl", OLD), more=files)


def pss(pids: list[int]) -> float:
    """MiB that these processes have for themselves, with their share of what they have in common (Linux)."""
    found = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return sum(int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) for text in found) / 1024


def children(pid: int) -> list[int]:
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [pid, *(below for each in found for below in children(each))]


def p99(session: requests.Session, url: str, headers: dict[str, str], going_on) -> float:
    """Of requests that are sent one after the other, for as long as it goes on."""
    durations = []
    while going_on(len(durations)):
        began = time.perf_counter()
        assert session.get(url, headers=headers, timeout=30).status_code == 200
        durations.append(time.perf_counter() - began)
    return sorted(durations)[len(durations) * 99 // 100]


@pytest.mark.slow
def test_ten_scans_at_once_hold_nobody_up_and_need_little_memory(launch, record_property):
    """A manifest's p99 at most doubles, or stays below what nobody notices; all processes keep below 150 MiB."""
    server = launch()
    client = server.client(account="000000000000")
    put_advisories(server, OPENSSL)
    client.create_repository(repositoryName="app")
    for number in range(10):
        push_image(client, "app", build_image(big_layer(number)), f"v{number}")
    session = requests.Session()
    headers = {"Authorization": "Basic " + base64.b64encode(f"AWS:{server.password()}".encode()).decode()}
    url = f"{server.url}/v2/app/manifests/v0"
    quiet = p99(session, url, headers, lambda count: count < 1_000)
    for number in range(10):
        client.start_image_scan(repositoryName="app", imageId={"imageTag": f"v{number}"})
    most = 0.0

    def goes_on(count: int) -> bool:
        nonlocal most
        if count % 200:
            return True
        most = max(most, pss(children(server.process.pid)))
        return count < 400 or not all(has_status(client, f"v{number}", "COMPLETE") for number in range(10))

    busy = p99(session, url, headers, goes_on)
    found = f"p99 {quiet * 1000:.1f} ms, with ten scans {busy * 1000:.1f} ms; {most:.0f} MiB"
    record_property("scans", found)
    assert busy <= max(2 * quiet, 0.02), found
    assert most < 150, found
    assert names(findings(client, tag="v9"))
