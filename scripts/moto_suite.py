"""Drive moto's tests of ECR over HTTP, by moto's own server mode, and hold the result against a list of deviations.

Runs in the environment that scripts/moto_tests makes, from the root of moto's source distribution. In server mode moto
patches nothing but the endpoint of the clients that a test makes. State is reset before each test. moto takes images
whose layers were never uploaded, and ECR does not; so layers are uploaded for a test, as far as their bytes are known.
What a test says of layers or registries beside its subject would otherwise hide whether the subject is right.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

SUITE = "tests/test_ecr/"
#: Files whose tests are about something other than ECR's API.
ELSEWHERE = (
    "test_ecr_policy_validation.py",  # a class inside moto; no server is asked
    "test_ecr_cloudformation.py",  # CloudFormation
    "test_ecr_scan_results.py",  # moto's own administration, on port 5000
)

ACCOUNT = "123456789012"
REGION = "us-east-1"


class Deviations:
    """pytest plugin: a listed test has to fail, any other to pass, and a listed one has to exist."""

    def __init__(self, reasons: dict[str, str], reset_url: str) -> None:
        self._reasons = reasons
        self._reset_url = reset_url

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        names = {item.nodeid.removeprefix(SUITE): item for item in items}
        files = {name.partition("::")[0] for name in names}
        gone = [name for name in self._reasons.keys() - names.keys() if name.partition("::")[0] in files]
        if gone:
            raise pytest.UsageError(f"moto has no such tests, so strike them off the list: {', '.join(sorted(gone))}")
        for name, item in names.items():
            if name in self._reasons:
                item.add_marker(pytest.mark.xfail(strict=True, reason=self._reasons[name]))

    def pytest_runtest_setup(self) -> None:
        requests.post(self._reset_url, timeout=30).raise_for_status()


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


#: The layers of moto's manifests are these, by what test_ecr_helpers.py hashes.
LAYERS = {digest_of(content): content for content in (str(number).encode() for number in range(101))}


@functools.cache
def client_of(region: str) -> Any:
    """A client outside of moto and of the session that has the hook below."""
    return boto3.Session(aws_access_key_id="layers", aws_secret_access_key="layers").client(  # noqa: S106 -- made up
        "ecr", region_name=region, endpoint_url=os.environ["TEST_SERVER_MODE_ENDPOINT"]
    )


def upload_layers(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """The hook of botocore before PutImage: give the repository the layers of the manifest that it lacks."""
    try:
        manifest = json.loads(params["imageManifest"])
        layers = [layer["digest"] for layer in manifest["layers"]]
    except (ValueError, KeyError, TypeError):
        return
    config = "".join(layers).encode()
    blobs = {digest: LAYERS[digest] for digest in layers if digest in LAYERS} | {digest_of(config): config}
    client = client_of(context["client_region"])
    where = {name: params[name] for name in ("repositoryName", "registryId") if name in params}
    # What goes wrong here, goes wrong in PutImage as well, and there the test sees it.
    with contextlib.suppress(client.exceptions.RepositoryNotFoundException):
        known = client.batch_check_layer_availability(**where, layerDigests=list(blobs))["layers"]
        for digest in blobs.keys() - {
            each["layerDigest"] for each in known if each["layerAvailability"] == "AVAILABLE"
        }:
            upload = client.initiate_layer_upload(**where)["uploadId"]
            last = len(blobs[digest]) - 1
            client.upload_layer_part(
                **where, uploadId=upload, partFirstByte=0, partLastByte=last, layerPartBlob=blobs[digest]
            )
            client.complete_layer_upload(**where, uploadId=upload, layerDigests=[digest])


def use_own_registry(params: dict[str, Any], **_: object) -> None:
    """The hook of botocore before BatchDeleteImage: the tests name a registry not their own, which moto ignores."""
    params.pop("registryId", None)


def read_deviations(path: Path) -> dict[str, str]:
    """Test to reason. A test stands in one group only."""
    reasons: dict[str, str] = {}
    for group in tomllib.loads(path.read_text("utf-8")).get("deviation", []):
        for name in group["tests"]:
            if name in reasons:
                sys.exit(f"{path.name}: {name} is listed twice")
            reasons[name] = group["because"]
    return reasons


@contextlib.contextmanager
def serve_ecrsim(command: str) -> Iterator[str]:
    """A fresh ecrsim on any free port; yields its URL.

    The registry host is spelt out, since moto's tests expect the names of AWS without the port of a local server.
    """
    options = ["--ephemeral", "--port=0", f"--account={ACCOUNT}", f"--region={REGION}"]
    options.append(f"--registry-host={ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com")
    server = subprocess.Popen([command, "serve", *options], stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline() if server.stdout else ""
        if "ready:" not in line:
            sys.exit(f"ecrsim did not start: {line or 'it printed nothing'}")
        yield line.split("ready:")[1].strip()
    finally:
        server.terminate()
        server.wait(timeout=30)


@contextlib.contextmanager
def serve_moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer  # reads the environment when it is imported

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ecrsim", required=True, help="the command that serves")
    parser.add_argument("--deviations", required=True, type=Path, help="tests that are to fail, and why")
    parser.add_argument("--control", action="store_true", help="run against moto's own server, which deviates nowhere")
    arguments, for_pytest = parser.parse_known_args()

    os.environ.update(TEST_SERVER_MODE="true", MOTO_CALL_RESET_API="false", AWS_DEFAULT_REGION=REGION)
    reasons = {} if arguments.control else read_deviations(arguments.deviations)
    with serve_moto() if arguments.control else serve_ecrsim(arguments.ecrsim) as url:
        os.environ["TEST_SERVER_MODE_ENDPOINT"] = url
        reset_url = url + ("/moto-api/reset" if arguments.control else "/_ecrsim/reset")
        boto3.setup_default_session()
        events = boto3.DEFAULT_SESSION.events
        events.register("provide-client-params.ecr.PutImage", upload_layers)
        events.register("provide-client-params.ecr.BatchDeleteImage", use_own_registry)
        # moto's settings by name, or pytest would find ecrsim's further up.
        options = ["--config-file=setup.cfg", SUITE, *(f"--ignore={SUITE}{name}" for name in ELSEWHERE)]
        options += ["-q", "-rfE", "--tb=line", "--show-capture=no", "-p", "no:cacheprovider"]
        return pytest.main([*options, *for_pytest], plugins=[Deviations(reasons, reset_url)])


if __name__ == "__main__":
    sys.exit(main())
