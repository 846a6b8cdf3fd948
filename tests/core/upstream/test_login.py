"""Logging in to upstreams, and to whom credentials are never shown."""

import base64

import pytest

from ecrsim.core.clock import utc_now
from ecrsim.core.upstream.failures import UpstreamDenied, UpstreamInvalid, UpstreamNotAllowed, UpstreamUnavailable
from ecrsim.core.upstream.login import Credentials
from ecrsim.testing import build_image
from ecrsim.tls import Authority
from tests.core.upstream.servers import Registry, TokenService, basic, give_blob

IMAGE = build_image(b"a layer")
SHELF = {"library/app": {"v1": IMAGE}, "library/other": {"v1": IMAGE}}
LAYER, DATA = list(IMAGE.blobs.items())[1]
KNOWN = Credentials("user", "pa:ss wörd")


def digest(registry, name="library/app"):
    return registry.manifest(name, "v1").digest


class TestBasic:
    def test_it_is_given_when_it_is_asked_for(self, site, ask):
        upstream = site(Registry(SHELF, basic(*KNOWN)))
        registry = ask(upstream.url, KNOWN)
        assert digest(registry) == IMAGE.digest
        assert [asked.authorization for asked in upstream.asked] == [None, KNOWN.basic]

    def test_and_from_then_on_at_once(self, site, ask):
        upstream = site(Registry(SHELF, basic(*KNOWN)))
        registry = ask(upstream.url, KNOWN)
        digest(registry)
        digest(registry, "library/other")
        assert len(upstream.asked) == 3

    @pytest.mark.parametrize("credentials", [None, Credentials("user", "wrong")])
    def test_it_does_not_do(self, site, ask, credentials):
        upstream = site(Registry(SHELF, basic(*KNOWN)))
        with pytest.raises(UpstreamDenied):
            digest(ask(upstream.url, credentials))
        assert len(upstream.asked) == (1 if credentials is None else 2)

    def test_nobody_is_logged_in_who_is_not_asked(self, site, ask):
        upstream = site(Registry(SHELF))
        digest(ask(upstream.url, KNOWN))
        assert [asked.authorization for asked in upstream.asked] == [None]


class Guarded:
    """A registry behind a token service, each a server of its own."""

    def __init__(self, site, **options):
        self.tokens = TokenService(**options)
        self.service = site(self.tokens)
        self.tokens.url = self.service.url
        self.upstream = site(Registry(SHELF, self.tokens.refuses))


class TestBearer:
    @pytest.mark.parametrize("credentials", [None, KNOWN])
    def test_a_token_is_fetched_for_what_is_asked(self, site, ask, credentials):
        guarded = Guarded(site, credentials=tuple(credentials) if credentials else None)
        registry = ask(guarded.upstream.url, credentials)
        assert digest(registry) == IMAGE.digest
        assert guarded.tokens.given == ["repository:library/app:pull"]
        assert guarded.service.asked[0].path == ("/token?service=registry.test&scope=repository%3Alibrary%2Fapp%3Apull")

    def test_it_is_kept_for_its_scope(self, site, ask):
        guarded = Guarded(site)
        registry = ask(guarded.upstream.url)
        for name in ("library/app", "library/app", "library/other"):
            digest(registry, name)
            b"".join(registry.blob(name, LAYER, len(DATA), 1000))
        assert guarded.tokens.given == ["repository:library/app:pull", "repository:library/other:pull"]

    def test_the_registry_itself_has_no_scope(self, site, ask):
        guarded = Guarded(site, credentials=tuple(KNOWN))
        ask(guarded.upstream.url, KNOWN).check()
        assert guarded.tokens.given == [""]

    @pytest.mark.parametrize("lifetime", [0, 0.0])
    def test_one_that_has_expired_is_renewed(self, site, ask, lifetime):
        guarded = Guarded(site, lifetime=lifetime)
        registry = ask(guarded.upstream.url)
        digest(registry)
        digest(registry)
        assert len(guarded.tokens.given) == 2

    @pytest.mark.parametrize("lifetime", [None, "300", True, -1, 10**30])
    def test_a_lifetime_that_says_little_is_a_minute_at_least(self, site, ask, lifetime):
        guarded = Guarded(site, lifetime=lifetime)
        registry = ask(guarded.upstream.url)
        digest(registry)
        digest(registry)
        assert len(guarded.tokens.given) == 1

    def test_one_that_is_refused_before_its_time_is_renewed(self, site, ask):
        guarded = Guarded(site)
        registry = ask(guarded.upstream.url)
        digest(registry)
        guarded.tokens.good.clear()
        digest(registry)
        assert len(guarded.tokens.given) == 2

    def test_one_that_is_refused_at_once_is_not_asked_for_again(self, site, ask):
        guarded = Guarded(site)
        guarded.upstream.answer = Registry(
            SHELF, lambda handler: guarded.tokens.good.clear() or guarded.tokens.refuses(handler)
        )
        with pytest.raises(UpstreamDenied):
            digest(ask(guarded.upstream.url))
        assert len(guarded.tokens.given) == 1

    def test_wrong_credentials(self, site, ask):
        guarded = Guarded(site, credentials=tuple(KNOWN))
        with pytest.raises(UpstreamDenied, match="refuses the credentials"):
            digest(ask(guarded.upstream.url, Credentials("user", "wrong")))

    def test_the_other_name_of_the_member(self, site, ask):
        guarded = Guarded(site)
        guarded.tokens.good.add("t")
        guarded.service.answer = lambda _: {"access_token": "t"}
        assert digest(ask(guarded.upstream.url)) == IMAGE.digest

    @pytest.mark.parametrize(
        "answer",
        [
            b"<html>Log in to the hotel's network</html>",
            b"[]",
            b"{}",
            b'{"token": 1}',
            b'{"token": ""}',
            b'{"token": "a\\r\\nX-Evil: 1"}',
            b'{"token": "a b"}',
            b'{"token": "\\u00fc"}',
            b"[" * 100_000,
            b" " * (1 << 21),
        ],
    )
    def test_what_is_no_token(self, site, ask, answer):
        guarded = Guarded(site)
        guarded.service.answer = lambda handler: handler.give(200, answer)
        with pytest.raises(UpstreamInvalid):
            digest(ask(guarded.upstream.url))

    @pytest.mark.parametrize(
        ("status", "failure"), [(403, UpstreamDenied), (418, UpstreamInvalid), (500, UpstreamUnavailable)]
    )
    def test_a_token_service_that_gives_none(self, site, ask, status, failure):
        guarded = Guarded(site)
        guarded.service.answer = lambda handler: handler.give(status)
        with pytest.raises(failure):
            digest(ask(guarded.upstream.url))

    @pytest.mark.parametrize("realm", ["https://auth.test/token", "http://169.254.169.254/token"])
    def test_a_token_service_that_may_not_be_contacted(self, site, ask, realm):
        challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
        upstream = site(lambda handler: handler.give(401, headers=challenge))
        with pytest.raises(UpstreamNotAllowed):
            digest(ask(upstream.url, KNOWN))

    def test_a_token_service_that_has_an_entry(self, site, ask):
        guarded = Guarded(site)
        guarded.tokens.url = "https://auth.test"
        assert digest(ask(guarded.upstream.url, entries={"auth.test": guarded.service.url})) == IMAGE.digest

    def test_a_challenge_that_nobody_can_answer(self, site, ask):
        upstream = site(lambda handler: handler.give(401, headers={"WWW-Authenticate": "Negotiate, Bearer"}))
        with pytest.raises(UpstreamDenied):
            digest(ask(upstream.url, KNOWN))


class TestLeaks:
    """Credentials are for the upstream and its token service, and for nobody that these lead to."""

    def test_a_redirect_to_another_host_comes_without_them(self, site, ask):
        storage = site(lambda handler: give_blob(handler, DATA))

        def answer(handler):
            if basic(*KNOWN)(handler):
                return
            handler.give(307, headers={"Location": f"{storage.url}/signed?x=y"})

        registry = ask(site(answer).url, KNOWN)
        for _ in range(2):
            assert b"".join(registry.blob("library/app", LAYER, len(DATA), 1000)) == DATA
        assert {asked.authorization for asked in storage.asked} == {None}

    def test_a_redirect_on_the_same_host_keeps_them(self, site, ask):
        registry = Registry(SHELF, basic(*KNOWN))

        def answer(handler):
            if not handler.path.startswith("/moved"):
                handler.give(307, headers={"Location": f"/moved{handler.path}"})
                return None
            handler.path = handler.path.removeprefix("/moved")
            return registry(handler)

        assert digest(ask(site(answer).url, KNOWN)) == IMAGE.digest

    @pytest.mark.parametrize("challenge", ['Basic realm="x"', 'Bearer realm="{url}/token"'])
    def test_a_host_that_was_redirected_to_may_not_ask_for_them(self, site, ask, challenge):
        thief = site(lambda _: None)
        told = {"WWW-Authenticate": challenge.format(url=thief.url)}
        thief.answer = lambda handler: handler.give(401, headers=told)
        upstream = site(lambda handler: handler.give(302, headers={"Location": f"{thief.url}/v2/"}))
        with pytest.raises(UpstreamDenied):
            digest(ask(upstream.url, KNOWN))
        assert [asked.authorization for asked in thief.asked] == [None]

    def test_a_token_service_redirects_without_them(self, site, ask):
        thief = site(lambda _: {"token": "t"})
        guarded = Guarded(site, credentials=tuple(KNOWN))
        guarded.service.answer = lambda handler: handler.give(302, headers={"Location": f"{thief.url}/"})
        with pytest.raises(UpstreamDenied):
            digest(ask(guarded.upstream.url, KNOWN))
        assert [asked.authorization for asked in thief.asked] == [None]

    def test_another_upstream_does_not_get_them(self, site, ask):
        first, second = site(Registry(SHELF, basic(*KNOWN))), site(Registry(SHELF))
        digest(ask(first.url, KNOWN))
        digest(ask(second.url))
        assert [asked.authorization for asked in second.asked] == [None]

    @pytest.mark.parametrize(
        "location", ["http://cdn.test/x", "https://cdn.test/x", "//cdn.test/x", "file:///etc/passwd"]
    )
    def test_a_redirect_to_where_nobody_may_go(self, site, ask, location):
        upstream = site(lambda handler: handler.give(302, headers={"Location": location}))
        with pytest.raises((UpstreamNotAllowed, UpstreamInvalid)):
            digest(ask(upstream.url, KNOWN))
        assert len(upstream.asked) == 1

    def test_no_text_shows_a_password(self, site, ask):
        with pytest.raises(UpstreamDenied) as denied:
            digest(ask(site(Registry(SHELF, basic("a", "b"))).url, KNOWN))
        assert KNOWN.password not in f"{KNOWN!r} {KNOWN} {denied.value!r} {denied.value.__context__!r}"


class TestTlsAndProxies:
    @pytest.fixture
    def context(self, tmp_path):
        """What a server has whose certificate an authority of this test made."""
        return Authority(tmp_path, utc_now()).context()

    def test_an_authority_that_is_not_known(self, site, ask, context):
        upstream = site(Registry(SHELF), context)
        with pytest.raises(UpstreamUnavailable, match="certificate verify failed"):
            digest(ask(upstream.url, attempts=1))

    def test_one_that_is_given(self, site, ask, context, tmp_path):
        upstream = site(Registry(SHELF), context)
        (ca_file,) = [file for file in tmp_path.rglob("*.pem") if "PRIVATE" not in file.read_text()]
        assert digest(ask(upstream.url, ca_file=str(ca_file))) == IMAGE.digest

    def test_a_proxy_is_asked_for_what_is_elsewhere(self, site, ask):
        """The proxy answers in the upstream's place, whose name nobody has to find."""
        registry = Registry(SHELF)

        def answer(handler):
            handler.path = handler.path.removeprefix("http://hub.corp.test")
            return registry(handler)

        proxy = site(answer)
        upstream = ask("http://hub.corp.test", http_proxy=proxy.url)
        assert digest(upstream) == IMAGE.digest
        assert proxy.paths() == ["http://hub.corp.test/v2/library/app/manifests/v1"]

    def test_a_proxy_is_logged_in_to(self, site, ask):
        seen = []

        def answer(handler):
            seen.append(handler.headers.get("Proxy-Authorization"))
            handler.give(404)

        with pytest.raises(Exception, match="has no"):
            digest(ask("http://hub.corp.test", http_proxy=site(answer).url.replace("//", "//me:secret@")))
        assert seen == [f"Basic {base64.b64encode(b'me:secret').decode()}"]

    def test_https_goes_through_it_by_connect(self, site, ask):
        """The tunnel is refused: what matters is that the upstream was not looked for without it."""
        proxy = site(lambda _: None)
        with pytest.raises(UpstreamUnavailable):
            digest(ask("https://hub.corp.test", https_proxy=proxy.url, attempts=1))

    def test_loopback_is_never_asked_through_one(self, site, ask):
        proxy, upstream = site(Registry({})), site(Registry(SHELF))
        assert digest(ask(upstream.url, http_proxy=proxy.url)) == IMAGE.digest
        assert proxy.asked == []
