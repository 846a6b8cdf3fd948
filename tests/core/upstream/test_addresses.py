"""Where an upstream is asked, what is never contacted, and which hosts a proxy is not for."""

import pytest

from ecrsim.core.upstream.addresses import Addresses, bypasses_proxy, is_loopback, origin_of, parse_entry
from ecrsim.core.upstream.failures import UpstreamInvalid, UpstreamNotAllowed

HUB = "registry-1.docker.io"
ENTRIES = {
    HUB: "http://127.0.0.1:5001",
    "quay.io": "https://mirror.corp:8443/quay/",
    "cgr.dev:444": "http://localhost:1",
}

#: Name, whether the network is allowed, URL or None where it is not contacted.
BASES = {
    "an entry": (HUB, False, "http://127.0.0.1:5001"),
    "an entry in upper case": ("Registry-1.Docker.IO", False, "http://127.0.0.1:5001"),
    "an entry with a path, on another machine": ("quay.io", False, "https://mirror.corp:8443/quay"),
    "an entry goes before the network": (HUB, True, "http://127.0.0.1:5001"),
    "no entry": ("ghcr.io", False, None),
    "no entry, with the network": ("ghcr.io", True, "https://ghcr.io"),
    "an entry with a port is for that port": ("cgr.dev", False, None),
    "a name that is none": ("a b", True, None),
    "a name with a user": ("user@ghcr.io", True, None),
    "loopback needs no entry": ("127.0.0.1:5001", False, "https://127.0.0.1:5001"),
}


@pytest.mark.parametrize(("name", "network", "wanted"), BASES.values(), ids=BASES)
def test_the_base_of_an_upstream(name, network, wanted):
    addresses = Addresses(ENTRIES, network=network)
    if wanted is not None:
        assert addresses.base(name) == wanted
        return
    with pytest.raises(UpstreamNotAllowed):
        addresses.base(name)


def test_the_refusal_says_what_would_do():
    with pytest.raises(UpstreamNotAllowed) as refused:
        Addresses({}).base("ghcr.io")
    assert "--upstream ghcr.io=URL" in str(refused.value)
    assert "--upstream-network" in str(refused.value)


#: URL that an upstream names, network, where it is asked; an error otherwise.
ALLOWED = {
    "of an entry": (f"https://{HUB}/v2/a?b=c", False, "http://127.0.0.1:5001/v2/a?b=c"),
    "of an entry, with the usual port": (f"https://{HUB}:443/v2/", False, "http://127.0.0.1:5001/v2/"),
    "of an entry, with another port": (f"https://{HUB}:444/v2/", False, UpstreamNotAllowed),
    "of an entry with a path": ("https://quay.io/v2/", False, "https://mirror.corp:8443/quay/v2/"),
    "where an entry leads": ("https://mirror.corp:8443/x", False, "https://mirror.corp:8443/x"),
    "another port there": ("https://mirror.corp/x", False, UpstreamNotAllowed),
    "another scheme there": ("http://mirror.corp:8443/x", False, UpstreamNotAllowed),
    "loopback by number": ("http://127.8.8.8:1/x", False, "http://127.8.8.8:1/x"),
    "loopback by name": ("http://localhost/x", False, "http://localhost/x"),
    "loopback of IPv6": ("http://[::1]:5/x", False, "http://[::1]:5/x"),
    "anything else": ("https://cdn.test/x", False, UpstreamNotAllowed),
    "anything else, with the network": ("https://cdn.test/x", True, "https://cdn.test/x"),
    "http, with the network": ("http://cdn.test/x", True, UpstreamNotAllowed),
    "the metadata of a cloud": ("http://169.254.169.254/latest", True, UpstreamNotAllowed),
    "the metadata of a cloud, by https": ("https://169.254.169.254/latest", True, UpstreamNotAllowed),
    "the same of IPv6": ("https://[fd00:ec2::254]/latest", True, UpstreamNotAllowed),
    "a name that begins like loopback": ("http://127.0.0.1.evil.test/", False, UpstreamNotAllowed),
    "loopback as a user": ("http://127.0.0.1@evil.test/", False, UpstreamInvalid),
    "loopback as a user, by backslash": ("http://evil.test\\@127.0.0.1/", False, UpstreamInvalid),
    "loopback as a decimal": ("http://2130706433/", False, UpstreamNotAllowed),
    "a file": ("file:///etc/passwd", True, UpstreamInvalid),
    "no scheme": ("//cdn.test/x", True, UpstreamInvalid),
    "a line break": ("https://cdn.test/\r\nx: y", True, UpstreamInvalid),
    "a port that is none": ("https://cdn.test:99999/", True, UpstreamInvalid),
    "half a bracket": ("https://[::1/", True, UpstreamInvalid),
}


@pytest.mark.parametrize(("url", "network", "wanted"), ALLOWED.values(), ids=ALLOWED)
def test_where_an_upstream_may_send_us(url, network, wanted):
    addresses = Addresses(ENTRIES, network=network)
    if isinstance(wanted, str):
        assert addresses.allow(url) == wanted
        return
    with pytest.raises(wanted):
        addresses.allow(url)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"{HUB}=http://127.0.0.1:5001", (HUB, "http://127.0.0.1:5001")),
        (" Quay.io = https://m/q/ ", ("quay.io", "https://m/q")),
        ("quay.io:444=https://m", ("quay.io:444", "https://m")),
        ("quay.io", None),
        ("=https://m", None),
        ("quay.io=m", None),
        ("quay.io=ftp://m", None),
        ("quay.io/x=https://m", None),
        ("quay.io=https://m?x=y", None),
        ("quay.io=https://user:secret@m", None),
    ],
)
def test_an_entry_as_it_is_written(text, wanted):
    assert parse_entry(text) == wanted


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://A.test/x", ("https", "a.test", 443)),
        ("http://a.test:8080", ("http", "a.test", 8080)),
        ("http://a.test:0", ("http", "a.test", 0)),
        ("https://[::1]:5", ("https", "::1", 5)),
    ],
)
def test_the_origin_of_a_url(url, wanted):
    assert origin_of(url) == wanted


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.3", "::1"])
def test_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "a.localhost", "0.0.0.1", "10.0.0.1", "127.1", "::2", "localhost.evil.test"])
def test_what_is_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("no_proxy", "bypasses"),
    [
        ("", False),
        ("*", True),
        ("hub.corp.test", True),
        ("corp.test", True),
        (".corp.test", True),
        ("*.corp.test", True),
        ("orp.test", False),
        ("other.test, corp.test", True),
        ("hub.corp.test:443", True),
        ("hub.corp.test:444", False),
        ("10.0.0.0/8", False),
    ],
)
def test_the_hosts_that_no_proxy_is_for(no_proxy, bypasses):
    assert bypasses_proxy("hub.corp.test", 443, no_proxy) is bypasses


def test_a_network_without_a_proxy():
    assert bypasses_proxy("10.2.3.4", None, "10.0.0.0/8")
    assert not bypasses_proxy("11.2.3.4", None, "10.0.0.0/8")
