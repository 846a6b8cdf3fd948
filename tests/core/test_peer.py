"""Who sent a request: the connection's word, and of headers what trusted proxies wrote."""

import pytest

from ecrsim.core.peer import Arrival, Forwarded, arrival, is_loopback

PEER = "172.17.0.1"
ROWS = [
    ("no proxy is trusted", 0, "10.0.0.1", PEER),
    ("the entry of the one proxy", 1, "10.0.0.1", "10.0.0.1"),
    ("the client wrote one as well", 1, "1.1.1.1, 10.0.0.1", "10.0.0.1"),
    ("the client wrote many", 1, ", ".join(["1.1.1.1"] * 1000 + ["10.0.0.1"]), "10.0.0.1"),
    ("two proxies", 2, "1.1.1.1, 10.0.0.1, 10.0.0.2", "10.0.0.1"),
    ("two headers, joined", 1, "1.1.1.1,10.0.0.1", "10.0.0.1"),
    ("fewer entries than proxies", 2, "10.0.0.1", PEER),
    ("no header", 1, None, PEER),
    ("an empty header", 1, "", PEER),
    ("an entry that is empty", 1, "10.0.0.1,", PEER),
    ("an entry that is no address", 1, "10.0.0.1, unknown", PEER),
    ("an obfuscated entry", 1, "_gazonk", PEER),
    ("with a port", 1, "10.0.0.1:4711", "10.0.0.1"),
    ("IPv6", 1, "2001:db8::1", "2001:db8::1"),
    ("IPv6 in brackets", 1, "[2001:db8::1]", "2001:db8::1"),
    ("IPv6 with a port", 1, "[2001:db8::1]:4711", "2001:db8::1"),
    ("spaces and tabs", 1, " 1.1.1.1 ,\t10.0.0.1 ", "10.0.0.1"),
]


@pytest.mark.parametrize(("proxies", "header", "address"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_source_is_what_the_outermost_trusted_proxy_saw(proxies, header, address):
    assert arrival(PEER, "http", "ecr.test", Forwarded(header), proxies).address == address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, Forwarded(None, "https", "evil.test"), Arrival(PEER, "http", "ecr.test:5100")),
        (1, Forwarded(None, "https", "ecr.example"), Arrival(PEER, "https", "ecr.example")),
        (1, Forwarded(None, "https, http", "a.test, b.test"), Arrival(PEER, "http", "b.test")),
        (2, Forwarded(None, "https, http", "a.test, b.test"), Arrival(PEER, "https", "a.test")),
        (2, Forwarded(None, "https", "a.test"), Arrival(PEER, "https", "a.test")),
        (1, Forwarded(None, "HTTPS ", "a b"), Arrival(PEER, "http", "ecr.test:5100")),
    ],
)
def test_scheme_and_name_are_theirs_as_well(proxies, forwarded, found):
    assert arrival(PEER, "http", "ecr.test:5100", forwarded, proxies) == found


@pytest.mark.parametrize("host", ["", "[::1", "a b", "localhost:port", "x" * 300, 'a"b', "a/b", "a\nb", "@evil", None])
def test_a_host_that_is_none_is_localhost(host):
    assert arrival(PEER, "https", host, Forwarded()).origin == "https://localhost"


@pytest.mark.parametrize(
    "host", ["ecr", "my_service:5100", "[::1]:5100", "10.0.0.1", "123456789012.dkr.ecr.test.", "A.b"]
)
def test_any_host_is_taken_as_it_was_written(host):
    assert arrival(PEER, "http", host, Forwarded()).host == host


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.8.9.10", True), ("::1", True), ("::ffff:127.0.0.1", True), ("172.17.0.1", False),
     ("::ffff:10.0.0.1", False), ("::", False), ("localhost", False), ("", False)],
)  # fmt: skip
def test_loopback(address, local):
    assert is_loopback(address) is local
