"""What each kind of file tells: contents as the tools write them, cut down; expectations as syft 1.57.1 has them."""

from __future__ import annotations

import gzip
import json
import struct

import pytest

from ecrsim.ecr.scanning.bill import Package
from tests.architecture.source import ROOT
from tests.ecr.scanning.packages.archives import manifest, pom, zip_of
from tests.ecr.scanning.packages.layering import bill, hard_link
from tests.ecr.scanning.packages.programs import crates, elf, go_block

RECORDED = ROOT / "fixtures" / "packages"
RPM_SQLITE = gzip.decompress((RECORDED / "rpmdb.sqlite.gz").read_bytes())
RPM_BERKELEY = gzip.decompress((RECORDED / "Packages.gz").read_bytes())
HELLO = ["rpm hello 2:1.2-3.el9", "rpm hello-libs 2:1.2-3.el9"]

STATUS = """\
Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.15-1~deb12u1
Description: Secure Sockets Layer toolkit
 Version: 9 is only text

Package: bash
Status: install ok installed
Architecture: amd64
Source: bash (5.2.15-2)
Version: 5.2.15-2+b7

Package: gone
Status: deinstall ok config-files
Version: 1.0-1
"""
APK = """\
C:Q1abc=
P:libcrypto3
V:3.3.2-r1
A:x86_64
o:openssl
L:Apache-2.0

P:musl
V:1.2.5-r8
A:x86_64
L:MIT
F:lib
R:ld-musl-x86_64.so.1
"""
METADATA = """\
Metadata-Version: 2.1
Name: Jinja2
Version: 3.1.4
License: BSD-3-Clause

Name: text
Version: 9
"""
GEMSPEC = """\
Gem::Specification.new do |s|
  s.name = "rake".freeze
  s.version = "13.1.0"
  s.licenses = ["MIT".freeze]
  s.files = ["name = \\"no\\""]
end
"""
DEPS = {
    "targets": {
        ".NETCoreApp,Version=v8.0": {
            "app/1.0.0": {"dependencies": {"Serilog": "3.1.1"}, "runtime": {"app.dll": {}}},
            "Serilog/3.1.1": {"runtime": {"lib/net8.0/Serilog.dll": {}}},
            "Umbrella/1.0.0": {"dependencies": {"Serilog": "3.1.1"}},
            "Analyzer/2.0.0": {},
        }
    },
    "libraries": {
        "app/1.0.0": {"type": "project"},
        "Serilog/3.1.1": {"type": "package"},
        "Umbrella/1.0.0": {"type": "package"},
        "Analyzer/2.0.0": {"type": "package"},
    },
}
PACKAGES_LOCK = {
    "version": 1,
    "dependencies": {
        "net6.0": {"Serilog": {"type": "Direct", "resolved": "3.1.1"}, "app.core": {"type": "Project"}},
        "net8.0": {"serilog": {"type": "Direct", "resolved": "3.1.1"}, "Moq": {"resolved": "4.20.0"}},
    },
}
MODULES = (
    "path\texample.com/app\n"
    "mod\texample.com/app\t(devel)\t\n"
    "dep\tgolang.org/x/text\tv0.3.7\th1:x=\n"
    "dep\tgithub.com/old/name\tv1.0.0\n=>\tgithub.com/new/name\tv1.1.0\th1:y=\n"
    "dep\tgithub.com/local/one\tv2.0.0\n=>\t./local\t(devel)\t\n"
    "build\tvcs.revision=0123456789abcdef0123\nbuild\tvcs.time=2024-05-06T07:08:09Z\n"
)
GO = [
    "golang example.com/app v0.0.0-20240506070809-0123456789ab",
    "golang github.com/new/name v1.1.0",
    "golang golang.org/x/text v0.3.7",
    "golang stdlib 1.22.1",
]
CRATES = crates(
    {"name": "app", "version": "0.1.0", "source": "local"},
    {"name": "serde", "version": "1.0.200", "source": "crates.io"},
    {"name": "cc", "version": "1.0.90", "source": "crates.io", "kind": "build"},
)
LOG4J = pom("org.apache.logging.log4j", "log4j-core", "2.14.1")
LOG4J_JAR = zip_of({**manifest(Implementation_Title="Log4j", Implementation_Version="2.14.1"), **LOG4J})
WAR = {**manifest(), "WEB-INF/lib/log4j-core-2.14.1.jar": LOG4J_JAR, "WEB-INF/lib/broken.jar": b"PK no zip"}


def json_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def ndb(*headers: bytes) -> bytes:
    """A database of rpm's NDB format with these headers (rpm's `rpmpkg.c`)."""
    slots, blobs = b"", b""
    for index, header in enumerate(headers, 1):
        blob = struct.pack("<4s3I", b"BlbS", index, 1, len(header)) + header
        blob = blob.ljust(-(-len(blob) // 16) * 16, b"\0")
        slots += struct.pack("<4s3I", b"Slot", index, (4096 + len(blobs)) // 16, len(blob) // 16)
        blobs += blob
    head = struct.pack("<4s4I12x", b"RpmP", 0, 1, 1, len(headers) + 1)
    free = struct.pack("<4s12x", b"Slot")
    return head + slots + free * (254 - len(headers)) + blobs


def rpm_header(**values: str) -> bytes:
    """A header of rpm with these texts; `epoch` is a number."""
    tags = {"name": 1000, "version": 1001, "release": 1002, "epoch": 1003, "arch": 1022, "sourcerpm": 1044}
    index, data = b"", b""
    for name, value in values.items():
        is_number = name == "epoch"
        index += struct.pack(">4I", tags[name], 4 if is_number else 6, len(data), 1)
        data += struct.pack(">I", int(value)) if is_number else value.encode() + b"\0"
    return struct.pack(">2I", len(values), len(data)) + index + data


ZLIB = rpm_header(epoch="0", name="zlib", version="1.3", release="1.azl3", sourcerpm="zlib-1.3-1.azl3.src.rpm")
MANIFEST = "zlib\t1.3-1.azl3\t1\t1\tMicrosoft\t(none)\t1\tx86_64\t0\tzlib-1.3-1.azl3.src.rpm\nshort\tline\n"

FILES: dict[str, tuple[str, bytes, list[str]]] = {
    "dpkg": ("var/lib/dpkg/status", STATUS.encode(), ["deb bash 5.2.15-2+b7", "deb libssl3 3.0.15-1~deb12u1"]),
    "dpkg of distroless": ("var/lib/dpkg/status.d/bash", STATUS[-130:].encode(), []),
    "apk": ("lib/apk/db/installed", APK.encode(), ["apk libcrypto3 3.3.2-r1", "apk musl 1.2.5-r8"]),
    "apk since 3": ("usr/lib/apk/db/installed", APK.encode(), ["apk libcrypto3 3.3.2-r1", "apk musl 1.2.5-r8"]),
    "rpm in SQLite": ("var/lib/rpm/rpmdb.sqlite", RPM_SQLITE, HELLO),
    "rpm of Fedora": ("usr/lib/sysimage/rpm/rpmdb.sqlite", RPM_SQLITE, HELLO),
    "rpm in Berkeley DB": ("var/lib/rpm/Packages", RPM_BERKELEY, HELLO),
    "rpm in NDB": ("usr/lib/sysimage/rpm/Packages.db", ndb(ZLIB), ["rpm zlib 0:1.3-1.azl3"]),
    "rpm listed": ("var/lib/rpmmanifest/container-manifest-2", MANIFEST.encode(), ["rpm zlib 1.3-1.azl3"]),
    "wheel": ("opt/v/site-packages/jinja2-3.1.4.dist-info/METADATA", METADATA.encode(), ["pypi Jinja2 3.1.4"]),
    "egg": ("usr/lib/python3/dist-packages/x.egg-info/PKG-INFO", METADATA.encode(), ["pypi Jinja2 3.1.4"]),
    "egg of one file": ("usr/lib/python3/dist-packages/x-1.egg-info", METADATA.encode(), ["pypi Jinja2 3.1.4"]),
    "Python itself": ("usr/lib/python2.7/Python.egg-info", b"Name: Python\nVersion: 2.7\n", []),
    "npm": (
        "app/node_modules/@babel/core/package.json",
        json_bytes({"name": "@babel/core", "version": "7.24.0", "license": "MIT"}),
        ["npm @babel/core 7.24.0"],
    ),
    "npm without a version": ("app/package.json", json_bytes({"name": "app"}), []),
    "npm of other types": ("app/package.json", json_bytes({"name": ["a"], "version": 1}), []),
    "gem": ("usr/lib/ruby/gems/3.1.0/specifications/rake-13.1.0.gemspec", GEMSPEC.encode(), ["gem rake 13.1.0"]),
    "gem that is not installed": ("app/rake.gemspec", GEMSPEC.encode(), []),
    "Composer 2": (
        "app/vendor/composer/installed.json",
        json_bytes({"packages": [{"name": "monolog/monolog", "version": "3.5.0"}], "dev": True}),
        ["composer monolog/monolog 3.5.0"],
    ),
    "Composer 1": (
        "app/vendor/composer/installed.json",
        json_bytes([{"name": "monolog/monolog", "version": "v1.0"}]),
        ["composer monolog/monolog v1.0"],
    ),
    ".NET": ("app/app.deps.json", json_bytes(DEPS), ["nuget Serilog 3.1.1", "nuget Umbrella 1.0.0"]),
    ".NET's lock": ("app/packages.lock.json", json_bytes(PACKAGES_LOCK), ["nuget Moq 4.20.0", "nuget Serilog 3.1.1"]),
    "Go": ("app/server", elf(b"x", bytes(48) + go_block("go1.22.1", MODULES)), GO),
    "Go of 32 bits": ("app/server", elf(b"x", go_block("go1.22.1", MODULES), wide=False), GO),
    "Go with an experiment": ("app/x", elf(b"", go_block("go1.22.1 X:boringcrypto", MODULES)), GO),
    "Go that holds another program": (
        "app/server",
        elf(go_block("go1.2", "path\tb\nmod\tb\tv1.0.0\n"), go_block("go1.22.1", MODULES)),
        GO,
    ),
    "Go at the edge of a piece": (
        "app/server",
        elf(bytes(61440 - 16), bytes(4096 - 16) + go_block("go1.22.1", MODULES)),
        GO,
    ),
    "Go with a version of the linker's": (
        "app/x",
        elf(
            b"",
            go_block("go1.22.1", 'path\ta\nmod\ta\t(devel)\nbuild\t-ldflags="-X main.version=1.4.2 -s"\n'),
        ),
        ["golang a v1.4.2", "golang stdlib 1.22.1"],
    ),
    "Rust": ("usr/bin/app", elf(bytes(70000) + CRATES), ["cargo app 0.1.0", "cargo serde 1.0.200"]),
    "Rust behind what looks alike": (
        "app",
        elf(b"x\x9c\xed x\xda\x05" * 40 + CRATES),
        ["cargo app 0.1.0", "cargo serde 1.0.200"],
    ),
    "a program of neither": ("usr/bin/true", elf(b"\xff Go buildinf:" * 9), []),
    "jar of Maven": ("app/log4j-core-2.14.1.jar", LOG4J_JAR, ["maven org.apache.logging.log4j/log4j-core 2.14.1"]),
    "jar in a pipe": (
        "app/log4j-core-2.14.1.jar",
        zip_of({**manifest(), "a.class": b"x" * 99, **LOG4J}, piped=True),
        ["maven org.apache.logging.log4j/log4j-core 2.14.1"],
    ),
    "jar behind a script": (
        "app/log4j-core-2.14.1.jar",
        b"#!/bin/bash\nexec java -jar $0\n" + LOG4J_JAR,
        ["maven org.apache.logging.log4j/log4j-core 2.14.1"],
    ),
    "jar that is known by its manifest": (
        "app/tool.jar",
        zip_of(manifest(Implementation_Version="1.2", Automatic_Module_Name="org.example.tool")),
        ["maven org.example.tool/tool 1.2"],
    ),
    "jar that is known by its name": (
        "app/spring-core-5.3.18.jar",
        zip_of(manifest()),
        ["maven spring-core/spring-core 5.3.18"],
    ),
    "jar that others were put into": (
        "app/app-1.0.jar",
        zip_of({**manifest(), **pom("com.example", "app", "1.0"), **LOG4J}),
        ["maven com.example/app 1.0", "maven org.apache.logging.log4j/log4j-core 2.14.1"],
    ),
    "war with jars": (
        "srv/shop-2.0.war",
        zip_of(WAR),
        ["maven org.apache.logging.log4j/log4j-core 2.14.1", "maven shop/shop 2.0"],
    ),
    "war with stored jars": (
        "srv/shop-2.0.war",
        zip_of(WAR, packed=False),
        ["maven org.apache.logging.log4j/log4j-core 2.14.1", "maven shop/shop 2.0"],
    ),
}


def shown(package: Package) -> str:
    return f"{package.type} {package.namespace + '/' if package.namespace else ''}{package.name} {package.version}"


@pytest.mark.parametrize(("path", "content", "expected"), FILES.values(), ids=FILES)
def test_a_file_tells_its_packages(path: str, content: bytes, expected: list[str]):
    found = bill({path: content, "another": b"file"})
    assert sorted(map(shown, found.packages)) == sorted(expected)
    assert {package.path for package in found.packages} <= {path}
    assert found.unread == ()


def test_sources_and_licenses_are_told():
    found = bill({"var/lib/dpkg/status": STATUS.encode(), "lib/apk/db/installed": APK.encode()}).packages
    told = {each.name: (each.source_name, each.source_version, each.arch, each.licenses) for each in found}
    assert told == {
        "libssl3": ("openssl", "3.0.15-1~deb12u1", "amd64", ()),
        "bash": ("bash", "5.2.15-2", "amd64", ()),
        "libcrypto3": ("openssl", "3.3.2-r1", "x86_64", ("Apache-2.0",)),
        "musl": ("musl", "1.2.5-r8", "x86_64", ("MIT",)),
    }
    rpm = bill({"var/lib/rpm/rpmdb.sqlite": RPM_SQLITE}).packages[0]
    assert (rpm.source_name, rpm.source_version, rpm.arch, rpm.licenses) == ("hello", "2:1.2-3.el9", "noarch", ("MIT",))


def test_busybox_is_a_system_by_any_of_its_names():
    program = elf(b"BusyBox v1.36.1 (2024-06-10)")
    found = bill({"bin/[": program, "bin/busybox": hard_link("bin/[")}).system
    assert found is not None
    assert (found.id, found.version_id) == ("busybox", "1.36.1")
