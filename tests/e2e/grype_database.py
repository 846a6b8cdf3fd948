"""A small vulnerability database of grype's schema 6, which grype itself makes whole and takes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

CVSS3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
_NOW = "2026-11-29 00:00:00+00:00"
#: All that a file needs for grype to make the other tables.
_EMPTY = """
    CREATE TABLE db_metadata (
        build_timestamp datetime NOT NULL, model integer NOT NULL, revision integer NOT NULL, addition integer NOT NULL
    );
    INSERT INTO db_metadata VALUES ('2026-11-29 00:00:00+00:00', 6, 1, 0);
"""


class GrypeDatabase:
    """Rows as grype's own builder writes them."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        for provider in ("debian", "github", "nvd"):
            self._add("providers", id=provider, version="1", processor="test", date_captured=_NOW)
        self._debian = self._add(
            "operating_systems",
            name="debian",
            release_id="debian",
            major_version="12",
            codename="bookworm",
            **dict.fromkeys(("minor_version", "label_version", "channel"), ""),
        )

    def _add(self, table: str, **values: Any) -> int:
        marks = ", ".join("?" * len(values))
        statement = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"  # noqa: S608 - names of this file
        return self._connection.execute(statement, list(values.values())).lastrowid or 0

    def _blob(self, content: dict[str, Any]) -> int:
        return self._add("blobs", value=json.dumps(content))

    def _vulnerability(self, name: str, provider: str, word: str | None, url: str, **more: Any) -> int:
        severities: list[dict[str, Any]] = [{"scheme": "CHMLN", "value": word, "rank": 1}] if word else []
        if provider != "debian":
            score = {"vector": CVSS3, "version": "3.1"}
            source = {"source": "nvd@nist.gov"} if provider == "nvd" else {}
            severities.append({"scheme": "CVSS", "value": score, "rank": 2, **source})
        content = self._blob({"id": name, "refs": [{"url": url}], "severities": severities, **more})
        row = {"name": name, "status": "active", "published_date": _NOW, "provider_id": provider}
        return self._add("vulnerability_handles", **row, blob_id=content)

    def _affects(
        self, vulnerability: int, ecosystem: str, name: str, kind: str, fixed: str, system: int | None
    ) -> None:
        version = {"type": kind, "constraint": f"< {fixed}"}
        content = self._blob({"ranges": [{"version": version, "fix": {"version": fixed, "state": "fixed"}}]})
        package = self._add("packages", ecosystem=ecosystem, name=name)
        row = {"vulnerability_id": vulnerability, "operating_system_id": system, "package_id": package}
        self._add("affected_package_handles", **row, blob_id=content)

    def debian(self, cve: str, source: str, fixed: str, word: str) -> None:
        """Of a source package of Debian 12, and what the NVD says of it."""
        found = self._vulnerability(cve, "debian", word, f"https://security-tracker.debian.org/tracker/{cve}")
        self._affects(found, "deb", source, "dpkg", fixed, self._debian)
        self._vulnerability(cve, "nvd", None, f"https://nvd.nist.gov/vuln/detail/{cve}", description="Reading too far.")

    def npm(self, ghsa: str, cve: str, name: str, fixed: str, word: str) -> None:
        """Of a package of npm, by GitHub; it is known to be exploited."""
        url = f"https://github.com/advisories/{ghsa}"
        found = self._vulnerability(ghsa, "github", word, url, description="Injection.", aliases=[cve])
        self._affects(found, "npm", name, "semver", fixed, None)
        self._add("vulnerability_aliases", name=ghsa, alias=cve)
        self._add("known_exploited_vulnerability_handles", cve=cve, blob_id=self._blob({"cve": cve}))

    def close(self) -> None:
        self._connection.commit()
        self._connection.close()


def make_database(folder: Path, run: Callable[..., str], fill: Callable[[GrypeDatabase], None]) -> None:
    """Into the cache directory `folder`, which `run` gives to grype."""
    new = folder.parent / "new.db"
    connection = sqlite3.connect(new)
    connection.executescript(_EMPTY)
    connection.close()
    run("db", "import", str(new))
    new.write_bytes((folder / "6" / "vulnerability.db").read_bytes())
    made = GrypeDatabase(new)
    fill(made)
    made.close()
    run("db", "import", str(new))
