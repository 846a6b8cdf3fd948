"""Layers on top of each other: OCI's image layout (layer.md: whiteouts, opaque whiteouts, changes) and overlayfs."""

from __future__ import annotations

import gzip
import json
import tarfile

import pytest
import zstandard

from ecrsim.ecr.scanning.packages import LayerContents, bill_of
from tests.ecr.scanning.packages.layering import (
    bill,
    directory,
    dpkg,
    hard_link,
    layer_of,
    names,
    read,
    symlink,
    tar_of,
)

STATUS = "var/lib/dpkg/status"
DISTROLESS = "var/lib/dpkg/status.d"
BASE = {STATUS: dpkg("bash"), f"{DISTROLESS}/zlib": dpkg("zlib"), f"{DISTROLESS}/curl": dpkg("curl")}
OS_RELEASE = b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'

CHANGES = {
    "nothing": ({}, ["bash", "curl", "zlib"]),
    "a file is replaced": ({STATUS: dpkg("dash")}, ["curl", "dash", "zlib"]),
    "a file is replaced by one that tells nothing": ({STATUS: b"\n"}, ["curl", "zlib"]),
    "a file is replaced by an empty one": ({STATUS: b""}, ["curl", "zlib"]),
    "a file is replaced by a directory": ({STATUS: directory()}, ["curl", "zlib"]),
    "a file is replaced by a link to nowhere": ({STATUS: symlink("nowhere")}, ["curl", "zlib"]),
    "a whiteout takes a file": ({f"{DISTROLESS}/.wh.curl": b""}, ["bash", "zlib"]),
    "a whiteout takes a directory": ({"var/lib/.wh.dpkg": b""}, []),
    "a whiteout of a neighbour takes nothing": ({"var/lib/.wh.dpk": b""}, ["bash", "curl", "zlib"]),
    "an opaque directory hides what was in it": ({f"{DISTROLESS}/.wh..wh..opq": b""}, ["bash"]),
    "an opaque directory has what is new": (
        {f"{DISTROLESS}/.wh..wh..opq": b"", f"{DISTROLESS}/tar": dpkg("tar")},
        ["bash", "tar"],
    ),
    "what is new may stand before the whiteout": (
        {f"{DISTROLESS}/tar": dpkg("tar"), f"{DISTROLESS}/.wh..wh..opq": b""},
        ["bash", "tar"],
    ),
    "the root is opaque": ({".wh..wh..opq": b""}, []),
    "a directory is replaced by a file": ({"var/lib/dpkg": b"a file"}, []),
    "a directory is named again": ({"var/lib/dpkg": directory()}, ["bash", "curl", "zlib"]),
    "AUFS keeps house": ({".wh..wh.plnk": directory(), ".wh..wh.aufs": b""}, ["bash", "curl", "zlib"]),
    "the last of two entries stands": ({STATUS: dpkg("old"), "./" + STATUS: dpkg("new")}, ["curl", "new", "zlib"]),
    "a link to a directory of a lower layer": ({"lib": symlink("var/lib")}, ["bash", "curl", "zlib"]),
    "a hard link to a file of a lower layer": ({"copy": hard_link(STATUS)}, ["bash", "curl", "zlib"]),
}


@pytest.mark.parametrize(("upper", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_layer_changes_what_is_below_it(upper, expected):
    assert names(bill(BASE, upper)) == expected


def test_a_package_names_its_file_its_layer_and_its_distribution():
    found = bill({"usr/lib/os-release": OS_RELEASE}, {STATUS: dpkg("bash=5.2-1")}).packages[0]
    assert (found.path, found.layer, found.namespace) == (STATUS, "sha256:1", "debian")


def test_a_layer_writes_through_a_link_of_a_lower_one():
    lower = {"usr/lib/dpkg/status": dpkg("old"), "lib": symlink("usr/lib")}
    upper = {"lib/dpkg/status": dpkg("new"), "lib/apk/db/installed": b"P:musl\nV:1.2.5-r0\n\n"}
    assert [(each.name, each.path) for each in bill(lower, upper).packages] == [
        ("musl", "usr/lib/apk/db/installed"),
        ("new", "usr/lib/dpkg/status"),
    ]
    assert names(bill(lower, {"lib/dpkg/.wh.status": b""})) == []
    assert names(bill(lower, {"lib/.wh..wh..opq": b""})) == []


def test_a_hard_link_counts_once_and_outlives_its_origin():
    lower = {"opt/a/lib/dpkg/status": dpkg("bash"), "opt/b/lib/dpkg/status": hard_link("opt/a/lib/dpkg/status")}
    assert [each.path for each in bill(lower).packages] == ["opt/a/lib/dpkg/status"]
    assert [each.path for each in bill(lower, {"opt/.wh.a": b""}).packages] == ["opt/b/lib/dpkg/status"]


@pytest.mark.parametrize("target", ["../usr/lib/os-release", "/usr/lib/os-release", "first"])
def test_the_system_is_told_through_links(target):
    found = bill({"usr/lib/os-release": OS_RELEASE, "etc/os-release": symlink(target), "etc/first": symlink(target)})
    assert found.system is not None
    assert (found.system.id, found.system.version_id) == ("debian", "12")


def test_etc_comes_before_usr():
    found = bill({"usr/lib/os-release": OS_RELEASE}, {"etc/os-release": b"ID='alpine'\nVERSION_ID=3.21.3\n"})
    assert found.system is not None
    assert found.system.id == "alpine"


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_paths_of_every_length_are_read(kind):
    path = "/".join(["opt", "a" * 60, "b" * 60, STATUS])
    assert list(read(tar_of({path: dpkg("bash"), f"./{STATUS}": dpkg("dash")}, kind=kind)).files) == [path, STATUS]


def test_layers_are_packed_in_every_way():
    tar = tar_of(BASE)
    packed = {
        "plain": tar,
        "gzip": gzip.compress(tar),
        "gzip in members": b"".join(gzip.compress(tar[at : at + 700]) for at in range(0, len(tar), 700)),
        "zstd": zstandard.compress(tar),
        "zstd in frames": b"".join(zstandard.compress(tar[at : at + 700]) for at in range(0, len(tar), 700)),
        "zstd after a frame to be skipped": b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstandard.compress(tar),
    }
    assert {how: names(bill_of([read(data)])) for how, data in packed.items()} == {
        how: ["bash", "curl", "zlib"] for how in packed
    }


def test_a_layer_and_a_bill_come_back_from_json():
    layer = layer_of({**BASE, "etc/os-release": OS_RELEASE, "x": symlink("y"), ".wh.gone": b"", "z": hard_link("low")})
    again = LayerContents.from_json(json.loads(json.dumps(layer.to_json())))
    assert again == layer
    lower = layer_of({"low": b"", "etc/os-release": b"ID=alpine\n"})
    found = bill_of([lower, again])
    assert type(found).from_json(json.loads(json.dumps(found.to_json()))) == found
    assert found.system is not None
    assert found.system.id == "debian"
