"""Images whose packages real tools have installed: dpkg, rpm, pip, npm, Go's and Rust's linkers, Debian's Java."""

from __future__ import annotations

import gzip
import json
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from tests.e2e.clients import require
from tests.ecr.scanning.packages import test_readers as recorded
from tests.ecr.scanning.packages.archives import manifest, pom, zip_of
from tests.ecr.scanning.packages.layering import Content, directory, hard_link, symlink, tar_of
from tests.ecr.scanning.packages.programs import crates

DEBIAN = b'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
ALPINE = b"ID=alpine\nVERSION_ID=3.21.3\n"
RHEL = b'ID="rhel"\nVERSION_ID="9.4"\nID_LIKE="fedora"\n'
SUSE = b'ID="sles"\nVERSION_ID="15.7"\n'


def layer(files: Mapping[str, Content]) -> bytes:
    """With an entry for each folder, as all builders write them, and as syft needs them."""
    whole: dict[str, Content] = {}
    for path, content in files.items():
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            whole.setdefault("/".join(parts[:depth]), directory())
        whole[path] = content
    return gzip.compress(tar_of(whole), 1)


def tree(root: Path, below: str = "") -> dict[str, Content]:
    """The files and links of a folder, as they lie in the image below `below`."""
    found: dict[str, Content] = {}
    for path in sorted(root.rglob("*")):
        name = f"{below}/{path.relative_to(root)}".lstrip("/")
        if path.is_symlink():
            found[name] = symlink(str(path.readlink()))
        elif path.is_file() and path.suffix != ".pyc":
            found[name] = path.read_bytes()
    return found


def run(*arguments: str | Path, **options: object) -> None:
    subprocess.run([str(each) for each in arguments], check=True, capture_output=True, **options)  # type: ignore[call-overload]


def deb(folder: Path, name: str, version: str, **fields: str) -> Path:
    """A package that dpkg-deb makes, with one file of configuration."""
    root = folder / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc" / f"{name}.conf").write_text("1\n")
    (root / "DEBIAN" / "conffiles").write_text(f"/etc/{name}.conf\n")
    told = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "A <a@b.c>", **fields}
    control = "".join(f"{field}: {value}\n" for field, value in (told | {"Description": f"{name}\n more"}).items())
    (root / "DEBIAN" / "control").write_text(control)
    run(require("dpkg-deb"), "--root-owner-group", "-b", root, folder / f"{name}.deb")
    return folder / f"{name}.deb"


class Dpkg:
    """A root with dpkg's database, and what dpkg does to it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = folder / "root"
        (self.root / "var/lib/dpkg/info").mkdir(parents=True)
        (self.root / "var/lib/dpkg/updates").mkdir()
        (self.root / "var/lib/dpkg/status").touch()

    def do(self, *arguments: str | Path) -> None:
        run(require("dpkg"), f"--root={self.root}", "--force-all", "--force-script-chrootless", *arguments)

    def install(self, name: str, version: str, **fields: str) -> None:
        self.do("-i", deb(self._folder, name, version, **fields))

    def files(self) -> dict[str, Content]:
        return {**tree(self.root), "usr/lib/os-release": DEBIAN, "etc/os-release": symlink("../usr/lib/os-release")}


def debian_root(folder: Path) -> Dpkg:
    dpkg = Dpkg(folder)
    dpkg.install("libssl3", "3.0.11-1~deb12u1", Source="openssl")
    dpkg.install("bash", "5.2.15-2+b7", Source="bash (5.2.15-2)")
    dpkg.install("git", "1:2.39.5-0+deb12u1")
    dpkg.install("gone", "1.0-1")
    dpkg.do("-r", "gone")
    return dpkg


def debian(folder: Path) -> list[bytes]:
    return [layer(debian_root(folder).files())]


def changed(folder: Path) -> list[bytes]:
    """A base; then git is purged, openssl upgraded, and a folder of Python emptied, one file in it kept by its name."""
    dpkg = debian_root(folder)
    wheels = "usr/lib/python3/dist-packages"
    python = {f"{wheels}/{name}-1.0.dist-info/METADATA": metadata(name) for name in ("one", "two", "three")}
    base = {**dpkg.files(), **python, "opt/two": hard_link(f"{wheels}/two-1.0.dist-info/METADATA")}
    dpkg.do("-P", "git")
    (folder / "again").mkdir()
    dpkg.do("-i", deb(folder / "again", "libssl3", "3.0.15-1~deb12u1", Source="openssl"))
    upper: dict[str, Content] = {
        "var/lib/dpkg/status": (dpkg.root / "var/lib/dpkg/status").read_bytes(),
        f"{wheels}/.wh.one-1.0.dist-info": b"",
        f"{wheels}/two-1.0.dist-info/.wh..wh..opq": b"",
        f"{wheels}/four-1.0.dist-info/METADATA": metadata("four"),
    }
    return [layer(base), layer(upper), layer({f"{wheels}/three-1.0.dist-info/.wh.METADATA": b""})]


def metadata(name: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n\ntext\n".encode()


def squashed(folder: Path) -> list[bytes]:
    """The same as one layer, as `docker build --squash` or kaniko leave it."""
    dpkg = debian_root(folder)
    dpkg.do("-P", "git")
    return [layer({**dpkg.files(), "usr/lib/python3/dist-packages/four-1.0.dist-info/METADATA": metadata("four")})]


def distroless(folder: Path) -> list[bytes]:
    """What Bazel's rules write: the control file of each package, and no dpkg."""
    files: dict[str, Content] = {"etc/os-release": DEBIAN}
    for name, version in (("base-files", "12.4+deb12u5"), ("tzdata", "2024a-0+deb12u1")):
        package = deb(folder, name, version)
        control = subprocess.run([require("dpkg-deb"), "-f", package], check=True, capture_output=True).stdout
        files[f"var/lib/dpkg/status.d/{name}"] = control
        files[f"var/lib/dpkg/status.d/{name}.md5sums"] = b"d41d8cd98f00b204e9800998ecf8427e  etc/x\n"
    return [layer(files)]


SPEC = """\
Name: hello
Epoch: 2
Version: 1.2
Release: 3.el9
Summary: x
License: MIT
BuildArch: noarch
%description
x
%package -n hello-libs
Summary: y
%description -n hello-libs
y
%files
%files -n hello-libs
"""


def rpm(folder: Path) -> list[bytes]:
    """rpmbuild makes the packages, rpm the database."""
    program, builder = require("rpm"), require("rpmbuild")
    (folder / "hello.spec").write_text(SPEC)
    home = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    run(builder, "-bb", "--define", f"_topdir {folder}/top", folder / "hello.spec", env=home)
    made = sorted((folder / "top" / "RPMS").rglob("*.rpm"))
    run(program, "--dbpath", folder / "db", "--nodeps", "--justdb", "-i", *made, env=home)
    return [layer({"etc/os-release": RHEL, "var/lib/rpm/rpmdb.sqlite": (folder / "db/rpmdb.sqlite").read_bytes()})]


def rpm_berkeley(folder: Path) -> list[bytes]:
    return [layer({"etc/os-release": RHEL, "var/lib/rpm/Packages": recorded.RPM_BERKELEY})]


def rpm_ndb(folder: Path) -> list[bytes]:
    """The headers that rpm wrote into SQLite, in the format that SUSE's rpm writes."""
    path = folder / "rpmdb.sqlite"
    path.write_bytes(recorded.RPM_SQLITE)
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database, database:
        headers = [header for (header,) in database.execute("SELECT blob FROM Packages")]
    database.close()
    return [layer({"etc/os-release": SUSE, "usr/lib/sysimage/rpm/Packages.db": recorded.ndb(*headers)})]


def alpine(folder: Path) -> list[bytes]:
    """Two layers, with the database where it has been since 3.22: `lib` is a link."""
    busybox = b"P:busybox\nV:1.37.0-r12\nA:x86_64\nL:GPL-2.0-only\no:busybox\n\n"
    lower: dict[str, Content] = {
        "etc/os-release": ALPINE,
        "lib": symlink("usr/lib"),
        "usr/lib/apk/db/installed": busybox,
    }
    return [layer(lower), layer({"usr/lib/apk/db/installed": busybox + recorded.APK.encode()})]


def python(folder: Path) -> list[bytes]:
    """A virtual environment with what ensurepip brings, a wheel that pip installs, and an egg."""
    run(sys.executable, "-m", "venv", folder / "venv")
    info = "Zope_Thing.x-1.0.dist-info"
    wheel = folder / "zope_thing.x-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("thing.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: Zope_Thing.x\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"thing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    run(folder / "venv/bin/pip", "install", "--quiet", "--no-index", "--no-deps", wheel)
    egg = {"usr/lib/python3/dist-packages/old-1.egg-info": metadata("old")}
    return [layer({**tree(folder / "venv", "opt/venv"), **egg})]


def node(folder: Path) -> list[bytes]:
    """npm itself, which is some hundred packages, and an application with lock files."""
    npm = Path(require("npm")).resolve().parents[1]
    app: dict[str, Content] = {
        "app/package.json": b'{"name": "@team/app", "version": "1.2.3", "private": true}',
        "app/package-lock.json": json.dumps(PACKAGE_LOCK).encode(),
        "old/package-lock.json": json.dumps(PACKAGE_LOCK_1).encode(),
        "yarn/yarn.lock": YARN.encode(),
        "berry/yarn.lock": BERRY.encode(),
        "pnpm/pnpm-lock.yaml": PNPM.encode(),
    }
    return [layer({**tree(npm, "usr/lib/node_modules/npm"), **app})]


PACKAGE_LOCK = {
    "name": "@team/app",
    "version": "1.2.3",
    "lockfileVersion": 3,
    "packages": {
        "": {"name": "@team/app", "version": "1.2.3"},
        "node_modules/lodash": {"version": "4.17.20"},
        "node_modules/a/node_modules/@types/node": {"version": "20.1.0"},
        "node_modules/jest": {"version": "29.0.0", "dev": True},
    },
}
PACKAGE_LOCK_1 = {
    "name": "old",
    "version": "1.0.0",
    "lockfileVersion": 1,
    "dependencies": {
        "minimist": {"version": "1.2.5", "dependencies": {"inner": {"version": "0.1.0"}}},
        "alias": {"version": "npm:real@2.0.0"},
        "mocha": {"version": "9.0.0", "dev": True},
    },
}
YARN = """\
# yarn lockfile v1


"@babel/core@^7.0.0", "@babel/core@^7.1.0":
  version "7.24.0"
  resolved "https://registry.yarnpkg.com/@babel/core/-/core-7.24.0.tgz#x"
  dependencies:
    ms "2.1.2"

ms@2.1.2:
  version "2.1.2"
  resolved "https://registry.yarnpkg.com/ms/-/ms-2.1.2.tgz#y"
"""
BERRY = """\
__metadata:
  version: 6

"ms@npm:2.1.3":
  version: 2.1.3
  resolution: "ms@npm:2.1.3"
  checksum: x
  languageName: node
  linkType: hard
"""
PNPM = """\
lockfileVersion: '9.0'

packages:

  '@scope/pkg@1.0.0':
    resolution: {integrity: sha512-x}

  ms@2.1.2:
    resolution: {integrity: sha512-y}

snapshots:

  ms@2.1.2: {}
"""


def go(folder: Path) -> list[bytes]:
    """Programs of many modules, and one that is built here, of which a module is replaced by a folder."""
    crane, oras = (Path(require(name)).read_bytes() for name in ("crane", "oras"))
    (folder / "lib").mkdir()
    (folder / "lib/go.mod").write_text("module example.com/lib\n\ngo 1.20\n")
    (folder / "lib/lib.go").write_text('package lib\n\nconst Text = "x"\n')
    (folder / "go.mod").write_text(
        "module example.com/app\n\ngo 1.20\n\nrequire example.com/lib v1.0.0\n\nreplace example.com/lib => ./lib\n"
    )
    (folder / "main.go").write_text('package main\n\nimport "example.com/lib"\n\nfunc main() { println(lib.Text) }\n')
    cached = subprocess.run(["go", "env", "GOCACHE"], check=True, capture_output=True, text=True).stdout.strip()
    environ = {
        "PATH": clients_path(),
        "HOME": str(folder),
        "GOCACHE": cached,
        "GOFLAGS": "-mod=mod",
        "CGO_ENABLED": "0",
    }
    build = ("go", "build", "-o", folder / "app", "-ldflags", "-s -w -X main.version=1.4.2", ".")
    run(*build, cwd=folder, env=environ)
    app = (folder / "app").read_bytes()
    return [layer({"usr/bin/crane": crane, "usr/bin/oras": oras, "app/server": app, "app/link": symlink("server")})]


def clients_path() -> str:
    return str(Path(require("go")).parent) + ":/usr/local/go/bin:/usr/bin:/bin"


def rust(folder: Path) -> list[bytes]:
    """A program with the section of cargo-auditable, put there by objcopy."""
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    run(require("gcc"), "-o", folder / "plain", folder / "main.c")
    told = [{"name": f"crate{number}", "version": f"1.0.{number}", "source": "crates.io"} for number in range(40)]
    built = [{"name": "cc", "version": "1.0.90", "source": "crates.io", "kind": "build"}]
    (folder / "list").write_bytes(crates(*told, *built))
    added = f".dep-v0={folder / 'list'}"
    run(require("objcopy"), "--add-section", added, folder / "plain", folder / "app")
    registry = "registry+https://github.com/rust-lang/crates.io-index"
    lock = "".join(
        f'[[package]]\nname = "{name}"\nversion = "1.0.200"\nsource = "{registry}"\n\n' for name in ("serde", "syn")
    )
    return [layer({"usr/bin/app": (folder / "app").read_bytes(), "src/Cargo.lock": b"version = 3\n\n" + lock.encode()})]


def java(folder: Path) -> list[bytes]:
    """Archives in archives; and where Debian's Maven is installed, its jars and the links between them."""
    inner = zip_of({**manifest(Created_By="x"), **pom("org.apache.logging.log4j", "log4j-core", "2.14.1")}, piped=True)
    war = zip_of(
        {
            **manifest(),
            "WEB-INF/lib/log4j-core-2.14.1.jar": inner,
            "WEB-INF/lib/app-lib-1.0.jar": zip_of({**manifest(), **pom("com.example", "app-lib", "1.0")}),
        }
    )
    files: dict[str, Content] = {
        "srv/shop-2.0.war": war,
        "srv/ear-1.0.ear": zip_of({**manifest(), "shop-2.0.war": war}),
    }
    for place in ("usr/share/java", "usr/share/maven"):
        files |= tree(Path("/", place), place)
    return [layer(files)]


def others(folder: Path) -> list[bytes]:
    """Ruby, PHP, .NET: files as their tools write them."""
    names = ("gem", "Composer 1", "Composer 2", ".NET", ".NET's lock", "jar that others were put into", "npm", "wheel")
    lock = {"packages": [{"name": "a/b", "version": "v1.0.0"}], "packages-dev": [{"name": "c/d", "version": "2.0.0"}]}
    files: dict[str, Content] = {
        f"{number}/{path}": content for number, name in enumerate(names) for path, content, _ in [recorded.FILES[name]]
    }
    files["php/composer.lock"] = json.dumps(lock).encode()
    files["ruby/Gemfile.lock"] = (
        b"GEM\n  remote: https://rubygems.org/\n  specs:\n    rack (2.2.3)\n    rails (6.0.0)\n      rack (~> 2.0)\n\n"
        b"PLATFORMS\n  ruby\n\nDEPENDENCIES\n  rails\n"
    )
    return [layer(files)]


IMAGES: dict[str, Callable[[Path], list[bytes]]] = {
    "Debian": debian,
    "Debian, with deletions": changed,
    "Debian, squashed": squashed,
    "distroless": distroless,
    "rpm in SQLite": rpm,
    "rpm in Berkeley DB": rpm_berkeley,
    "rpm in NDB": rpm_ndb,
    "Alpine": alpine,
    "Python": python,
    "Node": node,
    "Go": go,
    "Rust": rust,
    "Java": java,
    "Ruby, PHP, .NET": others,
}
