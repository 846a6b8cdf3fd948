"""Layers that are broken on purpose: a reason in words, within bounds of memory and time, and nothing else suffers."""

from __future__ import annotations

import gzip
import json
import sqlite3
import struct
import tarfile
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache

import pytest
import zstandard

from ecrsim.ecr.scanning.packages import BrokenLayer, Limits, bill_of
from ecrsim.ecr.scanning.packages.limits import MIB
from tests.ecr.scanning.packages.archives import manifest, pom, zip_of
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
from tests.ecr.scanning.packages.programs import crates, elf
from tests.ecr.scanning.packages.test_readers import ndb

STATUS = {"var/lib/dpkg/status": dpkg("bash")}
TAR = tar_of(STATUS)
ZEROS = bytes(MIB)


@cache
def bomb(compress: Callable[[Iterator[bytes]], bytes]) -> bytes:
    """A tar with one file of 128 MiB of zeros."""
    info = tarfile.TarInfo("zeros")
    info.size = 1 << 27
    return compress(iter([info.tobuf(), *([ZEROS] * 128)]))


def gzipped(pieces: Iterator[bytes]) -> bytes:
    packing = zlib.compressobj(9, wbits=31)
    return b"".join(map(packing.compress, pieces)) + packing.flush()


def zstd(pieces: Iterator[bytes]) -> bytes:
    packing = zstandard.ZstdCompressor().compressobj()
    return b"".join(map(packing.compress, pieces)) + packing.flush()


def header(name: str, size: int | bytes = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header with this size, or these 12 bytes for one."""
    info = tarfile.TarInfo(name)
    info.type = kind
    made = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    made[124:136] = size if isinstance(size, bytes) else b"%011o\0" % size
    made[148:156] = b" " * 8
    made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def extended(text: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header that says so, and a file behind it."""
    return header("pax", len(text), kind) + text.ljust(-(-len(text) // 512) * 512, b"\0") + header("file") + bytes(1024)


BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "empty"),
    "something else": (lambda: b"BZh9" * 999, "no tar, or a broken one"),
    "a gzip bomb": (lambda: bomb(gzipped), "more than 200 times its size: a decompression bomb"),
    "a zstd bomb": (lambda: bomb(zstd), "more than 200 times its size: a decompression bomb"),
    "a truncated gzip": (lambda: gzip.compress(TAR)[:-40], "truncated"),
    "a broken gzip": (lambda: b"\x1f\x8b\x08\0" + bytes(6) + b"\xff" * 99, "gzip stream of the layer is broken"),
    "a truncated zstd": (lambda: zstandard.compress(TAR)[:-20], "truncated"),
    "a broken zstd": (lambda: b"\x28\xb5\x2f\xfd" + b"\xff" * 99, "zstd stream of the layer is broken"),
    "a zstd window of 2 GiB": (lambda: b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(99), "zstd stream of the layer is broken"),
    "a tar that ends in a file": (lambda: TAR[:540], "truncated: its tar ends in 'var/lib/dpkg/status'"),
    "a tar that ends in a header": (lambda: TAR[:300], "truncated: its tar ends in a header"),
    "a file that claims more than there is": (lambda: header("big", 1 << 30) + ZEROS, "truncated"),
    "a file of 8 EiB": (lambda: header("big", b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7), "bytes"),
    "a file of less than nothing": (lambda: header("big", b"\xff" * 12), "negative number"),
    "a size that is no number": (lambda: header("big", b"9x9x9x9x9x9\0"), "number that is none"),
    "a wrong checksum": (lambda: TAR[:148] + b"000001\0 " + TAR[156:], "checksum of a header is wrong"),
    "a path out of the tree": (lambda: tar_of({"a/../../etc/passwd": b"x"}), "leaves the image's root"),
    "a hard link out of the tree": (lambda: tar_of({"a": hard_link("../../etc/passwd")}), "leaves the image's root"),
    "a symlink out of the tree": (lambda: tar_of({"a/b": symlink("../../etc")}), "outside of the root"),
    "a path of 5,000 characters": (lambda: tar_of({"a" * 5000: b"x"}), "a path of 5,000 characters"),
    "a thousand folders": (lambda: tar_of({"a/" * 1000 + "b": b"x"}), "a path of 1001 folders"),
    "a link to 5,000 characters": (
        lambda: tar_of({"a": symlink("b" * 5000)}),
        "a symlink to a path of 5,000 characters",
    ),
    "a zero byte in a path": (lambda: extended(b"14 path=a\0bcd\n"), "zero byte"),
    "a name of 1 GiB": (
        lambda: header("@", 1 << 30, tarfile.GNUTYPE_LONGNAME) + ZEROS,
        "extended header of 1,073,741,824",
    ),
    "an extended header of 1 GiB": (
        lambda: header("pax", 1 << 30, tarfile.XHDTYPE) + ZEROS,
        "extended header of 1,073",
    ),
    "a record that claims more": (lambda: extended(b"999 path=x\n"), "extended header that is broken"),
    "a record without an end": (lambda: extended(b"12 path=xxxxx"), "extended header that is broken"),
    "a size in letters": (lambda: extended(b"12 size=1e9\n"), "number that is none"),
    "a size of 40 digits": (lambda: extended(b"50 size=" + b"9" * 41 + b"\n"), "number that is none"),
    "a size beyond all bounds": (lambda: extended(b"26 size=99999999999999999\n"), "bytes"),
    "a sparse file whose map never ends": (
        lambda: header("s", 0, tarfile.GNUTYPE_SPARSE)[:482] + b"\1" + bytes(29),
        "checksum of a header is wrong",
    ),
    "more names than a layer has": (
        lambda: tar_of({f"{number}/{'n' * 3900}": symlink("t" * 3900) for number in range(2200)}),
        "more than 16 MiB of names",
    ),
}


@pytest.mark.parametrize(("packed", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_layer_that_is_broken_says_why(packed: Callable[[], bytes], reason: str):
    with pytest.raises(BrokenLayer, match=reason.replace("(", r"\(")):
        read(packed())


def test_a_map_of_a_sparse_file_that_never_ends_is_left():
    info = bytearray(header("s", 0, tarfile.GNUTYPE_SPARSE))
    info[482:483] = b"\1"
    info[148:156] = b" " * 8
    info[148:156] = b"%06o\0 " % sum(info)
    more = (bytes(504) + b"\1" + bytes(7)) * 4096
    with pytest.raises(BrokenLayer, match="sparse file whose map is longer"):
        read(bytes(info) + more)


def test_a_hundred_thousand_entries_cost_little_and_more_are_refused():
    """The bound is beyond what images have: all of Anaconda is one layer of about 100,000 files."""
    one = header("srv/" + "0" * 20)
    packed = b"".join(numbered(one, number) for number in range(100_000)) + TAR
    layer = read(packed)
    assert names(bill_of([layer])) == ["bash"]
    assert len(layer.marks) == 6 * 100_001
    with pytest.raises(BrokenLayer, match="more than 100,000 entries"):
        read(packed, limits=Limits(entries=100_000))


@pytest.mark.slow
def test_a_hundred_thousand_entries_are_read_in_little_memory():
    one = header("srv/" + "0" * 20)
    packed = b"".join(numbered(one, number) for number in range(100_000)) + TAR
    assert peak_of(packed) < 20 * MIB


def test_ten_thousand_entries_are_read_in_less():
    one = header("srv/" + "0" * 20)
    packed = b"".join(numbered(one, number) for number in range(10_000))
    assert peak_of(packed) < 2 * MIB


def peak_of(packed: bytes) -> int:
    """Bytes of memory that reading a layer takes at most."""
    tracemalloc.start()
    read(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def numbered(made: bytes, number: int) -> bytes:
    """The header with 20 digits of its name changed, and its checksum with them."""
    digits = b"%020d" % number
    total = sum(made) - sum(made[148:156]) + 8 * 32 - sum(made[4:24]) + sum(digits)
    return made[:4] + digits + made[24:148] + b"%06o\0 " % total + made[156:]


def test_a_bomb_is_left_at_once():
    packed = bomb(gzipped)
    before = time.process_time()
    tracemalloc.start()
    with pytest.raises(BrokenLayer):
        read(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MIB
    assert time.process_time() - before < 5


def test_a_large_file_is_passed_over_in_constant_memory():
    """Noise is packed to its own size, so that it is no bomb."""
    noise = zlib.compress(bytes(range(256)) * 40, 0)[:8192]
    info = tarfile.TarInfo("noise")
    info.size = 64 * MIB
    packed = gzipped(iter([info.tobuf(), *([noise * 128] * 64), tar_of(STATUS)]))
    tracemalloc.start()
    layer = read(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert names(bill_of([layer])) == ["bash"]
    assert peak < 4 * MIB


def test_a_hard_link_to_nowhere_breaks_the_image():
    lower, upper = layer_of({"there": b"x"}), layer_of({"a": hard_link("there"), "b": hard_link("a")})
    assert bill_of([lower, upper]).packages == ()
    with pytest.raises(BrokenLayer, match="a hard link to a file that no layer has: 'a' to 'there'"):
        bill_of([upper])


@pytest.mark.parametrize(
    "links",
    [
        {"etc/os-release": symlink("os-release")},
        {"a": symlink("b"), "b": symlink("a"), "etc": symlink("a")},
        {"a": symlink("a/a/a/a"), "a2": symlink("a"), "etc": symlink("/a2/../a")},
        {"etc": symlink("etc/etc")},
    ],
    ids=["itself", "each other", "deeper and deeper", "its own folder"],
)
def test_links_in_a_circle_end(links):
    upper = {**links, "a/var/lib/dpkg/status": dpkg("dash"), "etc/.wh.x": b""}
    assert {"bash"} <= set(names(bill(STATUS, upper, links)))


def test_hard_links_in_a_circle_end():
    with pytest.raises(BrokenLayer, match="a hard link to a file that no layer has"):
        bill({"a": hard_link("b")}, {"c": hard_link("d"), "d": hard_link("c"), "e": hard_link("nowhere")})


def nested(depth: int) -> bytes:
    archive = zip_of(manifest())
    for _ in range(depth):
        archive = zip_of({**manifest(), "inner.jar": archive}, packed=False)
    return archive


def claiming(length: int) -> bytes:
    """A header of rpm that claims so many entries."""
    return struct.pack(">2I", length, length) + bytes(64)


def page(number: int) -> bytes:
    """A page of Berkeley DB's with one value, on page 2."""
    head = struct.pack("<8x3I2H2B", number, 0, 2, 2, 400, 1, 13) + struct.pack("<2H", 500, 480)
    return head.ljust(480, b"\0") + struct.pack("<B3xII", 3, 2, 1 << 20) + bytes(20)


META = (bytes(12) + struct.pack("<III", 0x00061561, 9, 512)).ljust(512, b"\0")
LOOP = META + page(1) + struct.pack("<8x3I2H2B", 2, 0, 2, 1, 486, 0, 7).ljust(512, b"x")

SKIPPED: dict[str, tuple[str, bytes, str]] = {
    "JSON that is deep": ("app/package.json", b"[" * 100_000 + b"]" * 100_000, "no JSON"),
    "JSON that is cut": ("app/package.json", b'{"name": "a", "versi', "no JSON"),
    "JSON that is large": ("app/package.json", b" " * (9 * MIB), "larger than 8,192 KiB"),
    "TOML that is deep": ("app/Cargo.lock", b"a = " + b"[" * 100_000 + b"]" * 100_000, "no TOML"),
    "a name of megabytes": (
        "lib/apk/db/installed",
        b"P:" + b"n" * 900_000 + b"\nV:1\n\n",
        "a name or a version of more",
    ),
    "a line of megabytes": ("var/lib/dpkg/status", b"Package: " + b"n" * (3 * MIB), "a line of more than"),
    "a jar that is none": ("app/a.jar", b"no zip" * 99, "no zip"),
    "a jar that is cut": ("app/a.jar", zip_of({"a": b"x" * 999}, packed=False)[:300], "the archive is truncated"),
    "a zip bomb as a jar": (
        "app/a.jar",
        zip_of({**manifest(), "a.jar": zip_of({str(number): bytes(40 * MIB) for number in range(3)}, piped=True)}),
        "a zip bomb",
    ),
    "jars in jars": ("app/a.jar", nested(9), "archives in archives, more than 8"),
    "a jar with many members": ("app/a.jar", zip_of({str(number): b"" for number in range(30)}), "too many members"),
    "a manifest of megabytes": (
        "app/a.jar",
        zip_of({"META-INF/MANIFEST.MF": ZEROS * 2}),
        "a manifest or properties of",
    ),
    "an rpm database that is none": ("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0" + bytes(999), "is broken"),
    "an rpm database that is cut": ("var/lib/rpm/Packages", META[:100], "the rpm database is truncated"),
    "an rpm value in a circle": ("var/lib/rpm/Packages", LOOP, "a header of the rpm database is broken"),
    "an rpm header that claims 4 GiB": (
        "var/lib/rpm/Packages.db",
        ndb(claiming(0xFFFFFFFF)),
        "header of the rpm database",
    ),
    "slots that are not there": (
        "var/lib/rpm/Packages.db",
        struct.pack("<4s4I12x", b"RpmP", 0, 1, 0xFFFFFFFF, 1),
        "claims more slots",
    ),
    "crates that are no JSON": (
        "app",
        elf(zlib.compress(b'{"packages":[' + b"[" * 9000, 7) + bytes(999)),
        "list of crates",
    ),
    "crates without end": ("app", elf(crates({"name": "n" * 9 * MIB, "version": "1"}) + bytes(999)), "too long"),
}
TIGHT = Limits(members=20, archive=100 * MIB)


@pytest.mark.parametrize(("path", "content", "reason"), SKIPPED.values(), ids=SKIPPED)
def test_a_file_that_is_broken_is_left_out_and_the_rest_is_read(path: str, content: bytes, reason: str):
    layer = layer_of({path: content, "opt/lib/dpkg/status": dpkg("bash")}, limits=TIGHT)
    found = bill_of([layer])
    assert names(found) == ["bash"]
    assert [each for each, _ in found.unread] == [path]
    assert reason in found.unread[0][1]
    assert json.loads(json.dumps(found.to_json()))["unread"] == [list(found.unread[0])]


def test_a_database_that_answers_for_ever_is_left(tmp_path):
    """A view may be as long as it likes, and a table's rows may be computed."""
    path = tmp_path / "rpmdb.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE VIEW Packages AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
            " SELECT zeroblob(9) AS blob FROM n"
        )
    database.close()
    found = bill({"var/lib/rpm/rpmdb.sqlite": path.read_bytes()})
    assert found.unread == (("var/lib/rpm/rpmdb.sqlite", "no rpm database: it has no table of packages"),)


def test_a_broken_file_is_forgotten_with_its_file():
    assert bill({"a.jar": b"no zip"}, {".wh.a.jar": b""}).unread == ()


def test_packages_without_number_are_refused():
    status = dpkg(*(f"p{number}" for number in range(300)))
    with pytest.raises(BrokenLayer, match="more than 299 packages"):
        layer_of({"var/lib/dpkg/status": status}, limits=Limits(packages=299))
    jars = zip_of({**manifest(), **{k: v for n in range(30) for k, v in pom("g", f"a{n}", "1").items()}})
    found = bill_of([layer_of({"a.jar": jars}, limits=Limits(packages=20))])
    assert found.unread == (("a.jar", "an archive with more than 20 packages"),)


def test_a_directory_has_no_content():
    """As Go's archive/tar has it: a size is said of what can have none."""
    assert names(bill_of([read(header("d", 512, tarfile.DIRTYPE) + TAR)])) == ["bash"]
    assert names(bill({"d": directory(), **STATUS})) == ["bash"]
