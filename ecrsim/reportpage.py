"""Parts of a report that is one HTML file: no script, nothing from elsewhere. Texts that come in are HTML already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def whole(title: str, style: str, body: Iterable[str]) -> str:
    """The file."""
    return _TEMPLATE.format(title=title, style=style, body="\n".join(body))


def section(anchor: str, title: str, content: Iterable[str]) -> Iterator[str]:
    """A part with a heading, which names it to who cannot see it as well."""
    yield f'<section aria-labelledby="{anchor}">'
    yield f'<h2 id="{anchor}">{title}</h2>'
    yield from content
    yield "</section>"


def figures(shown: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Large numbers, each with what it counts."""
    yield '<dl class="figures">'
    for amount, label in shown:
        yield f"<div><dt>{label}</dt><dd>{amount}</dd></div>"
    yield "</dl>"


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()
) -> Iterator[str]:
    """A table that scrolls by itself. `numbers`: the places of the columns that are set flush right."""

    def cell(place: int, text: str, kind: str) -> str:
        scope = ' scope="col"' if kind == "th" else ""
        style = ' class="number"' if place in numbers else ""
        return f"<{kind}{scope}{style}>{text}</{kind}>"

    yield f'<div class="wide" role="region" tabindex="0" aria-label="{caption}"><table><caption>{caption}</caption>'
    yield f"<thead><tr>{''.join(cell(place, text, 'th') for place, text in enumerate(head))}</tr></thead><tbody>"
    for row in rows:
        yield f"<tr>{''.join(cell(place, text, 'td') for place, text in enumerate(row))}</tr>"
    yield "</tbody></table></div>"
