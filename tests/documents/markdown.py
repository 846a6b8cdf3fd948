"""The project's documents as the tests read them: files, headings, links and blocks of code."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: where it stands, the language that it is marked with, and its text."""

    document: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.number}"


@cache
def read(path: Path) -> str:
    return path.read_text("utf-8")


def blocks(*languages: str) -> list[Block]:
    """Every block of these languages in all documents."""
    found = []
    for path in DOCUMENTS:
        text = read(path)
        for match in _FENCED.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(str(path.relative_to(ROOT)), line, match[1], match[2]))
    return [block for block in found if block.language in languages]


def prose(path: Path) -> str:
    """The text without its blocks of code."""
    return _FENCED.sub("", read(path))


def anchors(path: Path) -> set[str]:
    """What a heading can be linked by, as GitHub makes it."""
    made: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        while anchor in made:
            anchor += "-1"
        made.add(anchor)
    return made


def links(path: Path) -> list[str]:
    return re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(path)))
