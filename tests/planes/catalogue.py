"""The manifests of `fixtures/manifests`, with the layers that they need."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from tests.pushing import digest_of

FOLDER = Path(__file__).resolve().parents[2] / "fixtures" / "manifests"


class Fixture(NamedTuple):
    """A manifest as a client sends it, and what has to be pushed before."""

    name: str
    manifest: bytes
    media_type: str
    #: By the algorithm that the image is named by.
    digest: str
    #: Config and layers by digest; foreign layers are not among them.
    layers: dict[str, bytes]
    #: Names of the fixtures that an index lists.
    after: tuple[str, ...]
    refused: bool

    @property
    def document(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.manifest)
        return content

    @property
    def expected_digest(self) -> str | None:
        """What a pusher has to tell where it is not sha256."""
        return self.digest if self.digest.startswith("sha512:") else None

    @property
    def told_type(self) -> str | None:
        """The media type, where the body does not say it."""
        return None if "mediaType" in self.document else self.media_type


def blob_file(digest: str) -> Path:
    return FOLDER / "blobs" / digest.replace(":", "/")


def _layers(document: dict[str, Any]) -> dict[str, bytes]:
    listed = [document["config"], *document.get("layers", [])] if "config" in document else []
    pushed = [each["digest"] for each in listed if "urls" not in each and "nondistributable" not in each["mediaType"]]
    return {digest: blob_file(digest).read_bytes() for digest in pushed}


def _read(name: str, entry: dict[str, Any]) -> Fixture:
    manifest = (FOLDER / f"{name}.json").read_bytes()
    return Fixture(
        name,
        manifest,
        entry["media_type"],
        digest_of(manifest, entry.get("pushed_by", "sha256")),
        _layers(json.loads(manifest)),
        tuple(entry.get("after", ())),
        entry.get("refused", False),
    )


FIXTURES = {
    name: _read(name, entry)
    for name, entry in tomllib.loads((FOLDER / "catalogue.toml").read_text(encoding="utf-8")).items()
}
ACCEPTED = [fixture for fixture in FIXTURES.values() if not fixture.refused]
REFUSED = [fixture for fixture in FIXTURES.values() if fixture.refused]


def with_needs(fixture: Fixture) -> list[Fixture]:
    """The fixture behind all that it lists, in an order in which they can be pushed."""
    order: dict[str, Fixture] = {}
    for name in fixture.after:
        order.update({each.name: each for each in with_needs(FIXTURES[name])})
    order[fixture.name] = fixture
    return list(order.values())
