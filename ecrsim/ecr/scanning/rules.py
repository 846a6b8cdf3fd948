"""What is scanned, when, and what is shown of it. Pure.

Documented: the two scan types, their frequencies, how filters match, one basic scan of an image in 24 hours, what is
monitored. Inferred is what a comment says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ecrsim.core import glob
from ecrsim.core.durations import DAY
from ecrsim.core.errors import InvalidParameterException

ScanType = Literal["BASIC", "ENHANCED"]
Rules = Sequence[Mapping[str, Any]]

#: The weakest first: where two rules match a repository the stronger one holds (documented of CONTINUOUS_SCAN).
FREQUENCIES = ("MANUAL", "SCAN_ON_PUSH", "CONTINUOUS_SCAN")

COMPLETED = "The scan was completed successfully."  # R
UNSUPPORTED = "UnsupportedImageError: The operating system and/or package manager are not supported."  # R
CONTINUOUS = "Continuous scan is selected for image."  # R
#: What is said with the other statuses; IN_PROGRESS has nothing to say (documented), the sentences are inferred.
DESCRIPTIONS: Mapping[str, str] = {
    "COMPLETE": COMPLETED,
    "ACTIVE": CONTINUOUS,
    "PENDING": "The image is waiting for its initial scan.",
    "UNSUPPORTED_IMAGE": UNSUPPORTED,
    "SCAN_ELIGIBILITY_EXPIRED": "The scan duration that is configured for the image has lapsed.",
    "LIMIT_EXCEEDED": "The quota of image scans in 24 hours has been exceeded.",
    "IMAGE_ARCHIVED": "The image is archived. Restore it to scan it.",
    "IMAGE_SIZE_EXCEEDED": "The image exceeds the maximum size for scanning.",
}
#: Milliseconds after which a closed finding is forgotten (documented of Inspector: 7 days).
CLOSED_FOR = 7 * DAY


# --- the configuration of a registry ----------------------------------------------------------------------------------


class Configuration(NamedTuple):
    """Of a registry. A fresh one is `BASIC` without rules (documented)."""

    scan_type: ScanType = "BASIC"
    rules: Rules = ()


class Applied(NamedTuple):
    """What holds for a repository: a frequency, and the filter by which it does."""

    frequency: str
    filters: tuple[Mapping[str, str], ...] = ()


def check(configuration: Configuration) -> None:
    """InvalidParameterException; what is refused and both sentences are inferred."""
    frequencies = [rule["scanFrequency"] for rule in configuration.rules]
    if configuration.scan_type == "BASIC" and "CONTINUOUS_SCAN" in frequencies:
        raise _invalid("CONTINUOUS_SCAN is only supported for the scan type ENHANCED")
    if len(set(frequencies)) != len(frequencies):
        raise _invalid("Each scan frequency can be used by one rule only")


def _invalid(constraint: str) -> InvalidParameterException:
    return InvalidParameterException(member="rules", constraint=constraint)


def filter_matches(text: str, repository_name: str) -> bool:
    """Without a star it is looked for anywhere in the name; with one it is the whole name (documented by a table)."""
    return glob.matches(text, repository_name) if "*" in text else text in repository_name


def applied(configuration: Configuration, repository_name: str, *, scan_on_push: bool) -> Applied:
    """What holds for a repository; `scan_on_push` is its own flag.

    Of the filters of a rule the last one that matches is named (recorded by others). The flag of the repository holds
    while a registry with basic scanning has no rules (inferred).
    """
    found = Applied("MANUAL")
    for rule in configuration.rules:
        matching = [each for each in rule["repositoryFilters"] if filter_matches(each["filter"], repository_name)]
        if matching and _is_stronger(rule["scanFrequency"], found):
            found = Applied(rule["scanFrequency"], (matching[-1],))
    if scan_on_push and not configuration.rules and configuration.scan_type == "BASIC":
        return Applied("SCAN_ON_PUSH")
    return found


def _is_stronger(frequency: str, than: Applied) -> bool:
    return not than.filters or FREQUENCIES.index(frequency) > FREQUENCIES.index(than.frequency)


class FrequencyChange(NamedTuple):
    """A repository whose frequency is another one now."""

    repository_name: str
    frequency: str
    previous: str


def changes(
    before: Configuration, after: Configuration, repositories: Iterable[tuple[str, bool]]
) -> list[FrequencyChange]:
    """Of these (name, own flag), those that are scanned at another frequency."""
    found = []
    for name, flag in repositories:
        previous = applied(before, name, scan_on_push=flag).frequency
        frequency = applied(after, name, scan_on_push=flag).frequency
        if previous != frequency:
            found.append(FrequencyChange(name, frequency, previous))
    return found


# --- when an image may be scanned -------------------------------------------------------------------------------------


def is_scanned_today(requested_at: int | None, now: int) -> bool:
    """Whether another basic scan has to wait: one in 24 hours, from the start of the last one (documented)."""
    return requested_at is not None and now - requested_at < DAY


def is_monitored(pushed_at: int, pulled_at: int | None, now: int, days: int) -> bool:
    """Whether an image is scanned again and again: for so many days after its last push or pull; 0: for ever.

    Documented: the duration is configured by push date and pull date, and is 14 days of each.
    """
    return days == 0 or now - max(pushed_at, pulled_at or 0) <= days * DAY


# --- what is shown ----------------------------------------------------------------------------------------------------


class Shown(NamedTuple):
    """A status with its description, and whether findings are shown with it."""

    status: str
    description: str | None
    has_findings: bool = False


class Kept(NamedTuple):
    """What is known of the last scan of an image."""

    status: str
    description: str | None
    is_completed: bool


def shown(scan_type: str, kept: Kept | None, frequency: str, *, is_archived: bool, is_monitored: bool) -> Shown | None:
    """What an image's scan looks like now; None where there is none.

    Inferred: an archived image shows that and nothing else; under enhanced scanning a repository that no rule matches
    shows no scan, and an image that was never scanned waits for it, or came too late.
    """
    if is_archived:
        return _as("IMAGE_ARCHIVED")
    is_off = scan_type == "ENHANCED" and frequency == "MANUAL"
    if is_off or (kept is None and scan_type == "BASIC"):
        return None
    if scan_type == "ENHANCED" and not is_monitored and (kept is None or frequency == "CONTINUOUS_SCAN"):
        return _as("SCAN_ELIGIBILITY_EXPIRED")
    if kept is None:
        return _as("PENDING")
    if kept.status == "COMPLETE" and frequency == "CONTINUOUS_SCAN" and scan_type == "ENHANCED":
        return _as("ACTIVE", has_findings=True)
    has_findings = kept.is_completed and kept.status in ("COMPLETE", "IN_PROGRESS", "PENDING")
    return Shown(kept.status, kept.description or DESCRIPTIONS.get(kept.status), has_findings)


def _as(status: str, *, has_findings: bool = False) -> Shown:
    return Shown(status, DESCRIPTIONS.get(status), has_findings)


# --- operating systems ------------------------------------------------------------------------------------------------

#: By the id of `os-release`: versions that are supported, each with what begins like it and a dot; empty: any.
#: Documented: Inspector's list of late 2026, with those of early 2026 that may have ended since.
SYSTEMS: Mapping[str, tuple[str, ...]] = {
    "almalinux": ("8", "9", "10"),
    "alpine": ("3.19", "3.20", "3.21", "3.22", "3.23", "3.24"),
    "amzn": ("2", "2023"),
    "azurelinux": ("3",),
    "busybox": (),
    "chainguard": (),
    "debian": ("11", "12", "13"),
    "echo": ("2",),
    "fedora": ("41", "43", "44"),
    "hummingbird": (),
    "minimos": (),
    "ol": ("8", "9", "10"),
    "opensuse-leap": ("15.6",),
    "photon": ("4", "5"),
    "rhel": ("8", "9", "10"),
    "rocky": ("8", "9", "10"),
    "sles": ("15.6", "15.7", "16.0"),
    "ubuntu": ("16.04", "18.04", "20.04", "22.04", "24.04", "24.10", "26.04"),
    "wolfi": (),
}
#: Of basic scanning alone (documented).
_BASIC_ONLY = frozenset({"hummingbird"})


def is_supported(scan_type: str, system_id: str, version_id: str) -> bool:
    """Whether images of the operating system are scanned."""
    versions = SYSTEMS.get(system_id)
    if versions is None or (scan_type == "ENHANCED" and system_id in _BASIC_ONLY):
        return False
    return not versions or any(version_id == each or version_id.startswith(f"{each}.") for each in versions)


def verdict(scan_type: str, system: tuple[str, str] | None, *, has_language_packages: bool) -> str:
    """How a scan ends that could read all of an image: COMPLETE, or the status of what is not supported.

    Enhanced scanning also takes an image that has no operating system and packages of a language (documented: scratch
    and minimal base images).
    """
    if system is not None and is_supported(scan_type, *system):
        return "COMPLETE"
    if scan_type == "ENHANCED":
        return "COMPLETE" if has_language_packages else "UNSUPPORTED_IMAGE"
    return "FAILED"
