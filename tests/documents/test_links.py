"""Every link inside of the project leads somewhere, and every document is led to."""

import pytest

from tests.documents.markdown import DOCUMENTS, ROOT, anchors, links, read

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@documents
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(path):
    lost = []
    for link in links(path):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@documents
def test_every_document_is_reached_from_another_one(path):
    if path.name == "README.md":
        return
    reached = {
        (other.parent / link.partition("#")[0]).resolve()
        for other in DOCUMENTS
        if other != path
        for link in links(other)
    }
    assert path in reached


@documents
def test_a_document_begins_with_its_title_and_ends_with_a_line_end(path):
    text = read(path)
    assert text.startswith("# ")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_a_lost_link_is_seen():
    assert "nothing" not in anchors(ROOT / "README.md")
    assert "status" in anchors(ROOT / "README.md")
    assert "names-for-other-clients-and-other-machines" in anchors(ROOT / "docs" / "configuration.md")
