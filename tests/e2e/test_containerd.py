"""A real containerd that mirrors two regions to one ecrsim by hosts.toml, and pulls each region's own image.

It wants root. Its images are unpacked by the native snapshotter, which works where an overlay cannot be mounted.
"""

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.clients import Client, clean_environ, require

READY = "containerd successfully booted"
ACCOUNT = "000000000000"
REGIONS = ("us-east-1", "eu-west-1")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, whatever pytest calls its folders: the path of a Unix socket has room for 107 characters."""
    path = Path(tempfile.mkdtemp(prefix="containerd-"))
    yield path
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in reversed([mount for mount in mounts if mount.startswith(f"{path}/")]):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def ctr(folder: Path) -> Iterator[Client]:
    program, command = require("containerd"), require("ctr")
    if os.geteuid() != 0:
        pytest.skip("only root can start containerd")
    config = folder / "config.toml"
    config.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{folder}/socket"\n'
    )
    log: list[str] = []
    answered = threading.Event()
    process = subprocess.Popen(
        [program, "--config", str(config)],
        env=clean_environ(folder / "home"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )

    def read() -> None:
        assert process.stderr is not None
        with process.stderr as stderr:
            for line in stderr:
                log.append(line)
                if READY in line:
                    answered.set()
        answered.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    answered.wait(60)
    if process.poll() is not None or not any(READY in line for line in log):
        pytest.skip("containerd does not start here: " + "".join(log[-5:]))
    yield Client((command, "--address", f"{folder}/socket"), clean_environ(folder / "home"))
    process.terminate()
    process.wait(30)
    reader.join(10)


@pytest.fixture
def hosts(folder: Path, server) -> Path:
    """What docs/configuration.md shows, for each region."""
    for region in REGIONS:
        name = f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com"
        (folder / "certs.d" / name).mkdir(parents=True)
        (folder / "certs.d" / name / "hosts.toml").write_text(
            f'server = "https://{name}"\n\n[host."http://{server.registry}"]\n'
            '  capabilities = ["pull", "resolve", "push"]\n'
        )
    return folder / "certs.d"


def test_one_mirror_of_two_regions_gives_each_its_own_image(ctr: Client, hosts: Path, server, skopeo: Client, tmp_path):
    pushed = {}
    for region in REGIONS:
        server.client(region=region).create_repository(repositoryName="mirrored/app")
        image = images.build_image(f"the image of {region}")
        layout = images.write_layout(tmp_path / region, image)
        place = f"{server.registry}/{ACCOUNT}/{region}/mirrored/app:v1"
        skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{place}")
        pushed[region] = image.digest

    credentials = ("--hosts-dir", str(hosts), "--user", f"AWS:{server.password()}")
    for region in REGIONS:
        name = f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/mirrored/app:v1"
        ctr("image", "pull", *credentials, "--snapshotter", "native", name)
        listed = ctr("image", "ls", f"name=={name}")
        assert pushed[region] in listed, listed
