"""Versions in their order, as each ecosystem has it. `univers` compares; what it refuses is written as it takes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from univers.gem import InvalidVersionError
from univers.versions import (
    DebianVersion,
    GentooVersion,
    InvalidVersion,
    MavenVersion,
    NugetVersion,
    PypiVersion,
    RpmVersion,
    RubygemsVersion,
    SemverVersion,
)

#: What Go's toolchain calls its versions: go1.21rc1, which its database writes as 1.21.0-rc.1.
_GO = re.compile(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?(?:(alpha|beta|rc)(\d+))?")
#: apk sorts these behind the release, as `_p`; univers knows `_p` alone.
_APK_LATER = re.compile(r"_(?:cvs|svn|git|hg)(\d*)")
#: What stands behind the version of a gem that was built for one platform.
_GEM_PLATFORM = re.compile(r"-(?:x86|x64|aarch64|arm|java|jruby|universal|mswin|mingw|powerpc|darwin)[\w.-]*$")
#: Longer texts are no version that anybody has released.
_LONGEST = 256


def _apk(text: str) -> Any:
    # Without apk's hash of a commit. univers' own class for Alpine refuses leading zeros, which apk allows.
    return GentooVersion(_APK_LATER.sub(r"_p\1", text.partition("~")[0]))


def _semver(text: str) -> Any:
    # Metadata of a build has no place in the order.
    return SemverVersion(text.partition("+")[0])


def _go(text: str) -> Any:
    found = _GO.fullmatch(text)
    if found is not None:
        major, minor, patch, label, number = found.groups()
        text = f"{major}.{minor}.{patch or 0}" + (f"-{label}.{number}" if label else "")
    return _semver(text)


def _rubygems(text: str) -> Any:
    return RubygemsVersion(_GEM_PLATFORM.sub("", text))


#: By the first part of an ecosystem's key. Composer's versions may have four numbers, which univers' own class for it
#: does not tell apart; NuGet's has the same order and does.
_SCHEMES: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("Debian", "Ubuntu", "Echo"), DebianVersion),
    **dict.fromkeys(("Alpine", "Wolfi", "Chainguard", "MinimOS", "Alpaquita"), _apk),
    **dict.fromkeys(
        (
            *("Red Hat", "Rocky Linux", "AlmaLinux", "Amazon Linux", "Oracle Linux", "Fedora", "SUSE", "openSUSE"),
            *("Photon OS", "Azure Linux", "Mageia", "openEuler", "Hummingbird"),
        ),
        RpmVersion,
    ),
    "PyPI": PypiVersion,
    "Go": _go,
    "Maven": MavenVersion,
    "RubyGems": _rubygems,
    "Packagist": NugetVersion,
    "NuGet": NugetVersion,
    **dict.fromkeys(("npm", "crates.io"), _semver),
}


@lru_cache(maxsize=65_536)
def version_of(ecosystem: str, text: str) -> Any:
    """A value that compares with others of the ecosystem; None where the text is no version of it."""
    scheme = _SCHEMES.get(ecosystem.partition(":")[0], _semver)
    if not text or len(text) > _LONGEST or not text.isascii():
        return None
    try:
        return scheme(text)
    except (InvalidVersion, InvalidVersionError, ValueError, TypeError, AttributeError, IndexError, RecursionError):
        # univers lets through what its parsers stumble over.
        return None


def is_before(ecosystem: str, text: str, other: str) -> bool | None:
    """Whether `text` comes before `other`; None where one of them is no version."""
    mine, theirs = version_of(ecosystem, text), version_of(ecosystem, other)
    if mine is None or theirs is None:
        return None
    try:
        return bool(mine < theirs)
    except (ValueError, TypeError, AttributeError, IndexError, RuntimeError):
        return None
