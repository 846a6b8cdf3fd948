"""Pages of browsers: ecrsim's own and those that a setting names are let in, others are not; programs always are."""

import pytest

from ecrsim.core.origins import is_own_name, refusal

OWN = "localhost:5100"
LET_IN = [
    ("a program", None, None, OWN, ()),
    ("a program, by any name", None, None, "evil.example", ()),
    ("its own page", "http://localhost:5100", "same-origin", OWN, ()),
    ("its own page, by HTTPS", "https://localhost:5100", "same-origin", OWN, ()),
    ("its own page in capitals", "http://LOCALHOST:5100", None, OWN, ()),
    ("typed by the user", None, "none", OWN, ()),
    ("an origin that is allowed", "https://ui.example", "cross-site", OWN, ("https://ui.example",)),
    ("an address", "http://10.0.0.1:5100", "same-origin", "10.0.0.1:5100", ()),
    ("IPv6", "http://[::1]:5100", "same-origin", "[::1]:5100", ()),
]
REFUSED = [
    ("another origin", "https://evil.example", "cross-site", OWN, ()),
    ("another origin, older browser", "https://evil.example", None, OWN, ()),
    ("another port", "http://localhost:3000", "same-site", OWN, ()),
    ("another port, older browser", "http://localhost:3000", None, OWN, ()),
    ("a GET of another origin", None, "cross-site", OWN, ()),
    ("a GET of another port", None, "same-site", OWN, ()),
    ("a page without an origin", "null", "cross-site", OWN, ()),
    ("an empty origin", "", None, OWN, ()),
    ("a name that was pointed here", "http://evil.example:5100", "same-origin", "evil.example:5100", ()),
    ("the same, older browser", "http://evil.example:5100", None, "evil.example:5100", ()),
    ("the same, a GET", None, "same-origin", "evil.example:5100", ()),
    ("a link to such a name", None, "none", "evil.example:5100", ()),
    ("an origin like one that is allowed", "https://ui.example.evil.example", None, OWN, ("https://ui.example",)),
    ("an allowed origin by another scheme", "http://ui.example", None, OWN, ("https://ui.example",)),
    ("its own origin, said of another site", "http://localhost:5100", "cross-site", OWN, ()),
]


@pytest.mark.parametrize(("origin", "site", "host", "allowed"), [row[1:] for row in LET_IN], ids=[r[0] for r in LET_IN])
def test_let_in(origin, site, host, allowed):
    assert refusal(origin, site, host, ("ecrsim.host.example", "localhost"), allowed) is None


@pytest.mark.parametrize(
    ("origin", "site", "host", "allowed"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused(origin, site, host, allowed):
    assert refusal(origin, site, host, ("ecrsim.host.example", "localhost"), allowed) is not None


AWS = "123456789012.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("host", "registry_host", "own"),
    [
        ("ecrsim:5100", "localhost", True),
        ("ecrsim.host.example:5100", "localhost", True),
        ("ecr.test", "localhost", True),
        ("host.docker.internal", "localhost", True),
        ("127.0.0.1", "localhost", True),
        ("ecr.dev.example:5100", "ecr.dev.example:8080", True),
        ("ecr.prod.example", "ecr.dev.example:8080", False),
        ("localhost.evil.example", "localhost", False),
        ("127.0.0.1.evil.example", "localhost", False),
        ("evil.example.", "localhost", False),
        (AWS, "localhost", False),
        (AWS, "aws", True),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "aws", True),
        ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "aws", True),
        ("amazonaws.com.evil.example", "aws", False),
        ("evilamazonaws.com", "aws", False),
        ("[zz", "localhost", True),
    ],
)
def test_names(host, registry_host, own):
    assert is_own_name(host, ("ecrsim.host.example", registry_host)) is own
