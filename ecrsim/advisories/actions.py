"""What the commands of advisories do."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ecrsim.advisories.fetching import fetched, is_url
from ecrsim.config import Config
from ecrsim.core.admintoken import served_in
from ecrsim.core.clock import parse_iso
from ecrsim.core.durations import SECOND
from ecrsim.core.printable import printable
from ecrsim.core.upstream.failures import UpstreamError
from ecrsim.ecr.scanning import vex
from ecrsim.ecr.scanning.advisories import Advisories, AdvisoriesBusy, AdvisoriesDamaged, open_advisories
from ecrsim.ecr.scanning.advisories.importing import Done, import_files, import_shipped
from ecrsim.ecr.scanning.advisories.places import NoPlace
from ecrsim.ecr.scanning.advisories.shipping import SHIPPED
from ecrsim.ecr.scanning.advisory import Advisory, Affected

#: Some records were refused.
_PARTLY = 3
#: Seconds between two lines of progress.
_PACE = 1.0

Command = Callable[[Config, Advisories, argparse.Namespace], int]


class AdvisoriesError(Exception):
    """It could not be done; the text says why."""


def run(config: Config, options: argparse.Namespace) -> int:
    """The command `options.run` on the advisories of the data directory, or of the ecrsim that serves on the port."""
    directory = (None if options.data_dir else served_in(config.port)) or Path(config.data_dir)
    try:
        return _COMMANDS[options.run](config, open_advisories(directory), options)
    except (AdvisoriesError, AdvisoriesBusy, AdvisoriesDamaged, NoPlace, UpstreamError, vex.VexError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or directory}: {error.strerror}")


# --- import -----------------------------------------------------------------------------------------------------------


def _bring(config: Config, advisories: Advisories, options: argparse.Namespace) -> int:
    if options.source and len(options.place) > 1:
        raise AdvisoriesError("--source names one source: import one place at a time")
    refused = 0
    for place in options.place:
        done = _bring_one(config, advisories, place, options.source)
        refused += done.refused
        again = f", {done.resumed} steps of it by an attempt before" if done.resumed else ""
        _say(f"{done.source}: {done.records} records are in{again}, {done.refused} were refused")
    if refused:
        sys.stderr.write("ecrsim: `ecrsim advisories list --refused` says why\n")
    return _PARTLY if refused else 0


def _bring_one(config: Config, advisories: Advisories, place: str, source: str | None) -> Done:
    if place == SHIPPED:
        return import_shipped(advisories)
    progress = _Progress(place)
    if not is_url(place):
        path = Path(place)
        return import_files(advisories, source or path.resolve().stem or "files", path, progress)
    with fetched(config, place, advisories.directory) as path:
        name = source or Path(place.partition("?")[0]).stem or "url"
        return import_files(advisories, name, path, progress, shown=place)


class _Progress:
    """Lines on standard error, one over the other on a terminal."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._last = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        is_end = done == total
        if not is_end and time.monotonic() - self._last < _PACE:
            return
        self._last = time.monotonic()
        text = printable(f"ecrsim: {self._place}: {done}" + (f" of {total}" if total is not None else ""))
        is_terminal = sys.stderr.isatty()
        sys.stderr.write(f"\r{text}\n" if is_terminal and is_end else f"\r{text}" if is_terminal else f"{text}\n")
        sys.stderr.flush()


# --- list and show ----------------------------------------------------------------------------------------------------


def _show_sources(_: Config, advisories: Advisories, options: argparse.Namespace) -> int:
    if options.refused:
        refused = advisories.refused()
        if options.json:
            _json([each._asdict() for each in refused])
        for each in () if options.json else refused:
            _say(f"{each.source}  {each.place}  {each.id or '-'}  {each.reason}")
        return 0
    sources = advisories.sources()
    if options.json:
        _json([each._asdict() for each in sources])
        return 0
    rows = [("SOURCE", "KIND", "RECORDS", "REFUSED", "BROUGHT IN", "NEWEST", "FROM")]
    for one in sources:
        times = _day(one.imported_at), _day(one.newest)
        rows.append((one.name, one.kind, str(one.records), str(one.refused), *times, one.place))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        _say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _show(_: Config, advisories: Advisories, options: argparse.Namespace) -> int:
    snapshot = advisories.snapshot()
    found = snapshot.find(options.cve)
    if not found:
        raise AdvisoriesError(f"no advisory is known under {options.cve}")
    if options.json:
        _json([_whole(each, snapshot.packages_of(each.number)) for each in found])
        return 0
    for advisory in found:
        _say(f"{advisory.id}  ({advisory.source})  {advisory.summary}".rstrip())
        for title, text in _facts(advisory):
            _say(f"  {title}: {text}")
        for affected in snapshot.packages_of(advisory.number):
            _say(f"  {affected.ecosystem} {affected.name}: {_ranges(affected)}")
    return 0


def _facts(advisory: Advisory) -> list[tuple[str, str]]:
    names = ", ".join((*advisory.aliases, *advisory.upstream))
    times = (("published", advisory.published), ("modified", advisory.modified), ("withdrawn", advisory.withdrawn))
    found = [("also", names), ("severity", advisory.vendor_severity)]
    found += [("vector", vector) for _, vector in advisory.vectors]
    found += [(title, _day(moment)) for title, moment in times if moment is not None]
    found += [("see", url) for kind, url in advisory.references if kind == "ADVISORY"]
    return [(title, text) for title, text in found if text]


def _ranges(affected: Affected) -> str:
    """`1.0 to before 1.2; 2.0 to 2.3`, as the events have it."""
    words = {"introduced": "from {}", "fixed": "before {}", "last_affected": "up to {}", "limit": "below {}"}
    texts = [" ".join(words[kind].format(text) for kind, text in each.events) for each in affected.ranges]
    if affected.versions:
        texts.append(f"{len(affected.versions)} versions by name")
    return "; ".join(texts) or "no version"


def _whole(advisory: Advisory, packages: list[Affected]) -> dict[str, Any]:
    return {
        "id": advisory.id,
        "source": advisory.source,
        "summary": advisory.summary,
        "details": advisory.details,
        "aliases": advisory.aliases,
        "upstream": advisory.upstream,
        "severity": advisory.vendor_severity,
        "vectors": [vector for _, vector in advisory.vectors],
        "withdrawn": advisory.withdrawn is not None,
        "affected": [
            {
                "ecosystem": each.ecosystem,
                "name": each.name,
                "ranges": [[{kind: text} for kind, text in one.events] for one in each.ranges],
                "versions": each.versions,
                "severity": each.vendor_severity,
            }
            for each in packages
        ],
    }


# --- remove and ignore ------------------------------------------------------------------------------------------------


def _remove(_: Config, advisories: Advisories, options: argparse.Namespace) -> int:
    if not advisories.remove(options.source):
        names = ", ".join(each.name for each in advisories.sources())
        raise AdvisoriesError(f"there is no source {options.source}; there are: {names or 'none'}")
    _say(f"{options.source} is removed")
    return 0


def _ignore(_: Config, advisories: Advisories, options: argparse.Namespace) -> int:
    if options.vex:
        return _heed_document(advisories, Path(options.vex))
    if options.cve is None:
        for each in advisories.ignored():
            place = each.repository or "all repositories"
            end = "ever" if each.until is None else _day(each.until)
            _say(f"{each.id}  in {place}  until {end}  {each.reason}".rstrip())
        for document, count in advisories.documents():
            _say(f"{document}  {count} statements")
        return 0
    if options.remove:
        if not advisories.heed(options.cve, repository=options.repository):
            raise AdvisoriesError(f"{options.cve} is not ignored there")
        _say(f"{options.cve} is ignored no longer")
        return 0
    try:
        until = None if options.until is None else parse_iso(options.until) / SECOND
    except (ValueError, OverflowError):
        raise AdvisoriesError(f"{options.until} is no date: 2026-12-31, or 2026-12-31T12:00:00Z") from None
    advisories.ignore(options.cve, repository=options.repository, until=until, reason=options.reason)
    _say(f"{options.cve} is ignored in {options.repository or 'all repositories'}")
    return 0


def _heed_document(advisories: Advisories, file: Path) -> int:
    try:
        document = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise AdvisoriesError(f"{file} is not JSON: {error}") from None
    count = advisories.put_document(file.name, document)
    _say(f"{file}: {count} statements are heeded")
    return 0


_COMMANDS: Mapping[str, Command] = {
    "bring": _bring,
    "show_sources": _show_sources,
    "show": _show,
    "remove": _remove,
    "ignore": _ignore,
}


# --- output -----------------------------------------------------------------------------------------------------------


def _day(moment: float | None) -> str:
    return "-" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")


def _say(text: str) -> None:
    sys.stdout.write(f"{printable(text)}\n")


def _json(value: Any) -> None:
    sys.stdout.write(f"{orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()}\n")


def _fail(text: str) -> int:
    sys.stderr.write(f"ecrsim: {printable(text, lines=True)}\n")
    return 1
