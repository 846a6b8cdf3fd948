"""The fixtures are what they say: every digest and size that a manifest names is that of a file beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.planes.catalogue import ACCEPTED, FIXTURES, FOLDER, Fixture, blob_file
from tests.pushing import digest_of

everything = pytest.mark.parametrize("fixture", FIXTURES.values(), ids=FIXTURES)


def descriptors(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from [document["config"]] if "config" in document else []
    yield from document.get("layers", [])
    yield from document.get("manifests", [])
    yield from [document["subject"]] if "subject" in document else []


def test_every_file_is_in_the_catalogue():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(FIXTURES)
    blobs = {path for path in (FOLDER / "blobs").rglob("*") if path.is_file()}
    named = {blob_file(digest) for fixture in FIXTURES.values() for digest in fixture.layers}
    withdrawn = {blob_file(each["digest"]) for each in FIXTURES["oci-artifact-manifest"].document["blobs"]}
    assert blobs == named | withdrawn


@everything
def test_a_layer_has_the_digest_it_is_named_by(fixture: Fixture):
    for digest, data in fixture.layers.items():
        assert digest_of(data, digest.partition(":")[0]) == digest


@everything
def test_descriptors_tell_the_size_of_what_they_name(fixture: Fixture):
    sizes = {digest: len(data) for digest, data in fixture.layers.items()}
    sizes |= {other.digest: len(other.manifest) for other in FIXTURES.values()}
    named = [each for each in descriptors(fixture.document) if each["digest"] in sizes]
    assert [each["size"] for each in named] == [sizes[each["digest"]] for each in named]


@everything
def test_an_index_comes_after_what_it_lists(fixture: Fixture):
    listed = {entry["digest"] for entry in fixture.document.get("manifests", [])}
    assert {FIXTURES[name].digest for name in fixture.after} == listed


@pytest.mark.parametrize("fixture", ACCEPTED, ids=lambda each: each.name)
def test_the_body_says_its_type_or_is_silent(fixture: Fixture):
    assert fixture.document.get("mediaType", fixture.media_type) == fixture.media_type
