"""Texts of strangers as HTML: none of it runs, none of it loads, and what is meant is shown."""

import re

import pytest

from ecrsim.gallery.markdown import rendered

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](javascript:alert(1))",
    "![x](http://elsewhere.test/x.png)",
    '![x"onload="alert(1)](x)',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:x)",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<svg onload=alert(1)><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "<iframe src='//elsewhere.test'></iframe>",
    "<style>body { background: url(//elsewhere.test) }</style>",
    "<p style='background: url(//elsewhere.test)'>x</p>",
    "<form action='//elsewhere.test'><input name=x><button>x</button></form>",
    "<base href='//elsewhere.test'>",
    "<meta http-equiv=refresh content='0;url=//elsewhere.test'>",
    "<object data=x></object><embed src=x><video src=x></video>",
    "</div></main><h1>taken over</h1>",
    "<math><mtext></mtext><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "```<script>alert(1)</script>```",
    "# <script>alert(1)</script>",
    "|<script>|\n|-|\n|<img src=x onerror=alert(1)>|",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs_and_nothing_loads(text):
    html = rendered(text)
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", html))
    assert not tags & {
        *("script", "img", "svg", "iframe", "style", "form", "input", "button", "base", "meta", "object", "embed"),
        *("video", "main", "div", "h1", "h2", "math", "link", "noscript"),
    }
    for tag in re.findall(r"<[^>]*>", html):
        assert not re.search(r"\son\w+\s*=|style\s*=|(java|vb)script:|data:", tag, re.IGNORECASE), tag


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*a* **b** `c`", "<p><em>a</em> <strong>b</strong> <code>c</code></p>\n"),
        ("# a\n## b\n###### c", "<h3>a</h3>\n<h4>b</h4>\n<h6>c</h6>\n"),
        ("~~a~~", "<p><s>a</s></p>\n"),
        ("<kbd>a</kbd>", "<p><kbd>a</kbd></p>\n"),
        ("[a](https://a.test)", '<p><a href="https://a.test" rel="nofollow noopener noreferrer">a</a></p>\n'),
        (
            "![a](https://a.test/b.png)",
            '<p><a href="https://a.test/b.png" rel="nofollow noopener noreferrer">a</a></p>\n',
        ),
        ("a < b & c", "<p>a &lt; b &amp; c</p>\n"),
        ("", ""),
    ],
)
def test_what_is_meant_is_shown(text, html):
    assert rendered(text) == html


def test_a_table_is_a_table():
    html = rendered("|a|b|\n|-|-|\n|1|2|")
    assert re.findall(r"<t[hd]>(.)</t[hd]>", html) == ["a", "b", "1", "2"]


@pytest.mark.parametrize("text", ["[" * 25600, "*a " * 8533, "<" * 25600, "> " * 12800, "`" * 25600, "[a](" * 6400])
def test_the_longest_texts_take_their_time_and_no_more(text):
    assert len(rendered(text)) < 1_000_000
