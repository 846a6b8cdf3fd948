"""About and usage texts: Markdown by a library, and its HTML cleaned by another. Nothing in them can run or load."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

#: What a text may consist of: no forms, no frames, no styles, and nothing that is loaded from elsewhere.
_TAGS = {
    *(
        "a",
        "b",
        "blockquote",
        "br",
        "code",
        "dd",
        "del",
        "details",
        "dl",
        "dt",
        "em",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
    ),
    *("kbd", "li", "ol", "p", "pre", "s", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead"),
    *("tr", "ul"),
}
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "th": {"scope"}}
#: The page has two levels of headings above a text's own.
_LEVELS_ABOVE = 2


@functools.lru_cache(maxsize=256)
def rendered(text: str) -> str:
    """HTML that is safe in a page, whatever the text. Remembered: one that was made to be slow is slow once."""
    return nh3.clean(
        _markdown().render(text),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    markdown.add_render_rule("heading_open", _heading)
    markdown.add_render_rule("heading_close", _heading)
    markdown.add_render_rule("image", _image)
    return markdown


def _heading(renderer: Any, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    level = min(int(tokens[index].tag[1:]) + _LEVELS_ABOVE, 6)
    return f"<h{level}>" if tokens[index].nesting == 1 else f"</h{level}>\n"


def _image(renderer: Any, tokens: Sequence[Token], index: int, options: OptionsDict, env: Any) -> str:
    """A link to the picture: a page asks nobody but ecrsim."""
    token = tokens[index]
    place = nh3.clean_text(str(token.attrGet("src") or ""))
    return f'<a href="{place}">{nh3.clean_text(token.content or "picture")}</a>'
