"""Ruby's gems: the `gemspec` files below `specifications`, which gem writes when it installs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ecrsim.ecr.scanning.bill import Package
from ecrsim.ecr.scanning.packages.content import Content, text_of

_FIELD = re.compile(r"""\.(name|version|licenses?)\s*=\s*(?:["'](.*)["']|\[(.*)\])""")
#: Longer lines list files.
_LINE = 4096


def read_gemspec(content: Content) -> Iterator[Package]:
    """Ruby, of which gem writes always the same kind: `s.name = "rake".freeze`."""
    fields: dict[str, str] = {}
    for line in content.lines():
        if len(line) > _LINE:
            continue
        if found := _FIELD.search(text_of(line).replace(".freeze", "")):
            fields[found[1]] = found[2] or found[3] or ""
    name, version = fields.get("name", ""), fields.get("version", "")
    if name and version:
        told = fields.get("licenses") or fields.get("license", "")
        licenses = tuple(text for each in told.split(",") if (text := each.strip("\"' ")))
        yield Package(type="gem", name=name, version=version, licenses=licenses)
